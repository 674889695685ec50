"""Numbers, times and values as the report says them."""

from collections.abc import Iterable
from datetime import UTC, datetime

from spaces import short_text
from tracking.history import History, TrialHistory
from tracking.objectives import Objective
from tracking.stages import spread

_NAMES = {
    "cv_accuracy": "accuracy",
    "cv_loss": "loss",
    "macro_f1": "macro F1",
    "model_parameters": "parameters",
    "latency_ms": "latency (ms)",
}
_POINTS = {"cv_accuracy", "macro_f1"}  # fractions; their differences are told in percent points


def objective_name(objective: Objective) -> str:
    """Return what an objective is called in a sentence or on an axis."""
    return _NAMES.get(objective.name, objective.name)


def score_text(objective: Objective, value: float | None) -> str:
    """Return an objective's value; a dash for none."""
    if value is None:
        return "-"
    if objective.name == "model_parameters":
        return f"{value:,.0f}"
    return f"{value:.2f}" if objective.name == "latency_ms" else f"{value:.4f}"


def trial_score_text(objective: Objective, trial: TrialHistory) -> str:
    """Return a complete trial's value with its spread over the folds."""
    deviation = spread(trial, objective)
    value = score_text(objective, trial.score(objective.name))
    return value if deviation is None else f"{value} ± {score_text(objective, deviation)}"


def difference_text(objective: Objective, value: float, *, sign: bool = False) -> str:
    """Return a difference of two values: of fractions in percent points, else as it is."""
    if objective.name in _POINTS:
        return f"{100 * value:{'+' if sign else ''}.2f}"
    return f"{value:{'+' if sign else ''}.4f}"


def unit_of(objective: Objective) -> str:
    """Return the word after a difference: ` points`, or nothing."""
    return " points" if objective.name in _POINTS else ""


def value_text(value: object) -> str:
    """Return a parameter's value in short: floats with at most six significant digits."""
    return short_text(value)


def origin_of(trial: TrialHistory) -> str:
    """Return a baseline's name; nothing for a sampled trial."""
    kind, _, name = trial.started.origin.partition(":")
    return name if kind == "baseline" else ""


def trial_name(trial: TrialHistory) -> str:
    """Return `trial 3`, or `trial 0 (lenet5)` for a baseline."""
    name = origin_of(trial)
    return f"trial {trial.number} ({name})" if name else f"trial {trial.number}"


def setting_pairs(trial: TrialHistory, history: History) -> list[tuple[str, str]]:
    """Return the searched parameters of a trial with their values as text."""
    searched = {p["name"] for p in history.known_study().parameters if p["searched"]}
    return [(name, value_text(v)) for name, v in trial.setting.items() if name in searched]


def counted(number: int, noun: str) -> str:
    """Return `1 fold`, `5 folds`, `1,200 epochs`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def joined(parts: Iterable[str]) -> str:
    """Return `a`, `a and b`, `a, b and c`."""
    *first, last = list(parts) or [""]
    return f"{', '.join(first)} and {last}" if first else last


def time_text(seconds: float) -> str:
    """Return seconds as `42 s`, `3 min 20 s` or `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if 0 < seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60} min"


def moment_text(at: float) -> str:
    """Return a time as `2026-03-01 14:05 UTC`."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")
