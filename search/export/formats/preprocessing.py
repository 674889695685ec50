"""What only TensorFlow's operations can do: words and texts become numbers inside a SavedModel."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from search.data.arrays import Array
from search.data.encoders import FIRST_WORD, PADDING, UNKNOWN, TextEncoder
from search.data.formats.columns import MISSING, PAIRS, SPELLINGS, is_number
from search.data.reading import TRUTH, Column

NUMERIC = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"
# RE2's classes for the pattern of `search.data.arrays`; other characters become spaces.
_WORD_OR_SIGN = r"([\pL\pN]+(?:'[\pL\pN]+)*|[!?])|(?s:.)"
# ICU lower-cases these by the locale (Turkish: dotless i), Python does not.
_SAME_EVERYWHERE = (("I", "i"), ("\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}", "i\u0307"))


@dataclass(frozen=True)
class Preprocessing:
    """What turns words into numbers, as part of a graph.

    Attributes:
        signature: of samples with words, with an open first axis; of columns a dictionary.
        read: turns such tensors into what a model of raw samples takes: tokens, or rows float64.
        resources: tables that must be saved with the model.
    """

    signature: Any
    read: Callable[[Any], Any]
    resources: tuple[Any, ...] = ()


def tokens_of(encoder: TextEncoder) -> Preprocessing:
    """Return what turns texts into tokens."""
    import tensorflow as tf

    words = list(encoder.words) or [" "]  # a table must have an entry; no word is a space
    numbers = tf.range(FIRST_WORD, FIRST_WORD + len(words), dtype=tf.int32)
    content = tf.lookup.KeyValueTensorInitializer(tf.constant(words), numbers)
    table = tf.lookup.StaticHashTable(content, UNKNOWN)

    def read(texts: Any) -> Any:
        for upper, lower in _SAME_EVERYWHERE:
            texts = tf.strings.regex_replace(texts, upper, lower)
        texts = tf.strings.lower(texts, encoding="utf-8")
        spaced = tf.strings.regex_replace(texts, _WORD_OR_SIGN, r"\1 ")
        found = table.lookup(tf.strings.split(spaced))[:, : encoder.length]
        return found.to_tensor(PADDING, shape=(None, encoder.length))

    return Preprocessing(tf.TensorSpec((None,), tf.string, name="texts"), read, (table,))


def rows_of(columns: Sequence[Column], names: Sequence[str]) -> Preprocessing:
    """Return what turns columns, some of them of words, into rows as a dataset has them.

    Args:
        columns: of the table.
        names: of their tensors.
    """
    import tensorflow as tf

    words = dict(zip(names, map(_words, columns), strict=True))
    signature = {
        name: tf.TensorSpec((None,), tf.string if read else tf.float64, name=name)
        for name, read in words.items()
    }

    def read_columns(given: Any) -> Any:
        stored = [read(given[name]) if read else given[name] for name, read in words.items()]
        return tf.stack(stored, axis=1)

    tables = tuple(read.table for read in words.values() if read)
    return Preprocessing(signature, read_columns, tables)


@dataclass(frozen=True)
class _Words:
    """Reads a column's words as files are read: blanks around them do not count.

    Attributes:
        table: from words to the numbers of `Column`; other words to -1, or of truth values to NaN.
        is_truth: whether upper and lower case are equal.
        spelled: numbers that are categories, sorted, and their indices, for other spellings.
    """

    table: Any
    is_truth: bool
    spelled: tuple[Array, Array]

    def __call__(self, given: Any) -> Any:
        """Return float64 `(n,)` for strings `(n,)`: the number, -1 if unknown, NaN if missing."""
        import tensorflow as tf

        plain = tf.strings.strip(given)
        if self.is_truth:
            return self.table.lookup(tf.strings.lower(plain))
        found = self.table.lookup(given)
        found = tf.where(found == -1, self.table.lookup(plain), found)
        values, indices = self.spelled
        if not len(values):
            return found
        is_number = tf.strings.regex_full_match(plain, NUMERIC)
        number = tf.strings.to_number(tf.where(is_number, plain, "nan"), tf.float64)
        place = tf.minimum(tf.searchsorted(values, number), len(values) - 1)
        is_known = (found == -1) & (tf.gather(values, place) == number)
        return tf.where(is_known, tf.gather(indices, place), found)


def _words(column: Column) -> _Words | None:
    """Return what reads a column's words; None if its values are numbers."""
    import tensorflow as tf

    if not column.words:
        return None
    is_truth = column.type == TRUTH
    known = {word: number for number, word in enumerate(column.words)}
    if is_truth:
        pairs = (*PAIRS, ("0", "1"), column.words)
        known = {word.lower(): number for pair in pairs for number, word in enumerate(pair)}
    numbers = dict.fromkeys(MISSING if is_truth else SPELLINGS, math.nan) | known
    content = tf.lookup.KeyValueTensorInitializer(
        tf.constant([*numbers]), tf.constant([*numbers.values()], tf.float64)
    )
    table = tf.lookup.StaticHashTable(content, math.nan if is_truth else -1.0)
    return _Words(table, is_truth, _spelled(column))


def _spelled(column: Column) -> tuple[Array, Array]:
    """Return the categories that are numbers, sorted, and their indices, both float64."""
    if column.type == TRUTH:
        return np.empty(0), np.empty(0)
    found = [(float(word), n) for n, word in enumerate(column.words) if is_number(word)]
    counts = Counter(value for value, _ in found)
    single = sorted(pair for pair in found if counts[pair[0]] == 1)
    values, indices = np.array(single, np.float64).reshape(-1, 2).T
    return values, indices
