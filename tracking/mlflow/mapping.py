"""What a study's records say in MLflow's words: names, tags and metrics of its runs.

Plain data only, so that this can be read and tested without MLflow.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tracking.history import FoldHistory, History, TrialHistory
from tracking.mlflow.description import run_name, trial_name
from tracking.mlflow.views import confirmed_name
from tracking.objectives import number_text
from tracking.plots import trial_colour
from tracking.records import EpochEnded, Json, StudyStarted, TrialConfirmed, TrialEnded
from tracking.stages import compared_after, retries, stopping_point

Tags = dict[str, str]
_ENVIRONMENT = ("versions", "host", "platform", "cpus", "precision", "workers")
_MAX_TAG = 5000  # characters; MLflow's servers of the last years take at least these
# MLflow's pages mark FINISHED runs with a green tick, FAILED and KILLED ones with a red cross, and
# SCHEDULED ones, as RUNNING ones, with a clock. A pruned trial was stopped before its end, and no
# tick may stand beside it; `search.state` and `search.reason` tell it from a failed one.
STATUS = {"complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}
# What nobody trains now, and what goes on later: trials that wait in a race or that an interruption
# left, and their folds.
UNFINISHED = "SCHEDULED"
BEST_MARK, FRONT_MARK = "search.best", "search.front"  # tags of complete trials
# Of a session by its reason; FINISHED for any other.
SESSION_STATUS = {"interrupted": UNFINISHED, "stopped": UNFINISHED, "failed": "FAILED"}


@dataclass(frozen=True)
class RunKey:
    """Which run of a study is meant.

    Attributes:
        kind: `study`, `trial`, `fold` or `final`.
        trial: number from 0; None for the study's run.
        fold: number from 1, of a fold's run.
        model: SHA-256 of the model, of a final run.
    """

    kind: str
    trial: int | None = None
    fold: int | None = None
    model: str | None = None

    def tags(self) -> Tags:
        """Return the tags that mark the run in MLflow."""
        marks = {
            "search.kind": self.kind,
            "search.trial": self.trial,
            "search.fold": self.fold,
            "search.model_sha256": self.model,
        }
        return {name: str(value) for name, value in marks.items() if value is not None}

    @classmethod
    def of(cls, tags: Mapping[str, str]) -> "RunKey":
        """Return the key that `tags` was written for."""
        trial, fold = tags.get("search.trial"), tags.get("search.fold")
        return cls(
            tags.get("search.kind", ""),
            None if trial is None else int(trial),
            None if fold is None else int(fold),
            tags.get("search.model_sha256"),
        )


@dataclass(frozen=True)
class Point:
    """One value of a metric.

    Attributes:
        at: seconds since 1970 (UTC).
    """

    name: str
    value: float
    at: float
    step: int = 0


def experiment_tags(study: StudyStarted) -> Tags:
    """Return what identifies the study on its experiment."""
    return _texts(
        {
            "mlflow.experimentKind": "custom_model_development",
            "search.study_id": study.id,
            "search.study": study.study,
            "search.space": study.space,
            "search.driver": study.driver,
            "search.dataset": study.dataset.get("name"),
            "search.dataset_digest": study.dataset.get("digest"),
            "search.task": study.task,
            "search.folds": study.folds,
            "search.folds_digest": study.folds_digest,
            "search.seed": study.settings.get("seed"),
            "search.learned_from": ", ".join(
                str(one["study"]) for one in study.learned.get("studies", ())
            )
            or None,
        }
    )


def common_tags(history: History) -> Tags:
    """Return the tags that every run of the study carries."""
    tags: Json = {"mlflow.source.type": "LOCAL", "mlflow.source.name": "foldwise"}
    if history.study:
        tags |= {
            "search.study": history.study.study,
            "search.space": history.study.space,
            "search.driver": history.study.driver,
        }
    environment = history.sessions[-1].environment if history.sessions else {}
    git = environment.get("git") or {}
    tags |= {f"search.{name}": environment.get(name) for name in _ENVIRONMENT}
    tags |= {
        "search.plan": history.sessions[-1].plan.get("told") if history.sessions else None,
        "search.git_commit": git.get("commit"),
        "search.git_dirty": git.get("dirty"),
        "mlflow.source.git.commit": git.get("commit"),  # what MLflow's pages show as version
    }
    return _texts(tags)


def run_label(history: History, key: RunKey) -> str:
    """Return the name of a study's run."""
    study = history.known_study()
    match key:
        case RunKey("trial", int(number)):
            what = trial_name(history.trials[number])
        case RunKey("fold", number, int(fold)):
            further = "confirmation " if fold > study.folds else ""
            what = f"{further}fold {fold} of trial {number}"
        case RunKey("final", number):
            what = f"final model of trial {number}"
        case _:
            what = key.kind
    return run_name(what, study)


def colour_tags(trial: TrialHistory) -> Tags:
    """Return the tag by which MLflow draws a trial as other pictures do."""
    return {"mlflow.runColor": trial_colour(trial.number)}


def trial_tags(trial: TrialHistory) -> Tags:
    """Return a trial's tags as it starts."""
    marks = {"search.origin": trial.started.origin, "search.state": "running"}
    if trial.started.proposed_by:
        marks["search.proposed_by"] = trial.started.proposed_by
    return RunKey("trial", trial.number).tags() | colour_tags(trial) | marks


def fold_tags(fold: FoldHistory, parent: str, *, confirms: bool = False) -> Tags:
    """Return a fold's tags as it starts.

    Args:
        fold: the fold.
        parent: its trial's run.
        confirms: whether it is no part of the trial's score but one that confirms it.
    """
    started = fold.started
    tags = RunKey("fold", started.trial, started.fold).tags() | {
        "mlflow.parentRunId": parent,
        "search.state": "running",
        "search.started": repr(fold.began_at),
    }
    return tags | ({"search.confirmation": "true"} if confirms else {})


def epoch_points(epochs: Iterable[EpochEnded]) -> list[Point]:
    """Return the epochs' metrics, the step being the epoch."""
    return [
        Point(name, value, epoch.at, epoch.epoch)
        for epoch in epochs
        for name, value in epoch.metrics.items()
    ]


def fold_points(fold: FoldHistory) -> list[Point]:
    """Return a finished fold's scores; none while it trains.

    Their names are not the trial's, so that sorting trials by a score never mixes in folds.
    """
    ended = fold.ended
    if ended is None:
        return []
    names = dict.fromkeys(("accuracy", "loss", "macro_f1", *ended.metrics))
    scores = {f"fold_{name}": ended.metric(name) for name in names}
    scores["train_seconds"] = round(ended.seconds, 2)
    return [Point(n, value, ended.at) for n, value in scores.items() if value is not None]


def trial_points(trial: TrialHistory, ended: TrialEnded) -> list[Point]:
    """Return a finished trial's mean curves and its figures; scores only if it is complete."""
    sums = {
        "train_seconds": round(ended.train_seconds, 2),
        "epochs_trained": ended.epochs_trained,
    }
    if ended.model_parameters:  # else no model came to be built, or what it was is not known
        sums["model_parameters"] = ended.model_parameters
    scores = ended.scores if ended.state == "complete" else {}
    curves = [
        # The trial saw an epoch when its last fold saw it; the same whoever ships the record.
        Point(name, value, _epoch_time(trial, epoch), epoch)
        for epoch, row in enumerate(trial.mean_curves(), start=1)
        for name, value in row.items()
    ]
    return curves + [Point(name, value, ended.at) for name, value in (scores | sums).items()]


def ended_tags(trial: TrialHistory, ended: TrialEnded, marks: Sequence[str] = ()) -> Tags:
    """Return the tags that say how a trial ended; `mlflow.note.content` is its description.

    Args:
        trial: the trial.
        ended: its end.
        marks: in what it was trained otherwise than the study's first trials.
    """
    told = [f"{ended.state.capitalize()}: {ended.reason}"] if ended.reason else []
    note = "\n\n".join(
        [*told, *retries(trial), *(f"{mark[:1].upper()}{mark[1:]}" for mark in marks)]
    )
    tags = {"search.state": ended.state, "search.reason": ended.reason, "mlflow.note.content": note}
    tags["search.device"] = ended.device
    tags["search.trained_otherwise"] = "; ".join(marks)
    if trial.params != trial.started.parameters:
        tags["search.batch_size"] = str(trial.params.get("batch_size", ""))
    if compared_after(trial):
        tags["search.compared_after"] = str(compared_after(trial))
    if ended.state == "pruned":
        fold, epoch = stopping_point(trial)
        tags |= {"search.stopped_fold": str(fold), "search.stopped_epoch": str(epoch)}
    if ended.report and ended.state == "complete":  # the grid of images shows ten runs
        tags["mlflow.loggedImages"] = "True"
    return _texts({name: value for name, value in tags.items() if value})


def mark_tags(history: History) -> dict[int, Tags]:
    """Return, for each complete trial by number, how it compares with the others by now."""
    best, several = history.best(), len(history.objectives) > 1
    front = {trial.number for trial in history.front()} if several else set()
    marks = {}
    for trial in history.completed():
        marks[trial.number] = {BEST_MARK: _truth(trial is best)}
        if several:
            marks[trial.number][FRONT_MARK] = _truth(trial.number in front)
    return marks


def confirmed_points(confirmed: TrialConfirmed) -> list[Point]:
    """Return the scores on the folds a trial was confirmed on, by names of their own."""
    return [
        Point(confirmed_name(name), value, confirmed.at) for name, value in confirmed.scores.items()
    ]


def confirmed_tags(trial: TrialHistory, confirmed: TrialConfirmed) -> Tags:
    """Return the tags that say on how many folds a trial was confirmed, or that this failed."""
    if confirmed.error:
        return {"search.confirmation": "failed"}
    folds = len(trial.finished_confirmation_folds())
    return {"search.confirmation": "complete", "search.confirmation_folds": str(folds)}


def text_params(values: Json) -> dict[str, str]:
    """Return settings as MLflow's params: text of at most 6,000 characters.

    A text that reads as another kind of value stands in quotes, so that "1" is not taken for 1.
    """
    return {name: _param(value)[:6000] for name, value in values.items()}


def _param(value: object) -> str:
    match value:
        case list() | tuple():
            inner = ", ".join(map(_param, value))
            return f"({inner},)" if len(value) == 1 else f"({inner})"
        case str() if _reads_as_no_text(value):
            return json.dumps(value, ensure_ascii=False)
        case _:
            return _text(value)


def _reads_as_no_text(text: str) -> bool:
    if not text or text != text.strip() or text[0] in '"(' or text in ("None", "True", "False"):
        return True
    try:
        float(text)
    except ValueError:
        return False
    return True


def finite(value: float) -> float:
    """Return `value`, NaN for infinities: MLflow would store those as 1.8e308 and chart that."""
    return value if math.isfinite(value) else math.nan


def _epoch_time(trial: TrialHistory, epoch: int) -> float:
    return max(fold.epochs[epoch].at for fold in trial.folds.values() if epoch in fold.epochs)


def _truth(value: bool) -> str:
    return "true" if value else "false"


def _texts(values: Json) -> Tags:
    """Return tags: text for people, whose numbers have four digits."""
    told = {n: number_text(v) if isinstance(v, float) else v for n, v in values.items()}
    return {name: _text(value)[:_MAX_TAG] for name, value in told.items() if value is not None}


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.12g}"  # 0.15, not 0.15000000000000002
    return json.dumps(value) if isinstance(value, dict | list | tuple) else str(value)
