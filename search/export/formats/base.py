"""What a format of exported models is: it writes a model, and predicts with what it wrote."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import numpy as np

from search.data.arrays import Array
from search.data.inputs import Encoder, ImageEncoder, TextEncoder
from search.export.folder import Labels


@dataclass(frozen=True)
class Samples:
    """Real samples that a written model is tried on.

    Attributes:
        raw: as the dataset holds them: uint8 images, texts, or float32 rows.
        encoded: the same as the model receives them, `(n, ...)`.
    """

    raw: Any
    encoded: Array


@dataclass(frozen=True)
class Exportable:
    """A model that is to be written, with what it is checked by.

    Attributes:
        model: the Keras model, compiled; its outputs as `labels` says.
        labels: what its inputs and outputs mean.
        samples: real ones.
        expected: the Keras model's values a class of the samples, float32 `(n, classes)`.
    """

    model: Any
    labels: Labels
    samples: Samples
    expected: Array

    @cached_property
    def probable(self) -> Any:
        """The model with one value a class, float32 `(n, classes)`, its input `inputs`.

        It fails, in any way, for a model that cannot be part of another one.
        """
        from search.export.formats.keras_archive import probable_model

        labels = self.labels
        return probable_model(self.model, labels.meaning, self.samples.encoded, kind=labels.kind)


@dataclass(frozen=True)
class Difference:
    """How far a written model's probabilities are from the Keras model's at most.

    Attributes:
        largest: over all samples, classes and ways in; NaN where a probability is none.
        way: the way in, by name, where it is so large.
    """

    largest: float
    way: str

    @classmethod
    def of(cls, found: Mapping[str, Array], expected: Array) -> "Difference":
        """Return it for the probabilities that each way in gave.

        Raises:
            ValueError: they are not one a class.
        """
        worst = cls(0.0, "")
        for way, probabilities in found.items():
            if probabilities.shape != expected.shape:
                raise ValueError(f"it gives {probabilities.shape} for {expected.shape}")
            largest = float(np.abs(probabilities.astype(np.float64) - expected).max())
            if not largest <= worst.largest:  # also where it is not a number
                worst = cls(largest, way)
        return worst


class Format(ABC):
    """Writes models in one format, and loads what it wrote.

    Attributes:
        name: as `--format` takes it.
        file: the file or folder it writes, in the export folder.
        more_files: others that belong to it.
        modules: what must be installed beside this project's own requirements.
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
        """Load what was written and return class probabilities by the way in, each `(n, classes)`.

        Only files of this very export are loaded: formats other than Keras's may run code.
        """

    @abstractmethod
    def takes(self, labels: Labels) -> str:
        """Return a phrase that says what goes in and comes out, for people."""

    def details(self, labels: Labels, folder: Path) -> dict[str, Any]:
        """Return what else a record of this format keeps, ready for JSON."""
        return {}

    def missing(self) -> list[str]:
        """Return the modules that are not installed."""
        return [name for name in self.modules if find_spec(name) is None]

    def size(self, folder: Path) -> int:
        """Return the bytes of what was written."""
        path = folder / self.file
        parts = [path] if path.is_file() else path.rglob("*")
        return sum(part.stat().st_size for part in parts if part.is_file())


def encoded_phrase(labels: Labels) -> str:
    """Return what the model proper takes: samples that are encoded already."""
    shape = " x ".join(map(str, labels.encoder.input_shape))
    match labels.kind:
        case "text":
            return f"up to {shape} token numbers a text, int32, 0 where it has ended"
        case "table":
            return f"{shape} columns, standardised, float32"
        case _:
            return f"images {shape}, pixels {_scale(labels)}"


def raw_phrase(labels: Labels, shape: tuple[int, ...]) -> str:
    """Return what a model with its preprocessing takes.

    Args:
        labels: the model's.
        shape: of one sample.
    """
    match labels.kind:
        case "text":
            return "texts"
        case "table":
            return f"rows of {len(labels.columns)} columns as in the file, float32"
        case _:
            return f"images {' x '.join(map(str, shape))}, pixels 0..255, uint8"


def _scale(labels: Labels) -> str:
    scaled = isinstance(labels.encoder, ImageEncoder) and labels.encoder.scaled
    return "0..1, float32" if scaled else "0..255"


VOCABULARY = "vocabulary.txt"


def write_vocabulary(labels: Labels, folder: Path) -> None:
    """Write a model's words, UTF-8; the word of line n (from 1) is token n + 1.

    Models of other samples have none.
    """
    if isinstance(labels.encoder, TextEncoder):
        content = "".join(f"{word}\n" for word in labels.encoder.words)
        (folder / VOCABULARY).write_text(content, encoding="utf-8", newline="\n")


Margins: TypeAlias = tuple[tuple[int, int], tuple[int, int]]


def raw_shape(encoder: Encoder) -> tuple[int, ...]:
    """Return the shape of one sample as a model with its preprocessing takes it."""
    if isinstance(encoder, ImageEncoder) and margins(encoder) is not None:
        return encoder.native_shape
    return encoder.input_shape


def margins(encoder: ImageEncoder) -> Margins | None:
    """Return how many rows and columns an encoder adds around an image; None where it resizes.

    The encoder itself is asked, with a white image, so that no rule stands twice.
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
