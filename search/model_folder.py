"""An exported model's folder: its files, and how they are read again."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search.errors import DataError

MODEL, METRICS, LABELS, CARD = "model.keras", "metrics.json", "labels.json", "MODEL_CARD.md"


@dataclass(frozen=True)
class Labels:
    """What a model's inputs and outputs mean.

    Attributes:
        classes: names, by output number.
        input_shape: (height, width, channels) of what the model receives, pixels 0..255.
        native_shape: the same of the images it was trained on, before padding or resizing.
        background: mean of the training images' border pixels, 0 (black) to 255 (white).
    """

    classes: tuple[str, ...]
    input_shape: tuple[int, int, int]
    native_shape: tuple[int, int, int]
    background: float

    def to_json(self) -> dict[str, Any]:
        """Return the content of `labels.json`."""
        return {
            "classes": list(self.classes),
            "input_shape": list(self.input_shape),
            "native_shape": list(self.native_shape),
            "background": self.background,
        }


@dataclass(frozen=True)
class ModelFolder:
    """A folder that `export` wrote."""

    path: Path

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
            with self.model.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise self._not_a_model(error.strerror) from error

    def labels(self) -> Labels:
        """Read `labels.json`.

        Raises:
            DataError: absent or damaged.
        """
        try:
            data = json.loads((self.path / LABELS).read_text())
            return Labels(
                tuple(map(str, data["classes"])),
                _shape(data["input_shape"]),
                _shape(data["native_shape"]),
                float(data["background"]),
            )
        except OSError as error:
            raise self._not_a_model(error.strerror) from error
        except (ValueError, KeyError, TypeError) as error:
            raise self._not_a_model(f"{LABELS} is damaged: {error}") from error

    def metrics(self) -> dict[str, Any]:
        """Read `metrics.json`; an absent or damaged one is empty."""
        try:
            data = json.loads((self.path / METRICS).read_text())
        except (OSError, ValueError):
            return {}
        return data if isinstance(data, dict) else {}

    def write(self, name: str, content: str) -> None:
        """Write one of the folder's text files, whole or not at all."""
        partial = self.path / f"{name}.partial"
        partial.write_text(content)
        partial.replace(self.path / name)

    def load(self) -> Any:
        """Return the Keras model, loaded in Keras's safe mode.

        Raises:
            DataError: the archive is absent or damaged.
        """
        import keras

        if not self.model.is_file():
            raise self._not_a_model(f"there is no {MODEL}")
        try:
            return keras.saving.load_model(self.model, safe_mode=True)
        except Exception as error:  # Keras raises all kinds for a damaged archive
            raise self._not_a_model(f"{MODEL} is damaged: {error}".splitlines()[0]) from error

    def _not_a_model(self, why: str | None) -> DataError:
        return DataError(
            f"{self.path} is no exported model ({why}); write one with"
            f" `python -m search export STUDY --to {self.path}`"
        )


def _shape(values: Any) -> tuple[int, int, int]:
    height, width, channels = map(int, values)
    return height, width, channels
