"""Formats of other runtimes, ONNX and TensorFlow Lite; samples must be encoded for them."""

from pathlib import Path
from typing import Any

import numpy as np

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


class TFLite(Format):
    """`model.tflite`, with only TensorFlow Lite's operations, which every interpreter has."""

    name, file, runtime = "tflite", "model.tflite", "ai-edge-litert"
    more_files = (VOCABULARY,)
    modules = ("ai_edge_litert",)

    def write(self, made: Exportable, folder: Path) -> None:
        """Write the model for any number of samples, or for one sample at a time.

        Recurrent layers have lists whose size must be known in advance, so texts are single.
        """
        path = folder / self.file
        if made.labels.kind == "text":
            _convert(made, path, batch=1)
        else:
            try:
                _convert(made, path, batch=None)
            except Exception:  # noqa: BLE001 # the converter raises errors of all types
                _convert(made, path, batch=1)
        write_vocabulary(made.labels, folder)

    def predict(self, folder: Path, samples: Samples, labels: Labels) -> dict[str, Array]:
        """Return the probabilities from the interpreter."""
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(str(folder / self.file))
        (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()
        encoded = samples.encoded.astype(taken["dtype"])
        one_by_one = taken["shape_signature"][0] == 1
        if not one_by_one:
            interpreter.resize_tensor_input(taken["index"], encoded.shape)
        interpreter.allocate_tensors()
        found = []
        for batch in (encoded[i : i + 1] for i in range(len(encoded))) if one_by_one else [encoded]:
            interpreter.set_tensor(taken["index"], batch)
            interpreter.invoke()
            found.append(np.array(interpreter.get_tensor(given["index"])))
        return {"inputs": np.concatenate(found)}

    def takes(self, labels: Labels) -> str:
        """Return a phrase on input and output."""
        alone = ", one text at a time" if labels.kind == "text" else ""
        return f"{encoded_phrase(labels)}{alone}; returns probabilities"


def _convert(made: Exportable, path: Path, *, batch: int | None) -> None:
    import tensorflow as tf

    inputs = made.probable.inputs[0]
    is_text = made.labels.kind == "text"
    shape = made.labels.encoder.input_shape if is_text else tuple(inputs.shape[1:])
    own: dict[str, Any] = {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]}
    made.probable.export(
        path,
        format="litert",
        verbose=False,
        input_signature=[tf.TensorSpec((batch, *shape), inputs.dtype, name="inputs")],
        target_spec=own,
    )
