"""The interface of export formats: what is written, and how a format is loaded and checked."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from search.data.arrays import Array
from search.data.encoders import ImageEncoder, SequenceEncoder, TableEncoder, TextEncoder
from search.export.formats.encoding import encoded
from search.export.formats.naming import free_name, has_words, plain_inputs, tensor_names
from search.export.labels import Labels
from search.export.raw import lose_digits, raw_shape, raw_type, rule_of
from search.tasks import LabelOutputs, NumberOutputs, OutputMeaning, Outputs, SeveralOutputs
from search.tasks.classification import LOGITS, PROBABILITIES, SCORES, SIGMOID_LOGITS
from search.tasks.models import (
    by_name,
    first_of,
    last_activation,
    side_by_side,
    single,
    without_sigmoid,
)

if TYPE_CHECKING:
    import keras

VOCABULARY = "vocabulary.txt"
_FAR = 200.0  # a logit whose probability is 0 or 1 in float32


@dataclass(frozen=True)
class Samples:
    """Real samples for checking a written model.

    Attributes:
        raw: as in the dataset: uint8 images, texts, or rows as `Column` says.
        encoded: what the trained model takes for them, `(n, ...)`, or of several inputs each by its
            name.
        spread: what differences of values count in, float64 `(units,)`: of numbers the standard
            deviation of those that were trained on, else 1.
        given: what the written model takes for them, as `raw_samples` says.
    """

    raw: Any
    encoded: Any
    spread: Array | float = 1.0
    given: Any = None


@dataclass(frozen=True)
class Exportable:
    """A model to be written, and the data to check it.

    Attributes:
        model: the Keras model from raw samples to the task's values, with the input `inputs`, or
            several by their names.
        labels: the meaning of its inputs and outputs.
        samples: real samples.
        expected: the trained model's values for the samples, float `(n, units)`.
    """

    model: Any
    labels: Labels
    samples: Samples
    expected: Array


@dataclass(frozen=True)
class Difference:
    """The largest difference of a written model's values from the Keras model's.

    Attributes:
        largest: over all samples, values and signatures, in units of the values' spread; NaN if a
            value is NaN.
        mode: name of the signature with the largest difference.
    """

    largest: float
    mode: str

    @classmethod
    def of(
        cls, found: Mapping[str, Array], expected: Array, spread: Array | float = 1.0
    ) -> "Difference":
        """Return the difference for the values of each signature.

        Args:
            found: `(n, units)` of each signature.
            expected: `(n, units)`.
            spread: `(units,)`, as `Samples` has it.

        Raises:
            ValueError: there is not one value for each unit.
        """
        worst = cls(0.0, "")
        for mode, values in found.items():
            if values.shape != expected.shape:
                raise ValueError(f"it gives {values.shape} for {expected.shape}")
            off = np.abs(values.astype(np.float64) - expected) / spread
            largest = float(off.max())
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
        takes_words: whether it takes texts and categories as they are.
        has_plain_names: whether several inputs are called as `plain_inputs` says.
    """

    name: ClassVar[str]
    file: ClassVar[str]
    more_files: ClassVar[tuple[str, ...]] = ()
    modules: ClassVar[tuple[str, ...]] = ()
    runtime: ClassVar[str]
    takes_words: ClassVar[bool] = False
    has_plain_names: ClassVar[bool] = False

    @abstractmethod
    def write(self, made: Exportable, folder: Path) -> None:
        """Write the model into an existing folder; TensorFlow is imported here."""

    @abstractmethod
    def predict(self, folder: Path, samples: Samples, labels: Labels) -> dict[str, Array]:
        """Load the written model and return its values by signature, each `(n, units)`.

        Only files of the same export are loaded: formats other than Keras's may run code.
        """

    @abstractmethod
    def takes(self, labels: Labels) -> str:
        """Return a phrase on input and output, for people."""

    def returned(self, made: Exportable) -> str:
        """Return the dtype of what the written model returns."""
        kinds = {str(each.dtype) for each in made.model.outputs}
        return "float64" if "float64" in kinds else "float32"

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


def raw_phrase(labels: Labels, *, plain: bool = False) -> str:
    """Return a phrase on the input of an exported model: raw samples, but for words.

    Args:
        labels: of the model.
        plain: of several inputs with the names of `plain_inputs`.
    """
    if labels.inputs:
        names = plain_inputs(labels) if plain else {each.name: each.name for each in labels.inputs}
        return "; ".join(f"`{n}`: {raw_phrase(labels.part(own))}" for own, n in names.items())
    encoder, kind = labels.encoder, raw_type(labels.encoder)
    shape = " x ".join(map(str, raw_shape(encoder)))
    match encoder:
        case ImageEncoder(pixel_range=ranged):
            return f"images {shape}, {rule_of(ranged)}, {kind}"
        case TableEncoder():
            coded = (
                ", words as their number among a column's `categories` in `labels.json` (-1: none"
                " of them), false and true as 0 and 1"
                if has_words(labels.columns)
                else ""
            )
            return (
                f"rows of {shape} columns as in the file, {kind}, NaN where a value is missing,"
                f" dates in seconds since 1970 (UTC){coded}"
            )
        case SequenceEncoder():
            return f"sequences {shape} (time x features) as in the source, {kind}"
        case _:
            return f"up to {shape} token numbers for each text, int32, padded with 0"


def word_phrase(labels: Labels) -> str:
    """Return a phrase on the input of a model that reads words itself."""
    if labels.inputs:
        parts = {each.name: labels.part(each.name) for each in labels.inputs}
        told = "; ".join(f"`{name}`: {word_phrase(part)}" for name, part in parts.items())
        return f"a dictionary of tensors, {told}"
    if labels.kind == "text":
        return "texts"
    if not has_words(labels.columns):
        return raw_phrase(labels)
    words = sum(bool(column.words) for column in labels.columns)
    return (
        f"a tensor for each of {len(labels.columns)} columns: {words} of strings, empty"
        " where a value is missing, the others float64, NaN where it is missing, dates in"
        " seconds since 1970 (UTC)"
    )


def write_vocabulary(labels: Labels, folder: Path) -> None:
    """Write the vocabulary of a text model, UTF-8; the word in line n (from 1) is token n + 1.

    Other models have none.
    """
    if isinstance(labels.encoder, TextEncoder):
        content = "".join(f"{word}\n" for word in labels.encoder.words)
        (folder / VOCABULARY).write_text(content, encoding="utf-8", newline="\n")


def values_side_by_side(found: Any, labels: Labels) -> Array:
    """Return values `(n, units)`; of several outputs in the order of the task."""
    if not isinstance(found, dict):
        return np.asarray(found)
    return np.concatenate([np.asarray(found[name]) for name in labels.outputs.names], axis=1)


def with_values(model: "keras.Model", inputs: Any, outputs: OutputMeaning) -> Any:
    """Return symbolic values `(n, units)` of a model for symbolic inputs.

    This is `outputs.values` built from Keras's layers, so that every format can contain it. They
    are float32, or float64 where numbers need it. Both probabilities of two classes come from a
    softmax, also where the model ends with a single sigmoid: of a small one all runtimes compute
    the same digits, on which a calibration builds.

    Args:
        model: with weights.
        inputs: symbolic inputs.
        outputs: the meaning of its outputs; values of several are a dictionary by their names.
    """
    if isinstance(outputs, SeveralOutputs):
        named = by_name(model, model(_arranged(model, inputs)))
        return {name: _valued(model, named[name], own) for name, _, own in outputs.parts}
    if isinstance(outputs, Outputs) and outputs.meaning == PROBABILITIES and outputs.classes == 2:
        opened = without_sigmoid(model)
        if opened is not None and opened.outputs[0].dtype == "float32" and _units(opened) == 1:
            model, outputs = opened, replace(outputs, meaning=LOGITS)
    return _valued(model, single(model(_arranged(model, inputs))), outputs)


def _units(model: "keras.Model") -> int:
    return int(model.outputs[0].shape[-1])


def set_apart(model: "keras.Model", inputs: Any) -> None:
    """Give a model that becomes a layer behind symbolic inputs a name that none of them has."""
    model.name = free_name(model.name, names_of(inputs))


def names_of(inputs: Any) -> set[str]:
    """Return the names of symbolic inputs, of several by name, in lower case."""
    import keras

    return {own.name.lower() for own in keras.tree.flatten(inputs)}


def _arranged(model: "keras.Model", inputs: Any) -> Any:
    """Return symbolic inputs as a model has them: Keras takes those of a list in its order."""
    if not isinstance(inputs, dict) or not isinstance(_structure(model), list | tuple):
        return inputs
    return [inputs[own.name] for own in model.inputs]


def _structure(model: "keras.Model") -> Any:
    try:
        return model.input
    except (AttributeError, ValueError):  # of a class of its own
        return None


def _valued(model: "keras.Model", found: Any, outputs: OutputMeaning) -> Any:
    from keras import layers

    match outputs:
        case NumberOutputs():
            return _rescaled(found, outputs)
        case LabelOutputs(meaning=meaning):
            return layers.Activation("sigmoid")(found) if meaning == LOGITS else found
        case Outputs():
            return _by_class(model, found, outputs)
    raise TypeError(f"no layers are known for {type(outputs).__name__}")


def _by_class(model: "keras.Model", found: Any, outputs: Outputs) -> Any:
    """Return a value a class, whatever the outputs for classes are."""
    import keras
    from keras import layers

    is_one = found.shape[-1] == 1
    if outputs.meaning == SCORES:
        if not is_one:
            return found
        above = layers.Rescaling(1.0, offset=-outputs.threshold)(found)
        return layers.Concatenate()([layers.Rescaling(-1.0)(above), above])
    is_exact = last_activation(model) == "softmax" and found.dtype == "float32"
    if found.dtype in ("bfloat16", "float16"):
        found = keras.ops.cast(found, "float32")
    if is_one and outputs.meaning in (LOGITS, SIGMOID_LOGITS):
        found = keras.ops.clip(found, -_FAR, _FAR)  # infinite ones would become NaN
        return layers.Activation("softmax")(
            layers.Concatenate()([layers.Rescaling(0.0)(found), found])
        )
    if outputs.meaning in (LOGITS, SIGMOID_LOGITS):
        is_softmax = outputs.meaning == LOGITS
        found = layers.Activation("softmax" if is_softmax else "sigmoid")(found)
    if is_one:
        return layers.Concatenate()([layers.Rescaling(-1.0, offset=1.0)(found), found])
    if outputs.meaning == LOGITS or is_exact:
        return found
    found = layers.ReLU()(found)
    return found / keras.ops.sum(found, axis=-1, keepdims=True)  # probabilities that sum to 1


def _rescaled(found: Any, outputs: NumberOutputs) -> Any:
    """Return numbers in the targets' own unit."""
    from keras import layers

    if len(found.shape) != 2:
        found = layers.Reshape((len(outputs.scale),))(found)
    if outputs.is_plain:
        return found
    scale, offset = np.array(outputs.scale), np.array(outputs.offset)
    kind = "float64" if lose_digits(scale, offset) else "float32"
    return layers.Rescaling(scale.tolist(), offset.tolist(), dtype=kind)(found)


def valued_model(model: "keras.Model", labels: Labels, samples: Any) -> "keras.Model":
    """Return a functional model with the input `inputs` whose outputs are values.

    Outputs are named as `_named` says; several inputs are called as they are.

    Args:
        model: with weights.
        labels: what its inputs and outputs mean.
        samples: real ones, as the model receives them.
    """
    import keras

    inputs = new_input(model, samples, labels.kind)
    set_apart(model, inputs)
    found = with_values(model, inputs, labels.outputs)
    made = keras.Model(inputs, _named(found, labels, inputs, model), name="foldwise")
    outputs_of(made, first_of(samples, 1))  # exporters accept only models that have been called
    return made


def raw_model(model: "keras.Model", labels: Labels, samples: Samples) -> "keras.Model":
    """Return a functional model from raw samples to values; NaN for what is no sample.

    Its inputs are as `raw_shape` and `raw_type` say, called `inputs`, or several as they are.

    Args:
        model: from encoded samples to outputs, with weights.
        labels: what its inputs and outputs mean.
        samples: real ones.

    Raises any exception for a model that cannot be part of another one.
    """
    import keras
    from keras import ops

    inner = new_input(model, samples.encoded, labels.kind)
    inputs = _raw_input(labels, inner)
    set_apart(model, inputs)
    encoded_samples, fits = encoded(inputs, labels.encoder)
    taken = keras.tree.map_structure(
        lambda own, found: found if own.dtype == found.dtype else ops.cast(found, own.dtype),
        inner,
        encoded_samples,
    )
    found = with_values(model, taken, labels.outputs)
    if fits is not None:
        found = keras.tree.map_structure(lambda own: ops.where(fits, own, float("nan")), found)
    made = keras.Model(inputs, _named(found, labels, inputs, model), name="foldwise")
    outputs_of(made, first_of(samples.given, 1))
    return made


def _raw_input(labels: Labels, inner: Any) -> Any:
    import keras

    if labels.inputs:
        parts = {each.name: labels.part(each.name) for each in labels.inputs}
        return {name: _raw_input(part, inner[name]) for name, part in parts.items()}
    name = getattr(inner, "name", "inputs")
    if labels.kind == "text":  # also longer ones, where the model takes them
        return keras.Input(inner.shape[1:], dtype="int32", name=name)
    return keras.Input(raw_shape(labels.encoder), dtype=raw_type(labels.encoder), name=name)


def _named(found: Any, labels: Labels, inputs: Any, inner: "keras.Model") -> Any:
    """Return values from layers named as what they are: `probabilities`, `scores` or `numbers`.

    Several are called as they are. Layers of a model need different names, so that one that is
    taken gets a number; the keys of several stay.

    Args:
        found: symbolic values, of several by name.
        labels: of the model.
        inputs: its symbolic inputs, of several by name.
        inner: the model in it.
    """
    from keras import layers

    taken = {*names_of(inputs), inner.name.lower()}
    wanted = tensor_names(tuple(found)) if isinstance(found, dict) else (labels.returns,)
    names = []
    for name in wanted:
        names.append(free_name(name, taken))
        taken.add(names[-1].lower())

    def named(values: Any, name: str) -> Any:
        kind = values.dtype if values.dtype == "float64" else "float32"
        return layers.Activation("linear", dtype=kind, name=name)(values)

    if not isinstance(found, dict):
        return named(found, names[0])
    return {key: named(found[key], name) for key, name in zip(found, names, strict=True)}


def new_input(model: "keras.Model", samples: Any, kind: str) -> Any:
    """Return a symbolic input for a model, of several a dictionary by their names.

    Args:
        model: with weights.
        samples: real ones, as the model receives them.
        kind: of the samples.
    """
    import keras

    known = getattr(model, "inputs", None)
    if isinstance(samples, dict):
        taken = {tensor.name: tensor for tensor in known or ()}
        return {
            name: keras.Input(
                tuple(taken[name].shape[1:]) if name in taken else each.shape[1:],
                dtype=taken[name].dtype if name in taken else _as_given(each),
                name=name,
            )
            for name, each in samples.items()
        }
    if known and len(known) == 1:
        shape, dtype = tuple(known[0].shape[1:]), known[0].dtype
    else:  # a custom class that has been called
        shape, dtype = samples.shape[1:], "int32" if kind == "text" else "float32"
    return keras.Input(shape, dtype=dtype, name="inputs")


def _as_given(samples: Array) -> str:
    return "int32" if samples.dtype.kind in "iu" and samples.dtype != np.uint8 else "float32"


def outputs_of(model: "keras.Model", some: Any, names: Sequence[str] = ()) -> Array:
    """Return a model's outputs for a few samples in one batch, `(n, units)`.

    They are float32, or float64 where the model computes them so.

    Args:
        model: with weights.
        some: samples as the model receives them.
        names: of several outputs, in the order in which they are put side by side.
    """
    import keras

    outputs = side_by_side(model, model(some, training=False), names)
    found = np.asarray(keras.ops.convert_to_numpy(outputs))
    return found if found.dtype == np.float64 else found.astype(np.float32)
