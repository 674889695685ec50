"""Encoders: from samples to a model's input, fitted on a training part alone."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from search.data.arrays import Array, Several, words_of
from search.data.pictures import prepare_images
from search.data.ranges import PixelRange
from search.data.reading import CATEGORY, Column
from search.errors import DataError
from spaces import ImageInput

PADDING, UNKNOWN = 0, 1
FIRST_WORD = 2
BLOCK_BYTES = 1 << 28  # of a table in memory at a time


class Encoder(ABC):
    """Turns samples of one kind into a model's input.

    Attributes:
        kind: of the samples: `image`, `text`, `table`, `sequence` or `several`.
    """

    kind: ClassVar[str]

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
class SeveralEncoder(Encoder):
    """Turns samples of several inputs into a model's inputs, by their names.

    Attributes:
        inputs: the encoder of each, by its name.
    """

    kind: ClassVar[str] = "several"

    inputs: tuple[tuple[str, Encoder], ...]

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Empty: each input has its own; see `inputs`."""
        return ()

    def encode(self, samples: Several | Mapping[str, Any]) -> dict[str, Array]:  # type: ignore[override]
        """Return the model's inputs by name, each `(n, *input_shape)`."""
        given = samples.inputs if isinstance(samples, Several) else samples
        return {name: encoder.encode(given[name]) for name, encoder in self.inputs}

    def to_json(self) -> dict[str, Any]:
        """Return the JSON of each input's encoder, by its name."""
        return {
            "kind": self.kind,
            "inputs": [{"name": name, **encoder.to_json()} for name, encoder in self.inputs],
        }


@dataclass(frozen=True)
class ImageEncoder(Encoder):
    """Pads or resizes images.

    Attributes:
        native_shape: (height, width, channels) of the dataset's own images.
        input_shape: (height, width, channels) of the model's input.
        scaled: whether pixels become float32 0..1; else they stay uint8 0..255.
        pixel_range: which values of new pictures become black and white; None if values are pixels.
        dark: whole numbers of a new image that do not exceed it may be on another scale than
            0..255, as none of the training images was so dark; 0 where that is not known.
    """

    kind: ClassVar[str] = "image"

    native_shape: tuple[int, ...]
    shape: tuple[int, ...]
    scaled: bool = False
    pixel_range: PixelRange | None = None
    dark: int = 0

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
        ranged = self.pixel_range
        return {
            "kind": self.kind,
            "native_shape": list(self.native_shape),
            "input_shape": list(self.shape),
            "scaled": self.scaled,
            **({} if ranged is None else {"pixel_range": ranged.to_json()}),
            **({"dark": self.dark} if self.dark else {}),
        }


@dataclass(frozen=True)
class TextEncoder(Encoder):
    """Turns texts into token numbers: 0 pads at the end, 1 is any word not in the vocabulary.

    Attributes:
        words: the vocabulary, most frequent first; the first is token 2.
        length: tokens kept of a text, from its beginning.
        size: number of tokens the model is built for; at least `len(words) + 2`.
    """

    kind: ClassVar[str] = "text"

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
            "kind": self.kind,
            "length": self.length,
            "size": self.size,
            "vocabulary": list(self.words),
        }

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self.words, start=FIRST_WORD)}


@dataclass(frozen=True)
class TableEncoder(Encoder):
    """Turns a table's columns into numbers, in the order of the columns.

    Numbers, truth values and dates: one input, minus the mean, divided by the standard deviation; a
    missing value is the mean. Where the training set has gaps, a second input says whether the
    value is missing (1 or 0, then standardised, too). Categories: one input each, 1 or 0, and where
    there are gaps one more for a missing value; all are 0 for an unknown category.

    This is scikit-learn's `SimpleImputer(add_indicator=True)` with `StandardScaler`, and
    `OneHotEncoder(handle_unknown="ignore")`, except that the number of inputs depends on the
    dataset alone: inputs that the training part cannot train are 0 for every sample.

    Attributes:
        means: of each column's values in the training part; 0 for categories.
        deviations: their standard deviation with gaps filled; 1 if it is constant, and for
            categories.
        categories: number of categories of each column, 0 for other types; empty if there are none.
        missing: of each column with an input for missing values their fraction in the training
            part, None for other columns; empty if there are none.
        unseen: (column, category), by index, that the training part lacks.
    """

    kind: ClassVar[str] = "table"

    means: tuple[float, ...]
    deviations: tuple[float, ...]
    categories: tuple[int, ...] = ()
    missing: tuple[float | None, ...] = ()
    unseen: tuple[tuple[int, int], ...] = ()

    @classmethod
    def fitted(
        cls,
        rows: Array,
        indices: Array,
        columns: Sequence[Column],
        gaps: Sequence[bool],
    ) -> "TableEncoder":
        """Return the encoder fitted on some rows.

        Args:
            rows: (n, columns), memory-mapped; some columns of `indices` are in memory at a time.
            indices: of the training part.
            columns: of the rows.
            gaps: of each column, whether the training set, of which this is a part, lacks values.

        Raises:
            DataError: the numbers of a column are too far apart for float64.
        """
        means, deviations, absent = (np.empty(len(columns)) for _ in range(3))
        unseen: list[tuple[int, int]] = []
        step = max(2, BLOCK_BYTES // (8 * max(1, len(indices))))
        for start in range(0, len(columns), step):
            where = slice(start, start + step)
            block = np.asarray(rows[indices, where], np.float64)
            means[where], deviations[where], absent[where] = _moments(block)
            for number, column in enumerate(columns[where], start):
                if column.type == CATEGORY:
                    seen = np.isin(np.arange(len(column.categories)), block[:, number - start])
                    unseen += [(number, int(k)) for k in np.flatnonzero(~seen)]
        for number, column in enumerate(columns):
            if column.type == CATEGORY:
                means[number], deviations[number] = 0.0, 1.0
            elif not np.isfinite([means[number], deviations[number]]).all():
                raise DataError(
                    f"the numbers of column {column.name} must be close enough for float64 to hold"
                    " their mean and standard deviation; they are not. Leave it out with"
                    f" `--ignore {column.name}`."
                )
        counts = [len(c.categories) if c.type == CATEGORY else 0 for c in columns]
        shares = zip(absent.tolist(), gaps, strict=True)
        return cls(
            tuple(means.tolist()),
            tuple(deviations.tolist()),
            tuple(counts) if any(counts) else (),
            tuple(share if gap else None for share, gap in shares) if any(gaps) else (),
            tuple(unseen),
        )

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one encoded row: (inputs,)."""
        return (int(self.starts[-1]),)

    @cached_property
    def starts(self) -> Array:
        """The first input of each column, and the number of inputs, int64 (columns + 1,)."""
        counts = np.array(self.categories or (0,) * len(self.means), np.int64)
        widths = np.maximum(counts, 1) + [share is not None for share in self.shares]
        return np.concatenate([[0], np.cumsum(widths)])

    @property
    def shares(self) -> tuple[float | None, ...]:
        """For each column `missing`."""
        return self.missing or (None,) * len(self.means)

    @cached_property
    def groups(self) -> tuple[int, ...]:
        """The columns of categories, by index."""
        return tuple(number for number, count in enumerate(self.categories) if count)

    def encode(self, samples: Array) -> Array:
        """Return the model's input, float32 `(n, inputs)`, for rows `(n, columns)` as stored."""
        rows = np.asarray(samples, np.float64)
        values: Array = (rows - np.array(self.means)) / np.array(self.deviations)
        absent = np.isnan(rows)
        values[absent] = 0.0
        if not self.categories and not self.missing:
            return values.astype(np.float32)
        encoded = np.zeros((len(rows), *self.input_shape), np.float32)
        encoded[:, self.starts[:-1]] = values  # those of categories are overwritten
        encoded[:, self.starts[:-1][self.empty]] = 0.0
        columns, means, deviations, trained = self.flags
        encoded[:, self.starts[columns + 1] - 1] = (
            trained * (absent[:, columns] - means) / deviations
        )
        for column in self.groups:
            first = self.starts[column]
            last = first + self.categories[column]
            encoded[:, first:last] = self._one_hot(column, rows[:, column])
        return encoded

    @cached_property
    def empty(self) -> Array:
        """Of each column whether the training part has no value at all."""
        return np.array([share == 1.0 for share in self.shares])

    @cached_property
    def flags(self) -> tuple[Array, Array, Array, Array]:
        """The inputs for missing values, each `(k,)`: of which columns, and how they are made.

        They are `trained * (is_missing - means) / deviations`; `trained` is 0 or 1.
        """
        columns = np.array([n for n, share in enumerate(self.shares) if share is not None], int)
        shares = np.array([self.shares[column] for column in columns], np.float64)
        grouped = np.isin(columns, self.groups)
        varies = (shares > 0) & (shares < 1)
        spread = np.sqrt(shares * (1 - shares))
        return (
            columns,
            np.where(grouped, 0.0, shares),
            np.where(varies & ~grouped, spread, 1.0),
            np.where(grouped, shares > 0, varies).astype(np.float64),
        )

    @cached_property
    def trained(self) -> dict[int, Array]:
        """Of each column of categories 1 for those the training part has, 0 for others, float32."""
        known = {column: np.ones(self.categories[column], np.float32) for column in self.groups}
        for column, category in self.unseen:
            known[column][category] = 0.0
        return known

    def _one_hot(self, column: int, values: Array) -> Array:
        known = self.trained[column]
        marks = np.zeros((len(values), len(known)), np.float32)
        within = np.flatnonzero((values >= 0) & (values < len(known)))
        marks[within, values[within].astype(np.int64)] = 1.0
        return marks * known

    def to_json(self) -> dict[str, Any]:
        """Return kind, means and standard deviations, and what there is of the others."""
        more = {
            "categories": list(self.categories),
            "missing": list(self.missing),
            "unseen": [list(pair) for pair in self.unseen],
        }
        return {
            "kind": self.kind,
            "means": list(self.means),
            "deviations": list(self.deviations),
            **{name: value for name, value in more.items() if value},
        }


@dataclass(frozen=True)
class SequenceEncoder(Encoder):
    """Standardises each feature of sequences: minus its mean, divided by its standard deviation.

    Attributes:
        steps: of time in each sequence.
        means: of each feature, over all steps of the training part.
        deviations: standard deviation of each feature, likewise; 1 if it never changes.
        wide: whether values need float64 before they are centred.
    """

    kind: ClassVar[str] = "sequence"

    steps: int
    means: tuple[float, ...]
    deviations: tuple[float, ...]
    wide: bool = False

    @classmethod
    def fitted(cls, series: Array, indices: Array) -> "SequenceEncoder":
        """Return the encoder of some sequences.

        Args:
            series: (n, time, features), memory-mapped; read three times, a block at a time.
            indices: of the sequences to learn from, at least one.
        """
        _, steps, features = series.shape
        at_once = max(1, BLOCK_BYTES // (8 * steps * features))

        def blocks() -> Iterator[Array]:
            for start in range(0, len(indices), at_once):
                chosen = series[indices[start : start + at_once]]
                yield np.asarray(chosen, np.float64).reshape(-1, features)

        count = len(indices) * steps
        lowest, total = np.full(features, np.inf), np.zeros(features)
        for block in blocks():
            lowest = np.minimum(lowest, block.min(axis=0))
        # From the lowest value on, sums keep their digits; of a feature that never changes, both
        # this sum and that of squares are exactly 0.
        for block in blocks():
            total += (block - lowest).sum(axis=0)
        means = lowest + total / count
        squares = sum(((block - means) ** 2).sum(axis=0) for block in blocks())
        deviations = np.sqrt(squares / count)
        deviations[deviations == 0] = 1.0
        wide = series.dtype.itemsize > 4
        return cls(steps, tuple(means.tolist()), tuple(deviations.tolist()), wide)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sequence: (time, features)."""
        return self.steps, len(self.means)

    def encode(self, samples: Array) -> Array:
        """Return sequences `(n, time, features)` standardised, float32."""
        encoded = np.empty((len(samples), *self.input_shape), np.float32)
        at_once = max(1, BLOCK_BYTES // (8 * math.prod(self.input_shape)))
        for start in range(0, len(samples), at_once):
            where = slice(start, start + at_once)
            centred = np.asarray(samples[where], np.float64) - np.array(self.means)
            encoded[where] = centred / np.array(self.deviations)
        return encoded

    def to_json(self) -> dict[str, Any]:
        """Return kind, steps, means and standard deviations."""
        return {
            "kind": self.kind,
            "steps": self.steps,
            "means": list(self.means),
            "deviations": list(self.deviations),
            "wide": self.wide,
        }


def _moments(block: Array) -> tuple[Array, Array, Array]:
    """Return mean, standard deviation and fraction of missing values (NaN) of each column.

    Gaps count as the mean. A constant column has its value as mean, and 1 as deviation.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        means, deviations = block.mean(axis=0), block.std(axis=0)
    absent = np.isnan(block).mean(axis=0)
    for column in np.flatnonzero(absent):
        values = block[:, column][~np.isnan(block[:, column])]
        mean = values.mean() if len(values) else 0.0
        with np.errstate(over="ignore"):
            means[column] = mean
            deviations[column] = math.sqrt(((values - mean) ** 2).sum() / len(block))
    # Without rounding: 0.1 ten times has another mean, and so a deviation.
    lowest, highest = np.fmin.reduce(block, axis=0), np.fmax.reduce(block, axis=0)
    constant = lowest == highest
    means[constant], deviations[constant] = lowest[constant], 1.0
    deviations[deviations == 0] = 1.0
    return means, deviations, absent


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
            ranged = PixelRange.from_json(data.get("pixel_range"))
            dark = int(data.get("dark", 0))
            return ImageEncoder(native, shape, bool(data["scaled"]), ranged, dark)
        case "text":
            words = tuple(map(str, data["vocabulary"]))
            return TextEncoder(words, int(data["length"]), int(data["size"]))
        case "table":
            return TableEncoder(
                tuple(map(float, data["means"])),
                tuple(map(float, data["deviations"])),
                tuple(map(int, data.get("categories", ()))),
                tuple(None if s is None else float(s) for s in data.get("missing", ())),
                tuple((int(column), int(category)) for column, category in data.get("unseen", ())),
            )
        case "sequence":
            means, deviations = (tuple(map(float, data[name])) for name in ("means", "deviations"))
            return SequenceEncoder(int(data["steps"]), means, deviations, bool(data["wide"]))
        case "several":
            parts = ((str(part["name"]), encoder_from_json(part)) for part in data["inputs"])
            return SeveralEncoder(tuple(parts))
        case kind:
            raise ValueError(f"{kind!r} is no kind of input")
