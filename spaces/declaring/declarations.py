"""Declarations by reference: from the cache, or from a separate process."""

import ast
import hashlib
import json
import os
import pickle  # nosec B403 # only written here
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeAlias

from spaces.declaring.importing import passed_as, split
from spaces.declaring.parameters import Boolean, Choice, Float, Int, Parameter, SpaceError
from spaces.declaring.space import DataSpec

_KINDS: dict[str, type[Parameter]] = {
    "boolean": Boolean,
    "choice": Choice,
    "float": Float,
    "int": Int,
}


@dataclass(frozen=True)
class Declaration:
    """A `Space`, or a hypermodel with the results of its builds.

    Attributes:
        is_space: whether the reference names a `Space`; then the rest is empty.
        parameters: of the hypermodel, each with its name there; empty until the data are known.
        compiled: whether its models are compiled.
        summary: the first line of its docstring.
        notices: notices for the user, a sentence each.
        pixels: what its models for images expect: `raw`, `scaled`, or `both` if they differ; empty
            if unknown.
        files: paths of the user's own modules that were run for it; may be empty.
        fits: whether it has a `fit` of its own.
        set_by_fit: arguments that this `fit` sets itself, or does not take.
    """

    is_space: bool
    parameters: tuple[tuple[Parameter, str], ...] = ()
    compiled: bool = False
    summary: str = ""
    notices: tuple[str, ...] = ()
    pixels: str = ""
    files: tuple[str, ...] = ()
    fits: bool = False
    set_by_fit: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        parameters = [
            {**asdict(parameter), "kind": parameter.kind, "original": original}
            for parameter, original in self.parameters
        ]
        return {**asdict(self), "parameters": parameters}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Declaration":
        """Return the declaration of a JSON document.

        Raises:
            LookupError: the document lacks an entry.
            TypeError: an entry has the wrong type.
            SpaceError: a parameter in it breaks its rules.
        """
        parameters = tuple(_parameter(entry) for entry in document["parameters"])
        texts = {name: tuple(document[name]) for name in ("notices", "files", "set_by_fit")}
        return cls(**{**document, **texts, "parameters": parameters})


def digest(path: Path) -> str:
    """Return the SHA-256 (hex) of a file; empty if it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def _parameter(document: Mapping[str, Any]) -> tuple[Parameter, str]:
    fields = {key: _tuples(value) for key, value in document.items()}
    original = fields.pop("original")
    return _KINDS[fields.pop("kind")](**fields), original


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


FORMAT = 4  # version of the cache's files; other versions are ignored
LIMIT_SECONDS = 600.0
PATIENCE_SECONDS = 1.5
PACKAGES = ("keras-tuner", "keras", "tensorflow")
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", "KERAS_BACKEND": "tensorflow"}

Notify: TypeAlias = Callable[[str], None]


def declaration(
    target: str, data: DataSpec | None, *, cache: Path | None, notify: Notify
) -> Declaration:
    """Return what a reference names.

    Args:
        target: `package.module:ATTRIBUTE` or `file.py:ATTRIBUTE`.
        data: the data a hypermodel's models are built for; None to build no models.
        cache: folder of earlier answers, which are valid until a file they depend on changes.
        notify: takes notices for the user.

    Raises:
        SpaceError: it is neither space nor hypermodel, or its models cannot be built.
    """
    passed = passed_as(target)
    if passed is not None and (passed.is_space or data is None):
        return Declaration(is_space=passed.is_space, summary=passed.summary)
    if data is None and _is_defined_in_file(target):
        return Declaration(is_space=False)  # a function or a class is no `Space`
    file = None if cache is None else cache / f"{_key(target, data)}.json"
    known = None if file is None else _kept(file)
    if known is not None:
        for notice in known.notices:
            notify(notice)
        return known
    document = _asked(target, data, notify)
    if "error" in document:
        raise SpaceError(document["error"])
    found = Declaration.from_json(document["declaration"])
    for notice in found.notices:
        notify(notice)
    if file is not None:
        _keep(file, {**document, "format": FORMAT, "versions": _versions()})
    return found


def _is_defined_in_file(target: str) -> bool:
    """Return whether a reference names a function or class of a file, without running it."""
    place, attribute = split(target)
    if not place.endswith(".py"):
        return False
    try:
        tree = ast.parse(Path(place).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return False  # the import gives the error
    defined = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    return attribute in {node.name for node in defined}


def _key(target: str, data: DataSpec | None) -> str:
    place, _ = split(target)
    where: object = str(Path(place).resolve()) if place.endswith(".py") else str(Path.cwd())
    passed = passed_as(target)
    if passed is not None:
        where = passed.code
    parts = [target, where, None if data is None else asdict(data)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _kept(file: Path) -> Declaration | None:
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        valid = document["format"] == FORMAT and document["versions"] == _versions()
        if not valid or any(digest(Path(p)) != d for p, d in document["sources"].items()):
            return None
        return Declaration.from_json(document["declaration"])
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None  # absent, or not one of these files


def _keep(file: Path, document: Mapping[str, Any]) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=file.parent, delete=False) as partial:
            json.dump(document, partial)
        Path(partial.name).replace(file)
    except OSError:
        return  # asked again next time


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _asked(target: str, data: DataSpec | None, notify: Notify) -> dict[str, Any]:
    asked = [target] if data is None else [target, json.dumps(asdict(data))]
    passed = passed_as(target)
    with subprocess.Popen(  # nosec B603 # runs the user's code, which was asked for by name
        [sys.executable, "-m", "spaces.declaring.__main__", *asked],
        stdin=subprocess.DEVNULL if passed is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **QUIET, **_path()},
    ) as child:
        try:
            given = None if passed is None else pickle.dumps(passed)
            answer, said = _communicated(child, given, target, data, notify)
        except BaseException:
            child.kill()
            raise
    try:
        document: dict[str, Any] = json.loads(answer)
    except ValueError:
        lines = said.decode(errors="replace").strip().splitlines()
        last = lines[-1] if lines else "it printed nothing"
        raise SpaceError(
            f"{target} ended the process that imported it, with exit code {child.returncode}:"
            f" {last}"
        ) from None
    return document


def _communicated(
    child: "subprocess.Popen[bytes]",
    given: bytes | None,
    target: str,
    data: DataSpec | None,
    notify: Notify,
) -> tuple[bytes, bytes]:
    try:
        return child.communicate(given, timeout=PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        if data is not None:
            notify(f"Building models of {target} to find out its parameters.")
    try:
        return child.communicate(timeout=LIMIT_SECONDS)
    except subprocess.TimeoutExpired:
        raise SpaceError(
            f"{target} was not done after {LIMIT_SECONDS:.0f} s; if its file trains when it is"
            ' imported, put that below `if __name__ == "__main__":`'
        ) from None


def _path() -> dict[str, str]:
    """Return an environment in which the child finds this package from any folder."""
    paths = [str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH", "")]
    return {"PYTHONPATH": os.pathsep.join(path for path in paths if path)}
