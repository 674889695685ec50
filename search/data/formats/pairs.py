"""A training and a test part from Python in one form: targets, and weights of either."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.data.formats.frames import Frame
from search.data.formats.layout import Roles
from search.data.reading import Reading
from search.data.targets import is_one_hot, places_of_ones
from search.errors import DataError
from search.tasks import CLASSIFICATION
from tracking.text import listed


def unweighted(part: str) -> str:
    """Return the notice that samples of a part, `data` or `test`, count alike."""
    other = "test" if part == "data" else "data"
    return f"`{part}` has no weights and `{other}` has: each sample of `{part}` counts 1."


def places_of(names: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Return where the columns of a test part's y are, in the order of those of the training part.

    Raises:
        DataError: they are not called alike.
    """
    if sorted(names) != sorted(wanted) or len(set(names)) < len(names):
        raise DataError(
            f"test y must have the columns of data y, {listed(wanted)}; got {listed(names)}"
        )
    return [list(names).index(name) for name in wanted]


@dataclass(frozen=True)
class Pair:
    """Frames whose columns have the same names, and how both are read.

    Attributes:
        train: the training part.
        test: the test part, if there is one.
        reading: without the columns that were passed beside the frames.
        notices: what the user should know.
    """

    train: Frame
    test: Frame | None
    reading: Reading
    notices: tuple[str, ...] = ()

    @classmethod
    def of(cls, train: Frame, test: Frame | None, reading: Reading) -> "Pair":
        """Bring frames to one form: what was passed beside the test part gets the training's names.

        One-hot targets of the training part become class numbers, and those of the test part with
        them, unless they are asked for as labels or numbers.

        Raises:
            DataError: the parts do not fit together.
        """
        if test is not None:
            test = _ordered(train, test)
        if reading.task in (None, CLASSIFICATION) and _is_one_hot(train):
            train, reading = _numbered(train, "data"), replace(reading, task=CLASSIFICATION)
            test = None if test is None else _numbered(test, "test")
        if test is None:
            return cls(train, test, reading)
        return cls(train, _with_target(train, test, reading), reading)._weighted()

    def _weighted(self) -> "Pair":
        train, test = self.train, self.test
        name, notices = train.roles.get("weights", self.reading.weights), list(self.notices)
        if test is None or (name is None and "weights" not in test.roles):
            return self
        if name is None:
            train = train.beside("weights", np.ones(len(train)))
            notices.append(unweighted("data"))
            name = train.roles["weights"]
        is_beside = "weights" in train.roles
        if "weights" not in test.roles and is_beside and name not in test.table.column_names:
            test = test.beside("weights", np.ones(len(test)))
            notices.append(unweighted("test"))
        if "weights" in test.roles:
            test = _renamed(test, "weights", (str(name),), replaces=is_beside)
        return replace(self, train=train, test=test, notices=tuple(notices))


def _columns(frame: Frame) -> tuple[str, ...]:
    """Return the columns of the targets that were passed beside a frame."""
    role = frame.roles.get("target", ())
    return (role,) if isinstance(role, str) else role


def _values(frame: Frame) -> NDArray[Any]:
    """Return the targets that were passed beside a frame, `(n, k)`."""
    columns = [frame.table[name].to_numpy() for name in _columns(frame)]
    return np.stack(columns, axis=1)


def _is_one_hot(frame: Frame) -> bool:
    return len(_columns(frame)) > 1 and is_one_hot(_values(frame))


def _ordered(train: Frame, test: Frame) -> Frame:
    """Return a test part whose targets are in the order of the training part's."""
    wanted, own = _columns(train), _columns(test)
    if not own and len(wanted) > 1 and set(wanted) <= set(test.table.column_names):
        return replace(test, roles={**test.roles, "target": wanted}, names=train.names)
    if not train.names or not test.names:
        return test
    order = tuple(own[at] for at in places_of(test.names, train.names))
    return replace(test, roles={**test.roles, "target": order}, names=train.names)


def _numbered(frame: Frame, what: str) -> Frame:
    """Return a frame with class numbers for one-hot targets."""
    columns = _columns(frame)
    if len(columns) < 2:
        return frame
    places = places_of_ones(_values(frame), f"{what}: y")
    return frame.without(columns).beside("target", places)


def _with_target(train: Frame, test: Frame, reading: Reading) -> Frame:
    """Return a test part whose target is called as the training part's."""
    own = _columns(test)
    if not own:
        return test
    is_beside = "target" in train.roles
    wanted = _columns(train)
    if not is_beside:
        wanted = Roles.of(train.part("data"), train.reading(reading)).targets
    if len(own) != len(wanted):
        raise DataError(
            f"test y must have the form of data y, one column each or the same {len(wanted):,}; got"
            f" {len(own):,}. One-hot rows become classes by y.argmax(axis=1)"
        )
    return _renamed(test, "target", wanted, replaces=is_beside)


def _renamed(frame: Frame, role: str, names: Sequence[str], *, replaces: bool) -> Frame:
    """Return a frame in which columns that were passed beside it have other names.

    Args:
        frame: with columns of this role.
        role: `target` or `weights`.
        names: the names to give.
        replaces: leave out another column of that name, which says nothing of new rows; else
            it would be of the same role.

    Raises:
        DataError: it would.
    """
    given = frame.roles[role]
    own = (given,) if isinstance(given, str) else given
    others = [name for name in frame.table.column_names if name in names and name not in own]
    if others and not replaces:
        shown = "y" if role == "target" else role
        raise DataError(
            f"`test` has {shown} twice, in its column `{others[0]}` and by itself: leave one out"
        )
    table, called = frame.without(others).table, dict(zip(own, names, strict=True))
    table = table.rename_columns([called.get(name, name) for name in table.column_names])
    new = names[0] if isinstance(given, str) else tuple(names)
    return replace(frame, table=table, roles={**frame.roles, role: new})
