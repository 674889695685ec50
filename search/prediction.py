"""Classes and probabilities for pictures, texts or rows of a table."""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from search.chatter import load_tensorflow
from search.errors import DataError
from search.model_folder import Labels, ModelFolder
from search.pictures import read_picture


@dataclass(frozen=True)
class Prediction:
    """What a model says of one sample.

    Attributes:
        sample: the picture's file, the text itself, or file and line of a table's row.
        classes: the likeliest classes with their probabilities, likeliest first.
        inverted: of a picture: dark and bright look swapped against the training images.
    """

    sample: str
    classes: tuple[tuple[str, float], ...]
    inverted: bool = False


@dataclass(frozen=True)
class _Sample:
    name: str
    encoded: Any
    inverted: bool = False


def predict_samples(
    folder: Path, given: Sequence[str], *, top: int = 1, invert: bool = False
) -> list[Prediction]:
    """Predict samples with an exported model.

    Everything is read before TensorFlow is loaded, so a bad sample is told at once.

    Args:
        folder: what `export` wrote.
        given: for a model of images, picture files; of texts, texts or text files with one text a
            line; of tables, CSV files whose header names the model's columns.
        top: number of classes to list.
        invert: swap dark and bright of pictures first.

    Raises:
        DataError: no exported model there, or a sample that cannot be read.
    """
    model_folder = ModelFolder(folder)
    labels = model_folder.labels()
    samples = [sample for text in given for sample in _READERS[labels.kind](text, labels, invert)]
    load_tensorflow()
    from search.fit import predict

    model = model_folder.load()
    _check_fits(model_folder, labels, model)
    inputs = np.stack([sample.encoded for sample in samples])
    result = []
    for sample, row in zip(samples, predict(model, inputs, len(labels.classes)), strict=True):
        order = np.argsort(-row)[:top]
        classes = tuple((labels.classes[index], float(row[index])) for index in order)
        result.append(Prediction(sample.name, classes, sample.inverted))
    return result


def _pictures(given: str, labels: Labels, invert: bool) -> list[_Sample]:
    picture = read_picture(Path(given), labels, invert=invert)
    return [_Sample(given, picture.pixels, picture.inverted)]


def _texts(given: str, labels: Labels, _: bool) -> list[_Sample]:
    path = Path(given)
    texts = [given]
    if len(given) < 256 and path.is_file():
        try:
            texts = [line for line in path.read_text().splitlines() if line.strip()]
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path} must be a text file in UTF-8; {error}") from error
    if not texts:
        raise DataError(f"{path} holds no text")
    tokens = labels.encoder.encode(texts)
    return [_Sample(text, row) for text, row in zip(texts, tokens, strict=True)]


def _rows(given: str, labels: Labels, _: bool) -> list[_Sample]:
    path = Path(given)
    try:
        with path.open(newline="") as file:
            reader = csv.DictReader(file)
            missing = [name for name in labels.columns if name not in (reader.fieldnames or ())]
            if missing:
                raise DataError(
                    f"{path} must have the columns {', '.join(labels.columns)} in its first line;"
                    f" missing: {', '.join(missing)}"
                )
            rows = [_row(path, reader.line_num, entry, labels.columns) for entry in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} must be a CSV file that can be read: {error}") from error
    if not rows:
        raise DataError(f"{path} has no row below its header")
    encoded = labels.encoder.encode(np.array(rows, np.float64))
    return [_Sample(f"{path}, row {n}", row) for n, row in enumerate(encoded, start=1)]


def _row(path: Path, line: int, entry: dict[str, Any], columns: tuple[str, ...]) -> list[float]:
    values = []
    for name in columns:
        try:
            values.append(float(entry[name]))
        except (TypeError, ValueError):
            values.append(math.nan)
        if not math.isfinite(values[-1]):
            raise DataError(
                f"{path}, line {line}: column {name} must be a number; got {entry[name]!r}"
            )
    return values


_READERS = {"image": _pictures, "text": _texts, "table": _rows}


def _check_fits(folder: ModelFolder, labels: Labels, model: Any) -> None:
    wanted = labels.encoder.input_shape
    shape = tuple(model.input_shape[1:])
    open_length = labels.kind == "text" and shape == (None,)
    units = model.output_shape[-1]
    classes = len(labels.classes)
    if (shape != wanted and not open_length) or (units != classes and (units, classes) != (1, 2)):
        raise DataError(
            f"{folder.path}: labels.json must fit model.keras; it tells of input {wanted} and"
            f" {classes} classes, the model has input {shape} and {units} outputs. Export again."
        )
