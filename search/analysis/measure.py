"""Measures by which trials are judged: their names and values as words, for people."""

import math
import re
from collections.abc import Iterable

from tracking.objectives import Objective, measure_text
from tracking.records import FoldEnded

_NAMES = {
    "cv_loss": "loss",
    "model_parameters": "parameters",
    "latency_ms": "latency (ms)",
    "macro_f1": "macro F1",
    "exact_match": "exact match",
    "hamming_loss": "Hamming loss",
    "rmse": "RMSE",
    "mae": "MAE",
    "r2": "R²",
    "roc_auc": "ROC AUC",
}
# Metrics within 0 and 1, whose differences are told in percentage points.
_FRACTIONS = re.compile(
    r"(val_)?(accuracy|.*_accuracy|macro_f1|exact_match|hamming_loss|auc"
    r"|(balanced_accuracy|precision|recall|f1|jaccard|roc_auc|average_precision)(_.*)?)"
)
_DIGITS = 4  # significant ones of a number that is no fraction
_MOST_DECIMALS = 8  # with more, powers of ten are easier to read


def objective_name(objective: Objective) -> str:
    """Return the name of an objective in a sentence or on an axis."""
    plain = objective.name.removeprefix("cv_")
    return _NAMES.get(objective.name) or metric_name(objective.fold or plain)


def metric_name(name: str) -> str:
    """Return the name of a fold's metric in a sentence or on an axis."""
    return _NAMES.get(name, name.replace("_", " "))


def is_fraction(objective: Objective) -> bool:
    """Return whether values lie within 0 and 1, so that differences are percentage points."""
    is_own = ".py:" in objective.meaning  # a user's function; nothing is known of it
    return not is_own and bool(_FRACTIONS.fullmatch(objective.fold or objective.name))


def score_text(objective: Objective, value: float | None) -> str:
    """Return an objective's value as text; a dash for None."""
    return measure_text(objective.name, value)


def score_and_spread(objective: Objective, value: float, spread: float | None) -> tuple[str, str]:
    """Return a value and its spread, both with as many decimals; a dash for None."""
    if spread is None:
        return score_text(objective, value), "-"
    if is_fraction(objective) or not objective.fold or objective.fold == "loss":
        return score_text(objective, value), score_text(objective, spread)
    one, other = number_texts((value, spread))
    return one, other


def p_text(p: float | None) -> str:
    """Return a p-value as `0.042` or `<0.001`; a dash for None."""
    if p is None:
        return "-"
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def difference_text(objective: Objective, value: float, *, sign: bool = False) -> str:
    """Return a difference of two values as text: of fractions in percentage points."""
    if is_fraction(objective):
        return _signed(f"{100 * value:.2f}", sign=sign)
    if objective.fold == "loss":
        return _signed(f"{value:.4f}", sign=sign)
    return _signed(score_text(objective, value), sign=sign)


def interval_texts(objective: Objective, *values: float, sign: bool = False) -> list[str]:
    """Return differences as texts with the same number of decimals.

    Args:
        objective: they are of.
        values: a difference and the ends of its interval.
        sign: give the first its sign also where it is positive.
    """
    if is_fraction(objective) or objective.fold == "loss":
        texts = [difference_text(objective, value) for value in values]
    else:
        texts = number_texts(values)
    return [_signed(text, sign=sign and place == 0) for place, text in enumerate(texts)]


def unit_of(objective: Objective) -> str:
    """Return the unit after a difference: ` points`, or nothing."""
    return " points" if is_fraction(objective) else ""


def number_texts(values: Iterable[float]) -> list[str]:
    """Return numbers with as many decimals as show four digits of the largest."""
    numbers = list(values)
    largest = max((abs(value) for value in numbers if math.isfinite(value)), default=0.0)
    decimals = decimals_for(largest)
    if decimals > _MOST_DECIMALS:
        return [f"{value:.{_DIGITS - 1}e}" for value in numbers]
    return [f"{value:,.{decimals}f}" for value in numbers]


def decimals_for(largest: float) -> int:
    """Return how many decimals show four digits of a number."""
    if not largest:
        return _DIGITS - 1
    return max(0, _DIGITS - 1 - math.floor(math.log10(largest)))


def axis_format(objective: Objective, values: Iterable[float]) -> str:
    """Return the format, as d3 and Plotly read it, in which a figure tells values."""
    if is_fraction(objective) or objective.fold == "loss":
        return ".4f"
    if objective.name == "model_parameters":
        return ",.0f"
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    decimals = decimals_for(largest)
    return f".{_DIGITS}~g" if decimals > _MOST_DECIMALS else f",.{decimals}f"


def rounded(value: float) -> float:
    """Return a number with six significant digits, which is what a figure is given."""
    return float(f"{value:.6g}")


def fold_value(fold: FoldEnded, objective: Objective) -> float | None:
    """Return one fold's part of an objective; None where it has none."""
    return fold.metric(objective.fold) if objective.fold else None


def _signed(text: str, *, sign: bool) -> str:
    """Return a number without a minus before zero, and with a plus if wanted."""
    if text.startswith("-") and not text.strip("-0.,"):
        text = text[1:]
    return f"+{text}" if sign and not text.startswith("-") else text
