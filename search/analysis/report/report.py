"""One HTML file on one study or several, put together."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from search.analysis.report import sections
from search.analysis.report.figures import Chart, charts
from search.analysis.report.markup import Markup, joined, json_block, tag
from search.analysis.report.mistakes import Wrong, most_confidently_wrong
from search.analysis.report.pruning import saving
from search.analysis.report.several import bests_table, overlaid
from search.analysis.report.subject import Subject
from search.analysis.report.template import page
from search.analysis.report.words import counted, moment_text, time_text
from search.errors import DataError
from tracking.history import History
from tracking.home import StudyFolder

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
