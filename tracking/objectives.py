"""What a study searches for: names, which way is better, and where the numbers stand."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

DEFAULT = "cv_accuracy"


@dataclass(frozen=True)
class Objective:
    """One thing to make as large, or as small, as possible.

    Attributes:
        name: as `--objective` takes it and as MLflow's metric is called.
        larger: whether larger is better.
        meaning: a phrase for people.
        fold: field of `FoldEnded` that is one fold's part of it; empty where folds have no part.
        epoch: metric of `EpochEnded` that foretells it; empty likewise.
    """

    name: str
    larger: bool
    meaning: str
    fold: str = ""
    epoch: str = ""

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


def objective_names(text: str) -> tuple[str, ...]:
    """Return the names in `--objective`'s text, commas between them."""
    return tuple(name.strip() for name in text.split(","))


def objectives_of(settings: Mapping[str, Any]) -> tuple[Objective, ...]:
    """Return what a study's settings say it searches for, the most important first."""
    return tuple(OBJECTIVES[name] for name in objective_names(settings.get("objective", DEFAULT)))
