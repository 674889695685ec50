"""From a TFDS builder with prepared data to arrays; runs in the child process only."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.data.arrays import IMAGES, LABELS, PIECE_BYTES, Labels, array_file, write_array
from search.data.contents import Contents
from search.data.formats.tfds_features import Choice, Feature, choose
from search.data.formats.tfds_images import resize, size_of, usual_size
from search.data.formats.tfds_splits import set_aside
from search.data.texts import write_texts
from search.errors import DataError

TEST_SPLITS = ("test", "validation")
MAX_BATCH = 1024
UNLABELLED = -1


def chosen_features(builder: Any, origin: str) -> Choice:
    """Return the features to read; the data need not be there yet.

    Args:
        builder: of TFDS.
        origin: the dataset's name in messages.

    Raises:
        DataError: it is no classification set of images or texts.
    """
    features = builder.info.features
    items = features.items() if hasattr(features, "items") else ()
    supervised = [key for key in builder.info.supervised_keys or () if isinstance(key, str)]
    return choose([_described(name, feature) for name, feature in items], supervised, origin)


def write_dataset(builder: Any, out: Path, origin: str) -> Contents:
    """Write the arrays of a prepared dataset, in the order of its files.

    Args:
        builder: of TFDS.
        out: receives the `.npy` files.
        origin: the dataset's name in messages.

    Raises:
        DataError: it is no classification set of images or texts, has no split `train`, or none
            to test on and too few samples to set some aside.
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
    """Write the test arrays and return what is to be told of them."""
    for split in TEST_SPLITS:
        if split in splits and (reader.write(split, out, "test") != UNLABELLED).any():
            if split == TEST_SPLITS[0]:
                return []
            reason = "`test` has no labels" if TEST_SPLITS[0] in splits else "there is no `test`"
            return [f"{origin}: the split `{split}` is the test set, as {reason}."]
    return [set_aside(out, reader.choice.sample.kind, origin)]


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
        builder: of TFDS.
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
                self._sizes(split)  # refused before they are unpacked, as those of `train` are
            write_array(
                array_file(out, f"{part}_images"), IMAGES, shape, self._images(split, labels)
            )
        all_labels = np.concatenate(labels).astype(LABELS)
        write_array(array_file(out, f"{part}_labels"), LABELS, all_labels.shape, [all_labels])
        return all_labels

    def notices(self, origin: str) -> list[str]:
        """Return what is to be told of the samples."""
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
            # One stray byte is no reason to refuse all other texts.
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
