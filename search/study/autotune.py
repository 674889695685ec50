"""Autotune: measure execution modes on the real space and data, and choose one for a session.

Measurements are cached by machine, space and dataset.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from search.environment import package_versions
from search.errors import FoldwiseError
from search.executors import LocalExecutor, auto_workers, cores
from search.executors.protocol import Probe
from search.study.execution import AUTO, PRECISIONS, ExecutionMode, ExecutionPlan, Load, fastest
from spaces import Params, passed_as
from tracking.files import whole_file

SHARE = 0.05  # fraction of a session's time that measuring may take
LONGEST = 60.0  # seconds that it may take at most
TINY = 6.0  # seconds; sessions that may be this short are not measured
SHORT = 60.0  # seconds; nor are sessions limited to this time
MORE = 20.0  # estimated seconds to start other workers and measure them
MOMENT = 0.5  # least seconds that a worker trains to be measured
MOST_WORKERS = 16  # that the plan chooses by itself

Start = Callable[[ExecutionMode], LocalExecutor]


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
) -> tuple[ExecutionPlan, LocalExecutor | None]:
    """Return a plan, and the workers it was measured with if they can be used for the session.

    Args:
        request: choices that are already made.
        load: the work of the session, which limits the time for measuring.
        params: the params to train while measuring.
        remembered: modes that were measured before for this space and data on this machine.
        start: starts the workers of a mode.
    """
    modes = request.modes()
    if len(modes) == 1:
        return ExecutionPlan(modes[0], "asked"), None
    known = [found for mode in modes for found in remembered if _same(found, mode)]
    if known and (len(known) == len(modes) or not _is_worth_more(load, known)):
        return ExecutionPlan(fastest(known), "remembered", tuple(known)), None
    if load.least_seconds() < TINY or (load.limit is not None and load.limit < SHORT):
        return ExecutionPlan(request.usual(), "usual"), None
    return _Measuring(modes, load, params, start).plan(request.usual())


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
        self, modes: Sequence[ExecutionMode], load: Load, params: Params, start: Start
    ) -> None:
        self._modes = modes
        self._load = load
        self._setting = params
        self._start = start
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
            accuracy=fmean(one.accuracy for one in found),
            checked=found[0].checked,
        )

    def _loaded(self, mode: ExecutionMode) -> LocalExecutor:
        """Start the workers of a mode; the first start is needed anyway and does not count."""
        is_first = not self._running
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


_PROCESSORS = Path("/proc/cpuinfo")
_MOST = 200  # entries; the oldest are removed


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
