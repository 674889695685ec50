"""Texts of a dataset in two arrays: all bytes one after another, and where each text begins."""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from search.data.arrays import array_file, write_array

# Runs of letters and digits with apostrophes inside; of all marks only those that shout or ask.
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*|[!?]")


class Texts(Sequence[str]):
    """Texts that are decoded when they are asked for.

    Args:
        content: uint8 (bytes,), UTF-8.
        offsets: int64 (n + 1,), where each text begins in `content`, and the end of the last.
    """

    def __init__(self, content: NDArray[Any], offsets: NDArray[Any]) -> None:
        self._content = content
        self._offsets = offsets

    def __len__(self) -> int:
        """Return the number of texts."""
        return len(self._offsets) - 1

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        """Return one text, or the texts of a slice."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        start, end = self._offsets[index % len(self)], self._offsets[index % len(self) + 1]
        return self._content[start:end].tobytes().decode()

    def __iter__(self) -> Iterator[str]:
        """Yield every text in order; quicker than one by one."""
        content, offsets = self._content.tobytes(), self._offsets.tolist()
        for start, end in pairwise(offsets):
            yield content[start:end].decode()


def words_of(text: str) -> list[str]:
    """Return a text's words, lower-cased, and its question and exclamation marks."""
    return _WORD.findall(text.lower())


def write_texts(folder: Path, split: str, texts: Iterable[str]) -> None:
    """Write the arrays of a split's texts.

    Args:
        folder: receives the `.npy` files.
        split: `train` or `test`.
        texts: any strings.
    """
    encoded = [text.encode() for text in texts]
    offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    content = np.frombuffer(b"".join(encoded), np.uint8)
    write_array(array_file(folder, f"{split}_texts"), content.dtype, content.shape, [content])
    write_array(array_file(folder, f"{split}_offsets"), offsets.dtype, offsets.shape, [offsets])
