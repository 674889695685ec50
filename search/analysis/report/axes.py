"""Searched parameters as axes: where a value stands, and what is written there."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from search.analysis.report.words import value_text
from spaces import value_text as exact_text
from tracking.history import History
from tracking.records import Json

_RANGE = re.compile(r"\s*([-+.\de]+)\.\.([-+.\de]+)( log)?( step .*)?\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Axis:
    """A searched parameter.

    Attributes:
        name: the parameter's.
        choices: its values, for one without an order; else empty.
        low: the least value of a number.
        high: its greatest.
        log: whether its scale is logarithmic.
        whole: whether only whole numbers are values.
        when: the condition under which it takes part, as text; empty for always.
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
        """Return where a value stands: its place among the choices, or its number, or log10."""
        if self.choices:
            return float(_index(self.choices, value))
        return math.log10(value) if self.log else float(value)

    def share(self, value: Any) -> float:
        """Return the position between 0, the low end, and 1, the high end."""
        low, high = self.ends
        return (self.position(value) - low) / (high - low) if high > low else 0.5

    def ticks(self) -> tuple[list[float], list[str]]:
        """Return positions, and what is written at each."""
        if self.choices:
            return [float(n) for n in range(len(self.choices))], [*map(value_text, self.choices)]
        values = _log_ticks(self.low, self.high) if self.log else _even_ticks(self.low, self.high)
        return [self.position(value) for value in values], [f"{value:.4g}" for value in values]


def axes_of(history: History) -> list[Axis]:
    """Return the searched parameters that trials differ in, in the order of the space."""
    settings = [trial.setting for _, trial in sorted(history.trials.items())]
    axes = []
    for parameter in history.known_study().parameters:
        name = parameter["name"]
        values = [setting[name] for setting in settings if name in setting]
        if parameter["searched"] and len({repr(value) for value in values}) > 1:
            axes.append(_axis(parameter, values))
    return axes


def _axis(parameter: Json, values: Sequence[Any]) -> Axis:
    name, when = parameter["name"], _condition(parameter.get("when"))
    if parameter.get("kind") not in ("int", "float") or not all(map(_is_number, values)):
        return Axis(name, choices=_in_order(values, str(parameter.get("range", ""))), when=when)
    # A baseline may lie outside a range that was narrowed.
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
        return "=".join(map(value_text, when))
    return str(when or "")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _in_order(values: Iterable[Any], listed: str) -> tuple[Any, ...]:
    """Return each value once: in the order the range lists them, others by their text."""
    distinct = list({repr(value): value for value in values}.values())
    words = listed.split(" | ")

    def place(value: Any) -> tuple[int, str]:
        # Journals of earlier versions list values without quotes, and True as True.
        texts = (exact_text(value), str(value), value_text(value))
        places = [words.index(text) for text in texts if text in words]
        return (places[0] if places else len(words)), texts[0]

    return tuple(sorted(distinct, key=place))


def _index(values: Sequence[Any], value: Any) -> int:
    """Return where a value is, by type, too: 1 is neither True nor 1.0."""
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
