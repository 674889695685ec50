"""What a reference turned out to be, as found by a process of its own, and its JSON form."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spaces.declaring.parameters import Boolean, Choice, Float, Int, Parameter

_KINDS: dict[str, type[Parameter]] = {
    "boolean": Boolean,
    "choice": Choice,
    "float": Float,
    "int": Int,
}


@dataclass(frozen=True)
class Declaration:
    """A `Space`, or a hypermodel with what its builds showed.

    Attributes:
        is_space: the reference names a `Space`; the rest is empty.
        parameters: the hypermodel's, each with the name it has there; empty as long as the data
            are not known.
        compiled: its models come compiled.
        summary: the first line of its docstring.
        notices: what its user should know, a sentence each.
        pixels: those its models for images are made for: `raw`, `scaled`, `both` where they differ;
            empty where nothing tells.
        files: paths of the user's own modules that were run for it; empty where none was.
    """

    is_space: bool
    parameters: tuple[tuple[Parameter, str], ...] = ()
    compiled: bool = False
    summary: str = ""
    notices: tuple[str, ...] = ()
    pixels: str = ""
    files: tuple[str, ...] = ()

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
            LookupError: the document lacks something.
            TypeError: it holds something else than a declaration's parts.
            SpaceError: a parameter in it breaks its rules.
        """
        parameters = tuple(_parameter(entry) for entry in document["parameters"])
        notices, files = tuple(document["notices"]), tuple(document["files"])
        return cls(**{**document, "parameters": parameters, "notices": notices, "files": files})


def digest(path: Path) -> str:
    """Return the SHA-256 (hex) of a file; empty where it cannot be read."""
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
