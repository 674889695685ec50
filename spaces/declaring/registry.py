"""Find the space that a user names with `--space`."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from spaces.declaring.declarations import Notify, declaration
from spaces.declaring.fingerprint import Fingerprint, fingerprint
from spaces.declaring.importing import Code, find
from spaces.declaring.parameters import SpaceError
from spaces.declaring.passing import pass_on
from spaces.declaring.space import DataSpec, Space
from spaces.declaring.training import with_training
from spaces.keras_tuner.hypermodel import Replay, builder, hypermodel_space, new_hyperparameters

ENTRY_POINTS = "foldwise.spaces"

_BUILT_IN = {
    "bilstm": "spaces.bilstm:SPACE",
    "cnn": "spaces.cnn:SPACE",
    "convnet": "spaces.convnet:SPACE",
    "lenet": "spaces.lenet:SPACE",
    "mlp": "spaces.mlp:SPACE",
    "resnet152v2": "spaces.transfer:RESNET152V2",
    "vgg16": "spaces.transfer:VGG16",
}


def names() -> tuple[str, ...]:
    """Return the names of all spaces with a name: built-in ones, then entry points."""
    return tuple(_references())


def reference_to(space: Any, notify: Notify) -> str:
    """Return the reference of what a user gives as a space: a name, or an object.

    Args:
        space: a reference, which is returned, or a `Space`, a `keras_tuner.HyperModel` (class or
            instance) or a function `build(hp)`, which can be used by its reference from then on.
        notify: takes notices for the user.

    Raises:
        SpaceError: it is none of these, or cannot be sent to worker processes.
    """
    if isinstance(space, str):
        return space
    for name, target in _BUILT_IN.items():
        place, _, attribute = target.partition(":")
        if space is getattr(sys.modules.get(place), attribute, None):
            return name
    return pass_on(space, notify)


def get_space(
    reference: str,
    data: DataSpec | None = None,
    *,
    cache: Path | None = None,
    notify: Notify | None = None,
) -> Space:
    """Return the space a reference names, with the training choices added.

    A reference with a colon is imported in a separate process. If it is a KerasTuner hypermodel,
    its models are built there for `data` to find out its parameters.

    Args:
        reference: a name from `names()`, `package.module:attribute` or `path/file.py:attribute`.
            The latter two import, and so run, that code.
        data: the data models are built for. Without it, a hypermodel's space has name, inputs and
            dataset, but no parameters, and builds no models; other spaces do not need it.
        cache: folder that caches a hypermodel's parameters.
        notify: takes notices for the user.

    Raises:
        SpaceError: the reference cannot be found, is not a space, or its models cannot be built.
    """
    target = _references().get(reference, reference)
    if target in _BUILT_IN.values():
        return with_training(find(target))
    found = declaration(target, data, cache=cache, notify=notify or _unheard)
    if found.is_space:
        return with_training(find(target))
    name = reference if ":" not in reference else None
    return with_training(hypermodel_space(target, name, found, is_outline=data is None))


def run_code(reference: str, data: DataSpec) -> Iterator[None]:
    """Import a space's module, then build one of its models, yielding after each step.

    This registers the code's custom classes and functions with Keras, at import or during the
    build.

    Args:
        reference: as in `get_space`.
        data: the data the model is built for.

    Raises:
        SpaceError: the reference cannot be found or imported.
    """
    target = _references().get(reference, reference)
    found = find(target)
    yield
    if isinstance(found, Space):
        found.build(found.complete({}), data)
    else:
        builder(found, target, data)(new_hyperparameters({}))
    yield


def code_of(reference: str) -> Code | None:
    """Return the code that a reference runs; None for a space that comes with this project."""
    target = _references().get(reference, reference)
    return None if target in _BUILT_IN.values() else Code(target)


@contextmanager
def run_anew(space: Space, code: Code | None) -> Iterator[Space]:
    """Yield a space whose `build` and `thaw` belong to a new run of its code.

    Args:
        space: from `get_space`.
        code: its code; None yields the space unchanged.

    Raises:
        SpaceError: the code cannot be run.
    """
    if code is None:
        yield space
        return
    with code.running() as found:
        if isinstance(found, Space):
            yield replace(space, build=found.build, unfreeze=found.unfreeze)
        elif isinstance(space.build, Replay):
            yield replace(space, build=space.build.of(found))
        else:
            raise SpaceError(f"{code.target} is no longer a spaces.Space: {type(found).__name__}")


def space_fingerprint(reference: str, data: DataSpec, *, cache: Path | None) -> Fingerprint:
    """Return the fingerprint of a space's code, as in `SessionStarted.code`.

    Args:
        reference: of the space.
        data: the data its models are built for.
        cache: folder of cached declarations.

    Raises:
        SpaceError: the reference cannot be found.
    """
    target = _references().get(reference, reference)
    if target in _BUILT_IN.values():
        return fingerprint(target)
    return fingerprint(target, declaration(target, data, cache=cache, notify=_unheard).files)


def absolute(reference: str) -> str:
    """Return the reference with an absolute path."""
    place, colon, attribute = reference.rpartition(":")
    if colon and place.endswith(".py"):
        return f"{Path(place).resolve()}:{attribute}"
    return reference


def _references() -> dict[str, str]:
    found = {point.name: point.value for point in entry_points(group=ENTRY_POINTS)}
    return {**found, **_BUILT_IN}


def _unheard(notice: str) -> None:
    pass
