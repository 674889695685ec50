"""Formats for runtimes without Keras and TensorFlow: ONNX and TensorFlow Lite."""

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from search.data.arrays import Array
from search.export.formats.base import (
    VOCABULARY,
    Exportable,
    Format,
    Samples,
    raw_phrase,
    values_side_by_side,
    write_vocabulary,
)
from search.export.formats.naming import plain_inputs, plain_outputs
from search.export.labels import Labels
from search.tasks.models import first_of


def _with_plain_names(made: Exportable) -> Any:
    """Return the model with names of inputs and outputs that all runtimes take."""
    import keras

    model, inputs, outputs = made.model, plain_inputs(made.labels), plain_outputs(made.labels)
    if not inputs and all(name == own for own, name in outputs.items()):
        return model
    own = keras.tree.map_structure(
        lambda each: keras.Input(
            each.shape[1:], dtype=each.dtype, name=inputs.get(each.name, each.name)
        ),
        model.input,
    )
    found = model(own)
    if outputs:
        found = {outputs[name]: values for name, values in found.items()}
    plain = keras.Model({each.name: each for each in own.values()} if inputs else own, found)
    # Exporters accept only models that have been called.
    some = _by_plain_names(made.samples, made.labels) or made.samples.given
    plain(first_of(some, 1))
    return plain


def _by_plain_names(samples: Samples, labels: Labels) -> dict[str, Any]:
    return {plain: samples.given[name] for name, plain in plain_inputs(labels).items()}


def _in_order(values: dict[str, Any], labels: Labels) -> Array:
    """Return values that have plain names, of several outputs side by side."""
    named = {own: values[name] for own, name in plain_outputs(labels).items()}
    return values_side_by_side(named or next(iter(values.values())), labels)


class Onnx(Format):
    """`model.onnx`, with an open number of samples."""

    name, file, runtime = "onnx", "model.onnx", "onnxruntime"
    more_files = (VOCABULARY,)
    has_plain_names = True
    modules = ("onnx", "tf2onnx", "onnxruntime")

    def write(self, made: Exportable, folder: Path) -> None:
        """Write the model."""
        _with_plain_names(made).export(folder / self.file, format="onnx", verbose=False)
        write_vocabulary(made.labels, folder)

    def predict(self, folder: Path, samples: Samples, labels: Labels) -> dict[str, Array]:
        """Return the values from ONNX Runtime on the CPU."""
        import onnxruntime

        session = onnxruntime.InferenceSession(
            folder / self.file, providers=["CPUExecutionProvider"]
        )
        taken = [each.name for each in session.get_inputs()]
        given = _by_plain_names(samples, labels) or {taken[0]: samples.given}
        found = session.run(None, {name: given[name] for name in taken})
        names = [each.name for each in session.get_outputs()]
        return {"inputs": _in_order(dict(zip(names, found, strict=True)), labels)}

    def takes(self, labels: Labels) -> str:
        """Return a phrase on input and output."""
        return f"{raw_phrase(labels, plain=True)}; returns {labels.returns}"


class TFLite(Format):
    """`model.tflite`, with only TensorFlow Lite's operations, which every interpreter has."""

    name, file, runtime = "tflite", "model.tflite", "ai-edge-litert"
    more_files = (VOCABULARY,)
    has_plain_names = True
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
        """Return the values from the interpreter."""
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(str(folder / self.file))
        runner = interpreter.get_signature_runner()
        taken = runner.get_input_details()
        given = _by_plain_names(samples, labels) or dict.fromkeys(taken, samples.given)
        count = len(next(iter(given.values())))
        is_one_by_one = any(each["shape_signature"][0] == 1 for each in taken.values())
        found = []
        for some in np.array_split(np.arange(count), count if is_one_by_one else 1):
            values = runner(**{name: given[name][some] for name in taken})
            found.append(_in_order(values, labels))
        return {"inputs": np.concatenate(found)}

    def takes(self, labels: Labels) -> str:
        """Return a phrase on input and output."""
        alone = ", one text at a time" if labels.kind == "text" else ""
        return f"{raw_phrase(labels, plain=True)}{alone}; returns {labels.returns}"


def _convert(made: Exportable, path: Path, *, batch: int | None) -> None:
    import keras
    import tensorflow as tf

    model, labels = _with_plain_names(made), made.labels
    if any(each.dtype == "float64" for each in model.inputs):
        raise ValueError(
            "its samples need more digits than float32 has, which is all it computes; subtract a"
            " constant from their columns, such as the first date, before the search"
        )
    if any(each.dtype == "float64" for each in model.outputs):
        raise ValueError("its numbers need more digits than float32 has, which is all it computes")

    def spec(taken: Any, own: Labels, name: str) -> Any:
        # Texts have an open number of tokens in Keras.
        shape = own.encoder.input_shape if own.kind == "text" else tuple(taken.shape[1:])
        return tf.TensorSpec((batch, *shape), taken.dtype, name=name)

    if labels.inputs:
        names = plain_inputs(labels).items()
        signature = [{n: spec(model.input[n], labels.part(own), n) for own, n in names}]
    else:
        signature = [spec(model.inputs[0], labels, "inputs")]
    # What `export(format="litert")` does in Keras 3.13 and later; earlier ones do not have it.
    with TemporaryDirectory() as saved:
        archive = keras.export.ExportArchive()
        archive.track(model)
        archive.add_endpoint("serve", partial(model, training=False), signature)
        archive.write_out(saved, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(saved)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        converter.experimental_enable_resource_variables = True
        path.write_bytes(converter.convert())
