"""A test set taken from the training arrays that were written, where there is no other."""

from pathlib import Path

import numpy as np

from search.data.arrays import KINDS, array_file, map_array
from search.data.splits import held_out, write_labels, write_part
from search.data.texts import Texts, write_texts


def set_aside(out: Path, kind: str, origin: str) -> str:
    """Move a stratified fifth of the training samples to the test arrays; return the notice of it.

    Args:
        out: with the arrays `train_...`, which are rewritten; receives `test_...`.
        kind: `image` or `text`.
        origin: the source's name in messages.

    Raises:
        DataError: a class has a single sample.
    """
    # A map outlives its file, which is replaced.
    maps = [map_array(array_file(out, f"train_{name}")) for name in (*KINDS[kind], "labels")]
    labels = np.asarray(maps.pop())
    parts, notice = held_out(labels, origin)
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
