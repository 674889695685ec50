"""Autotune: measure execution modes on the real space and data, and choose one for a session.

Measurements are cached by machine, space and dataset. The workers that were measured with go on to
carry the session out.
"""

import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any, cast

import numpy as np

from search.data.folds import Folds
from search.data.inputs import data_spec
from search.environment import package_versions
from search.errors import FoldwiseError, StoppedEarly
from search.executors import (
    ClusterRequest,
    Executor,
    IsStopped,
    Limits,
    LocalExecutor,
    PerTrial,
    auto_workers,
    cores,
    make_executor,
)
from search.executors.protocol import Probe, Work
from search.study.budget import Budget
from search.study.execution import AUTO, PRECISIONS, ExecutionMode, ExecutionPlan, Load, fastest
from search.study.identity import study_pixels, weighs_metrics
from search.study.objectives import texts_of
from search.study.opening import OpenStudy
from search.study.pruners import PRUNERS
from search.study.settings import StudySettings
from spaces import ImageInput, Params, Space, passed_as
from tracking.files import whole_file
from tracking.history import History
from tracking.home import Home
from tracking.objectives import objectives_of
from tracking.records import StudyStarted
from tracking.text import counted

SHARE = 0.05  # fraction of a session's time that measuring may take
LONGEST = 60.0  # seconds that it may take at most
TINY = 6.0  # seconds; sessions that may be this short are not measured
SHORT = 60.0  # seconds; nor are sessions limited to this time
MORE = 20.0  # estimated seconds to start other workers and measure them
MOMENT = 0.5  # least seconds that a worker trains to be measured
MOST_WORKERS = 16  # that the plan chooses by itself

Start = Callable[[ExecutionMode], LocalExecutor]
OnStage = Callable[[str], None]

_PROCESSORS = Path("/proc/cpuinfo")
_MOST = 200  # entries; the oldest are removed
_STAYING = 4  # trials that stay to the end (docs/performance.md, "What racing saves")


def ignored(text: str) -> None:
    """Take what a session does just now, and show it nowhere."""


@dataclass(frozen=True)
class ExecutionRequest:
    """The choices that the user or the study has already made.

    Attributes:
        workers: number of worker processes; None if the plan may choose.
        precision: likewise.
        trials: number of trials; more workers would have nothing to do.
        samples: bytes of the samples in each worker's memory.
    """

    workers: int | None
    precision: str | None
    trials: int
    samples: int = 0

    def __str__(self) -> str:
        """Return the fixed choices in words."""
        return f"{self.workers or AUTO} workers, {self.precision or AUTO}"

    def mode(self, workers: int, precision: str = PRECISIONS[0]) -> ExecutionMode:
        """Return the mode with this many workers, in the requested precision, if any."""
        threads = max(1, cores() // workers) if workers > 1 else 0
        return ExecutionMode(workers, threads, self.precision or precision)

    def modes(self) -> list[ExecutionMode]:
        """Return all modes that may be chosen, the most promising first."""
        counts = [self.workers] if self.workers else self._counts()
        precisions = [self.precision] if self.precision else PRECISIONS
        return [self.mode(count, precision) for count in counts for precision in precisions]

    def usual(self) -> ExecutionMode:
        """Return the mode without measurements: one worker, with which scores are reproducible."""
        return self.mode(self.workers or 1)

    def _counts(self) -> list[int]:
        most = max(1, min(auto_workers(self.samples), MOST_WORKERS, self.trials))
        return sorted({most, max(1, most // 4), 1}, reverse=True)


def plan_for(
    request: ExecutionRequest,
    load: Load,
    params: Params,
    *,
    remembered: Sequence[ExecutionMode],
    start: Start,
    stage: OnStage = ignored,
) -> tuple[ExecutionPlan, LocalExecutor | None]:
    """Return a plan, and the workers it was measured with if they can be used for the session.

    Args:
        request: choices that are already made.
        load: the work of the session, which limits the time for measuring.
        params: the params to train while measuring.
        remembered: modes that were measured before for this space and data on this machine.
        start: starts the workers of a mode.
        stage: is told what is done.
    """
    modes = request.modes()
    if len(modes) == 1:
        return ExecutionPlan(modes[0], "asked"), None
    known = [found for mode in modes for found in remembered if _same(found, mode)]
    if known and (len(known) == len(modes) or not _is_worth_more(load, known)):
        return ExecutionPlan(fastest(known), "remembered", tuple(known)), None
    if load.least_seconds() < TINY or (load.limit is not None and load.limit < SHORT):
        return ExecutionPlan(request.usual(), "usual"), None
    return _Measuring(modes, load, params, start, stage).plan(request.usual())


def _is_worth_more(load: Load, known: Sequence[ExecutionMode]) -> bool:
    """Return whether a session is long enough to measure modes that were left out before."""
    best = fastest(known)
    return SHARE * load.seconds(best.rate, workers=best.workers) > MORE


def _same(found: ExecutionMode, mode: ExecutionMode) -> bool:
    return (found.workers, found.threads, found.precision) == (
        mode.workers,
        mode.threads,
        mode.precision,
    )


class _Measuring:
    """Tries modes, the most promising first, as long as it is worthwhile."""

    def __init__(
        self,
        modes: Sequence[ExecutionMode],
        load: Load,
        params: Params,
        start: Start,
        stage: OnStage,
    ) -> None:
        self._modes = modes
        self._load = load
        self._setting = params
        self._start = start
        self._stage = stage
        self._measured: list[ExecutionMode] = []
        self._running: dict[int, LocalExecutor] = {}
        self._spent = self._loading = self._probing = 0.0
        self._steps: list[int] = []  # of each worker of the first mode

    def plan(self, usual: ExecutionMode) -> tuple[ExecutionPlan, LocalExecutor | None]:
        try:
            for mode in self._modes:
                if self._is_worth_it(mode):
                    self._try(mode)
        except BaseException:
            self._close()
            raise
        if not self._measured:  # the study's first trial will say why
            self._close()
            return ExecutionPlan(usual, "usual"), None
        best = fastest(self._measured)
        chosen = self._running.pop(best.workers, None)
        self._close()
        if chosen is not None:
            chosen.adopt(best.precision)
        origin = "measured" if len(self._measured) > 1 else "tried"
        return ExecutionPlan(best, origin, tuple(self._measured), self._spent), chosen

    def _try(self, mode: ExecutionMode) -> None:
        """Measure a mode; a mode that fails is left out."""
        try:
            self._measured.append(self._measure(mode))
        except StoppedEarly:
            raise
        except FoldwiseError:
            failed = self._running.pop(mode.workers, None)
            if failed is not None:
                failed.close()

    def _is_worth_it(self, mode: ExecutionMode) -> bool:
        if not self._measured:  # if the first mode fails, the space is at fault
            return mode == self._modes[0]
        first = self._measured[0]
        total = self._load.seconds(first.rate, workers=first.workers)
        needed = self._probing if mode.workers in self._running else self._loading + self._probing
        return self._spent + needed <= min(LONGEST, SHARE * total)

    def _measure(self, mode: ExecutionMode) -> ExecutionMode:
        executor = self._running.get(mode.workers) or self._loaded(mode)
        self._stage(f"measuring {mode}")
        began = time.monotonic()
        # Each worker trains as many steps as in the first mode, so that precisions are comparable.
        probes = [
            Probe(self._setting, mode.precision, seconds=MOMENT, steps=steps)
            for steps in self._steps[: mode.workers] or [0] * mode.workers
        ]
        found = executor.probe(probes, longest=LONGEST)
        self._steps = self._steps or [one.steps for one in found]
        self._probing = time.monotonic() - began
        self._spent += self._probing
        return ExecutionMode(
            mode.workers,
            mode.threads,
            mode.precision,
            rate=sum(one.rate for one in found),
            accuracy=fmean(one.score for one in found),
            checked=found[0].checked,
        )

    def _loaded(self, mode: ExecutionMode) -> LocalExecutor:
        """Start the workers of a mode; the first start is needed anyway and does not count."""
        is_first = not self._running
        self._stage(f"loading TensorFlow in {counted(mode.workers, 'worker')}")
        began = time.monotonic()
        executor = self._running[mode.workers] = self._start(mode)
        executor.load()
        self._loading = time.monotonic() - began
        if not is_first:
            self._spent += self._loading
        return executor

    def _close(self) -> None:
        for executor in self._running.values():
            executor.close()


def recall(path: Path, key: str) -> list[ExecutionMode]:
    """Return the measured modes under a key; none if the cache cannot be read."""
    try:
        return [ExecutionMode(**mode) for mode in _read(path).get(key, [])]
    except (TypeError, ValueError):
        return []


def remember(path: Path, key: str, measured: Sequence[ExecutionMode]) -> None:
    """Cache measurements; without a writable folder they are only repeated."""
    with suppress(OSError):
        known = _read(path)
        known.pop(key, None)
        known[key] = [asdict(mode) for mode in measured]
        kept = dict(list(known.items())[-_MOST:])
        with whole_file(path) as file:
            file.write((json.dumps(kept, indent=1) + "\n").encode())


def key_for(space: str, dataset: str, params: Params, request: str) -> str:
    """Return the cache key of a measurement.

    It depends on the processor and its cores, versions, the space and its file, the data, the
    measured params, and the choices that were left open: scores are comparable only within one
    session.

    Args:
        space: reference of the space.
        dataset: digest of the data.
        params: complete params.
        request: choices that are already made.
    """
    versions = package_versions(("tensorflow", "keras"))
    machine = f"{_processor()} x {cores()}"
    trained = json.dumps(params, sort_keys=True, default=str).encode()
    what = [space, dataset[:16], _digest(_source(space) + trained), request]
    return " | ".join([machine, *map(" ".join, versions.items()), *what])


def _source(space: str) -> bytes:
    passed = passed_as(space)
    if passed is not None:
        return json.dumps(passed.code, sort_keys=True).encode()
    path = Path(space.rpartition(":")[0])
    with suppress(OSError):
        return path.read_bytes() if path.suffix == ".py" else b""
    return b""


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _read(path: Path) -> dict[str, list[dict[str, Any]]]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _processor() -> str:
    with suppress(OSError, StopIteration):
        lines = _PROCESSORS.read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model na"))
    return os.uname().machine


class SessionWorkers:
    """A session's plan.

    Args:
        opened: the study.
        plan: how it is computed.
        measured_with: workers that are at work already; they are closed with this object, unless
            `executor` has handed them out.
        is_stopped: says whether nothing more is to begin.
    """

    def __init__(
        self,
        opened: OpenStudy,
        plan: ExecutionPlan,
        measured_with: LocalExecutor | None,
        is_stopped: IsStopped,
    ) -> None:
        self._opened, self._is_stopped = opened, is_stopped
        self.plan = plan
        self._started = measured_with

    @classmethod
    def of(
        cls, opened: OpenStudy, history: History, budget: Budget, stage: OnStage = ignored
    ) -> "SessionWorkers":
        """Make the plan; a study that has begun keeps its precision.

        Where there may be much to train, workers are started and measured, which `stage` is told;
        else it takes no time.

        Raises:
            StoppedEarly: meanwhile the study was asked to stop.
        """
        settings = opened.settings
        request = _request(opened)
        if settings.executor == "ray":
            count = 0 if settings.workers == AUTO else request.usual().workers
            mode = replace(request.usual(), workers=count, threads=settings.cpus_per_trial)
            return cls(opened, ExecutionPlan(mode, "usual"), None, budget.is_stopped)
        own_fit = opened.narrowed.space.fit is not None  # which is not what is measured
        if settings.executor != "local" or own_fit or budget.is_done(history):
            plan = ExecutionPlan(request.usual(), "usual")
            return cls(opened, plan, None, budget.is_stopped)
        path = Home(opened.folder.root.parent.parent).plans
        narrowed = opened.narrowed
        params = next(iter(narrowed.baselines.values()), narrowed.space.complete({}))
        key = key_for(settings.space, opened.dataset.digest, params, str(request))
        plan, started = plan_for(
            request,
            load_of(opened, history),
            params,
            remembered=recall(path, key),
            start=lambda mode: _local(opened, mode, budget.is_stopped),
            stage=stage,
        )
        if plan.origin in ("measured", "tried"):
            remember(path, key, plan.measured)
        return cls(opened, plan, started, budget.is_stopped)

    @property
    def start(self) -> StudyStarted:
        """The study's first record, with the precision that was chosen."""
        start = self._opened.start
        return replace(start, settings={**start.settings, "precision": self.plan.mode.precision})

    def executor(self, notify: Callable[[str], None], stage: OnStage = ignored) -> Executor:
        """Return the workers of the plan; they are the caller's to close."""
        started, self._started = self._started, None
        if started is not None:
            return started
        stage("loading TensorFlow")
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
            is_stopped=self._is_stopped,
        )

    def close(self) -> None:
        """End workers that were measured and never handed out."""
        if self._started is not None:
            self._started.close()


def _request(opened: OpenStudy) -> ExecutionRequest:
    settings = opened.settings
    return ExecutionRequest(
        workers=None if isinstance(settings.workers, str) else settings.workers,
        precision=_precision(opened),
        trials=settings.trials,
        samples=_samples_held(opened) * _sample_bytes(opened),
    )


def _precision(opened: OpenStudy) -> str | None:
    """Return the precision that is not the plan's to choose; None if it is.

    Short trainings show whether bfloat16 costs accuracy, but not what it costs the last digits of
    numbers or of probabilities, so only classes leave the choice (decision 0027).
    """
    if opened.settings.precision != AUTO:
        return opened.settings.precision
    return None if opened.dataset.task.has_classes else PRECISIONS[0]


def _samples_held(opened: OpenStudy) -> int:
    """Return how many samples a worker holds: of the study's folds, and of those that confirm."""
    path = opened.folder.confirmation_folds
    if not path.exists():
        return opened.folds.samples
    return len(np.union1d(opened.folds.used, Folds.load(path).used))


def _sample_bytes(opened: OpenStudy) -> int:
    """Return the bytes of a sample as workers hold it: a pixel takes one, other numbers four."""
    space = opened.narrowed.space
    taken, data = space.input_for(opened.dataset.kind), data_spec(opened.dataset, space)
    if data.inputs:
        return sum(4 * math.prod(spec.input_shape) for _, spec in data.inputs)
    is_bytes = isinstance(taken, ImageInput) and not taken.scaled
    return math.prod(data.input_shape) * (1 if is_bytes else 4)


def load_of(opened: OpenStudy, history: History) -> Load:
    """Return what a session has to train, which history is known to have."""
    settings = opened.settings
    trials = max(0, settings.trials - len(history.finished()))
    baselines = min(trials, len(opened.narrowed.baselines)) if settings.baselines else 0
    trials -= baselines  # which always see all folds
    staying = min(trials, _STAYING)
    long, short = PRUNERS[str(settings.pruner)].trained_shares
    return Load(
        folds=len(opened.folds) * (baselines + staying * long + (trials - staying) * short),
        epochs=_usual_epochs(opened.narrowed.space),
        samples=round(fmean(map(len, opened.folds.train))),
        limit=settings.timeout,
    )


def _usual_epochs(space: Space) -> int:
    """Return how many epochs a space's trials train on average; 1 where its own `fit` says it."""
    if "epochs" not in space.names():
        return 1
    epochs = space["epochs"]
    return round(fmean([epochs.default] if epochs.fixed else cast("Any", epochs.grid())))


def _limits(settings: StudySettings) -> Limits:
    return Limits(trial_seconds=settings.trial_timeout, memory=settings.worker_memory)


def _local(opened: OpenStudy, mode: ExecutionMode, is_stopped: IsStopped) -> LocalExecutor:
    return LocalExecutor(
        work_of(opened, mode.precision),
        opened.folder.worker_log,
        workers=mode.workers,
        limits=_limits(opened.settings),
        load_at_once=mode.workers,  # measuring begins when the last is ready
        is_stopped=is_stopped,
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
        objectives=tuple(objective.name for objective in objectives_of(opened.start)),
        metrics=texts_of(settings),
        target_scaling=settings.target_scaling,
        threshold=settings.threshold,
        weighs_metrics=weighs_metrics(opened.start),
        pixels=study_pixels(opened.start),
        code=opened.code,
        passed=passed_as(settings.space),
        callbacks=opened.callbacks,
    )
