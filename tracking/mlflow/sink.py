"""A study's records shown in MLflow.

Every record can be applied twice with the effect of once: runs are found by their tags before any
is made, metrics carry the record's own time, and files keep their paths. A record also brings
along what it builds on, so a run that somebody deleted comes back with the next of its records.
"""

import json
import logging
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from tracking.history import FoldHistory, History, TrialHistory
from tracking.mlflow import artifacts as files
from tracking.mlflow import mapping as runs
from tracking.mlflow import views
from tracking.mlflow.database import follow_home, make_database
from tracking.mlflow.description import describe
from tracking.mlflow.mapping import Point, RunKey
from tracking.provenance import trial_marks
from tracking.records import (
    EpochEnded,
    FoldEnded,
    FoldPaused,
    FoldStarted,
    ModelExported,
    Record,
    ReportWritten,
    SessionEnded,
    SessionStarted,
    StudyRenamed,
    StudyStarted,
    TestSetOpened,
    TrialConfirmed,
    TrialEnded,
    TrialReopened,
    TrialStarted,
)
from tracking.stages import waiting

if TYPE_CHECKING:
    from tracking.mlflow.store import MlflowStore, RunReference, TrialRun
    from tracking.mlflow.system_metrics import LoadMonitor

# Standard output belongs to the command, which may be printing JSON there; MLflow asks at each run.
_SILENCE = {"MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true"}


class MlflowSink:
    """Shows one study's records in MLflow; a `tracking.mlflow.delivery.Sink`.

    Making one does nothing: MLflow is imported, and its address used, with the first record.

    Args:
        tracking_uri: MLflow's address.
        artifacts: folder for artifacts; None leaves their place to the server.
        folder: the study's folder; relative export folders are relative to it.
        system_metrics: log this machine's load to the study's run while a session goes on.
    """

    def __init__(
        self,
        tracking_uri: str,
        *,
        artifacts: Path | None,
        folder: Path,
        system_metrics: bool = False,
    ) -> None:
        self._tracking_uri = tracking_uri
        self._artifacts = artifacts
        self._folder = folder
        self._opened: MlflowStore | None = None
        self._filled: set[str] = set()  # runs whose params this sink has written
        self._epochs_shown: dict[str, int] = {}  # by a fold's run: the last one written
        self._waiting: set[int] = set()  # trials shown as waiting
        self._marks: dict[int, runs.Tags] = {}  # by trial: as they were written last
        self._monitors = system_metrics
        self._monitor: LoadMonitor | None = None
        self._is_behind = True  # with what is told of the study: the sink before may have been

    def apply(self, record: Record, history: History, *, more: bool = False) -> None:
        """Show `record`; `history` already contains it and everything before it.

        Raises:
            mlflow.exceptions.MlflowException: MLflow cannot be reached, or refuses.
        """
        self._show(record, history)
        self._is_behind |= not isinstance(record, EpochEnded | FoldEnded)
        if self._is_behind and not more:
            self._show_study(history)
            self._is_behind = False
        if self._monitors and not more:
            self._watch_machine(history)

    def _show(self, record: Record, history: History) -> None:
        match record:
            case StudyStarted():
                self._start_study(history, record)
            case StudyRenamed():
                self._store(history).rename(record.study, history.known_study().id)
                self._store(history).tag_experiment(_experiment_tags(history))
                self._store(history).log(self._study_run(history), tags=runs.common_tags(history))
                self._name_runs(history)
            case SessionStarted() | SessionEnded():
                self._show_session(history, record)
            case TrialStarted():
                trial = history.trials[record.trial]
                self._fill_trial(history, trial, self._trial_run(history, trial))
            case FoldStarted() | EpochEnded() | FoldPaused() | FoldEnded():
                self._show_fold(history, record)
            case TrialEnded():
                trial = history.trials[record.trial]
                if trial.ended is None:  # it has lost folds: they are trained again
                    self._resume_trial(history, trial)
                else:
                    self._end_trial(history, trial, record)
            case TrialReopened():
                self._reopen_trial(history, history.trials[record.trial])
            case TrialConfirmed():
                trial = history.trials[record.trial]
                if trial.confirmed is not None:
                    self._confirm_trial(history, trial, record)
            case ModelExported() | TestSetOpened():
                self._show_final(history, record)
            case ReportWritten():
                files.show_report(self._store(history), self._study_run(history), record)

    def close(self) -> None:
        """Forget what was found out; MLflow keeps its own connections."""
        self._leave_machine()
        self._opened = None

    def _watch_machine(self, history: History) -> None:
        """Log the machine's load while a session goes on, again where that broke off."""
        is_running = bool(history.sessions) and history.last_end is None
        if self._monitor is not None and (self._monitor.is_over or not is_running):
            self._leave_machine()
        if self._monitor is None and is_running:
            run_id, since = self._study_run(history), history.known_study().at
            from tracking.mlflow.system_metrics import LoadMonitor

            self._monitor = LoadMonitor(self._store(history).client, run_id, since)

    def _leave_machine(self) -> None:
        if self._monitor is not None:
            self._monitor.finish()
            self._monitor = None

    def _store(self, history: History) -> "MlflowStore":
        if self._opened is None:
            store = open_store(self._tracking_uri, artifacts=self._artifacts)
            study = history.known_study()
            store.open(study.study, study.id, _experiment_tags(history))
            self._opened = store
        return self._opened

    def _start_study(self, history: History, record: StudyStarted) -> None:
        self._fill(history, self._study_run(history), record.settings)

    def _study_run(self, history: History) -> str:
        key, study = RunKey("study"), history.known_study()
        run = self._find(history, key)
        if run is None:
            run = self._create(history, key, {}, at=study.at)
            self._fill(history, run.id, study.settings)
        return run.id

    def _name_runs(self, history: History) -> None:
        """Give all runs the names that they have now."""
        keys = [RunKey("final", each.trial, model=each.model_sha256) for each in history.exports]
        for number, trial in history.trials.items():
            keys.append(RunKey("trial", number))
            folds = (*trial.folds, *trial.confirmation_folds)
            keys += [RunKey("fold", number, fold) for fold in folds]
        for key in keys:
            self._find(history, key)

    def _find(self, history: History, key: RunKey) -> "RunReference | None":
        """Return a run, by its name of today: earlier versions gave others."""
        return self._store(history).find(key, runs.run_label(history, key))

    def _create(
        self, history: History, key: RunKey, tags: runs.Tags, *, at: float
    ) -> "RunReference":
        tags = runs.common_tags(history) | key.tags() | tags
        return self._store(history).create(key, runs.run_label(history, key), tags, at=at)

    def _show_session(self, history: History, record: SessionStarted | SessionEnded) -> None:
        store, run_id = self._store(history), self._study_run(history)
        if isinstance(record, SessionStarted):
            store.resume(run_id)
            state = {"search.state": "running", "search.trials": str(record.trials)}
        else:
            status = runs.SESSION_STATUS.get(record.reason, "FINISHED")
            store.finish(run_id, status, at=history.known_study().at + history.session_seconds)
            state = {"search.state": record.reason, "search.told": record.told}
            self._interrupt_open(history)
            store.tidy(RunKey("study"))
            store.settle()
        store.log(run_id, tags=runs.common_tags(history) | state)

    def _show_study(self, history: History) -> None:
        """Show what depends on all trials: who waits, which is the best, description and views."""
        if history.last_end is None:
            self._show_waiting(history)
        self._mark_trials(history)
        self._store(history).tag_experiment(_experiment_tags(history))

    def _interrupt_open(self, history: History) -> None:
        """Show that what was being evaluated when the session ended is not any more."""
        for trial in history.trials.values():
            folds = [] if trial.ended else [*trial.folds.values()]
            folds += [] if trial.confirmed else [*trial.confirmation_folds.values()]
            open_folds = [fold for fold in folds if fold.ended is None]
            for fold in open_folds:
                run = self._fold_run(history, trial, fold)
                self._lay_aside(history, run.id, "interrupted", at=_trained_so_far(fold))
            if trial.ended is None:
                run_id, at = self._trial_run(history, trial), _trained_until(trial)
                self._lay_aside(history, run_id, "interrupted", at=at)
            if trial.ended is None or open_folds:
                self._store(history).tidy(RunKey("trial", trial.number))
        self._waiting = set()

    def _lay_aside(self, history: History, run_id: str, state: str, *, at: float) -> None:
        """Show that nobody trains a trial or a fold now, and that it goes on later."""
        self._store(history).finish(run_id, runs.UNFINISHED, at=at)
        self._store(history).log(run_id, tags={"search.state": state})

    def _resume_trial(self, history: History, trial: TrialHistory) -> None:
        """Show that an interrupted trial, or one that waited, goes on."""
        self._resume(history, self._trial_run(history, trial))

    def _resume(self, history: History, run_id: str) -> None:
        self._store(history).resume(run_id)
        self._store(history).log(run_id, tags={"search.state": "running"})

    def _reopen_trial(self, history: History, trial: TrialHistory) -> None:
        """Show that a failed trial is tried once more: why it failed is not said of it any more."""
        self._resume_trial(history, trial)
        unsaid = dict.fromkeys(("search.reason", "mlflow.note.content"), "")
        self._store(history).log(self._trial_run(history, trial), tags=unsaid)

    def _show_waiting(self, history: History) -> None:
        """Show which trials wait, now that another one or another fold began."""
        now = waiting(history)
        for trial in now:
            if trial.number not in self._waiting:
                run_id, at = self._trial_run(history, trial), _trained_until(trial)
                self._lay_aside(history, run_id, "waiting", at=at)
        self._waiting = {trial.number for trial in now}

    def _trial_run(self, history: History, trial: TrialHistory) -> str:
        key = RunKey("trial", trial.number)
        run = self._find(history, key)
        if run is None:
            run = self._create(history, key, runs.trial_tags(trial), at=trial.started.at)
            self._fill_trial(history, trial, run.id)
        return run.id

    def _fill_trial(self, history: History, trial: TrialHistory, run_id: str) -> None:
        if run_id in self._filled:
            return
        data = history.known_study().dataset
        self._store(history).log_dataset(
            run_id,
            name=str(data.get("name")),
            digest=str(data.get("digest")),
            source=json.dumps({"uri": str(data.get("source"))}),
        )
        self._fill(history, run_id, trial.started.parameters, runs.colour_tags(trial))

    def _fill(
        self,
        history: History,
        run_id: str,
        params: dict[str, object],
        tags: runs.Tags | None = None,
    ) -> None:
        """Write the run's params, once; a run left without them by a crash gets them too.

        Args:
            history: whose run it is.
            run_id: MLflow's identifier.
            params: of the run.
            tags: that runs made by earlier versions may have otherwise.
        """
        if run_id not in self._filled:
            self._store(history).log(run_id, params=runs.text_params(params), tags=tags)
            self._filled.add(run_id)

    def _show_fold(
        self, history: History, record: FoldStarted | EpochEnded | FoldPaused | FoldEnded
    ) -> None:
        trial = history.trials[record.trial]
        fold = history.folds_of(record)[record.fold]
        run = self._fold_run(history, trial, fold)
        is_not_first = len(history.sessions) > 1 or len(trial.folds) > 1 or fold.earlier
        if isinstance(record, FoldStarted) and trial.ended is None and is_not_first:
            self._resume_trial(history, trial)
        if run.started > fold.began_at:
            return  # a record of an earlier try, shipped again; a later one is shown already
        self._log_fold(history, run, fold, {"search.state": "complete"} if fold.ended else {})
        if fold.ended:
            self._store(history).finish(run.id, "FINISHED", at=_trained_so_far(fold))
        elif fold.paused:
            self._lay_aside(history, run.id, "waiting", at=_trained_so_far(fold))
        elif isinstance(record, FoldStarted) and fold.before:
            self._resume(history, run.id)

    def _fold_run(self, history: History, trial: TrialHistory, fold: FoldHistory) -> "RunReference":
        store, key = self._store(history), RunKey("fold", trial.number, fold.started.fold)
        parent = self._trial_run(history, trial)
        run = self._find(history, key)
        if run is not None and run.started < fold.began_at:
            store.delete(key)  # its epochs are trained again: the first try's must not mix in
            run = None
        if run is None:
            confirms = fold.started.fold in trial.confirmation_folds
            tags = runs.fold_tags(fold, parent, confirms=confirms)
            run = self._create(history, key, tags, at=fold.began_at)
        return run

    def _log_fold(
        self, history: History, run: "RunReference", fold: FoldHistory, tags: runs.Tags
    ) -> None:
        """Write the epochs this sink has not written yet; written again, they do no harm."""
        seen = self._epochs_shown.get(run.id, 0)
        fresh = [ended for epoch, ended in sorted(fold.epochs.items()) if epoch > seen]
        points = runs.epoch_points(fresh) + runs.fold_points(fold)
        self._store(history).log(run.id, points=points, tags=tags)
        self._epochs_shown[run.id] = max(fold.epochs, default=0)

    def _end_trial(self, history: History, trial: TrialHistory, record: TrialEnded) -> None:
        store, run_id = self._store(history), self._trial_run(history, trial)
        self._cut_short(history, trial, trial.folds, record.state)
        store.upload(run_id, files.trial_files(trial, record, history.known_study()))
        points, tags = (
            runs.trial_points(trial, record),
            runs.ended_tags(trial, record, trial_marks(history, trial)),
        )
        store.log(run_id, points=points, tags=tags)
        store.finish(run_id, runs.STATUS[record.state], at=_trained_until(trial))
        store.tidy(RunKey("trial", trial.number))
        if record.state == "complete":
            self._show_best(history, record)

    def _confirm_trial(self, history: History, trial: TrialHistory, record: TrialConfirmed) -> None:
        store, run_id = self._store(history), self._trial_run(history, trial)
        self._cut_short(history, trial, trial.confirmation_folds, "failed")
        if record.error:
            store.upload(run_id, {"confirmation_error.txt": record.error.encode()})
        points, tags = runs.confirmed_points(record), runs.confirmed_tags(trial, record)
        store.log(run_id, points=points, tags=tags)
        store.tidy(RunKey("trial", trial.number))

    def _cut_short(
        self,
        history: History,
        trial: TrialHistory,
        folds: dict[int, FoldHistory],
        state: str,
    ) -> None:
        """End the runs of folds that were never over."""
        for fold in folds.values():
            if fold.ended is None:
                run = self._fold_run(history, trial, fold)
                self._log_fold(history, run, fold, {"search.state": state})
                self._store(history).finish(run.id, runs.STATUS[state], at=_trained_so_far(fold))

    def _show_best(self, history: History, record: TrialEnded) -> None:
        """Extend the study's curve of the best score so far, a step for each trial that is over."""
        first, tally = history.objectives[0], history.tally
        best = first.oriented(tally.best or 0.0)
        point = Point(f"best_{first.name}", best, record.at, tally.over - 1)
        self._store(history).log(self._study_run(history), points=[point])

    def _mark_trials(self, history: History) -> None:
        """Say of each complete trial whether it is the best, where that has changed."""
        store, best = self._store(history), history.best()
        if best is not None:
            why = history.decision.text if history.decision else ""
            tags = {"search.best_trial": str(best.number), "search.verdict": why}
            store.log(self._study_run(history), tags=tags)
        for number, tags in runs.mark_tags(history).items():
            run = store.find(RunKey("trial", number))
            if run is not None and self._marks.get(number, run.marks) != tags:
                store.log(run.id, tags=tags)
                self._marks[number] = tags

    def _show_final(self, history: History, record: ModelExported | TestSetOpened) -> None:
        # MLflow warns at an import of a type hint of its own; nothing that a user could mend.
        warnings.filterwarnings("ignore", message=".*Any type hint is inferred as AnyType")
        from tracking.mlflow.models import show_final

        show_final(self._store(history), record, history, folder=self._folder)


def open_store(tracking_uri: str, *, artifacts: Path | None) -> "MlflowStore":
    """Import MLflow, quietly, and return a store at the address."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read at the import, too
    os.environ.update(_SILENCE)
    from tracking.mlflow.store import MlflowStore

    # It logs each table it creates; what goes wrong arrives here as an exception.
    for name in ("mlflow", "alembic", "sqlalchemy"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    make_database(tracking_uri)
    if artifacts is not None:
        follow_home(tracking_uri, artifacts)
    return MlflowStore(tracking_uri, artifacts)


def find_experiment(tracking_uri: str, study_id: str) -> str | None:
    """Return MLflow's identifier of a study's experiment, for `views.view_path`; None if absent.

    Raises:
        mlflow.exceptions.MlflowException: MLflow cannot be reached.
    """
    return open_store(tracking_uri, artifacts=None).find_experiment(study_id)


def delete_experiment(tracking_uri: str, study_id: str) -> str | None:
    """Mark a study's experiment deleted; return its identifier, None where there is none.

    Args:
        tracking_uri: MLflow's address; a database that does not exist would be made.
        study_id: the study's, whatever its name.

    Raises:
        mlflow.exceptions.MlflowException: MLflow cannot be reached, or refuses.
    """
    return open_store(tracking_uri, artifacts=None).delete_experiment(study_id)


def trial_runs(tracking_uri: str, study_id: str) -> "list[TrialRun] | None":
    """Return the runs of a study's trials, by their start; None where MLflow has no such study.

    Args:
        tracking_uri: MLflow's address; a database that does not exist would be made.
        study_id: the study's, whatever its name.

    Raises:
        mlflow.exceptions.MlflowException: MLflow cannot be reached.
    """
    return open_store(tracking_uri, artifacts=None).trial_runs(study_id)


def _trained_until(trial: TrialHistory) -> float:
    """Return when a trial would have been trained as far if it had never waited.

    So the duration on MLflow's pages is the time it was trained, whatever lay between its folds.
    """
    return trial.started.at + trial.trained_seconds()


def _trained_so_far(fold: FoldHistory) -> float:
    """Return the same of a fold: when its last record would have come without its pauses."""
    return fold.last.at - fold.waited


def _experiment_tags(history: History) -> runs.Tags:
    """Return what the experiment is told of the study: marks, views, description."""
    tags = runs.experiment_tags(history.known_study()) | views.view_tags(history)
    return tags | {"mlflow.note.content": describe(history)}
