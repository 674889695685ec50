"""Encoders: from a dataset's samples to a model's input, fitted on a training part alone."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from search.data import Dataset, prepare_images
from search.data.arrays import Array, rows_of, words_of
from spaces import (
    PIXEL_RANGES,
    DataSpec,
    ImageInput,
    Input,
    Space,
    TextInput,
    get_space,
    given_pixels,
    with_pixels,
    without_augmentation,
)
from tracking.text import Notify

PADDING, UNKNOWN = 0, 1
FIRST_WORD = 2


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
        """Return the model's input, `(n, *input_shape)`, for a dataset's samples."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Return the JSON that `encoder_from_json` reads, with its `kind`."""


@dataclass(frozen=True)
class ImageEncoder(Encoder):
    """Pads or resizes images.

    Attributes:
        native_shape: (height, width, channels) of the dataset's own images.
        input_shape: (height, width, channels) of the model's input.
        scaled: whether pixels become float32 0..1; else they stay uint8 0..255.
    """

    native_shape: tuple[int, ...]
    shape: tuple[int, ...]
    scaled: bool = False

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one encoded image: (height, width, channels)."""
        return self.shape

    def encode(self, samples: Array) -> Array:
        """Return the model's input for images `(n, *native_shape)`, uint8."""
        height, width, channels = self.shape
        return self.scale(prepare_images(samples, ImageInput((height, width), channels)))

    def scale(self, images: Array) -> Array:
        """Return uint8 images as float32 0..1 if `scaled`, else unchanged."""
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
        size: number of tokens the model is built for; at least `len(words) + 2`.
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
        """Number of tokens the model is built for."""
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
        deviations: standard deviation of each column over the training part; 1 if it is constant.
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
        KeyError, TypeError, ValueError: the JSON describes no encoder.
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
            raise ValueError(f"{kind!r} is no kind of input")


class Inputs(ABC):
    """The training samples of a dataset as the models of a space receive them."""

    @abstractmethod
    def learn(self, indices: Array, params: Mapping[str, Any]) -> Encoder:
        """Return an encoder fitted on the samples of `indices` and on no others."""

    @abstractmethod
    def take(self, encoder: Encoder, indices: Array) -> Array:
        """Return the encoded samples of `indices`, in memory."""


def make_inputs(dataset: Dataset, taken: Input) -> Inputs:
    """Return the training samples of `dataset` for models with inputs `taken`, of the same kind."""
    match taken:
        case ImageInput():
            return _Images(dataset, taken)
        case TextInput():
            return _Texts(dataset, taken)
        case _:
            return _Rows(dataset)


def space_on(
    reference: str,
    dataset: Dataset,
    declarations: Path,
    notify: Notify | None = None,
    *,
    pixels: str = "auto",
) -> Space:
    """Return the space that a reference names, for a dataset.

    Args:
        reference: of the space.
        dataset: decides the parameters of a KerasTuner hypermodel.
        declarations: folder with the cached declarations of hypermodels.
        notify: takes notices for the user.
        pixels: the pixels that a hypermodel's models for images receive: `raw`, `scaled`, `auto` or
            `legacy`; see `spaces.with_pixels`.

    Raises:
        SpaceError: there is no such space, or it takes other kinds of data.
    """
    outline = get_space(reference, cache=declarations)
    data = data_spec(dataset, outline)
    space = get_space(reference, data, cache=declarations, notify=notify)
    if dataset.kind != "image":
        return without_augmentation(space)
    wanted, space = given_pixels(space), with_pixels(space, pixels)
    if notify and wanted == "raw" and pixels == "auto":
        notify(
            f"the models of {space.name} rescale pixels themselves, so they receive pixels"
            f" {PIXEL_RANGES['raw']}, not {PIXEL_RANGES['scaled']} (`--pixels scaled`)"
        )
    if notify and wanted == "raw" and pixels == "legacy":
        notify(
            f"the models of {space.name} rescale pixels themselves, but this study gives them"
            f" pixels {PIXEL_RANGES['scaled']}, as it did from the start; for"
            f" {PIXEL_RANGES['raw']} start a new study with `--study`"
        )
    return space


def data_spec(dataset: Dataset, space: Space) -> DataSpec:
    """Return the data specification of a space's models for a dataset, before any fitting.

    Raises:
        SpaceError: the space takes other kinds of data.
    """
    classes = len(dataset.classes)
    match space.input_for(dataset.kind):
        case ImageInput() as image:
            return DataSpec(image.shape(tuple(dataset.train_images.shape[1:])), classes)
        case TextInput(vocabulary=vocabulary, length=length):
            return DataSpec((length,), classes, "text", vocabulary)
        case _:
            return DataSpec((len(dataset.columns),), classes, "table")


def spec_of(encoder: Encoder, kind: str, classes: int) -> DataSpec:
    """Return the data specification that models are built for."""
    return DataSpec(encoder.input_shape, classes, kind, encoder.vocabulary_size)


class _Images(Inputs):
    def __init__(self, dataset: Dataset, taken: ImageInput) -> None:
        native = tuple(dataset.train_images.shape[1:])
        self._encoder = ImageEncoder(native, taken.shape(native), taken.scaled)
        self._images = dataset.prepared(taken)

    def learn(self, indices: Array, params: Mapping[str, Any]) -> Encoder:
        return self._encoder

    def take(self, encoder: Encoder, indices: Array) -> Array:
        return self._encoder.scale(rows_of(self._images, indices))


class _Texts(Inputs):
    """Splits each text into words once; a vocabulary then only counts their numbers."""

    def __init__(self, dataset: Dataset, taken: TextInput) -> None:
        self._taken = taken
        texts = [words_of(text) for text in dataset.train_samples]
        self._words = sorted({word for words in texts for word in words})
        numbers = {word: number for number, word in enumerate(self._words)}
        self._counts = np.fromiter(map(len, texts), np.int64, len(texts))
        self._starts = np.cumsum(self._counts) - self._counts
        total = int(self._counts.sum())
        flat = (numbers[word] for words in texts for word in words)
        self._flat = np.fromiter(flat, np.int64, total)

    def learn(self, indices: Array, params: Mapping[str, Any]) -> Encoder:
        taken = self._taken.for_params(params)
        counts = np.bincount(self._flat[self._positions(indices)], minlength=len(self._words))
        seen = np.flatnonzero(counts)
        # The most frequent first; ties in alphabetical order.
        order = seen[np.argsort(-counts[seen], kind="stable")][: taken.vocabulary - FIRST_WORD]
        words = tuple(self._words[number] for number in order)
        return TextEncoder(words, taken.length, taken.vocabulary)

    def take(self, encoder: Encoder, indices: Array) -> Array:
        if not isinstance(encoder, TextEncoder):
            raise TypeError(f"texts need a text encoder; got {type(encoder).__name__}")
        lookup = np.full(len(self._words), UNKNOWN, np.int32)
        index = {word: number for number, word in enumerate(self._words)}
        known = [index[word] for word in encoder.words]
        lookup[known] = np.arange(FIRST_WORD, FIRST_WORD + len(known))
        tokens = np.full((len(indices), encoder.length), PADDING, np.int32)
        kept = np.minimum(self._counts[indices], encoder.length)
        rows = np.repeat(np.arange(len(indices)), kept)
        columns = np.arange(len(rows)) - np.repeat(np.cumsum(kept) - kept, kept)
        tokens[rows, columns] = lookup[self._flat[self._starts[indices][rows] + columns]]
        return tokens

    def _positions(self, indices: Array) -> Array:
        counts = self._counts[indices]
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        positions: Array = np.repeat(self._starts[indices], counts) + within
        return positions


class _Rows(Inputs):
    def __init__(self, dataset: Dataset) -> None:
        self._rows: Array = np.asarray(dataset.train_samples)  # a view of the mapped file

    def learn(self, indices: Array, params: Mapping[str, Any]) -> Encoder:
        rows = np.asarray(self._rows[indices], np.float64)
        deviations = rows.std(axis=0)
        deviations[deviations == 0] = 1.0
        return TableEncoder(tuple(rows.mean(axis=0).tolist()), tuple(deviations.tolist()))

    def take(self, encoder: Encoder, indices: Array) -> Array:
        return encoder.encode(self._rows[indices])
