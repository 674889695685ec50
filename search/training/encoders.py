"""From a dataset's samples to the arrays a model receives, learned on a training part alone.

An `Encoder` is what was learned: nothing for images, the vocabulary for texts, each column's mean
and spread for tables. It turns new samples into arrays, and is kept beside an exported model.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from search.data import prepare_images
from search.data.arrays import words_of
from spaces import ImageInput

PADDING, UNKNOWN = 0, 1
FIRST_WORD = 2

Array = npt.NDArray[Any]


class Encoder(ABC):
    """Turns samples of one kind into a model's input."""

    @property
    @abstractmethod
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one encoded sample."""

    @property
    def vocabulary_size(self) -> int:
        """Number of tokens, padding and unknown included; 0 unless the samples are texts."""
        return 0

    @abstractmethod
    def encode(self, samples: Any) -> Array:
        """Return the model's input, `(n, *input_shape)`, for samples as a dataset holds them."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Return what `encoder_from_json` needs, with its `kind`."""


@dataclass(frozen=True)
class ImageEncoder(Encoder):
    """Pads or resizes images.

    Attributes:
        native_shape: (height, width, channels) of the dataset's own images.
        input_shape: the same of what the model receives.
        scaled: pixels become float32 0..1; else they stay uint8 0..255.
    """

    native_shape: tuple[int, ...]
    shape: tuple[int, ...]
    scaled: bool = False

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one encoded image: (height, width, channels)."""
        return self.shape

    def encode(self, samples: Array) -> Array:
        """Return images `(n, *native_shape)`, uint8, as the model receives them."""
        height, width, channels = self.shape
        return self.scale(prepare_images(samples, ImageInput((height, width), channels)))

    def scale(self, images: Array) -> Array:
        """Return uint8 images as float32 0..1 if the model wants them so."""
        return images.astype(np.float32) / np.float32(255) if self.scaled else images

    def to_json(self) -> dict[str, Any]:
        """Return kind, shapes and scale."""
        return {
            "kind": "image",
            "native_shape": list(self.native_shape),
            "input_shape": list(self.shape),
            "scaled": self.scaled,
        }


@dataclass(frozen=True)
class TextEncoder(Encoder):
    """Turns texts into token numbers: 0 pads at the end, 1 is any word not in the vocabulary.

    Attributes:
        words: the vocabulary, most frequent first; the first is token 2.
        length: tokens kept of a text, from its beginning.
        size: number of tokens the model has a place for; at least `len(words) + 2`.
    """

    words: tuple[str, ...]
    length: int
    size: int

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one encoded text: (length,)."""
        return (self.length,)

    @property
    def vocabulary_size(self) -> int:
        """Number of tokens the model has a place for."""
        return self.size

    def encode(self, samples: Sequence[str]) -> Array:
        """Return the tokens of texts, int32 `(n, length)`."""
        tokens = np.full((len(samples), self.length), PADDING, np.int32)
        for row, text in enumerate(samples):
            found = [self._numbers.get(word, UNKNOWN) for word in words_of(text)[: self.length]]
            tokens[row, : len(found)] = found
        return tokens

    def to_json(self) -> dict[str, Any]:
        """Return kind, length and vocabulary."""
        return {
            "kind": "text",
            "length": self.length,
            "size": self.size,
            "vocabulary": list(self.words),
        }

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self.words, start=FIRST_WORD)}


@dataclass(frozen=True)
class TableEncoder(Encoder):
    """Standardises each column: minus its mean, divided by its standard deviation.

    Attributes:
        means: of each column, over the training part.
        deviations: of each column, likewise; 1 for a column that never changes.
    """

    means: tuple[float, ...]
    deviations: tuple[float, ...]

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one row: (columns,)."""
        return (len(self.means),)

    def encode(self, samples: Array) -> Array:
        """Return rows `(n, columns)` standardised, float32."""
        centred = np.asarray(samples, np.float64) - np.array(self.means)
        rows: Array = (centred / np.array(self.deviations)).astype(np.float32)
        return rows

    def to_json(self) -> dict[str, Any]:
        """Return kind, means and standard deviations."""
        return {
            "kind": "table",
            "means": list(self.means),
            "deviations": list(self.deviations),
        }


def encoder_from_json(data: Mapping[str, Any]) -> Encoder:
    """Return the encoder that `to_json` described.

    Raises:
        KeyError, TypeError, ValueError: it describes none.
    """
    match data["kind"]:
        case "image":
            native, shape = (
                tuple(map(int, data[name])) for name in ("native_shape", "input_shape")
            )
            if len(native) != 3 or len(shape) != 3:
                raise ValueError("an image's shape has three numbers")
            return ImageEncoder(native, shape, bool(data["scaled"]))
        case "text":
            words = tuple(map(str, data["vocabulary"]))
            return TextEncoder(words, int(data["length"]), int(data["size"]))
        case "table":
            return TableEncoder(
                tuple(map(float, data["means"])), tuple(map(float, data["deviations"]))
            )
        case kind:
            raise ValueError(f"no kind of input is called {kind!r}")
