"""`studies`: all studies of a home; `stop`, `rename`, `delete`: what is done to one of them."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from search.cli.output import DEFAULT_HOME, AsJson, Home, StudyName, TrackingUri
from tracking.objectives import DEFAULT, measure_text
from tracking.text import counted, joined, shell

if TYPE_CHECKING:
    from tracking.history import History
    from tracking.home import StudyFolder

_PAUSE = 0.2  # seconds between two looks at whether a study is still run


def studies(home: Home = DEFAULT_HOME, json: AsJson = False) -> None:
    """List all studies: their space, dataset, state and best score so far."""
    from search.cli.output import Notices, console, print_json
    from search.studies import readable_studies
    from tracking.home import Home as HomeFolder

    folders = HomeFolder(home)
    found = readable_studies(folders, Notices(quiet=json))
    rows = [_row(name, history, folders.study(name)) for name, history in found.items()]
    if json:
        print_json(rows)
    elif rows:
        console.print(_table(rows))
    else:
        console.print(f"No study in {home} yet. Begin one: {shell('run', '--space', 'lenet')}")


def _table(rows: list[dict[str, Any]]) -> Any:
    from search.cli.tables import Column, Listing

    columns = [
        Column("study", is_number=False),
        Column("space", is_number=False, spare=4),
        Column("dataset", is_number=False, spare=3),
        Column("state", is_number=False),
        Column("trials"),
        Column("best"),
        Column("begun", is_number=False, spare=2),
        Column("driver", is_number=False, spare=1),
    ]
    if any(row["objectives"] != [DEFAULT] for row in rows):
        columns.insert(5, Column("searched for", is_number=False))
    made = Listing(columns)
    for row in rows:
        begun = datetime.fromtimestamp(row["begun"]).strftime("%Y-%m-%d %H:%M")  # local
        cells = {
            "study": row["study"],
            "space": _short(row["space"]),
            "dataset": _short(row["dataset"]),
            "state": row["state"],
            "trials": f"{row['finished']} of {row['trials']}",
            "searched for": ", ".join(row["objectives"]),
            "best": measure_text(row["objectives"][0], row["best"]),
            "begun": begun,
            "driver": f"{row['driver']}/{row['sampler'].rpartition(':')[2]}",
        }
        made.add_row([cells[column.heading] for column in columns])
    return made


def _short(reference: str) -> str:
    """Return a reference without the folders of its files."""
    kind, colon, rest = reference.partition(":")
    if "/" in kind:  # a space: FILE.py:SPACE
        return f"{Path(kind).name}{colon}{rest}"
    return kind + colon + ",".join(Path(part).name for part in rest.split(","))


def _row(name: str, history: "History", folder: "StudyFolder") -> dict[str, Any]:
    start, best = history.known_study(), history.best()
    return {
        "study": name,
        "space": start.space,
        "dataset": start.dataset["name"],
        "driver": start.driver,
        "sampler": start.settings["sampler"],
        "folds": start.folds,
        "begun": start.at,
        "state": _state(history, folder),
        "trials": history.sessions[-1].trials if history.sessions else 0,
        "finished": len(history.finished()),
        "objectives": [objective.name for objective in history.objectives],
        "best": None if best is None else best.value,
        "best_confirmed": (
            None if best is None else best.confirmed_score(history.objectives[0].name)
        ),
        "best_trial": None if best is None else best.number,
        "last_session": history.last_end.reason if history.last_end else "unfinished",
    }


_STATES = {
    "complete": "finished",
    "exhausted": "finished",
    "enough": "finished",
    "failed": "failed",
    "stopped": "stopped",
}


def _state(history: "History", folder: "StudyFolder") -> str:
    """Return `running`, `finished`, `failed` (every trial of late), `stopped` or `interrupted`."""
    from tracking.lock import holder

    end = history.last_end
    if end is None and holder(folder.lock) is not None:
        return "running"
    return "interrupted" if end is None else _STATES.get(end.reason, "interrupted")


def stop(
    study: StudyName,
    now: Annotated[
        bool,
        typer.Option("--now", help="At the next epoch's end; folds in training are not finished."),
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Wait until it has ended. [default: wait]")
    ] = True,
    home: Home = DEFAULT_HOME,
    json: AsJson = False,
) -> None:
    """End a running study from another terminal, once its folds in training have ended.

    One that is not training yet, but loading TensorFlow or being measured, ends at once. It ends
    as after Ctrl-C: everything is kept, and the same `run` continues it. Ctrl-C ends only the
    waiting.
    """
    from search.cli.output import print_json, say
    from search.cli.watch import print_idle
    from search.studies import StudyReader, known_reader, study_folder
    from search.study.budget import StopRequest
    from tracking.home import Home as HomeFolder
    from tracking.lock import holder

    folder = study_folder(HomeFolder(home), study)
    runs = holder(folder.lock)
    # A new study that is being measured has no records yet.
    reader = known_reader(HomeFolder(home), study) if runs is None else StudyReader(folder)
    if runs is not None:
        request = StopRequest(folder)
        request.write(StopRequest.NOW if now else StopRequest.FOLDS)
        if not json:
            when = "at the next epoch's end" if now else "once the folds in training have ended"
            say(f"{study} is run by {runs}; it ends {when}.")
        if wait:
            _wait_for_end(folder, runs)
            request.withdraw()
    history = reader.read()
    left = _left(history)
    if json:
        is_run = runs is not None and holder(folder.lock) == runs
        print_json({"study": study, "was_running": runs is not None, "is_running": is_run, **left})
    elif (runs is None or wait) and history.study is None:
        say(f"{study} had not begun: nothing of it is recorded.")
    elif runs is None or wait:
        print_idle(history, home)
        say(_left_text(left))


def _wait_for_end(folder: "StudyFolder", runs: str) -> None:
    import time

    from tracking.lock import holder

    while holder(folder.lock) == runs:
        time.sleep(_PAUSE)


def _left(history: "History") -> dict[str, int]:
    """Return how many trials are unfinished, wait for a race, or have not begun."""
    trials = history.trials.values()
    wanted = history.sessions[-1].trials if history.sessions else 0
    waiting = sum(trial.state.shown == "waiting" for trial in trials)
    return {
        "unfinished": sum(trial.ended is None for trial in trials) - waiting,
        "waiting": waiting,
        "not_begun": max(0, wanted - len(history.trials)),
    }


def _left_text(left: Mapping[str, int]) -> str:
    words = {
        "unfinished": "unfinished",
        "waiting": "waiting for the race",
        "not_begun": "not begun",
    }
    parts = [f"{counted(left[name], 'trial')} {word}" for name, word in words.items() if left[name]]
    return f"Left      {joined(parts)}" if parts else "Nothing is left to do."


def rename(
    study: StudyName,
    new: Annotated[str, typer.Argument(metavar="NEW", help="The new name.")],
    tracking_uri: TrackingUri = None,
    home: Home = DEFAULT_HOME,
    json: AsJson = False,
) -> None:
    """Give a study another name, in the home and in MLflow.

    Its experiment in MLflow follows. A registered model keeps its name, so that what loads
    `models:/NAME@champion` goes on working and gets what is exported later, too. Exported models
    and reports stay as they are: they are files of your own.
    """
    from search.cli.output import Notices, print_json, say
    from search.studies import rename_study
    from search.tracker import Tracker
    from tracking.home import Home as HomeFolder

    folders, notify = HomeFolder(home), Notices(quiet=json)
    tracker = Tracker(folders, tracking_uri)
    history = rename_study(folders, study, new, notify)
    waiting = tracker.sync(folders.study(new), notify)
    if json:
        document = {"study": new, "was": study, "records_not_in_mlflow": waiting}
        print_json(document | {"notices": notify.texts})
        return
    say(f"Study {study} is now {new}.")
    if history.exports:
        say(
            "Kept as they are: its exported models, and the registered model's name in MLflow,"
            " of which later exports become versions."
        )
    place = () if home == DEFAULT_HOME else ("--home", str(home))
    say(f"Continue  {shell('run', '--study', new, *place)}")


def delete(
    study: StudyName,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    keep_experiment: Annotated[
        bool, typer.Option("--keep-experiment", help="Leave MLflow's experiment as it is.")
    ] = False,
    tracking_uri: TrackingUri = None,
    home: Home = DEFAULT_HOME,
    json: AsJson = False,
) -> None:
    """Delete a study: its folder in the home; its experiment in MLflow is marked deleted.

    Exported models, reports, registered models and the dataset are not deleted. MLflow keeps what
    is marked deleted until `mlflow gc`.
    """
    from search.cli.output import Notices, print_json, say
    from search.errors import FoldwiseError
    from search.studies import delete_study, known_study
    from search.tracker import Tracker
    from tracking.home import Home as HomeFolder

    folders, notify = HomeFolder(home), Notices(quiet=json)
    tracker = Tracker(folders, tracking_uri)
    folder, history = known_study(folders, study)
    kept = _kept(history, folder, tracker)
    if not yes:
        _ask(study, history, folder, kept)
    experiment = None

    def forget() -> None:
        nonlocal experiment
        try:
            experiment = tracker.delete_experiment(history.known_study().id)
        except Exception as error:
            raise FoldwiseError(
                f"MLflow at {tracker.shown_uri} cannot mark the study's experiment deleted"
                f" ({error}); nothing was deleted. Try again once it answers, or leave the"
                " experiment there with `--keep-experiment`"
            ) from error

    delete_study(folder, (lambda: None) if keep_experiment else forget)
    if json:
        print_json(
            {"deleted": study, "experiment": experiment, "kept": kept, "notices": notify.texts}
        )
        return
    gone = "" if experiment is None else f"; MLflow's experiment {experiment} is marked deleted"
    say(f"Study {study} is deleted{gone}.")
    for text in kept:
        say(f"Not deleted: {text}")


def _ask(study: str, history: "History", folder: "StudyFolder", kept: list[str]) -> None:
    import sys

    from search.cli.output import say
    from search.errors import FoldwiseError, SettingsError
    from tracking.files import amount

    if not sys.stdin.isatty():
        raise SettingsError(
            "`delete` asks before it deletes, and there is no terminal to ask at; add `--yes`"
        )
    size = sum(path.stat().st_size for path in folder.root.rglob("*") if path.is_file())
    trials = counted(len(history.trials), "trial")
    say(f"Study {study}: {trials}, {amount(size)} in {folder.root}")
    for text in kept:
        say(f"Not deleted: {text}")
    if not typer.confirm(f"Delete study {study}?"):
        raise FoldwiseError("nothing was deleted, as you did not agree")


def _kept(history: "History", folder: "StudyFolder", tracker: Any) -> list[str]:
    """Return what of a study is not deleted with it."""
    exports = dict.fromkeys(each.folder for each in history.exports)
    kept = [f"the exported model in {export}" for export in exports if Path(export).exists()]
    if exports:
        kept.append("its registered model in MLflow")
    elsewhere = tracker.others(folder)
    if elsewhere:
        kept.append(f"its experiment at {counted(elsewhere, 'other address')} of MLflow")
    return kept
