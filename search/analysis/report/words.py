"""Numbers, times and values as text in the report, and searched parameters as axes."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from search.analysis.measure import score_and_spread, score_text
from spaces import short_text
from spaces import short_text as exact_text
from tracking.history import History, TrialHistory
from tracking.objectives import Objective
from tracking.records import Json
from tracking.stages import spread


def trial_score_text(objective: Objective, trial: TrialHistory) -> str:
    """Return a complete trial's value with its spread over the folds."""
    value, deviation = trial.score(objective.name), spread(trial, objective)
    if value is None or deviation is None:
        return score_text(objective, value)
    return " ± ".join(score_and_spread(objective, value, deviation))


def origin_of(trial: TrialHistory) -> str:
    """Return a baseline's name; empty for a sampled trial."""
    kind, _, name = trial.started.origin.partition(":")
    return name if kind == "baseline" else ""


def trial_name(trial: TrialHistory) -> str:
    """Return `trial 3`, or `trial 0 (lenet5)` for a baseline."""
    name = origin_of(trial)
    return f"trial {trial.number} ({name})" if name else f"trial {trial.number}"


def params_pairs(trial: TrialHistory, history: History) -> list[tuple[str, str]]:
    """Return the searched params of a trial as text."""
    searched = {p["name"] for p in history.known_study().parameters if p["searched"]}
    return [(name, short_text(v)) for name, v in trial.params.items() if name in searched]


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


_RANGE = re.compile(r"\s*([-+.\de]+)\.\.([-+.\de]+)( log)?( step .*)?\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Axis:
    """A searched parameter.

    Attributes:
        name: of the parameter.
        choices: the values of a categorical parameter; else empty.
        low: lowest value of a number.
        high: highest value of a number.
        log: whether its scale is logarithmic.
        whole: whether it is a whole number.
        when: the condition under which it is active, as text; empty for always.
    """

    name: str
    choices: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 1.0
    log: bool = False
    whole: bool = False
    when: str = ""

    @property
    def is_number(self) -> bool:
        """Whether values have an order and distances."""
        return not self.choices

    @property
    def ends(self) -> tuple[float, float]:
        """Return the positions of the lowest and the highest value."""
        if self.choices:
            return 0.0, float(len(self.choices) - 1)
        return self.position(self.low), self.position(self.high)

    def position(self, value: Any) -> float:
        """Return the position of a value: its index among the choices, its number, or log10."""
        if self.choices:
            return float(_index(self.choices, value))
        return math.log10(value) if self.log else float(value)

    def share(self, value: Any) -> float:
        """Return the position between 0, the low end, and 1, the high end."""
        low, high = self.ends
        return (self.position(value) - low) / (high - low) if high > low else 0.5

    def ticks(self) -> tuple[list[float], list[str]]:
        """Return positions and labels of ticks."""
        if self.choices:
            return [float(n) for n in range(len(self.choices))], [*map(short_text, self.choices)]
        values = _log_ticks(self.low, self.high) if self.log else _even_ticks(self.low, self.high)
        return [self.position(value) for value in values], [f"{value:.4g}" for value in values]


def axes_of(history: History) -> list[Axis]:
    """Return the searched parameters in which trials differ, in the order of the space."""
    settings = [trial.params for _, trial in sorted(history.trials.items())]
    axes = []
    for parameter in history.known_study().parameters:
        name = parameter["name"]
        values = [params[name] for params in settings if name in params]
        if parameter["searched"] and len({repr(value) for value in values}) > 1:
            axes.append(_axis(parameter, values))
    return axes


def _axis(parameter: Json, values: Sequence[Any]) -> Axis:
    name, when = parameter["name"], _condition(parameter.get("when"))
    if parameter.get("kind") not in ("int", "float") or not all(map(_is_number, values)):
        return Axis(name, choices=_in_order(values, str(parameter.get("range", ""))), when=when)
    # A baseline may be outside a narrowed range.
    found = _RANGE.fullmatch(str(parameter.get("range", "")))
    try:
        bounds = [float(found[1]), float(found[2])] if found else []
    except ValueError:
        bounds = []
    low, high = min([*bounds, *values]), max([*bounds, *values])
    return Axis(
        name,
        low=float(low),
        high=float(high),
        log=bool(found and found[3]) and low > 0,
        whole=parameter["kind"] == "int",
        when=when,
    )


def _condition(when: object) -> str:
    if isinstance(when, list | tuple):
        return "=".join(map(short_text, when))
    return str(when or "")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _in_order(values: Iterable[Any], listed: str) -> tuple[Any, ...]:
    """Return the distinct values in the order of the range; others sorted as text."""
    distinct = list({repr(value): value for value in values}.values())
    words = listed.split(" | ")

    def place(value: Any) -> tuple[int, str]:
        # Journals of earlier versions list values without quotes, and True as True.
        texts = (exact_text(value), str(value), short_text(value))
        places = [words.index(text) for text in texts if text in words]
        return (places[0] if places else len(words)), texts[0]

    return tuple(sorted(distinct, key=place))


def _index(values: Sequence[Any], value: Any) -> int:
    """Return the index of a value; types must match, too: 1 is neither True nor 1.0."""
    return next(n for n, known in enumerate(values) if repr(known) == repr(value))


def _even_ticks(low: float, high: float, most: int = 5) -> list[float]:
    step = 10.0 ** math.floor(math.log10((high - low) / most))
    step = next(step * m for m in (1, 2, 2.5, 5, 10) if (high - low) / (step * m) <= most)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(n * step, 12) for n in range(first, last + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    first, last = math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9)
    wide = math.log10(high / low) >= 2
    values = [m * 10.0**e for e in range(first, last + 1) for m in ((1,) if wide else (1, 2, 5))]
    inside = [value for value in values if low * 0.999 <= value <= high * 1.001]
    return inside if len(inside) > 1 else [low, high]
