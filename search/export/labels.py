"""The meaning of an exported model's inputs and outputs, and its form in `labels.json`."""

import math
from dataclasses import dataclass, field, replace
from typing import Any

from search.analysis.coverage import Conformal
from search.data.checks import MAX_CLASSES
from search.data.encoders import (
    Encoder,
    ImageEncoder,
    SequenceEncoder,
    SeveralEncoder,
    TableEncoder,
    TextEncoder,
    encoder_from_json,
)
from search.data.pictures import MAX_PIXELS
from search.data.reading import CATEGORY, TRUTH, Column, Reading
from search.tasks import (
    CLASSIFICATION,
    MULTI_OUTPUT,
    TASKS,
    LabelOutputs,
    MultiOutput,
    NumberOutputs,
    OutputMeaning,
    Outputs,
    SeveralOutputs,
    Task,
    outputs_of,
    parts_from,
    parts_to_json,
    task_of,
)
from search.tasks.classification import LOGITS, MEANINGS, PROBABILITIES, SCORES
from search.tasks.regression import NUMBERS
from search.tasks.thresholds import DecidingOutputs
from tracking.text import listed

MAX_TOKENS = 1_000_000  # tokens of one text
CHECKED = 4  # made-up samples in `Labels.check`
# In the first, columns were numbers and had names only, until the third all models were of classes,
# and until the fourth models took encoded samples.
VERSION = 4

RAW, ENCODED = "raw samples", "encoded samples"  # what a model takes
VALUES = "values"  # of several outputs, each of its own kind
_OF_OUTPUTS = ("threshold", "thresholds", "scale", "offset")


def plain_outputs(task: Task) -> OutputMeaning:
    """Return the meaning of outputs that are a task's values as they are."""
    if isinstance(task, MultiOutput):
        own = ((part.name, part.task.units, plain_outputs(part.task)) for part in task.parts)
        return SeveralOutputs(tuple(own))
    plain = {"meaning": PROBABILITIES, "classes": task.units, "threshold": 0.5}
    same = {"scale": (1.0,) * task.units, "offset": (0.0,) * task.units}
    return outputs_of({"task": task.name, **plain, **same})


def values_of(outputs: OutputMeaning, task: Task) -> OutputMeaning:
    """Return what outputs mean that became values as part of the model: scores remain scores."""
    if isinstance(outputs, SeveralOutputs) and isinstance(task, MultiOutput):
        known = {name: own for name, _, own in outputs.parts}
        return SeveralOutputs(
            tuple(
                (part.name, part.task.units, values_of(known[part.name], part.task))
                for part in task.parts
            )
        )
    if not outputs.are_probabilities:
        return outputs
    plain = plain_outputs(task)
    if isinstance(plain, DecidingOutputs) and isinstance(outputs, DecidingOutputs):
        return replace(plain, thresholds=outputs.thresholds)  # type: ignore[type-var] # dataclasses
    return plain


@dataclass(frozen=True)
class InputLabels:
    """What is known of one of several inputs beside its encoder; as `Labels` has it."""

    name: str
    background: float = 0.0
    columns: tuple[Column, ...] = ()


@dataclass(frozen=True, repr=False)
class Labels:
    """The meaning of a model's inputs and outputs.

    Attributes:
        task: what it predicts.
        encoder: turns samples into the model's input.
        background: mean of the training images' border pixels, 0 (black) to 255 (white).
        columns: a table's columns, in the model's order.
        outputs: how its outputs become the task's values; None: they are values.
        check: of a model with custom objects, its values for made-up samples, one row each; they
            reveal changed code.
        reading: how files with rows are read, as far as it was said for the training data.
        width: number of columns of a training file that does not name them, or of an array that
            became a table; 0 of others, and of models of earlier versions.
        inputs: of several, in the encoder's order; `background` and `columns` are theirs then.
        conformal: what sets of classes or labels, or intervals of numbers, are made of; None
            without, as in earlier versions.
        is_raw: whether the model takes raw samples, as `search.export.raw` says; else encoded ones,
            as those of versions before the fourth.
        stretches: whether a picture in a file is read as those of the training were, which lost
            their proportions where they had another size; else it is fitted into the size of
            images that were trained on as they came. None of other samples, and where an earlier
            version did not store it.
        whole_files: whether a text file is one text, as those of the training were; else each of
            its lines is one.
    """

    task: Task
    encoder: Encoder
    background: float = 0.0
    columns: tuple[Column, ...] = ()
    outputs: OutputMeaning = None  # type: ignore[assignment] # never None after __post_init__
    check: tuple[tuple[float, ...], ...] = ()
    reading: Reading = field(default_factory=Reading)
    width: int = 0
    inputs: tuple[InputLabels, ...] = ()
    is_raw: bool = False
    conformal: Conformal | None = None
    stretches: bool | None = None
    whole_files: bool = False

    def __post_init__(self) -> None:
        if not self.outputs:
            object.__setattr__(self, "outputs", plain_outputs(self.task))

    def __repr__(self) -> str:
        shape = self.encoder.input_shape
        return f"<labels: {self.kind} samples {shape}, {self.task.name}: {listed(self.task.names)}>"

    @property
    def kind(self) -> str:
        """The kind of samples: `image`, `text`, `table`, `sequence` or `several`."""
        return self.encoder.kind

    def part(self, name: str) -> "Labels":
        """Return the same for a model that had one of several inputs alone."""
        if not isinstance(self.encoder, SeveralEncoder):
            raise TypeError(f"the model has one input, of kind {self.kind}")
        own = next(each for each in self.inputs if each.name == name)
        encoder = dict(self.encoder.inputs)[name]
        return Labels(
            self.task,
            encoder,
            own.background,
            own.columns,
            self.outputs,
            reading=self.reading,
            is_raw=self.is_raw,
        )

    @property
    def returns(self) -> str:
        """What the values are: `probabilities`, `scores` or `numbers`; of several `values`."""
        if isinstance(self.outputs, SeveralOutputs):
            return VALUES
        if not self.outputs.are_probabilities:
            return SCORES
        return NUMBERS if isinstance(self.outputs, NumberOutputs) else PROBABILITIES

    def to_json(self) -> dict[str, Any]:
        """Return the content of `labels.json`."""
        return {
            "version": VERSION,
            "takes": RAW if self.is_raw else ENCODED,
            "task": self.task.name,
            "classes": list(self.task.names),
            "input": self.encoder.to_json(),
            "background": self.background,
            "columns": [_column_to_json(column) for column in self.columns],
            **_outputs_to_json(self.outputs),
            **({"check": self.check} if self.check else {}),
            **({"reading": self.reading.given} if self.reading.given else {}),
            **({"width": self.width} if self.width else {}),
            **({} if self.stretches is None else {"stretches": self.stretches}),
            **({"whole_files": True} if self.whole_files else {}),
            **({"conformal": self.conformal.to_json()} if self.conformal else {}),
            **({"inputs": [_input_to_json(own) for own in self.inputs]} if self.inputs else {}),
            **(
                {"tasks": parts_to_json(self.task.parts)}
                if isinstance(self.task, MultiOutput)
                else {}
            ),
        }


def labels_from_json(data: Any) -> Labels:
    """Return the labels that `Labels.to_json` described, in this or an earlier version.

    Raises:
        LookupError, TypeError, ValueError, ArithmeticError, RecursionError: it describes none.
    """
    if not isinstance(data, dict):
        raise TypeError("it must be an object")
    if not 1 <= int(data.get("version", 1)) <= VERSION:
        raise ValueError(f"version {data['version']} is unknown: another version wrote it")
    task = _task(data)
    labels = Labels(
        task,
        encoder_from_json(data["input"]),
        float(data["background"]),
        _columns(data["columns"]),
        _outputs(data, task),
        tuple(tuple(float(value) for value in row) for row in data.get("check", ())),
        _reading(data.get("reading", {})),
        int(data.get("width", 0)),
        tuple(map(_input_from_json, data.get("inputs", ()))),
        _takes(data) == RAW,
        _conformal(data, task),
        bool(data["stretches"]) if "stretches" in data else None,
        bool(data.get("whole_files", False)),
    )
    if len(labels.check) > CHECKED or any(len(row) != task.units for row in labels.check):
        raise ValueError(f"check must be at most {CHECKED} rows of {task.units} values")
    if isinstance(labels.encoder, SeveralEncoder):
        if [name for name, _ in labels.encoder.inputs] != [own.name for own in labels.inputs]:
            raise ValueError("inputs must be those of the encoder")
        for own in labels.inputs:
            _check_background(own.background)
            _check_input(labels.part(own.name))
        return labels
    _check_background(labels.background)
    _check_input(labels)
    return labels


def _conformal(data: dict[str, Any], task: Task) -> Conformal | None:
    if "conformal" not in data:
        return None
    found = Conformal.from_json(data["conformal"])
    columns = 1 if task.name == CLASSIFICATION else task.units
    found.check(task.name, columns)
    return found


def _takes(data: dict[str, Any]) -> str:
    found = str(data.get("takes", ENCODED))
    if found not in (RAW, ENCODED):
        raise ValueError(f"takes must be {RAW!r} or {ENCODED!r}; got {found[:40]!r}")
    return found


def _check_background(background: float) -> None:
    if not 0 <= background <= 255:
        raise ValueError(f"background must be within 0..255; got {background}")


def _input_to_json(own: InputLabels) -> dict[str, Any]:
    columns = [_column_to_json(column) for column in own.columns]
    return {"name": own.name, "background": own.background, "columns": columns}


def _input_from_json(data: Any) -> InputLabels:
    return InputLabels(str(data["name"]), float(data["background"]), _columns(data["columns"]))


def _outputs_to_json(outputs: OutputMeaning) -> dict[str, Any]:
    if isinstance(outputs, SeveralOutputs):
        parts = [{"name": n, "units": u, **_outputs_to_json(own)} for n, u, own in outputs.parts]
        return {"outputs": outputs.meaning, "parts": parts}
    known = outputs.to_json()
    more = {name: value for name, value in known.items() if name in _OF_OUTPUTS}
    return {"outputs": outputs.meaning, **more}


def _outputs(data: dict[str, Any], task: Task) -> OutputMeaning:
    if isinstance(task, MultiOutput):
        if [each["name"] for each in data["parts"]] != list(task.names):
            raise ValueError("parts must be the outputs of the task")
        both = zip(data["parts"], task.parts, strict=True)
        return SeveralOutputs(
            tuple((own.name, _units(each), _outputs(each, own.task)) for each, own in both)
        )
    found = outputs_of(
        {
            "task": task.name,
            "meaning": data["outputs"],
            "classes": task.units,
            "threshold": data.get("threshold", 0.5),
            "thresholds": data.get("thresholds", ()),
            "scale": data.get("scale", ()),
            "offset": data.get("offset", ()),
        }
    )
    meanings: tuple[str, ...] = ()
    match found:
        case Outputs():
            meanings = MEANINGS
            if not math.isfinite(found.threshold):
                raise ValueError(f"threshold must be finite; got {found.threshold}")
        case LabelOutputs():
            meanings = (PROBABILITIES, LOGITS)
        case NumberOutputs():
            meanings = (NUMBERS,)
            if not len(found.scale) == len(found.offset) == task.units:
                raise ValueError("scale and offset must have one entry for each number")
            if not all(map(math.isfinite, (*found.scale, *found.offset))) or min(found.scale) <= 0:
                raise ValueError("scale and offset must be finite, and scale above 0")
    if isinstance(found, DecidingOutputs) and (tuned := found.thresholds):
        count = 1 if task.has_classes else task.units
        if not task.has_threshold or len(tuned) != count or not all(map(math.isfinite, tuned)):
            raise ValueError("thresholds must be finite, one of two classes or one of each label")
    if data["outputs"] not in meanings:
        raise ValueError(f"outputs must be one of {', '.join(meanings)}")
    return found


def _units(data: dict[str, Any]) -> int:
    units = int(data["units"])
    if not 1 <= units <= MAX_CLASSES:
        raise ValueError(f"units must be 1 to {MAX_CLASSES:,}; got {units:,}")
    return units


def _task(data: dict[str, Any]) -> Task:
    name, names = data.get("task", CLASSIFICATION), _names(data["classes"], "classes")
    if name not in TASKS:
        raise ValueError(f"task must be one of {', '.join(TASKS)}; another version wrote {name!r}")
    if not 1 <= len(names) <= MAX_CLASSES:
        raise ValueError(f"classes must be 1 to {MAX_CLASSES:,}; got {len(names):,}")
    parts = parts_from(data.get("tasks", ()))
    if tuple(part.name for part in parts) != (names if name == MULTI_OUTPUT else ()):
        raise ValueError("tasks must be those of several outputs, in their order")
    if any(part.task.name == MULTI_OUTPUT for part in parts):
        raise ValueError("an output cannot have several outputs")
    return task_of(name, names, parts)


def _names(data: Any, what: str) -> tuple[str, ...]:
    if not isinstance(data, list) or not all(isinstance(name, str) for name in data):
        raise TypeError(f"{what} must be a list of names")
    return tuple(data)


def _check_input(labels: Labels) -> None:
    match labels.encoder:
        case ImageEncoder(native, shape):
            for height, width, channels in (native, shape):
                sizes = min(height, width) >= 1 and height * width <= MAX_PIXELS
                if not sizes or channels not in (1, 3):
                    raise ValueError(
                        f"images must have 1 to {MAX_PIXELS:,} pixels and 1 or 3 channels;"
                        f" got {height} x {width} x {channels}"
                    )
        case TextEncoder(_, length, _):
            if not 1 <= length <= MAX_TOKENS:
                raise ValueError(f"texts must have 1 to {MAX_TOKENS:,} tokens; got {length:,}")
        case SequenceEncoder(steps, means, deviations):
            if not (1 <= len(means) == len(deviations) and 1 <= steps * len(means) <= MAX_PIXELS):
                raise ValueError(
                    "a sequence's steps and features must be 1 or more, and not too many"
                )
            if not all(map(math.isfinite, means)) or not all(0 < d < math.inf for d in deviations):
                raise ValueError("means must be finite and deviations above 0")
        case TableEncoder() as encoder:
            _check_table(encoder, labels.columns)


def _check_table(encoder: TableEncoder, columns: tuple[Column, ...]) -> None:
    means, deviations = encoder.means, encoder.deviations
    if not 1 <= len(means) == len(deviations) == len(columns):
        raise ValueError("every column must have a name, a mean and a deviation")
    if not all(map(math.isfinite, means)) or not all(
        0 < deviation < math.inf for deviation in deviations
    ):
        raise ValueError("means must be finite and deviations above 0")
    counts = tuple(len(c.categories) if c.type == CATEGORY else 0 for c in columns)
    if (encoder.categories or (0,) * len(columns)) != counts:
        raise ValueError("a column must have an input for each of its categories")
    if len(encoder.missing) not in (0, len(columns)) or not all(
        share is None or 0 <= share <= 1 for share in encoder.missing
    ):
        raise ValueError("missing must be a fraction or null for every column")
    for column, category in encoder.unseen:
        if not (0 <= column < len(columns) and 0 <= category < counts[column]):
            raise ValueError("unseen must name categories by column and category")


def _column_to_json(column: Column) -> dict[str, Any]:
    words = {"categories": list(column.categories)} if column.categories else {}
    signs = {"decimal": column.decimal} if column.decimal else {}
    thousands = {"thousands": True} if column.thousands else {}
    return {"name": column.name, "type": column.type, **words, **signs, **thousands}


def _columns(data: Any) -> tuple[Column, ...]:
    if not isinstance(data, list):
        raise TypeError("columns must be a list")
    if not all(isinstance(column, dict) for column in data):
        return tuple(map(Column, _names(data, "columns")))  # the first version
    columns = tuple(
        Column(
            name,
            str(column["type"]),
            _names(column.get("categories", []), "categories"),
            column.get("decimal"),
            bool(column.get("thousands", False)),
        )
        for column in data
        for name in _names([column["name"]], "columns")
    )
    for column in columns:
        counts = {TRUTH: (0, 2), CATEGORY: range(len(column.categories) + 1)}
        if len(column.categories) not in counts.get(column.type, (0,)):
            raise ValueError(f"a column of type {column.type} cannot have these categories")
    return columns


def _reading(data: Any) -> Reading:
    if not isinstance(data, dict):
        raise TypeError("reading must be an object")
    known = {n: data[n] for n in ("target", "task", "text", "header", "decimal") if n in data}
    if isinstance(known.get("target"), list):
        known["target"] = _names(known["target"], "target")
    if not all(isinstance(text, str) for name, text in known.items() if name != "target"):
        raise TypeError("reading must have texts")
    if not isinstance(known.get("target", ""), str | tuple):
        raise TypeError("reading must have one target or several")
    return Reading(**known)
