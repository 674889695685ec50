"""The folder of an exported model: its files, and how they are read."""

import hashlib
import json
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from search.errors import DataError
from search.export.archive import fault_in_archive, own_names
from search.export.labels import Labels, labels_from_json
from spaces import SpaceError, cause_of
from tracking.files import whole_file
from tracking.home import LABELS, METRICS, MODEL
from tracking.text import shell

MAX_JSON_BYTES = 64 << 20

# Runs a user's code that registers classes with Keras; yields after each step.
Code: TypeAlias = Callable[[], Iterable[None]]

_MISSING = re.compile(r"Could not locate (class|function) '([^']+)'")
_LAMBDA = re.compile(r"unsafe_deserialization|__lambda__|identifier: \{'value'")
_HOLDS_CODE = "contains code, such as a Lambda layer, which is never run"
_SHOWN_NAMES = 5
OTHERS = ("saved_model.pb", "*.h5", "*.hdf5", "*.pkl", "*.pickle", "*.joblib", "*.pt")


class NoModel(DataError):
    """A folder whose model cannot be loaded.

    Attributes:
        why: a phrase.
    """

    def __init__(self, message: str, why: str) -> None:
        super().__init__(message)
        self.why = why


class NeedsCode(NoModel):
    """A model with custom classes or functions that Keras does not know.

    Args:
        model: the archive.
        names: of custom objects, as in the archive.
        why: what Keras lacks.
        remedy: one sentence.
    """

    def __init__(self, model: Path, names: tuple[str, ...], why: str, remedy: str = "") -> None:
        self.model, self.names = model, names
        shown = ", ".join(repr(name[:80]) for name in names[:_SHOWN_NAMES])
        message = f"{model} cannot be opened without the code of {shown} ({why}). {remedy}"
        super().__init__(message.rstrip(), why)

    def with_remedy(self, remedy: str) -> "NeedsCode":
        """Return the same error with a remedy."""
        return NeedsCode(self.model, self.names, self.why, remedy)


@dataclass(frozen=True)
class ModelFolder:
    """A folder that `export` wrote.

    Attributes:
        path: its path; a text becomes one.
    """

    path: Path

    def __post_init__(self) -> None:
        """Take a text, too."""
        object.__setattr__(self, "path", Path(self.path))

    @property
    def model(self) -> Path:
        """The Keras archive."""
        return self.path / MODEL

    def model_sha256(self) -> str:
        """Return the archive's digest.

        Raises:
            DataError: there is no archive.
        """
        try:
            return _sha256(self.model)
        except OSError as error:
            raise self._not_a_model(error.strerror) from error

    def write_labels(self, labels: Labels) -> None:
        """Write `labels.json` after all other files: it has the digest of each.

        The digests reveal a folder with files of two exports, for example after a killed export or
        an interrupted copy.
        """
        files = sorted(path for path in self.path.rglob("*") if path.is_file())
        digests = {
            path.relative_to(self.path).as_posix(): {
                "sha256": _sha256(path),
                "bytes": path.stat().st_size,
            }
            for path in files
        }
        content = labels.to_json() | {"files": digests}
        self.write(LABELS, json.dumps(content, indent=2) + "\n")

    def check_model(self) -> None:
        """Check that `model.keras` is the file that `labels.json` was written with.

        A folder without labels, or with labels without digests, is not refused.

        Raises:
            DataError: it is another file.
        """
        try:
            known = _read_json(self.path / LABELS)["files"][MODEL]["sha256"]
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            return  # `labels` gives the error
        if known != self.model_sha256():
            again = shell("export", "STUDY", "--out", str(self.path), "--overwrite")
            raise DataError(
                f"{self.path} is not complete: its {MODEL} is not the one that {LABELS} was written"
                " for, as after an interrupted export or copy, so its predictions would be wrong."
                f" Export again with `{again}`,"
                " or copy the whole folder again."
            )

    def labels(self) -> Labels:
        """Read `labels.json`.

        Raises:
            DataError: it is missing or damaged.
        """
        try:
            return labels_from_json(_read_json(self.path / LABELS))
        except OSError as error:
            raise self._not_a_model(error.strerror) from error
        except (ValueError, LookupError, TypeError, ArithmeticError, RecursionError) as error:
            why = f"{type(error).__name__}: {error}"[:300]
            raise self._not_a_model(f"{LABELS} is damaged: {why}") from error

    def metrics(self) -> dict[str, Any]:
        """Read `metrics.json`; empty if it is missing or damaged."""
        try:
            data = _read_json(self.path / METRICS)
        except (OSError, ValueError, RecursionError):
            return {}
        return data if isinstance(data, dict) else {}

    def write(self, name: str, content: str | bytes) -> None:
        """Write one of the folder's texts or pictures, completely or not at all."""
        with whole_file(self.path / name) as file:
            file.write(content.encode() if isinstance(content, str) else content)

    def own_names(self) -> tuple[str, ...]:
        """Return the names of custom objects in the archive, as `archive.own_names` does."""
        return own_names(self.model)

    def load(self, code: Code | None = None) -> Any:
        """Return the Keras model, loaded in Keras's safe mode; no other format is opened.

        It has no loss, optimizer and metrics, which may be custom objects and which predictions do
        not need.

        Args:
            code: runs the user's code that registers custom classes, step by step; used only if
                Keras alone cannot open the archive, which is tried again after each step.

        Raises:
            NeedsCode: the archive has custom objects that no code has registered.
            DataError: the archive is missing or damaged, belongs to another export than the labels,
                is not a model, or could only be loaded by running code in it.
        """
        if not self.model.is_file():
            raise self._not_a_model(f"there is no {MODEL}{self._other_formats()}")
        self.check_model()
        fault = fault_in_archive(self.model)
        if fault:
            raise self._not_a_model(f"{MODEL} is damaged: {fault}")
        import keras

        try:
            model = _loaded(self.model, code)
        except Exception as error:  # Keras raises errors of all types for a damaged archive
            raise self._not_opened(error) from error
        if not isinstance(model, keras.Model):
            raise self._not_a_model(
                f"{MODEL} contains a {type(model).__name__}, which is not a model"
            )
        return model

    def _not_opened(self, error: Exception) -> DataError:
        why = why_not_read(error)
        if why == _HOLDS_CODE:
            return self._not_a_model(f"{MODEL} {why}")
        missing = tuple(name for _, name in _missing(error))
        if missing or isinstance(error, SpaceError):  # the code that should register them
            return NeedsCode(self.model, self.own_names() or missing, why)
        return self._not_a_model(f"{MODEL} is damaged: {why}")

    def _other_formats(self) -> str:
        found = [path.name for pattern in OTHERS for path in self.path.glob(pattern)]
        if not found:
            return ""
        return f"; {sorted(found)[0]} is not opened, as such files may contain code"

    def _not_a_model(self, why: str | None) -> NoModel:
        return NoModel(
            f"{self.path} is not an exported model ({why}); write one with"
            f" `{shell('export', 'STUDY', '--out', str(self.path))}`",
            str(why),
        )


def why_not_read(error: BaseException) -> str:
    """Return in one phrase why Keras could not read an archive or its configuration."""
    if isinstance(error, NoModel):
        return error.why
    if _LAMBDA.search(str(error)):
        return _HOLDS_CODE
    found = _missing(error)
    return (
        f"{found[0][0]} {found[0][1]!r} is not registered with Keras" if found else cause_of(error)
    )


def _missing(error: BaseException) -> list[tuple[str, str]]:
    return [(kind, name[:80]) for kind, name in _MISSING.findall(str(error))]


def _loaded(path: Path, code: Code | None) -> Any:
    import keras

    def load() -> Any:
        return keras.saving.load_model(path, compile=False, safe_mode=True)

    try:
        return load()
    except Exception:
        if code is None:
            raise
        for _ in code():
            with suppress(Exception):  # errors that another step may fix
                return load()
        return load()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_json(path: Path) -> Any:
    with path.open("rb") as file:
        content = file.read(MAX_JSON_BYTES + 1)
    if len(content) > MAX_JSON_BYTES:
        raise ValueError(f"it has more than {MAX_JSON_BYTES:,} bytes")
    return json.loads(content)
