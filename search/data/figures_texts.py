"""Pictures of a training set of texts: how long they are, and the words that tell a class."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.data.arrays import words_of
from search.data.dataset import Dataset
from search.data.description import Description
from search.data.figures_canvas import (
    BLUE,
    GREY,
    ORANGE,
    RULE,
    SMALL,
    TEXT,
    TITLE,
    Canvas,
    class_names,
    fitted,
    plain,
)
from search.data.figures_images import largest_classes, of_classes
from tracking.plots.lettering import drawable, width

CLASSES, WORDS = 10, 15
MARGIN, TOP, NAMES = 20, 64, 160
WIDE, MOST_BINS = 640, 64  # pixels and bars of a histogram
PANEL, HEADING = 280, 14  # pixels of a class's words
# How many words the prior counts for; of few words a tenth of them, or it would drown them.
PRIOR_WORDS, PRIOR_SHARE = 500.0, 0.1


@dataclass(frozen=True)
class WordCounts:
    """The words of each class of a training set.

    Attributes:
        lengths: words of each text, (n,), by class.
        words: how often each word occurs, by class.
    """

    lengths: tuple[NDArray[np.int64], ...]
    words: tuple[Counter[str], ...]

    @classmethod
    def of(cls, dataset: Dataset) -> "WordCounts":
        """Count the words of a dataset of texts."""
        lengths: list[list[int]] = [[] for _ in dataset.classes]
        words: tuple[Counter[str], ...] = tuple(Counter() for _ in dataset.classes)
        labels = np.asarray(dataset.train_labels).tolist()
        for text, label in zip(dataset.train_samples, labels, strict=True):
            found = words_of(text)
            lengths[label].append(len(found))
            words[label].update(found)
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


def lengths_png(description: Description, counts: WordCounts) -> bytes:
    """Draw how many words the training texts of each class have; of the ten largest classes."""
    chosen = largest_classes(description, CLASSES)
    lengths = [counts.lengths[label] for label in chosen]
    longest = int(max(np.percentile(np.concatenate(lengths), 99.5), 1))
    step = -(-(longest + 1) // MOST_BINS)
    bins = -(-(longest + 1) // step)
    shares = [_shares(some, step, bins) for some in lengths]
    high = max(64, 360 // len(chosen))
    names = [fitted(name, TEXT, NAMES) for name in _names(description, chosen)]
    left = MARGIN + 12 + int(max(width(name, TEXT) for name in names))
    title = (
        f"{plain(description.dataset.title)}: words per text of {of_classes(description, chosen)}"
    )
    wide = max(left + WIDE + 130, int(width(title, TITLE)) + 2 * MARGIN)
    canvas = Canvas(wide, TOP + len(chosen) * high + 66)
    canvas.write(title, MARGIN, 26, size=TITLE)
    scale = (high - 14) / max(float(share.max()) for share in shares)
    for row, (name, share) in enumerate(zip(names, shares, strict=True)):
        foot = TOP + (row + 1) * high
        canvas.write(name, left - 12, foot - 14, align=1)
        _draw_histogram(canvas, share * scale, left, foot)
        median = float(np.median(lengths[row]))
        x = left + (min(median / step, bins - 0.5) + 0.5 / step) * WIDE / bins
        canvas.bar(x - 1, foot - high + 14, wide=2, high=high - 14, colour=ORANGE)
        canvas.write(f"median {median:g}", left + WIDE + 12, foot - 14, size=12, colour=ORANGE)
    _draw_axis(canvas, left, TOP + len(chosen) * high, bins, step)
    return canvas.png()


def _shares(lengths: NDArray[np.int64], step: int, bins: int) -> NDArray[np.float64]:
    """Return the share of texts in each bin of `step` words; the last holds all longer ones."""
    counted = np.bincount(np.minimum(lengths // step, bins - 1), minlength=bins)
    shares: NDArray[np.float64] = counted / len(lengths)
    return shares


def _draw_histogram(canvas: Canvas, heights: NDArray[np.float64], left: float, foot: float) -> None:
    thick = WIDE / len(heights)
    for number, height in enumerate(heights):
        if height > 0:
            at = left + number * thick
            canvas.bar(at, foot - height, wide=max(1, thick - 1), high=height, colour=BLUE)
    canvas.bar(left, foot, wide=WIDE, high=1, colour=RULE)


def _draw_axis(canvas: Canvas, left: float, foot: float, bins: int, step: int) -> None:
    every = max(1, bins // 8)
    for number in range(0, bins, every):
        middle = left + (number + 0.5) * WIDE / bins
        first = number * step
        text = f"{first}" if step == 1 else f"{first}-{first + step - 1}"
        canvas.write(text, middle, foot + 16, size=SMALL, align=0.5, colour=GREY)
    note = (
        f"words per text, the last bar {(bins - 1) * step:,} and more; height: share of the texts"
    )
    canvas.write(note, left, foot + 42, colour=GREY)


def words_png(description: Description, counts: WordCounts) -> bytes:
    """Draw the most telling words of each class, by log odds; of the ten largest classes."""
    chosen = largest_classes(description, CLASSES)
    names = [fitted(name, HEADING, PANEL - 24) for name in _names(description, chosen)]
    everything: Counter[str] = Counter()
    for words in counts.words:
        everything.update(words)
    found = [
        _drawable(telling_words(counts.words[label], everything, 4 * WORDS)) for label in chosen
    ]
    rows = -(-len(chosen) // 5)
    columns = -(-len(chosen) // rows)
    high = 44 + 22 * WORDS
    name = plain(description.dataset.title)
    title = f"{name}: most telling words of {of_classes(description, chosen)}"
    note = "bar: log odds against the other classes, in standard errors; number: ratio of the odds"
    right = max(columns * PANEL, int(width(title, TITLE)), int(width(note, SMALL)))
    canvas = Canvas(right + 2 * MARGIN, TOP + rows * high + 30)
    canvas.write(title, MARGIN, 26, size=TITLE)
    largest = max((word.score for telling in found for word in telling), default=1.0)
    for number, (name, telling) in enumerate(zip(names, found, strict=True)):
        left, top = MARGIN + number % columns * PANEL, TOP + number // columns * high
        canvas.write(name, left, top + 4, size=HEADING)
        _draw_words(canvas, telling, left, top + 36, 100 / largest)
    canvas.write(note, MARGIN, TOP + rows * high + 10, size=SMALL, colour=GREY)
    return canvas.png()


def _draw_words(
    canvas: Canvas, words: Sequence[TellingWord], left: float, top: float, scale: float
) -> None:
    """Draw a class's words, a bar each; `scale` is pixels for a score of 1."""
    for row, word in enumerate(words):
        middle, length = top + 22 * row, word.score * scale
        canvas.write(fitted(word.word, TEXT, 104), left + 104, middle, align=1)
        canvas.bar(left + 112, middle - 7, wide=length, high=14)
        ratio = f"{word.odds:.1f}x" if word.odds < 100 else f"{word.odds:,.0f}x"
        canvas.write(ratio, left + 120 + length, middle, size=SMALL, colour=GREY)
    if not words:
        canvas.write(
            "no such words, or none this font can write", left, top, size=SMALL, colour=GREY
        )


def _drawable(words: Sequence[TellingWord]) -> list[TellingWord]:
    return [word for word in words if drawable(word.word)][:WORDS]


def _names(description: Description, chosen: Sequence[int]) -> list[str]:
    names = class_names([counted.name for counted in description.classes])
    return [names[label] for label in chosen]
