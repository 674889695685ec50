"""TensorFlow's SavedModel, with the preprocessing in it: raw samples go in."""

from pathlib import Path
from typing import Any

import numpy as np

from search.export.folder import Labels
from search.export.formats.base import Array, Exportable, Format, Samples
from search.export.formats.phrases import encoded_phrase, raw_phrase
from search.export.formats.ways_in import margins, raw_shape
from search.training.encoders import ImageEncoder

RAW, ENCODED = "serve", "encoded"


class SavedModel(Format):
    """A folder with two signatures: `serve` (the default) and `encoded`."""

    name, file, runtime = "saved_model", "saved_model", "tensorflow"

    def write(self, made: Exportable, folder: Path) -> None:
        """Write it; its vocabulary or its means are in the graph.

        Not by Keras's `export`: that keeps the weights twice.
        """
        import tensorflow as tf

        from search.export.formats.preprocessing import preprocessing_of

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
        served.__call__ = served.serve  # what MLflow calls
        signatures = {"serving_default": served.serve, ENCODED: served.encoded}
        tf.saved_model.save(served, str(folder / self.file), signatures)

    def predict(self, folder: Path, samples: Samples, labels: Labels) -> dict[str, Array]:
        """Return what both signatures give."""
        import tensorflow as tf

        loaded = tf.saved_model.load(str(folder / self.file))
        kind = loaded.signatures[ENCODED].structured_input_signature[1]["inputs"].dtype
        return {
            RAW: loaded.serve(tf.constant(_as_served(samples, labels))).numpy(),
            ENCODED: loaded.encoded(tf.cast(samples.encoded, kind)).numpy(),
        }

    def takes(self, labels: Labels) -> str:
        """Return what its two signatures take, and what both give."""
        raw = raw_phrase(labels, raw_shape(labels.encoder))
        return f"`{RAW}`: {raw}; `{ENCODED}`: {encoded_phrase(labels)}; both give probabilities"

    def details(self, labels: Labels, folder: Path) -> dict[str, Any]:
        """Return the shape of one sample as `serve` takes it; a text has none."""
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
