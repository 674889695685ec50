"""`show`: one study, or one of its trials; `trials`: all of them, also as CSV."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from search.cli.output import DEFAULT_HOME, AsJson, Home, StudyName
from tracking.objectives import measure_text
from tracking.text import counted

if TYPE_CHECKING:
    from tracking.history import History, TrialHistory
    from tracking.home import StudyFolder
    from tracking.records import FoldEnded, StudyStarted

_REASONS = 20  # lines; a study may prune hundreds of trials


def show(
    study: StudyName,
    trial: Annotated[int | None, typer.Option(help="Show everything about this trial.")] = None,
    home: Home = DEFAULT_HOME,
    json: AsJson = False,
) -> None:
    """Show a study's trials, best first, or everything about one trial."""
    from search.cli.output import print_json
    from search.studies import known_study
    from tracking.home import Home as HomeFolder

    folder, history = known_study(HomeFolder(home), study)
    if history.decision is None and history.known_study().baseline_first:
        from search.analysis.comparison.decision import with_decision  # SciPy takes a while

        with_decision(history)
    if trial is not None:
        _show_trial(history, trial, json)
    elif json:
        print_json(_document(history))
    else:
        _print_study(history)
        if any(trial.ended is None for trial in history.trials.values()):
            _print_whether_it_runs(history, folder, home)


def _show_trial(history: "History", number: int, as_json: bool) -> None:
    from search.cli.output import print_json
    from search.cli.run import trial_document
    from search.errors import SettingsError

    if number not in history.trials:
        numbers = sorted(history.trials)
        known = f"within 0..{numbers[-1]}" if numbers else "left out: the study has no trial yet"
        raise SettingsError(f"`--trial` must be {known}; got {number}")
    trial = history.trials[number]
    if as_json:
        ended = trial.ended
        print_json(
            {
                **trial_document(trial, history),
                "curves": trial.mean_curves(),
                "confusion": ended.confusion if ended else [],
                "report": ended.report if ended else {},
                "error": ended.error if ended else "",
            }
        )
    else:
        _print_trial(history, trial)


def _document(history: "History") -> dict[str, Any]:
    from search.cli.run import study_document

    return {
        **(history.study.to_json() if history.study else {}),
        **study_document(history),
        "notices": [notice.text for notice in history.notices],
        "exports": [export.to_json() for export in history.exports],
        "test_set_openings": [opening.to_json() for opening in history.test_openings],
        "repairs": [repaired.to_json() for repaired in history.repairs],
    }


def _print_study(history: "History") -> None:
    from rich.markup import escape

    from search.cli.output import console, say
    from search.cli.tables import best_lines, by_evidence, front_heading, trial_table

    start = history.study
    if start is None:
        return
    data, settings = start.dataset, start.settings
    console.print(
        f"[bold]{escape(start.study)}[/]: space {escape(start.space)}, {data['samples']:,} training"
        f" samples of {data['name']}, {counted(start.folds, 'fold')}{_split(settings)},"
        f" {counted(_epochs(start), 'epoch')},"
        f" seed {settings['seed']}, {start.proposer}",
        soft_wrap=True,
    )
    plan = history.sessions[-1].plan.get("told") if history.sessions else ""
    if plan:
        say(f"plan {plan}")
    if start.learned:
        from search.study.learning.earlier import learned_text

        say(f"learned {learned_text(start)}")
    for notice in history.notices:
        say(f"Note: {notice.text}")
    if len(history.objectives) > 1 and history.front():
        console.print(f"\n[bold]{front_heading(history)}[/]")
        console.print(trial_table(history, history.front()))
        console.print("\n[bold]All trials[/]")
    trials = by_evidence(history)
    console.print(trial_table(history, trials, states=True, evidence=True))
    if any(trial.value is None for trial in trials) and history.completed():
        console.print(
            "[dim]Full scores first, then those after as many folds: only within a group do they"
            " compare.[/]"
        )
    for line in best_lines(history):
        say(line)
    if history.last_end is not None and history.last_end.told:
        say(history.last_end.told)
    _print_stops(history)
    _print_marks(history)
    _print_exports(history)
    _print_test_openings(history)
    _print_repairs(history)


def _print_whether_it_runs(history: "History", folder: "StudyFolder", home: Path) -> None:
    """Print who trains the trials that are not over, or how they are continued."""
    from search.cli.output import say
    from search.cli.watch import print_idle
    from tracking.lock import holder

    runs = holder(folder.lock)
    say("")
    if runs is None:
        print_idle(history, home)
    else:
        say(f"It is run by {runs}.")


def _epochs(start: "StudyStarted") -> str:
    """Return the epochs, which `--set` may have made a range."""
    return next(str(p["range"]) for p in start.parameters if p["name"] == "epochs")


def _print_stops(history: "History") -> None:
    """Print why trials failed or were pruned, a line each; of many only the last ones."""
    from rich.text import Text

    from search.cli.output import console

    stopped = [t for t in history.finished() if t.ended and t.ended.reason]
    for trial in stopped[-_REASONS:]:
        if trial.ended:
            line = Text(f"trial {trial.number} {trial.state}: {trial.ended.reason}", style="dim")
            if console.is_terminal:
                line.truncate(console.width, overflow="ellipsis")
            console.print(line, soft_wrap=True)
    more = len(stopped) - _REASONS
    if more > 0:
        console.print(f"[dim]and {more} more: `--trial N` gives one reason, `--json` all[/]")


def _print_repairs(history: "History") -> None:
    from search.cli.output import say

    for repaired in history.repairs:
        missing = (
            " Lines are missing; what they recorded, such as openings of the test set, is lost."
        )
        say(f"The journal was repaired: {repaired.text}.{missing * bool(repaired.gaps)}")


def _print_marks(history: "History") -> None:
    """Print how trials were trained differently from the first ones, a line for each difference."""
    from search.cli.output import say
    from tracking.provenance import trial_marks

    marked: dict[str, list[str]] = {}
    for number, trial in sorted(history.trials.items()):
        for mark in trial_marks(history, trial):
            marked.setdefault(mark, []).append(str(number))
    for mark, numbers in marked.items():
        say(f"{'trial' if len(numbers) == 1 else 'trials'} {', '.join(numbers)} {mark}")


def _print_exports(history: "History") -> None:
    from search.cli.output import say

    for number, export in enumerate(history.exports, start=1):
        average = f", average of {export.averages}" if export.averages else ""
        samples = f", trained on {export.samples:,} samples" if export.samples else ""
        say(f"exported ({number}): trial {export.trial}{average}{samples}, in {export.folder}")


def _print_test_openings(history: "History") -> None:
    from search.cli.output import say

    for number, opening in enumerate(history.test_openings, start=1):
        own = {} if opening.accuracy is None else {"accuracy": opening.accuracy}
        scores = ", ".join(
            f"{name} {measure_text(name, score)}" for name, score in (own or opening.scores).items()
        )
        say(f"test set opened ({number}) by {opening.by}: trial {opening.trial}, {scores}")


def _print_trial(history: "History", trial: "TrialHistory") -> None:
    from rich.markup import escape

    from search.cli.output import console, say
    from search.cli.predictions import print_predictions
    from search.cli.tables import (
        confirmed_text,
        failure_text,
        origin_text,
        proposer_text,
        state_text,
    )
    from spaces import short_text
    from tracking.provenance import trial_marks
    from tracking.stages import compared_after, retries, stages

    stage = state_text(stages(history)[trial.number])
    console.print(f"[bold]Trial {trial.number}[/] {escape(origin_text(trial))}", stage)
    for name, value in trial.started.parameters.items():
        say(f"  {name} = {short_text(value)}")
    if trial.started.proposed_by:
        say(f"  proposed by {proposer_text(trial)}")
    for sentence in retries(trial):
        say(f"  {sentence}")
    if compared_after(trial):
        epochs = trial.started.parameters.get("epochs")
        say(
            f"  compared with the others after {compared_after(trial)} of {epochs} epochs of fold 1"
        )
    for mark in trial_marks(history, trial):
        say(f"  {mark}")
    _print_folds(trial.finished_folds())
    if trial.ended is None:
        return
    for name, score in trial.ended.scores.items():
        is_joint = name in ("macro_f1", "cv_ece", "cv_brier")
        joint = "  (of all predictions together)" if is_joint else ""
        console.print(f"  {name} = {_score_text(name, score, trial)}{joint}")
    if trial.ended.model_parameters:
        console.print(f"  model_parameters = {trial.ended.model_parameters:,}")
    if trial.ended.reason:
        console.print(f"  {trial.state}: {escape(trial.ended.reason)}")
    if trial.confirmation_folds:
        say(confirmed_text(history, trial) or "confirmation")
        _print_folds(trial.finished_confirmation_folds())
    if trial.confirmed and trial.confirmed.error:
        say(f"could not be confirmed: {failure_text(trial.confirmed)}")
    if history.study is not None:
        print_predictions(history.study, trial.ended)
    for error in (trial.ended.error, trial.confirmed.error if trial.confirmed else ""):
        if error:
            console.print(escape(error), soft_wrap=True)


def _split(settings: "dict[str, Any]") -> str:
    split = settings.get("split")
    return "" if split in (None, "stratified") else f" ({split})"


def _score_text(name: str, score: float, trial: "TrialHistory") -> str:
    is_spread_of_one = name.endswith("_std") and len(trial.finished_folds()) < 2
    return measure_text(name, None if is_spread_of_one else score)


def _print_folds(folds: "dict[int, FoldEnded]") -> None:
    from search.cli.output import console, duration, table

    if not folds:
        return
    own = ("accuracy", "loss", "macro_f1")
    first = next(iter(folds.values()))
    if first.accuracy is None:
        names = [*first.metrics, "loss"]
    else:
        names = [*own, *(name for name in first.metrics if name not in own)]
    named = ["macro F1" if name == "macro_f1" else name for name in names]
    headings = ("fold", *named, "epochs", "time")
    made = table(*headings, right=headings)
    for number, ended in folds.items():
        made.add_plain_row(
            str(number),
            *(measure_text(name, ended.metric(name)) for name in names),
            str(ended.epochs),
            duration(ended.seconds),
        )
    console.print(made)


def trials(
    study: StudyName,
    csv: Annotated[
        bool, typer.Option("--csv", help="Print CSV: exact values, a line a trial.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="CSV file to write instead of printing.")
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace an existing file.")] = False,
    home: Home = DEFAULT_HOME,
    json: AsJson = False,
) -> None:
    """List all trials of a study, by number: params, states, scores and times.

    In CSV, params are the columns `params_NAME`, times are in UTC and durations in seconds; what a
    trial does not have is empty. `score_so_far` is the mean over its finished folds, or that of its
    last epoch before the first is finished. Texts that a spreadsheet would take for a formula begin
    with a single quote.
    """
    from search.cli.output import console, print_json, say
    from search.cli.run import study_document
    from search.cli.tables import trial_table
    from search.errors import SettingsError
    from search.studies import known_study
    from tracking.home import Home as HomeFolder

    if json and (csv or out is not None):
        raise SettingsError("give one of `--json` and `--csv`; got both")
    _, history = known_study(HomeFolder(home), study)
    if json:
        print_json(study_document(history)["trials"])
    elif out is not None:
        _write_csv(history, out, overwrite=overwrite)
        say(f"Written: {out} ({counted(len(history.trials), 'trial')})")
    elif csv:
        typer.echo(csv_text(history), nl=False)
    else:
        by_number = [trial for _, trial in sorted(history.trials.items())]
        console.print(trial_table(history, by_number, states=True))


def _write_csv(history: "History", path: Path, *, overwrite: bool) -> None:
    from search.errors import SettingsError
    from tracking.files import whole_file

    if path.exists() and not overwrite:
        raise SettingsError(f"{path} exists; replace it with `--overwrite`, or name another file")
    text = csv_text(history)
    # Only by this mark do spreadsheets know UTF-8; pandas skips it.
    encoding = "utf-8" if text.isascii() else "utf-8-sig"
    try:
        with whole_file(path) as file:
            file.write(text.encode(encoding))
    except OSError as error:
        raise SettingsError(
            f"{path} cannot be written ({error.strerror}); name a file in a folder of your own"
        ) from error


def csv_text(history: "History") -> str:
    """Return all trials of a study as CSV, one a line, by number."""
    from csv import writer
    from io import StringIO

    rows = [_csv_row(history, number) for number in sorted(history.trials)]
    columns = list(dict.fromkeys(name for row in rows for name in row)) or [*_CSV_FIRST, *_CSV_LAST]
    # The last ones are told of every trial; between them come names that only some have.
    last = [name for name in columns if name in _CSV_LAST]
    columns = [name for name in columns if name not in _CSV_LAST] + last
    text = StringIO()
    lines = writer(text, lineterminator="\n")
    lines.writerow(map(_cell, columns))
    lines.writerows([_cell(row.get(name)) for name in columns] for row in rows)
    return text.getvalue()


_CSV_FIRST = ("trial", "state", "origin", "proposed_by")
_CSV_LAST = (
    "score_so_far",
    "folds",
    "epochs_trained",
    "train_seconds",
    "started_at",
    "ended_at",
    "model_parameters",
    "reason",
)


def _csv_row(history: "History", number: int) -> dict[str, Any]:
    from tracking.stages import score_so_far

    trial = history.trials[number]
    ended, confirmed = trial.ended, trial.confirmed
    epochs = sum(len(fold.epochs) for fold in trial.folds.values())
    scores = ended.scores if ended and ended.state == "complete" else {}
    return {
        "trial": number,
        "state": trial.state.shown,
        "origin": trial.started.origin,
        "proposed_by": trial.started.proposed_by,
        **{f"params_{name}": value for name, value in trial.started.parameters.items()},
        **scores,
        "score_so_far": score_so_far(trial, history.objectives[0]),
        **{f"confirmed_{n}": score for n, score in (confirmed.scores if confirmed else {}).items()},
        "folds": len(trial.finished_folds()),
        "epochs_trained": ended.epochs_trained if ended else epochs,
        "train_seconds": ended.train_seconds if ended else None,
        "started_at": _utc(trial.started.at),
        "ended_at": _utc(ended.at) if ended else None,
        "model_parameters": (ended.model_parameters or None) if ended else None,
        "reason": ended.reason if ended else "",
    }


def _utc(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _cell(value: Any) -> Any:
    """Return a value as CSV holds it: numbers to the last digit, texts that are no formulas."""
    from spaces import value_text

    if value is None or isinstance(value, bool | int | float):
        return value
    text = value if isinstance(value, str) else value_text(value)
    return (
        f"'{text}"
        if text.startswith(("=", "+", "-", "@", "\t", "\r")) and not _is_number(text)
        else text
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
