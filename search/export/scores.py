"""The scores of a model: over the folds and on the test set, each with its interval."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean, stdev

import numpy as np

from search.analysis.comparison.statistics import mean_interval, wilson
from search.data.folds import share_of
from search.errors import SettingsError
from search.tasks import MULTI_LABEL, Metric, Scored, Task, task_of_study
from search.tasks.metrics import computed_metric, limits_of, objective_of
from search.tasks.thresholds import FIXED, TUNED, tuned_by
from spaces import cause_of
from tracking.history import History, TrialHistory
from tracking.objectives import Objective, objective_names
from tracking.records import Json, StudyStarted, TestSetOpened
from tracking.text import Notify

Interval = tuple[float, float]

DRAWS = 500  # of as many samples as there are, for an interval
LEAST_DRAWS = 0.9  # fraction of them that must allow the metric
SLOW = 0.02  # seconds; a metric that takes longer gets no interval


_NAMES = {
    "macro_f1": "macro F1",
    "exact_match": "exact match",
    "hamming_loss": "Hamming loss",
    "rmse": "RMSE",
    "mae": "MAE",
    "r2": "R²",
    "ece": "calibration error",
    "brier": "Brier score",
}


def metric_name(name: str) -> str:
    """Return a metric's name for people."""
    return _NAMES.get(name, name)


def shown(value: float) -> str:
    """Return a score or an error with four decimals; with about five digits if large or small."""
    if value and abs(value) < 0.001:
        return f"{value:.4g}"
    whole = len(f"{abs(value):.0f}")
    return f"{value:.{min(4, max(0, 5 - whole)) if whole > 3 else 4}f}"


def covered(known: Json) -> str:
    """Return how often sets or intervals held the truth of a test set, and how large they were."""
    size, coverage = known["size"], f"{known['wanted']:.0%}"
    if isinstance(size, list):
        return f"{coverage} intervals held the truth of {known['found']:.1%}"
    what = "labels undecided" if known["task"] == MULTI_LABEL else "classes"
    return f"{coverage} sets held the truth of {known['found']:.1%}; {size:.2f} {what} on average"


def digits(value: float, least: int = 7) -> str:
    """Return a number with so many digits, or with two behind the point of a larger one."""
    whole = math.floor(math.log10(abs(value))) + 1 if value else 1
    return f"{value:.{max(least, whole + 2)}g}"


def task_in(study: StudyStarted) -> Task:
    """Return what a study's models predict."""
    return task_of_study(study)


def metrics_of(study: StudyStarted, notify: Notify) -> tuple[Metric, ...]:
    """Return the metrics of a study that predictions tell: its objectives', others, the task's.

    Args:
        study: its first record.
        notify: takes a notice of a metric that there is no more, such as a function that was moved.
    """
    task = task_in(study)
    found: dict[str, Metric] = {}
    for text in (*texts_in(study), *task.scored):
        try:
            metric = computed_metric(text, task)
        except SettingsError as error:
            notify(f"metric {text} of the study is left out: {error}")
            continue
        if metric is not None:
            found.setdefault(metric.name, metric)
    return tuple(found.values())


def metric_of_threshold(study: StudyStarted) -> Metric | None:
    """Return the metric that thresholds of a study's models are tuned by; None for no tuning."""
    if study.settings.get("threshold", FIXED) != TUNED:
        return None
    task = task_in(study)
    return tuned_by([computed_metric(text, task) for text in _texts(study, "objective")], task)


def texts_in(study: StudyStarted) -> tuple[str, ...]:
    """Return a study's objectives and further metrics, as `objective_of` reads them."""
    return (*_texts(study, "objective"), *_texts(study, "metrics"))


def _texts(study: StudyStarted, setting: str) -> tuple[str, ...]:
    given = study.settings.get(setting) or ""
    texts = objective_names(given) if isinstance(given, str) else map(str, given)
    return tuple(text for text in texts if text)


def main_objective(history: History) -> Objective:
    """Return the study's first objective that folds have a part in; else its task's."""
    of_folds = (objective for objective in history.objectives if objective.fold)
    task = task_in(history.known_study())
    return next(of_folds, None) or objective_of(task.objective, task)[0]


@dataclass(frozen=True)
class FoldScores:
    """A metric of a trial over the study's folds.

    Attributes:
        metric: its name, as folds record it.
        folds: on each fold.
        interval: 95 % interval of the mean, which allows for overlapping training parts (Nadeau
            and Bengio 2003); None with one fold.
    """

    metric: str
    folds: tuple[float, ...]
    interval: Interval | None

    @property
    def mean(self) -> float:
        """The mean over folds."""
        return fmean(self.folds)

    @property
    def deviation(self) -> float | None:
        """The sample standard deviation over folds; None with one."""
        return stdev(self.folds) if len(self.folds) > 1 else None


def over_folds(history: History, trial: TrialHistory) -> tuple[FoldScores, ...]:
    """Return a trial's metrics over the study's folds, that of the first objective first."""
    study, folds = history.known_study(), list(trial.finished_folds().values())
    task, share = task_in(study), share_of(study)
    further = dict.fromkeys(name for fold in folds for name in fold.metrics)
    names = dict.fromkeys((main_objective(history).fold, *task.scored, "loss", *further))
    found = []
    for name in names:
        values = [fold.metric(name) for fold in folds]
        known = tuple(value for value in values if value is not None)
        if known and len(known) == len(values):
            interval = mean_interval(known, test_share=share, limits=limits_of(name, task))
            found.append(FoldScores(name, known, interval))
    return tuple(found)


def scores_of(
    scored: Scored, metrics: Sequence[Metric], notify: Notify
) -> tuple[dict[str, float], dict[str, list[float]]]:
    """Return metrics and their 95 % intervals by name, as `TestSetOpened` has them.

    The interval of accuracy is Wilson's. Others are of samples drawn anew; metrics that take long,
    such as some functions of a user's, get none.

    Args:
        scored: the samples.
        metrics: to be computed.
        notify: takes a notice of each metric that these samples do not allow, which is left out.
    """
    scores: dict[str, float] = {}
    intervals: dict[str, list[float]] = {}
    for metric in metrics:
        found, fault = _tried(partial(scored.by, metric))
        if found is None:
            notify(f"{metric.name} of the test set is left out: it cannot be computed ({fault})")
            continue
        scores[metric.name] = found
        interval: Interval | None = None
        if metric.name == "accuracy":
            interval = wilson(found, scored.effective)
        elif _seconds(scored, metric) <= SLOW:
            interval = _bootstrapped(scored, metric)
        if interval is not None:
            intervals[metric.name] = list(interval)
    return scores, intervals


def _seconds(scored: Scored, metric: Metric) -> float:
    """Return how long a metric takes once what it needs has been imported."""
    began = time.perf_counter()
    scored.by(metric)
    return time.perf_counter() - began


def _tried(compute: Callable[[], float]) -> tuple[float | None, str]:
    """Return a finite number, or why there is none."""
    try:
        found = compute()
    except Exception as error:  # noqa: BLE001 # a user's function may raise anything
        return None, cause_of(error)
    return (found, "") if math.isfinite(found) else (None, f"it is {found}")


def _bootstrapped(scored: Scored, metric: Metric) -> Interval | None:
    """Return the 95 % interval of a metric over samples drawn anew, with replacement.

    Source: Efron 1979, "Bootstrap methods: another look at the jackknife", Annals of Statistics 7;
    the percentile interval.
    """
    count, random = len(scored.targets), np.random.default_rng(0)
    draws = (scored.drawn(random.integers(0, count, count)) for _ in range(DRAWS))
    tried = (_tried(partial(draw.by, metric))[0] for draw in draws)
    found = [value for value in tried if value is not None]
    if len(found) < LEAST_DRAWS * DRAWS:  # a class of few samples is missing too often
        return None
    low, high = np.quantile(found, (0.025, 0.975))
    return float(low), float(high)


@dataclass(frozen=True)
class TestScore:
    """A metric on the test set; interval: of 95 %, None where there is none."""

    __test__ = False  # pytest: not a test class

    metric: str
    value: float
    interval: Interval | None


def on_test_set(test: TestSetOpened, history: History) -> tuple[TestScore, ...]:
    """Return the scores on the test set; of other tasks that of the first objective first."""
    own = {"accuracy": test.accuracy, "loss": test.loss, "macro_f1": test.macro_f1}
    scores = {name: value for name, value in own.items() if value is not None} | test.scores
    intervals = dict(test.intervals)
    if test.accuracy is not None:  # an earlier version left it to be computed
        intervals.setdefault("accuracy", list(wilson(test.accuracy, samples_in(test))))
    task = task_in(history.known_study())
    given = [name for name in own if name in scores]
    order = dict.fromkeys((*given, main_objective(history).fold, *task.scored, *scores))
    return tuple(
        TestScore(name, scores[name], _pair(intervals.get(name)))
        for name in order
        if name in scores
    )


def _pair(bounds: Sequence[float] | None) -> Interval | None:
    return None if bounds is None else (bounds[0], bounds[1])


def samples_in(test: TestSetOpened) -> int:
    """Return the number of test samples."""
    return test.samples or sum(map(sum, test.confusion))
