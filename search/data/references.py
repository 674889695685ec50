"""Data of one's own, named by a format and where it lies: `csv:`, `npz:`, `folder:`, `tfds:`.

To add a format, write a module with a function `find(rest, around)` that says, without reading
any data, what it has, and name it in `FORMATS`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from search.data.answers import Found, Surroundings
from search.data.formats import csv as csv_files
from search.data.formats import folder as folder_files
from search.data.formats import npz_file, tfds
from search.errors import SettingsError, near_matches

Find: TypeAlias = Callable[[str, Surroundings], Found]

FORMATS: dict[str, Find] = {
    "csv": csv_files.find,
    "npz": npz_file.find,
    "folder": folder_files.find,
    "tfds": tfds.find,
}


def is_reference(name: str) -> bool:
    """Say whether a dataset is named by a format and a place."""
    return ":" in name


def absolute(name: str) -> str:
    """Return a dataset's name in a form that means the same in any working directory."""
    kind, _, rest = name.partition(":")
    if not is_reference(name) or kind not in FORMATS or kind == "tfds" or not rest.strip():
        return name
    parts = rest.split(",") if kind == "csv" else [rest]
    try:
        paths = [Path(part.strip()).expanduser().resolve() for part in parts]
    except (RuntimeError, OSError, ValueError):  # an unknown user, a link in a circle, a zero byte
        return name  # whoever opens it tells
    return f"{kind}:{','.join(map(str, paths))}"


def find(name: str, around: Surroundings) -> Found:
    """Return the source that a reference names.

    Raises:
        SettingsError: the format is unknown or nothing follows it.
        DataError: there is nothing of that format.
    """
    kind, _, rest = name.partition(":")
    if kind not in FORMATS or not rest.strip():
        shown = f"{kind}:" if kind in FORMATS else repr(kind)
        raise SettingsError(
            f"`dataset` must be a name, or one of {', '.join(f'{f}:...' for f in FORMATS)};"
            f" got {name!r}: "
            + (f"say what {shown} is" if kind in FORMATS else near_matches(kind, FORMATS))
        )
    return FORMATS[kind](rest, around)
