"""Metrics by name: the task's own, scikit-learn's scorers, Keras's metrics, a user's functions."""

import difflib
import inspect
import math
import re
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from search.errors import SettingsError
from search.tasks.base import CLASSIFICATION, MULTI_LABEL, REGRESSION, Array, Metric, Scored, Task
from search.tasks.keras_metrics import fits_keras, keras_value
from tracking.objectives import OBJECTIVES, Objective
from tracking.text import joined, listed

OF_METRICS = "metrics: "  # before the names of their files in a study's fingerprint
MOST_NEAR = 5  # names that a message offers

# scikit-learn's scorers that compare two ways of grouping samples, not predictions with targets.
_CLUSTERINGS = frozenset(
    {
        "adjusted_mutual_info_score",
        "adjusted_rand_score",
        "completeness_score",
        "fowlkes_mallows_score",
        "homogeneity_score",
        "mutual_info_score",
        "normalized_mutual_info_score",
        "rand_score",
        "v_measure_score",
    }
)
# Keras's metrics by their snake-case names, and whether larger is better.
KERAS_METRICS = {
    **dict.fromkeys(
        [
            "auc",
            "binary_accuracy",
            "categorical_accuracy",
            "sparse_categorical_accuracy",
            "top_k_categorical_accuracy",
            "sparse_top_k_categorical_accuracy",
            "precision",
            "recall",
            "f1_score",
            "r2_score",
            "concordance_correlation",
            "pearson_correlation",
            "cosine_similarity",
        ],
        True,
    ),
    **dict.fromkeys(
        [
            "mean_squared_error",
            "root_mean_squared_error",
            "mean_absolute_error",
            "mean_absolute_percentage_error",
            "mean_squared_logarithmic_error",
            "log_cosh_error",
            "kl_divergence",
            "poisson",
            "binary_crossentropy",
            "categorical_crossentropy",
            "sparse_categorical_crossentropy",
            "hinge",
            "squared_hinge",
            "categorical_hinge",
        ],
        False,
    ),
}
_KERASS_OF_DECISIONS = frozenset(
    {
        "binary_accuracy",
        "categorical_accuracy",
        "sparse_categorical_accuracy",
        "precision",
        "recall",
        "f1_score",
    }
)
_RANKED = ("roc_auc", "average_precision")
_OF_CLASS = ("precision", "recall", "f1", "roc_auc", "average_precision", "jaccard")


class UnknownMetricError(SettingsError):
    """No metric, of whatever task, has such a name."""


class UnfitMetricError(SettingsError):
    """There is such a metric, but it does not fit what is predicted."""


def metric_of(text: str, task: Task, *, larger: bool | None = None) -> Metric:
    """Return the metric of a name.

    Args:
        text: the task's own (`rmse`), a scorer of scikit-learn's (`roc_auc`), one of a class
            (`recall@Shirt`), a metric of Keras's (`top_k_categorical_accuracy`) or
            `FILE.py:FUNCTION`, of `y_true, y_pred` and perhaps `sample_weight`.
        task: that it must fit.
        larger: whether larger is better, of a function; None where its name or the library says.

    Raises:
        SettingsError: there is none of the name, it does not fit the task, or it is not known which
            way is better.
    """
    own = task.metric(text)
    if own is not None:
        return own
    if ":" in text:
        return FunctionMetric.of_file(text, task, larger)
    name, _, of_class = text.partition("@")
    if of_class:
        return _of_class(name, of_class, task)
    if name in _scorers():
        _check_fits(name, task)
        return ScikitMetric(name, task)
    if name in KERAS_METRICS:
        if not fits_keras(name, task):
            raise UnfitMetricError(_unfit(name, "Keras", task))
        return KerasMetric(name, task)
    raise UnknownMetricError(unknown_metric(text, task))


def limits_of(name: str, task: Task) -> tuple[float, float]:
    """Return what a fold's metric cannot be beyond; infinite of a loss or a user's function."""
    try:
        return metric_of(name, task).limits
    except SettingsError:
        return -math.inf, math.inf


def function_places(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the `FILE.py:FUNCTION` among texts that `objective_of` reads."""
    plain = (re.sub(r"^(max|min):", "", text) for text in texts)
    return tuple(dict.fromkeys(place for place in plain if ":" in place and "@" not in place))


def objective_of(text: str, task: Task) -> tuple[Objective, Metric | None]:
    """Return the objective of a name, and the metric that is computed for it.

    Args:
        text: one of `tracking.objectives.OBJECTIVES`; `cv_NAME` of a metric, or a metric's name or
            `FILE.py:FUNCTION` by itself; `val_NAME` of a metric that the models are compiled with.
            `max:` or `min:` before it says which way is better where that is not known.
        task: that it must fit.

    Raises:
        SettingsError: as of `metric_of`.
    """
    direction, _, rest = text.partition(":")
    larger = {"max": True, "min": False}.get(direction)
    text = text if larger is None else rest
    known = OBJECTIVES.get(text)
    if known is not None and known.fold == "loss" and task.name != CLASSIFICATION:
        each = "the models' own loss"
        if task.outputs:
            each = "the outputs' losses by the models' weights, of classes their cross-entropy"
        return replace(known, meaning=f"mean of {each} over the folds"), None
    if known is not None and (not known.fold or known.fold == "loss"):
        return known, None
    if known is not None and task.name == CLASSIFICATION:
        return known, task.metric(known.fold)
    if text.startswith("val_"):
        return _of_model(text, larger), None
    metric = metric_of(text.removeprefix("cv_"), task, larger=larger)
    name = metric.name
    objective = Objective(
        f"cv_{name}", metric.larger, f"{metric.meaning}, mean over folds", name, f"val_{name}"
    )
    return objective, metric


def computed_metric(text: str, task: Task) -> Metric | None:
    """Return the metric that is computed for an objective's name; None for what models measure.

    Raises:
        SettingsError: as of `metric_of`.
    """
    if re.match(r"((max|min):)?val_", text):
        return None  # in records of earlier versions even where its direction would be asked for
    return objective_of(text, task)[1]


def _of_model(text: str, larger: bool | None) -> Objective:
    """Return the objective of what a model was compiled with, `val_NAME`."""
    larger = direction_of(text.removeprefix("val_")) if larger is None else larger
    if larger is None:
        raise SettingsError(
            f"it must be known whether a larger {text} is better: write `max:{text}` or"
            f" `min:{text}`"
        )
    meaning = f"the models' own {text.removeprefix('val_')} on validation parts, mean over folds"
    return Objective(f"cv_{text}", larger, meaning, text, text)


def metric_names(task: Task) -> tuple[str, ...]:
    """Return the names of all metrics that fit a task, its own first."""
    scorers = (name for name in sorted(_scorers()) if _fits(name, task))
    of_keras = (name for name in sorted(KERAS_METRICS) if fits_keras(name, task))
    return (*dict.fromkeys((*task.scored, *scorers, *of_keras)),)


@cache
def _scorers() -> frozenset[str]:
    from sklearn.metrics import get_scorer_names

    return frozenset(get_scorer_names()) - _CLUSTERINGS


@dataclass(frozen=True)
class ScikitMetric(Metric):
    """A scorer of scikit-learn's; larger is better for all of them.

    Attributes:
        name: the scorer's.
        task: of the predictions.
    """

    name: str
    task: Task
    larger = True

    @property
    def meaning(self) -> str:  # type: ignore[override]
        """A phrase for people."""
        return f"scikit-learn's {self.name}"

    @property
    def is_of_decisions(self) -> bool:  # type: ignore[override]
        """Whether it only looks at what is predicted."""
        from sklearn.metrics import get_scorer

        return bool(get_scorer(self.name)._response_method == "predict")

    @property
    def takes_weights(self) -> bool:  # type: ignore[override]
        """Whether samples' weights count in it."""
        return _takes_weights(self.name)

    @property
    def limits(self) -> tuple[float, float]:  # type: ignore[override]
        """What it cannot be beyond: errors are negative, other scores are 1 at best."""
        if self.name == "positive_likelihood_ratio":
            return 0.0, math.inf
        return -math.inf, 0.0 if self.name.startswith("neg_") else 1.0

    def of(self, scored: Scored) -> float:
        """Return the scorer's value; weights count where it takes them.

        Raises:
            ValueError: it needs probabilities, and there are none.
        """
        from sklearn.metrics import get_scorer

        needs_shares = get_scorer(self.name)._response_method == "predict_proba"
        if needs_shares and not scored.are_probabilities:
            raise ValueError(f"{self.name} needs probabilities, and the models' outputs are scores")
        return _by_scorer(self.name, self.task.name, scored)


def _by_scorer(name: str, task: str, scored: Scored, classes: Array | None = None) -> float:
    from sklearn.metrics import get_scorer

    from search.tasks.estimators import estimator

    targets, weights = scored.targets, scored.weights
    scorer, predicted = get_scorer(name), estimator(task, scored, classes)
    rows = np.arange(len(targets))[:, np.newaxis]
    true = targets[:, 0] if targets.ndim == 2 and targets.shape[1] == 1 else targets
    true = true if classes is None else classes[true]
    given = {}
    if weights is not None and takes_weights(name, scored.values.shape[1]):
        given = {"sample_weight": np.asarray(weights, np.float64)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a class that is not predicted, and the like
        return float(scorer(predicted, rows, true, **given))


def takes_weights(name: str, units: int) -> bool:
    """Say whether samples' weights count in a scorer of scikit-learn's, of so many units."""
    one_to_one = name.startswith("roc_auc_ovo") and units > 2  # takes none then
    return _takes_weights(name) and not one_to_one


@cache
def _takes_weights(name: str) -> bool:
    from sklearn.metrics import get_scorer

    parameters = inspect.signature(get_scorer(name)._score_func).parameters
    return "sample_weight" in parameters


def scorer_of(text: str) -> str:
    """Return the name of the scorer of scikit-learn's that a text means; empty for others."""
    plain = re.sub(r"^(max|min):", "", text).removeprefix("cv_")
    return plain if plain in _scorers() else ""


def of_own_classes(name: str, task: Task, classes: Array) -> str:
    """Return the metric of class numbers that is a scorer's of the classes themselves.

    scikit-learn's `f1` and the like are of the class that is called 1: of the classes 1 and 2 the
    first, while of class numbers it is the second.

    Args:
        name: of a scorer of scikit-learn's.
        task: of the class numbers.
        classes: what they stand for, sorted.

    Raises:
        UnfitMetricError: it cannot be computed of such classes.
    """
    if not _fits(name, task):
        return name  # which `metric_of` refuses
    numbers = sorted(range(len(classes)), key=lambda number: bool(classes[number] != 1))
    some = classes[sorted(numbers[:3])]
    made = _MADE_OF_TWO if len(some) == 2 else _made(CLASSIFICATION, 3)
    try:
        found = _by_scorer(name, CLASSIFICATION, made, some)
    except Exception as error:
        raise UnfitMetricError(_unfit_classes(name, classes)) from error
    if math.isclose(found, _by_scorer(name, CLASSIFICATION, made)):
        return name
    if task.units == 2 and name in _OF_CLASS:
        return f"{name}@{task.names[0]}"
    raise UnfitMetricError(_unfit_classes(name, classes))


# Of which no scorer of one class has the same value for both.
_MADE_OF_TWO = Scored(
    values=np.array([[s, 1 - s] for s in (0.9, 0.8, 0.75, 0.7, 0.4, 0.65, 0.6, 0.35, 0.3, 0.2)]),
    targets=np.array([0, 0, 0, 0, 0, 1, 1, 1, 1, 1]),
)


def _unfit_classes(name: str, classes: Array) -> str:
    shown = listed([str(one) for one in classes[:MOST_NEAR]])
    others = [f"`{name}@{classes[-1]}`"] if name in _OF_CLASS else []
    others += [f"`{name}_macro`"] if f"{name}_macro" in _scorers() else []
    numbers = "0 and 1" if len(classes) == 2 else "numbers from 0"
    return (
        f"scikit-learn must know which class is the positive one of {name}; got the classes"
        f" {shown}. Give {joined([*others, f'y as {numbers}'], 'or')}"
    )


def _check_fits(name: str, task: Task) -> None:
    if not _fits(name, task):
        raise UnfitMetricError(_unfit(name, "scikit-learn", task))


def _fits(name: str, task: Task) -> bool:
    """Say whether a scorer can be computed of made predictions of a task."""
    return _computes(name, task.name, min(task.units, 3))


@cache
def _computes(name: str, task: str, units: int) -> bool:
    if task != REGRESSION and _computes(name, REGRESSION, 1):
        return False  # it would take class numbers as measurements
    if name == "top_k_accuracy" and units < 3:
        return False  # its k is 2, and one of two classes is always right
    try:
        _by_scorer(name, task, _made(task, units))
    except Exception:  # noqa: BLE001 # a scorer may refuse in any way
        return False
    return True


def _made(task: str, units: int) -> Scored:
    """Return made predictions of a task."""
    random, count = np.random.default_rng(0), 12
    targets: Array
    values: Array
    if task == CLASSIFICATION:
        targets, values = np.arange(count) % units, random.dirichlet(np.ones(units), count)
    elif task == MULTI_LABEL:
        targets, values = random.integers(0, 2, (count, units)), random.random((count, units))
    else:
        targets, values = 1 + random.random((count, units)), 1 + random.random((count, units))
    return Scored(values, targets)


@dataclass(frozen=True)
class _OfClass(Metric):
    """A metric of one class against all others, or of one label."""

    name: str
    base: str
    place: int
    task: Task
    larger = True

    @property
    def meaning(self) -> str:  # type: ignore[override]
        return f"{self.base} of {self.task.names[self.place]}"

    @property
    def is_of_decisions(self) -> bool:  # type: ignore[override]
        """Whether it only looks at what is predicted."""
        return self.base not in _RANKED

    def of(self, scored: Scored) -> float:
        values, targets = scored.values, scored.targets
        if self.task.name == MULTI_LABEL:
            true, score = targets[:, self.place], values[:, self.place]
            given = score > 0.5
        else:
            true, score = targets == self.place, values[:, self.place]
            given = values.argmax(axis=1) == self.place
            if self.task.units == 2 and not scored.are_probabilities:
                score = score - values[:, 1 - self.place]  # one score alone tells nothing
        ranked = self.base in _RANKED
        second = score.astype(np.float64) if ranked else given.astype(np.float64)
        both = np.stack([-second, second] if ranked else [1 - second, second], axis=1)
        one = Scored(both, true.astype(np.int64), scored.weights, are_probabilities=False)
        return _by_scorer(self.base, CLASSIFICATION, one)


def _of_class(name: str, of_class: str, task: Task) -> Metric:
    if task.name == REGRESSION or name not in _OF_CLASS:
        raise SettingsError(
            f"a metric of one class must be one of {listed(_OF_CLASS)}, of classes or labels;"
            f" got {name}@{of_class} for {task.name}"
        )
    if of_class not in task.names:
        near = difflib.get_close_matches(of_class, task.names, MOST_NEAR, 0.5)
        raise SettingsError(
            f"metric {name}@{of_class} must name a class: {listed(near or task.names[:MOST_NEAR])}"
        )
    return _OfClass(f"{name}_{_plain(of_class)}", name, task.names.index(of_class), task)


@dataclass(frozen=True)
class KerasMetric(Metric):
    """A metric of Keras's, of all samples of a validation part at once."""

    name: str
    task: Task

    @property
    def larger(self) -> bool:  # type: ignore[override]
        """Whether larger is better."""
        return KERAS_METRICS[self.name]

    @property
    def meaning(self) -> str:  # type: ignore[override]
        """A phrase for people."""
        return f"Keras's {self.name}"

    @property
    def is_of_decisions(self) -> bool:  # type: ignore[override]
        """Whether it only looks at what is predicted."""
        return self.name in _KERASS_OF_DECISIONS

    def of(self, scored: Scored) -> float:
        """Return the metric, as `keras_value` computes it."""
        return keras_value(self.name, self.task, scored)


@dataclass(frozen=True)
class FunctionMetric(Metric):
    """A user's function of `y_true, y_pred` and perhaps `sample_weight`.

    It is given class numbers or 0/1 labels or numbers as `y_true`; as `y_pred` probabilities or
    scores `(n, classes)`, probabilities `(n, labels)`, or numbers `(n,)` or `(n, numbers)`.
    """

    name: str
    larger: bool
    place: str
    task: Task

    @property
    def meaning(self) -> str:  # type: ignore[override]
        """A phrase for people."""
        return self.place

    @classmethod
    def of_file(cls, place: str, task: Task, larger: bool | None) -> "FunctionMetric":
        """Return the metric of `FILE.py:FUNCTION`; the file is not run yet.

        Raises:
            SettingsError: it is not known which way is better.
        """
        name = place.rpartition(":")[2]
        larger = direction_of(name) if larger is None else larger
        if larger is None:
            raise SettingsError(
                f"it must be known whether a larger {name!r} is better: write `max:{place}` or"
                f" `min:{place}`"
            )
        return cls(_plain(name), larger, place, task)

    def of(self, scored: Scored) -> float:
        """Return what the function returns.

        Raises:
            ValueError: it is no number.
        """
        function = _function(self.place)
        true, given = scored.targets, scored.values
        if true.ndim == 2 and true.shape[1] == 1:
            true, given = true[:, 0], given[:, 0]
        more = {}
        takes_weights = "sample_weight" in inspect.signature(function).parameters
        if scored.weights is not None and takes_weights:
            more = {"sample_weight": scored.weights}
        found = np.asarray(function(true, given, **more), np.float64)
        if found.size != 1:
            raise ValueError(f"{self.place} must return one number; it returned {found.shape}")
        return float(found.reshape(-1)[0])


@cache
def _function(place: str) -> Callable[..., Any]:
    from spaces.declaring.importing import find

    found = find(place)
    if not callable(found):
        raise SettingsError(f"{place} must be a function of y_true and y_pred; it is not callable")
    return found  # type: ignore[no-any-return]


def forget_functions() -> None:
    """Let functions of files be read again when they are next computed."""
    _function.cache_clear()


# Words of names that say which way is better, where one of them is the name's main word.
_LARGER = re.compile(
    r"accuracy|acc|auc|auroc|auprc|precision|recall|sensitivity|specificity|f1|fbeta|r2|iou|miou"
    r"|dice|jaccard|kappa|mcc|ndcg|mrr|gain|profit"
)
_SMALLER = re.compile(
    r"loss|error|err|mse|mae|rmse|mape|msle|rmsle|smape|crossentropy|bce|logloss|nll|kld|divergence"
    r"|hinge|logcosh|deviance|brier|ece|perplexity|cost"
)
# Words behind the main one that leave its direction as it is.
_NEUTRAL = re.compile(
    r"score|rate|coefficient|coef|index|macro|micro|weighted|samples|roc|pr|ovr|ovo|\d+"
)
# Words that may turn the direction of those behind them (a first number does in `1-accuracy`), or
# after which 0 is best.
_TURNING = re.compile(
    r"false|wrong|miss|missed|mis|in|im|non|not|no|un|anti|dis|without|inverse|inverted|inv|reverse"
    r"|reversed|negative|neg|negated|minus|complement|complementary|opposite|reciprocal|bias|signed"
)
_WORD = re.compile(r"[A-Z]+(?![a-z])\d*|[A-Z]?[a-z]+\d*|\d+")
_SPLIT = {("io", "u"): "iou", ("cross", "entropy"): "crossentropy", ("log", "cosh"): "logcosh"}


def direction_of(name: str) -> bool | None:
    """Return whether a larger value of what is called so is better; None where a name leaves it.

    A name of Keras's says it, or the main word of others: the last one before `at` that is not
    neutral, as in `f1_macro`, `price_loss` or `recall_at_10`. Any other last word leaves it open
    (`accuracy_drop`), and so does one that contradicts or may turn the main word (`dice_loss`,
    `false_accuracy`). `neg_` before an error turns it, as in scikit-learn.
    """
    plain = re.sub(r"_\d+$", "", name)  # Keras numbers metrics of one name
    if plain in KERAS_METRICS and plain != "cosine_similarity":  # as a loss it is negative
        return KERAS_METRICS[plain]
    is_negative = name.lower().startswith("neg_")
    words = _words(name[4:] if is_negative else name)
    if not words or words[0].isdigit() or any(map(_TURNING.fullmatch, words)):
        return None
    said = [_said(word) for word in words]
    main = next((at for at in reversed(range(len(words))) if not _NEUTRAL.fullmatch(words[at])), 0)
    larger = said[main]
    if larger is None or (not larger) in said:
        return None
    if is_negative:
        return None if larger else True
    return larger


def _said(word: str) -> bool | None:
    """Return what a word by itself says of the direction."""
    if _LARGER.fullmatch(word):
        return True
    return False if _SMALLER.fullmatch(word) else None


def _words(name: str) -> list[str]:
    """Return the words of a name before `at`, without numbers at their ends."""
    parts = [word.lower() for word in _WORD.findall(name.partition("@")[0])]
    parts = parts[: parts.index("at")] if "at" in parts else parts
    words: list[str] = []
    for part in parts:
        word = part if _said(part) is not None else re.sub(r"(?<=[a-z])\d+$", "", part)
        if words and (words[-1], word) in _SPLIT:
            words[-1] = _SPLIT[words[-1], word]
        else:
            words.append(word)
    return words


def _plain(name: str) -> str:
    """Return a name in the letters that MLflow takes."""
    return re.sub(r"[^\w\-./ ]", "_", name)


def unknown_metric(text: str, *tasks: Task) -> str:
    """Return the message that no metric has a name, with those that are nearest to it.

    Args:
        text: the name.
        tasks: that a metric might fit; where it is one, the message names it.
    """
    return f"no metric is called {text!r}; {_near(text, *tasks)}"


def _unfit(name: str, library: str, task: Task) -> str:
    counted = f" with {task.units} classes" if task.name == CLASSIFICATION else ""
    return f"metric {name!r} of {library} does not fit {task.name}{counted}; {_near(name, task)}"


def _near(text: str, *tasks: Task) -> str:
    names = [*dict.fromkeys(name for task in tasks for name in metric_names(task))]
    opposite = [name for name in names if name == f"neg_{text.removeprefix('cv_')}"]
    near = difflib.get_close_matches(text, names, MOST_NEAR, 0.5) or names[:MOST_NEAR]
    near = [*dict.fromkeys((*opposite, *near))][:MOST_NEAR]
    kind = f"for {tasks[0].name} " if len(tasks) == 1 else ""
    return (
        f"{kind}there are, among others, {listed(near)}; any scorer of scikit-learn's"
        " that fits, a metric of Keras's, or FILE.py:FUNCTION"
    )
