"""The HTML file on one study or several."""

import hashlib
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from search.analysis.comparison.comparison import Comparison, compare
from search.analysis.comparison.contenders import champions
from search.analysis.comparison.evidence import Entry
from search.analysis.comparison.notes import on_samples
from search.analysis.measure import objective_name, p_text, score_and_spread
from search.analysis.report import sections
from search.analysis.report.figures import Chart, charts
from search.analysis.report.mistakes import Wrong, most_wrong
from search.analysis.report.page import Markup, joined, json_block, page, prose, table, tag
from search.analysis.report.probabilities import (
    believed,
    calibration_scores,
    coverage_table,
    no_probabilities,
    reliability_chart,
    threshold_chart,
)
from search.analysis.report.progress import histories
from search.analysis.report.pruning import saving
from search.analysis.report.subject import Subject
from search.analysis.report.trials import all_trials
from search.analysis.report.verdict import interval_text
from search.analysis.report.words import (
    moment_text,
    time_text,
    trial_name,
    trial_score_text,
)
from search.data.folds import coverage
from search.errors import DataError, FoldwiseError, SettingsError
from search.studies import StudyReader, known_reader, opened_log
from search.tasks import CLASSIFICATION, MULTI_LABEL, REGRESSION
from search.tracker import Tracker
from tracking.files import beside, whole_file
from tracking.history import History
from tracking.home import Home, StudyFolder
from tracking.lock import StudyLocked, holder
from tracking.records import ReportWritten, StudyStarted
from tracking.text import Notify, counted, shell

_PATH = re.compile(r"[^\s(]*/")  # to a file with a space
_OF_PREDICTIONS = "predictions"  # of the study's task
_PARTS = (  # identity, title, charts
    ("search", "The search", ("optimisation_history", "front")),
    ("parameters", "Parameters", ("importance", "parallel_coordinates", "slices", "contours")),
    ("training", "Training", ("curves",)),
    ("stopped", "Pruned trials", ("pruning",)),
    (_OF_PREDICTIONS, "", ()),
    ("cost", "Time and cost", ("time",)),
    ("trials", "Trials", ("trial_curves",)),
)


_OF_OTHERS: tuple[str, str, tuple[str, ...]] = ("outputs", "Predictions", ())
_OF_TASK = {  # likewise
    CLASSIFICATION: ("classes", "Classes", ("confusion", "class_scores")),
    MULTI_LABEL: ("labels", "Labels", ("label_confusion", "label_scores")),
    REGRESSION: ("numbers", "Predictions", ("predicted_actual", "residuals", "errors_by_size")),
}


def bests_table(several: Sequence[Subject], compared: Comparison | str) -> Markup:
    """Return the verdict on several studies, the table of their best trials, and notes.

    Args:
        several: the studies.
        compared: as `compare` compares them, which ranks them; or why they cannot be.
    """
    head = ["study", "space", "best trial"]
    if isinstance(compared, str):
        score = several[0].name if _have_one_goal(several) else "score"
        rows = [
            [*_origin(several, subject), _own_score(several, subject), *_cost(subject)]
            for subject in several
        ]
        columns = (*head, score, "parameters", "time")
        return joined([prose(compared), table(columns, rows, numbers=range(3, 6))])
    by_name = {subject.history.known_study().study: subject for subject in several}
    rows = []
    for number, entry in enumerate(compared.entries):
        subject = by_name[entry.study]
        lead = _lead(compared, number) if number else ["-", "-"]
        score = _score(compared, entry)
        rows.append([*_origin(several, subject), score, *lead, *_cost(subject)])
    p = "p" if len(compared.entries) == 2 else "Holm p"
    columns = (
        *head,
        objective_name(compared.measure),
        "first is better by",
        p,
        "parameters",
        "time",
    )
    of_samples = on_samples(compared.pairs)  # whose p the table does not have
    notes = (prose(note, class_="soft") for note in compared.notes if note != of_samples)
    verdict = prose(compared.verdict)
    return joined([verdict, table(columns, rows, numbers=range(3, 8)), *notes])


def overlaid(several: Sequence[Subject]) -> Chart:
    """Return the chart of the best value so far of each study."""
    title = "Optimisation histories"
    if not _have_one_goal(several):
        caption = "The studies have different objectives, so one figure of them would mean nothing."
        return Chart("histories", title, caption, None)
    caption = (
        "The best score so far of each study by number of trials. Look for the study that leads"
        " early, and for the one that ends highest."
    )
    return Chart("histories", title, caption, histories([subject.history for subject in several]))


def _compared(studies: Sequence["Reported"]) -> Comparison | str:
    """Compare the best trials of studies as `compare` does, or return why that is impossible."""
    try:
        return compare(champions([(each.folder, each.history) for each in studies]))
    except SettingsError as error:
        return _sentence(str(error))


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"


def _have_one_goal(several: Sequence[Subject]) -> bool:
    return len({subject.first.name for subject in several}) == 1


def _lead(compared: Comparison, number: int) -> list[str]:
    """Return by how much the first entry leads another, and p."""
    pair = next(p for p in compared.pairs if (p.first, p.second) == (0, number))
    return [interval_text(compared.measure, pair.difference), p_text(pair.holm_p)]


def _score(compared: Comparison, entry: Entry) -> str:
    score, spread = score_and_spread(compared.measure, entry.score, entry.spread)
    return score if entry.spread is None else f"{score} ± {spread}"


def _origin(several: Sequence[Subject], subject: Subject) -> list[str]:
    study = subject.history.known_study()
    link = tag("a", tag("b", study.study), href=f"#study-{several.index(subject) + 1}")
    return [link, _PATH.sub("", study.space), trial_name(subject.best)]


def _own_score(several: Sequence[Subject], subject: Subject) -> str:
    score = trial_score_text(subject.first, subject.best)
    return score if _have_one_goal(several) else f"{score} ({objective_name(subject.first)})"


def _cost(subject: Subject) -> list[str]:
    ended = subject.best.ended
    return [f"{ended.model_parameters:,}", time_text(ended.train_seconds)] if ended else ["-", "-"]


@dataclass(frozen=True)
class Reported:
    """A study to report on.

    Attributes:
        history: from its journal; at least one trial is complete.
        folder: its files.
        is_running: whether a process is running it.
    """

    history: History
    folder: StudyFolder
    is_running: bool = False


class _Page:
    """Collects the table of contents and the charts' data while the body is built.

    Args:
        prefix: of names in the document, where it has several studies.
        blocks: the charts' data so far.
    """

    def __init__(self, prefix: str = "", blocks: list[Markup] | None = None) -> None:
        self.prefix = prefix
        self.blocks: list[Markup] = [] if blocks is None else blocks
        self._contents: list[tuple[str, str]] = []

    def heading(self, identity: str, title: str, *, class_: str | None = None) -> Markup:
        identity = f"{self.prefix}{identity}"
        self._contents.append((identity, title))
        return tag("h2", title, id=identity, class_=class_)

    def contents(self, label: str = "contents", *, class_: str | None = None) -> Markup:
        links = (tag("li", tag("a", text, href=f"#{where}")) for where, text in self._contents)
        return tag("nav", tag("ul", *links), aria_label=label, class_=class_)

    def identity(self, chart: str) -> str:
        return f"figure-{self.prefix}{chart}"

    def chart(self, found: Chart) -> Markup:
        identity = self.identity(found.name)
        if found.figure is not None:
            document = found.figure.to_plotly_json()
            document["layout"].pop("template", None)  # the page has it once
            self.blocks.append(json_block(identity, _shared_once(document)))
        return sections.chart(found, identity)


def _shared_once(document: dict[str, Any]) -> dict[str, Any]:
    """Return a figure with what all its traces have alike in `common`, as the page reads it."""
    first, *others = document["data"]
    alike = {k: v for k, v in first.items() if all(other.get(k) == v for other in others)}
    data = [{k: v for k, v in trace.items() if k not in alike} for trace in document["data"]]
    return {**document, "data": data, "common": alike}


def report(studies: Sequence[Reported], *, home: Path, data_dir: Path | None = None) -> str:
    """Return the whole page.

    Args:
        studies: one, or several to be compared.
        home: the home, with cached datasets.
        data_dir: folder with the user's datasets.
    """
    made = _Page()
    names = [reported.history.known_study().study for reported in studies]
    if len(studies) == 1:
        body = _study(made, studies[0], home=home, data_dir=data_dir)
        title = f"{names[0]}: report"
    else:
        body = _several(made, studies, home=home, data_dir=data_dir)
        title = f"{', '.join(names)}: report"
    head = tag("header", tag("h1", _headline(names)), tag("p", _written(), class_="soft"))
    return page(title, joined([head, made.contents(), tag("main", body)]), joined(made.blocks))


def _several(
    made: _Page, studies: Sequence[Reported], *, home: Path, data_dir: Path | None
) -> Markup:
    subjects = [Subject(reported.history) for reported in studies]
    verdict = bests_table(subjects, _compared(studies))
    parts = [
        made.heading("comparison", "Comparison"),
        tag("div", verdict, class_="card verdict"),
        made.chart(overlaid(subjects)),
    ]
    for number, reported in enumerate(studies, start=1):
        name = reported.history.known_study().study
        heading = made.heading(f"study-{number}", name, class_="study")
        own = _Page(f"{number}-", made.blocks)
        body = _study(own, reported, home=home, data_dir=data_dir)
        contents = own.contents(f"contents of {name}", class_="within")
        parts.append(tag("section", heading, contents, body))
    return joined(parts)


def _study(made: _Page, reported: Reported, *, home: Path, data_dir: Path | None) -> Markup:
    """Return a study's sections."""
    subject = Subject(reported.history)
    found = charts(subject, (name for _, _, names in _PARTS for name in names))
    parts = [
        made.heading("verdict", "Verdict"),
        tag("p", _about(reported), class_="soft"),
        sections.verdict(subject),
        sections.tiles(subject),
        made.heading("baselines", "Against the baselines"),
        tag("div", sections.against_baselines(subject), class_="card"),
    ]
    for identity, title, names in _PARTS:
        if identity == _OF_PREDICTIONS:
            own, called, _ = _of_task(subject)
            parts += [made.heading(own, called), *_predictions(made, subject)]
            parts += _probabilities(made, subject, reported.folder)
            parts.append(made.heading("mistakes", "Mistakes"))
            wrong = _wrong(subject, reported, home=home, data_dir=data_dir)
            parts.append(sections.mistakes(subject, wrong))
            continue
        shown = [found[name] for name in names if name != "front" or found[name].figure]
        parts.append(made.heading(identity, title))
        if identity == "stopped":
            parts.append(_saved(subject))
        parts += [made.chart(chart) for chart in shown]
    has_curves = found["trial_curves"].figure is not None
    parts.append(all_trials(subject, made.identity("trial_curves") if has_curves else None))
    parts.append(made.heading("again", "How to reproduce it"))
    parts.append(tag("div", sections.reproduction(subject), class_="card"))
    return joined(parts)


def _of_task(subject: Subject) -> tuple[str, str, tuple[str, ...]]:
    return _OF_TASK.get(subject.task.name, _OF_OTHERS)


def _predictions(made: _Page, subject: Subject) -> list[Markup]:
    """Return figures and tables of what was predicted; with several outputs of each by itself."""
    if subject.outputs:
        parts = []
        for number, (name, own) in enumerate(subject.outputs.items(), start=1):
            parts.append(tag("h3", f"Output {name}, {own.task.name}"))
            inner = _Page(f"{made.prefix}output-{number}-", made.blocks)
            parts += _predictions(inner, own)
        return parts
    figures = charts(subject, _of_task(subject)[2])
    return [
        *(made.chart(chart) for chart in figures.values()),
        sections.number_scores(subject),
        sections.confused(subject),
    ]


def _probabilities(made: _Page, subject: Subject, folder: StudyFolder) -> list[Markup]:
    """Return how far the best trial's predictions can be believed; empty for several outputs."""
    if subject.outputs:
        return []
    title = "Intervals" if subject.task.name == REGRESSION else "Probabilities"
    parts = [made.heading("probabilities", title)]
    try:
        found = believed(subject, folder)
    except DataError as error:
        reason = _PATH.sub("", str(error)).rstrip(".")
        return [*parts, no_probabilities(f"Nothing can be told of them: {reason}.")]
    if found.calibrated is not None:
        parts.append(made.chart(reliability_chart(found.calibrated)))
        parts.append(calibration_scores(found.calibrated))
    if found.task.has_threshold:
        parts.append(made.chart(threshold_chart(found, subject.names[1])))
    return [*parts, coverage_table(found, subject.names)]


def _wrong(
    subject: Subject, reported: Reported, *, home: Path, data_dir: Path | None
) -> list[Wrong] | str:
    try:
        found = most_wrong(subject, reported.folder, home=home, data_dir=data_dir)
    except DataError as error:
        reason = str(error).split(". ")[0].replace("`", "").rstrip(".")
        return f"The samples cannot be shown: {reason}."
    return found or "The best trial made no mistakes on samples it was not trained on."


def _saved(subject: Subject) -> Markup:
    saved = saving(subject.history)
    if not saved.stopped:
        return Markup("")
    return tag(
        "p",
        f"{counted(saved.stopped, 'trial')} {'was' if saved.stopped == 1 else 'were'}"
        f" pruned, which saved {saved.epochs:,} of {saved.of:,} epochs"
        f" ({saved.epochs / max(1, saved.of):.0%}), about {time_text(saved.seconds)} of training"
        " at each trial's own speed.",
    )


def _about(reported: Reported) -> str:
    study = reported.history.known_study()
    data, settings = study.dataset, study.settings
    text = (
        f"Space {study.space} on {data.get('name')}: {data.get('samples', 0):,} training samples,"
        f" {counted(study.folds, 'fold')}{_split(study)}, the same for every trial; proposed by"
        f" {study.proposer}, seed {settings.get('seed', 0)}."
    )
    if reported.is_running:
        text += " The study is still running: the report shows its state when it was written."
    elif reported.history.last_end is None:
        text += " The last session broke off; the study can be continued."
    return text


def _split(study: StudyStarted) -> str:
    """Return how the folds are cut where it is not the usual way, and what that leaves out."""
    name = study.settings.get("split")
    parts = [] if name in (None, "stratified") else [f"cut by {study.split.get('splitter', name)}"]
    parts += [text for text in [coverage(study)] if text]
    return f" ({'; '.join(parts)})" if parts else ""


def _headline(names: Sequence[str]) -> str:
    return f"Report of {names[0]}" if len(names) == 1 else f"Report of {len(names)} studies"


def _written() -> str:
    return f"Written {moment_text(time.time())}. This file needs no network."


@dataclass(frozen=True)
class Written:
    """A written report.

    Attributes:
        file: absolute path.
        size: bytes.
        sha256: its digest.
        studies: names of its studies.
        waiting: records that have not reached MLflow yet.
    """

    file: Path
    size: int
    sha256: str
    studies: tuple[str, ...]
    waiting: int = 0


def write_report(
    home: Home,
    names: Sequence[str],
    *,
    target: Path,
    overwrite: bool,
    data_dir: Path | None,
    tracker: Tracker,
    notify: Notify,
    on_written: Callable[[Written], None] = lambda _: None,
) -> Written:
    """Write the report of one study or several, record it in each and log it to MLflow.

    Only the process that runs a study may write its journal: the report of a running study is
    written, but not recorded.

    Args:
        home: the home of the studies.
        names: their names; repeated ones count once.
        target: the HTML file.
        overwrite: replace an existing file.
        data_dir: folder with the user's datasets.
        tracker: publishes the record to MLflow.
        notify: takes notices for the user.
        on_written: called when the file is written, before it is logged to MLflow, which may take
            longer.

    Raises:
        SettingsError: no such study, or a target that cannot be used.
        FoldwiseError: a study has no complete trial.
    """
    check_target(target, overwrite=overwrite)
    readers = {name: known_reader(home, name) for name in names}
    content = report(
        [_reported(*each) for each in readers.items()], home=home.root, data_dir=data_dir
    ).encode()
    _write(target, content)
    digest = hashlib.sha256(content).hexdigest()
    written = Written(target.resolve(), len(content), digest, tuple(readers))
    on_written(written)
    record = ReportWritten(at=time.time(), file=str(written.file), sha256=digest)
    waiting = sum(
        _record(name, reader, record, tracker, notify) for name, reader in readers.items()
    )
    return replace(written, waiting=waiting)


def check_target(target: Path, *, overwrite: bool) -> None:
    """Check that a report can be written, before any work; missing folders are created.

    Raises:
        SettingsError: it is a folder, exists already, or cannot be written.
    """
    if target.is_dir():
        raise SettingsError(f"`--out` must be a file; {target} is a folder. Add a name to it.")
    if target.exists() and not overwrite:
        raise SettingsError(
            f"`--out {target}` exists already; replace it with `--overwrite` or choose another"
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        probe = beside(target)
        probe.open("xb").close()
        probe.unlink()
    except OSError as error:
        raise _not_writable(target, error) from error


def _reported(name: str, reader: StudyReader) -> Reported:
    folder, history = reader.folder, reader.history
    is_running = holder(folder.lock) is not None
    if history.best() is None:
        states = [trial.state.shown for trial in history.trials.values()]
        counts = ", ".join(f"{states.count(s)} {s}" for s in dict.fromkeys(states)) or "none at all"
        trials = str(2 * max(10, len(states)))
        remedy = f"Continue it with `{shell('run', '--study', name, '--trials', trials)}`."
        if is_running:
            remedy = f"It is running, and `{shell('watch', name)}` follows it."
        raise FoldwiseError(
            f"a report needs a complete trial; study {name!r} has none ({counts}). {remedy}"
        )
    return Reported(history, folder, is_running=is_running)


def _write(target: Path, content: bytes) -> None:
    """Write the file completely or not at all."""
    try:
        with whole_file(target) as file:
            file.write(content)
    except OSError as error:
        raise _not_writable(target, error) from error


def _not_writable(target: Path, error: OSError) -> SettingsError:
    return SettingsError(
        f"`--out {target}` cannot be written: {error.strerror or error}. Choose another file."
    )


def _record(
    name: str, reader: StudyReader, record: ReportWritten, tracker: Tracker, notify: Notify
) -> int:
    try:
        with opened_log(reader, notify) as log:
            log.append(record)
    except StudyLocked:
        notify(
            f"study {name} is running, so the report is not logged to MLflow; write it"
            " again when the session has ended"
        )
        return 0
    except OSError as error:  # such as a colleague's home, which can only be read
        notify(
            f"{reader.folder.root} cannot be written ({error.strerror or error}), so the report of"
            f" {name} is not logged to MLflow"
        )
        return 0
    return tracker.sync(reader.folder, notify)
