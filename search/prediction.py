"""Classes and probabilities for picture files."""

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
class PicturePrediction:
    """What a model says of one file.

    Attributes:
        classes: the likeliest classes with their probabilities, likeliest first.
        inverted: dark and bright look swapped against the training images.
    """

    path: Path
    classes: tuple[tuple[str, float], ...]
    inverted: bool


def predict_files(
    folder: Path, paths: Sequence[Path], *, top: int = 1, invert: bool = False
) -> list[PicturePrediction]:
    """Predict picture files with an exported model.

    All files are read before TensorFlow is loaded, so a bad one is told at once.

    Raises:
        DataError: no exported model there, or a file that is no picture.
    """
    model_folder = ModelFolder(folder)
    labels = model_folder.labels()
    pictures = [read_picture(path, labels, invert=invert) for path in paths]
    load_tensorflow()
    from search.fit import predict

    model = model_folder.load()
    _check_fits(model_folder, labels, model)
    probabilities = predict(model, np.stack([picture.pixels for picture in pictures]))
    result = []
    for path, picture, row in zip(paths, pictures, probabilities, strict=True):
        order = np.argsort(-row)[:top]
        classes = tuple((labels.classes[index], float(row[index])) for index in order)
        result.append(PicturePrediction(path, classes, picture.inverted))
    return result


def _check_fits(folder: ModelFolder, labels: Labels, model: Any) -> None:
    fits = tuple(model.input_shape[1:]) == labels.input_shape and model.output_shape[-1] == len(
        labels.classes
    )
    if not fits:
        raise DataError(
            f"{folder.path}: labels.json must fit model.keras; it tells of input"
            f" {labels.input_shape} and {len(labels.classes)} classes, the model has input"
            f" {model.input_shape[1:]} and {model.output_shape[-1]} outputs. Export again."
        )
