"""An exported model's folder: its files, and how they are read again."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search.encoding import Encoder, encoder_from_json
from search.errors import DataError

MODEL, METRICS, LABELS, CARD = "model.keras", "metrics.json", "labels.json", "MODEL_CARD.md"


@dataclass(frozen=True)
class Labels:
    """What a model's inputs and outputs mean.

    Attributes:
        classes: names, by class number.
        encoder: turns samples into the model's input.
        background: mean of the training images' border pixels, 0 (black) to 255 (white).
        columns: a table's column names, in the model's order.
        outputs: what the model gives, `probabilities` or `logits`: one a class, or one for the
            second of two.
    """

    classes: tuple[str, ...]
    encoder: Encoder
    background: float = 0.0
    columns: tuple[str, ...] = ()
    outputs: str = "probabilities"

    @property
    def kind(self) -> str:
        """The kind of samples: `image`, `text` or `table`."""
        return str(self.encoder.to_json()["kind"])

    def to_json(self) -> dict[str, Any]:
        """Return the content of `labels.json`."""
        return {
            "classes": list(self.classes),
            "input": self.encoder.to_json(),
            "background": self.background,
            "columns": list(self.columns),
            "outputs": self.outputs,
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
                encoder_from_json(data["input"]),
                float(data["background"]),
                tuple(map(str, data["columns"])),
                str(data["outputs"]),
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
