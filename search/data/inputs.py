"""The training samples of a dataset as the models of a space receive them."""

import shlex
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from search.data import Dataset
from search.data.arrays import PIECE_BYTES, Array, pieces, rows_of, words_of
from search.data.encoders import (
    FIRST_WORD,
    PADDING,
    UNKNOWN,
    Encoder,
    ImageEncoder,
    SequenceEncoder,
    SeveralEncoder,
    TableEncoder,
    TextEncoder,
    encoder_from_json,
)
from search.data.reading import CATEGORY, Column
from search.errors import SettingsError
from search.tasks import CLASSIFICATION, Task
from spaces import (
    PIXEL_RANGES,
    DataSpec,
    ImageInput,
    Input,
    SequenceInput,
    SeveralInputs,
    Space,
    TextInput,
    get_space,
    given_pixels,
    with_pixels,
    without_augmentation,
    without_classes,
)
from tracking.text import Notify, joined

__all__ = [
    "FIRST_WORD",
    "PADDING",
    "UNKNOWN",
    "Encoder",
    "ImageEncoder",
    "Inputs",
    "SequenceEncoder",
    "TableEncoder",
    "TextEncoder",
    "columns_of",
    "data_spec",
    "encoder_from_json",
    "make_inputs",
    "space_on",
    "spec_of",
    "table_width",
]

MOST_ADDED_BYTES = 4 << 30  # of a training set's inputs for categories and missing values
TOLD_INPUTS = 1000  # for one column


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
        case SequenceInput():
            return _Series(dataset)
        case SeveralInputs():
            return _Several(
                {
                    one.name: make_inputs(dataset.input(one.name), taken.of(one.name, one.kind))
                    for one in dataset.inputs
                }
            )
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
        SettingsError: a table has too many categories.
    """
    outline = get_space(reference, cache=declarations)
    data = data_spec(dataset, outline)
    space = get_space(reference, data, cache=declarations, notify=notify)
    if not dataset.task.has_classes:
        space = without_classes(space)
    for part in [dataset.input(one.name) for one in dataset.inputs] or [dataset]:
        if part.kind == "table":
            table_width(part, notify)
    if dataset.kind == "several":
        return without_augmentation(_with_pixels_of_inputs(space, dataset, pixels))
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


def _with_pixels_of_inputs(space: Space, dataset: Dataset, pixels: str) -> Space:
    """Return a space for several inputs, whose user says which pixels a hypermodel's models take.

    Raises:
        SettingsError: the user has not.
    """
    images = [one.name for one in dataset.inputs if one.kind == "image"]
    if not images or given_pixels(space) is None:
        return space
    if pixels not in ("raw", "scaled"):
        raise SettingsError(
            f"it must be known whether the models of {space.name} rescale the pixels of"
            f" {joined(images)} themselves: give `--pixels raw` ({PIXEL_RANGES['raw']}) if they"
            f" do, else `--pixels scaled` ({PIXEL_RANGES['scaled']})"
        )
    return with_pixels(space, pixels)


def data_spec(dataset: Dataset, space: Space) -> DataSpec:
    """Return the data specification of a space's models for a dataset, before any fitting.

    Raises:
        SpaceError: the space takes other kinds of data.
        SettingsError: a table has too many categories.
    """
    return _data_spec(dataset, space.input_for(dataset.kind))


def _data_spec(dataset: Dataset, taken: Input) -> DataSpec:
    task = dataset.task
    match taken:
        case ImageInput() as image:
            return _spec(image.shape(tuple(dataset.train_images.shape[1:])), task, "image")
        case TextInput(vocabulary=vocabulary, length=length):
            return _spec((length,), task, "text", vocabulary)
        case SequenceInput():
            return _spec(tuple(_series_of(dataset).shape[1:]), task, "sequence")
        case SeveralInputs():
            inputs = tuple(
                (one.name, _data_spec(dataset.input(one.name), taken.of(one.name, one.kind)))
                for one in dataset.inputs
            )
            return replace(_spec((), task, "several"), inputs=inputs)
        case _:
            return _spec((table_width(dataset),), task, "table")


def spec_of(encoder: Encoder, kind: str, task: Task) -> DataSpec:
    """Return the data specification that models are built for."""
    found = _spec(encoder.input_shape, task, kind, encoder.vocabulary_size)
    if not isinstance(encoder, SeveralEncoder):
        return found
    inputs = tuple((name, spec_of(own, own.kind, task)) for name, own in encoder.inputs)
    return replace(found, inputs=inputs)


def _spec(shape: tuple[int, ...], task: Task, kind: str, vocabulary: int = 0) -> DataSpec:
    classes = task.units if task.name == CLASSIFICATION else 0
    return DataSpec(
        shape, classes, kind, vocabulary, task.name, outputs=task.units, activation=task.activation
    )


class _Images(Inputs):
    def __init__(self, dataset: Dataset, taken: ImageInput) -> None:
        native = tuple(dataset.train_images.shape[1:])
        self._encoder = ImageEncoder(native, taken.shape(native), taken.scaled, dataset.pixel_range)
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
        self._rows = _rows_of(dataset)
        self._columns, self._gaps = columns_of(dataset), _gaps(dataset)

    def learn(self, indices: Array, params: Mapping[str, Any]) -> Encoder:
        return TableEncoder.fitted(self._rows, indices, self._columns, self._gaps)

    def take(self, encoder: Encoder, indices: Array) -> Array:
        taken = np.empty((len(indices), *encoder.input_shape), np.float32)
        step = max(1, PIECE_BYTES // (8 * (len(self._columns) + taken.shape[1])))
        for start in range(0, len(indices), step):
            where = slice(start, start + step)
            taken[where] = encoder.encode(self._rows[indices[where]])
        return taken


class _Series(Inputs):
    def __init__(self, dataset: Dataset) -> None:
        self._series = _series_of(dataset)

    def learn(self, indices: Array, params: Mapping[str, Any]) -> Encoder:
        return SequenceEncoder.fitted(self._series, indices)

    def take(self, encoder: Encoder, indices: Array) -> Array:
        taken = np.empty((len(indices), *encoder.input_shape), np.float32)
        step = max(1, PIECE_BYTES // (8 * taken[:1].size))
        for start in range(0, len(indices), step):
            where = slice(start, start + step)
            taken[where] = encoder.encode(self._series[indices[where]])
        return taken


class _Several(Inputs):
    def __init__(self, inputs: Mapping[str, Inputs]) -> None:
        self._inputs = inputs

    def learn(self, indices: Array, params: Mapping[str, Any]) -> Encoder:
        found = ((name, inputs.learn(indices, params)) for name, inputs in self._inputs.items())
        return SeveralEncoder(tuple(found))

    def take(self, encoder: Encoder, indices: Array) -> dict[str, Array]:  # type: ignore[override]
        if not isinstance(encoder, SeveralEncoder):
            raise TypeError(f"several inputs need their encoder; got {type(encoder).__name__}")
        return {name: self._inputs[name].take(own, indices) for name, own in encoder.inputs}


def _series_of(dataset: Dataset) -> Array:
    series: Array = np.asarray(dataset.train_samples)  # a view of the mapped file
    return series


def columns_of(dataset: Dataset) -> tuple[Column, ...]:
    """Return a table's columns; those without names are numbered from 1."""
    return dataset.columns or tuple(
        Column(f"column {n}") for n in range(1, _rows_of(dataset).shape[1] + 1)
    )


def table_width(dataset: Dataset, notify: Notify | None = None) -> int:
    """Return the number of inputs that models have for a table's rows; see `TableEncoder`.

    Args:
        dataset: of rows.
        notify: is told of a column with most of many inputs.

    Raises:
        SettingsError: inputs for categories and gaps would take more than `MOST_ADDED_BYTES`.
    """
    columns, gaps = columns_of(dataset), _gaps(dataset)
    widths = [
        (len(column.categories) if column.type == CATEGORY else 1) + gap
        for column, gap in zip(columns, gaps, strict=True)
    ]
    width, widest = sum(widths), int(np.argmax(widths))
    name, most = columns[widest].name, widths[widest]
    told = (
        f"models have {width:,} inputs for a row of {dataset.name}, {most:,} of them for the"
        f" categories of column {name}"
    )
    added = 4 * (width - len(columns)) * len(_rows_of(dataset))
    if added > MOST_ADDED_BYTES:
        raise SettingsError(
            f"inputs for categories and missing values must take at most"
            f" {MOST_ADDED_BYTES >> 30} GB for all training samples; they would take"
            f" {added / (1 << 30):,.1f} GB: {told}. Leave columns out, as with"
            f" `--ignore {shlex.quote(name)}`, or join rare categories."
        )
    if notify and most >= TOLD_INPUTS and 2 * most > width:
        notify(f"{told}; `--ignore {shlex.quote(name)}` leaves it out")
    return width


@lru_cache(maxsize=8)
def _gaps(dataset: Dataset) -> tuple[bool, ...]:
    """Return for each column of a table whether its training set lacks a value."""
    rows = _rows_of(dataset)
    found = np.zeros(rows.shape[1], np.bool_)
    for _, piece in pieces(rows):
        found |= np.isnan(piece).any(axis=0)
    return tuple(found.tolist())


def _rows_of(dataset: Dataset) -> Array:
    rows: Array = np.asarray(dataset.train_samples)  # a view of the mapped file
    return rows
