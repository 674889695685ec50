"""Formats for runtimes without Keras: SavedModel, ONNX and TensorFlow Lite."""

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from search.data.arrays import Array
from search.data.encoders import ImageEncoder
from search.data.ranges import WHITE
from search.data.reading import Column
from search.export.folder import Labels
from search.export.formats.base import (
    VOCABULARY,
    Exportable,
    Format,
    Samples,
    encoded_phrase,
    has_words,
    margins,
    raw_phrase,
    raw_shape,
    raw_type,
    tensor_names,
    valued_model,
    write_vocabulary,
)
from search.export.formats.preprocessing import encoded_pixels, preprocessing_of

RAW, ENCODED = "serve", "encoded"


class SavedModel(Format):
    """A folder with two signatures: `serve` (the default) and `encoded`."""

    name, file, runtime = "saved_model", "saved_model", "tensorflow"

    def write(self, made: Exportable, folder: Path) -> None:
        """Write the model, with vocabulary or means in the graph.

        Not with Keras's `export`, which stores the weights twice.
        """
        import tensorflow as tf

        before = preprocessing_of(made.labels.encoder, made.labels.columns)
        model, inputs = made.valued, made.valued.inputs[0]
        spec = tf.TensorSpec(inputs.shape, inputs.dtype, name="inputs")
        served = tf.Module(name="foldwise")
        served.kept = ([variable.value for variable in model.variables], before.resources)
        served.serve = tf.function(
            lambda samples: model(before.encode(samples), training=False),
            input_signature=[before.signature],
        )
        served.encoded = tf.function(
            lambda samples: model(samples, training=False), input_signature=[spec]
        )
        served.__call__ = served.serve  # the signature that MLflow calls
        signatures = {"serving_default": served.serve, ENCODED: served.encoded}
        tf.saved_model.save(served, str(folder / self.file), signatures)

    def predict(self, folder: Path, samples: Samples, labels: Labels) -> dict[str, Array]:
        """Return the values of both signatures."""
        import tensorflow as tf

        loaded = tf.saved_model.load(str(folder / self.file))
        kind = loaded.signatures[ENCODED].structured_input_signature[1]["inputs"].dtype
        served = _as_served(samples, labels)
        if isinstance(served, dict):
            served = {name: tf.constant(values) for name, values in served.items()}
        else:
            served = tf.constant(served)
        return {
            RAW: loaded.serve(served).numpy(),
            ENCODED: loaded.encoded(tf.cast(samples.encoded, kind)).numpy(),
        }

    def takes(self, labels: Labels) -> str:
        """Return a phrase on inputs and outputs of the two signatures."""
        raw = raw_phrase(labels, raw_shape(labels.encoder))
        encoded = encoded_phrase(labels)
        return f"`{RAW}`: {raw}; `{ENCODED}`: {encoded}; both return {labels.returns}"

    def details(self, labels: Labels, folder: Path) -> dict[str, Any]:
        """Return what `serve` takes: its type, the shape of one sample, and tensors of columns.

        A text has no shape; rows with words have a tensor for each column.
        """
        if labels.kind == "text":
            return {"raw_shape": []}
        if labels.kind != "table":
            encoder = labels.encoder
            return {"raw_shape": list(raw_shape(encoder)), "raw_type": raw_type(encoder)}
        if not has_words(labels.columns):
            return {"raw_shape": [len(labels.columns)], "raw_type": "float64"}
        names = tensor_names(labels.columns)
        return {
            "raw_shape": [],
            "tensors": [
                {"name": name, "column": column.name, "type": "str" if column.words else "float64"}
                for name, column in zip(names, labels.columns, strict=True)
            ],
        }


def _as_served(samples: Samples, labels: Labels) -> Any:
    """Return the raw samples; images that only Pillow can resize are resized.

    Those that are pixels are whole numbers 0..255, float32.
    """
    encoder, columns = labels.encoder, labels.columns
    if labels.kind == "text":
        return list(samples.raw)
    if isinstance(encoder, ImageEncoder):
        images = samples.raw
        if margins(encoder) is None:
            images = samples.encoded
            images = np.rint(images * 255).astype(np.uint8) if encoder.scaled else images
        ranged = encoder.pixel_range
        images = np.asarray(images)
        return images.astype(np.float32) if ranged is None else ranged.values(images)
    if labels.kind != "table":
        return np.asarray(samples.raw)
    rows = np.asarray(samples.raw, np.float64)
    if not has_words(columns):
        return rows
    return {
        name: _said(column, values)
        for name, column, values in zip(tensor_names(columns), columns, rows.T, strict=True)
    }


def _said(column: Column, values: Array) -> Any:
    """Return a column's values as `serve` takes them: words, blank where they are missing."""
    return [column.shown(value) for value in values.tolist()] if column.words else values


def _takes_pixels(labels: Labels) -> bool:
    """Say whether ONNX and TensorFlow Lite take images as SavedModel's `serve` does.

    Values that are no pixels take float64 to be turned into them.
    """
    encoder = labels.encoder
    return labels.kind == "image" and isinstance(encoder, ImageEncoder) and not encoder.pixel_range


def _convertible(made: Exportable) -> Any:
    """Return the Keras model to convert: of images with what brings them to the model's size."""
    encoder = made.labels.encoder
    if not _takes_pixels(made.labels) or not isinstance(encoder, ImageEncoder):
        return made.valued

    def encode(images: Any) -> Any:
        pixels = encoded_pixels(images, encoder)
        return pixels / float(WHITE) if encoder.scaled else pixels

    return valued_model(made.model, made.labels, _as_served(made.samples, made.labels), encode)


def _as_taken(samples: Samples, labels: Labels) -> Array:
    """Return samples as ONNX and TensorFlow Lite take them."""
    given = _as_served(samples, labels) if _takes_pixels(labels) else samples.encoded
    return np.asarray(given)


def _taken_phrase(labels: Labels) -> str:
    if _takes_pixels(labels):
        return raw_phrase(labels, raw_shape(labels.encoder))
    return encoded_phrase(labels)


class Onnx(Format):
    """`model.onnx`, with an open number of samples."""

    name, file, runtime = "onnx", "model.onnx", "onnxruntime"
    more_files = (VOCABULARY,)
    modules = ("onnx", "tf2onnx", "onnxruntime")

    def write(self, made: Exportable, folder: Path) -> None:
        """Write the model."""
        _convertible(made).export(folder / self.file, format="onnx", verbose=False)
        write_vocabulary(made.labels, folder)

    def predict(self, folder: Path, samples: Samples, labels: Labels) -> dict[str, Array]:
        """Return the values from ONNX Runtime on the CPU."""
        import numpy as np
        import onnxruntime

        session = onnxruntime.InferenceSession(
            folder / self.file, providers=["CPUExecutionProvider"]
        )
        (taken,) = session.get_inputs()
        kind = np.int32 if taken.type == "tensor(int32)" else np.float32
        (found,) = session.run(None, {taken.name: _as_taken(samples, labels).astype(kind)})
        return {"inputs": found}

    def takes(self, labels: Labels) -> str:
        """Return a phrase on input and output."""
        return f"{_taken_phrase(labels)}; returns {labels.returns}"


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
        given_samples = _as_taken(samples, labels).astype(taken["dtype"])
        one_by_one = taken["shape_signature"][0] == 1
        if not one_by_one:
            interpreter.resize_tensor_input(taken["index"], given_samples.shape)
        interpreter.allocate_tensors()
        found = []
        for batch in np.split(given_samples, len(given_samples)) if one_by_one else [given_samples]:
            interpreter.set_tensor(taken["index"], batch)
            interpreter.invoke()
            found.append(np.array(interpreter.get_tensor(given["index"])))
        return {"inputs": np.concatenate(found)}

    def takes(self, labels: Labels) -> str:
        """Return a phrase on input and output."""
        alone = ", one text at a time" if labels.kind == "text" else ""
        return f"{_taken_phrase(labels)}{alone}; returns {labels.returns}"


def _convert(made: Exportable, path: Path, *, batch: int | None) -> None:
    import keras
    import tensorflow as tf

    model = _convertible(made)
    inputs = model.inputs[0]
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
