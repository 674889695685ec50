"""From `package.module:ATTRIBUTE` or `file.py:ATTRIBUTE` to the object, by running that code."""

import importlib
import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from spaces.causes import cause_of
from spaces.parameters import SpaceError

MESSAGE_CHARACTERS = 300


def split(target: str) -> tuple[str, str]:
    """Return the module or file of a reference, and the attribute in it.

    Raises:
        SpaceError: the text is no such reference.
    """
    place, colon, attribute = target.rpartition(":")
    if not colon or not place or not attribute:
        raise SpaceError(
            f"no space is called {target!r}; a space of your own is written"
            " package.module:ATTRIBUTE or file.py:ATTRIBUTE"
        )
    return place, attribute


def find(target: str) -> Any:
    """Return what a reference names.

    Raises:
        SpaceError: nothing is found there, or its module cannot be imported.
    """
    place, attribute = split(target)
    module = _module(place)
    if not hasattr(module, attribute):
        raise SpaceError(f"{place} has nothing called {attribute!r}")
    return getattr(module, attribute)


def described(error: BaseException, place: str) -> str:
    """Return an exception in one line, with the line of the user's code it came from.

    Args:
        error: as caught.
        place: the module or file whose lines are the user's.
    """
    said = cause_of(error, MESSAGE_CHARACTERS)
    frames = traceback.extract_tb(error.__traceback__)
    where = [frame for frame in frames if _is_in(place, Path(frame.filename))] or frames
    at = "".join(f" ({frame.filename}:{frame.lineno})" for frame in where[-1:])
    return f"{said}{at}"


def _is_in(place: str, file: Path) -> bool:
    if place.endswith(".py"):
        return file.name == Path(place).name
    package = place.partition(".")[0]
    return package in file.parts or file.stem == package


def _module(place: str) -> ModuleType:
    try:
        return _module_from_file(Path(place)) if place.endswith(".py") else _imported(place)
    except SpaceError:
        raise
    except (Exception, SystemExit) as error:  # the user's module may raise anything at import
        raise SpaceError(f"{place} cannot be imported: {described(error, place)}") from error


def _imported(place: str) -> ModuleType:
    if "" not in sys.path:
        _add_to_path(Path.cwd())  # so that a module beside the user is found
    return importlib.import_module(place)


def _module_from_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise SpaceError(f"there is no file {path}")
    spec = importlib.util.spec_from_file_location(f"foldwise_space_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise SpaceError(f"{path} is not a Python file")
    _add_to_path(path.resolve().parent)  # so that it finds the modules beside it, as a script does
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _add_to_path(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
