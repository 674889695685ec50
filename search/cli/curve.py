"""The curve of a study's best score over its trials, and of one trial's scores, as text."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from search.cli.tables import heading, score_text
from tracking.history import History
from tracking.objectives import Objective

_BARS = "▁▂▃▄▅▆▇█"
_ROWS = 5
_NARROWEST, _WIDEST = 8, 72  # columns of a terminal for the trials; for all of it
_LEAST = 2  # complete trials


@dataclass(frozen=True)
class Point:
    """A complete trial, and the best score of it and of all before.

    Attributes:
        trial: its number.
        score: its own score.
        best: the best up to it.
    """

    trial: int
    score: float
    best: float


@dataclass(frozen=True)
class Curve:
    """The best score over the trials, in the order of their numbers.

    Attributes:
        objective: what the scores are of.
        points: of complete trials; others have no score that compares.
        states: of all trials, by number.
    """

    objective: Objective
    points: Sequence[Point]
    states: dict[int, str]

    @classmethod
    def of(cls, history: History) -> "Curve":
        """Return the curve of a study's trials so far, by their first objective."""
        first, points = history.objectives[0], list[Point]()
        trials = sorted(history.trials.items())
        for number, trial in trials:
            if trial.value is not None:
                before = points[-1].best if points else trial.value
                best = trial.value if first.better(trial.value, before) else before
                points.append(Point(number, trial.value, best))
        return cls(first, points, {number: trial.state.shown for number, trial in trials})

    @property
    def title(self) -> str:
        """What it shows."""
        return f"Best {heading(self.objective)} so far, by trial"

    def is_worth_showing(self) -> bool:
        """Return whether there is more than one score."""
        return len(self.points) >= _LEAST

    def _range(self) -> tuple[float, float]:
        scores = [point.score for point in self.points]
        return min(scores), max(scores)

    def _text(self, value: float) -> str:
        return score_text(self.objective, value)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield its lines: levels of the score, trials below."""
        low, high = self._range()
        labels = {self._row(low): self._text(low), self._row(high): self._text(high)}
        margin = max(map(len, labels.values()))
        width = max(_NARROWEST, min(options.max_width, _WIDEST) - margin - 3)
        trials = max(self.states) + 1
        step = max(1, min(4, width // trials))
        columns = min(width, trials * step)

        def column(trial: int) -> int:
            return trial * step if trials <= width else trial * columns // trials

        grid = self._drawn(columns, column)
        yield Text(self.title, style="bold")
        for number, row in enumerate(grid):
            line = Text(f"{labels.get(number, ''):>{margin}} │", style="dim")
            for sign in row:
                line.append(sign, style="green" if sign == "●" else "cyan")
            line.rstrip()
            yield line
        yield Text(f"{'':>{margin}} └{'─' * columns}", style="dim")
        yield Text(f"{'trial':>{margin}}  {_ticks(trials, column, columns)}".rstrip(), style="dim")
        yield Text(f"{'':>{margin}}  ● complete  ─ best so far{self._others()}", style="dim")

    def _drawn(self, columns: int, column: Callable[[int], int]) -> list[list[str]]:
        grid = [[" "] * columns for _ in range(_ROWS)]
        first, *rest = self.points
        at, level = column(first.trial), self._row(first.best)
        for point in [*rest, None]:
            until = columns if point is None else column(point.trial)
            for place in range(at, until):
                grid[level][place] = "─"
            if point is None:
                break
            to = self._row(point.best)
            at = until
            if to != level:  # better is up where larger is better, else down
                up = to < level
                grid[level][at] = "╯" if up else "╮"
                for row in range(min(to, level) + 1, max(to, level)):
                    grid[row][at] = "│"
                grid[to][at] = "╭" if up else "╰"
                level, at = to, at + 1
        for point in self.points:
            grid[self._row(point.score)][column(point.trial)] = "●"
        return grid

    def _row(self, score: float) -> int:
        low, high = self._range()
        return round((high - score) / (high - low) * (_ROWS - 1)) if high > low else _ROWS // 2

    def _others(self) -> str:
        pruned = sum(state == "pruned" for state in self.states.values())
        return f"  ({pruned} pruned: no full score)" if pruned else ""


def sparkline(values: Sequence[float], most: int = 12) -> str:
    """Return the last of some values as bars of different height; nothing for fewer than two."""
    known = [value for value in values[-most:] if abs(value) < float("inf")]
    if len(known) < 2:
        return ""
    low, high = min(known), max(known)
    scale = (len(_BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BARS[round((value - low) * scale)] for value in known)


def _ticks(trials: int, column: Callable[[int], int], columns: int) -> str:
    """Return the numbers of some trials below their columns."""
    line = [" "] * (columns + 8)
    end = -1
    every = next(n * 10**p for p in range(9) for n in (1, 2, 5) if trials <= 8 * n * 10**p)
    for trial in range(0, trials, every):
        at, text = column(trial), str(trial)
        if at > end:
            line[at : at + len(text)] = text
            end = at + len(text)
    return "".join(line)
