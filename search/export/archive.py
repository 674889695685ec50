"""Check a `.keras` archive before Keras opens it; nothing in it is run."""

import json
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

MAX_BYTES = 8 << 30  # bytes of all members, unpacked
MAX_CONFIG_BYTES = 64 << 20
MAX_EXPANSION = 100  # times; Keras does not compress, and honest tools reach a tenth at most
FREE_BYTES = 256 << 20  # bytes that are allowed at any compression
TOPMOST = frozenset({"metadata.json", "config.json", "model.weights.h5", "assets"})
CONFIG = "config.json"


def fault_in_archive(path: Path) -> str:
    """Return why a file is not a Keras archive that is safe to unpack; empty if it is.

    Args:
        path: a file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _fault_in(archive)
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, ValueError) as error:
        # RuntimeError: encrypted, unknown compression, or nested too deep.
        return f"it must be a Keras archive, which is a zip file: {error}"


def own_names(path: Path) -> tuple[str, ...]:
    """Return the names of custom objects in a valid archive, as `own_in` finds them.

    Args:
        path: the archive; nothing in it is run.
    """
    with zipfile.ZipFile(path) as archive:
        return own_in(json.loads(archive.read(CONFIG)))


def own_in(config: Any) -> tuple[str, ...]:
    """Return the names of custom classes and functions in Keras's configuration."""
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
            yield str(config.get("config"))  # Keras refers to its own objects by a text alone
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
        return "it contains a name twice"
    odd = next((name for name in names if not _is_expected(name)), None)
    if odd is not None:
        return f"it contains {odd[:80]!r}, which Keras would not have written"
    if CONFIG not in names:
        return f"it has no {CONFIG}"
    size, packed = (sum(column) for column in zip(*map(_sizes, members), strict=True))
    if size > MAX_BYTES or size > max(FREE_BYTES, MAX_EXPANSION * packed):
        return f"it would expand from {packed:,} to {size:,} bytes"
    if archive.getinfo(CONFIG).file_size > MAX_CONFIG_BYTES:
        return f"{CONFIG} has more than {MAX_CONFIG_BYTES:,} bytes"
    return (
        "" if isinstance(json.loads(archive.read(CONFIG)), dict) else f"{CONFIG} is not a mapping"
    )


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
