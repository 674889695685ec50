"""The loop of a study: ask, evaluate, tell, record."""

import statistics
import time
from collections.abc import Callable, Mapping

from search.drivers import Driver, Outcome
from search.executors import Executor
from search.racing import Pruner
from search.work import GO_ON, HALT, TrialTask, Verdict
from spaces import Settings
from tracking.history import History, TrialHistory
from tracking.records import FoldEnded, Record, TrialStarted

FAILURES_IN_A_ROW = 10

COMPLETE, EXHAUSTED, TIMEOUT, FAILED = "complete", "exhausted", "timeout", "failed"


def is_done(history: History, trials: int) -> bool:
    """Say whether a study has all its trials, each of them over."""
    finished = len(history.finished())
    return finished >= trials and finished == len(history.trials)


class Study:
    """Evaluates baselines and proposals until the budget is used up.

    Args:
        history: what happened so far; kept current.
        record: called with every new record, before it is acted upon.
        driver: proposes; it is shown the history's trials first.
        pruner: ends weak trials after a fold. Baselines always see all folds: they are what
            the others are measured by.
        executor: evaluates.
        baselines: complete settings by name, evaluated first.
        trials: total number of trials, those of the history included.
        deadline: `time.monotonic()` at which to stop, None for never.
    """

    def __init__(
        self,
        *,
        history: History,
        record: Callable[[Record], None],
        driver: Driver,
        pruner: Pruner,
        executor: Executor,
        baselines: Mapping[str, Settings],
        trials: int,
        deadline: float | None = None,
    ) -> None:
        self._history = history
        self._record = record
        self._driver = driver
        self._pruner = pruner
        self._executor = executor
        self._baselines = baselines
        self._trials = trials
        self._deadline = deadline
        self._exhausted = False
        self._failures_in_a_row = 0
        self._interrupted = [t for t in history.trials.values() if t.ended is None]

    def run(self) -> str:
        """Run to the end and return the reason: complete, exhausted, timeout or failed."""
        self._catch_up()
        running = 0
        while True:
            while running < self._executor.slots and (task := self._next_task()) is not None:
                self._executor.submit(task)
                running += 1
            if not running:
                return self._reason()
            self._conclude(self._history.trials[self._executor.wait(self._on_record)])
            running -= 1

    def _catch_up(self) -> None:
        for number, trial in sorted(self._history.trials.items()):
            setting, sampled = trial.started.parameters, trial.started.origin == "sampled"
            self._driver.adopt(number, setting, sampled=sampled)
            if trial.ended is not None:
                self._driver.tell(number, setting, _outcome(trial))

    def _next_task(self) -> TrialTask | None:
        if self._out_of_time() or self._failing():
            return None
        if self._interrupted:
            return self._rest_of(self._interrupted.pop(0))
        number = len(self._history.trials)
        if number >= self._trials:
            return None
        return self._begin_baseline(number) or self._begin_proposal(number)

    def _begin_baseline(self, number: int) -> TrialTask | None:
        origins = {trial.started.origin for trial in self._history.trials.values()}
        for name, setting in self._baselines.items():
            if f"baseline:{name}" not in origins:
                self._driver.adopt(number, setting, sampled=False)
                return self._begin(number, setting, f"baseline:{name}")
        return None

    def _begin_proposal(self, number: int) -> TrialTask | None:
        setting = self._driver.ask(number)
        if setting is None:
            self._exhausted = True
            return None
        return self._begin(number, setting, "sampled")

    def _begin(self, number: int, setting: Settings, origin: str) -> TrialTask:
        self._take(
            TrialStarted(at=time.time(), trial=number, parameters=dict(setting), origin=origin)
        )
        return TrialTask(trial=number, parameters=setting)

    def _on_record(self, record: Record) -> Verdict:
        self._take(record)
        if self._out_of_time():
            return HALT
        if isinstance(record, FoldEnded):
            reason = self._reason_to_prune(self._history.trials[record.trial])
            return Verdict(stop=True, reason=reason) if reason else GO_ON
        return GO_ON

    def _reason_to_prune(self, trial: TrialHistory) -> str:
        if trial.started.origin != "sampled" or self._is_last_fold(trial):
            return ""
        return self._pruner.reason_to_stop(trial, self._history)

    def _rest_of(self, trial: TrialHistory) -> TrialTask:
        """Return what is left of an interrupted trial.

        The session may have ended between a fold's end and the pruner's word on it, so the pruner
        is asked once more; having heard nothing new, it would say the same as then.
        """
        finished = tuple(trial.finished_folds().values())
        stop = self._reason_to_prune(trial) if finished else ""
        return TrialTask(trial.number, trial.started.parameters, finished, stop)

    def _take(self, record: Record) -> None:
        self._history.add(record)
        self._record(record)

    def _conclude(self, trial: TrialHistory) -> None:
        if trial.ended is not None:
            self._driver.tell(trial.number, trial.started.parameters, _outcome(trial))
            failed = trial.state == "failed"
            self._failures_in_a_row = self._failures_in_a_row + 1 if failed else 0

    def _is_last_fold(self, trial: TrialHistory) -> bool:
        study = self._history.study
        return study is not None and len(trial.finished_folds()) >= study.folds

    def _out_of_time(self) -> bool:
        return self._deadline is not None and time.monotonic() >= self._deadline

    def _failing(self) -> bool:
        return self._failures_in_a_row >= FAILURES_IN_A_ROW

    def _reason(self) -> str:
        if self._failing():
            return FAILED
        if len(self._history.finished()) >= self._trials:
            return COMPLETE
        return EXHAUSTED if self._exhausted else TIMEOUT


def _outcome(trial: TrialHistory) -> Outcome:
    accuracies = [ended.accuracy for ended in trial.finished_folds().values()]
    steps = {n: statistics.fmean(accuracies[:n]) for n in range(1, len(accuracies) + 1)}
    return Outcome(trial.state, () if trial.value is None else (trial.value,), steps)
