"""A SavedModel: TensorFlow's format, which reads words itself."""

import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from search.data.arrays import Array
from search.data.encoders import ImageEncoder
from search.data.ranges import BYTES, WHITE, WHOLE
from search.data.reading import Column
from search.export.formats.base import Exportable, Format, Samples, values_side_by_side, word_phrase
from search.export.formats.naming import NamedTensor, has_words, named_tensors
from search.export.formats.preprocessing import rows_of, tokens_of
from search.export.labels import Labels
from search.export.raw import raw_shape, raw_type, rule_of

RAW = "serve"
# Types of arrays besides the model's own that `serve` takes as they are.
_ALSO = {
    "pixels": ("uint8", "int32", "int64", "float64"),
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

        model, labels = made.model, made.labels
        taken = _several(labels) if labels.inputs else _Taken.of(labels, named_tensors(labels))

        def checked(given: Any) -> Any:
            found = model(given, training=False)
            _refuse_missing(found, labels)
            return found

        body = tf.function(checked)
        served = tf.Module(name="foldwise")
        served.kept = ([variable.value for variable in model.variables], taken.tables)
        served.serve = tf.function(
            lambda samples: body(taken.read(samples)),
            # Of one signature, which converts lists.
            input_signature=taken.specs if len(taken.specs) == 1 else None,
        )
        usual, *_ = [served.serve.get_concrete_function(spec) for spec in taken.specs]
        served.__call__ = served.serve  # the signature that MLflow calls
        tf.saved_model.save(served, str(folder / self.file), {"serving_default": usual})

    def predict(self, folder: Path, samples: Samples, labels: Labels) -> dict[str, Array]:
        """Return the values, of pixels and several inputs also those of other types."""
        ways = {RAW: _as_served(samples, labels)}
        if labels.inputs or _has_pixels(labels):
            ways[f"{RAW} of usual types"] = _as_served(samples, labels, usual=True)
        served = served_by(folder / self.file, list(ways.values()))
        return {
            way: values_side_by_side(values, labels)
            for way, values in zip(ways, served, strict=True)
        }

    def takes(self, labels: Labels) -> str:
        """Return a phrase on input and output."""
        return f"{word_phrase(labels)}; returns {labels.returns}"

    def details(self, labels: Labels, folder: Path) -> dict[str, Any]:
        """Return what `serve` takes.

        A tensor: its name, its type and the shape of one sample (of a text it has none). Or several
        tensors: of columns with words, and of several inputs.
        """
        tensors = named_tensors(labels)
        if tensors:
            return {"raw_shape": [], "tensors": [each.to_json() for each in tensors]}
        encoder, name = labels.encoder, _name(labels)
        if labels.kind == "text":
            return {"tensor": name, "raw_shape": []}
        shape, kind = list(raw_shape(encoder)), raw_type(encoder)
        return {"tensor": name, "raw_shape": shape, "raw_type": kind}


def served_by(saved_model: Path, given: list[Any]) -> list[Any]:
    """Load a SavedModel for a moment and return what `serve` answers.

    Its tables of words run a graph when they are freed. In a garbage collection at some later point
    that has crashed Python 3.11, so they are freed here.

    Args:
        saved_model: the folder.
        given: what `serve` takes, one after another.

    Returns:
        Its values, or of several outputs their values by name, as arrays.
    """
    import tensorflow as tf

    loaded = tf.saved_model.load(str(saved_model))
    found = [tf.nest.map_structure(np.asarray, loaded.serve(each)) for each in given]
    del loaded
    gc.collect()
    return found


def _name(labels: Labels) -> str:
    """Return the name of a single tensor."""
    return f"{labels.kind}s"


@dataclass(frozen=True)
class _Taken:
    """What `serve` takes for one input, or several.

    Attributes:
        specs: a tensor, or a dictionary of tensors, in each way in which it is taken, the usual
            one first.
        read: returns what the Keras model takes for it.
        tables: must be saved with the model.
    """

    specs: list[Any]
    read: Callable[[Any], Any]
    tables: tuple[Any, ...] = ()

    @classmethod
    def of(cls, labels: Labels, tensors: tuple[NamedTensor, ...]) -> "_Taken":
        """Return it for one input.

        Args:
            labels: of a model that has this input alone.
            tensors: its own, by names; none for a single one without a name.
        """
        import tensorflow as tf

        if labels.kind == "text":
            before = tokens_of(labels.encoder)  # type: ignore[arg-type] # as its kind is text
            return cls([before.signature], before.read, before.resources)
        if has_words(labels.columns):
            before = rows_of(labels.columns, [each.name for each in tensors])
            kind, read = raw_type(labels.encoder), before.read
            return cls(
                [before.signature], lambda given: tf.cast(read(given), kind), before.resources
            )
        return cls(list(_numbers(labels)), lambda given: _as_numbers(given, labels))


def _several(labels: Labels) -> _Taken:
    """Return what `serve` takes for several inputs: all tensors in one dictionary.

    Pictures are of the model's own type or uint8, with or without the last axis of grey ones;
    numbers of the model's own type or float64. All pictures, and all numbers, are alike in that.
    """
    import tensorflow as tf

    tensors = named_tensors(labels)
    parts: dict[str, tuple[Labels, _Taken, tuple[NamedTensor, ...]]] = {}
    for each in labels.inputs:
        part = labels.part(each.name)
        own = tuple(tensor for tensor in tensors if tensor.input == each.name)
        parts[each.name] = part, _Taken.of(part, own), own

    def specs(*, flat: bool, usual_pixels: bool, usual_numbers: bool) -> dict[str, Any]:
        found = {}
        for part, taken, own in parts.values():
            first, *_ = taken.specs
            named = first if isinstance(first, dict) else {own[0].name: first}
            is_usual = usual_pixels if part.kind == "image" else usual_numbers
            for name, spec in named.items():
                kind = _usual_type(part) if is_usual else None
                shape = spec.shape[:-1] if flat and _is_grey(part) else spec.shape
                found[name] = tf.TensorSpec(shape, kind or spec.dtype, name)
        return found

    def read(given: Any) -> Any:
        return {
            name: taken.read(given if isinstance(taken.specs[0], dict) else given[own[0].name])
            for name, (_, taken, own) in parts.items()
        }

    ways: list[Any] = []
    for flat, pixels, numbers in product((False, True), repeat=3):
        way = specs(flat=flat, usual_pixels=pixels, usual_numbers=numbers)
        ways += [way] if way not in ways else []
    tables = tuple(table for _, taken, _ in parts.values() for table in taken.tables)
    return _Taken(ways, read, tables)


def _usual_type(part: Labels) -> str | None:
    """Return the type that arrays of samples usually have; None of texts and columns."""
    if part.kind == "text" or has_words(part.columns):
        return None
    if _has_pixels(part):
        return "uint8"
    own = raw_type(part.encoder)
    return own if part.kind == "image" else "float64"


def _is_grey(part: Labels) -> bool:
    return part.kind == "image" and raw_shape(part.encoder)[-1] == 1


def _numbers(labels: Labels) -> Iterator[Any]:
    """Yield the tensors that are taken of pictures, rows and sequences, the usual ones first."""
    import tensorflow as tf

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
        yield tf.TensorSpec(shape, kind, name=_name(labels))
        if shape[-1] == 1 and len(shape) > 2:  # of sequences, too
            yield tf.TensorSpec(shape[:-1], kind, name=_name(labels))


def _as_numbers(samples: Any, labels: Labels) -> Any:
    """Return what the Keras model takes for pictures, rows and sequences."""
    import tensorflow as tf

    encoder = labels.encoder
    given = tf.cast(samples, raw_type(encoder))
    if len(given.shape) == len(raw_shape(encoder)):
        given = given[..., tf.newaxis]
    if samples.dtype == tf.uint8 and isinstance(encoder, ImageEncoder) and not encoder.pixel_range:
        highest = tf.reduce_max(given, axis=(1, 2, 3), keepdims=True)
        doubtful = highest <= max(1, encoder.dark)
        given = tf.where(doubtful, given / WHITE, given)  # as `raw_pixels` does it
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


def _has_pixels(part: Labels) -> bool:
    return isinstance(part.encoder, ImageEncoder) and part.encoder.pixel_range is None


def _as_served(samples: Samples, labels: Labels, *, usual: bool = False) -> Any:
    """Return samples as `serve` takes them, in tensors.

    Args:
        samples: as the dataset has them, and as the Keras model takes them.
        labels: of the model.
        usual: of the types that arrays usually have; else of the model's own.
    """
    tensors = named_tensors(labels)
    if not labels.inputs:
        values = _tensors_of(samples.raw, samples.given, labels, usual)
        named = zip(tensors, values, strict=True) if tensors else ()
        return {each.name: value for each, value in named} or values[0]
    found: dict[str, Any] = {}
    raw = getattr(samples.raw, "inputs", samples.raw)
    for own in labels.inputs:
        part, name = labels.part(own.name), own.name
        values = _tensors_of(raw[name], samples.given[name], part, usual)
        of_part = (each.name for each in tensors if each.input == name)
        found |= dict(zip(of_part, values, strict=True))
    return found


def _tensors_of(raw: Any, given: Any, part: Labels, usual: bool) -> list[Any]:
    """Return the tensors of one input."""
    import tensorflow as tf

    if part.kind == "text":
        return [tf.constant(list(raw))]
    if has_words(part.columns):
        both = zip(part.columns, np.asarray(raw, np.float64).T, strict=True)
        return [tf.constant(_said(column, values)) for column, values in both]
    if usual and _has_pixels(part):
        return [tf.constant(np.asarray(raw))]
    kind = _usual_type(part) if usual else None
    return [tf.constant(np.asarray(given).astype(kind or given.dtype))]


def _said(column: Column, values: Array) -> Any:
    """Return a column's values as `serve` takes them: words, blank where they are missing."""
    return [column.shown(value) for value in values.tolist()] if column.words else values
