"""One HTML file on one study or several, put together."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from search.analysis.report import sections
from search.analysis.report.classes import Wrong, most_confidently_wrong
from search.analysis.report.figures import Chart, charts
from search.analysis.report.folds import saving
from search.analysis.report.page import Markup, joined, json_block, page, table, tag
from search.analysis.report.progress import histories
from search.analysis.report.subject import Subject
from search.analysis.report.verdict import interval_text, paired
from search.analysis.report.words import (
    moment_text,
    objective_name,
    time_text,
    trial_name,
    trial_score_text,
)
from search.errors import DataError
from search.text import counted
from tracking.history import History
from tracking.home import StudyFolder
from tracking.records import StudyStarted


def bests_table(several: Sequence[Subject]) -> Markup:
    """Return the studies with their best trials, the best one first where they can be ranked."""
    ranked = _ranked(several)
    leader = ranked[0]
    is_one_goal = _have_one_goal(several)
    rows = []
    for subject in ranked:
        study, best = subject.history.known_study(), subject.best
        ended = best.ended
        rows.append(
            [
                tag("b", study.study),
                study.space,
                f"{study.driver}/{study.settings.get('sampler', '')}".strip("/"),
                trial_name(best),
                trial_score_text(subject.first, best)
                + ("" if is_one_goal else f" ({objective_name(subject.first)})"),
                _difference(leader, subject) if is_one_goal else "-",
                f"{ended.model_parameters:,}" if ended else "-",
                time_text(ended.train_seconds) if ended else "-",
            ]
        )
    name = several[0].name if is_one_goal else "score"
    head = ("study", "space", "search", "best trial", name, "first is better by", "parameters")
    words = (tag("p", sentence) for sentence in _wording(several))
    return joined([*words, table((*head, "time"), rows, numbers=range(4, 8))])


def overlaid(several: Sequence[Subject]) -> Chart:
    """Return the chart of all studies' best values so far."""
    title = "Optimisation histories"
    if not _have_one_goal(several):
        told = "The studies search for different things, so one picture of them would say nothing."
        return Chart("histories", title, told, None)
    told = (
        "The best score so far of each study by number of trials. Look for the study that is ahead"
        " early, and for the one that ends highest."
    )
    return Chart("histories", title, told, histories([subject.history for subject in several]))


def share_folds(one: History, other: History) -> bool:
    """Say whether two studies are about the same folds of the same data."""

    def mark(study: StudyStarted) -> tuple[object, ...]:
        return study.dataset.get("digest"), study.folds_digest, study.folds

    return mark(one.known_study()) == mark(other.known_study())


def _have_one_goal(several: Sequence[Subject]) -> bool:
    return len({subject.first.name for subject in several}) == 1


def _ranked(several: Sequence[Subject]) -> list[Subject]:
    if not _have_one_goal(several):
        return list(several)
    first = several[0].first
    return sorted(several, key=lambda subject: -first.oriented(subject.value(subject.best)))


def _difference(leader: Subject, subject: Subject) -> str:
    if subject is leader:
        return "-"
    if not share_folds(leader.history, subject.history):
        return "other folds"
    found = paired(leader, leader.best, subject.best)
    return "-" if found is None else interval_text(leader.first, found)


def _wording(several: Sequence[Subject]) -> list[str]:
    if not _have_one_goal(several):
        return ["The studies search for different things; their scores cannot be ranked."]
    leader, *others = _ranked(several)
    name = leader.history.known_study().study
    best = f"{'Highest' if leader.first.larger else 'Lowest'} is {name}."
    if all(share_folds(leader.history, other.history) for other in others):
        return [
            best,
            "All studies have the same folds of the same data, so their bests are compared fold by"
            " fold; an interval that includes 0 claims nothing. Each stands by itself: `compare`"
            " corrects for their number, and says what can be claimed. Of many trials the best is a"
            " little lucky, more so the more there were.",
        ]
    digests = {subject.history.known_study().dataset.get("digest") for subject in several}
    if len(digests) > 1:
        return [best, "But the studies are on different data: their scores do not compare."]
    return [
        best,
        "Studies marked \u201cother folds\u201d were cut differently: their means stand beside each"
        " other, and no paired difference can be told.",
    ]


_PARTS = (  # identity, title, charts
    ("search", "The search", ("optimisation_history", "front")),
    ("parameters", "Parameters", ("importance", "parallel_coordinates", "slices", "contours")),
    ("training", "Training", ("curves",)),
    ("stopped", "Stopped trials", ("pruning",)),
    ("classes", "Classes", ("confusion", "class_scores")),
    ("cost", "Time and cost", ("time",)),
)


@dataclass(frozen=True)
class Reported:
    """A study to report on.

    Attributes:
        history: what its journal tells; at least one trial is complete.
        folder: its files.
        is_running: whether a process runs it now.
    """

    history: History
    folder: StudyFolder
    is_running: bool = False


class _Page:
    """Collects contents and the charts' data while the body is made."""

    def __init__(self) -> None:
        self.blocks: list[Markup] = []
        self.contents: list[tuple[str, str]] = []

    def heading(
        self, identity: str, title: str, *, listed: bool = True, class_: str | None = None
    ) -> Markup:
        if listed:
            self.contents.append((identity, title))
        return tag("h2", title, id=identity, class_=class_)

    def chart(self, found: Chart, prefix: str = "") -> Markup:
        identity = f"figure-{prefix}{found.name}"
        if found.figure is not None:
            document = found.figure.to_plotly_json()
            document["layout"].pop("template", None)  # the page has it once
            self.blocks.append(json_block(identity, document))
        return sections.chart(found, identity)


def report(studies: Sequence[Reported], *, home: Path, data_dir: Path | None = None) -> str:
    """Return the whole page.

    Args:
        studies: one, or several to be compared.
        home: where datasets are kept.
        data_dir: where the user's own copies of datasets are.
    """
    made = _Page()
    names = [reported.history.known_study().study for reported in studies]
    if len(studies) == 1:
        body = _study(made, studies[0], "", home=home, data_dir=data_dir)
        title = f"{names[0]}: report"
    else:
        body = _several(made, studies, home=home, data_dir=data_dir)
        title = f"{', '.join(names)}: report"
    items = (tag("li", tag("a", text, href=f"#{where}")) for where, text in made.contents)
    contents = tag("nav", tag("ul", *items), aria_label="contents")
    head = tag("header", tag("h1", _headline(names)), tag("p", _written(), class_="soft"))
    return page(title, joined([head, contents, tag("main", body)]), joined(made.blocks))


def _several(
    made: _Page, studies: Sequence[Reported], *, home: Path, data_dir: Path | None
) -> Markup:
    subjects = [Subject(reported.history) for reported in studies]
    parts = [
        made.heading("comparison", "Comparison"),
        tag("div", bests_table(subjects), class_="card verdict"),
        made.chart(overlaid(subjects)),
    ]
    for number, reported in enumerate(studies, start=1):
        name = reported.history.known_study().study
        parts.append(made.heading(f"study-{number}", name, class_="study"))
        parts.append(_study(made, reported, f"{number}-", home=home, data_dir=data_dir))
    return joined(parts)


def _study(
    made: _Page, reported: Reported, prefix: str, *, home: Path, data_dir: Path | None
) -> Markup:
    """Return a study's sections; with a prefix to their names where there are several studies."""
    subject, listed = Subject(reported.history), not prefix
    found = charts(subject)

    def heading(identity: str, title: str) -> Markup:
        return made.heading(f"{prefix}{identity}", title, listed=listed)

    parts = [
        heading("verdict", "Verdict") if listed else Markup(""),
        tag("p", _about(reported), class_="soft"),
        sections.verdict(subject),
        sections.tiles(subject),
        heading("baselines", "Against the baselines"),
        tag("div", sections.against_baselines(subject), class_="card"),
    ]
    for identity, title, names in _PARTS:
        shown = [found[name] for name in names if name != "front" or found[name].figure]
        parts.append(heading(identity, title))
        if identity == "stopped":
            parts.append(_saved(subject))
        parts += [made.chart(chart, prefix) for chart in shown]
        if identity == "classes":
            parts.append(sections.confused(subject))
            parts.append(heading("mistakes", "Mistakes"))
            wrong = _wrong(subject, reported, home=home, data_dir=data_dir)
            parts.append(sections.mistakes(subject, wrong))
    parts += [heading("trials", "Trials"), sections.all_trials(subject)]
    parts.append(heading("again", "How to do it again"))
    parts.append(tag("div", sections.reproduction(subject), class_="card"))
    return joined(parts)


def _wrong(
    subject: Subject, reported: Reported, *, home: Path, data_dir: Path | None
) -> list[Wrong] | str:
    try:
        found = most_confidently_wrong(subject, reported.folder, home=home, data_dir=data_dir)
    except DataError as error:
        reason = str(error).split(". ")[0].replace("`", "").rstrip(".")
        return f"The samples cannot be shown: {reason}."
    return found or "The best trial got every sample right that it was not trained on."


def _saved(subject: Subject) -> Markup:
    saved = saving(subject.history)
    if not saved.stopped:
        return Markup("")
    return tag(
        "p",
        f"{counted(saved.stopped, 'trial')} stopped early. That left out"
        f" {saved.epochs:,} of {saved.of:,} epochs ({saved.epochs / max(1, saved.of):.0%}), about"
        f" {time_text(saved.seconds)} of training at each trial's own pace.",
    )


def _about(reported: Reported) -> str:
    study = reported.history.known_study()
    data, settings = study.dataset, study.settings
    sampler = settings.get("sampler")
    told = (
        f"Space {study.space} on {data.get('name')}: {data.get('samples', 0):,} training samples,"
        f" {counted(study.folds, 'fold')}, the same for every trial; proposed by {study.driver}"
        f"{f'/{sampler}' if sampler else ''}, seed {settings.get('seed', 0)}."
    )
    if reported.is_running:
        told += " The study is still running: this is what was there when the report was written."
    elif reported.history.last_end is None:
        told += " The last session has no end; the study can be continued."
    return told


def _headline(names: Sequence[str]) -> str:
    return f"Report of {names[0]}" if len(names) == 1 else f"Report of {len(names)} studies"


def _written() -> str:
    return f"Written {moment_text(time.time())}. This file needs no network."
