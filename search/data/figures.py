"""The pictures of a dataset, written to a folder: its targets, texts, images or columns.

All show the training set; of the test set only the number of samples of each class is drawn.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from search.data.arrays import words_of
from search.data.dataset import Dataset
from search.data.description import Description, Group
from search.data.figures_arrays import (
    class_means_figure,
    columns_figure,
    group_names,
    has_correlation,
    largest_groups,
    of_groups,
    pixels_figure,
    samples_figure,
    sequences_figure,
)
from search.errors import SettingsError
from tracking.plots.style import (
    GREY,
    INK,
    RULE,
    SMALL,
    TEST,
    TEXT,
    TITLE,
    TRAINING,
    bars,
    class_names,
    fitted,
    page,
    plain,
    png,
    text_width,
    write,
)

CLASSES, CORRELATION, TARGETS = "classes.png", "correlation.png", "targets.png"
NAMES, BARS, NUMBERS = 200, 230, 130  # pixels
MOST, LARGEST = 100, 60
DRAWN_CLASSES, WORDS = 10, 15
WIDE, MOST_BINS = 640, 64  # pixels and bars of a histogram
WIDEST_NAME, PANEL, HEADING = 160, 280, 14  # pixels of a class's words
# How many words the prior counts for; of few words a tenth of them, or it would drown them.
PRIOR_WORDS, PRIOR_SHARE = 500.0, 0.1
_LEFT_OUT = {
    "image": (),
    "text": ("No samples.png and no correlation.png of texts.",),
    "table": ("No samples.png of a table.",),
    "sequence": (),
}


@dataclass(frozen=True)
class Pictures:
    """What was written.

    Attributes:
        paths: of the PNG files.
        notes: what was left out.
    """

    paths: tuple[Path, ...]
    notes: tuple[str, ...]


def picture_folder(folder: Path) -> Path:
    """Return the folder, made if it is not there.

    Raises:
        SettingsError: it cannot be.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _refusal(folder, error) from error
    return folder


def write_pictures(description: Description, folder: Path) -> Pictures:
    """Write the pictures of a dataset; those of the same names are replaced.

    Raises:
        SettingsError: the folder cannot be written.
    """
    picture_folder(folder)
    paths = []
    for name, figure in figures(description):
        path = folder / name
        picture = png(figure)
        try:
            path.write_bytes(picture)
        except OSError as error:
            raise _refusal(folder, error) from error
        paths.append(path)
    notes = []
    for name, own in description.inputs or (("", description),):
        told = list(_LEFT_OUT[own.dataset.kind])
        if own.dataset.kind == "table" and not has_correlation(own):
            told.append("No correlation.png: all columns are categories.")
        notes += [f"Input {name}: {note}" if name else note for note in told]
    return Pictures(tuple(paths), tuple(notes))


def figures(description: Description) -> Iterator[tuple[str, Figure]]:
    """Yield the figures of a dataset with their file names; of several inputs or outputs each."""
    for output, own in description.outputs or (("", description),):
        yield from _named(output, _of_targets(own))
    for taken, own in description.inputs or (("", description),):
        yield from _named(taken, _of_samples(own))


def _named(part: str, drawn: Iterator[tuple[str, Figure]]) -> Iterator[tuple[str, Figure]]:
    """Yield figures with the name of an input or output before their file names."""
    for name, figure in drawn:
        yield f"{part}-{name}" if part else name, figure


def _of_targets(description: Description) -> Iterator[tuple[str, Figure]]:
    if description.numbers:
        yield TARGETS, numbers_figure(description)
    else:
        yield CLASSES, classes_figure(description)
    if description.labels_per_sample:
        yield "labels_per_sample.png", per_sample_figure(description)


def _of_samples(description: Description) -> Iterator[tuple[str, Figure]]:
    match description.dataset.kind:
        case "image":
            yield "samples.png", samples_figure(description)
            yield "class_means.png", class_means_figure(description)
            yield CORRELATION, pixels_figure(description)
        case "text":
            counts = WordCounts.of(description.dataset, description.groups)
            yield "lengths.png", lengths_figure(description, counts)
            yield "words.png", words_figure(description, counts)
        case "sequence":
            yield "samples.png", sequences_figure(description)
            yield CORRELATION, columns_figure(description)
        case _ if has_correlation(description):
            yield CORRELATION, columns_figure(description)


def _refusal(folder: Path, error: OSError) -> SettingsError:
    return SettingsError(
        f"`--out` must be a folder that can be written; {folder} cannot be ({error.strerror})."
        " Choose another."
    )


def classes_figure(description: Description) -> Figure:
    """Draw the classes' or labels' shares of the training and of the test set side by side.

    Of more than 100 classes the 60 largest and the 40 smallest are drawn.
    """
    has_labels = bool(description.labels_per_sample)
    share = "share of samples with each label" if has_labels else "share of each class"
    title = f"{plain(description.dataset.title)}: {share}"
    classes = description.classes
    if len(classes) > MOST:
        ordered = sorted(classes, key=lambda counted: -counted.train)
        classes = tuple(ordered[:LARGEST] + ordered[LARGEST - MOST :])
        title += f" (the {LARGEST} largest and {MOST - LARGEST} smallest of {len(ordered):,})"
    every = class_names([counted.name for counted in description.classes])
    row = min(34, max(15, 480 // len(classes)))
    letters = min(TEXT, row - 2)
    names = [fitted(every[counted.label], letters, NAMES) for counted in classes]
    indent = 12 + max(text_width(name, letters) for name in names)
    figure, drawn = page(indent + 2 * (BARS + NUMBERS), row * len(names))
    write(drawn, 0, -66, title, size=TITLE)
    for number, name in enumerate(names):
        place = indent - 12, (number + 0.5) * row
        write(drawn, *place, name, size=letters, align="right")
    train = [(counted.train, counted.train_share) for counted in classes]
    test = [(counted.test, counted.test_share) for counted in classes]
    largest = max(share for _, share in train + test) or 1.0
    equal = 1 / len(description.classes)
    for left, counts, colour, heading in (
        (indent, train, TRAINING, f"training, {description.train:,}"),
        (indent + BARS + NUMBERS, test, TEST, f"test, {description.test:,}"),
    ):
        write(drawn, left, -22, heading, size=14)
        _draw_shares(drawn, counts, (left, row), colour, largest)
        if has_labels:
            continue
        edge = left + equal / largest * BARS
        bars(drawn, edge - 1, 0, wide=2, high=row * len(names), colour=RULE)
    note = f"grey line: {100 * equal:.3g} %, the share if all classes were equal"
    if has_labels:
        note = "a sample has any number of labels, so that shares need not sum to 100 %"
    write(drawn, indent, row * len(names) + 24, note, size=SMALL, colour=GREY)
    return figure


def _draw_shares(
    drawn: Axes,
    counts: Sequence[tuple[int, float]],
    place: tuple[float, int],
    colour: str,
    largest: float,
) -> None:
    """Draw one set's bars, and their numbers beside them.

    Args:
        drawn: the page.
        counts: number and share of each class.
        place: left edge, and height of a row.
        colour: of the bars.
        largest: the share that takes the full width.
    """
    left, row = place
    thick = max(8, row - 10)
    middles = (np.arange(len(counts)) + 0.5) * row
    there = np.array([count > 0 for count, _ in counts])
    wide = np.array([share / largest * BARS for _, share in counts])
    bars(drawn, left, (middles - thick / 2)[there], wide=wide[there], high=thick, colour=colour)
    for (count, share), middle in zip(counts, middles, strict=True):
        text, right = f"{count:,}   {100 * share:.1f} %", left + BARS + NUMBERS - 24
        write(drawn, right, middle, text, size=min(12, row - 2), align="right", colour=GREY)


MOST_NUMBERS, HIGH = 12, 110  # numbers that are drawn, and pixels of a histogram


def numbers_figure(description: Description) -> Figure:
    """Draw a histogram of each number to predict, with its median and quartiles."""
    shown = description.numbers[:MOST_NUMBERS]
    step = HIGH + 64
    names = [fitted(plain(number.name), TEXT, WIDEST_NAME) for number in shown]
    figure, drawn = page(WIDE, step * len(shown) - 20)
    name = plain(description.dataset.title)
    title = f"{name}: numbers to predict ({description.train:,} training samples)"
    if len(shown) < len(description.numbers):
        title += f" (the first {len(shown)} of {len(description.numbers)})"
    left = -12 - max(text_width(name, TEXT) for name in names)
    write(drawn, left, -34, title, size=TITLE)
    for row, (called, number) in enumerate(zip(names, shown, strict=True)):
        foot = row * step + HIGH
        low, high = number.quantiles[0], number.quantiles[100]
        counts = np.array(number.counts, np.float64)
        edges = np.linspace(0, WIDE, len(counts) + 1)
        bars_at = foot - counts / counts.max() * (HIGH - 14)
        write(drawn, -12, foot - 14, called, align="right")
        drawn.stairs(bars_at, edges, baseline=foot, fill=True, color=TRAINING, lw=0)
        bars(drawn, 0, foot, wide=WIDE, high=1, colour=RULE)
        for share in (25, 50, 75):
            x = (number.quantiles[share] - low) / (high - low) * WIDE
            bars(drawn, x - 1, foot - HIGH + 14, wide=2, high=HIGH - 14, colour=INK)
        for x, value, align in ((0.0, low, "left"), (WIDE, high, "right")):
            write(drawn, x, foot + 14, f"{value:.6g}", size=SMALL, align=align, colour=GREY)
        quartiles = ", ".join(f"{number.quantiles[share]:.4g}" for share in (25, 50, 75))
        told = f"quartiles {quartiles}; mean {number.mean:.4g}, std {number.std:.4g}"
        write(drawn, WIDE / 2, foot + 14, told, size=SMALL, align="center", colour=GREY)
    return figure


def per_sample_figure(description: Description) -> Figure:
    """Draw how many labels training samples have."""
    counts = description.labels_per_sample
    row, indent = 26, 80
    figure, drawn = page(indent + BARS + NUMBERS, row * len(counts))
    name = plain(description.dataset.title)
    write(drawn, 0, -30, f"{name}: labels of a training sample", size=TITLE)
    for number in range(len(counts)):
        text = f"{number} label{'' if number == 1 else 's'}"
        write(drawn, indent - 12, (number + 0.5) * row, text, align="right")
    shares = [(count, count / description.train) for count in counts]
    _draw_shares(drawn, shares, (indent, row), TRAINING, max(share for _, share in shares))
    return figure


@dataclass(frozen=True)
class WordCounts:
    """The words of each group of a training set.

    Attributes:
        lengths: words of each text, (n,), by group.
        words: how often each word occurs, by group.
    """

    lengths: tuple[NDArray[np.int64], ...]
    words: tuple[Counter[str], ...]

    @classmethod
    def of(cls, dataset: Dataset, groups: Sequence[Group]) -> "WordCounts":
        """Count the words of a dataset of texts, in groups of them."""
        lengths: list[list[int]] = [[] for _ in groups]
        words: tuple[Counter[str], ...] = tuple(Counter() for _ in groups)
        of_text: list[list[int]] = [[] for _ in dataset.train_samples]
        for number, group in enumerate(groups):
            for row in group.rows.tolist():
                of_text[row].append(number)
        for text, own in zip(dataset.train_samples, of_text, strict=True):
            found = words_of(text)
            for number in own:
                lengths[number].append(len(found))
                words[number].update(found)
        return cls(tuple(np.array(some, np.int64) for some in lengths), words)


@dataclass(frozen=True)
class TellingWord:
    """A word that is more frequent in one class than in the others.

    Attributes:
        score: log odds in this class minus those in the others, in standard errors.
        odds: the odds in this class divided by those in the others.
    """

    word: str
    score: float
    odds: float


def telling_words(inside: Counter[str], everything: Counter[str], most: int) -> list[TellingWord]:
    """Return the words that tell a class, the most telling first.

    Source: Monroe, Colaresi and Quinn, "Fightin' Words" (2008), equations 16, 18, 20 and 22: log
    odds with a Dirichlet prior in proportion to each word's frequency in all classes. Rare words,
    of which nothing is certain, come out near zero.

    Args:
        inside: how often each word occurs in the class.
        everything: the same in all classes together.
        most: how many words.
    """
    total, own = everything.total(), inside.total()
    if own in (0, total):
        return []
    strength = min(PRIOR_WORDS, PRIOR_SHARE * total)
    names = list(inside)
    counts = np.array([inside[word] for word in names], np.float64)
    overall = np.array([everything[word] for word in names], np.float64)
    prior = strength * overall / total
    here, there = counts + prior, overall - counts + prior
    here_else, there_else = own + strength - here, total - own + strength - there
    log_odds = np.log(here / here_else) - np.log(there / there_else)
    scores = log_odds / np.sqrt(1 / here + 1 / there)
    order = np.lexsort((np.array(names), -scores))[:most]
    return [
        TellingWord(names[at], float(scores[at]), float(np.exp(log_odds[at])))
        for at in order
        if scores[at] > 0
    ]


def lengths_figure(description: Description, counts: WordCounts) -> Figure:
    """Draw how many words the training texts of each group have; of the ten largest groups."""
    chosen = largest_groups(description, DRAWN_CLASSES)
    lengths = [counts.lengths[label] for label in chosen]
    longest = int(max(np.percentile(np.concatenate(lengths), 99.5), 1))
    step = -(-(longest + 1) // MOST_BINS)
    bins = -(-(longest + 1) // step)
    shares = [_shares(some, step, bins) for some in lengths]
    high = max(64, 360 // len(chosen))
    names = [fitted(name, TEXT, WIDEST_NAME) for name in _names(description, chosen)]
    figure, drawn = page(WIDE, len(chosen) * high)
    name = plain(description.dataset.title)
    title = f"{name}: words per text of {of_groups(description, chosen)}"
    write(drawn, -12 - max(text_width(name, TEXT) for name in names), -24, title, size=TITLE)
    scale = (high - 14) / max(float(share.max()) for share in shares)
    edges = np.linspace(0, WIDE, bins + 1)
    for row, (name, share) in enumerate(zip(names, shares, strict=True)):
        foot = (row + 1) * high
        write(drawn, -12, foot - 14, name, align="right")
        drawn.stairs(foot - share * scale, edges, baseline=foot, fill=True, color=TRAINING, lw=0)
        bars(drawn, 0, foot, wide=WIDE, high=1, colour=RULE)
        median = float(np.median(lengths[row]))
        x = (min(median / step, bins - 0.5) + 0.5 / step) * WIDE / bins
        bars(drawn, x - 1, foot - high + 14, wide=2, high=high - 14, colour=INK)
        write(drawn, WIDE + 12, foot - 14, f"median {median:g}", size=12)
    _write_bins(drawn, len(chosen) * high, bins, step)
    return figure


def _shares(lengths: NDArray[np.int64], step: int, bins: int) -> NDArray[np.float64]:
    """Return the share of texts in each bin of `step` words; the last holds all longer ones."""
    counted = np.bincount(np.minimum(lengths // step, bins - 1), minlength=bins)
    shares: NDArray[np.float64] = counted / len(lengths)
    return shares


def _write_bins(drawn: Axes, foot: float, bins: int, step: int) -> None:
    every = max(1, bins // 8)
    for number in range(0, bins, every):
        middle = (number + 0.5) * WIDE / bins
        first = number * step
        text = f"{first}" if step == 1 else f"{first}-{first + step - 1}"
        write(drawn, middle, foot + 16, text, size=SMALL, align="center", colour=GREY)
    note = (
        f"words per text, the last bar {(bins - 1) * step:,} and more; height: share of the texts"
    )
    write(drawn, 0, foot + 42, note, colour=GREY)


def words_figure(description: Description, counts: WordCounts) -> Figure:
    """Draw the most telling words of each group, by log odds; of the ten largest groups."""
    chosen = largest_groups(description, DRAWN_CLASSES)
    names = [fitted(name, HEADING, PANEL - 24) for name in _names(description, chosen)]
    everything: Counter[str] = Counter()
    for words in counts.words:
        everything.update(words)
    found = [telling_words(counts.words[label], everything, WORDS) for label in chosen]
    others = "classes" if description.noun == "class" else f"{description.noun}s"
    rows = -(-len(chosen) // 5)
    columns = -(-len(chosen) // rows)
    high = 44 + 22 * max(map(len, found), default=0)
    figure, drawn = page(columns * PANEL, rows * high)
    name = plain(description.dataset.title)
    title = f"{name}: most telling words of {of_groups(description, chosen)}"
    note = (
        f"bar: log odds against the other {others}, in standard errors; number: ratio of the odds"
    )
    write(drawn, 0, -38, title, size=TITLE)
    largest = max((word.score for telling in found for word in telling), default=1.0)
    for number, (name, telling) in enumerate(zip(names, found, strict=True)):
        left, top = number % columns * PANEL, number // columns * high
        write(drawn, left, top + 4, name, size=HEADING)
        _draw_words(drawn, telling, left, top + 36, 100 / largest)
    write(drawn, 0, rows * high + 10, note, size=SMALL, colour=GREY)
    return figure


def _draw_words(
    drawn: Axes, words: Sequence[TellingWord], left: float, top: float, scale: float
) -> None:
    """Draw a class's words, a bar each; `scale` is pixels for a score of 1."""
    lengths = np.array([word.score * scale for word in words])
    tops = top + 22 * np.arange(len(words)) - 7
    bars(drawn, left + 112, tops, wide=lengths, high=14, colour=TRAINING)
    for word, length, edge in zip(words, lengths, tops, strict=True):
        write(drawn, left + 104, edge + 7, fitted(plain(word.word), TEXT, 104), align="right")
        ratio = f"{word.odds:.1f}x" if word.odds < 100 else f"{word.odds:,.0f}x"
        write(drawn, left + 120 + length, edge + 7, ratio, size=SMALL, colour=GREY)
    if not words:
        write(drawn, left, top, "no such words", size=SMALL, colour=GREY)


def _names(description: Description, chosen: Sequence[int]) -> list[str]:
    names = group_names(description)
    return [names[group] for group in chosen]
