"""One invocation of `run`: a study is opened, run, shipped to MLflow and closed in good order."""

import gc
import math
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.data.folds import Folds
from search.environment import describe_environment
from search.errors import DataError, SettingsError, StoppedEarly
from search.studies import opened_log
from search.study.autotune import OnStage, SessionWorkers, ignored, load_of
from search.study.budget import Budget, Confirmation, StopRequest
from search.study.drivers import is_reference, make_driver
from search.study.enqueuing import Entry, Intake, Request
from search.study.execution import AUTO, ExecutionMode
from search.study.identity import check_code, weighs_metrics
from search.study.learning import LearningDriver
from search.study.loop import COMPLETE, ENOUGH, INTERRUPTED, Study
from search.study.opening import OpenStudy
from search.study.pruners import make_pruner
from search.study.trial_end import OutOfFold, to_retry
from search.tracker import Tracker
from spaces import Params
from spaces.declaring.fingerprint import fingerprint
from tracking.event_log import EventLog
from tracking.history import Decision, History
from tracking.home import StudyFolder
from tracking.lock import StudyLocked
from tracking.provenance import code_changes, last_code, version_changes
from tracking.records import Json, Notice, Record, SessionEnded, SessionStarted, TrialEnded
from tracking.tensorboard import NotOurs, TensorBoardLogs
from tracking.text import Notify, counted, joined

OnRecord = Callable[[Record], None]
Decide = Callable[[History], Decision | None]


def _by_score(_: History) -> Decision | None:
    return None


@dataclass(frozen=True)
class SessionResult:
    """How a session ended.

    Attributes:
        reason: complete, exhausted, enough, timeout, failed, stopped or interrupted.
        history: everything known of the study.
        waiting: records that have not reached MLflow yet.
    """

    reason: str
    history: History
    waiting: int


def run_session(
    opened: OpenStudy,
    tracker: Tracker,
    *,
    observe: OnRecord,
    notify: Notify,
    stage: OnStage = ignored,
    enqueue: Sequence[Params] = (),
    tensorboard: Path | None = None,
    decide: Decide = _by_score,
) -> SessionResult:
    """Run an opened study up to its number of trials.

    Args:
        opened: the study.
        tracker: brings its journal to MLflow.
        observe: called with every record once it is in the journal, in this thread.
        notify: takes notices for the user.
        stage: is told what the session does while no trial is trained.
        enqueue: complete params to evaluate before others are sampled.
        tensorboard: folder for TensorBoard's logs; None for none.
        decide: says at the end which trial is the best; None where the best score decides.

    Raises:
        SettingsError: another process runs the study or has begun another one of that name, its
            folder or that of the logs cannot be written, or the space's code has changed.
        StoppedEarly: it was asked to stop before anything of the session was recorded.
    """
    settings = opened.settings
    with ExitStack() as stack:
        log = _opened_log(opened, stack, notify)  # now no other process can write
        history = log.history
        stop = StopRequest(opened.folder, notify)
        stop.withdraw()  # it was for a session that is over
        stack.callback(stop.withdraw)
        accepted = check_code(history, opened.code, accept=opened.accepts_changed_code)
        environment = describe_environment() | _sampler_code(opened)
        _tell_changes(history, accepted, environment, notify)
        gc.freeze()  # what was told stays: to look through it again and again takes seconds
        stack.callback(gc.unfreeze)

        publisher = stack.enter_context(
            tracker.publishing(opened.folder, notify, system_metrics=settings.system_metrics)
        )
        log.observe(lambda _: publisher.wake())
        log.observe(observe)
        log.observe(lambda record: notify(record.text) if isinstance(record, Notice) else None)
        if not _are_there(opened):
            opened.folds.save(opened.folder.folds)
        confirm, confirmation = _confirmation(opened, notify)
        budget = _budget(opened, stop, confirm)
        planned = stack.enter_context(closing(_planned(opened, history, budget, stage)))
        plan = planned.plan
        if history.study is None:
            opened.learned.save(opened.folder.learned)
            log.append(planned.start)
        if tensorboard is not None:
            log.observe(_tensorboard(tensorboard, history, notify))
        log.append(
            SessionStarted(
                at=time.time(),
                trials=settings.trials,
                confirm=confirm.best,
                auto_confirm=confirm.is_auto,
                stop=settings.stop,
                confirmation={**confirmation, **_told(opened, confirm, plan.mode)},
                environment={
                    **environment,
                    "precision": plan.mode.precision,
                    "workers": plan.mode.workers or AUTO,
                    "plan": plan.to_json() | {"told": plan.told()},
                },
                code=opened.code,
                accepted=accepted,
                deadline=budget.ends_at,
            )
        )
        for reopened in to_retry(history) if settings.retry_failed else ():
            log.append(reopened)
        _drop_checkpoints(opened.folder, history)
        log.observe(
            lambda record: (
                _drop_checkpoints(opened.folder, history)
                if isinstance(record, TrialEnded)
                else None
            )
        )
        intake = Intake(
            opened.folder,
            opened.narrowed.space,
            history,
            log.append,
            baselines=budget.baselines,
            notify=notify,
        )
        intake.take(Request([Entry(dict(params)) for params in enqueue]))
        intake.collect()
        reason, told = _run(opened, planned, log, budget, notify, intake, stage)
        intake.collect()  # what came too late is known to wait
        decision = decide(history)
        log.append(
            SessionEnded(
                at=time.time(),
                reason=reason,
                told=told,
                best=decision.best if decision else None,
                verdict=decision.text if decision else "",
            )
        )
        stage("bringing the last records to MLflow")
        waiting = tracker.drain(publisher, notify, hurries=reason == INTERRUPTED)
        return SessionResult(reason, history, waiting)


def _planned(opened: OpenStudy, history: History, budget: Budget, stage: OnStage) -> SessionWorkers:
    try:
        return SessionWorkers.of(opened, history, budget, stage)
    except StoppedEarly as error:
        name = opened.start.study
        raise StoppedEarly(
            f"study {name!r} was asked to stop before it trained anything, so nothing of this"
            " session is recorded; the same command begins again"
        ) from error


def _tell_changes(history: History, accepted: list[str], environment: Json, notify: Notify) -> None:
    """Say in what the session differs from the study's earlier ones."""
    if not history.sessions:
        return
    if accepted:
        notify(
            f"the space's code has changed, which is accepted: {'; '.join(accepted)}. Trials from"
            " now on are marked; those that were not over are trained anew"
        )
    elif not last_code(history):
        notify(
            "the study was begun by a version that did not record the space's code: whether it is"
            " the same is not known"
        )
    last = history.sessions[-1].environment.get("sampler_code") or {}
    changes = code_changes(last, environment.get("sampler_code") or {})
    if changes:
        notify(
            f"the sampler's code has changed: {'; '.join(changes)}. Scores compare as before; the"
            " trials to come are proposed by the changed code"
        )
    versions = version_changes(history.sessions[0].environment, environment)
    if versions:
        notify(
            f"the study was begun with other versions: now {', '.join(versions)}. Scores may differ"
            " for that alone; trials from now on are marked"
        )


def _sampler_code(opened: OpenStudy) -> Json:
    """Return the fingerprint of the code of a sampler that is given by its class."""
    sampler = str(opened.settings.sampler)
    return {"sampler_code": fingerprint(sampler)} if is_reference(sampler) else {}


def _tensorboard(folder: Path, history: History, notify: Notify) -> OnRecord:
    """Return what writes TensorBoard's logs, until they cannot be written any more."""
    try:
        logs = TensorBoardLogs(folder, history)
    except NotOurs as error:
        raise SettingsError(f"`--tensorboard`: {error}; name another folder") from error
    except OSError as error:
        raise SettingsError(
            f"`--tensorboard {folder}` cannot be written ({error.strerror})"
        ) from error
    failed: list[OSError] = []

    def write(record: Record) -> None:
        if failed:
            return
        try:
            logs.write(record)
        except OSError as error:
            failed.append(error)
            notify(
                f"`--tensorboard {folder}` cannot be written any more ({error.strerror}); the study"
                " goes on without it, and the next session writes what is missing"
            )

    return write


def _weights(opened: OpenStudy) -> NDArray[Any] | None:
    """Return the samples' weights; None in studies from before they counted in scores."""
    return opened.dataset.train_extra("weights") if weighs_metrics(opened.start) else None


def _drop_checkpoints(folder: StudyFolder, history: History) -> None:
    """Remove what was kept of folds that nothing goes on with."""
    kept = {
        folder.checkpoint(number, fold)
        for number, trial in history.trials.items()
        for fold, known in trial.folds.items()
        if trial.ended is None and known.ended is None
    }
    with suppress(OSError):  # else the next session does
        for path in folder.checkpoints.glob("*.npz"):
            if path not in kept:
                path.unlink()
        if not kept:
            shutil.rmtree(folder.checkpoints)


def _are_there(opened: OpenStudy) -> bool:
    """Say whether the file of the folds is whole and the study's; they can be cut anew."""
    try:
        return Folds.load(opened.folder.folds).digest == opened.folds.digest
    except DataError:
        return False


SMALL = 10_000  # samples up to which luck decides between the best trials
LEAST_SAMPLED = 10  # trials, with fewer of which the best has little luck
MOST_CONFIRMED = 4  # trials, the baseline among them
AT_MOST = 0.5  # of the folds that the search is expected to train


def _confirmation(opened: OpenStudy, notify: Notify) -> tuple[Confirmation, Json]:
    """Return which trials are confirmed, and on which folds; cut these where there are none yet."""
    path, confirm = opened.folder.confirmation_folds, _to_confirm(opened)
    if not (path.exists() or confirm.best):
        return confirm, {}
    is_new = not path.exists()
    try:
        confirmation_folds = opened.confirmation_folds() if is_new else Folds.load(path)
    except SettingsError:
        if confirm.is_auto:  # the samples can be cut in one way only
            return Confirmation(is_auto=True), {}
        raise
    unused = int(np.setdiff1d(confirmation_folds.used, opened.folds.used).size)
    if is_new:
        confirmation_folds.save(path)
        if unused:
            notify(_on_unused(confirmation_folds.samples, unused))
    return confirm, {
        "digest": confirmation_folds.digest,
        "samples": confirmation_folds.samples,
        "unused": unused,
    }


def _to_confirm(opened: OpenStudy) -> Confirmation:
    """Return what was asked for, or what is worth its cost: see decision 0032."""
    settings, folds = opened.settings, len(opened.folds)
    if settings.confirm != AUTO:
        return Confirmation.asked(settings.confirm)
    baselines = len(opened.narrowed.baselines) if settings.baselines else 0
    is_worth_it = (
        len(opened.start.objectives) == 1
        and folds > 1
        and opened.folds.samples <= SMALL
        and settings.trials - baselines >= LEAST_SAMPLED
    )
    affordable = int(AT_MOST * load_of(opened, History()).folds // folds)
    best = min(MOST_CONFIRMED, affordable) - bool(baselines)
    return Confirmation(best if is_worth_it and best > 0 else 0, is_auto=True)


def _told(opened: OpenStudy, confirm: Confirmation, mode: ExecutionMode) -> Json:
    """Return what confirming costs, as a line; nothing where nothing is confirmed."""
    if not confirm.best:
        return {}
    settings, load = opened.settings, load_of(opened, History())
    count = confirm.best + bool(settings.baselines and opened.narrowed.baselines)
    own = len(opened.folds)
    folds = count * own * confirm.repeats(History())
    rivals = counted(confirm.best - 1, "rival") if confirm.best > 1 else ""
    whom = joined(
        [
            "the best",
            *([f"up to {rivals}" if confirm.is_auto else rivals] if rivals else []),
            *(["the best baseline"] if count > confirm.best else []),
        ]
    )
    cost = f"{'up to ' * confirm.is_auto}{folds} folds"
    if mode.rate:
        more = replace(load, folds=folds, limit=None)
        cost += f", about {_minutes(more.seconds(mode.rate, workers=mode.workers or 1))}"
    how = "; `--confirm 0` leaves it out" if confirm.is_auto else ""
    return {
        "told": f"{whom} on {folds // count} more folds each: {cost}, beside about {load.folds:.0f}"
        f" folds of the search{how}"
    }


def _minutes(seconds: float) -> str:
    return f"{math.ceil(seconds)}s" if seconds < 90 else f"{math.ceil(seconds / 60)}m"


def _on_unused(samples: int, unused: int) -> str:
    if unused == samples:
        return f"--confirm: its folds are of {samples:,} samples that the search does not use"
    return (
        f"--confirm: the search leaves too few samples for folds of their own; {unused:,} of these"
        f" are filled up to {samples:,} with samples that it uses, so the folds are not quite"
        " independent of it"
    )


def _opened_log(opened: OpenStudy, stack: ExitStack, notify: Notify) -> EventLog:
    try:
        return stack.enter_context(opened_log(opened.reader, notify))
    except StudyLocked as error:
        raise SettingsError(f"{error}; wait for it, or name another study") from error
    except OSError as error:
        raise SettingsError(
            f"`--home`: {opened.folder.root} cannot be written ({error.strerror});"
            " name a folder of your own with `--home DIR`"
        ) from error


def _budget(opened: OpenStudy, stop: StopRequest, confirm: Confirmation) -> Budget:
    settings = opened.settings
    return Budget(
        trials=settings.trials,
        baselines=opened.narrowed.baselines if settings.baselines else {},
        confirm=confirm,
        retry_failed=settings.retry_failed,
        deadline=None if settings.timeout is None else time.monotonic() + settings.timeout,
        stop=stop,
        stops_early=settings.stop == AUTO,
    )


def _run(
    opened: OpenStudy,
    planned: SessionWorkers,
    log: EventLog,
    budget: Budget,
    notify: Notify,
    intake: Intake,
    stage: OnStage,
) -> tuple[str, str]:
    """Return why the session ended, in a word, and in a sentence where that is not enough."""
    settings, history = opened.settings, log.history
    if budget.is_done(history):
        return COMPLETE, ""  # without a worker
    executor = planned.executor(notify, stage)
    try:
        # After the executor, so that the worker imports TensorFlow while a driver does.
        driver = make_driver(
            settings.driver,
            str(settings.sampler),
            opened.narrowed.space,
            settings.seed,
            objectives=len(history.objectives),
            arguments=settings.sampler_args,
            notify=notify,
        )
        if opened.learned.studies:
            driver = LearningDriver(driver, opened.learned, opened.narrowed.space, settings.seed)
        study = Study(
            history=history,
            record=log.append,
            driver=driver,
            pruner=make_pruner(
                str(settings.pruner),
                history.objectives[0],
                winners=budget.confirm.winners,
            ),
            executor=executor,
            budget=budget,
            out_of_fold=OutOfFold(
                opened.folder,
                opened.folds,
                np.asarray(opened.dataset.train_labels),
                opened.dataset.task,
                _weights(opened),
            ),
            collect=intake.collect,
        )
        reason = study.run()
        return reason, study.enough if reason == ENOUGH else ""
    except KeyboardInterrupt:
        return INTERRUPTED, ""
    finally:
        executor.close()
