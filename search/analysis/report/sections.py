"""Sections of a study's report as HTML."""

from collections.abc import Iterator
from shlex import join as shell_line

from search.analysis.measure import (
    fold_value,
    interval_texts,
    number_texts,
    objective_name,
    score_text,
    unit_of,
)
from search.analysis.report.classes import commonest_mistakes
from search.analysis.report.figures import Chart
from search.analysis.report.mistakes import Wrong, data_address
from search.analysis.report.numbers import described
from search.analysis.report.page import Markup, joined, prose, table, tag
from search.analysis.report.progress import Cost, cost
from search.analysis.report.pruning import saving
from search.analysis.report.subject import Subject
from search.analysis.report.verdict import corrected_ps, interval_text, paired, sentences
from search.analysis.report.words import (
    origin_of,
    params_pairs,
    time_text,
    trial_name,
    trial_score_text,
)
from search.environment import best_params, example_input, facts, run_command
from search.tasks import CLASSIFICATION, MULTI_LABEL, REGRESSION
from tracking.history import TrialHistory
from tracking.stages import count_stages
from tracking.text import counted

_FOLD_COLUMNS, _BASELINES, _ROWS, _FAILED = 10, 8, 500, 100


def verdict(subject: Subject) -> Markup:
    """Return the winner with its params, how to use it, and the findings in plain words."""
    lead, *others = sentences(subject)
    study, pairs = subject.history.known_study(), params_pairs(subject.best, subject.history)
    params = (tag("div", tag("dt", name), tag("dd", value)) for name, value in pairs)
    lines = [
        (shell_line(["foldwise", "export", study.study, "--out", "model"]), "train it on all data"),
        (shell_line(["foldwise", "predict", "model", example_input(study.kind)]), "and use it"),
    ]
    width = max(len(command) for command, _ in lines)
    commands = "\n".join(f"{command:<{width}}  # {word}" for command, word in lines)
    parts = [tag("p", lead), tag("dl", *params, class_="params") if pairs else Markup("")]
    parts += [tag("pre", commands), *map(prose, others)]
    return tag("div", *parts, class_="card verdict")


def tiles(subject: Subject) -> Markup:
    """Return the study's numbers at a glance."""
    history, first = subject.history, subject.first
    spent, saved = cost(history), saving(history)
    counts = count_stages(history)
    found = [
        (f"best {subject.name}", trial_score_text(first, subject.best), trial_name(subject.best)),
        ("trials", f"{len(history.trials):,}", _counts(counts)),
        ("time in training", time_text(spent.training), _spent(spent)),
    ]
    if subject.rival is not None and (compared := paired(subject, subject.best, subject.rival)):
        amount, _, rest = interval_text(first, compared).partition(" (")
        name = f"against {trial_name(subject.rival)}"
        found.insert(1, (name, amount, rest.removesuffix(")")))
    if saved.stopped:
        share = f"{saved.epochs / max(1, saved.of):.0%} of all epochs"
        found.append(("saved by pruning", f"about {time_text(saved.seconds)}", share))
    return tag("dl", *(_tile(*entry) for entry in found), class_="tiles")


def against_baselines(subject: Subject) -> Markup:
    """Return the table of the best trial and the baselines, fold by fold."""
    best = subject.best
    baselines = [trial for trial in subject.baselines if trial is not best][:_BASELINES]
    runner_up = [t for t in subject.history.completed() if t not in (best, *baselines)][:1]
    trials = [best, *baselines, *runner_up]
    folds = list(best.finished_folds())
    shown = folds if len(folds) <= _FOLD_COLUMNS and subject.first.fold else []
    others = [o for o in subject.others if any(t.score(o.name) is not None for t in trials)]
    confirmed = any(t.confirmed_score(subject.first.name) is not None for t in trials)
    confirmation_folds = ["on confirmation folds"] if confirmed else []
    head = [
        "trial",
        subject.name,
        *confirmation_folds,
        f"best leads by{unit_of(subject.first)}",
        "95 % interval",
        "Holm p",
    ]
    ps = corrected_ps(subject)
    head += [f"fold {fold}" for fold in shown]
    head += [objective_name(o) for o in others] + ["parameters", "time"]
    rows = []
    for trial in trials:
        note = _note(subject, trial)
        row: list[str] = [joined([tag("b", trial_name(trial)), Markup("<br>"), tag("small", note)])]
        row = [*row, trial_score_text(subject.first, trial)]
        row += [_confirmation(subject, trial)] if confirmation_folds else []
        row += [*_difference(subject, trial), _p_text(ps.get(trial.number))]
        row += _folds(subject, trial, shown)
        row += [score_text(o, trial.score(o.name)) for o in others]
        ended = trial.ended
        row += [f"{ended.model_parameters:,}", time_text(ended.train_seconds)] if ended else []
        rows.append(row)
    caption = (
        "Each trial's scores on the same folds. The interval is that of the paired difference, with"
        " the variance corrected for overlapping training parts (Nadeau and Bengio 2003). It uses"
        " the confirmation folds if both trials have them, else the study's own folds, with an"
        " allowance for the number of trials that a sampled one was chosen from. Holm p is also"
        " corrected for the number of comparisons: only below 0.05 a difference can be claimed."
    )
    numbers = range(1, len(head))
    return joined([tag("p", caption, class_="soft"), table(head, rows, numbers=numbers)])


def chart(found: Chart, identity: str) -> Markup:
    """Return a chart's element in the page, or the reason why there is none.

    Args:
        found: the chart.
        identity: of the block with its data.
    """
    heading = tag("h3", found.title)
    if found.figure is None:
        return tag("div", heading, tag("p", found.caption, class_="soft"), class_="card")
    caption = tag("figcaption", found.caption)
    parts = [heading, caption]
    menus = found.figure.layout.updatemenus
    if menus:
        options = (tag("option", Markup(button.label)) for button in menus[0].buttons)
        parts.append(tag("select", *options, aria_label=f"{found.title}: selection"))
    height = f"min-height:{int(found.figure.layout.height)}px"
    place = tag("div", tag("div"), class_="chart scroll", data_figure=identity, style=height)
    return tag("figure", *parts, place, class_="card")


def confused(subject: Subject) -> Markup:
    """Return the table of the most frequent confusions."""
    found, names = commonest_mistakes(subject), subject.names
    if not found:
        return Markup("")
    rows = [
        [names[pair.true], names[pair.predicted], f"{pair.count:,}", f"{pair.share:.1%}"]
        for pair in found
    ]
    head = ("true class", "predicted", "times", "share")
    body = table(head, rows, numbers=(2, 3))
    return tag("div", tag("h3", "Most frequent confusions of the best trial"), body, class_="card")


def mistakes(subject: Subject, wrong: list[Wrong] | str) -> Markup:
    """Return the best trial's most confident mistakes.

    Args:
        subject: the study.
        wrong: the samples, or a sentence on why there are none to show.
    """
    title, most = _MISTAKES.get(subject.task.name, ("Largest errors", "most wrong."))
    heading = tag("h3", title)
    if isinstance(wrong, str):
        return tag("div", heading, tag("p", wrong, class_="soft"), class_="card")
    caption = f"Samples that the best trial was not trained on and got {most}"
    is_wide = bool(wrong) and not isinstance(wrong[0].sample, bytes)
    items = [_wrong(entry) for entry in wrong]
    made = tag("ul", *items, class_="wrong wide" if is_wide else "wrong")
    return tag("div", heading, tag("p", caption, class_="soft"), made, class_="card")


_ALIKE = (
    " Look for {what}, for samples that people would also get wrong, and for what they have in"
    " common."
)
_MISTAKES = {  # title, and how wrong they are
    CLASSIFICATION: (
        "Most confident mistakes",
        "wrong with the highest confidence." + _ALIKE.format(what="wrong labels"),
    ),
    MULTI_LABEL: (
        "Most confident wrong labels",
        "wrong in a label with the highest confidence." + _ALIKE.format(what="missing ones"),
    ),
    REGRESSION: (
        "Largest errors",
        "most wrong. Look for wrong targets, for what the inputs cannot tell, and for what they"
        " have in common.",
    ),
}


def number_scores(subject: Subject) -> Markup:
    """Return the table of the scores of each predicted number; empty without any."""
    rows = []
    for trial in [t for t in (subject.best, subject.rival) if t is not None]:
        for name, found in described(subject, trial).items():
            scores = number_texts((found["rmse"], found["mae"], found["bias"]))
            shown = [*scores[:2], f"{found['r2']:.4f}", scores[2], f"{found['samples']:,}"]
            rows.append([trial_name(trial), name, *shown])
    if not rows:
        return Markup("")
    head = ("trial", "predicted", "RMSE", "MAE", "R²", "bias", "samples")
    caption = (
        "Of all out-of-fold predictions together, so that they differ a little from means over"
        " folds. RMSE, MAE and bias are in the unit of what is predicted; a bias above 0 says that"
        " predictions are too high on average."
    )
    body = table(head, rows, numbers=range(2, 7))
    heading = tag("h3", "Scores")
    return tag("div", heading, tag("p", caption, class_="soft"), body, class_="card")


def reproduction(subject: Subject) -> Markup:
    """Return the command and the facts that reproduce the study."""
    history = subject.history
    name = history.known_study().study
    export = shell_line(["foldwise", "export", name])
    params = [[key, value] for key, value in best_params(history)]
    return joined(
        [
            tag("p", "The whole search, with every setting that decides its scores:"),
            tag("pre", run_command(history), class_="wrap"),
            tag("p", "The best trial, trained on all samples and tested:"),
            tag("pre", export, class_="wrap"),
            table(("what it depends on", ""), [[key, value] for key, value in facts(history)]),
            tag(
                "details",
                tag("summary", f"All params of {trial_name(subject.best)}"),
                table(("parameter", "value"), params),
            ),
        ]
    )


def _tile(name: str, value: str, note: str) -> Markup:
    return tag("div", tag("dt", name), tag("dd", value, tag("small", note)))


def _spent(spent: Cost) -> str:
    return f"{spent.epochs:,} epochs in {counted(spent.sessions, 'session')}"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {stage}" for stage, count in counts.items())


def _note(subject: Subject, trial: TrialHistory) -> str:
    if trial is subject.best:
        return "the best"
    return "baseline" if origin_of(trial) else "runner-up"


def _difference(subject: Subject, trial: TrialHistory) -> tuple[str, str]:
    """Return by how much the best trial is better, and the interval of the difference."""
    found = None if trial is subject.best else paired(subject, subject.best, trial)
    if found is None:
        return "-", "-"
    if found.low is None or found.high is None:
        return interval_texts(subject.first, found.mean, sign=True)[0], "-"
    told, *ends = interval_texts(subject.first, found.mean, found.low, found.high, sign=True)
    return told, " to ".join(ends)


def _p_text(p: float | None) -> str:
    if p is None:
        return "-"
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def _confirmation(subject: Subject, trial: TrialHistory) -> str:
    return score_text(subject.first, trial.confirmed_score(subject.first.name))


def _folds(subject: Subject, trial: TrialHistory, folds: list[int]) -> Iterator[str]:
    finished = trial.finished_folds()
    for fold in folds:
        ended = finished.get(fold)
        yield score_text(subject.first, fold_value(ended, subject.first) if ended else None)


def _wrong(entry: Wrong) -> Markup:
    words = entry.words
    lines = [
        tag("span", f"true: {words.true}", class_="true"),
        Markup("<br>"),
        f"predicted: {words.predicted}",
        Markup("<br>"),
        tag("span", f"{words.beside}, sample {entry.index:,}", class_="soft"),
    ]
    return tag("li", _shown(entry), tag("div", *lines))


def _shown(entry: Wrong) -> Markup:
    match entry.sample:
        case bytes():
            alt = f"sample {entry.index}"
            small = (
                "small" if len(entry.sample) < 4000 else None
            )  # few pixels: scale without smoothing
            return tag("img", src=data_address(entry.sample), alt=alt, class_=small, loading="lazy")
        case str():
            return tag("blockquote", entry.sample)
        case pairs:
            return table(("column", "value"), pairs, numbers=(1,))
