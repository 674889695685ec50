"""The interface of export formats: what is written, and how a format is loaded and checked."""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np

from search.data.arrays import Array
from search.data.encoders import Encoder, ImageEncoder, SequenceEncoder, TextEncoder
from search.data.reading import Column
from search.export.folder import Labels
from search.tasks.classification import (
    LOGITS,
    SCORES,
    SIGMOID_LOGITS,
    Outputs,
)
from search.tasks.models import last_activation, single

if TYPE_CHECKING:
    import keras

VOCABULARY = "vocabulary.txt"
Margins: TypeAlias = tuple[tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class Samples:
    """Real samples for checking a written model.

    Attributes:
        raw: as in the dataset: uint8 images, texts, or rows as `Column` says.
        encoded: the model's input for them, `(n, ...)`.
    """

    raw: Any
    encoded: Array


@dataclass(frozen=True)
class Exportable:
    """A model to be written, and the data to check it.

    Attributes:
        model: the Keras model, compiled; its outputs as `labels` says.
        labels: the meaning of its inputs and outputs.
        samples: real samples.
        expected: the Keras model's values for the samples, float32 `(n, classes)`.
    """

    model: Any
    labels: Labels
    samples: Samples
    expected: Array

    @cached_property
    def probable(self) -> Any:
        """The model with one value for each class, float32 `(n, classes)`, and its input `inputs`.

        Raises any exception for a model that cannot be part of another one.
        """
        labels = self.labels
        return probable_model(self.model, labels.meaning, self.samples.encoded, kind=labels.kind)


@dataclass(frozen=True)
class Difference:
    """The largest difference of a written model's probabilities from the Keras model's.

    Attributes:
        largest: over all samples, classes and signatures; NaN if a probability is NaN.
        mode: name of the signature with the largest difference.
    """

    largest: float
    mode: str

    @classmethod
    def of(cls, found: Mapping[str, Array], expected: Array) -> "Difference":
        """Return the difference for the probabilities of each signature.

        Raises:
            ValueError: there is not one for each class.
        """
        worst = cls(0.0, "")
        for mode, probabilities in found.items():
            if probabilities.shape != expected.shape:
                raise ValueError(f"it gives {probabilities.shape} for {expected.shape}")
            largest = float(np.abs(probabilities.astype(np.float64) - expected).max())
            if not largest <= worst.largest:  # also true for NaN
                worst = cls(largest, mode)
        return worst


class Format(ABC):
    """Writes models in one format, and loads them again.

    Attributes:
        name: as `--format` takes it.
        file: the file or folder it writes, in the export folder.
        more_files: other files that belong to it.
        modules: modules that must be installed besides this project's requirements.
        runtime: the package that runs the model, as pip calls it.
    """

    name: ClassVar[str]
    file: ClassVar[str]
    more_files: ClassVar[tuple[str, ...]] = ()
    modules: ClassVar[tuple[str, ...]] = ()
    runtime: ClassVar[str]

    @abstractmethod
    def write(self, made: Exportable, folder: Path) -> None:
        """Write the model into an existing folder; TensorFlow is imported here."""

    @abstractmethod
    def predict(self, folder: Path, samples: Samples, labels: Labels) -> dict[str, Array]:
        """Load the written model and return class probabilities by signature, each `(n, classes)`.

        Only files of the same export are loaded: formats other than Keras's may run code.
        """

    @abstractmethod
    def takes(self, labels: Labels) -> str:
        """Return a phrase on input and output, for people."""

    def details(self, labels: Labels, folder: Path) -> dict[str, Any]:
        """Return more entries for the record of this format, as JSON."""
        return {}

    def missing(self) -> list[str]:
        """Return the modules that are not installed."""
        return [name for name in self.modules if find_spec(name) is None]

    def size(self, folder: Path) -> int:
        """Return the size of the written files in bytes."""
        path = folder / self.file
        parts = [path] if path.is_file() else path.rglob("*")
        return sum(part.stat().st_size for part in parts if part.is_file())


def encoded_phrase(labels: Labels) -> str:
    """Return a phrase on the input of a model without preprocessing: encoded samples."""
    shape = " x ".join(map(str, labels.encoder.input_shape))
    match labels.kind:
        case "text":
            return f"up to {shape} token numbers for each text, int32, padded with 0"
        case "table":
            return f"{shape} inputs for each encoded row, float32"
        case "sequence":
            return f"sequences {shape} (time x features), standardised, float32"
        case _:
            return f"images {shape}, pixels {_scale(labels)}"


def raw_phrase(labels: Labels, shape: tuple[int, ...]) -> str:
    """Return a phrase on the input of a model with preprocessing: raw samples.

    Args:
        labels: of the model.
        shape: of one sample.
    """
    match labels.kind:
        case "text":
            return "texts"
        case "table":
            if not has_words(labels.columns):
                return (
                    f"`rows` of {len(labels.columns)} columns as in the file, float64, NaN where a"
                    " value is missing, dates in seconds since 1970 (UTC)"
                )
            words = sum(bool(column.words) for column in labels.columns)
            return (
                f"a tensor for each of {len(labels.columns)} columns: {words} of strings, empty"
                " where a value is missing, the others float64, NaN where it is missing, dates in"
                " seconds since 1970 (UTC)"
            )
        case "sequence":
            sizes = " x ".join(map(str, shape))
            return f"sequences {sizes} (time x features), {raw_type(labels.encoder)}"
        case _:
            ranged = isinstance(labels.encoder, ImageEncoder) and labels.encoder.pixel_range
            values = f"values as in the source, {ranged}," if ranged else "pixels 0..255,"
            return f"images {' x '.join(map(str, shape))}, {values} {raw_type(labels.encoder)}"


def has_words(columns: Sequence[Column]) -> bool:
    """Return whether rows have words, so that a graph takes each column apart."""
    return any(column.words for column in columns)


def tensor_names(columns: Sequence[Column]) -> tuple[str, ...]:
    """Return the name of each column's tensor: TensorFlow takes letters, digits and underscores.

    A name with other signs has underscores for them; of equal ones the later get a number.
    """
    names: list[str] = []
    for column in columns:
        plain = re.sub(r"[^A-Za-z0-9_]", "_", column.name)
        if not plain[:1].isalpha() or plain == "self":  # that of the function
            plain = f"column_{plain}"
        others = {name.lower() for name in names}
        free = (plain if n == 1 else f"{plain}_{n}" for n in count(1))
        names.append(next(name for name in free if name.lower() not in others))
    return tuple(names)


def _scale(labels: Labels) -> str:
    scaled = isinstance(labels.encoder, ImageEncoder) and labels.encoder.scaled
    return "0..1, float32" if scaled else "0..255"


def write_vocabulary(labels: Labels, folder: Path) -> None:
    """Write the vocabulary of a text model, UTF-8; the word in line n (from 1) is token n + 1.

    Other models have none.
    """
    if isinstance(labels.encoder, TextEncoder):
        content = "".join(f"{word}\n" for word in labels.encoder.words)
        (folder / VOCABULARY).write_text(content, encoding="utf-8", newline="\n")


def raw_type(encoder: Encoder) -> str:
    """Return the type of the images or sequences that a model with preprocessing takes."""
    if isinstance(encoder, SequenceEncoder):
        return "float64" if encoder.wide else "float32"
    ranged = isinstance(encoder, ImageEncoder) and encoder.pixel_range
    return ranged.dtype if ranged else "uint8"


def raw_shape(encoder: Encoder) -> tuple[int, ...]:
    """Return the shape of one sample for a model with preprocessing."""
    if isinstance(encoder, ImageEncoder) and margins(encoder) is not None:
        return encoder.native_shape
    return encoder.input_shape


def margins(encoder: ImageEncoder) -> Margins | None:
    """Return how many rows and columns an encoder adds around an image; None if it resizes.

    The encoder is tried with a white image, so that its rule is not repeated here.
    """
    lacking = [
        wanted - got for wanted, got in zip(encoder.shape[:2], encoder.native_shape, strict=False)
    ]
    if min(lacking) < 0:
        return None
    top, left = (lack // 2 for lack in lacking)
    border = (top, lacking[0] - top), (left, lacking[1] - left)
    white = np.full((1, *encoder.native_shape), 255, np.uint8)
    inner = np.full((1, *encoder.native_shape[:2], encoder.shape[-1]), 255, np.uint8)
    padded = encoder.scale(np.pad(inner, [(0, 0), *border, (0, 0)]))
    return border if np.array_equal(encoder.encode(white), padded) else None


def with_values(model: "keras.Model", inputs: Any, outputs: Outputs) -> Any:
    """Return a symbolic value a class, float32 `(n, classes)`, of a model for symbolic inputs.

    This is `Outputs.values` built from Keras's layers, so that every format can contain it.

    Args:
        model: with weights.
        inputs: symbolic inputs.
        outputs: the meaning of its outputs.
    """
    import keras
    from keras import layers

    found = single(model(inputs))
    is_one = found.shape[-1] == 1
    if outputs.meaning == SCORES:
        if not is_one:
            return found
        above = layers.Rescaling(1.0, offset=-outputs.threshold)(found)
        return layers.Concatenate()([layers.Rescaling(-1.0)(above), above])
    if outputs.meaning in (LOGITS, SIGMOID_LOGITS):
        is_softmax = outputs.meaning == LOGITS and not is_one
        found = layers.Activation("softmax" if is_softmax else "sigmoid")(found)
    if is_one:
        return layers.Concatenate()([layers.Rescaling(-1.0, offset=1.0)(found), found])
    if outputs.meaning == LOGITS or last_activation(model) == "softmax":
        return found
    found = layers.ReLU()(found)
    return found / keras.ops.sum(found, axis=-1, keepdims=True)  # probabilities that sum to 1


def probable_model(
    model: "keras.Model", outputs: Outputs, samples: Array, *, kind: str
) -> "keras.Model":
    """Return a functional model with the input `inputs` and the output `probabilities`.

    Args:
        model: with weights.
        outputs: what its outputs mean.
        samples: real ones, as the model receives them.
        kind: of the samples.
    """
    import keras
    from keras import layers

    inputs = new_input(model, samples, kind)
    found = with_values(model, inputs, outputs)
    name = "scores" if outputs.meaning == SCORES else "probabilities"
    named = layers.Activation("linear", dtype="float32", name=name)(found)
    made = keras.Model(inputs, named, name="foldwise")
    outputs_of(made, samples[:1])  # exporters accept only models that have been called
    return made


def new_input(model: "keras.Model", samples: Array, kind: str) -> Any:
    """Return a symbolic input for a model.

    Args:
        model: with weights.
        samples: real ones, as the model receives them.
        kind: of the samples.
    """
    import keras

    known = getattr(model, "inputs", None)
    if known and len(known) == 1:
        shape, dtype = tuple(known[0].shape[1:]), known[0].dtype
    else:  # a custom class that has been called
        shape, dtype = samples.shape[1:], "int32" if kind == "text" else "float32"
    return keras.Input(shape, dtype=dtype, name="inputs")


def outputs_of(model: "keras.Model", some: Array) -> Array:
    """Return a model's outputs for a few samples in one batch, float32 `(n, units)`."""
    import keras

    return np.asarray(keras.ops.convert_to_numpy(single(model(some, training=False))), np.float32)
