"""The text a visitor of a study's experiment reads first, as Markdown."""

from collections.abc import Iterator
from pathlib import PurePath
from shlex import quote

from tracking.history import History, TrialHistory
from tracking.mlflow.views import confirmed_name
from tracking.objectives import measure_text, measured_of
from tracking.records import CLASSIFICATION, MULTI_LABEL, MULTI_OUTPUT, REGRESSION, StudyStarted
from tracking.stages import confirmed_spread, count_stages, spread
from tracking.text import counted

_MAX_LENGTH = 16_000  # MLflow takes 20,000 characters a tag

# Lists and no tables: MLflow's pages leave no room between the columns of one.
_VIEWS = """\
The menu at the top right has two views:

- *Best trials first*: state, scores and settings of every trial in a table
- *Compare*: all trials' curves, what their settings scored, their {pictures}

A trial's page has `curves.png` (every fold's curves) and {file} among its \
artifacts; its folds are its child runs. To see this study beside another, tick both on \
the page *Experiments* and press *Compare*; there, search for ``tags.`search.kind` = 'trial'`` and \
tick *Experiment Name* and `{main}` under *Columns*."""
_PICTURES = {
    CLASSIFICATION: ("confusion matrices", "`confusion_matrix.png` (out of fold)"),
    MULTI_LABEL: ("confusion matrices", "`confusion_matrices.png` (out of fold)"),
    REGRESSION: (
        "predictions and errors",
        "`predictions.png` (out of fold: predicted against actual values, errors, errors by size)",
    ),
    MULTI_OUTPUT: (
        "predictions of each output",
        "a folder for each output with pictures of its predictions (out of fold)",
    ),
}
_ANY_PICTURES = ("predictions", "what shows its predictions (out of fold)")
# What no record says in a phrase, or better than it.
_MEANINGS = {
    "cv_accuracy": "mean accuracy over all folds, each scored on data it was not trained on",
    "macro_f1": "unweighted mean of the classes' F1 over all out-of-fold predictions",
}
_PROBABILITIES = """\
- `cv_ece`, `cv_brier`: expected calibration error and Brier score of all out-of-fold probabilities,
  before any calibration; smaller is better"""
_LATENCY = "- `latency_ms`: milliseconds to predict one sample by itself, the median of many"
_SUMS = """\
- `train_seconds`, `epochs_trained`: sums over the folds
- `model_parameters`: weights of the model"""


def describe(history: History) -> str:
    """Return what the study is, what it found so far and what to do with it.

    Raises:
        ValueError: `history` has no `StudyStarted`.
    """
    study = history.known_study()
    parts = [
        _found(history),
        _views(study),
        _commands(study),
        _setup(study),
        _columns(history),
        _reading(history),
        *(f"**Note:** {notice.text}" for notice in history.notices),
        _openings(history),
    ]
    return "\n\n".join(part for part in parts if part)[:_MAX_LENGTH]


def _found(history: History) -> str:
    lines = []
    best = history.best()
    if best is None:
        lines.append("No complete trial yet.")
    else:
        # MLflow's list of experiments shows the beginning as it is written.
        lines.append(f"Best so far: {trial_name(best)}, {score_text(history, best)}.")
        if history.decision is not None:
            lines.append(history.decision.text)
        params = ", ".join(f"`{k}`={_short(v)}" for k, v in best.started.parameters.items())
        lines.append(params)
    if len(history.objectives) > 1 and history.front():
        lines.append(_front(history))
    counts = ", ".join(f"{count} {stage}" for stage, count in count_stages(history).items())
    lines.append(f"Trials: {counts or 'none yet'}. {_session(history)}")
    return "\n\n".join(lines)


def _session(history: History) -> str:
    if not history.sessions:
        return ""
    aim = f"aiming at {history.sessions[-1].trials}"
    if history.last_end is None:
        return f"The search is running, {aim}."
    ended = f"The last session, {aim}, ended: {history.last_end.reason}."
    return f"{ended} {history.last_end.told}".strip()


def score_text(history: History, trial: TrialHistory) -> str:
    """Return a complete trial's score with its spread; confirmed, if it was."""
    first = history.objectives[0]
    deviation = spread(trial, first)
    text = f"{first.name} {measure_text(first.name, trial.value or 0.0)}"
    if deviation is not None:
        text += f" ± {measure_text(first.name, deviation)} over {len(trial.finished_folds())} folds"
    confirmation_folds, folds = (
        trial.confirmed_score(first.name),
        trial.finished_confirmation_folds(),
    )
    if confirmation_folds is not None:
        text += f"; confirmed on {len(folds)} confirmation folds:"
        text += f" {measure_text(first.name, confirmation_folds)}"
        deviation = confirmed_spread(trial, first)
        if deviation is not None:
            text += f" ± {measure_text(first.name, deviation)}"
    return text


def _front(history: History) -> str:
    """Return the trials that no other beats, the first hundred of them."""
    names = [objective.name for objective in history.objectives]
    rows = [
        f"- {trial_name(trial)}: "
        + ", ".join(f"`{name}` {measure_text(name, trial.score(name))}" for name in names)
        for trial in history.front()[:100]
    ]
    return "\n".join(["Pareto front:", "", *rows])


def _views(study: StudyStarted) -> str:
    pictures, file = _PICTURES.get(study.task, _ANY_PICTURES)
    return _VIEWS.format(pictures=pictures, file=file, main=measured_of(study)[0].name)


def _columns(history: History) -> str:
    names = {objective.name for objective in history.objectives}
    rows = [
        *_scores(history),
        _LATENCY if "latency_ms" in names else "",
        _curves(history.known_study()),
        _SUMS,
    ]
    return "\n".join(["What the columns mean:", "", *(row for row in rows if row)])


def _scores(history: History) -> Iterator[str]:
    """Yield what the scores of complete trials are, a line each."""
    study = history.known_study()
    main, *others = measured_of(study)
    of_classes = study.task == CLASSIFICATION
    values = "accuracies" if main.fold == "accuracy" else f"`{main.fold}`"
    loss = "cross-entropy" if of_classes else "models' own loss, of targets as they are trained on"
    yield f"- `{main.name}`: {_MEANINGS.get(main.name, main.meaning)}"
    yield f"- `{main.name}_std`: sample standard deviation of the folds' {values}"
    yield (
        f"- `cv_loss`: mean {loss} over the folds"
        if of_classes
        else (f"- `cv_loss`: mean over the folds of the {loss}")
    )
    for metric in others:
        yield f"- `{metric.name}`: {_MEANINGS.get(metric.name, metric.meaning)}"
    if any("cv_ece" in trial.ended.scores for trial in history.completed() if trial.ended):
        yield _PROBABILITIES
    if history.confirmed():
        scores = (main.name, f"{main.name}_std", "cv_loss", *(metric.name for metric in others))
        names = ", ".join(f"`{confirmed_name(score)}`" for score in scores)
        yield f"- {names}: the same on confirmation folds, which took no part in the choice"


def _curves(study: StudyStarted) -> str:
    main = measured_of(study)[0]
    names = ["loss", "val_loss", main.epoch]
    if study.task == CLASSIFICATION:
        names = ["loss", "accuracy", "val_loss", "val_accuracy"]
    return f"- {', '.join(f'`{name}`' for name in names)}: mean over the folds, by epoch"


def _reading(history: History) -> str:
    """Return what the search goes for, and how to read trials that have no score."""
    goals = " and ".join(
        f"{'maximises' if o.larger else 'minimises'} `{o.name}` ({o.meaning})"
        for o in history.objectives
    )
    first = history.objectives[0].name
    parts = [f"The search {goals}."]
    if len(history.objectives) > 1:
        parts.append(
            "Trials with the tag `search.front` = `true` are the Pareto front: no other trial is as"
            " good in both and better in one."
        )
    parts.append(
        f"Trials that were pruned or failed have no `{first}`: their folds are not all there, so"
        " their scores cannot be compared. The tag `search.reason` says why;"
        " `search.stopped_fold` and `search.stopped_epoch` where a pruned one stopped."
    )
    if history.confirmed():
        parts.append(
            "The best of many scores is partly luck. The best trials were trained once more on"
            " confirmation folds, cut with other seeds: the child runs named `confirmation fold N`."
            " The best on these is the one marked `search.best` and exported."
        )
    return " ".join(parts)


def trial_name(trial: TrialHistory) -> str:
    """Return the trial's name: its number, and its baseline's name if it is one."""
    kind, _, name = trial.started.origin.partition(":")
    return f"trial {trial.number} ({name})" if kind == "baseline" else f"trial {trial.number}"


def study_label(study: StudyStarted) -> str:
    """Return what tells the study's runs from those of others: its name, and its space's."""
    place, _, name = study.space.rpartition(":")
    passed, _, _ = name.strip().partition(" (")  # of what was passed from Python, its file is told
    space = PurePath(place).stem if place.endswith(".py") else passed
    is_told = _plain(space) in _plain(study.study)
    return study.study if is_told else f"{study.study} ({space})"


def run_name(what: str, study: StudyStarted) -> str:
    """Return a run's name: what it is first, for narrow columns, then whose."""
    return f"{what} · {study_label(study)}"


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")


def _commands(study: StudyStarted) -> str:
    name = quote(study.study)
    return f"""\
In a terminal:

- go on: `foldwise run --study {name} --trials N`
- all trials: `foldwise show {name}`
- train the best on all data: `foldwise export {name} --out DIR`"""


def _setup(study: StudyStarted) -> str:
    data = study.dataset
    names = f"{len(study.classes)} classes"
    if study.task == MULTI_OUTPUT:
        each = ", ".join(f"`{o.name}` ({o.study.task})" for o in study.outputs({}))
        names = f"{len(study.classes)} outputs: {each}"
    elif study.task != CLASSIFICATION:
        what = "label" if study.task == MULTI_LABEL else "number"
        names = (
            f"{counted(len(study.classes), what)} to predict ({_short(', '.join(study.classes))})"
        )
    settings = ", ".join(f"`{k}`={_short(v)}" for k, v in sorted(study.settings.items()))
    return "\n".join(
        [
            "What was searched:",
            "",
            f"- Space `{study.space}`, driver `{study.driver}`, {counted(study.folds, 'fold')},"
            " the same for every trial.",
            f"- Dataset `{data.get('name')}` from {data.get('source')}: {data.get('samples')}"
            f" training samples, {names}, digest `{str(data.get('digest'))[:12]}`.",
            f"- Settings: {settings}" if settings else "",
        ]
    ).strip()


def _openings(history: History) -> str:
    if not history.test_openings:
        return "The test set has not been opened."
    last = history.test_openings[-1]
    count = len(history.test_openings)
    known = {"accuracy": last.accuracy} if last.accuracy is not None else last.scores
    scores = ", ".join(f"{name} {measure_text(name, score)}" for name, score in known.items())
    return (
        f"The test set was opened {counted(count, 'time')}; the last, for trial {last.trial}:"
        f" {scores or 'no scores'}."
    )


def _short(value: object) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
