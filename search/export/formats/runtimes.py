"""Formats for runtimes without Keras: SavedModel, ONNX and TensorFlow Lite."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from search.data.arrays import Array
from search.data.encoders import ImageEncoder, TextEncoder
from search.data.ranges import BYTES, WHITE, WHOLE
from search.data.reading import Column
from search.export.folder import Labels
from search.export.formats.base import (
    VOCABULARY,
    Exportable,
    Format,
    Samples,
    has_words,
    raw_phrase,
    tensor_names,
    word_phrase,
    write_vocabulary,
)
from search.export.formats.preprocessing import Preprocessing, rows_of, tokens_of
from search.export.raw import raw_shape, raw_type, rule_of

RAW = "serve"
# Types of arrays besides the model's own that `serve` takes as they are.
_ALSO = {
    "pixels": ("uint8", "float64"),
    BYTES: ("uint8", "bool", "float64"),
    WHOLE: ("uint16", "int16", "int32", "int64", "float64"),
}


class SavedModel(Format):
    """A folder with the signature `serve`, the default, which takes samples with their words.

    It takes images of grey without a last axis, too, and pixels of uint8, which are never
    fractions. What is no sample raises an error.
    """

    name, file, runtime = "saved_model", "saved_model", "tensorflow"
    takes_words = True

    def write(self, made: Exportable, folder: Path) -> None:
        """Write the model, with vocabulary or categories in the graph.

        Not with Keras's `export`, which stores the weights twice.
        """
        import tensorflow as tf

        model, labels, before = made.model, made.labels, _words_of(made.labels)

        def checked(given: Any) -> Any:
            found = model(given, training=False)
            _refuse_missing(found, labels)
            return found

        body = tf.function(checked)
        served = tf.Module(name="foldwise")
        resources = before.resources if before else ()
        served.kept = ([variable.value for variable in model.variables], resources)
        specs = list(_specs(model, labels, before))
        served.serve = tf.function(
            lambda samples: body(_taken(samples, labels, before)),
            input_signature=specs if len(specs) == 1 else None,  # which converts lists
        )
        usual, *_ = [served.serve.get_concrete_function(spec) for spec in specs]
        served.__call__ = served.serve  # the signature that MLflow calls
        tf.saved_model.save(served, str(folder / self.file), {"serving_default": usual})

    def predict(self, folder: Path, samples: Samples, labels: Labels) -> dict[str, Array]:
        """Return the values, of pixels also those of uint8."""
        import tensorflow as tf

        loaded = tf.saved_model.load(str(folder / self.file))
        served = _as_served(samples, labels)
        found = {RAW: _side_by_side(loaded.serve(served), labels)}
        encoder = labels.encoder
        if isinstance(encoder, ImageEncoder) and encoder.pixel_range is None:
            images = tf.constant(np.asarray(samples.raw))
            found[f"{RAW} of uint8"] = _side_by_side(loaded.serve(images), labels)
        return found

    def takes(self, labels: Labels) -> str:
        """Return a phrase on input and output."""
        return f"{word_phrase(labels)}; returns {labels.returns}"

    def details(self, labels: Labels, folder: Path) -> dict[str, Any]:
        """Return what `serve` takes: its type, the shape of one sample, and tensors of columns.

        A text has no shape; rows with words have a tensor for each column.
        """
        if labels.inputs:
            return {}
        if labels.kind == "text":
            return {"raw_shape": []}
        if not has_words(labels.columns):
            encoder = labels.encoder
            return {"raw_shape": list(raw_shape(encoder)), "raw_type": raw_type(encoder)}
        names = tensor_names(labels.columns)
        return {
            "raw_shape": [],
            "tensors": [
                {"name": name, "column": column.name, "type": "str" if column.words else "float64"}
                for name, column in zip(names, labels.columns, strict=True)
            ],
        }


def _words_of(labels: Labels) -> Preprocessing | None:
    """Return what reads a model's words; None where its samples are numbers."""
    if isinstance(labels.encoder, TextEncoder):
        return tokens_of(labels.encoder)
    return rows_of(labels.columns) if has_words(labels.columns) else None


def _specs(model: Any, labels: Labels, before: Preprocessing | None) -> Iterator[Any]:
    """Yield the tensors that `serve` takes, the usual ones first."""
    import tensorflow as tf

    if labels.inputs:
        yield {one.name: tf.TensorSpec(one.shape, one.dtype, name=one.name) for one in model.inputs}
        return
    if before is not None:
        yield before.signature
        return
    encoder, own = labels.encoder, raw_type(labels.encoder)
    shape, kinds = (None, *raw_shape(encoder)), [own]
    if isinstance(encoder, ImageEncoder):
        ranged = encoder.pixel_range
        kinds += [
            kind for kind in _ALSO.get(ranged.depth if ranged else "pixels", ()) if kind != own
        ]
    elif own == "float32":
        kinds.append("float64")
    for kind in kinds:
        yield tf.TensorSpec(shape, kind, name=f"{labels.kind}s")
        if shape[-1] == 1 and len(shape) > 2:
            yield tf.TensorSpec(shape[:-1], kind, name=f"{labels.kind}s")


def _taken(samples: Any, labels: Labels, before: Preprocessing | None) -> Any:
    """Return what the Keras model takes for what `serve` takes."""
    import tensorflow as tf

    if labels.inputs:
        return samples
    if before is not None:
        samples = before.read(samples)
        return samples if labels.kind == "text" else tf.cast(samples, raw_type(labels.encoder))
    encoder = labels.encoder
    given = tf.cast(samples, raw_type(encoder))
    if len(given.shape) == len(raw_shape(encoder)):
        given = given[..., tf.newaxis]
    if samples.dtype == tf.uint8 and isinstance(encoder, ImageEncoder) and not encoder.pixel_range:
        dark = tf.reduce_max(given, axis=(1, 2, 3), keepdims=True) <= 1
        given = tf.where(dark, given / WHITE, given)  # as `raw_pixels` does it
    return given


def _refuse_missing(values: Any, labels: Labels) -> None:
    """Raise an error, when the graph runs, where values are missing."""
    import tensorflow as tf

    encoder = labels.encoder
    rule = "finite numbers, of columns also NaN"
    if isinstance(encoder, ImageEncoder):
        rule = rule_of(encoder.pixel_range)
    for found in tf.nest.flatten(values):
        message = f"these are no samples of the model, which takes {rule}"
        tf.debugging.Assert(tf.logical_not(tf.reduce_any(tf.math.is_nan(found))), [message])


def _as_served(samples: Samples, labels: Labels) -> Any:
    """Return samples as `serve` takes them, in tensors."""
    import tensorflow as tf

    columns = labels.columns
    if labels.kind == "text":
        return tf.constant(list(samples.raw))
    if not has_words(columns):
        return tf.nest.map_structure(tf.constant, samples.given)
    rows = np.asarray(samples.raw, np.float64)
    return {
        name: tf.constant(_said(column, values))
        for name, column, values in zip(tensor_names(columns), columns, rows.T, strict=True)
    }


def _said(column: Column, values: Array) -> Any:
    """Return a column's values as `serve` takes them: words, blank where they are missing."""
    return [column.shown(value) for value in values.tolist()] if column.words else values


def _side_by_side(found: Any, labels: Labels) -> Array:
    """Return values `(n, units)`; of several outputs in the order of the task."""
    if not isinstance(found, dict):
        return np.asarray(found)
    return np.concatenate([np.asarray(found[name]) for name in labels.outputs.names], axis=1)


class Onnx(Format):
    """`model.onnx`, with an open number of samples."""

    name, file, runtime = "onnx", "model.onnx", "onnxruntime"
    more_files = (VOCABULARY,)
    modules = ("onnx", "tf2onnx", "onnxruntime")

    def write(self, made: Exportable, folder: Path) -> None:
        """Write the model."""
        made.model.export(folder / self.file, format="onnx", verbose=False)
        write_vocabulary(made.labels, folder)

    def predict(self, folder: Path, samples: Samples, labels: Labels) -> dict[str, Array]:
        """Return the values from ONNX Runtime on the CPU."""
        import onnxruntime

        session = onnxruntime.InferenceSession(
            folder / self.file, providers=["CPUExecutionProvider"]
        )
        taken = [each.name for each in session.get_inputs()]
        given = samples.given if labels.inputs else {taken[0]: samples.given}
        found = session.run(None, {name: given[name] for name in taken})
        names = [each.name for each in session.get_outputs()]
        named = dict(zip(names, found, strict=True)) if labels.outputs.names else found[0]
        return {"inputs": _side_by_side(named, labels)}

    def takes(self, labels: Labels) -> str:
        """Return a phrase on input and output."""
        return f"{raw_phrase(labels)}; returns {labels.returns}"


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
        """Return the values from the interpreter."""
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(str(folder / self.file))
        (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()
        one_by_one = taken["shape_signature"][0] == 1
        if not one_by_one:
            interpreter.resize_tensor_input(taken["index"], samples.given.shape)
        interpreter.allocate_tensors()
        found, count = [], len(samples.given)
        for batch in np.split(samples.given, count) if one_by_one else [samples.given]:
            interpreter.set_tensor(taken["index"], batch)
            interpreter.invoke()
            found.append(np.array(interpreter.get_tensor(given["index"])))
        return {"inputs": np.concatenate(found)}

    def takes(self, labels: Labels) -> str:
        """Return a phrase on input and output."""
        alone = ", one text at a time" if labels.kind == "text" else ""
        return f"{raw_phrase(labels)}{alone}; returns {labels.returns}"


def _convert(made: Exportable, path: Path, *, batch: int | None) -> None:
    import keras
    import tensorflow as tf

    model = made.model
    inputs = model.inputs[0]
    if inputs.dtype == "float64":
        raise ValueError(
            "its samples need more digits than float32 has, which is all it computes; subtract a"
            " constant from their columns, such as the first date, before the search"
        )
    if model.outputs[0].dtype == "float64":
        raise ValueError("its numbers need more digits than float32 has, which is all it computes")
    is_text = made.labels.kind == "text"
    shape = made.labels.encoder.input_shape if is_text else tuple(inputs.shape[1:])
    signature = [tf.TensorSpec((batch, *shape), inputs.dtype, name="inputs")]
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
