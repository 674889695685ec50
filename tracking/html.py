"""Studies and trials as notebooks show them: a heading, a table and a small picture, as HTML.

All text is escaped, and nothing is loaded: pictures are SVG within the page. Text and lines have
the page's own colour, and the others are legible on white and on black.
"""

import math
from collections.abc import Iterable, Sequence
from html import escape
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from tracking.objectives import Objective, measure_text
from tracking.stages import count_stages, score_so_far, spread, stopped_at
from tracking.text import counted, short

if TYPE_CHECKING:
    from tracking.history import FoldHistory, History, TrialHistory

BLUE, ORANGE, GREY = "#2f81c7", "#d9730d", "#8a8f98"
WIDE, HIGH = 420, 150  # pixels of a picture
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 12, 10, 22  # margins in it
_LABEL = 24  # characters of a label in a picture
_CLASSES = 12  # of which a matrix is shown
_ROWS = 5  # of a study's table
_PARAMS = 6  # that a line shows
_CELL = "padding:2px 10px 2px 0;text-align:{};border:0;background:none"
_TABLE = "border-collapse:collapse;border:0;margin:4px 0"
_WIDE_TABLE = '<div style="overflow-x:auto">'
_RULE = "border-bottom:1px solid rgba(128,128,128,.35)"

Line = Sequence[tuple[float, float]]


class Html(str):
    """Text that is HTML already; any other is escaped."""

    __slots__ = ()


def of(text: object) -> Html:
    """Return text as HTML, escaped unless it is HTML."""
    return text if isinstance(text, Html) else Html(escape(str(text)))


def block(title: object, *parts: object) -> str:
    """Return a heading with paragraphs, tables and pictures below it; empty ones are left out."""
    inner = "".join(
        part if isinstance(part, Html) else f'<div style="margin:2px 0">{of(part)}</div>'
        for part in parts
        if part
    )
    head = f'<div style="font-weight:600;margin:2px 0">{of(title)}</div>'
    return f'<div style="font-size:13px;line-height:1.45;max-width:60em">{head}{inner}</div>'


def muted(text: object) -> Html:
    """Return a paragraph that stands back."""
    return Html(f'<div style="opacity:.72;margin:2px 0">{of(text)}</div>')


def table(heads: Sequence[object], rows: Iterable[Sequence[object]]) -> Html:
    """Return a table; numbers, and texts that are numbers, are aligned to the right.

    Args:
        heads: of the columns.
        rows: a cell for each column.
    """
    known = [[of(cell) for cell in row] for row in rows]
    if not known:
        return Html()
    sides = [
        "right" if all(_is_number(row[at]) for row in known) else "left" for at in range(len(heads))
    ]
    head = "".join(
        f'<th style="{_CELL.format(side)};{_RULE};font-weight:600">{of(name)}</th>'
        for name, side in zip(heads, sides, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(
            f'<td style="{_CELL.format(side)}">{cell}</td>'
            for cell, side in zip(row, sides, strict=True)
        )
        + "</tr>"
        for row in known
    )
    return Html(
        f'{_WIDE_TABLE}<table style="{_TABLE};font-size:12px">'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _is_number(text: str) -> bool:
    plain = text.replace(",", "").replace("±", "").strip()
    if plain in ("", "-"):
        return True
    try:
        float(plain)
    except ValueError:
        return False
    return True


def plot(
    lines: Sequence[tuple[str, Line]],
    dots: Sequence[tuple[str, Line]] = (),
    *,
    x: str,
    y: str,
    name: str = "",
) -> Html:
    """Return a picture of lines and dots; empty without two different places to show.

    Args:
        lines: colour and points (x, y) of each; values that are not finite are left out.
        dots: likewise.
        x: what the horizontal axis has, whole numbers.
        y: name of the measure, by which numbers are written.
        name: of the picture, for readers that cannot see it.
    """
    lines = [(colour, _finite(points)) for colour, points in lines]
    dots = [(colour, _finite(points)) for colour, points in dots]
    places = [point for _, points in (*lines, *dots) for point in points]
    if len(set(places)) < 2:
        return Html()
    low, high = _range([value for _, value in places])
    first, last = _range([value for value, _ in places])

    def place(point: tuple[float, float]) -> str:
        across = (point[0] - first) / (last - first or 1)
        up = (point[1] - low) / (high - low or 1)
        left = _LEFT + across * (WIDE - _LEFT - _RIGHT)
        return f"{left:.1f} {HIGH - _BOTTOM - up * (HIGH - _TOP - _BOTTOM):.1f}"

    drawn = "".join(
        f'<path d="M{"L".join(map(place, points))}" fill="none" stroke="{colour}"'
        ' stroke-width="1.6" stroke-linejoin="round"/>'
        for colour, points in lines
        if len(points) > 1
    )
    single = [(colour, points) for colour, points in lines if len(points) == 1]
    drawn += "".join(
        f'<path d="{"".join(f"M{place(point)}h0" for point in points)}" stroke="{colour}"'
        ' stroke-width="6" stroke-linecap="round"/>'
        for colour, points in (*dots, *single)
        if points
    )
    axis = f"M{_LEFT} {_TOP}V{HIGH - _BOTTOM}H{WIDE - _RIGHT}"
    words = (
        _word(_LEFT - 5, _TOP + 8, measure_text(y, high), "end"),
        _word(_LEFT - 5, HIGH - _BOTTOM, measure_text(y, low), "end"),
        _word(_LEFT, HIGH - 7, f"{x} {first:g}", "start"),
        _word(WIDE - _RIGHT, HIGH - 7, f"{last:g}", "end") if last > first else "",
    )
    frame = f'<path d="{axis}" fill="none" stroke="currentColor" stroke-opacity=".35"/>'
    return _picture(f"{frame}{drawn}{''.join(words)}", HIGH, name)


def strips(rows: Sequence[tuple[str, Sequence[float], float]], measure: str) -> Html:
    """Return a picture with a line for each row: its values as dots, their mean as a stroke.

    Args:
        rows: label, values and mean of each.
        measure: what the values are of.
    """
    values = [value for _, several, _ in rows for value in several if math.isfinite(value)]
    if len(set(values)) < 2:
        return Html()
    low, high = _range(values)
    left, step = 170, 24
    high_all = step * len(rows) + _BOTTOM

    def across(value: float) -> float:
        return left + (value - low) / (high - low) * (WIDE - left - _RIGHT)

    drawn = ""
    for row, (label, several, mean) in enumerate(rows):
        middle = step * row + step / 2
        dots = "".join(f"M{across(v):.1f} {middle}h0" for v in several if math.isfinite(v))
        drawn += _word(left - 10, middle + 4, _cut(label), "end")
        drawn += (
            f'<path d="M{left} {middle}H{WIDE - _RIGHT}" stroke="currentColor"'
            f' stroke-opacity=".2"/><path d="{dots}" stroke="{BLUE}" stroke-width="6"'
            ' stroke-linecap="round"/>'
        )
        if math.isfinite(mean):
            drawn += (
                f'<path d="M{across(mean):.1f} {middle - 9}v18" stroke="{ORANGE}"'
                ' stroke-width="2.5"/>'
            )
    drawn += _word(left, high_all - 6, measure_text(measure, low), "start")
    drawn += _word(WIDE - _RIGHT, high_all - 6, measure_text(measure, high), "end")
    return _picture(drawn, high_all, f"{measure} of each fold")


def _picture(drawn: str, high: float, name: str) -> Html:
    return Html(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDE} {high:g}" role="img"'
        f' aria-label="{escape(name)}" style="width:{WIDE}px;max-width:100%;height:auto;'
        f'display:block;margin:4px 0">{drawn}</svg>'
    )


def _cut(label: str) -> str:
    return label if len(label) <= _LABEL else f"{label[: _LABEL - 3]}..."


def _word(left: float, top: float, text: str, side: str) -> str:
    return (
        f'<text x="{left}" y="{top}" text-anchor="{side}" font-size="10.5" fill="currentColor"'
        f' fill-opacity=".8" font-family="system-ui,sans-serif">{escape(text)}</text>'
    )


def _finite(points: Line) -> Line:
    return [(at, value) for at, value in points if math.isfinite(value)]


def _range(values: Sequence[float]) -> tuple[float, float]:
    return min(values), max(values)


def matrix(counts: Sequence[Sequence[int]], names: Sequence[str]) -> Html:
    """Return a confusion matrix as a table with shaded cells; empty for many classes or none.

    Args:
        counts: rows are true classes, columns predicted.
        names: of the classes.
    """
    if not 0 < len(counts) == len(names) <= _CLASSES:
        return Html()
    cell = "padding:1px 6px;text-align:right;border:0;"
    rows = []
    for name, row in zip(names, counts, strict=True):
        largest = sum(row) or 1
        shades = (f"background:rgba(47,129,199,{0.75 * n / largest:.2f})" for n in row)
        cells = (
            f'<td style="{cell}{shade}">{n:,}</td>' for n, shade in zip(row, shades, strict=True)
        )
        rows.append(f'<tr><td style="{cell}">{of(_cut(name))}</td>{"".join(cells)}</tr>')
    heads = "".join(f'<td style="{cell}">{of(_cut(name))}</td>' for name in names)
    return Html(
        f'{_WIDE_TABLE}<table style="{_TABLE};font-size:11.5px">'
        f'<tr><td style="{cell}opacity:.72">true, predicted</td>{heads}</tr>'
        f"{''.join(rows)}</table></div>"
    )


def key(*entries: tuple[str, str]) -> Html:
    """Return what the colours of a picture mean: colour and text of each."""
    shown = " &nbsp; ".join(
        f'<span style="color:{colour}">&#9679;</span> {of(text)}' for colour, text in entries
    )
    return Html(f'<div style="font-size:11.5px;margin:0 0 2px">{shown}</div>')


def params_line(trial: "TrialHistory", names: Sequence[str] | None = None) -> str:
    """Return a trial's params in one line; of many the first.

    Args:
        trial: the trial.
        names: those to show, as far as it has them; None for all.
    """
    params = (
        trial.params if names is None else {n: v for n, v in trial.params.items() if n in names}
    )
    shown = [f"{name}={short(value)}" for name, value in params.items()]
    more = len(shown) - _PARAMS
    return ", ".join(shown[:_PARAMS]) + (f", {more} more" if more > 0 else "")


def score_line(trial: "TrialHistory") -> str:
    """Return `complete, cv_accuracy 0.8534`, or how far a trial without a score is."""
    first = trial.objective
    if trial.value is not None:
        return f"{trial.state.shown}, {first.name} {measure_text(first.name, trial.value)}"
    place = stopped_at(trial)
    return f"{trial.state.shown} after {place}" if place else trial.state.shown


def study_line(history: "History") -> str:
    """Return `4 of 5 trials done, best cv_accuracy 0.8534`."""
    best, first = history.best(), history.objectives[0]
    told = f"{len(history.finished())} of {counted(len(history.trials), 'trial')} done"
    if best is None:
        return told
    return f"{told}, best {first.name} {measure_text(first.name, best.value)}"


def trial_html(trial: "TrialHistory") -> str:
    """Return a trial with its scores, folds, params and each fold's curve."""
    first = trial.objective
    ended = trial.ended
    scores = {} if ended is None or ended.state != "complete" else ended.scores
    told = [
        f"{name} {measure_text(name, value)}"
        + (f" ± {measure_text(name, scores[f'{name}_std'])}" if f"{name}_std" in scores else "")
        for name, value in scores.items()
        if not name.endswith("_std")
    ]
    confirmed = trial.confirmed_score(first.name)
    curves = [(BLUE, _curve(fold, first)) for fold in trial.folds.values()]
    name = f"{first.epoch or first.name} of each fold after each epoch"
    picture = plot(curves, x="epoch", y=first.name, name=name)
    rows = [
        (
            number,
            measure_text(first.name, ended.metric(first.fold)),
            ended.epochs,
            f"{ended.seconds:.1f}",
        )
        for number, ended in trial.finished_folds().items()
    ]
    return block(
        f"Trial {trial.number}: {score_line(trial)}",
        muted(f"{trial.started.origin}; {', '.join(told)}" if told else trial.started.origin),
        "" if ended is None or not ended.reason else ended.reason,
        ""
        if confirmed is None
        else f"On confirmation folds: {first.name} {measure_text(first.name, confirmed)}",
        table(("parameter", "value"), ((n, short(v)) for n, v in trial.params.items())),
        table(("fold", first.fold or first.name, "epochs", "seconds"), rows),
        picture,
        muted(name) if picture else "",
    )


def _curve(fold: "FoldHistory", objective: Objective) -> Line:
    shown = objective.epoch or "val_loss"
    return [
        (number, epoch.metrics[shown])
        for number, epoch in sorted(fold.epochs.items())
        if shown in epoch.metrics
    ]


def study_html(history: "History", reason: str = "", *notes: str) -> str:
    """Return a study: what it searches, its best trials, and how the best score grew.

    Args:
        history: of the study.
        reason: how a session ended, a word; empty where none is known.
        notes: sentences that its user should know.
    """
    study, first = history.known_study(), history.objectives[0]
    states = ", ".join(f"{count} {stage}" for stage, count in count_stages(history).items())
    epochs = study.settings.get("epochs")
    told = [
        f"space {study.space}",
        f"dataset {study.dataset.get('name', '')}",
        counted(study.folds, "fold"),
        *([] if epochs is None else [counted(str(epochs), "epoch")]),
        *([f"ended: {reason}"] if reason not in ("", "complete") else []),
    ]
    best = history.best()
    return block(
        f"Study {study.study}: {study_line(history)}",
        muted("; ".join(told)),
        muted(f"trials: {states}") if states else "",
        *notes,
        "" if best is None else _best_line(best, first),
        history.decision.text if history.decision else "",
        progress(history),
        _best_table(history, first),
    )


def _best_line(best: "TrialHistory", first: Objective) -> str:
    confirmed = best.confirmed_score(first.name)
    told = (
        ""
        if confirmed is None
        else f"; {measure_text(first.name, confirmed)} on confirmation folds, which chose it"
    )
    params = ", ".join(f"{name}={short(value)}" for name, value in best.params.items())
    return f"Best: trial {best.number} ({best.started.origin}){told}: {params}"


def _best_table(history: "History", first: Objective) -> Html:
    ranked = history.ranked()
    searched = [entry["name"] for entry in history.known_study().parameters if entry["searched"]]
    rows = [
        (
            trial.number,
            measure_text(first.name, trial.value),
            "-" if (known := spread(trial, first)) is None else measure_text(first.name, known),
            trial.started.origin,
            params_line(trial, searched),
        )
        for trial in ranked[:_ROWS]
    ]
    shown = table(("trial", first.name, "±", "origin", "params"), rows)
    more = len(history.trials) - len(rows)
    left = f"{counted(more, 'more trial')}; trials has all, as a frame" if more > 0 else ""
    return Html(shown + (muted(left) if left else ""))


def progress(history: "History") -> Html:
    """Return a picture of each trial's score and of the best so far, by number, and its key.

    It is empty without two scores.
    """
    first = history.objectives[0]
    complete: list[tuple[float, float]] = []
    others: list[tuple[float, float]] = []
    for number, trial in sorted(history.trials.items()):
        value = score_so_far(trial, first)
        if value is not None:
            (others if trial.value is None else complete).append((float(number), value))
    pick: Any = max if first.larger else min
    known = [(at, value) for at, value in complete if math.isfinite(value)]
    steps = list(accumulate((value for _, value in known), pick))
    best: list[tuple[float, float]] = []
    for (at, _), value in zip(known, steps, strict=True):
        best += [(at, best[-1][1])] if best else []
        best.append((at, value))
    if best:
        best.append((float(max(history.trials)), best[-1][1]))
    picture = plot(
        [(ORANGE, best)],
        [(GREY, others), (BLUE, complete)],
        x="trial",
        y=first.name,
        name=f"{first.name} of each trial, and the best so far",
    )
    entries = [(BLUE, f"{first.name} over all folds"), (ORANGE, "best so far")]
    if len(complete) < len(history.trials):
        entries.append((GREY, "over fewer, of other trials"))
    return Html(picture + key(*entries)) if picture else picture
