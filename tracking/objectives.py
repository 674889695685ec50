"""What a study searches for: names, which way is better, and where the numbers stand."""

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tracking.records import StudyStarted

DEFAULT = "cv_accuracy"
_CLASSES = "classification"

# What is a fraction, or a loss of the usual size, is written with four decimals.
_FRACTION = re.compile(
    r"acc|auc|precision|recall|f1|exact_match|hamming|jaccard|iou|dice|kappa|matthews"
)
_LARGE_LOSS, _MOST = 1e4, 1e12


@dataclass(frozen=True)
class Objective:
    """One thing to make as large, or as small, as possible.

    Attributes:
        name: as `--objective` takes it and as MLflow's metric is called.
        larger: whether larger is better.
        meaning: a phrase for people.
        fold: metric of `FoldEnded` that is one fold's part of it; empty where folds have no part.
        epoch: metric of `EpochEnded` that foretells it; empty likewise.
    """

    name: str
    larger: bool
    meaning: str
    fold: str = ""
    epoch: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the objective as `StudyStarted.objectives` has it."""
        return asdict(self)

    def oriented(self, value: float) -> float:
        """Return the value such that larger is better."""
        return value if self.larger else -value

    def better(self, first: float, second: float) -> bool:
        """Say whether `first` is better than `second`."""
        return self.oriented(first) > self.oriented(second)


OBJECTIVES = {
    objective.name: objective
    for objective in (
        Objective("cv_accuracy", True, "mean accuracy over the folds", "accuracy", "val_accuracy"),
        Objective("cv_loss", False, "mean cross-entropy over the folds", "loss", "val_loss"),
        Objective(
            "macro_f1", True, "unweighted mean of the classes' F1", "macro_f1", "val_macro_f1"
        ),
        Objective("model_parameters", False, "number of weights"),
        Objective("latency_ms", False, "milliseconds to predict one sample by itself"),
    )
}


# What others call the very same; a name that is merely alike may be another measure.
_OTHER_NAMES = {
    "cv_accuracy": ("accuracy", "acc", "val_accuracy", "val_acc", "mean_accuracy", "cv_acc"),
    "cv_loss": ("loss", "val_loss", "log_loss", "neg_log_loss", "cross_entropy", "crossentropy"),
    "macro_f1": ("f1_macro", "macrof1", "f1_score_macro", "cv_macro_f1"),
    "model_parameters": ("parameters", "params", "weights", "size", "model_size"),
    "latency_ms": ("latency", "speed", "inference_time"),
}


def other_name(name: str) -> str | None:
    """Return the objective that others call by a name; None where there is none."""
    plain = name.lower().replace("-", "_").replace(" ", "_")
    if plain in OBJECTIVES:
        return plain
    return next((known for known, others in _OTHER_NAMES.items() if plain in others), None)


def objective_names(text: str) -> tuple[str, ...]:
    """Return the names in `--objective`'s text, commas between them."""
    return tuple(name.strip() for name in text.split(","))


def score_name(metric: str, task: str) -> str:
    """Return the name of a trial's score that is made of a fold's metric.

    Args:
        metric: of `FoldEnded`.
        task: what is predicted, as `StudyStarted.task`.
    """
    over_all = metric == "macro_f1" and task == _CLASSES  # of all predictions, not of folds
    return metric if over_all else f"cv_{metric}"


def number_text(value: float) -> str:
    """Return a number with four significant digits, none of them before the point left out."""
    if not math.isfinite(value) or abs(value) >= _MOST or 0 < abs(value) < 1 / _MOST:
        return f"{value:.3e}"
    digits = 3 - math.floor(math.log10(abs(value))) if value else 4
    return f"{value:,.{max(digits, 0)}f}"


def measure_text(name: str, value: float | None) -> str:
    """Return a score's or a metric's value for people, in its own unit; a dash for None.

    Args:
        name: of the score or metric, or of its spread.
        value: may also be a difference of two.
    """
    if value is None:
        return "-"
    if name == "model_parameters":
        return f"{value:,.0f}"
    if name == "latency_ms":
        return f"{value:.2f}"
    is_small = "loss" in name and abs(value) < _LARGE_LOSS
    return f"{value:.4f}" if is_small or _FRACTION.search(name) else number_text(value)


def measured_of(study: "StudyStarted | None") -> tuple[Objective, ...]:
    """Return the scores that every complete trial has, beside its loss: the task's main one first.

    They need not be what is searched for.
    """
    if study is not None and study.metrics:
        return tuple(Objective(**known) for known in study.metrics)
    return OBJECTIVES["cv_accuracy"], OBJECTIVES["macro_f1"]


def objectives_of(study: "StudyStarted | None") -> tuple[Objective, ...]:
    """Return what a study searches for, the most important first."""
    if study is not None and study.objectives:
        return tuple(Objective(**known) for known in study.objectives)
    settings: Mapping[str, Any] = {} if study is None else study.settings
    return tuple(OBJECTIVES[name] for name in objective_names(settings.get("objective", DEFAULT)))
