"""Formats for runtimes without Keras: SavedModel, ONNX and TensorFlow Lite."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from search.data.arrays import Array
from search.data.inputs import (
    FIRST_WORD,
    PADDING,
    UNKNOWN,
    Encoder,
    ImageEncoder,
    TableEncoder,
    TextEncoder,
)
from search.data.pictures import LUMA
from search.export.folder import Labels
from search.export.formats.base import (
    VOCABULARY,
    Exportable,
    Format,
    Margins,
    Samples,
    encoded_phrase,
    margins,
    raw_phrase,
    raw_shape,
    write_vocabulary,
)

RAW, ENCODED = "serve", "encoded"

# RE2's classes for the pattern of `search.data.arrays`; other characters become spaces.
_WORD_OR_SIGN = r"([\pL\pN]+(?:'[\pL\pN]+)*|[!?])|(?s:.)"
# ICU lower-cases these by the locale (Turkish: dotless i), Python does not.
_SAME_EVERYWHERE = (("I", "i"), ("\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}", "i\u0307"))


class SavedModel(Format):
    """A folder with two signatures: `serve` (the default) and `encoded`."""

    name, file, runtime = "saved_model", "saved_model", "tensorflow"

    def write(self, made: Exportable, folder: Path) -> None:
        """Write the model, with vocabulary or means in the graph.

        Not with Keras's `export`, which stores the weights twice.
        """
        import tensorflow as tf

        before = preprocessing_of(made.labels.encoder)
        model, inputs = made.probable, made.probable.inputs[0]
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
        """Return the probabilities of both signatures."""
        import tensorflow as tf

        loaded = tf.saved_model.load(str(folder / self.file))
        kind = loaded.signatures[ENCODED].structured_input_signature[1]["inputs"].dtype
        return {
            RAW: loaded.serve(tf.constant(_as_served(samples, labels))).numpy(),
            ENCODED: loaded.encoded(tf.cast(samples.encoded, kind)).numpy(),
        }

    def takes(self, labels: Labels) -> str:
        """Return a phrase on inputs and outputs of the two signatures."""
        raw = raw_phrase(labels, raw_shape(labels.encoder))
        return f"`{RAW}`: {raw}; `{ENCODED}`: {encoded_phrase(labels)}; both return probabilities"

    def details(self, labels: Labels, folder: Path) -> dict[str, Any]:
        """Return the shape of one sample for `serve`; a text has none."""
        return {"raw_shape": [] if labels.kind == "text" else list(raw_shape(labels.encoder))}


def _as_served(samples: Samples, labels: Labels) -> Any:
    """Return the raw samples; images that only Pillow can resize are resized."""
    encoder = labels.encoder
    if labels.kind == "text":
        return list(samples.raw)
    if isinstance(encoder, ImageEncoder) and margins(encoder) is None:
        encoded = samples.encoded
        return np.rint(encoded * 255).astype(np.uint8) if encoder.scaled else encoded
    return np.asarray(samples.raw)


@dataclass(frozen=True)
class Preprocessing:
    """An encoder as part of a graph.

    Attributes:
        signature: of raw samples, with an open first axis.
        encode: turns such a tensor into the model's input.
        resources: tables that must be saved with the model.
    """

    signature: Any
    encode: Callable[[Any], Any]
    resources: tuple[Any, ...] = ()


def preprocessing_of(encoder: Encoder) -> Preprocessing:
    """Return an encoder in TensorFlow.

    If images are resized, not only padded, the input has the model's size, because TensorFlow
    resizes differently from Pillow.
    """
    match encoder:
        case TextEncoder():
            return _texts(encoder)
        case TableEncoder():
            return _rows(encoder)
        case ImageEncoder():
            return _images(encoder)
    raise TypeError(f"no preprocessing is known for {type(encoder).__name__}")


def _texts(encoder: TextEncoder) -> Preprocessing:
    import tensorflow as tf

    words = list(encoder.words) or [" "]  # a table must have an entry; no word is a space
    numbers = tf.range(FIRST_WORD, FIRST_WORD + len(words), dtype=tf.int32)
    content = tf.lookup.KeyValueTensorInitializer(tf.constant(words), numbers)
    table = tf.lookup.StaticHashTable(content, UNKNOWN)

    def encode(texts: Any) -> Any:
        for upper, lower in _SAME_EVERYWHERE:
            texts = tf.strings.regex_replace(texts, upper, lower)
        texts = tf.strings.lower(texts, encoding="utf-8")
        spaced = tf.strings.regex_replace(texts, _WORD_OR_SIGN, r"\1 ")
        found = table.lookup(tf.strings.split(spaced))[:, : encoder.length]
        return found.to_tensor(PADDING, shape=(None, encoder.length))

    return Preprocessing(tf.TensorSpec((None,), tf.string, name="texts"), encode, (table,))


def _rows(encoder: TableEncoder) -> Preprocessing:
    import tensorflow as tf

    means = np.array(encoder.means, np.float64)
    deviations = np.array(encoder.deviations, np.float64)

    def encode(rows: Any) -> Any:
        centred = tf.cast(rows, tf.float64) - means  # float64, like the encoder
        return tf.cast(centred / deviations, tf.float32)

    signature = tf.TensorSpec((None, *encoder.input_shape), tf.float32, name="rows")
    return Preprocessing(signature, encode)


def _images(encoder: ImageEncoder) -> Preprocessing:
    import tensorflow as tf

    border = margins(encoder)
    shape = encoder.shape if border is None else encoder.native_shape

    def encode(images: Any) -> Any:
        images = images if border is None else _padded(images, border, encoder)
        if encoder.scaled:
            # In float64: TensorFlow multiplies by the reciprocal, whose rounding would show.
            return tf.cast(tf.cast(images, tf.float64) / 255, tf.float32)
        return images

    return Preprocessing(tf.TensorSpec((None, *shape), tf.uint8, name="images"), encode)


def _padded(images: Any, border: Margins, encoder: ImageEncoder) -> Any:
    import tensorflow as tf

    channels, wanted = encoder.native_shape[-1], encoder.shape[-1]
    if wanted == 1 and channels == 3:
        luma = tf.reduce_sum(tf.cast(images, tf.int32) * LUMA.astype(np.int32), -1, keepdims=True)
        images = tf.cast(tf.bitwise.right_shift(luma + 0x8000, 16), tf.uint8)
    images = tf.pad(images, [(0, 0), *border, (0, 0)])
    return tf.repeat(images, wanted, axis=-1) if wanted > images.shape[-1] else images


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
