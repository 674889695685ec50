"""Predictions with an exported model."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from search.analysis.coverage import Conformal
from search.data.arrays import Array
from search.errors import DataError, SettingsError
from search.export.folder import ModelFolder
from search.export.labels import Labels
from search.export.loading import load_model, predicted_values
from search.export.picture_files import is_table
from search.export.samples import (
    Asked,
    Sample,
    batches_of,
    encoded_inputs,
    samples_of,
    stacked,
)
from search.export.samples import encode_images as encode_images
from search.export.samples import encode_rows as encode_rows
from search.notices import warnings_at_caller
from search.quiet import load_tensorflow
from search.tasks import (
    MULTI_LABEL,
    REGRESSION,
    Classification,
    LabelOutputs,
    MultiLabel,
    MultiOutput,
    OutputMeaning,
    SeveralOutputs,
    Task,
)
from search.tasks.multi_label import THRESHOLD
from spaces import cause_of
from tracking.text import Notify, listed, unheard

_SAMPLES = {"image": "pictures", "text": "texts", "table": "rows", "sequence": "sequences"}


@dataclass(frozen=True)
class Prediction:
    """A model's prediction for one sample.

    Attributes:
        sample: the picture's file, the text, or file and line of a table's row.
        task: what is predicted, by the task's name.
        values: of classes the most probable with their probabilities or scores, highest first (by a
            tuned threshold of two classes the one that it names); of
            labels all with their probabilities, of numbers all, in the model's order.
        inverted: whether a picture looks inverted compared with the training images.
        is_scored: whether the values are scores, of which only the order counts.
        output: the name of the output; empty for a model with one.
        thresholds: of the labels, where they were tuned; empty for 0.5.
        held: the set that holds the truth as often as was asked for: classes by probability, the
            highest first (perhaps none), or the labels that are sure; None where not asked.
        undecided: labels that may hold or not, at that coverage.
        intervals: of numbers, the ends of each one's interval at that coverage; empty likewise.
    """

    sample: str
    task: str
    values: tuple[tuple[str, float], ...]
    inverted: bool = False
    is_scored: bool = False
    output: str = ""
    thresholds: tuple[float, ...] = ()
    held: tuple[str, ...] | None = None
    undecided: tuple[str, ...] = ()
    intervals: tuple[tuple[float, float], ...] = ()

    @property
    def labels(self) -> tuple[tuple[str, float], ...]:
        """The labels that are given, with their probabilities: highest first."""
        cuts = self.thresholds or (THRESHOLD,) * len(self.values)
        both = zip(self.values, cuts, strict=True)
        given = [(name, value) for (name, value), cut in both if value > cut]
        return tuple(sorted(given, key=lambda pair: -pair[1]))


def predict_samples(
    folder: Path,
    given: Sequence[str],
    *,
    top: int | None = None,
    invert: bool = False,
    column: str | None = None,
    decimal: str | None = None,
    coverage: float | None = None,
    space: str | None = None,
    home: Path | None = None,
    notify: Notify = unheard,
) -> list[Prediction]:
    """Predict samples with an exported model.

    All samples are read before TensorFlow is loaded, so that errors in them come at once.

    Args:
        folder: written by `export`.
        given: picture files for a model of images, folders with some, or tables that list them or
            have a column for each pixel; texts, files with one text a line, or tables with a column
            of texts, for a model of texts; tables with the model's columns, in any order, as
            training reads them; .npz or .npy files with sequences; for several inputs .npz files
            with an array for each, or where all are rows tables with all their columns.
        top: number of classes to list; None for one.
        invert: invert the brightness of pictures first.
        column: of a table, with the paths of pictures, None for the only one that has some; or with
            the texts, None for that of the training data.
        decimal: the decimal sign of numbers in tables, `.` or `,`; None: as the values show, or
            as the training file has it where they may be read in two ways.
        coverage: how often sets of classes or labels, or intervals of numbers, are to hold the
            truth, above 0 and below 1; None for no sets.
        space: reference of the space with the code of the model's custom classes; that code runs.
        home: the home whose studies are trusted to name that code, for models exported from it.
        notify: takes notices on rows unlike those of the training.

    Returns:
        One a sample; with several outputs one a sample for the first, then for the next.

    Raises:
        DataError: there is no exported model, or a sample cannot be read.
        SettingsError: an option that the model or the inputs have no use for, or a coverage that
            the model cannot promise.
    """
    opened = _Opened.of(folder, top, coverage)
    asked = _asked(Asked(opened.labels, invert, notify, column), given, decimal)
    samples = samples_of(given, asked)
    if not samples:
        return []
    return opened.loaded(space, home).predictions(samples, top)


def predict_batches(
    folder: Path,
    given: Sequence[str],
    *,
    top: int | None = None,
    invert: bool = False,
    column: str | None = None,
    decimal: str | None = None,
    coverage: float | None = None,
    space: str | None = None,
    home: Path | None = None,
    notify: Notify = unheard,
) -> Iterator[list[Prediction]]:
    """Yield what `predict_samples` returns, some samples at a time.

    Pictures are read as they come, so that there may be more than memory holds.

    Raises:
        DataError, SettingsError: as `predict_samples`, once a sample's turn has come.
    """
    opened, model = _Opened.of(folder, top, coverage), None
    asked = _asked(Asked(opened.labels, invert, notify, column), given, decimal)
    for samples in batches_of(given, asked):
        model = model or opened.loaded(space, home)
        yield model.predictions(samples, top)


@dataclass(frozen=True)
class _Opened:
    """An exported folder, whose model is loaded once the first samples have been read."""

    folder: ModelFolder
    labels: Labels
    coverage: float | None = None
    model: Any = None

    @classmethod
    def of(cls, folder: Path, top: int | None, coverage: float | None) -> "_Opened":
        opened = ModelFolder(folder)
        labels = opened.labels()
        _check_top(labels, top)
        _check_coverage(labels, coverage)
        return cls(opened, labels, coverage)

    def loaded(self, space: str | None, home: Path | None) -> "_Opened":
        load_tensorflow()
        model = load_model(self.folder, self.labels, space=space, home=home)
        return replace(self, model=model)

    def predictions(self, samples: Sequence[Sample], top: int | None) -> list[Prediction]:
        inputs = stacked([sample.encoded for sample in samples])
        values = _values(self.folder, self.model, inputs, self.labels)
        found = [
            Prediction(
                sample.name,
                task.name,
                _named(task, row, decided, top or 1),
                sample.inverted,
                not outputs.are_probabilities,
                name,
                outputs.thresholds if isinstance(outputs, LabelOutputs) else (),
            )
            for name, task, outputs, rows in _by_output(self.labels, values)
            for sample, row, decided in zip(samples, rows, outputs.decided(rows), strict=True)
        ]
        known, coverage = self.labels.conformal, self.coverage
        if known is None or coverage is None:
            return found
        return _covering(found, np.asarray(values), known, coverage, self.labels.task.names)


def predict_arrays(
    folder: Path,
    given: Mapping[str, Any],
    *,
    space: str | None = None,
    home: Path | None = None,
    notify: Notify | None = None,
) -> dict[str, Array]:
    """Predict samples of several inputs with an exported model.

    Args:
        folder: written by `export`, of a model with several inputs.
        given: the samples of each input by its name, as they were passed to the study: arrays of
            images, rows or sequences, frames, or texts.
        space: reference of the space with the code of the model's custom classes; that code runs.
        home: the home whose studies are trusted to name that code.
        notify: takes notices on rows unlike those of the training; None makes them Python
            warnings.

    Returns:
        The values of each output by its name, float `(n, units)`: probabilities or scores of
        classes, probabilities of labels, numbers in their own unit. With one output its name is
        what the values are: `probabilities`, `scores` or `numbers`.

    Raises:
        DataError: there is no exported model of several inputs, or a sample cannot be used.
    """
    model_folder = ModelFolder(folder)
    labels = model_folder.labels()
    if not labels.inputs:
        raise DataError(
            f"{folder} has a model with one input, of kind {labels.kind}; `predict_samples` takes"
            " samples for it"
        )
    inputs = encoded_inputs(given, labels, "what was passed", notify or warnings_at_caller())
    load_tensorflow()
    model = load_model(model_folder, labels, space=space, home=home)
    values = _values(model_folder, model, inputs, labels)
    return {name or labels.returns: rows for name, _, _, rows in _by_output(labels, values)}


def _by_output(labels: Labels, values: Array) -> list[tuple[str, Task, OutputMeaning, Array]]:
    """Return each output's name, task, meaning and values; of a single one the name is empty."""
    task, outputs = labels.task, labels.outputs
    if not (isinstance(task, MultiOutput) and isinstance(outputs, SeveralOutputs)):
        return [("", task, outputs, values)]
    own, known = task.split_values(values), {name: found for name, _, found in outputs.parts}
    return [(part.name, part.task, known[part.name], own[part.name]) for part in task.parts]


def _check_coverage(labels: Labels, coverage: float | None) -> None:
    if coverage is None:
        return
    if labels.conformal is None:
        raise SettingsError(
            "`--coverage` is for models that know the errors of their study out of fold; this one"
            f" does not, {_why_not(labels)}"
        )
    labels.conformal.limits(coverage)


def _why_not(labels: Labels) -> str:
    if isinstance(labels.task, MultiOutput):
        return "as it has several outputs"
    if not labels.outputs.are_probabilities:
        return "as its values are scores. Let the space's models end with a softmax or sigmoid"
    return "as an earlier version searched or exported it. Search and export again"


def _covering(
    found: Sequence[Prediction],
    values: Array,
    known: Conformal,
    coverage: float,
    names: Sequence[str],
) -> list[Prediction]:
    """Return predictions with sets or intervals.

    Args:
        found: of a model with one output.
        values: of the same samples, `(n, units)`.
        known: what sets and intervals are made of.
        coverage: how often they are to hold the truth.
        names: of the classes, labels or numbers.
    """
    if known.task == REGRESSION:
        ends = known.intervals(values, coverage).tolist()
        pairs = [tuple((low, high) for low, high in row) for row in ends]
        return [replace(one, intervals=row) for one, row in zip(found, pairs, strict=True)]
    sets = known.sets(values, coverage)
    if known.task == MULTI_LABEL:
        return [_with_labels(one, row) for one, row in zip(found, sets, strict=True)]
    order = np.argsort(-values, axis=1, kind="stable")
    return [
        replace(one, held=tuple(names[place] for place in places if row[place]))
        for one, row, places in zip(found, sets, order, strict=True)
    ]


def _with_labels(one: Prediction, row: Array) -> Prediction:
    """Return the prediction of labels with those that are sure and those that are not.

    Args:
        one: with all labels in the model's order.
        row: whether no and yes are in each label's set, `(labels, 2)`.
    """
    named = [name for name, _ in one.values]
    sure = tuple(name for name, (no, yes) in zip(named, row, strict=True) if yes and not no)
    open_ = tuple(name for name, (no, yes) in zip(named, row, strict=True) if no == yes)
    return replace(one, held=sure, undecided=open_)


def _asked(asked: Asked, given: Sequence[str], decimal: str | None) -> Asked:
    """Return how samples are to be read, with the decimal sign that was given.

    Raises:
        SettingsError: an option would be ignored.
    """
    labels = asked.labels
    takes = "samples of several inputs" if labels.inputs else _SAMPLES[labels.kind]
    if asked.invert and labels.kind != "image":
        raise SettingsError(
            f"`--invert` swaps dark and bright of pictures; the model takes {takes}. Leave the"
            " option out."
        )
    if asked.column is not None and (labels.inputs or labels.kind not in ("image", "text")):
        raise SettingsError(
            "`--column` names a column with paths of pictures, or with texts; the model takes"
            f" {takes}. Leave the option out."
        )
    tables = (
        Path(each).is_file() if labels.kind == "text" else is_table(Path(each)) for each in given
    )
    if asked.column is not None and not any(tables):
        raise SettingsError(
            "`--column` names a column of a table; no input is a table. Leave the option out."
        )
    if decimal is None:
        return asked
    if decimal not in (".", ","):
        raise SettingsError(f"`--decimal` must be `.` or `,`; got {decimal!r}")
    kinds = {labels.part(each.name).kind for each in labels.inputs} or {labels.kind}
    if kinds != {"table"}:
        raise SettingsError(
            f"`--decimal` is the decimal sign of tables; the model takes {takes}. Leave the option"
            " out."
        )
    return replace(asked, labels=replace(labels, reading=replace(labels.reading, decimal=decimal)))


def _check_top(labels: Labels, top: int | None) -> None:
    if isinstance(labels.task, MultiOutput):
        if top is None or any(isinstance(part.task, Classification) for part in labels.task.parts):
            return
        raise SettingsError("`--top` lists the most probable classes; no output predicts any")
    if top is not None and not isinstance(labels.task, Classification):
        told = (
            "labels, of which all that are more probable than not are listed"
            if isinstance(labels.task, MultiLabel)
            else f"numbers, {listed(labels.task.names)}, of which all are listed"
        )
        raise SettingsError(f"`--top` lists the most probable classes; the model predicts {told}")


def _named(task: Task, row: Array, decided: Array, top: int) -> tuple[tuple[str, float], ...]:
    order = (
        np.lexsort((-row, -decided))[:top]
        if isinstance(task, Classification)
        else np.arange(len(row))
    )
    return tuple((task.names[index], float(row[index])) for index in order)


def _values(folder: ModelFolder, model: Any, inputs: Any, labels: Labels) -> Any:
    try:
        return predicted_values(model, inputs, labels)
    except Exception as error:  # a model of unknown origin may fail in any way
        raise DataError(
            f"{folder.path}: labels.json must fit model.keras; it has input"
            f" {labels.encoder.input_shape} and {labels.task.size}, the"
            " model has"
            f" {_shapes(model)} ({cause_of(error)}). Export again."
        ) from error


def _shapes(model: Any) -> str:
    try:
        return f"input {model.input_shape[1:]} and {model.output_shape[-1]} outputs"
    except (AttributeError, ValueError, TypeError, LookupError):
        return "other shapes"  # a model of a custom class
