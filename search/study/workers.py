"""The execution plan of one session, and the workers that carry it out."""

import math
from collections.abc import Callable
from dataclasses import replace
from statistics import fmean
from typing import Any, cast

import numpy as np

from search.data.folds import Folds
from search.data.inputs import data_spec
from search.executors import ClusterWish, Executor, Limits, LocalExecutor, PerTrial, make_executor
from search.executors.protocol import Work
from search.study.autotune import Wish, key_for, plan_for, recall, remember
from search.study.budget import Budget
from search.study.execution import AUTO, Load, Plan, Way
from search.study.identity import study_pixels
from search.study.opening import Opened
from search.study.settings import StudySettings
from spaces import ImageInput
from tracking.history import History
from tracking.home import Home
from tracking.objectives import objective_names
from tracking.records import StudyStarted

# About the share of a trial's folds that are trained: of the few that stay to the end, and of the
# others (docs/performance.md, "What racing saves").
_STAYING, _SHARES = 4, {"racing": (0.8, 0.1), "hyperband": (0.8, 0.2), "median": (0.8, 0.4)}


class Planned:
    """A session's plan.

    Args:
        opened: the study.
        plan: how it is computed.
        measured_with: workers that are at work already; they are closed with this object, unless
            `executor` has handed them out.
    """

    def __init__(self, opened: Opened, plan: Plan, measured_with: LocalExecutor | None) -> None:
        self._opened = opened
        self.plan = plan
        self._started = measured_with

    @classmethod
    def of(cls, opened: Opened, history: History, budget: Budget) -> "Planned":
        """Make the plan; a study that has begun keeps its precision.

        Where there may be much to train, workers are started and measured; else it takes no time.
        """
        settings = opened.settings
        wish = _wish(opened)
        if settings.executor == "ray":
            count = 0 if settings.workers == AUTO else wish.usual().workers
            way = replace(wish.usual(), workers=count, threads=settings.cpus_per_trial)
            return cls(opened, Plan(way, "usual"), None)
        if settings.executor != "local" or budget.is_done(history):
            return cls(opened, Plan(wish.usual(), "usual"), None)
        path = Home(opened.folder.root.parent.parent).plans
        narrowed = opened.narrowed
        setting = next(iter(narrowed.baselines.values()), narrowed.space.complete({}))
        key = key_for(settings.space, opened.dataset.digest, setting, str(wish))
        plan, started = plan_for(
            wish,
            _load(opened, history),
            setting,
            remembered=recall(path, key),
            start=lambda way: _local(opened, way),
        )
        if plan.origin in ("measured", "tried"):
            remember(path, key, plan.measured)
        return cls(opened, plan, started)

    @property
    def start(self) -> StudyStarted:
        """The study's first record, with the precision that was chosen."""
        start = self._opened.start
        return replace(start, settings={**start.settings, "precision": self.plan.way.precision})

    def executor(self, notify: Callable[[str], None]) -> Executor:
        """Return the workers of the plan; they are the caller's to close."""
        started, self._started = self._started, None
        if started is not None:
            return started
        settings, way = self._opened.settings, self.plan.way
        return make_executor(
            settings.executor,
            work_of(self._opened, way.precision),
            self._opened.folder.worker_log,
            workers=way.workers or None,
            limits=_limits(settings),
            wish=ClusterWish(
                settings.ray_address, PerTrial(settings.cpus_per_trial, settings.gpus_per_trial)
            ),
            notify=notify,
        )

    def close(self) -> None:
        """End workers that were measured and never handed out."""
        if self._started is not None:
            self._started.close()


def _wish(opened: Opened) -> Wish:
    settings = opened.settings
    return Wish(
        workers=None if isinstance(settings.workers, str) else settings.workers,
        precision=None if settings.precision == AUTO else settings.precision,
        trials=settings.trials,
        samples=_samples_held(opened) * _sample_bytes(opened),
    )


def _samples_held(opened: Opened) -> int:
    """Return how many samples a worker holds: of the study's folds, and of those that confirm."""
    path = opened.folder.further_folds
    if not path.exists():
        return opened.folds.samples
    return len(np.union1d(opened.folds.used, Folds.load(path).used))


def _sample_bytes(opened: Opened) -> int:
    """Return the bytes of a sample as workers hold it: a pixel takes one, other numbers four."""
    space = opened.narrowed.space
    taken = space.input_for(opened.dataset.kind)
    is_bytes = isinstance(taken, ImageInput) and not taken.scaled
    return math.prod(data_spec(opened.dataset, space).input_shape) * (1 if is_bytes else 4)


def _load(opened: Opened, history: History) -> Load:
    settings = opened.settings
    trials = max(0, settings.trials - len(history.finished()))
    baselines = min(trials, len(opened.narrowed.baselines)) if settings.baselines else 0
    trials -= baselines  # which always see all folds
    staying = min(trials, _STAYING)
    long, short = _SHARES.get(str(settings.pruner), (1.0, 1.0))
    epochs = opened.narrowed.space["epochs"]
    return Load(
        folds=settings.folds * (baselines + staying * long + (trials - staying) * short),
        epochs=round(fmean([epochs.default] if epochs.fixed else cast("Any", epochs.grid()))),
        samples=len(opened.folds.train[0]),
        limit=settings.timeout,
    )


def _limits(settings: StudySettings) -> Limits:
    return Limits(trial_seconds=settings.trial_timeout, memory=settings.worker_memory)


def _local(opened: Opened, way: Way) -> LocalExecutor:
    return LocalExecutor(
        work_of(opened, way.precision),
        opened.folder.worker_log,
        workers=way.workers,
        limits=_limits(opened.settings),
        load_at_once=way.workers,  # measuring begins when the last is ready
    )


def work_of(opened: Opened, precision: str) -> Work:
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
