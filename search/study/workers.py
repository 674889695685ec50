"""The execution plan of one session, and the workers that carry it out."""

import math
from collections.abc import Callable
from dataclasses import replace
from statistics import fmean
from typing import Any, cast

import numpy as np

from search.data.folds import Folds
from search.data.inputs import data_spec
from search.executors import (
    ClusterRequest,
    Executor,
    Limits,
    LocalExecutor,
    PerTrial,
    make_executor,
)
from search.executors.protocol import Work
from search.study.autotune import ExecutionRequest, key_for, plan_for, recall, remember
from search.study.budget import Budget
from search.study.execution import AUTO, ExecutionMode, ExecutionPlan, Load
from search.study.identity import study_pixels
from search.study.opening import OpenStudy
from search.study.pruners import PRUNERS
from search.study.settings import StudySettings
from spaces import ImageInput
from tracking.history import History
from tracking.home import Home
from tracking.objectives import objective_names
from tracking.records import StudyStarted

_STAYING = 4  # trials that stay to the end (docs/performance.md, "What racing saves")


class SessionWorkers:
    """A session's plan.

    Args:
        opened: the study.
        plan: how it is computed.
        measured_with: workers that are at work already; they are closed with this object, unless
            `executor` has handed them out.
    """

    def __init__(
        self, opened: OpenStudy, plan: ExecutionPlan, measured_with: LocalExecutor | None
    ) -> None:
        self._opened = opened
        self.plan = plan
        self._started = measured_with

    @classmethod
    def of(cls, opened: OpenStudy, history: History, budget: Budget) -> "SessionWorkers":
        """Make the plan; a study that has begun keeps its precision.

        Where there may be much to train, workers are started and measured; else it takes no time.
        """
        settings = opened.settings
        request = _request(opened)
        if settings.executor == "ray":
            count = 0 if settings.workers == AUTO else request.usual().workers
            mode = replace(request.usual(), workers=count, threads=settings.cpus_per_trial)
            return cls(opened, ExecutionPlan(mode, "usual"), None)
        if settings.executor != "local" or budget.is_done(history):
            return cls(opened, ExecutionPlan(request.usual(), "usual"), None)
        path = Home(opened.folder.root.parent.parent).plans
        narrowed = opened.narrowed
        params = next(iter(narrowed.baselines.values()), narrowed.space.complete({}))
        key = key_for(settings.space, opened.dataset.digest, params, str(request))
        plan, started = plan_for(
            request,
            _load(opened, history),
            params,
            remembered=recall(path, key),
            start=lambda mode: _local(opened, mode),
        )
        if plan.origin in ("measured", "tried"):
            remember(path, key, plan.measured)
        return cls(opened, plan, started)

    @property
    def start(self) -> StudyStarted:
        """The study's first record, with the precision that was chosen."""
        start = self._opened.start
        return replace(start, settings={**start.settings, "precision": self.plan.mode.precision})

    def executor(self, notify: Callable[[str], None]) -> Executor:
        """Return the workers of the plan; they are the caller's to close."""
        started, self._started = self._started, None
        if started is not None:
            return started
        settings, mode = self._opened.settings, self.plan.mode
        return make_executor(
            settings.executor,
            work_of(self._opened, mode.precision),
            self._opened.folder.worker_log,
            workers=mode.workers or None,
            limits=_limits(settings),
            request=ClusterRequest(
                settings.ray_address, PerTrial(settings.cpus_per_trial, settings.gpus_per_trial)
            ),
            notify=notify,
        )

    def close(self) -> None:
        """End workers that were measured and never handed out."""
        if self._started is not None:
            self._started.close()


def _request(opened: OpenStudy) -> ExecutionRequest:
    settings = opened.settings
    return ExecutionRequest(
        workers=None if isinstance(settings.workers, str) else settings.workers,
        precision=None if settings.precision == AUTO else settings.precision,
        trials=settings.trials,
        samples=_samples_held(opened) * _sample_bytes(opened),
    )


def _samples_held(opened: OpenStudy) -> int:
    """Return how many samples a worker holds: of the study's folds, and of those that confirm."""
    path = opened.folder.confirmation_folds
    if not path.exists():
        return opened.folds.samples
    return len(np.union1d(opened.folds.used, Folds.load(path).used))


def _sample_bytes(opened: OpenStudy) -> int:
    """Return the bytes of a sample as workers hold it: a pixel takes one, other numbers four."""
    space = opened.narrowed.space
    taken = space.input_for(opened.dataset.kind)
    is_bytes = isinstance(taken, ImageInput) and not taken.scaled
    return math.prod(data_spec(opened.dataset, space).input_shape) * (1 if is_bytes else 4)


def _load(opened: OpenStudy, history: History) -> Load:
    settings = opened.settings
    trials = max(0, settings.trials - len(history.finished()))
    baselines = min(trials, len(opened.narrowed.baselines)) if settings.baselines else 0
    trials -= baselines  # which always see all folds
    staying = min(trials, _STAYING)
    long, short = PRUNERS[str(settings.pruner)].trained_shares
    epochs = opened.narrowed.space["epochs"]
    return Load(
        folds=settings.folds * (baselines + staying * long + (trials - staying) * short),
        epochs=round(fmean([epochs.default] if epochs.fixed else cast("Any", epochs.grid()))),
        samples=len(opened.folds.train[0]),
        limit=settings.timeout,
    )


def _limits(settings: StudySettings) -> Limits:
    return Limits(trial_seconds=settings.trial_timeout, memory=settings.worker_memory)


def _local(opened: OpenStudy, mode: ExecutionMode) -> LocalExecutor:
    return LocalExecutor(
        work_of(opened, mode.precision),
        opened.folder.worker_log,
        workers=mode.workers,
        limits=_limits(opened.settings),
        load_at_once=mode.workers,  # measuring begins when the last is ready
    )


def work_of(opened: OpenStudy, precision: str) -> Work:
    """Return what the workers of a study load, to compute in a precision."""
    settings = opened.settings
    return Work(
        space=settings.space,
        dataset=str(opened.dataset.folder),
        folder=str(opened.folder.root),
        declarations=str(opened.declarations),
        seed=settings.seed,
        precision=precision,
        objectives=objective_names(settings.objective),
        pixels=study_pixels(opened.start),
        code=opened.code,
    )
