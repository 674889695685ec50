"""The text a visitor of a study's experiment reads first, as Markdown."""

from shlex import quote

from tracking.history import History, TrialHistory
from tracking.records import StudyStarted

_MAX_LENGTH = 16_000  # MLflow takes 20,000 characters a tag

_COLUMNS = """\
| column | meaning |
|---|---|
| `cv_accuracy` | mean accuracy over all folds, each scored on data it was not trained on; \
what the search maximises |
| `cv_accuracy_std` | sample standard deviation of the folds' accuracies |
| `cv_loss` | mean cross-entropy over the folds |
| `macro_f1` | unweighted mean of the classes' F1 over all out-of-fold predictions |
| `loss`, `accuracy`, `val_loss`, `val_accuracy` | mean over the folds, by epoch |
| `train_seconds`, `epochs_trained` | sums over the folds |
| `model_parameters` | weights of the model |

Trials that were pruned or failed have no `cv_accuracy`: their folds are not all there, so their \
scores cannot be compared. A trial's folds are its child runs."""


def describe(history: History) -> str:
    """Return what the study is, what it found so far and what to do with it.

    Raises:
        ValueError: `history` has no `StudyStarted`.
    """
    study = history.known_study()
    parts = [
        _found(history),
        _commands(study),
        _setup(study),
        _COLUMNS,
        _openings(history),
    ]
    return "\n\n".join(part for part in parts if part)[:_MAX_LENGTH]


def _found(history: History) -> str:
    lines = []
    best = history.best()
    if best is None:
        lines.append("**No complete trial yet.**")
    else:
        lines.append(f"**Best so far: {trial_name(best)}, {_score(best)}.**")
        setting = ", ".join(f"`{k}`={_short(v)}" for k, v in best.started.parameters.items())
        lines.append(setting)
    states = [trial.state for _, trial in sorted(history.trials.items())]
    counts = ", ".join(
        f"{states.count(state)} {state}"
        for state in ("complete", "pruned", "failed", "running")
        if state in states
    )
    lines.append(f"Trials: {counts or 'none yet'}. {_session(history)}")
    return "\n\n".join(lines)


def _session(history: History) -> str:
    if not history.sessions:
        return ""
    aim = f"aiming at {history.sessions[-1].trials}"
    if history.last_end is None:
        return f"The search is running, {aim}."
    return f"The last session, {aim}, ended: {history.last_end.reason}."


def _score(trial: TrialHistory) -> str:
    scores = trial.ended.scores if trial.ended else {}
    score = f"`cv_accuracy` {scores.get('cv_accuracy', trial.value or 0.0):.4f}"
    if "cv_accuracy_std" in scores:
        score += f" ± {scores['cv_accuracy_std']:.4f} over {len(trial.finished_folds())} folds"
    return score


def trial_name(trial: TrialHistory) -> str:
    """Return the trial's name: its number, and its baseline's name if it is one."""
    kind, _, name = trial.started.origin.partition(":")
    return f"trial {trial.number} ({name})" if kind == "baseline" else f"trial {trial.number}"


def _commands(study: StudyStarted) -> str:
    name = quote(study.study)
    return f"""\
| to | run |
|---|---|
| continue | `python -m search run --study {name} --trials N` |
| see | `python -m search show {name}` |
| export the best | `python -m search export {name} --to DIR` |"""


def _setup(study: StudyStarted) -> str:
    data = study.dataset
    classes = data.get("classes") or []
    settings = ", ".join(f"`{k}`={_short(v)}" for k, v in sorted(study.settings.items()))
    return "\n".join(
        [
            f"- Space `{study.space}`, driver `{study.driver}`, {study.folds} fold(s),"
            " the same for every trial.",
            f"- Dataset `{data.get('name')}` from {data.get('source')}: {data.get('samples')}"
            f" training samples, {len(classes)} classes, digest `{str(data.get('digest'))[:12]}`.",
            f"- Settings: {settings}" if settings else "",
        ]
    ).strip()


def _openings(history: History) -> str:
    if not history.test_openings:
        return "The test set has not been opened."
    last = history.test_openings[-1]
    count = len(history.test_openings)
    return (
        f"The test set was opened {count} time(s); the last, for trial {last.trial}:"
        f" accuracy {last.accuracy:.4f}."
    )


def _short(value: object) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
