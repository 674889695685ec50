"""A `.keras` archive looked at before Keras opens it; nothing in it is run."""

import json
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

MAX_BYTES = 8 << 30  # of all that is packed in it
MAX_CONFIG_BYTES = 64 << 20
MAX_EXPANSION = 100  # Keras packs nothing smaller; an honest tool gets to a tenth at most
FREE_BYTES = 256 << 20  # what may be packed as small as it likes
TOPMOST = frozenset({"metadata.json", "config.json", "model.weights.h5", "assets"})
CONFIG = "config.json"


def fault_in_archive(path: Path) -> str:
    """Return why a file is no Keras archive that is safe to unpack, or nothing.

    Args:
        path: a file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _fault_in(archive)
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, ValueError) as error:
        # RuntimeError: encrypted, packed in an unknown way, or nested too deep.
        return f"it must be a Keras archive, which is a zip file: {error}"


def own_names(path: Path) -> tuple[str, ...]:
    """Return the names of what in a sound archive is not Keras's own, as `own_in` finds them.

    Args:
        path: the archive; nothing in it is run.
    """
    with zipfile.ZipFile(path) as archive:
        return own_in(json.loads(archive.read(CONFIG)))


def own_in(config: Any) -> tuple[str, ...]:
    """Return the names of classes and functions in Keras's description that are not Keras's own."""
    return tuple(dict.fromkeys(_own(config)))


def _own(config: Any) -> Iterator[str]:
    parts = config.values() if isinstance(config, dict) else config
    if not isinstance(config, dict | list):
        return
    if isinstance(config, dict) and "class_name" in config:
        kind, module = str(config["class_name"]), str(config.get("module") or "")
        if kind == "__lambda__":
            yield "a Python lambda"
        elif kind == "function" and not _is_keras(module):
            yield str(config.get("config"))  # Keras names its own by a text alone
        elif module and module != "builtins" and not _is_keras(module):
            yield str(config.get("registered_name") or kind)
    for part in parts:
        yield from _own(part)


def _is_keras(module: str) -> bool:
    return module.partition(".")[0] == "keras"


def _fault_in(archive: zipfile.ZipFile) -> str:
    members = archive.infolist()
    names = [member.filename for member in members]
    if len(set(names)) < len(names):
        return "a name stands in it twice"
    odd = next((name for name in names if not _is_expected(name)), None)
    if odd is not None:
        return f"Keras would not have written {odd[:80]!r} in it"
    if CONFIG not in names:
        return f"{CONFIG} is missing in it"
    size, packed = (sum(column) for column in zip(*map(_sizes, members), strict=True))
    if size > MAX_BYTES or size > max(FREE_BYTES, MAX_EXPANSION * packed):
        return f"unpacked it would have {size:,} bytes, packed it has {packed:,}"
    if archive.getinfo(CONFIG).file_size > MAX_CONFIG_BYTES:
        return f"{CONFIG} has more than {MAX_CONFIG_BYTES:,} bytes"
    return "" if isinstance(json.loads(archive.read(CONFIG)), dict) else f"{CONFIG} is no mapping"


def _sizes(member: zipfile.ZipInfo) -> tuple[int, int]:
    return member.file_size, member.compress_size


def _is_expected(name: str) -> bool:
    path = PurePosixPath(name)
    return (
        not path.is_absolute()
        and "\\" not in name
        and ".." not in path.parts
        and path.parts[:1] != ()
        and path.parts[0] in TOPMOST
    )
