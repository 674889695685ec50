"""Which features of a TFDS dataset are the samples and the labels."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NoReturn

from search.data.picture_files import MAX_PIXELS
from search.errors import DataError

CHANNELS = (1, 3)
REMEDY = "Choose another dataset, or write what is wanted to files of your own."


@dataclass(frozen=True)
class Feature:
    """One feature of a dataset.

    Attributes:
        name: its name.
        kind: `image`, `text`, `label`, or what TFDS calls its type.
        shape: of an image, (height, width, channels); None where it varies.
        dtype: of an image.
        classes: of a label: class names; empty where the dataset does not say.
    """

    name: str
    kind: str
    shape: tuple[int | None, ...] = ()
    dtype: str = ""
    classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Choice:
    """The features to read: an image or a text, and the label."""

    sample: Feature
    label: Feature


def choose(features: Sequence[Feature], supervised: Collection[str], origin: str) -> Choice:
    """Return the one sample and the one label that a dataset has.

    Where there are several, those count that the dataset itself names as input and target. An
    image goes before texts, which are often its file's name.

    Args:
        features: all there are.
        supervised: names of input and target; empty where the dataset names none.
        origin: the dataset's name in messages.

    Raises:
        DataError: there is no label or no sample, several of them, or one of an unfit kind.
    """
    labels = [feature for feature in features if feature.kind == "label"]
    images = [feature for feature in features if feature.kind == "image"]
    texts = [feature for feature in features if feature.kind == "text"]
    label = _only(_named(labels, supervised) or labels)
    if label is None:
        _refuse(features, origin, "one class label", len(labels))
    if not label.classes:
        raise DataError(
            f"{origin}: the label must name its classes; {label.name} does not. {REMEDY}"
        )
    samples = _named([*images, *texts], supervised) or images or texts
    sample = _only(samples)
    if sample is None:
        _refuse(features, origin, "one image or one text, not a pair,", len(samples))
    if sample.kind == "image":
        _check_image(sample, origin)
    return Choice(sample, label)


def _named(features: list[Feature], names: Collection[str]) -> list[Feature]:
    return [feature for feature in features if feature.name in names]


def _only(features: list[Feature]) -> Feature | None:
    return features[0] if len(features) == 1 else None


def _refuse(features: Sequence[Feature], origin: str, what: str, count: int) -> NoReturn:
    shown = ", ".join(f"{feature.name} ({feature.kind})" for feature in features) or "none"
    raise DataError(
        f"{origin} must have {what} among its features; it has {count}: {shown}. {REMEDY}"
    )


def _check_image(image: Feature, origin: str) -> None:
    sides = [side for side in image.shape[:2] if side is not None]
    is_honest = all(side > 0 for side in sides) and math.prod(sides) <= MAX_PIXELS
    fits = image.dtype == "uint8" and len(image.shape) == 3 and image.shape[-1] in CHANNELS
    if not (fits and is_honest):
        shape = ", ".join("?" if side is None else str(side) for side in image.shape)
        raise DataError(
            f"{origin}: images must be uint8 with 1 or 3 channels and at most {MAX_PIXELS:,}"
            f" pixels; {image.name} is {image.dtype} ({shape}). {REMEDY}"
        )
