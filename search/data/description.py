"""The description of a dataset: counts, targets, duplicates, and statistics of its kind.

Of the test set it has only the number of samples, the classes or labels, and the duplicates.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from search.data.arrays import Several, Texts, pieces, words_of
from search.data.dataset import Dataset
from search.data.duplicates import Duplicates, find_duplicates
from search.data.inputs import columns_of
from search.data.reading import CATEGORY, NUMBER, Column
from search.tasks import MULTI_LABEL, REGRESSION, MultiOutput, Task
from spaces import TextInput

LEVELS = 256


@dataclass(frozen=True)
class ImageStatistics:
    """Statistics over all training images.

    Attributes:
        lowest: smallest value of any pixel, 0..255.
        highest: largest.
        mean: over all pixels and channels.
        std: standard deviation, likewise.
        channel_means: mean of each channel.
        channel_stds: standard deviation of each.
        constant_pixels: fraction of pixels (of a channel) with the same value in all images.
        brightest: name of the group, such as a class, with the largest mean over its pixels.
        brightest_mean: that mean.
        darkest: name of the group with the smallest.
        darkest_mean: that mean.
    """

    lowest: int
    highest: int
    mean: float
    std: float
    channel_means: tuple[float, ...]
    channel_stds: tuple[float, ...]
    constant_pixels: float
    brightest: str
    brightest_mean: float
    darkest: str
    darkest_mean: float

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON; an image has no missing values."""
        return {"missing_values": 0, **asdict(self)}


@dataclass(frozen=True)
class Group:
    """Training samples that pictures show together.

    Attributes:
        name: of a class, a label, or a range of numbers.
        rows: which samples they are, sorted; a sample may be in several groups, or in none.
    """

    name: str
    rows: NDArray[np.int64]


GROUPS = 5  # of numbers


def groups_of(dataset: Dataset) -> tuple[Group, ...]:
    """Return the training samples by class, or by label; or by size of the first number.

    Of several outputs they are those of the first.
    """
    if dataset.task.outputs:
        return groups_of(dataset.of_output(dataset.task.outputs[0]))
    targets, task = np.asarray(dataset.train_labels), dataset.task
    if task.name == REGRESSION:
        ordered = np.argsort(targets[:, 0], kind="stable")
        parts = [part for part in np.array_split(ordered, GROUPS) if len(part)]
        ends = [(targets[part[0], 0], targets[part[-1], 0]) for part in parts]
        names = [f"{task.names[0]} {low:.4g} to {high:.4g}" for low, high in ends]
        return tuple(Group(name, np.sort(part)) for name, part in zip(names, parts, strict=True))
    if task.name == MULTI_LABEL:
        columns = (np.flatnonzero(targets[:, at]) for at in range(targets.shape[1]))
        return tuple(Group(name, rows) for name, rows in zip(task.names, columns, strict=True))
    ordered = np.argsort(targets, kind="stable")
    ends_at = np.cumsum(np.bincount(targets, minlength=len(task.names)))[:-1]
    members = np.split(ordered, ends_at)
    return tuple(Group(name, rows) for name, rows in zip(task.names, members, strict=True))


def describe_images(images: NDArray[np.uint8], groups: Sequence[Group]) -> ImageStatistics:
    """Return the statistics of images.

    Args:
        images: (n, height, width, channels), memory-mapped; read in pieces.
        groups: of the images, of which the brightest and the darkest are told.
    """
    histogram, changing, brightness = _tally(images)
    levels = np.flatnonzero(histogram.sum(axis=0))
    mean, std = _moments(histogram.sum(axis=0))
    of_channels = [_moments(row) for row in histogram]
    ranked = sorted((float(brightness[g.rows].mean()), g.name) for g in groups if len(g.rows))
    ranked = ranked or [(float(brightness.mean()), "all")]
    return ImageStatistics(
        lowest=int(levels[0]),
        highest=int(levels[-1]),
        mean=mean,
        std=std,
        channel_means=tuple(mean for mean, _ in of_channels),
        channel_stds=tuple(std for _, std in of_channels),
        constant_pixels=1 - float(changing.mean()),
        brightest=ranked[-1][1],
        brightest_mean=ranked[-1][0],
        darkest=ranked[0][1],
        darkest_mean=ranked[0][0],
    )


def _tally(
    images: NDArray[np.uint8],
) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.float64]]:
    """Return the statistics of one pass over the images.

    Returns:
        How often each value occurs, (channels, 256); which pixels have more than one value,
        (height, width, channels); each image's mean, (n,).
    """
    channels = images.shape[-1]
    histogram = np.zeros((channels, LEVELS), np.int64)
    changing = np.zeros(images.shape[1:], np.bool_)
    brightness = np.empty(len(images))
    first = np.asarray(images[0])
    for where, piece in pieces(images):
        for channel in range(channels):
            values = piece[..., channel].ravel()
            histogram[channel] += np.bincount(values, minlength=LEVELS)
        changing |= (piece != first).any(axis=0)
        brightness[where] = piece.reshape(len(piece), -1).mean(axis=1)
    return histogram, changing, brightness


def _moments(histogram: NDArray[np.int64]) -> tuple[float, float]:
    """Return mean and standard deviation of values 0..255 counted in `histogram`."""
    values, count = np.arange(LEVELS), histogram.sum()
    mean = (histogram * values).sum() / count
    return float(mean), float(np.sqrt((histogram * (values - mean) ** 2).sum() / count))


@dataclass(frozen=True)
class ColumnStatistics:
    """Statistics of one column over all training rows.

    Attributes:
        name: its name.
        lowest: smallest of its values; None for categories, and if all values are missing.
        mean: of the values; of truth values the fraction of true ones.
        std: their standard deviation.
        highest: largest of its values.
        type: `number`, `category`, `truth` or `date`, which is in seconds since 1970 (UTC).
        missing: number of missing values.
        categories: number of categories that occur; 0 for other types.
        frequent: of a category or truth column the most frequent words and how often they occur.
    """

    name: str
    lowest: float | None
    mean: float | None
    std: float | None
    highest: float | None
    type: str = NUMBER
    missing: int = 0
    categories: int = 0
    frequent: tuple[tuple[str, int], ...] = ()

    @property
    def constant(self) -> bool:
        """Whether it has the same value, or none, in all rows."""
        if self.type == CATEGORY:
            return self.categories + bool(self.missing) <= 1
        return self.lowest == self.highest and (self.lowest is None or not self.missing)


@dataclass(frozen=True)
class TableStatistics:
    """Statistics over all training rows.

    Attributes:
        missing: number of missing values.
        columns: statistics of each column, in order.
    """

    missing: int
    columns: tuple[ColumnStatistics, ...]

    @property
    def constant_columns(self) -> tuple[str, ...]:
        """Names of the constant columns."""
        return tuple(column.name for column in self.columns if column.constant)

    def to_json(self) -> dict[str, Any]:
        """Return everything."""
        return {
            "missing_values": self.missing,
            "constant_columns": list(self.constant_columns),
            "columns": [asdict(column) for column in self.columns],
        }


def describe_table(rows: NDArray[np.floating], columns: Sequence[Column]) -> TableStatistics:
    """Return the statistics of rows.

    Args:
        rows: (n, columns), memory-mapped; read twice in pieces.
        columns: of the rows.
    """
    count = rows.shape[1]
    lowest, highest = np.full(count, np.nan), np.full(count, np.nan)
    total, missing = np.zeros(count), np.zeros(count, np.int64)
    words = {n: np.zeros(len(c.words), np.int64) for n, c in enumerate(columns) if c.words}
    for _, piece in pieces(rows):
        absent = np.isnan(piece)
        missing += absent.sum(axis=0)
        lowest = np.fmin(lowest, np.fmin.reduce(piece, axis=0))
        highest = np.fmax(highest, np.fmax.reduce(piece, axis=0))
        total += np.where(absent, 0, piece).sum(axis=0, dtype=np.float64)
        for number, found in words.items():
            known = piece[:, number][piece[:, number] >= 0].astype(np.int64)
            found += np.bincount(known, minlength=len(found))
    given = len(rows) - missing
    mean = np.divide(total, given, out=np.full(count, np.nan), where=given > 0)
    # A second pass: the mean of squares minus the square of the mean would cancel.
    squares = np.zeros(count)
    for _, piece in pieces(rows):
        squares += np.nan_to_num((piece - mean) ** 2).sum(axis=0)
    std = np.sqrt(np.divide(squares, given, out=np.full(count, np.nan), where=given > 0))
    moments = np.column_stack([lowest, mean, std, highest]).tolist()
    return TableStatistics(
        int(missing.sum()),
        tuple(
            _column_statistics(column, moments[n], int(missing[n]), words.get(n))
            for n, column in enumerate(columns)
        ),
    )


def _column_statistics(
    column: Column, moments: Sequence[float], missing: int, words: NDArray[np.int64] | None
) -> ColumnStatistics:
    lowest, mean, std, highest = (
        None if value != value or column.type == CATEGORY else value for value in moments
    )
    counts = [] if words is None else list(zip(column.words, words.tolist(), strict=True))
    counts = sorted((pair for pair in counts if pair[1]), key=lambda pair: -pair[1])
    return ColumnStatistics(
        column.name,
        lowest,
        mean,
        std,
        highest,
        type=column.type,
        missing=missing,
        categories=len(counts) if column.type == CATEGORY else 0,
        frequent=tuple(counts[:MOST_FREQUENT]),
    )


LONG = TextInput().length  # words; a text space's default length
MOST_FREQUENT = 20


@dataclass(frozen=True)
class TextStatistics:
    """Statistics over all training texts, in words as the encoder counts them.

    Attributes:
        shortest: words of the shortest text.
        median: words of the text in the middle.
        mean: words per text.
        percentile_95: 95 % of the texts have at most this many words.
        longest: words of the longest text.
        long: texts with more than `LONG` words.
        long_share: their share of all texts, 0 to 1.
        empty: texts without any word.
        words: words in all.
        distinct_words: different words.
        frequent: the most frequent words and how often they occur.
    """

    shortest: int
    median: float
    mean: float
    percentile_95: float
    longest: int
    long: int
    long_share: float
    empty: int
    words: int
    distinct_words: int
    frequent: tuple[tuple[str, int], ...]

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON; texts may be empty, but not missing."""
        return {"missing_values": 0, "long_means_more_than": LONG, **asdict(self)}


def describe_texts(texts: Texts) -> TextStatistics:
    """Return the statistics of texts."""
    counts: Counter[str] = Counter()
    lengths = np.empty(len(texts), np.int64)
    for number, text in enumerate(texts):
        words = words_of(text)
        counts.update(words)
        lengths[number] = len(words)
    long = int((lengths > LONG).sum())
    return TextStatistics(
        shortest=int(lengths.min()),
        median=float(np.median(lengths)),
        mean=float(lengths.mean()),
        percentile_95=float(np.percentile(lengths, 95)),
        longest=int(lengths.max()),
        long=long,
        long_share=long / len(lengths),
        empty=int((lengths == 0).sum()),
        words=int(lengths.sum()),
        distinct_words=len(counts),
        # Ties in alphabetical order, so that the list is the same everywhere.
        frequent=tuple(
            sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:MOST_FREQUENT]
        ),
    )


@dataclass(frozen=True)
class NumberStatistics:
    """A number to predict, over all training samples.

    Attributes:
        name: its name.
        mean: of all.
        std: their standard deviation.
        quantiles: value by share of the samples, in percent: 0 is the lowest, 100 the highest.
        different: how many different numbers.
        counts: samples in bins of equal width from the lowest to the highest.
    """

    name: str
    mean: float
    std: float
    quantiles: dict[int, float]
    different: int
    counts: tuple[int, ...]


QUANTILES = (0, 5, 25, 50, 75, 95, 100)
BINS = 40


def describe_numbers(
    names: Sequence[str], targets: NDArray[np.float64]
) -> tuple[NumberStatistics, ...]:
    """Return the statistics of numbers to predict, `(n, numbers)`."""
    return tuple(
        NumberStatistics(
            name,
            float(values.mean()),
            float(values.std()),
            dict(zip(QUANTILES, np.percentile(values, QUANTILES).tolist(), strict=True)),
            len(np.unique(values)),
            tuple(np.histogram(values, bins=BINS)[0].tolist()),
        )
        for name, values in zip(names, targets.T, strict=True)
    )


TEST_NOTE = "test set: counts and duplicates only"
NEARLY_BALANCED = 1.5  # largest class to smallest

Statistics: TypeAlias = ImageStatistics | TextStatistics | TableStatistics


@dataclass(frozen=True)
class ClassCounts:
    """One class or label.

    Attributes:
        label: its index.
        train: number of training samples.
        train_share: of all training samples, 0 to 1.
        test: number of test samples.
        test_share: of all test samples, 0 to 1.
    """

    label: int
    name: str
    train: int
    train_share: float
    test: int
    test_share: float


_OF_INPUT = ("kind", "shape", "dtype", "pixel_range", "statistics")
_OF_OUTPUT = (
    *("task", "balance", "largest_to_smallest_class", "classes", "numbers", "labels_per_sample"),
)


@dataclass(frozen=True)
class Description:
    """A description of a dataset.

    Attributes:
        dataset: the dataset.
        shape: of one sample; empty for texts.
        dtype: NumPy's name of the values' type; `str` for texts.
        train: number of training samples.
        test: number of test samples.
        classes: classes, by number; or labels, of which a sample has any number.
        numbers: to predict; empty where classes or labels are.
        labels_per_sample: training samples by their number of labels, from 0; empty for other
            tasks.
        duplicates: counts of equal samples.
        statistics: of the training samples; None of several inputs.
        inputs: of several the description of each, by its name.
        outputs: of several the description of each, by its name.
    """

    dataset: Dataset
    shape: tuple[int, ...]
    dtype: str
    train: int
    test: int
    classes: tuple[ClassCounts, ...]
    numbers: tuple[NumberStatistics, ...]
    labels_per_sample: tuple[int, ...]
    duplicates: Duplicates
    statistics: Statistics | None
    inputs: tuple[tuple[str, "Description"], ...] = ()
    outputs: tuple[tuple[str, "Description"], ...] = ()

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """The training samples as pictures show them together."""
        return groups_of(self.dataset)

    @property
    def noun(self) -> str:
        """What a group is."""
        task = self.dataset.task
        name = task.parts[0].task.name if isinstance(task, MultiOutput) else task.name
        return {REGRESSION: "range", MULTI_LABEL: "label"}.get(name, "class")

    @property
    def imbalance(self) -> float | None:
        """Ratio of the largest to the smallest class or label in training; None with an empty one.

        None also for numbers.
        """
        counts = [counted.train for counted in self.classes]
        smallest = min(counts, default=0)
        return max(counts) / smallest if smallest else None

    @property
    def remaining(self) -> int:
        """Number of training samples without the duplicates."""
        return self.train - len(self.duplicates.droppable)

    @property
    def balance(self) -> str:
        """The training set's balance of classes or labels in one phrase; empty for numbers."""
        ratio = self.imbalance
        if not self.classes:
            return ""
        if ratio is None:
            return f"unbalanced: no training sample of {self._absent()}"
        largest = max(self.classes, key=lambda counted: counted.train)
        smallest = min(self.classes, key=lambda counted: counted.train)
        if largest.train == smallest.train:
            return f"balanced: {largest.train:,} training samples of each {self.noun}"
        degree = "nearly balanced" if ratio < NEARLY_BALANCED else "unbalanced"
        shown = f"{ratio:.1f}" if ratio >= 1.05 else f"{ratio:.3f}"
        return f"{degree}: largest to smallest {shown} : 1 ({largest.name} to {smallest.name})"

    def _absent(self) -> str:
        names = [counted.name for counted in self.classes if not counted.train]
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        return ", ".join(names[:3]) + more

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON."""
        ranged = self.dataset.pixel_range
        return {
            "dataset": self.dataset.name,
            "kind": self.dataset.kind,
            "source": self.dataset.source,
            "digest": self.dataset.digest,
            "folder": str(self.dataset.folder),
            "shape": list(self.shape),
            "dtype": self.dtype,
            "pixel_range": ranged and ranged.to_json(),
            "train": self.train,
            "test": self.test,
            "task": self.dataset.task.name,
            "balance": self.balance,
            "largest_to_smallest_class": self.imbalance,
            "classes": [asdict(counted) for counted in self.classes],
            "numbers": [asdict(number) for number in self.numbers],
            "labels_per_sample": list(self.labels_per_sample),
            "duplicates": self.duplicates.to_json(),
            "statistics": self.statistics and self.statistics.to_json(),
            **{
                called: {name: {field: part.to_json()[field] for field in own} for name, part in of}
                for called, of, own in (
                    ("inputs", self.inputs, _OF_INPUT),
                    ("outputs", self.outputs, _OF_OUTPUT),
                )
                if of
            },
            "notes": [TEST_NOTE],
        }


def describe(dataset: Dataset) -> Description:
    """Describe a dataset; its samples are read in pieces."""
    duplicates = find_duplicates(dataset)
    inputs = (
        (one.name, _description(dataset.input(one.name), duplicates)) for one in dataset.inputs
    )
    outputs = (
        (name, _description(dataset.of_output(name), duplicates, samples=False))
        for name in dataset.task.outputs
    )
    found = _description(dataset, duplicates)
    return replace(found, inputs=tuple(inputs), outputs=tuple(outputs))


def _description(dataset: Dataset, duplicates: Duplicates, *, samples: bool = True) -> Description:
    """Describe a dataset as if it had one input and one output, without what it has several of.

    Args:
        dataset: the dataset, or one input or output of it.
        duplicates: of the whole.
        samples: whether to describe them; else only the targets.
    """
    labels, test_labels = np.asarray(dataset.train_labels), np.asarray(dataset.open_test()[1])
    task, given = dataset.task, dataset.train_samples
    has_numbers, has_labels = task.name == REGRESSION, task.name == MULTI_LABEL
    per_sample = np.bincount(labels.sum(axis=1, dtype=np.int64)) if has_labels else np.empty(0)
    has_classes = not (has_numbers or task.outputs)
    return Description(
        dataset=dataset,
        shape=() if isinstance(given, Texts | Several) else given.shape[1:],
        dtype=_dtype(given),
        train=len(labels),
        test=len(test_labels),
        classes=_class_counts(task, labels, test_labels) if has_classes else (),
        numbers=describe_numbers(task.names, labels) if has_numbers else (),
        labels_per_sample=tuple(int(count) for count in per_sample),
        duplicates=duplicates,
        statistics=_statistics(dataset) if samples and not dataset.inputs else None,
    )


def _dtype(samples: Any) -> str:
    if isinstance(samples, Several):
        return ""
    return "str" if isinstance(samples, Texts) else str(samples.dtype.name)


def _class_counts(task: Task, train: NDArray[Any], test: NDArray[Any]) -> tuple[ClassCounts, ...]:
    names = task.names
    counts = [
        (
            np.bincount(targets, minlength=len(names))
            if targets.ndim == 1
            else targets.sum(axis=0, dtype=np.int64)
        ).tolist()
        for targets in (train, test)
    ]
    return tuple(
        ClassCounts(
            label, name, in_train, in_train / len(train), in_test, in_test / max(1, len(test))
        )
        for label, (name, in_train, in_test) in enumerate(zip(names, *counts, strict=True))
    )


def _statistics(dataset: Dataset) -> Statistics:
    samples = dataset.train_samples
    if isinstance(samples, Texts):
        return describe_texts(samples)
    if dataset.kind == "table":
        return describe_table(samples, columns_of(dataset))
    if dataset.kind == "sequence":  # over all steps of all sequences
        features = samples.shape[-1]
        names = tuple(Column(f"feature {number}") for number in range(1, features + 1))
        return describe_table(samples.reshape(-1, features), names)
    return describe_images(samples, groups_of(dataset))
