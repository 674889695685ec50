"""ONNX, an exchange format: runs in ONNX Runtime, in many languages, without TensorFlow."""

from pathlib import Path

from search.data.arrays import Array
from search.export.folder import Labels
from search.export.formats.base import (
    VOCABULARY,
    Exportable,
    Format,
    Samples,
    encoded_phrase,
    write_vocabulary,
)


class Onnx(Format):
    """`model.onnx`, with an open number of samples."""

    name, file, runtime = "onnx", "model.onnx", "onnxruntime"
    more_files = (VOCABULARY,)
    modules = ("onnx", "tf2onnx", "onnxruntime")

    def write(self, made: Exportable, folder: Path) -> None:
        """Write the model."""
        made.probable.export(folder / self.file, format="onnx", verbose=False)
        write_vocabulary(made.labels, folder)

    def predict(self, folder: Path, samples: Samples, labels: Labels) -> dict[str, Array]:
        """Return the probabilities from ONNX Runtime on the CPU."""
        import numpy as np
        import onnxruntime

        session = onnxruntime.InferenceSession(
            folder / self.file, providers=["CPUExecutionProvider"]
        )
        (taken,) = session.get_inputs()
        kind = np.int32 if taken.type == "tensor(int32)" else np.float32
        (found,) = session.run(None, {taken.name: samples.encoded.astype(kind)})
        return {"inputs": found}

    def takes(self, labels: Labels) -> str:
        """Return a phrase on input and output."""
        return f"{encoded_phrase(labels)}; returns probabilities"
