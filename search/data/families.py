"""Texts that are parts of one another, as the phrases of one sentence are."""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import count

import numpy as np
from numpy.typing import NDArray

from search.data.texts import words_of

Numbers = NDArray[np.int64]


def families(texts: Sequence[str]) -> Numbers:
    """Return the number of each text's family, int64 (n,), from 0.

    A text is part of another whose words hold its own, one after another. It joins the shortest
    of those that hold it (the first of several), and that one the shortest that holds it, up to a
    text that is part of none and heads the family. So a phrase that many sentences share joins
    one of them and makes no family of them all. Texts of equal words are one family; a text
    without words is one of its own.

    Time and memory grow with the number of words, except where long texts are made of few
    different pairs of words.
    """
    spelled = [" ".join(words_of(text)) for text in texts]
    distinct = sorted(dict.fromkeys(filter(None, spelled)), key=_length)
    heads = _holders(distinct)
    for place in reversed(range(len(distinct))):  # holders are longer: their heads are known
        heads[place] = heads[heads[place]]
    head_of = dict(zip(distinct, heads, strict=True))
    silent = count(len(distinct))
    found = (head_of[words] if words else next(silent) for words in spelled)
    heads_of_texts = np.fromiter(found, np.int64, len(spelled))
    return np.unique(heads_of_texts, return_inverse=True)[1].astype(np.int64)


def _length(words: str) -> int:
    return words.count(" ") + 1


def _holders(distinct: list[str]) -> list[int]:
    """Return for each text the place of the shortest longer one that holds it; else its own.

    Args:
        distinct: words with a space between, sorted by their number.
    """
    numbers: dict[str, int] = {}
    words = (numbers.setdefault(word, len(numbers)) for text in distinct for word in text.split())
    flat = np.fromiter(words, np.int64)
    lengths = np.fromiter(map(_length, distinct), np.int64, len(distinct))
    owners = np.repeat(np.arange(len(distinct)), lengths)
    holders = np.arange(len(distinct))
    _hold_words(holders, lengths, flat, owners)
    inside = owners[1:] == owners[:-1]
    pairs = (flat[:-1] * len(numbers) + flat[1:])[inside]
    _hold_phrases(holders, lengths, pairs, owners[1:][inside], distinct)
    return holders.tolist()


def _hold_words(holders: Numbers, lengths: Numbers, flat: Numbers, owners: Numbers) -> None:
    """Enter what holds the texts of one word: the first of the longer texts with that word."""
    single = np.flatnonzero(lengths == 1)  # the first texts, so also the first words of `flat`
    longer = slice(len(single), None)
    first = np.full(int(flat.max(initial=-1)) + 1, len(holders))
    np.minimum.at(first, flat[longer], owners[longer])
    found = first[flat[single]]
    holders[single] = np.where(found < len(holders), found, single)


def _hold_phrases(
    holders: Numbers, lengths: Numbers, pairs: Numbers, owners: Numbers, distinct: list[str]
) -> None:
    """Enter what holds the texts of several words: it has the rarest pair of words of each.

    Args:
        holders: receives places.
        lengths: of the texts, in words.
        pairs: numbers of neighbouring words, text after text.
        owners: for each pair the place of its text.
        distinct: the texts.
    """
    _, kinds, counts = np.unique(pairs, return_inverse=True, return_counts=True)
    texts_with = owners[np.argsort(kinds, kind="stable")].tolist()
    ends = np.cumsum(counts)
    # A pair that stands once only is in no other text, and neither is its own text.
    shared, rarest = _rarest(counts[kinds], owners)
    longer = np.searchsorted(lengths, lengths[shared], side="right").tolist()
    ranges = ((ends - counts)[kinds[rarest]].tolist(), ends[kinds[rarest]].tolist())
    padded = [f" {text} " for text in distinct]
    for text, least, start, end in zip(shared.tolist(), longer, *ranges, strict=True):
        words = padded[text]
        for at in range(bisect_left(texts_with, least, start, end), end):
            if words in padded[texts_with[at]]:
                holders[text] = texts_with[at]
                break


def _rarest(counts: Numbers, owners: Numbers) -> tuple[Numbers, Numbers]:
    """Return the texts without a unique pair, and where the rarest pair of each stands.

    Args:
        counts: for each pair how often it stands in all texts.
        owners: for each pair the place of its text, sorted.
    """
    order = np.lexsort((counts, owners))
    texts, starts = np.unique(owners, return_index=True)
    rarest = order[starts]
    shared = counts[rarest] > 1
    return texts[shared], rarest[shared]
