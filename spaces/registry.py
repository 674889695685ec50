"""From what a user writes after `--space` to a space."""

import importlib
import importlib.util
import sys
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

from spaces.parameters import SpaceError
from spaces.space import Space
from spaces.training import with_training

ENTRY_POINTS = "foldwise.spaces"

_BUILT_IN = {
    "lenet": "spaces.lenet:SPACE",
}


def names() -> tuple[str, ...]:
    """Return the names of all spaces known without a path: built in, then from entry points."""
    return tuple(_references())


def get_space(reference: str) -> Space:
    """Return the space a reference names, with the training choices added.

    Args:
        reference: a name from `names()`, `package.module:attribute` or `path/file.py:attribute`.
            The latter two import, and so run, that code.

    Raises:
        SpaceError: nothing is found there, or what is found is not a `Space`.
    """
    target = _references().get(reference, reference)
    place, colon, attribute = target.rpartition(":")
    if not colon or not place or not attribute:
        raise SpaceError(
            f"no space is called {reference!r}; a space of your own is written"
            " package.module:ATTRIBUTE or file.py:ATTRIBUTE"
        )
    module = _module(place)
    if not hasattr(module, attribute):
        raise SpaceError(f"{place} has nothing called {attribute!r}")
    space = getattr(module, attribute)
    if not isinstance(space, Space):
        raise SpaceError(f"{target} must be a spaces.Space; it is a {type(space).__name__}")
    return with_training(space)


def absolute(reference: str) -> str:
    """Return the reference in a form that means the same in any working directory."""
    place, colon, attribute = reference.rpartition(":")
    if colon and place.endswith(".py"):
        return f"{Path(place).resolve()}:{attribute}"
    return reference


def _references() -> dict[str, str]:
    found = {point.name: point.value for point in entry_points(group=ENTRY_POINTS)}
    return {**found, **_BUILT_IN}


def _module(place: str) -> ModuleType:
    try:
        return _module_from_file(Path(place)) if place.endswith(".py") else _imported(place)
    except SpaceError:
        raise
    except (Exception, SystemExit) as error:  # the user's module may raise anything at import
        raise SpaceError(f"{place} cannot be imported: {type(error).__name__}: {error}") from error


def _imported(place: str) -> ModuleType:
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))  # so that a module beside the user is found
    return importlib.import_module(place)


def _module_from_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise SpaceError(f"there is no file {path}")
    spec = importlib.util.spec_from_file_location(f"foldwise_space_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise SpaceError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
