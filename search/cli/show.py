"""`show`: one study, or one trial of it."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from search.cli.options import DEFAULT_HOME, AsJson, Home, StudyName

if TYPE_CHECKING:
    from rich.text import Text

    from tracking.history import History, TrialHistory
    from tracking.records import StudyStarted


def show(
    study: StudyName,
    trial: Annotated[int | None, typer.Option(help="Show this trial in full.")] = None,
    home: Home = DEFAULT_HOME,
    json: AsJson = False,
) -> None:
    """Show a study's trials, best first, or all of one trial."""
    from search.cli.output import print_json
    from search.cli.summary import trial_document
    from search.opening import known_study
    from tracking.home import Home as HomeFolder

    _, history = known_study(HomeFolder(home), study)
    if trial is not None:
        _show_trial(history, trial, json)
    elif json:
        print_json(_document(history, trial_document))
    else:
        _print_study(history)


def _show_trial(history: "History", number: int, as_json: bool) -> None:
    from search.cli.output import print_json
    from search.cli.summary import trial_document
    from search.errors import SettingsError

    if number not in history.trials:
        last = len(history.trials) - 1
        raise SettingsError(f"`--trial` must be within 0..{last}; got {number}")
    trial = history.trials[number]
    if as_json:
        ended = trial.ended
        print_json(
            {
                **trial_document(trial),
                "curves": trial.mean_curves(),
                "confusion": ended.confusion if ended else [],
                "report": ended.report if ended else {},
                "error": ended.error if ended else "",
            }
        )
    else:
        _print_trial(history, trial)


def _document(history: "History", trial_document: Any) -> dict[str, Any]:
    best = history.best()
    return {
        **(history.study.to_json() if history.study else {}),
        "best_trial": None if best is None else best.number,
        "trials": [trial_document(trial) for trial in history.trials.values()],
        "exports": [export.to_json() for export in history.exports],
        "test_set_openings": [opening.to_json() for opening in history.test_openings],
    }


def _print_study(history: "History") -> None:
    from rich.markup import escape

    from search.cli.output import console, duration, percent, setting_text, table
    from search.cli.summary import origin_text

    start = history.study
    if start is None:
        return
    data, settings = start.dataset, start.settings
    console.print(
        f"[bold]{escape(start.study)}[/]: space {escape(start.space)}, {data['samples']:,} training"
        f" samples of {data['name']}, {start.folds} fold(s), {_epochs(start)} epochs,"
        f" seed {settings['seed']}, {start.driver}/{settings['sampler']}",
        soft_wrap=True,
    )
    searched = [p["name"] for p in start.parameters if p["searched"]]
    made = table(
        "trial",
        "state",
        "accuracy",
        "± folds",
        "time",
        "setting",
        right=("trial", "accuracy", "± folds", "time"),
    )
    unfinished = [t for t in history.trials.values() if t.value is None]
    for trial in [*history.completed(), *unfinished]:
        ended = trial.ended
        scores = ended.scores if ended else {}
        made.add_plain_row(
            str(trial.number),
            _state_text(trial),
            percent(ended.value if ended else None),
            percent(scores.get("cv_accuracy_std")),
            duration(ended.train_seconds) if ended else "-",
            origin_text(trial) + setting_text(trial.started.parameters, searched),
        )
    console.print(made)
    _print_stops(history)
    _print_test_openings(history)


def _epochs(start: "StudyStarted") -> str:
    """Return the epochs, which `--set` may have made a range."""
    return next(str(p["range"]) for p in start.parameters if p["name"] == "epochs")


def _state_text(trial: "TrialHistory") -> "Text":
    from rich.text import Text

    colours = {"complete": "green", "pruned": "dim", "failed": "red", "running": "yellow"}
    return Text(trial.state, style=colours[trial.state])


def _print_stops(history: "History") -> None:
    from rich.markup import escape

    from search.cli.output import console

    stopped = [t for t in history.finished() if t.ended and t.ended.reason]
    for trial in stopped:
        if trial.ended:
            console.print(
                f"[dim]trial {trial.number} {trial.state}: {escape(trial.ended.reason)}[/]"
            )


def _print_test_openings(history: "History") -> None:
    from search.cli.output import console, percent

    for number, opening in enumerate(history.test_openings, start=1):
        console.print(
            f"test set opened ({number}) by {opening.by}: trial {opening.trial},"
            f" accuracy {percent(opening.accuracy)}"
        )


def _print_trial(history: "History", trial: "TrialHistory") -> None:
    from rich.markup import escape

    from search.cli.output import console, duration, percent, table, value_text
    from search.cli.summary import origin_text

    console.print(f"[bold]Trial {trial.number}[/] {escape(origin_text(trial))}", _state_text(trial))
    for name, value in trial.started.parameters.items():
        console.print(f"  {name} = {value_text(value)}")
    folds = table(
        *("fold", "accuracy", "loss", "macro F1", "epochs", "time"),
        right=("fold", "accuracy", "loss", "macro F1", "epochs", "time"),
    )
    for number, ended in trial.finished_folds().items():
        folds.add_plain_row(
            str(number),
            percent(ended.accuracy),
            percent(ended.loss),
            percent(ended.macro_f1),
            str(ended.epochs),
            duration(ended.seconds),
        )
    console.print(folds)
    if trial.ended is None:
        return
    for name, score in trial.ended.scores.items():
        console.print(f"  {name} = {percent(score)}")
    if trial.ended.reason:
        console.print(f"  {trial.state}: {escape(trial.ended.reason)}")
    _print_confusion(history, trial.ended.confusion)
    if trial.ended.error:
        console.print(escape(trial.ended.error), soft_wrap=True)


def _print_confusion(history: "History", confusion: list[list[int]]) -> None:
    from search.cli.output import console, table

    if not confusion or history.study is None or len(confusion) > 12:
        return
    names = [str(name) for name in history.study.dataset["classes"]]
    made = table(
        "true \\ predicted",
        *(name[:8] for name in names),
        right=tuple(name[:8] for name in names),
        title="Out-of-fold confusion matrix",
    )
    for name, row in zip(names, confusion, strict=True):
        made.add_plain_row(name, *(str(count) if count else "·" for count in row))
    console.print(made)
