"""Datasets of TFDS, by name: `tfds:NAME`, `tfds:NAME/CONFIG`, `tfds:NAME:VERSION`.

A prepared dataset is used if there is one; else TFDS downloads and prepares it.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path

from search.data.answers import Found, PlaceError, Surroundings
from search.data.checks import Contents
from search.data.download import download_by_tfds, read_prepared
from search.environment import missing_extra
from search.errors import DataError, SettingsError

_NAME = re.compile(
    r"(?P<name>\w+)(/(?P<config>[\w.-]+))?(:(?P<version>(\d+|\*)\.(\d+|\*)\.(\d+|\*)))?"
)
_CONFIG = re.compile(r"[\w.-]*")
_VERSION = re.compile(r"\d+\.\d+\.\d+")


@dataclass(frozen=True)
class TfdsName:
    """The name of a dataset in TFDS.

    Attributes:
        name: name of the dataset.
        config: name of its configuration; empty: the default.
        version: for example `1.0.0` or `1.*.*`; empty: the highest.
    """

    name: str
    config: str = ""
    version: str = ""

    @classmethod
    def parse(cls, text: str) -> "TfdsName":
        """Return the parts of a name.

        Raises:
            SettingsError: it does not have that form.
        """
        match = _NAME.fullmatch(text.strip())
        if match is None:
            raise SettingsError(
                "`tfds:` must be followed by NAME, NAME/CONFIG or either with :VERSION, for example"
                f" glue/sst2:2.0.0; got {text!r}"
            )
        return cls(match["name"], match["config"] or "", match["version"] or "")


def find(rest: str, around: Surroundings) -> Found:
    """Return the prepared dataset from the user's folder or TFDS's folder, or else its download.

    Args:
        rest: the name, without `tfds:`.
        around: the folders to look in.

    Raises:
        SettingsError: `rest` is not a name.
    """
    name = TfdsName.parse(rest)
    roots = [root for root in (around.data_dir, around.tfds) if root is not None]
    for root in roots:
        version = find_prepared(root, name)
        if version is not None:
            return Found(f"TFDS's {version}", prepared_files(version), partial(_read, version))
    return Found("TFDS's download", (), partial(_download, rest.strip(), roots))


def find_prepared(root: Path, name: TfdsName) -> Path | None:
    """Return the folder of the highest prepared version, or None.

    Args:
        root: TFDS's folder, for example `~/tensorflow_datasets`.
        name: the dataset.
    """
    folder = root / name.name / (name.config or _default_config(root / name.name))
    versions = [
        path.parent
        for path in folder.glob("*/dataset_info.json")
        if _VERSION.fullmatch(path.parent.name)
        and fnmatchcase(path.parent.name, name.version or "*")
    ]
    return max(versions, key=_numbers, default=None)


def prepared_files(version: Path) -> tuple[Path, ...]:
    """Return the files of a prepared version."""
    return tuple(sorted(path for path in version.iterdir() if path.is_file()))


def _numbers(version: Path) -> tuple[int, ...]:
    return tuple(map(int, version.name.split(".")))


def _default_config(folder: Path) -> str:
    """Return the default configuration that TFDS recorded beside prepared ones; empty without."""
    try:
        noted = json.loads((folder / ".config" / "metadata.json").read_text(encoding="utf-8"))
        name = str(noted["default_config_name"] or "")
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""
    return name if _CONFIG.fullmatch(name) else ""


def _read(version: Path, out: Path) -> Contents:
    try:
        return read_prepared(version, out)
    except PlaceError as error:
        raise DataError(f"{version} cannot be read: {error}.") from error


def _download(name: str, roots: Sequence[Path], out: Path) -> Contents:
    if missing_extra("tfds"):
        raise DataError(
            f"tfds:{name} needs TensorFlow Datasets, which is not installed; install it with"
            f" `{missing_extra('tfds')}`."
        )
    try:
        return download_by_tfds(name, out)
    except PlaceError as error:
        tried = "\n".join(f"  {root}: no prepared {name}" for root in roots)
        raise DataError(
            f"the dataset tfds:{name} is not on this machine. Tried:\n{tried}\n"
            f"  TFDS's download: {error}\n"
            "What to do: let TFDS prepare it where there is a network, and name the folder that"
            " holds it with `--data-dir` or TFDS_DATA_DIR."
        ) from error
