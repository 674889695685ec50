"""The code of a space, and a fingerprint that distinguishes it from other code.

The code is the reference's file or module and all of the user's own modules that it imports, also
within functions. They are found from the `import` statements and from the modules that a run has
loaded. Of an installed package, the fingerprint has name and version.
"""

import ast
import hashlib
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any, TypeAlias

from spaces.declaring.importing import Code, is_own_file, passed_as, split

# `files`: name to `sha256` of the content, `syntax`, of what it means to Python (no comments, no
# layout), and for this project's own files `body`, of all but its `import` statements; `packages`:
# name to version.
Fingerprint: TypeAlias = dict[str, dict[str, Any]]

_PROJECT = Path(__file__).resolve().parents[2]


def fingerprint(target: str, loaded: Iterable[str] = ()) -> Fingerprint:
    """Return the fingerprint of a reference's code, without running it.

    Args:
        target: `package.module:ATTRIBUTE` or `file.py:ATTRIBUTE`.
        loaded: files of the user's own modules that a run has loaded.
    """
    passed = passed_as(target)
    if passed is not None:
        return {"files": dict(passed.code["files"]), "packages": {}}
    place, _ = split(target)
    roots = _roots(place)
    first = Path(place).resolve() if place.endswith(".py") else _origin(place, roots)
    if first is None or not (is_own_file(str(first)) or _is_project(first)):
        return {"files": {}, "packages": _packages(place)}
    found = _reached([first, *(Path(path).resolve() for path in loaded)], roots)
    return {"files": _described(found, place), "packages": {}}


def imports_fingerprint(source: str) -> dict[str, dict[str, str]]:
    """Return the `files` of the user's own modules that some source text imports, at any depth."""
    place = str(Path.cwd() / "a cell.py")
    roots = _roots(place)
    first = _imported(Path(place), source.encode(errors="backslashreplace"), roots)
    return _described(_reached(list(first), roots), place)


def _reached(waiting: list[Path], roots: list[str]) -> dict[Path, bytes]:
    """Return some modules, and those of the user's own that they import, with their content."""
    found: dict[Path, bytes] = {}
    while waiting:
        path = waiting.pop()
        if path in found or not path.is_file():
            continue
        found[path] = path.read_bytes()
        waiting += [] if _is_project(path) else _imported(path, found[path], roots)
    return found


def fingerprint_of(code: Code) -> Fingerprint:
    """Return the fingerprint of the modules that runs of a code have loaded so far."""
    place, _ = split(code.target)
    passed = passed_as(code.target)
    if passed is not None:
        return fingerprint(code.target)
    files = {path.resolve(): source for path, source in code.sources.items()}
    return {"files": _described(files, place), "packages": {} if files else _packages(place)}


def _described(files: dict[Path, bytes], place: str) -> dict[str, dict[str, str]]:
    roots = [Path(root).resolve() for root in _roots(place)]
    described = {}
    for path, source in files.items():
        digests = {"sha256": hashlib.sha256(source).hexdigest(), "syntax": _syntax(source)}
        described[_name(path, roots)] = (
            digests | {"body": _body(source)} if _is_project(path) else digests
        )
    return dict(sorted(described.items()))


def _syntax(source: bytes) -> str:
    """Return a digest of the parsed code and Python's version; empty if it is not valid Python."""
    try:
        text = f"{sys.version_info[:2]} {ast.dump(ast.parse(source))}"
    except (SyntaxError, ValueError, RecursionError):
        return ""
    return hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()


def _body(source: bytes) -> str:
    """Return a digest of what stands outside `import` statements; empty where it is no Python.

    For this project's own spaces, whose imports change places from version to version.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return ""
    left = source.splitlines()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            for line in range(node.lineno - 1, node.end_lineno or node.lineno):
                left[line] = b""
    return hashlib.sha256(b"\n".join(line for line in left if line.strip())).hexdigest()


def _name(path: Path, roots: Iterable[Path]) -> str:
    """Return a name of a file that stays the same when its space moves to another folder."""
    if _is_project(path):
        return path.relative_to(_PROJECT).as_posix()
    root = next((root for root in roots if path.is_relative_to(root)), None)
    return path.as_posix() if root is None else path.relative_to(root).as_posix()


def _roots(place: str) -> list[str]:
    """Return the folders in which a reference's imports are searched for, its own first."""
    own = Path(place).resolve().parent if place.endswith(".py") else Path.cwd()
    return [str(own), *(entry or str(Path.cwd()) for entry in sys.path)]


def _imported(path: Path, source: bytes, roots: list[str]) -> Iterator[Path]:
    """Yield the user's own modules that a module's `import` statements name."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [(alias.name, roots) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = [str(path.parents[node.level - 1])] if node.level else roots
            start = f"{node.module}." if node.module else ""
            names = [(f"{start}{alias.name}", base) for alias in node.names]
        else:
            continue
        for name, where in names:
            yield from _along(name, where)


def _along(name: str, roots: list[str]) -> Iterator[Path]:
    """Yield the files of a dotted name's packages and module that are the user's own."""
    parts = name.split(".")
    if roots and parts[0] in sys.stdlib_module_names:
        return
    where: Iterable[str] = roots
    for length in range(1, len(parts) + 1):
        spec = _spec(".".join(parts[:length]), tuple(where))
        if spec is None:
            return
        if spec.origin and is_own_file(spec.origin) and not _is_project(Path(spec.origin)):
            yield Path(spec.origin).resolve()
        if not spec.submodule_search_locations:
            return
        where = list(spec.submodule_search_locations)


def _spec(name: str, where: tuple[str, ...]) -> ModuleSpec | None:
    try:
        return PathFinder.find_spec(name, where)
    except (ImportError, ValueError):
        return None


def _origin(place: str, roots: list[str]) -> Path | None:
    own = _PROJECT.joinpath(*place.split(".")).with_suffix(".py")
    if _is_project(own) and own.is_file():
        return own  # wherever the command was started, and however this project is installed
    where: Iterable[str] = roots
    spec = None
    parts = place.split(".")
    for length in range(1, len(parts) + 1):
        spec = _spec(".".join(parts[:length]), tuple(where))
        if spec is None:
            return None
        where = spec.submodule_search_locations or ()
    return Path(spec.origin).resolve() if spec is not None and spec.origin else None


def _is_project(path: Path) -> bool:
    """Return whether a file is this project's, whose version is recorded with every session."""
    parts = path.resolve().parts
    own = _PROJECT.parts
    return parts[: len(own)] == own and parts[len(own)] in ("search", "spaces", "tracking")


@cache
def _distributions() -> dict[str, list[str]]:
    return {name: list(found) for name, found in packages_distributions().items()}


def _packages(place: str) -> dict[str, str]:
    names = _distributions().get(place.partition(".")[0], [])
    return {name: version(name) for name in sorted(set(names))}
