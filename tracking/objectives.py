"""What a study searches for: names, which way is better, and where the numbers stand."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tracking.records import StudyStarted

DEFAULT = "cv_accuracy"


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


def objective_hint(name: str) -> str:
    """Return a phrase on what an unknown objective may be, with all there are."""
    plain = name.lower().replace("-", "_").replace(" ", "_")
    meant = next((known for known, others in _OTHER_NAMES.items() if plain in others), None)
    if plain in OBJECTIVES:
        meant = plain
    listed = ", ".join(f"{known.name} ({known.meaning})" for known in OBJECTIVES.values())
    return f"{f'did you mean {meant}? ' if meant else ''}there are {listed}"


def objective_names(text: str) -> tuple[str, ...]:
    """Return the names in `--objective`'s text, commas between them."""
    return tuple(name.strip() for name in text.split(","))


def objectives_of(study: "StudyStarted | None") -> tuple[Objective, ...]:
    """Return what a study searches for, the most important first."""
    if study is not None and study.objectives:
        return tuple(Objective(**known) for known in study.objectives)
    settings: Mapping[str, Any] = {} if study is None else study.settings
    return tuple(OBJECTIVES[name] for name in objective_names(settings.get("objective", DEFAULT)))
