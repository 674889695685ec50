"""How an exported model is used from Python, format by format: code that runs as it stands."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from search.data.encoders import ImageEncoder, SequenceEncoder, TableEncoder
from search.data.ranges import FRACTIONS, PixelRange
from search.export.formats.naming import NamedTensor, has_words, named_tensors, plain_inputs
from search.export.labels import Labels
from search.export.raw import raw_shape, raw_type
from search.tasks import CLASSIFICATION
from tracking.records import Json, StudyStarted

_TEXTS = ["a fine day", "dull"]


def example_of(labels: Labels, *, words: bool = False, plain: bool = False) -> str:
    """Return a Python expression that makes two samples, as an exported model takes them.

    Args:
        labels: of the model.
        words: as a SavedModel takes them, with their words.
        plain: of several inputs with names as `plain_inputs` says.
    """
    if labels.inputs:
        return _several(labels, words, plain_inputs(labels) if plain else {})
    encoder = labels.encoder
    shape, kind = (2, *raw_shape(encoder)), raw_type(encoder)
    if labels.kind == "text":
        tokens = f"np.array({encoder.encode(_TEXTS)[:, :2].tolist()})"
        padded = f"np.pad({tokens}, ((0, 0), (0, {shape[1] - 2}))).astype('int32')"
        return f"tf.constant({json.dumps(_TEXTS)})" if words else padded
    if words and has_words(labels.columns):
        return "\n".join(["{", *_columns(labels, named_tensors(labels)), "}"])
    match encoder:
        case ImageEncoder(pixel_range=ranged) if ranged is None:
            return f"np.random.default_rng(0).integers(0, 256, {shape}).astype('{kind}')"
        case ImageEncoder(pixel_range=PixelRange() as ranged):
            drawn = f"np.random.default_rng(0).uniform({ranged.low}, {ranged.high}, {shape})"
            return f"{drawn}.round({0 if ranged.depth != FRACTIONS else 3}).astype('{kind}')"
        case SequenceEncoder() | TableEncoder():
            usual = _usual(encoder.means, encoder.deviations)
            return f"np.array({usual}, '{kind}') + np.zeros({shape}, '{kind}')"
    raise TypeError(f"no example is known for {type(encoder).__name__}")


def _usual(means: Sequence[float], deviations: Sequence[float]) -> list[float]:
    """Return the means, with no more digits than they need."""
    digits = [max(0, 2 - int(np.floor(np.log10(deviation)))) for deviation in deviations]
    return [round(mean, places) for mean, places in zip(means, digits, strict=True)]


def _several(labels: Labels, words: bool, names: Mapping[str, str]) -> str:
    """Return a dictionary of the inputs, or with words of all tensors.

    Args:
        labels: of the model.
        words: as a SavedModel takes them.
        names: for inputs that are called otherwise.
    """
    lines: list[str] = []
    for own in labels.inputs:
        part = labels.part(own.name)
        tensors = [each for each in named_tensors(labels) if each.input == own.name]
        if words and has_words(part.columns):
            lines += _columns(part, tensors)
            continue
        name = tensors[0].name if words else names.get(own.name, own.name)
        lines.append(f"    {json.dumps(name)}: {example_of(part, words=words)},")
    return "\n".join(["{", *lines, "}"])


def _columns(part: Labels, tensors: Sequence[NamedTensor]) -> list[str]:
    """Return a line of a dictionary for each column."""
    encoder: Any = part.encoder
    usual = _usual(encoder.means, encoder.deviations)
    lines = []
    for tensor, column, mean in zip(tensors, part.columns, usual, strict=True):
        given: list[Any] = [column.words[0], ""] if column.words else [mean, float("nan")]
        kind = "tf.string" if column.words else "tf.float64"
        values = json.dumps(given).replace("NaN", 'float("nan")')
        lines.append(f"    {json.dumps(tensor.name)}: tf.constant({values}, {kind}),")
    return lines


@dataclass(frozen=True)
class Snippet:
    """Code for one format.

    Attributes:
        format: its name.
        requirements: what pip installs.
        lines: Python, to be run in the export's folder.
    """

    format: str
    requirements: str
    lines: tuple[str, ...]


def snippets(formats: Sequence[Json], study: StudyStarted) -> Iterator[Snippet]:
    """Yield code for each written format that says how samples are made.

    Args:
        formats: entries of a `ModelExported` record.
        study: its first record.
    """
    for each in formats:
        made = _CODE.get(str(each.get("format")))
        example = each.get("example")
        if made is None or not example or each.get("own"):
            continue
        several = _Several(study.kind == "several", bool(study.dataset.get("outputs")))
        imports, lines = made(each, several)
        requirements = " ".join(dict.fromkeys(["numpy", *_NEEDS[each["format"]]]))
        told = (
            "import json",
            "",
            *imports,
            "",
            *lines[:1],
            f"samples = {example}",
            *lines[1:],
            'known = json.loads(open("labels.json", encoding="utf-8").read())',
            *_told(study, several.outputs),
        )
        yield Snippet(str(each["format"]), requirements, told)


def _told(study: StudyStarted, several: bool) -> list[str]:
    """Return lines that name what was predicted."""
    if several:
        # TensorFlow gives a SavedModel's dictionary no lasting order.
        return ["print({name: values[name][0] for name in sorted(values)})"]
    if study.task == CLASSIFICATION:
        return ["for row in values:", '    print(known["classes"][row.argmax()], row.max())']
    return ["for row in values:", '    print(dict(zip(known["classes"], row)))']


@dataclass(frozen=True)
class _Several:
    """Whether a model has several inputs, and several outputs."""

    inputs: bool
    outputs: bool


def _keras(entry: Json, _: _Several) -> tuple[list[str], list[str]]:
    load = 'model = keras.saving.load_model("model.keras")'
    call = "values = model.predict(samples, verbose=0)"
    if entry.get("raw_type") == "float64":  # `predict` rounds to float32 before the model
        call = "values = np.asarray(model(samples))"
    return ["import keras", "import numpy as np"], [load, call]


def _saved_model(_: Json, several: _Several) -> tuple[list[str], list[str]]:
    call = "values = model.serve(samples).numpy()"
    if several.outputs:
        call = "values = {name: rows.numpy() for name, rows in model.serve(samples).items()}"
    lines = ['model = tf.saved_model.load("saved_model")', call]
    return ["import numpy as np", "import tensorflow as tf"], lines


def _onnx(_: Json, several: _Several) -> tuple[list[str], list[str]]:
    lines = ['session = onnxruntime.InferenceSession("model.onnx")']
    if several.inputs:
        lines += ["given = {each.name: samples[each.name] for each in session.get_inputs()}"]
    else:
        lines += ["given = {session.get_inputs()[0].name: samples}"]
    if several.outputs:
        lines += [
            "names = [each.name for each in session.get_outputs()]",
            "values = dict(zip(names, session.run(names, given)))",
        ]
    else:
        lines += ["[values] = session.run(None, given)"]
    return ["import numpy as np", "import onnxruntime"], lines


def _tflite(_: Json, several: _Several) -> tuple[list[str], list[str]]:
    lines = [
        'interpreter = Interpreter("model.tflite")',
        "runner = interpreter.get_signature_runner()",
        "# one sample at a time, as some models need it",
    ]
    if several.inputs:
        lines += [
            "singles = [{name: each[n : n + 1] for name, each in samples.items()} for n in (0, 1)]"
        ]
    else:
        lines += ['singles = [{"inputs": samples[n : n + 1]} for n in (0, 1)]']
    lines += ["found = [runner(**single) for single in singles]"]
    if several.outputs:
        lines += [
            "values = {name: np.concatenate([each[name] for each in found]) for name in found[0]}"
        ]
    else:
        lines += ["values = np.concatenate([rows for each in found for rows in each.values()])"]
    return ["import numpy as np", "from ai_edge_litert.interpreter import Interpreter"], lines


_CODE = {"keras": _keras, "saved_model": _saved_model, "onnx": _onnx, "tflite": _tflite}
_NEEDS = {
    "keras": ("keras", "tensorflow"),
    "saved_model": ("tensorflow",),
    "onnx": ("onnxruntime",),
    "tflite": ("ai-edge-litert",),
}
