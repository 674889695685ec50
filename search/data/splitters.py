"""Folds from Python: of scikit-learn's splitters, or given as pairs of indices."""

import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.data.folds import CLASSES, Folds, Indices
from search.data.splits import MAX_IN_ALL, checked_pairs
from search.errors import SettingsError
from search.tasks import Task
from tracking.text import Notify

LONGEST = 200  # characters of a splitter's description


def folds_from(
    splitter: Any,
    samples: Any,
    targets: NDArray[Any],
    groups: Indices | None = None,
    *,
    task: Task = CLASSES,
    related: Indices | None = None,
    limit_to: Indices | None = None,
    notify: Notify | None = None,
) -> Folds:
    """Return the folds of a scikit-learn splitter, or of (training, validation) index pairs.

    Args:
        splitter: an object with a method `split(X, y, groups)`, or pairs of index arrays or of
            boolean masks.
        samples: (n, ...), passed to the splitter.
        targets: (n, ...), likewise: class numbers, labels, or numbers; of a single number (n,).
        groups: (n,), likewise.
        task: what is predicted.
        related: (n,), numbers of groups of samples that must not be on both sides of a fold:
            those in a group of the validation part leave the training part.
        limit_to: sorted indices of the samples in use; None: all. The splitter is given these.
        notify: takes notices for the user.

    Raises:
        SettingsError: it is neither, or its pairs are not disjoint, not empty and within range; or
            a training part has a single class.
    """
    chosen = np.arange(len(targets)) if limit_to is None else limit_to
    if _is_splitter(splitter):
        within = samples if limit_to is None else _taken(samples, chosen)
        own = None if groups is None else groups[chosen]
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                is_column = targets.ndim == 2 and targets.shape[1] == 1
                y = targets[:, 0] if is_column else targets
                found = list(splitter.split(within, y[chosen], own))
        except Exception as error:  # the user's own, or of its arguments
            raise SettingsError(
                f"`cv`: {described(splitter)} cannot cut {len(chosen):,} samples:"
                f" {type(error).__name__}: {error}"
            ) from error
        for warning in caught:
            is_moot = "groups parameter is ignored" in str(warning.message)  # they are kept whole
            if notify is not None and not is_moot:
                notify(f"{described(splitter)}: {warning.message}")
    else:
        found = _listed(splitter)
    if not 1 <= len(found) <= MAX_IN_ALL:
        raise SettingsError(f"`cv` must give 1 to {MAX_IN_ALL} folds; got {len(found)}.")
    pairs = []
    for number, pair in enumerate(found, start=1):
        try:
            train, validation = pair
        except (TypeError, ValueError) as error:
            raise SettingsError(
                f"`cv` must give pairs of training and validation indices; fold {number} is"
                f" {type(pair).__name__}."
            ) from error
        parts = [
            _indices(part, len(chosen), f"fold {number}'s {name} part")
            for part, name in ((train, "training"), (validation, "validation"))
        ]
        shared = np.intersect1d(parts[0], parts[1])
        if len(shared):
            raise SettingsError(
                f"`cv`: a sample must not be in both parts of a fold; {len(shared):,} are in fold"
                f" {number}'s, the first number {shared[0]}."
            )
        pairs.append((chosen[parts[0]], chosen[parts[1]]))
    pairs = checked_pairs(pairs, targets, related, task, notify)
    return Folds(tuple(train for train, _ in pairs), tuple(part for _, part in pairs), related)


def described(splitter: Any) -> str:
    """Return how a splitter from Python is shown and recorded."""
    if not _is_splitter(splitter):
        return "index pairs"
    text = " ".join(repr(splitter).split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _is_splitter(given: Any) -> bool:
    return hasattr(given, "split") and not isinstance(given, str | bytes)


def _listed(pairs: Any) -> list[Any]:
    if isinstance(pairs, str | bytes | int | float) or not isinstance(pairs, Iterable):
        raise SettingsError(
            "`cv` must be a splitter with a method `split`, or a list of (training, validation)"
            f" index pairs; got {type(pairs).__name__}"
        )
    return list(pairs)


def _taken(samples: Any, chosen: Indices) -> Any:
    return [samples[int(i)] for i in chosen] if isinstance(samples, Sequence) else samples[chosen]


def _indices(part: Any, count: int, what: str) -> Indices:
    """Return a part's indices, sorted."""
    found = np.asarray(part)
    if found.dtype == np.bool_ and found.shape == (count,):
        found = np.flatnonzero(found)
    if not found.size:
        raise SettingsError(f"`cv`: {what} must not be empty.")
    if found.ndim != 1 or found.dtype.kind not in "iu":
        raise SettingsError(
            f"`cv`: {what} must be whole numbers of shape (n,); got {found.dtype} {found.shape}."
        )
    if found.min() < 0 or found.max() >= count:
        raise SettingsError(
            f"`cv`: {what} must be indices from 0 to {count - 1}; got {found.min()} to"
            f" {found.max()}."
        )
    unique = np.unique(found).astype(np.int64)
    if len(unique) < len(found):
        raise SettingsError(f"`cv`: {what} must have each sample once; one is repeated.")
    return unique
