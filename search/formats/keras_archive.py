"""Keras's own archive: what `predict` and `evaluate` load, and the one that is always written."""

from pathlib import Path

from search.formats.base import Array, Exportable, Format, Samples
from search.formats.phrases import encoded_phrase
from search.model_folder import MODEL, Labels, ModelFolder


class KerasArchive(Format):
    """`model.keras`, read in Keras's safe mode, in which no code of its own runs."""

    name, file, runtime = "keras", MODEL, "keras"

    def write(self, made: Exportable, folder: Path) -> None:
        """Write the model as it is, its optimizer included."""
        made.model.save(folder / self.file)

    def predict(self, folder: Path, samples: Samples, labels: Labels) -> dict[str, Array]:
        """Return the probabilities that `predict` would give."""
        from search.fit import predict

        model = ModelFolder(folder).load()
        return {"inputs": predict(model, samples.encoded, labels.meaning)}

    def takes(self, labels: Labels) -> str:
        """Return what the Keras model takes and gives."""
        return f"{encoded_phrase(labels)}; gives {labels.outputs}"
