"""The table of all trials, which the page's script sorts and filters, and failed ones' reasons."""

from search.analysis.measure import score_text
from search.analysis.report.page import Markup, joined, prose, tag
from search.analysis.report.subject import Subject
from search.analysis.report.words import (
    Axis,
    axes_of,
    params_pairs,
    time_text,
    trial_name,
    trial_score_text,
)
from spaces import short_text
from tracking.history import TrialHistory
from tracking.stages import score_so_far, stages, stopped_at
from tracking.text import counted

_ROWS, _FAILED = 2000, 100


def all_trials(subject: Subject, curves: str | None) -> Markup:
    """Return the table of all trials, the best first, and failed ones with their reasons.

    Args:
        subject: the study.
        curves: the block of the figure in which trials that are ticked are shown; None without one.
    """
    history = subject.history
    rest = [trial for _, trial in sorted(history.trials.items()) if trial.value is None]
    trials = [*history.ranked(), *rest]
    axes = axes_of(history)
    stopped = ["when pruned"] if subject.pruned else []
    head = [
        "trial",
        "state",
        subject.name,
        *stopped,
        "time",
        "parameters",
        *(axis.name for axis in axes),
    ]
    stage = stages(history)
    rows = [_row(subject, trial, stage[trial.number], axes) for trial in trials[:_ROWS]]
    order = "descending" if subject.first.larger else "ascending"
    heads = [
        tag("th", name, scope="col", aria_sort=order if place == 2 else None)
        for place, name in enumerate(head)
    ]
    body = tag("table", tag("thead", tag("tr", *heads)), tag("tbody", *rows))
    table = tag("div", body, class_="scroll rows", tabindex="0", role="region", aria_label="trials")
    title = tag("h3", f"All {counted(len(trials), 'trial')}, the best first")
    parts = [title, *_constants(subject, axes), table]
    if len(trials) > _ROWS:
        more = f"And {len(trials) - _ROWS:,} more: `show` lists them."
        parts.append(prose(more, class_="soft"))
    card = tag("div", *parts, class_="card trials", data_curves=curves)
    return joined([card, _failures(subject)])


def _row(subject: Subject, trial: TrialHistory, stage: str, axes: list[Axis]) -> Markup:
    """Return a trial's row; a cell whose text does not sort has the number as `data-value`."""
    where = f"{stage} after {stopped_at(trial)}" if stopped_at(trial) else stage
    cells = [
        tag("th", trial_name(trial), scope="row", data_value=str(trial.number)),
        tag("td", where),
        _number("" if trial.value is None else trial_score_text(subject.first, trial), trial.value),
    ]
    if subject.pruned:
        then = score_so_far(trial, subject.first) if trial.state == "pruned" else None
        cells.append(_number("" if then is None else score_text(subject.first, then), then))
    ended = trial.ended
    seconds = ended.train_seconds if ended else None
    cells.append(_number(time_text(seconds) if seconds else "", seconds))
    size = ended.model_parameters if ended else 0
    cells.append(_number(f"{size:,}" if size else "", size or None))
    for axis in axes:
        text = short_text(trial.params[axis.name]) if axis.name in trial.params else ""
        cells.append(tag("td", text, class_="number" if axis.is_number else None))
    best = "best" if trial is subject.best else None
    return tag("tr", *cells, data_trial=str(trial.number), class_=best)


def _number(text: str, value: float | None) -> Markup:
    return tag("td", text, class_="number", data_value=None if value is None else f"{value:.8g}")


def _constants(subject: Subject, axes: list[Axis]) -> list[Markup]:
    """Return a paragraph on searched params that are the same in all trials, or nothing."""
    differ = {axis.name for axis in axes}
    pairs = dict(p for trial in subject.complete for p in params_pairs(trial, subject.history))
    same = ", ".join(f"{name}={value}" for name, value in pairs.items() if name not in differ)
    return (
        [tag("p", f"The same in every trial that uses it: {same}.", class_="soft")] if same else []
    )


def _failures(subject: Subject) -> Markup:
    failed = [t for t in subject.history.finished() if t.state == "failed" and t.ended]
    if not failed:
        return Markup("")
    items = []
    for trial in failed[:_FAILED]:
        ended = trial.ended
        reason = (ended.reason if ended else "") or "no reason was recorded"
        error = tag("pre", ended.error[-4000:], class_="wrap") if ended and ended.error else ""
        head = f"{trial_name(trial)}: {reason}"
        items.append(tag("details", tag("summary", head), error) if error else tag("p", head))
    more = len(failed) - _FAILED
    note = tag("p", f"And {more:,} more.", class_="soft") if more > 0 else Markup("")
    heading = tag("h3", f"Failed: {counted(len(failed), 'trial')}")
    return tag("div", heading, *items, note, class_="card")
