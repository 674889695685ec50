"""Tables of trials and of words, as the terminal shows them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len, chop_cells
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from search.cli.output import duration, percent, setting_texts
from search.text import counted
from tracking.history import History, TrialHistory
from tracking.objectives import Objective
from tracking.provenance import trial_marks
from tracking.records import TrialConfirmed
from tracking.stages import confirmed_spread, score_so_far, spread, stages, stopped_at

GAP = "  "
# Characters that a list needs to stand beside its row; in fewer it becomes a thin, tall column.
BESIDE = 40
_LEAST = 20  # characters for a list, however narrow the place


@dataclass(frozen=True)
class Column:
    """A column of a listing.

    Attributes:
        heading: what stands above it.
        is_number: whether it is aligned to the right.
        spare: when it is left out for want of room: those of 1 first, then 2, ...; 0 for never.
    """

    heading: str
    is_number: bool = True
    spare: int = 0


class Listing:
    """Rows of cells, each with a list of words of any length. Nothing is ever cut.

    Args:
        columns: those of the cells.
        heading: of the lists; shown where they stand beside their rows.
    """

    def __init__(self, columns: Sequence[Column], heading: str = "") -> None:
        self._columns = columns
        self._heading = heading
        self._rows: list[tuple[list[Text], list[str]]] = []

    def add_row(self, cells: Sequence[str | Text], words: Sequence[str] = ()) -> None:
        """Add a row: a cell for each column, and its words, none of which is broken if it fits.

        Brackets in text are no markup; only a `Text` brings a style of its own.
        """
        texts = [Text(cell) if isinstance(cell, str) else cell for cell in cells]
        self._rows.append((texts, list(words)))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the lines that fit the width best."""
        width = options.max_width
        everything = range(len(self._columns))
        taken = self._width(everything) + len(GAP)
        longest = max((cell_len(word) for _, words in self._rows for word in words), default=0)
        if width - taken >= max(BESIDE, longest):
            yield from self._lines(everything, taken, width, beside=True)
        else:
            indent = self._widths([0])[0] + len(GAP)
            yield from self._lines(self._fitting(width), indent, width, beside=False)

    def _lines(
        self, shown: Sequence[int], indent: int, width: int, *, beside: bool
    ) -> Iterator[Text]:
        widths = self._widths(shown)
        headings = [Text(self._columns[n].heading) for n in shown]
        head = self._row(headings, shown, widths)
        if beside:
            head.append(GAP + self._heading)
        head.rstrip()
        head.stylize("bold")
        yield head
        for cells, words in self._rows:
            row = self._row([cells[n] for n in shown], shown, widths)
            lines = filled(words, max(_LEAST, width - indent))
            if beside and lines:
                row.append(GAP + lines.pop(0))
            row.rstrip()
            yield row
            for line in lines:
                yield Text(" " * indent + line)

    def _row(self, cells: Sequence[Text], shown: Sequence[int], widths: Sequence[int]) -> Text:
        padded = []
        for cell, number, width in zip(cells, shown, widths, strict=True):
            room = " " * (width - cell.cell_len)
            is_number = self._columns[number].is_number
            padded.append(Text.assemble(room, cell) if is_number else Text.assemble(cell, room))
        return Text(GAP).join(padded)

    def _fitting(self, width: int) -> list[int]:
        """Return the columns that fit, those left out that are spared first."""
        shown = list(range(len(self._columns)))
        spared = sorted((c.spare, n) for n, c in enumerate(self._columns) if c.spare)
        for _, number in spared:
            if self._width(shown) <= width:
                break
            shown.remove(number)
        return shown

    def _width(self, shown: Sequence[int]) -> int:
        return sum(self._widths(shown)) + len(GAP) * (len(shown) - 1)

    def _widths(self, shown: Sequence[int]) -> list[int]:
        return [
            max([cell_len(self._columns[n].heading), *(row[n].cell_len for row, _ in self._rows)])
            for n in shown
        ]


def filled(words: Sequence[str], room: int) -> list[str]:
    """Return words in lines of at most `room` characters, broken between words.

    A word that is longer than that goes on in the next line.
    """
    lines: list[str] = []
    for word in words:
        if lines and cell_len(lines[-1] + GAP + word) <= room:
            lines[-1] += GAP + word
        else:
            lines += chop_cells(word, room)
    return lines


_HEADINGS = {
    "cv_accuracy": "accuracy",
    "cv_loss": "loss",
    "macro_f1": "macro F1",
    "model_parameters": "parameters",
    "latency_ms": "latency ms",
}
_COLOURS = {
    "complete": "green",
    "pruned": "dim",
    "failed": "red",
    "running": "yellow",
    "waiting": "cyan",
}


@dataclass(frozen=True)
class _Filled:
    column: Column
    cell: Callable[[TrialHistory], str | Text]


def heading(objective: Objective) -> str:
    """Return what an objective is called above its numbers."""
    return _HEADINGS.get(objective.name, objective.name)


def score_text(objective: Objective, value: float | None) -> str:
    """Return an objective's value as it is shown; a dash for none."""
    if value is None:
        return "-"
    if objective.name == "model_parameters":
        return f"{value:,.0f}"
    return f"{value:.2f}" if objective.name == "latency_ms" else percent(value)


def trial_table(
    history: History, trials: Sequence[TrialHistory], *, states: bool = False
) -> Listing:
    """Return a table of trials, one a row with its setting.

    Args:
        history: the study's.
        trials: which ones, in the order of the rows.
        states: tell each trial's state, and where pruned ones stopped.
    """
    columns = _columns(history, trials, states)
    made = Listing([filled.column for filled in columns], "setting")
    for trial in trials:
        made.add_row([filled.cell(trial) for filled in columns], _setting_words(trial, history))
    return made


def state_text(stage: str) -> Text:
    """Return a state in its colour."""
    return Text(stage, style=_COLOURS[stage])


def origin_text(trial: TrialHistory) -> str:
    """Return a baseline's name in brackets, nothing for a sampled trial."""
    kind, _, name = trial.started.origin.partition(":")
    return f"[{name}] " if kind == "baseline" else ""


def chosen_text(history: History, trial: TrialHistory) -> str:
    """Return a complete trial's first objective with its spread over the folds."""
    first = history.objectives[0]
    value = score_text(first, trial.value)
    return f"{value}{_plus_minus(spread(trial, first))}"


def confirmed_text(history: History, trial: TrialHistory) -> str:
    """Return one phrase on the folds a trial was confirmed on; nothing where there are none."""
    first = history.objectives[0]
    score = trial.confirmed_score(first.name)
    if score is None:
        return ""
    folds = trial.finished_more_folds()
    return (
        f"confirmed on {counted(len(folds), 'further fold')}: {score_text(first, score)}"
        f"{_plus_minus(confirmed_spread(trial, first))}"
        f" (chosen: {score_text(first, trial.value)})"
    )


def confirmation_lines(history: History) -> list[str]:
    """Return a line for each trial that was confirmed, or was to be; the best first."""
    lines = [
        f"trial {trial.number} {confirmed_text(history, trial)}" for trial in history.confirmed()
    ]
    # A trial with a better value that is still to be confirmed is the best until then.
    if lines and history.best() is history.confirmed()[0]:
        lines[0] = f"Best: {lines[0]}"
    return lines + [
        f"trial {trial.number} could not be confirmed: {failure_text(trial.confirmed)}"
        for trial in history.completed()
        if trial.confirmed and trial.confirmed.error
    ]


def failure_text(confirmed: TrialConfirmed) -> str:
    """Return one line on why a confirmation failed, for records without a reason too."""
    lines = confirmed.error.strip().splitlines() or ["unknown"]
    is_traceback = lines[0].startswith("Traceback")
    return confirmed.reason or lines[-1 if is_traceback else 0]


def front_heading(history: History) -> str:
    """Return what the table of the trials that no other beats is called."""
    names = " and ".join(heading(objective).removesuffix(" ms") for objective in history.objectives)
    return f"Pareto front: trials that no other one equals or beats in both {names}"


def _plus_minus(deviation: float | None) -> str:
    return "" if deviation is None else f" ± {deviation:.4f}"


def _columns(history: History, trials: Sequence[TrialHistory], states: bool) -> list[_Filled]:
    first, *others = history.objectives
    stage = stages(history)
    columns = [_Filled(Column("trial"), lambda trial: str(trial.number))]
    if states:
        state = Column("state", is_number=False)
        columns.append(_Filled(state, lambda trial: state_text(stage[trial.number])))
    columns.append(_Filled(Column(heading(first)), lambda trial: _score_cell(trial, first)))
    if any(trial.confirmed_score(first.name) is not None for trial in trials):
        columns.append(
            _Filled(Column("confirmed"), lambda t: score_text(first, t.confirmed_score(first.name)))
        )
    columns.append(_Filled(Column("± folds", spare=2), lambda trial: _spread_cell(trial, first)))
    columns += [_other_column(objective) for objective in others]
    if states and any(stopped_at(trial) for trial in trials):
        # The last to be left out: the sentences on why trials stopped begin with it.
        stopped = Column("stopped", is_number=False, spare=3)
        columns.append(_Filled(stopped, lambda trial: stopped_at(trial) or "-"))
    columns.append(_Filled(Column("time", spare=1), _time_cell))
    return columns


def _other_column(objective: Objective) -> _Filled:
    return _Filled(
        Column(heading(objective)),
        lambda trial: score_text(objective, trial.score(objective.name)),
    )


def _score_cell(trial: TrialHistory, first: Objective) -> Text:
    if trial.state in ("complete", "failed"):
        return Text(score_text(first, trial.value))
    return Text(score_text(first, score_so_far(trial, first)), style="dim")


def _spread_cell(trial: TrialHistory, first: Objective) -> str:
    if trial.state != "complete":
        return "-"
    return percent(spread(trial, first))


def _time_cell(trial: TrialHistory) -> str:
    return duration(trial.ended.train_seconds) if trial.ended else "-"


def _setting_words(trial: TrialHistory, history: History) -> list[str]:
    parameters: list[dict[str, Any]] = history.study.parameters if history.study else []
    searched = [p["name"] for p in parameters if p["searched"]]
    mark = "(other code or versions)" if trial_marks(history, trial) else ""
    words = [origin_text(trial).strip(), mark, *setting_texts(trial.started.parameters, searched)]
    return [word for word in words if word]
