"""Read the arrays of a TFDS builder with prepared data; runs only in the child process."""

import io
import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from search.data.arrays import (
    IMAGES,
    KINDS,
    LABELS,
    PIECE_BYTES,
    Images,
    Labels,
    Texts,
    array_file,
    map_array,
    write_array,
    write_labels,
    write_part,
    write_texts,
)
from search.data.checks import Contents
from search.data.duplicates import related_groups
from search.data.folds import held_out
from search.data.pictures import MAX_PIXELS, check_pixels, opened, quiet_pillow
from search.errors import DataError
from search.tasks import Classification

CHANNELS = (1, 3)
REMEDY = "Choose another dataset, or write the part you need to your own files."


@dataclass(frozen=True)
class Feature:
    """One feature of a dataset.

    Attributes:
        name: its name.
        kind: `image`, `text`, `label`, or TFDS's name of its type.
        shape: of an image, (height, width, channels); None if it varies.
        dtype: of an image.
        classes: of a label, the class names; empty if the dataset does not give them.
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
    """Return the single sample feature and the single label of a dataset.

    If there are several, those that the dataset itself names as input and target count. An image
    takes precedence over texts, which are often file names.

    Args:
        features: all features of the dataset.
        supervised: names of input and target; empty if the dataset names none.
        origin: the dataset's name in messages.

    Raises:
        DataError: the label or the sample is missing, ambiguous or of an unsupported kind.
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


MAX_SIDE = 256


def size_of(encoded: bytes) -> tuple[int, int]:
    """Return (height, width) of an encoded image; only its header is read.

    Raises:
        DataError: it has too many pixels.
    """
    try:
        with quiet_pillow(), opened(io.BytesIO(encoded)) as picture:
            check_pixels("one of the images", picture.width, picture.height)
            return picture.height, picture.width
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(f"one of the images has too many pixels: {error}") from error


def usual_size(sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Return the median height and width, scaled down together to at most `MAX_SIDE`.

    Args:
        sizes: (height, width) of each image, in pixels; at least one.
    """
    height, width = np.median(np.array(sizes), axis=0)
    scale = min(1.0, MAX_SIDE / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def resize(image: NDArray[Any], size: tuple[int, int]) -> Images:
    """Return an image resized (bilinear, antialiased) to (height, width); proportions may change.

    Args:
        image: uint8 (height, width, 1 or 3).
        size: the target, in pixels.

    Returns:
        uint8 (1, height, width, 1 or 3).
    """
    height, width = size
    channels = image.shape[-1]
    picture = Image.fromarray(image[..., 0] if channels == 1 else image)
    resized = picture.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(resized).reshape(1, height, width, channels)


def set_aside(out: Path, kind: str, origin: str, classes: tuple[str, ...] = ()) -> str:
    """Move a stratified fifth of the training samples to the test arrays; return a notice.

    Args:
        out: contains the arrays `train_...`, which are rewritten; receives `test_...`.
        kind: `image` or `text`.
        origin: the source's name in messages.
        classes: their names in messages.

    Raises:
        DataError: a class has a single sample.
    """
    # The memory map stays valid when its file is replaced.
    maps = [map_array(array_file(out, f"train_{name}")) for name in (*KINDS[kind], "labels")]
    labels = np.asarray(maps.pop())
    samples = Texts(*maps) if kind == "text" else maps[0]
    task, groups = Classification(classes), related_groups(samples)
    parts, notice = held_out(labels, origin, task=task, groups=groups)
    texts = list(Texts(*maps)) if kind == "text" else []
    for split, part in parts.items():
        if kind == "text":
            write_texts(out, split, [texts[index] for index in part])
        else:
            images = maps[0]
            shape, take = images.shape[1:], images.__getitem__
            write_part(out, split, kind=kind, shape=shape, take=take, chosen=part)
        write_labels(out, split, labels[part])
    return notice


TEST_SPLITS = ("test", "validation")
MAX_BATCH = 1024
UNLABELLED = -1


def chosen_features(builder: Any, origin: str) -> Choice:
    """Return the features to read; the data may not be prepared yet.

    Args:
        builder: TFDS's builder.
        origin: the dataset's name in messages.

    Raises:
        DataError: it is not a classification set of images or texts.
    """
    features = builder.info.features
    items = features.items() if hasattr(features, "items") else ()
    supervised = [key for key in builder.info.supervised_keys or () if isinstance(key, str)]
    return choose([_described(name, feature) for name, feature in items], supervised, origin)


def write_dataset(builder: Any, out: Path, origin: str) -> Contents:
    """Write the arrays of a prepared dataset, in the order of its files.

    Args:
        builder: TFDS's builder.
        out: receives the `.npy` files.
        origin: the dataset's name in messages.

    Raises:
        DataError: it is not a classification set of images or texts, has no split `train`, or has
            no test split and too few samples to hold some out.
    """
    reader = _Reader(builder, chosen_features(builder, origin))
    splits = [name for name, split in builder.info.splits.items() if split.num_examples]
    if "train" not in splits:
        raise DataError(
            f"{origin} must have a split `train`; it has {', '.join(splits) or 'none'}."
        )
    reader.write("train", out, "train")
    notices = [*reader.notices(origin), *_write_test(reader, splits, out, origin)]
    choice = reader.choice
    return Contents(choice.sample.kind, choice.label.classes, notices=tuple(notices))


def _write_test(reader: "_Reader", splits: list[str], out: Path, origin: str) -> list[str]:
    """Write the test arrays and return notices about them."""
    for split in TEST_SPLITS:
        if split in splits and (reader.write(split, out, "test") != UNLABELLED).any():
            if split == TEST_SPLITS[0]:
                return []
            reason = "`test` has no labels" if TEST_SPLITS[0] in splits else "there is no `test`"
            return [f"{origin}: the split `{split}` is the test set, as {reason}."]
    choice = reader.choice
    return [set_aside(out, choice.sample.kind, origin, tuple(choice.label.classes))]


def _described(name: str, feature: Any) -> Feature:
    import tensorflow_datasets as tfds

    kinds = tfds.features
    # A LabeledImage has a label for each pixel.
    if isinstance(feature, kinds.Image) and not isinstance(feature, kinds.LabeledImage):
        return Feature(name, "image", tuple(feature.shape), np.dtype(feature.np_dtype).name)
    if isinstance(feature, kinds.Text):
        return Feature(name, "text")
    if getattr(feature, "num_classes", None) and feature.shape == ():
        return Feature(name, "label", classes=tuple(map(str, feature.names)))
    kind = "label" if isinstance(feature, kinds.ClassLabel) else type(feature).__name__
    return Feature(name, kind)


@dataclass(frozen=True)
class _Reader:
    """Reads the chosen features of a builder's splits.

    Attributes:
        builder: TFDS's builder.
        choice: the features.
    """

    builder: Any
    choice: Choice

    def write(self, split: str, out: Path, part: str) -> Labels:
        """Write the arrays of TFDS's `split` as those of `part` and return the labels."""
        labels: list[NDArray[Any]] = []
        if self.choice.sample.kind == "text":
            write_texts(out, part, self._texts(split, labels))
        else:
            shape = (self._count(split), *self._shape)
            if self._varies and split != "train":
                self._sizes(split)  # refused before they are decoded, like those of `train`
            write_array(
                array_file(out, f"{part}_images"), IMAGES, shape, self._images(split, labels)
            )
        all_labels = np.concatenate(labels).astype(LABELS)
        write_array(array_file(out, f"{part}_labels"), LABELS, all_labels.shape, [all_labels])
        return all_labels

    def notices(self, origin: str) -> list[str]:
        """Return notices about the samples."""
        if self.choice.sample.kind == "text" or not self._varies:
            return []
        height, width, _ = self._shape
        return [
            f"The images of {origin} differ in size: all are resized to {height} x {width} pixels"
            " (height x width)."
        ]

    @property
    def _varies(self) -> bool:
        return None in self.choice.sample.shape

    @cached_property
    def _shape(self) -> tuple[int, int, int]:
        height, width, channels = self.choice.sample.shape
        if height is None or width is None:
            height, width = usual_size(self._sizes("train"))
        return height, width, channels or 1

    def _sizes(self, split: str) -> list[tuple[int, int]]:
        rows = self._rows(split, batch=None, encoded=True)
        return [size_of(row[self.choice.sample.name]) for row in rows]

    def _count(self, split: str) -> int:
        return int(self.builder.info.splits[split].num_examples)

    def _texts(self, split: str, labels: list[NDArray[Any]]) -> Iterator[str]:
        for row in self._rows(split, batch=MAX_BATCH):
            labels.append(row[self.choice.label.name])
            # One wrong byte is no reason to refuse all other texts.
            yield from (text.decode(errors="replace") for text in row[self.choice.sample.name])

    def _images(self, split: str, labels: list[NDArray[Any]]) -> Iterator[NDArray[Any]]:
        height, width, channels = self._shape
        batch = max(1, min(MAX_BATCH, PIECE_BYTES // (height * width * channels)))
        for row in self._rows(split, batch=None if self._varies else batch):
            labels.append(np.atleast_1d(row[self.choice.label.name]))
            images = row[self.choice.sample.name]
            yield resize(images, (height, width)) if self._varies else images

    def _rows(self, split: str, *, batch: int | None, encoded: bool = False) -> Any:
        """Yield rows, or batches of them, as mappings from a feature's name to its arrays."""
        import tensorflow_datasets as tfds

        names = (self.choice.sample.name, self.choice.label.name)
        skip = {names[0]: tfds.decode.SkipDecoding()} if encoded else None
        decoders = tfds.decode.PartialDecoding(dict.fromkeys(names, True), decoders=skip)
        rows = self.builder.as_dataset(
            split=split, shuffle_files=False, batch_size=batch, decoders=decoders
        )
        return rows.as_numpy_iterator()
