"""Tables of trials, and listings with wrapped text, for the terminal."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len, chop_cells
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from search.cli.output import duration, params_texts
from tracking.history import History, TrialHistory
from tracking.objectives import Objective, measure_text
from tracking.provenance import trial_marks
from tracking.records import TrialConfirmed
from tracking.stages import confirmed_spread, score_so_far, spread, stages, stopped_at
from tracking.text import counted

GAP = "  "
# Characters a list needs beside its row; in fewer it would be a thin, tall column.
BESIDE = 40
_LEAST = 20  # characters for a list on the narrowest terminal


@dataclass(frozen=True)
class Column:
    """A column of a listing.

    Attributes:
        heading: its title.
        is_number: whether it is aligned to the right.
        spare: the order in which columns are left out on a narrow terminal, from 1; 0: never.
    """

    heading: str
    is_number: bool = True
    spare: int = 0


class Listing:
    """Rows of cells, each with a list of words of any length. Nothing is ever truncated.

    Args:
        columns: those of the cells.
        heading: of the lists; printed where they are beside their rows.
        gap: between two words of a list.
    """

    def __init__(self, columns: Sequence[Column], heading: str = "", *, gap: str = GAP) -> None:
        self._columns = columns
        self._gap = gap
        self._heading = heading
        self._rows: list[tuple[list[Text] | str, list[str]]] = []  # a text is a caption

    def add_row(self, cells: Sequence[str | Text], words: Sequence[str] = ()) -> None:
        """Add a row: a cell for each column, and its words, which are not broken if they fit.

        Brackets in text are no markup; only a `Text` has a style of its own.
        """
        texts = [Text(cell) if isinstance(cell, str) else cell for cell in cells]
        self._rows.append((texts, list(words)))

    def add_caption(self, text: str) -> None:
        """Add a line on the rows that follow."""
        self._rows.append((text, []))

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
        if self._heading and not beside:
            yield Text(" " * indent + self._heading, style="bold")
        for cells, words in self._rows:
            if isinstance(cells, str):
                yield Text(cells, style="dim")
                continue
            row = self._row([cells[n] for n in shown], shown, widths)
            lines = filled(words, max(_LEAST, width - indent), self._gap)
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
        """Return the columns that fit, leaving out columns by their `spare`."""
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
        rows = [row for row, _ in self._rows if not isinstance(row, str)]
        return [
            max([cell_len(self._columns[n].heading), *(row[n].cell_len for row in rows)])
            for n in shown
        ]


def filled(words: Sequence[str], room: int, gap: str = GAP) -> list[str]:
    """Return words in lines of at most `room` characters, broken between words.

    A longer word continues on the next line.
    """
    lines: list[str] = []
    for word in words:
        if lines and cell_len(lines[-1] + gap + word) <= room:
            lines[-1] += gap + word
        else:
            lines += chop_cells(word, room)
    return lines


_HEADINGS = {
    "cv_accuracy": "accuracy",
    "macro_f1": "macro F1",
    "cv_macro_f1": "macro F1",
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
    """Return the heading for an objective's values."""
    return _HEADINGS.get(objective.name, objective.name.removeprefix("cv_"))


def score_text(objective: Objective, value: float | None) -> str:
    """Return an objective's value as text; a dash for None."""
    return measure_text(objective.name, value)


def trial_table(
    history: History,
    trials: Sequence[TrialHistory],
    *,
    states: bool = False,
    evidence: bool = False,
) -> Listing:
    """Return a table of trials with their params, one a row.

    Args:
        history: the study's.
        trials: the rows, in order.
        states: add each trial's state, and where it was pruned.
        evidence: the order is that of `by_evidence`: say what the scores of each group are of.
    """
    columns = _columns(history, trials, states)
    made = Listing([filled.column for filled in columns], "params")
    said = captions(history, trials) if evidence else {}
    for trial in trials:
        if trial.number in said:
            made.add_caption(said[trial.number])
        made.add_row([filled.cell(trial) for filled in columns], _params_words(trial, history))
    return made


def by_evidence(history: History) -> list[TrialHistory]:
    """Return all trials such that neighbours compare: the best first among those alike.

    First come full scores, then those after as many folds, most folds first, then those of epochs
    of the first fold, and last the trials without any score.
    """
    first = history.objectives[0]
    full = history.ranked()
    rest = [trial for trial in history.trials.values() if trial.value is None]

    def place(trial: TrialHistory) -> tuple[tuple[int, int], float, int]:
        folds, epochs = _seen(trial, first)
        value = score_so_far(trial, first) if folds or epochs else None
        better = 0.0 if value is None else first.oriented(value)
        return (-folds, -epochs), -better, trial.number

    return [*full, *sorted(rest, key=place)]


def captions(history: History, trials: Sequence[TrialHistory]) -> dict[int, str]:
    """Return what the scores of trials in the order of `by_evidence` are of, by the first of each.

    Full scores need no such caption; nor do trials where all have one.
    """
    first = history.objectives[0]
    found: dict[int, str] = {}
    last = ""
    for trial in trials:
        caption = "" if trial.value is not None else _of_evidence(*_seen(trial, first))
        if caption != last:
            found[trial.number] = caption
        last = caption
    return found


def _of_evidence(folds: int, epochs: int) -> str:
    if folds:
        return f"after {counted(folds, 'fold')}"
    return f"after {counted(epochs, 'epoch')} of fold 1" if epochs else "without a score"


def _seen(trial: TrialHistory, first: Objective) -> tuple[int, int]:
    """Return of how many finished folds, or else epochs of the first, a trial's score is."""
    if trial.state == "failed" or score_so_far(trial, first) is None:
        return 0, 0
    folds = len(trial.finished_folds())
    return folds, 0 if folds else trial.position()[1]


def state_text(stage: str) -> Text:
    """Return a state in its colour."""
    return Text(stage, style=_COLOURS[stage])


def origin_text(trial: TrialHistory) -> str:
    """Return in brackets where a trial is from; nothing of what the sampler proposed.

    That is a baseline's name, `enqueued` or `imported`, or of earlier studies `portfolio` or
    `prior`.
    """
    kind, _, name = (trial.started.proposed_by or trial.started.origin).partition(":")
    return {"sampled": "", "baseline": f"[{name}] "}.get(kind, f"[{kind}] ")


def proposer_text(trial: TrialHistory) -> str:
    """Say in words which earlier study a proposal follows."""
    kind, _, study = trial.started.proposed_by.partition(":")
    what = "a setting" if kind == "portfolio" else "scores"
    return f"what was learned: {what} of {study}"


def chosen_text(history: History, trial: TrialHistory) -> str:
    """Return a complete trial's first objective with its spread over the folds."""
    first = history.objectives[0]
    value = score_text(first, trial.value)
    return f"{value}{_plus_minus(first, spread(trial, first))}"


def confirmed_text(history: History, trial: TrialHistory) -> str:
    """Return a phrase on a trial's confirmation folds; empty without any."""
    first = history.objectives[0]
    score = trial.confirmed_score(first.name)
    if score is None:
        return ""
    folds = trial.finished_confirmation_folds()
    return (
        f"confirmed on {counted(len(folds), 'confirmation fold')}: {score_text(first, score)}"
        f"{_plus_minus(first, confirmed_spread(trial, first))}"
        f" (chosen: {score_text(first, trial.value)})"
    )


def best_lines(history: History) -> list[str]:
    """Return a line for each trial that was to be confirmed, and one on which is the best."""
    best, confirmed = history.best(), history.confirmed()
    lines = [f"trial {trial.number} {confirmed_text(history, trial)}" for trial in confirmed]
    if history.decision is not None:
        lines.append(f"Best: {history.decision.text}")
    elif lines and best is confirmed[0]:
        # An unconfirmed trial with a better value is the best until it is confirmed.
        lines[0] = f"Best: {lines[0]}"
    return lines + [
        f"trial {trial.number} could not be confirmed: {failure_text(trial.confirmed)}"
        for trial in history.completed()
        if trial.confirmed and trial.confirmed.error
    ]


def failure_text(confirmed: TrialConfirmed) -> str:
    """Return a line on why a confirmation failed; old records give no reason."""
    lines = confirmed.error.strip().splitlines() or ["unknown"]
    is_traceback = lines[0].startswith("Traceback")
    return confirmed.reason or lines[-1 if is_traceback else 0]


def front_heading(history: History) -> str:
    """Return the heading of the table of the Pareto front."""
    names = " and ".join(heading(objective).removesuffix(" ms") for objective in history.objectives)
    return f"Pareto front: trials that no other trial equals or beats in both {names}"


def _plus_minus(objective: Objective, deviation: float | None) -> str:
    return "" if deviation is None else f" ± {score_text(objective, deviation)}"


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
        # Left out last: the sentences on why trials were pruned begin with it.
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
    return score_text(first, spread(trial, first))


def _time_cell(trial: TrialHistory) -> str:
    return duration(trial.ended.train_seconds) if trial.ended else "-"


def _params_words(trial: TrialHistory, history: History) -> list[str]:
    parameters: list[dict[str, Any]] = history.study.parameters if history.study else []
    searched = [p["name"] for p in parameters if p["searched"]]
    mark = "(other code or versions)" if trial_marks(history, trial) else ""
    words = [origin_text(trial).strip(), mark, *params_texts(trial.started.parameters, searched)]
    return [word for word in words if word]
