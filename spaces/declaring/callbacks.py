"""What Keras callbacks ask of a training, read off them without importing Keras."""

import os
from collections.abc import Iterator, Mapping
from types import CodeType, FunctionType
from typing import Any

from spaces.declaring.importing import Passed
from spaces.declaring.parameters import SpaceError
from spaces.declaring.space import Space

_OF_BATCHES = (
    "on_batch_begin",
    "on_batch_end",
    "on_train_batch_begin",
    "on_train_batch_end",
    "on_test_begin",
    "on_test_end",
    "on_test_batch_begin",
    "on_test_batch_end",
)
# Keras's own that write, and the attribute with the path.
_WRITERS = {
    "BackupAndRestore": "backup_dir",
    "CSVLogger": "filename",
    "ModelCheckpoint": "filepath",
    "OrbaxCheckpoint": "directory",
    "TensorBoard": "log_dir",
}
_PLACES = ("{trial}", "{fold}")
VALIDATED = "val_"
OF_CALLBACKS = "callbacks: "  # before the names of their parts in a fingerprint


def acts_on_batches(callback: Any) -> bool:
    """Say whether a callback must be called around batches, or in passes over validation data."""
    names = {kind.__name__ for kind in type(callback).__mro__}
    if names & {"ModelCheckpoint", "BackupAndRestore"} and _is_kerass(type(callback)):
        return getattr(callback, "save_freq", "") != "epoch"
    hooks = [getattr(callback, name, None) for name in _OF_BATCHES]
    return any(hook is not None and not getattr(hook, "_is_default", False) for hook in hooks)


def watches_validation(callback: Any) -> bool:
    """Say whether a callback looks at numbers of validation data, whose names begin with `val_`.

    It does if it says so, as with `monitor="val_loss"`, or if its own code names one.
    """
    if _is_kerass(type(callback)) and getattr(callback, "save_best_only", None) is False:
        return f"{{{VALIDATED}" in str(callback.filepath)
    held = list(vars(callback).values())
    if any(isinstance(value, str) and value.startswith(VALIDATED) for value in held):
        return True
    methods = [
        found
        for kind in type(callback).__mro__
        if not _is_kerass(kind)
        for found in vars(kind).values()
    ]
    functions = [one for one in (*held, *methods) if isinstance(one, FunctionType)]
    return any(
        text.startswith(VALIDATED) or f"{{{VALIDATED}" in text
        for function in functions
        for text in _texts(function.__code__)
    )


def is_kerass(callback: Any) -> bool:
    """Say whether a callback is one of Keras's own, without code of the user's."""
    held = vars(callback).values()
    return _is_kerass(type(callback)) and not any(isinstance(one, FunctionType) for one in held)


def fold_callbacks(
    space: Space, passed: Passed | None, params: Mapping[str, Any], trial: int, fold: int | str
) -> list[Any]:
    """Return new callbacks of the user's for a fold.

    In the paths that Keras's own write to, `{trial}` and `{fold}` are filled in; relative ones
    start from the working directory, even while that is another one.

    Args:
        space: of the same run of its code as the model.
        passed: callbacks that were passed from Python, a list or a function of params.
        params: of the trial.
        trial: its number.
        fold: its number, or what it is called.

    Raises:
        SpaceError: a path is the same for every fold of every trial.
    """
    callbacks = [] if space.callbacks is None else list(space.callbacks(params))
    if passed is not None:
        found = passed.load()
        callbacks += found(params) if callable(found) else found
    for callback in callbacks:
        check_path(callback)
        if written_path(callback) is None:
            continue
        for name, value in vars(callback).items():
            if isinstance(value, str) and any(place in value for place in _PLACES):
                filled = value.replace("{trial}", str(trial)).replace("{fold}", str(fold))
                setattr(callback, name, os.path.abspath(filled))  # noqa: PTH100 # a text as Keras's
    return callbacks


def check_path(callback: Any) -> None:
    """Check that a callback writes to a path of its own in each fold.

    Raises:
        SpaceError: it does not.
    """
    path = written_path(callback)
    if path is not None and not all(place in path for place in _PLACES):
        raise SpaceError(
            f"{type(callback).__name__} writes to {path!r} in every fold of every trial, each over"
            " what another has written: put {trial} and {fold} into its path, as in"
            f" {_better(path)!r}"
        )


def written_path(callback: Any) -> str | None:
    """Return the path that one of Keras's callbacks writes to; None if it writes nothing."""
    for kind in type(callback).__mro__:
        if kind.__name__ in _WRITERS and _is_kerass(kind):
            return str(getattr(callback, _WRITERS[kind.__name__]))
    return None


def _better(path: str) -> str:
    root, end = os.path.splitext(path)  # noqa: PTH122 # a text as Keras's
    return f"{root}-{{trial}}-{{fold}}{end}"


def _is_kerass(kind: type) -> bool:
    return kind.__module__.startswith("keras.")


def _texts(code: CodeType) -> Iterator[str]:
    for constant in code.co_consts:
        if isinstance(constant, str):
            yield constant
        elif isinstance(constant, tuple):
            yield from (one for one in constant if isinstance(one, str))
        elif isinstance(constant, CodeType):
            yield from _texts(constant)
