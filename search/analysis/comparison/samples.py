"""Tests of what two models predicted of the very same samples, out of fold."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from search.analysis.comparison.contenders import Contender
from search.analysis.comparison.statistics import ErrorTest, McNemar, error_test, mcnemar
from search.data.folds import Folds, Indices
from search.data.splits import STRATIFIED, Split
from search.errors import DataError
from search.tasks import MultiOutput, Predictions, SeveralPredictions
from search.tasks.base import Array
from search.tasks.classification import ClassPredictions
from search.tasks.multi_label import LabelPredictions
from search.tasks.regression import NumberPredictions

SQUARED, ABSOLUTE = "squared errors", "absolute errors"
WRONG_LABELS, WRONG_CLASSES = "wrong labels", "wrong classes"


@dataclass(frozen=True, eq=False)
class Answers:
    """What a trial predicted of each sample, by models that did not see it.

    Attributes:
        predictions: each sample once, in the folds' order.
        groups: (n,), samples with the same number belong together; None if all are alone.
        outputs: of several outputs the predictions of each, by name.
    """

    predictions: Predictions
    groups: Indices | None = None
    outputs: Mapping[str, Predictions] = field(default_factory=dict)


def readable_answers(contenders: Sequence[Contender]) -> tuple[list[Answers | None], list[str]]:
    """Return each contender's predictions, and a sentence for each without usable predictions.

    Predictions of contenders that share folds are for the same samples in the same order.
    """
    answers: list[Answers | None] = []
    missing = []
    first: dict[tuple[str, str], tuple[str, Answers]] = {}
    for contender in contenders:
        try:
            found = out_of_fold(contender)
            name, known = first.setdefault(contender.digests, (contender.label, found))
            if not np.array_equal(known.predictions.targets, found.predictions.targets):
                raise DataError(f"its predictions are not of the same samples as those of {name}")
        except DataError as error:
            answers.append(None)
            missing.append(f"{_test_of(contender)} of {contender.label} is left out: {error}.")
        else:
            answers.append(found)
    return answers, missing


def out_of_fold(contender: Contender) -> Answers:
    """Return the predictions of the study's folds: each sample once, in the folds' order.

    Of repeated folds, these are the first that validate all samples.

    Raises:
        DataError: a file is missing or damaged, or samples are validated more than once.
    """
    number, start = contender.trial.number, contender.start
    repeats = Split.parse(start.settings.get("split") or STRATIFIED).repeats
    if start.split.get("repeats", 1) > repeats:
        raise DataError("its folds validate some samples more than once")
    kind = contender.task.predictions
    shown = [n for n in contender.trial.finished_folds() if n <= start.folds // repeats]
    found = kind.joined([kind.load(contender.folder.predictions(number, fold)) for fold in shown])
    if isinstance(found, ClassPredictions):  # McNemar's test counts samples, whatever their groups
        return Answers(found)
    groups, task = _groups(contender, shown, len(found.targets)), contender.task
    if isinstance(task, MultiOutput) and isinstance(found, SeveralPredictions):
        return Answers(found, groups, task.by_output(found))
    return Answers(found, groups)


def _groups(contender: Contender, shown: Iterable[int], samples: int) -> Indices | None:
    folds = Folds.load(contender.folder.folds)
    if folds.groups is None:
        return None
    rows = [folds.validation[n - 1] for n in shown if n <= len(folds)]
    if sum(map(len, rows)) != samples:
        raise DataError(f"{contender.folder.folds} does not fit its predictions")
    return np.asarray(folds.groups[np.concatenate(rows)], np.int64)


def mcnemar_of(first: Answers, second: Answers, *, choices: int) -> McNemar | None:
    """Return McNemar's test of classes; None for other tasks.

    Args:
        first: predictions of the first model.
        second: those of the second, of the same samples.
        choices: from how many models one of the two was chosen; p is multiplied by it.
    """
    one, other = first.predictions, second.predictions
    if not isinstance(one, ClassPredictions) or not isinstance(other, ClassPredictions):
        return None
    found = mcnemar(one.right, other.right)
    return replace(found, p=min(1.0, found.p * choices))


def error_tests(first: Answers, second: Answers, *, choices: int) -> tuple[ErrorTest, ...]:
    """Return a paired test for each kind of error a sample can have; none for classes alone.

    The mean difference of the errors is tested by Student's t over groups of samples that belong
    together, because this is a test of what is compared, the mean error, whose difference needs no
    symmetric distribution as Wilcoxon's ranks do; see `error_test`.

    Args:
        first: predictions of the first model.
        second: those of the second, of the same samples.
        choices: from how many models one of the two was chosen; p is multiplied by it.
    """
    kinds = zip(_errors(first), _errors(second), strict=True)
    tests = [error_test(name, one, other, first.groups) for (name, one), (_, other) in kinds]
    return tuple(replace(t, p=min(1.0, t.p * choices)) for t in tests if t is not None)


def _errors(answers: Answers) -> list[tuple[str, Array]]:
    """Return the name and the errors `(n,)` of each kind that samples can have."""
    if not answers.outputs:
        return _errors_in(answers.predictions)
    found = []
    for name, predictions in answers.outputs.items():
        if isinstance(predictions, ClassPredictions):
            wrong = (predictions.predicted != predictions.labels).astype(np.float64)
            found.append((f"{WRONG_CLASSES} of {name}", wrong))
        found += [(f"{kind} of {name}", errors) for kind, errors in _errors_in(predictions)]
    return found


def _errors_in(predictions: Predictions) -> list[tuple[str, Array]]:
    match predictions:
        case NumberPredictions():
            off = np.abs(predictions.predicted - predictions.actual)
            if off.shape[1] > 1:
                spread = predictions.actual.std(axis=0)
                off = off / np.where(spread > 0, spread, 1)
            return [(SQUARED, predictions.errors), (ABSOLUTE, off.mean(axis=1))]
        case LabelPredictions():
            return [(WRONG_LABELS, predictions.errors)]
    return []


def _test_of(contender: Contender) -> str:
    is_classes = contender.task.predictions is ClassPredictions
    return "McNemar's test" if is_classes else "The test of the samples' errors"
