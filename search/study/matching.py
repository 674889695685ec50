"""Whether a space and a dataset go together, and what to leave out where they nearly do."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from search.data import Dataset, known
from search.data.duplicates import find_duplicates
from search.errors import SettingsError
from spaces import NarrowedSpace, Space, SpaceError, get_space, names, narrow

Notify = Callable[[str], None]


def check_kind(space: Space, dataset: Dataset) -> None:
    """Raise SettingsError unless the space takes the dataset's kind of samples."""
    if dataset.kind in space.kinds:
        return
    others = [name for name in names() if dataset.kind in get_space(name).kinds]
    fitting = [entry.name for entry in known() if entry.kind in space.kinds]
    raise SettingsError(
        f"space {space.name} takes {' or '.join(space.kinds)} data; dataset {dataset.title} holds"
        f" {dataset.kind} data. Spaces for it: {', '.join(others) or 'none'}; datasets for"
        f" {space.name}: {', '.join(fitting) or 'your own'}."
    )


def without_flip(
    narrowed: NarrowedSpace, overrides: Mapping[str, str], dataset: Dataset, notify: Notify
) -> NarrowedSpace:
    """Hold `flip` off where a mirror image would mean something else, as of digits.

    Args:
        narrowed: the space.
        overrides: what the user said of its parameters.
        dataset: whose images may be flipped or not.
        notify: is told where a searched `flip` is held.

    Raises:
        SettingsError: the user asked for it.
    """
    space = narrowed.space
    mirrored = next((e.mirrored for e in known() if e.name == dataset.name), True)
    if mirrored or dataset.kind != "image" or "flip" not in space.names():
        return narrowed
    if overrides.get("flip", "off") != "off":
        raise SettingsError(
            f"`--set flip`: images of {dataset.name} change their meaning when mirrored; leave it"
            " out"
        )
    if space["flip"].fixed:
        return narrowed
    notify(f"flip is held off: mirrored images of {dataset.name} mean something else")
    return narrow(replace(space, baselines=narrowed.baselines), {"flip": "off"})


def check_needs(space: Space) -> None:
    """Raise SettingsError where something a space's models need cannot be had."""
    if space.check is not None:
        try:
            space.check(space)
        except SpaceError as error:
            raise SettingsError(str(error)) from error


def left_out(dataset: Dataset, notify: Notify) -> NDArray[np.int64]:
    """Return the sorted indices of the training samples that `--drop-duplicates` leaves out."""
    droppable = find_duplicates(dataset).droppable
    notify(
        f"--drop-duplicates leaves out {len(droppable):,} of {len(dataset.train_labels):,} training"
        f" samples of {dataset.title}"
    )
    return droppable
