"""Samples as a user gives them, in files or arrays, brought to an exported model's input."""

import math
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from search.data.arrays import Array
from search.data.encoders import ImageEncoder, TableEncoder
from search.data.formats.archives import array_names, check_file, read_array, read_samples
from search.data.formats.columns import Reader, is_number, is_supported
from search.data.formats.frames import as_table, is_frame, part_of
from search.data.formats.memory import as_array
from search.data.formats.tables import (
    NewRows,
    check_width,
    open_table,
    read_rows,
    readers_of,
    rows_of,
)
from search.data.ranges import WHITE
from search.data.reading import CATEGORY, DATE, NUMBER, Column, Reading
from search.errors import DataError
from search.export.folder import ModelFolder
from search.export.labels import Labels
from search.export.picture_files import (
    is_table,
    listed_pictures,
    pictures_in,
    pixel_columns,
    pixels_in,
)
from search.export.pictures import read_picture
from search.export.raw import pixels_of, raw_samples, raw_shape
from search.export.text_files import (
    check_size,
    has_table_name,
    is_file,
    texts_in,
    texts_in_part,
    whole_text,
)
from search.tasks import Classification, Regression, Task
from search.tasks.models import count_of
from tracking.text import Notify, listed, unheard

# What arrays of sequences to predict may be called, where a file has several.
SAMPLE_NAMES = ("x", "X", "x_test", "x_new")
MAX_INPUT_BYTES = 2 << 30  # bytes of the model's input for all samples
_PLACE = re.compile(r"x(\d{1,9})")  # the name of an array's column
BATCH, BATCH_BYTES = 4096, 64 << 20  # samples that are predicted at a time, where they are many


@dataclass(frozen=True)
class Sample:
    """A sample of a user's.

    Attributes:
        name: the picture's file, the text, or file and line of a table's row.
        encoded: the model's input, or several by their names.
        inverted: whether a picture looks inverted compared with the training images.
    """

    name: str
    encoded: Any
    inverted: bool = False


@dataclass(frozen=True)
class Asked:
    """How samples are to be read.

    Attributes:
        labels: of the model.
        invert: invert the brightness of pictures first.
        notify: takes notices on samples unlike those of the training.
        column: of tables, with the paths of pictures, None for the only one that has some; or with
            the texts, None for that of the training data.
    """

    labels: Labels
    invert: bool
    notify: Notify
    column: str | None = None


def samples_of(given: Sequence[str], asked: Asked) -> list[Sample]:
    """Read samples from files, or texts, as `predict_samples` takes them.

    Args:
        given: files, folders or texts.
        asked: how they are read.

    Raises:
        DataError: one cannot be read, or there are too many for the memory.
    """
    found: list[Sample] = []
    for sample in _read(given, asked):
        found.append(sample)
        _check_amount(len(found), asked.labels)
    return found


def batches_of(given: Sequence[str], asked: Asked) -> Iterator[list[Sample]]:
    """Yield samples as `samples_of` reads them, some at a time; pictures are read as they come.

    Raises:
        DataError: one cannot be read.
    """
    size = max(1, min(BATCH, BATCH_BYTES // _size(asked.labels)))
    samples = _read(given, asked)
    while batch := list(islice(samples, size)):
        yield batch


def _read(given: Sequence[str], asked: Asked) -> Iterator[Sample]:
    told = set[str]()

    def once(notice: str) -> None:
        if notice not in told:
            told.add(notice)
            asked.notify(notice)

    for text in given:
        yield from _READERS[asked.labels.kind](text, replace(asked, notify=once))


def stacked(samples: Sequence[Any]) -> Any:
    """Return the model's input of several samples, `(n, ...)`, or several by their names."""
    if isinstance(samples[0], dict):
        return {name: np.stack([each[name] for each in samples]) for name in samples[0]}
    return np.stack(samples)


def encoded_samples(samples: Any, labels: Labels, notify: Notify = unheard) -> Any:
    """Return a model's input for samples as they were passed to the study.

    Args:
        samples: arrays of images, rows or sequences; a frame with the model's columns, or with that
            of the texts; texts; of several inputs the samples of each by its name, or a frame with
            the columns of all.
        labels: of the model.
        notify: takes notices on rows unlike those of the training.

    Raises:
        DataError: they are not like those of the study.
    """
    origin, wanted = "the samples", [each.name for each in labels.inputs]
    if not labels.inputs:
        only = samples
        if isinstance(samples, Mapping) and len(samples) == 1 and not is_frame(samples):
            only = next(iter(samples.values()))
        return _encoded_like_training(only, labels, origin, notify)
    is_named = isinstance(samples, Mapping) and set(samples) == set(wanted)
    if is_frame(samples) and not is_named:
        return _inputs_of_frame(samples, labels, origin, notify)
    if not isinstance(samples, Mapping):
        raise DataError(
            "the samples must be a dictionary with those of each input,"
            f" {listed(wanted)}; got a {type(samples).__name__}"
        )
    return encoded_inputs(samples, labels, origin, notify)


def encoded_inputs(
    given: Mapping[str, Any], labels: Labels, origin: str, notify: Notify = unheard
) -> dict[str, Array]:
    """Return the model's inputs for arrays and frames as they were passed to the study, by name."""
    wanted = [each.name for each in labels.inputs]
    if set(given) != set(wanted):
        raise DataError(
            f"{origin} must have the inputs of the model, {listed(wanted)}; got {listed(given)}"
        )
    found = {}
    for name in wanted:
        part, what = labels.part(name), f"{origin}, {name}"
        if is_frame(given[name]):
            found[name] = _encoded_frame(given[name], part, what, notify)
        else:
            found[name] = _encoded_input(as_array(given[name], what), part, what, notify)
    counts = {name: len(encoded) for name, encoded in found.items()}
    if len(set(counts.values())) > 1 or not count_of(found):
        told = listed(f"{count:,} of {name}" for name, count in counts.items())
        raise DataError(f"{origin} must have as many samples of each input, and some; got {told}")
    return found


def encode_images(folder: Path, images: Any) -> Array:
    """Return images in the dataset's own size as the folder's `model.keras` takes them.

    Args:
        folder: written by `export`, of a model for images.
        images: as `encoded_samples` takes them.

    Returns:
        `(n, *native_shape)`; of a folder of an earlier version `(n, *input_shape)`.

    Raises:
        DataError: they have another shape, or values that are no pixels.
    """
    labels = ModelFolder(folder).labels()
    if labels.kind != "image":
        raise DataError(f"{folder} is a model for samples of kind {labels.kind}, not for images")
    return np.asarray(_encoded_input(np.asarray(images), labels, "the images"))


def encode_rows(folder: Path, rows: Mapping[str, Any]) -> Array:
    """Return a table's rows as `model.keras`, `model.tflite` and `model.onnx` take them.

    Words become their numbers, and dates seconds; a folder of an earlier version takes encoded
    rows.

    Args:
        folder: written by `export`, of a model for tables.
        rows: the values of each column by its name, as a dictionary of sequences or a pandas data
            frame: numbers; words; dates as datetimes, texts in ISO 8601 or numbers of seconds since
            1970 (UTC). None, NaN and blank texts are missing values. Other columns are ignored.

    Returns:
        Float `(n, columns)`; of a folder of an earlier version `(n, inputs)`.

    Raises:
        DataError: a column is missing, or has a value of another type.
    """
    import pyarrow as pa

    labels = ModelFolder(folder).labels()
    if labels.kind != "table":
        raise DataError(f"{folder} is a model for samples of kind {labels.kind}, not for rows")
    lacking = [column.name for column in labels.columns if column.name not in rows]
    if lacking:
        raise DataError(f"rows must have the model's columns; missing: {', '.join(lacking)}")
    arrays: dict[str, Any] = {}
    for column in labels.columns:
        given = rows[column.name]
        try:
            values = pa.array(given, from_pandas=True)
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
            values = None
        if values is None or not is_supported(values.type):
            raise DataError(
                f"`{column.name}` must be a sequence of numbers, texts, truth values or dates, all"
                " of one type; it is not"
            )
        arrays[column.name] = values
    if len({len(values) for values in arrays.values()}) > 1:
        counts = ", ".join(f"{len(values):,}" for values in arrays.values())
        raise DataError(f"rows must have as many values in each column; got {counts}")
    stored = []
    part = part_of(pa.table(arrays), "rows")
    for reader in readers_of(part, labels.columns, labels.reading):
        column, values = reader.column, arrays[reader.column.name]
        # Numbers are seconds, as dates are stored.
        is_stored = column.type == DATE and pa.types.is_primitive(values.type)
        is_stored = is_stored and not pa.types.is_temporal(values.type)
        reader = Reader(Column(column.name, NUMBER)) if is_stored else reader
        found, wrong = reader.read(values)
        if wrong.any():
            row = int(wrong.argmax())
            fault = reader.fault(str(values[row].as_py()))
            raise DataError(f"rows, row {row + 1}: `{column.name}` {fault}.")
        stored.append(found)
    return _taken(np.column_stack(stored), labels, "rows")


def _pictures(given: str, asked: Asked) -> Iterator[Sample]:
    path = Path(given)
    if path.is_dir():
        for each in pictures_in(path):
            yield _picture(each, asked)
    elif is_table(path):
        yield from _pictures_of_table(path, asked)
    else:
        yield _picture(path, asked)


def _picture(path: Path, asked: Asked) -> Sample:
    picture = read_picture(path, asked.labels, invert=asked.invert)
    for notice in picture.notices:
        asked.notify(notice)
    return Sample(str(path), picture.pixels, picture.inverted)


def _pictures_of_table(path: Path, asked: Asked) -> Iterator[Sample]:
    """Yield the pictures that a table lists, or that its columns of pixels are."""
    encoder = asked.labels.encoder
    part = open_table(path, Reading())
    names = pixel_columns(part.names)
    if asked.column is not None or not names or not isinstance(encoder, ImageEncoder):
        for each in listed_pictures(path, part, asked.column):
            yield _picture(each, asked)
        return
    pixels = pixels_in(path, names, encoder)
    if asked.invert:
        pixels = WHITE - pixels
    for row, one in enumerate(raw_samples(pixels, asked.labels), start=1):
        yield Sample(f"{path}, row {row}", one)


def _several(given: str, asked: Asked) -> list[Sample]:
    path, labels = Path(given), asked.labels
    check_file(path)
    has_arrays = zipfile.is_zipfile(path)
    if not has_arrays and all(labels.part(each.name).kind == "table" for each in labels.inputs):
        return _rows_of_inputs(path, asked)
    held = array_names(path) if has_arrays else ()
    wanted = [each.name for each in labels.inputs]
    lacking = [name for name in wanted if name not in held]
    if lacking:
        raise DataError(
            f"{path} must be an .npz file with an array for each input of the model,"
            f" {listed(wanted)}; it lacks {listed(lacking)}"
        )
    arrays = {name: read_array(path, name) for name in wanted}
    inputs = encoded_inputs(arrays, labels, str(path), asked.notify)
    return [
        Sample(f"{path}, sample {n + 1}", {name: each[n] for name, each in inputs.items()})
        for n in range(count_of(inputs))
    ]


def _rows_of_inputs(path: Path, asked: Asked) -> list[Sample]:
    """Return rows of a table that has the columns of all inputs."""
    parts = {each.name: asked.labels.part(each.name) for each in asked.labels.inputs}
    for column, owners in _shared(parts).items():
        raise DataError(
            f"{path}: {listed(owners)} each have a column `{column}`, so one table cannot hold the"
            f" rows of all inputs. Give an .npz file with an array for each: {listed(parts)}"
        )
    whole = replace(
        asked.labels,
        columns=tuple(column for part in parts.values() for column in part.columns),
    )
    values = _read_rows(path, whole)
    encoded, start = {}, 0
    for name, part in parts.items():
        own = values[:, start : start + len(part.columns)]
        start += len(part.columns)
        encoded[name] = _taken_rows(own, part, str(path), asked.notify)
    return [
        Sample(f"{path}, row {n + 1}", {name: rows[n] for name, rows in encoded.items()})
        for n in range(len(values))
    ]


def _sequences(given: str, asked: Asked) -> list[Sample]:
    path, labels = Path(given), asked.labels
    values, shape = read_samples(path, SAMPLE_NAMES), labels.encoder.input_shape
    if values.shape == shape or (shape[1] == 1 and values.shape[1:] == shape[:1]):
        values = values.reshape(-1, *shape)
    if values.dtype.kind not in "biuf" or values.ndim != 3 or values.shape[1:] != shape:
        raise DataError(
            f"{path} must hold sequences of numbers, (n, {shape[0]}, {shape[1]}): the model takes"
            f" {shape[0]:,} steps with {shape[1]:,} features; got {values.dtype} {values.shape}"
        )
    if not len(values):
        raise DataError(f"{path} holds no sequence")
    _check_amount(len(values), labels)
    wrong = np.argwhere(~np.isfinite(values))
    if len(wrong):
        where = ", ".join(map(str, wrong[0].tolist()))
        raise DataError(f"{path} must hold finite numbers; [{where}] is {values[tuple(wrong[0])]}")
    encoded = _taken(values, labels, str(path))
    return [Sample(f"{path}, sequence {n}", one) for n, one in enumerate(encoded, start=1)]


def _texts(given: str, asked: Asked) -> list[Sample]:
    texts, labels = [given], asked.labels
    names = texts
    if is_file(given):
        path = Path(given)
        if labels.whole_files and asked.column is None and not has_table_name(path):
            texts = [whole_text(path)]
            lines = texts[0].rstrip("\n").count("\n") + 1
            if lines > 1:
                asked.notify(
                    f"{path}: its {lines:,} lines are one text, as each file of the training was"
                )
        else:
            names = texts = texts_in(
                path, labels.reading, asked.column, width=labels.width, notify=asked.notify
            )
    _check_amount(len(texts), labels)
    tokens = labels.encoder.encode(texts)
    return [Sample(name, row) for name, row in zip(names, tokens, strict=True)]


def _rows(given: str, asked: Asked) -> list[Sample]:
    path, labels = Path(given), asked.labels
    encoded = _taken_rows(_read_rows(path, labels), labels, str(path), asked.notify)
    return [Sample(f"{path}, row {n}", row) for n, row in enumerate(encoded, start=1)]


def _encoded_like_training(samples: Any, labels: Labels, origin: str, notify: Notify) -> Array:
    columns = labels.columns
    if is_frame(samples):
        return _encoded_frame(samples, labels, origin, notify)
    rows = as_array(samples, origin)
    if labels.kind != "table":
        return _encoded_input(rows, labels, origin, notify)
    places = _places_of(columns, labels.width)
    width = labels.width if places else len(columns)
    if rows.ndim != 2 or rows.shape[1] != width:
        raise DataError(
            f"{origin} must be rows of {width} columns, (n, {width}), or a frame"
            f" that has them; got {rows.dtype} {rows.shape}"
        )
    if places:
        rows = rows[:, places]
    if rows.dtype.kind in "biuf" and all(column.type == NUMBER for column in columns):
        return _encoded_input(rows, labels, origin, notify)
    frame = {column.name: rows[:, n].tolist() for n, column in enumerate(columns)}
    return _encoded_frame(frame, labels, origin, notify)


def _places_of(columns: Sequence[Column], width: int) -> list[int]:
    """Return where the model's columns are in an array like that of the training.

    Its columns have names by their places, as some of them may be left out. Empty of data that were
    passed otherwise.
    """
    places = [match[1] for column in columns if (match := _PLACE.fullmatch(column.name))]
    return [int(place) for place in places] if width and len(places) == len(columns) else []


def _encoded_frame(frame: Any, labels: Labels, origin: str, notify: Notify) -> Array:
    """Return the model's input for a frame, whose columns are taken by their names."""
    if labels.kind == "text":
        texts = _texts_of_frame(frame, labels, origin)
        if blank := sum(not text.strip() for text in texts):
            notify(f"{origin}: {blank:,} of {len(texts):,} texts are blank, and predicted as such")
        return labels.encoder.encode(texts)
    if labels.kind != "table":
        raise DataError(
            f"{origin} must be an array, as the model was trained on {labels.kind}s, which have no"
            " names of columns; got a frame. Pass its values, such as frame.to_numpy(), in the"
            " order of the training"
        )
    part = part_of(as_table(frame, origin), origin)
    names = [column.name for column in labels.columns]
    if all(map(_PLACE.fullmatch, names)) and not set(names) & set(part.names):
        raise DataError(
            f"{origin} must be an array, as the model was trained on one, whose columns have no"
            f" names; got a frame with {listed(part.names)}. Pass its values, such as"
            " frame.to_numpy(), in the order of the training"
        )
    rows = rows_of(part, labels.columns, labels.reading).values
    return _taken_rows(rows, labels, origin, notify)


def _texts_of_frame(frame: Any, labels: Labels, origin: str) -> list[str]:
    column = labels.reading.text
    if column is None:
        raise DataError(
            f"{origin} must be texts, (n,), as the model was not trained on a table; got a frame."
            " Pass its column of texts"
        )
    part = part_of(as_table(frame, origin), origin).aligned([column])
    if column not in part.names:
        raise DataError(
            f"{origin} must have the column `{column}` with the texts; it has {listed(part.names)}"
        )
    return texts_in_part(part, column)


def _inputs_of_frame(frame: Any, labels: Labels, origin: str, notify: Notify) -> dict[str, Array]:
    """Return the inputs of a frame with the columns of all, as it was passed with `input`."""
    parts = {each.name: labels.part(each.name) for each in labels.inputs}
    if _shared(parts) or any(part.kind != "table" for part in parts.values()):
        raise DataError(
            f"{origin} must be a dictionary with those of each input, {listed(parts)}; got a frame"
        )
    return {
        name: _encoded_frame(frame, part, f"{origin}, {name}", notify)
        for name, part in parts.items()
    }


def _shared(parts: Mapping[str, Labels]) -> dict[str, list[str]]:
    """Return the columns that several inputs have, with the names of these."""
    owners: dict[str, list[str]] = {}
    for name, part in parts.items():
        for column in part.columns:
            owners.setdefault(column.name, []).append(name)
    return {column: names for column, names in owners.items() if len(names) > 1}


def _taken_rows(rows: Array, labels: Labels, origin: str, notify: Notify) -> Array:
    """Return the model's input for rows, and tell what no training row had."""
    encoded = _taken(rows, labels, origin)
    for doubt in _doubts(rows, labels):
        notify(f"{origin}: {doubt}")
    return encoded


def _check_texts(values: Array, origin: str) -> None:
    """Raise DataError for values that are no texts."""
    if values.ndim != 1 or values.dtype.kind not in "UO":
        raise DataError(f"{origin} must hold texts, (n,); got {values.dtype} {values.shape}")
    wrong = next((n for n, text in enumerate(values.tolist()) if not isinstance(text, str)), None)
    if wrong is not None:
        raise DataError(
            f"{origin} must hold texts; number {wrong + 1:,} is of type"
            f" {type(values[wrong]).__name__}. Leave it out, or pass an empty text"
        )


def _encoded_input(values: Array, labels: Labels, origin: str, notify: Notify = unheard) -> Array:
    """Return the model's input for an array of one kind, as training reads it."""
    encoder, kind = labels.encoder, labels.kind
    if not values.size:
        raise DataError(f"{origin} must hold at least one sample; there is none")
    if kind == "text":
        _check_texts(values, origin)
        return encoder.encode(values.tolist())
    shape = (len(labels.columns),) if kind == "table" else raw_shape(encoder)
    if values.shape[1:] != shape and (*values.shape[1:], 1) == shape:
        values = values[..., np.newaxis]
    if values.dtype.kind not in "biuf" or values.shape[1:] != shape:
        sizes = ", ".join(map(str, shape))
        raise DataError(
            f"{origin} must hold {kind} samples of numbers, (n, {sizes}); got {values.dtype}"
            f" {values.shape}"
        )
    if not isinstance(encoder, ImageEncoder):
        wrong = np.argwhere(~np.isfinite(values))
        if len(wrong) and kind != "table":
            place = tuple(wrong[0].tolist())
            raise DataError(f"{origin} must hold finite numbers; {list(place)} is {values[place]}")
        wide = values.astype(np.float64)
        if kind == "table":
            return _taken_rows(wide, labels, origin, notify)
        return _taken(wide, labels, origin)
    given: Array = raw_samples(pixels_of(values, encoder, origin), labels)
    return given


def _read_rows(path: Path, labels: Labels) -> Array:
    check_size(path)
    found = read_rows(path, labels.columns, labels.reading)
    _check_places(str(path), found, labels)
    _check_amount(len(found.values), labels)
    return found.values


def _check_places(given: str, found: NewRows, labels: Labels) -> None:
    """Raise DataError if a file without a header seems to lack the column of the targets.

    Its columns are known by their places alone: without that column, those behind it would be taken
    for their neighbours. The number of columns tells, where the model knows it; else a value that
    is no target, where the column must be.
    """
    target = labels.reading.target
    if labels.reading.header != "none" or not target:
        return
    targets = (target,) if isinstance(target, str) else target
    if max(int(column.name) for column in labels.columns) < min(map(int, targets)):
        return  # what is lacking lies behind all values
    if labels.width:
        check_width(given, found.width, labels.width)
    if labels.width or not isinstance(target, str):
        return
    fits, wanted = _of_target(labels.task)
    for place, label in zip(found.places, found.labels or (), strict=bool(found.labels)):
        if label is not None and not fits(label.strip()):
            raise DataError(
                f"{place}: column {target} must hold {wanted}, or nothing, as in the training file,"
                f" which has no header; it is {label[:40]!r}. Keep that column, if only empty"
            )


def _of_target(task: Task) -> tuple[Callable[[str], bool], str]:
    """Return what says whether a text may be a target, and what targets are."""
    match task:
        case Classification():
            return task.names.__contains__, f"a class, {listed(task.names)}"
        case Regression():
            return lambda text: is_number(text.replace(",", ".")), "a number"
        case _:
            return bool, "labels"  # words with signs between them


def _taken(rows: Array, labels: Labels, origin: str) -> Array:
    """Return the model's input for rows or sequences as a dataset has them."""
    with np.errstate(over="ignore", invalid="ignore"):
        encoded = labels.encoder.encode(rows)
    if not np.isfinite(encoded).all():
        raise DataError(f"{origin}: a value is too far from those the model was trained on")
    given: Array = raw_samples(rows, labels) if labels.is_raw else encoded
    return given


def _doubts(rows: Array, labels: Labels) -> Iterator[str]:
    """Yield what rows have that no training row had."""
    encoder = labels.encoder
    if not isinstance(encoder, TableEncoder):
        raise TypeError("rows can only be encoded for a model of tables")
    missing, unknown = np.isnan(rows).sum(axis=0), (rows == -1).sum(axis=0)
    for number, column in enumerate(labels.columns):
        if missing[number] and encoder.shares[number] is None:
            stands = "as no category" if column.type == CATEGORY else "as the mean"
            yield (
                f"{missing[number]:,} of {len(rows):,} rows lack {column.name}, which no training"
                f" sample does; it counts {stands}"
            )
        if unknown[number] and column.type == CATEGORY:
            yield (
                f"{unknown[number]:,} of {len(rows):,} rows have a {column.name} that is none of"
                f" the {len(column.categories):,} categories known from training; it counts as none"
            )


def _size(labels: Labels) -> int:
    """Return the bytes of one sample's input."""
    parts = [labels.part(each.name) for each in labels.inputs] or [labels]
    shapes = (
        raw_shape(part.encoder) if part.is_raw else part.encoder.input_shape for part in parts
    )
    return sum(4 * math.prod(shape) for shape in shapes)


def _check_amount(count: int, labels: Labels) -> None:
    size = _size(labels)
    if count * size > MAX_INPUT_BYTES:
        raise DataError(
            f"at most {MAX_INPUT_BYTES // size:,} samples can be predicted at once with this model;"
            f" got {count:,} or more. Predict them in several parts."
        )


_READERS: dict[str, Callable[[str, Asked], Iterable[Sample]]] = {
    "image": _pictures,
    "text": _texts,
    "table": _rows,
    "sequence": _sequences,
    "several": _several,
}
