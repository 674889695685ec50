"""What is to be said about a training set of texts."""

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from search.data.texts import Texts, words_of
from spaces import TextInput

LONG = TextInput().length  # what a text space reads of a text unless told otherwise
MOST_FREQUENT = 20


@dataclass(frozen=True)
class TextStatistics:
    """Statistics over all training texts, in words as a model would be given them.

    Attributes:
        shortest: words of the shortest text.
        median: words of the text in the middle.
        mean: words per text.
        percentile_95: 95 % of the texts have at most so many words.
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
        """Return everything; no text is missing, but one may be empty."""
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
        # Among equals the alphabet decides, so that the list depends on nothing else.
        frequent=tuple(
            sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:MOST_FREQUENT]
        ),
    )
