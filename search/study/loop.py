"""The loop of a study: ask, evaluate, tell, record."""

import time
from collections.abc import Callable

from search.data.folds import further_numbers
from search.errors import FoldwiseError
from search.executors import Executor
from search.executors.protocol import GO_ON, HALT, TrialTask, Verdict
from search.study.attempts import failed, failed_confirmation, is_worth_repeating
from search.study.budget import Budget, seconds_to_race
from search.study.drivers import Driver
from search.study.feedback import Feedback
from search.study.pruners import Pruner
from search.study.pruners.base import Standing
from spaces import Settings
from tracking.history import History, TrialHistory
from tracking.records import (
    AttemptFailed,
    EpochEnded,
    FoldEnded,
    Notice,
    Record,
    TrialConfirmed,
    TrialEnded,
    TrialStarted,
)

FAILURES_IN_A_ROW = 10

COMPLETE, EXHAUSTED, TIMEOUT, FAILED = "complete", "exhausted", "timeout", "failed"


class StudyStopped(FoldwiseError):
    """The study cannot go on for now; the message says why and what to do."""


class Study:
    """Evaluates baselines and proposals until the budget is used up.

    Args:
        history: what happened so far; `record` keeps it current.
        record: takes every new record, before it is acted upon: an event log's `append`.
        driver: proposes; it is shown the history's trials first.
        pruner: ends weak trials. Baselines always see all folds: they are what the others are
            measured by.
        executor: evaluates.
        budget: how much to do.
    """

    def __init__(
        self,
        *,
        history: History,
        record: Callable[[Record], None],
        driver: Driver,
        pruner: Pruner,
        executor: Executor,
        budget: Budget,
    ) -> None:
        self._history = history
        self._record = record
        self._driver = driver
        self._pruner = pruner
        self._executor = executor
        self._budget = budget
        self._exhausted = False
        self._failures_in_a_row = 0
        self._feedback = Feedback(driver, history, waits=pruner.waits)
        self._counted = {  # for failures in a row
            t.number for t in history.trials.values() if t.ended or self._is_waiting(t)
        }
        self._tried: set[int] = set()  # to confirm
        self._broken: dict[int, AttemptFailed] = {}  # tasks that broke off, by their trials
        self._again: list[TrialTask] = []  # what is left of them
        self._over: set[int] = set()  # trials whose task has come to its outcome
        self._next_number = 0
        begun = {trial.started.origin for trial in history.trials.values()}
        self._baselines = [name for name in budget.baselines if f"baseline:{name}" not in begun]
        self._interrupted = [
            t for t in history.trials.values() if t.ended is None and not self._is_waiting(t)
        ]

    def run(self) -> str:
        """Run to the end and return the reason: complete, exhausted, timeout or failed.

        Raises:
            StudyStopped: there is no room for what the workers write.
        """
        self._catch_up()
        self._work_off(self._next_trial)
        for stage in (self._race, self._confirmations):
            while not self._budget.is_used_up() and (tasks := stage()):
                self._work_off(lambda tasks=tasks: tasks.pop(0) if tasks else None)  # type: ignore[misc]
        return self._reason()

    def _work_off(self, next_task: Callable[[], TrialTask | None]) -> None:
        running: dict[int, TrialTask] = {}
        while True:
            while len(running) < self._executor.slots:
                task = self._in_time(lambda: self._again.pop() if self._again else next_task())
                if task is None:
                    break
                self._executor.submit(task)
                running[task.trial] = task
            if not running:
                return
            over = self._executor.wait(self._on_record)
            if over is not None:  # else there are more slots
                self._conclude(running.pop(over))

    def _in_time(self, next_task: Callable[[], TrialTask | None]) -> TrialTask | None:
        return None if self._budget.is_used_up() else next_task()

    def _catch_up(self) -> None:
        """Show the driver the journal's trials; it is told how they ended when it is asked."""
        if self._driver.remembers:
            self._live_again()
            return
        for _, trial in sorted(self._history.trials.items()):
            self._adopt(trial.started)

    def _live_again(self) -> None:
        """Take the driver through all that happened, telling it each time what was known then."""
        past = History()
        past.add(self._history.known_study())
        feedback = Feedback(self._driver, past, waits=self._pruner.waits)
        for record in self._history.trial_records():
            if isinstance(record, TrialStarted):
                feedback.give()
                self._adopt(record)
            past.add(record)
            if isinstance(record, FoldEnded | TrialEnded):
                feedback.note(record.trial)

    def _adopt(self, started: TrialStarted) -> None:
        sampled = started.origin == "sampled"
        self._driver.adopt(started.trial, started.parameters, sampled=sampled)

    # The first stage: every trial has its turn.

    def _next_trial(self) -> TrialTask | None:
        if self._failing():
            return None
        if self._interrupted:
            return self._rest_of(self._interrupted.pop(0))
        known = self._history.trials
        if len(known) >= self._budget.trials or self._budget.is_used_up(self._seconds_to_race()):
            return None
        while self._next_number in known:  # a repair may leave a gap
            self._next_number += 1
        number = self._next_number
        return self._begin_baseline(number) or self._begin_proposal(number)

    def _begin_baseline(self, number: int) -> TrialTask | None:
        if not self._baselines:
            return None
        name = self._baselines.pop(0)
        setting = self._budget.baselines[name]
        self._driver.adopt(number, setting, sampled=False)
        return self._begin(number, setting, f"baseline:{name}")

    def _begin_proposal(self, number: int) -> TrialTask | None:
        self._feedback.give()
        setting = self._driver.ask(number)
        if setting is None:
            self._exhausted = True
            return None
        return self._begin(number, setting, "sampled")

    def _begin(self, number: int, setting: Settings, origin: str) -> TrialTask:
        self._take(
            TrialStarted(
                at=time.time(),
                trial=number,
                parameters=dict(setting),
                origin=origin,
                compared_after=self._pruner.compared_after(setting),
            )
        )
        trial = self._history.trials[number]
        return self._task(trial, self._first_folds(trial))

    def _rest_of(self, trial: TrialHistory) -> TrialTask:
        """Return what is left of an interrupted trial's turn."""
        return self._task(trial, self._first_folds(trial), self._last_word(trial))

    def _last_word(self, trial: TrialHistory) -> str:
        """Return why a trial that broke off is to be pruned, if it is.

        It may have done so between a fold's end and the pruner's word on it, so the pruner is asked
        once more; having heard nothing new, it would say the same as then.
        """
        return self._reason_to_prune(trial) if trial.finished_folds() else ""

    # The second: trials that waited race, all over the same number of folds at a time.

    def _race(self) -> list[TrialTask]:
        waiting = [trial for trial in self._history.trials.values() if self._is_waiting(trial)]
        level = min((trial.level for trial in waiting), default=0)
        standing = Standing(self._history.objectives[0])
        racing = [trial for trial in waiting if trial.level == level]
        # The best first, should the time run out.
        racing.sort(key=lambda trial: -standing.mean(trial, trial.finished_folds()))
        return [
            self._task(trial, min(level + 1, self._folds), self._reason_to_drop(trial, level))
            for trial in racing
        ]

    def _reason_to_drop(self, trial: TrialHistory, level: int) -> str:
        if level >= self._folds:  # interrupted just before it was complete
            return ""
        return self._pruner.reason_to_drop(trial, self._history)

    # The third: the best prove themselves on folds that did not choose them.

    def _confirmations(self) -> list[TrialTask]:
        return [self._confirmation(trial) for trial in self._to_confirm()]

    def _confirmation(self, trial: TrialHistory) -> TrialTask:
        return TrialTask(
            trial.number,
            trial.setting,
            tuple(further_numbers(self._folds)),
            tuple(trial.finished_more_folds().values()),
            confirms=True,
        )

    def _to_confirm(self) -> list[TrialHistory]:
        best = self._budget.to_confirm(self._history)
        return [trial for trial in best if trial.number not in self._tried]

    # What happens on the way.

    def _on_record(self, record: Record) -> Verdict:
        if isinstance(record, Notice) and record.text in {
            notice.text for notice in self._history.notices
        }:
            return GO_ON  # another worker has found the same
        if isinstance(record, AttemptFailed):
            if record.trial in self._over:  # its worker died with nothing left to do
                return GO_ON
            self._broken[record.trial] = record
        self._take(record)
        if isinstance(record, TrialEnded | TrialConfirmed):
            self._over.add(record.trial)
        if self._budget.is_used_up():
            return HALT
        if isinstance(record, EpochEnded | FoldEnded):
            reason = self._reason_to_prune(self._history.trials[record.trial])
            return Verdict(stop=True, reason=reason) if reason else GO_ON
        return GO_ON

    def _reason_to_prune(self, trial: TrialHistory) -> str:
        is_over = trial.ended is not None or trial.level >= self._folds
        if is_over or self._sees_all_folds(trial):
            return ""
        return self._pruner.reason_to_stop(trial, self._history)

    def _take(self, record: Record) -> None:
        self._record(record)
        if isinstance(record, FoldEnded | TrialEnded):
            self._feedback.note(record.trial)

    def _conclude(self, task: TrialTask) -> None:
        trial = self._history.trials[task.trial]
        self._over.discard(task.trial)
        failure = self._broken.pop(task.trial, None)
        if failure is not None:
            self._repeat_or_fail(task, trial, failure)
        if trial.confirmed is not None:
            self._tried.add(trial.number)
        self._count_failures(trial)

    def _repeat_or_fail(self, task: TrialTask, trial: TrialHistory, failure: AttemptFailed) -> None:
        """Decide on a trial whose task broke off; its finished folds are kept either way."""
        if failure.cause == "disk":
            raise StudyStopped(
                f"trial {trial.number}: {failure.reason}\nEvery finished fold is kept. Make room"
                " and run the same command again."
            )
        if not is_worth_repeating(trial, failure):
            self._take(failed_confirmation(failure) if task.confirms else failed(trial, failure))
            return
        if task.confirms:
            self._again.append(self._confirmation(trial))
        else:
            self._again.append(self._task(trial, task.until, self._last_word(trial)))

    def _count_failures(self, trial: TrialHistory) -> None:
        """Count a trial, once, when it is over or waits."""
        is_over = trial.ended is not None
        if trial.number in self._counted or not (is_over or self._is_waiting(trial)):
            return
        self._counted.add(trial.number)
        failed = trial.state == "failed"
        self._failures_in_a_row = self._failures_in_a_row + 1 if failed else 0

    def _task(self, trial: TrialHistory, until: int, stop: str = "") -> TrialTask:
        finished = tuple(trial.finished_folds().values())
        folds = tuple(range(1, until + 1))
        return TrialTask(trial.number, trial.setting, folds, finished, stop)

    # Where the study stands.

    @property
    def _folds(self) -> int:
        return self._history.known_study().folds

    def _first_folds(self, trial: TrialHistory) -> int:
        """Return how many folds a trial's own turn is long."""
        waits = self._pruner.waits and not self._sees_all_folds(trial)
        return 1 if waits else self._folds

    def _sees_all_folds(self, trial: TrialHistory) -> bool:
        """Say whether no pruner is asked: of baselines, and of those that were complete before."""
        return trial.started.origin != "sampled" or trial.reopened

    def _is_waiting(self, trial: TrialHistory) -> bool:
        first = self._first_folds(trial)
        is_through = trial.level >= first
        return trial.ended is None and is_through and first < self._folds

    def _seconds_to_race(self) -> float:
        tally = self._history.tally
        waiting = len(tally.waiting) + len(tally.at_rest) if self._pruner.waits else 0
        return seconds_to_race(self._history, waiting)

    def _failing(self) -> bool:
        return self._failures_in_a_row >= FAILURES_IN_A_ROW

    def _reason(self) -> str:
        if self._failing():
            return FAILED
        finished = len(self._history.finished())
        if finished < len(self._history.trials) or self._to_confirm():
            return TIMEOUT
        if finished >= self._budget.trials:
            return COMPLETE
        return EXHAUSTED if self._exhausted else TIMEOUT
