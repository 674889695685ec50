"""The loop of a study: ask, train fold by fold, tell, record."""

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from search.data.folds import confirmation_numbers
from search.errors import FoldwiseError
from search.executors import Executor
from search.executors.protocol import GO_ON, HALT, FoldKey, FoldTask, Verdict
from search.study.budget import Budget, seconds_to_race
from search.study.drivers import Driver
from search.study.feedback import Feedback
from search.study.pruners import Pruner
from search.study.pruners.base import Rung
from search.study.stopping import Stopping
from search.study.trial_end import (
    Ending,
    OutOfFold,
    Spent,
    TrialEnds,
    is_worth_repeating,
    why_given_up,
)
from spaces import Params
from tracking.history import FoldHistory, History, TrialHistory
from tracking.records import (
    AttemptFailed,
    EpochEnded,
    FoldEnded,
    FoldPaused,
    FoldStarted,
    Notice,
    Record,
    TrialEnded,
    TrialStarted,
)
from tracking.states import TrialState

FAILURES_IN_A_ROW = 10

COMPLETE, EXHAUSTED, TIMEOUT, FAILED = "complete", "exhausted", "timeout", "failed"
ENOUGH = "enough"
INTERRUPTED, STOPPED = "interrupted", "stopped"


class StudyStopped(FoldwiseError):
    """The study cannot go on for now; the message says why and what to do."""


@dataclass
class Turn:
    """What a stage of the study has a trial do: train some folds, in order, up to a rung.

    Attributes:
        trial: its number.
        numbers: its folds, those included that are finished.
        folds: those that have not begun.
        until: after which epoch of the last one it pauses; 0 for not before the fold's end.
        ahead: folds beyond the turn, for workers that would have nothing else to do.
        again: those that were trained once more since their predictions could not be used.
    """

    trial: int
    numbers: range
    folds: deque[int]
    until: int = 0
    ahead: deque[int] = field(default_factory=deque)
    again: set[int] = field(default_factory=set)


@dataclass
class Running:
    """A fold that a worker trains.

    Attributes:
        task: what the worker was given.
        ahead: whether it is beyond its trial's turn.
        began: `time.monotonic()` at its start; None before that is reported.
        failure: why it broke off.
        is_stopped: whether nothing is wanted of it any more: its trial is over.
    """

    task: FoldTask
    ahead: bool = False
    began: float | None = None
    failure: AttemptFailed | None = None
    is_stopped: bool = False


class Study:
    """Evaluates baselines and proposals until the budget is used up.

    A study has three stages: every trial has its turn, waiting trials race, the best are confirmed.
    Each hands out turns of trials; what workers are given is one fold at a time, or a part of one.

    With a pruner that waits, a trial's own turn ends at the first rung. Where the driver learns
    from values, trials go on from rungs within the first fold before a new one is proposed, so that
    it hears early of whole folds; else none goes on before all had their turn. Then they race: from
    the lowest rung that is not settled those go on that the pruner names, until it names none that
    has not gone on. Whoever waits then is over.

    Args:
        history: what happened so far; `record` keeps it current.
        record: takes every new record, before it is acted upon: an event log's `append`.
        driver: proposes; it is shown the history's trials first.
        pruner: says which trials are trained further. Baselines always see all folds: they are what
            the others are measured by.
        executor: trains folds.
        budget: how much to do.
        out_of_fold: reads what the folds' models predicted; see `TrialEnds`.
        collect: called before each proposal; records what users have enqueued meanwhile.
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
        out_of_fold: OutOfFold | None = None,
        collect: Callable[[], None] = lambda: None,
    ) -> None:
        self._history = history
        self._record = record
        self._driver = driver
        self._pruner = pruner
        self._executor = executor
        self._budget = budget
        self._collect = collect
        self._informed = 0  # of trials of elsewhere
        self._ends = TrialEnds(history, out_of_fold)
        self._rungs = pruner.rungs(self._folds)
        # Trials that are over or beyond a rung, by rung: to look at all of them again takes long.
        self._gone: list[set[int]] = [set() for _ in self._rungs]
        self._feedback = Feedback(driver, history, self._rungs)
        self._turns: dict[int, Turn] = {}  # of the stage, by trial
        self._running: dict[FoldKey, Running] = {}
        self._is_stage_over = False
        self._stopping = Stopping(history, self._feedback.outcome, budget.trials)
        self.enough = ""  # why more trials would gain too little
        self._exhausted = False
        self._failed = False
        self._failures_in_a_row = 0
        self._next_number = 0
        self._tried: set[int] = set()  # to confirm
        begun = {trial.started.origin for trial in history.trials.values()}
        self._baselines = [name for name in budget.baselines if f"baseline:{name}" not in begun]

    def run(self) -> str:
        """Run to the end and return the reason.

        It is complete, exhausted, enough, timeout, failed, or stopped where somebody asked for it.

        Raises:
            StudyStopped: there is no room for what the workers write.
        """
        self._catch_up()
        self._work_off(self._proposals())
        self._failed = self._failing()
        while not self._budget.is_used_up() and (turns := self._racing()):
            self._work_off(self._with_traced_first(turns))
        if not self._budget.is_used_up():
            self._end_waiting()
        self._work_off(self._confirmations())
        return self._reason()

    def _catch_up(self) -> None:
        """Show the driver the journal's trials; it is told how they ended when it is asked."""
        if self._driver.remembers:
            self._live_again()
            return
        for _, trial in sorted(self._history.trials.items()):
            self._inform(before=trial.started.at)
            self._adopt(trial.started)
        self._inform()

    def _inform(self, before: float = math.inf) -> None:
        """Inform the driver of trials of elsewhere, in the order of the journal.

        Its state may depend on the order in which it is shown trials, so an interrupted study has
        to keep to it.

        Args:
            before: seconds since 1970; only of those that were recorded earlier.
        """
        objective, told = self._history.objectives[0], self._history.told
        while self._informed < len(told) and told[self._informed].at < before:
            place, one = self._informed, told[self._informed]
            self._driver.inform(place, one.parameters, objective.oriented(one.value))
            self._informed += 1

    def _live_again(self) -> None:
        """Take the driver through all that happened, telling it each time what was known then."""
        past = History()
        past.add(self._history.known_study())
        feedback = Feedback(self._driver, past, self._rungs)
        for record in self._history.trial_records():
            if isinstance(record, TrialStarted):
                feedback.give()
                self._adopt(record)
            past.add(record)
            if isinstance(record, FoldPaused | FoldEnded | TrialEnded):
                feedback.note(record.trial)

    def _adopt(self, started: TrialStarted) -> None:
        sampled = started.origin == "sampled" and not started.proposed_by
        self._driver.adopt(started.trial, started.parameters, sampled=sampled)

    # Which fold a free worker is given.

    def _work_off(self, stage: Iterator[Turn]) -> None:
        """Train what a stage asks for, until all its turns are over or time is up."""
        self._turns, self._is_stage_over = {}, False
        while True:
            while len(self._running) < self._executor.slots and self._begin_next(stage):
                pass
            if not self._is_worth_waiting():
                return
            over = self._executor.wait(self._on_record)
            if over is not None:  # else there are more slots, or nothing more is to begin
                self._conclude(self._running.pop(over))

    def _is_worth_waiting(self) -> bool:
        """Say whether a fold is wanted that workers have been given.

        Of a study that is to stop, those end first that are in training; no other begins.
        """
        if self._budget.is_stopped():
            return any(one.began is not None for one in self._running.values())
        is_wanted = self._has_turns_running() or self._has_turns_left()
        return bool(self._running) and is_wanted

    def _has_turns_running(self) -> bool:
        return any(not (one.ahead or one.is_stopped) for one in self._running.values())

    def _has_turns_left(self) -> bool:
        is_left = not self._is_stage_over or any(turn.folds for turn in self._turns.values())
        return is_left and not self._budget.is_used_up()

    def _begin_next(self, stage: Iterator[Turn]) -> bool:
        """Give a worker the fold that comes next; say whether there was one.

        That is the next fold of a trial which its worker has traced; else the stage's next trial;
        else, so that no worker is idle while others train the last trials, another fold of one of
        these, and even one that racing may turn out to need.
        """
        if self._budget.is_used_up():
            return False
        turn = self._resting_turn() or self._next_turn(stage) or self._shared_turn()
        if turn is not None:
            fold = turn.folds.popleft()
            self._submit(turn.trial, fold, until=turn.until if fold == turn.numbers[-1] else 0)
            return True
        ahead = [turn for turn in self._turns.values() if turn.ahead]
        if not ahead or not self._has_turns_running():
            return False
        turn = min(ahead, key=lambda turn: turn.ahead[0])  # of equal ones the better trial's
        self._submit(turn.trial, turn.ahead.popleft(), ahead=True)
        return True

    def _resting_turn(self) -> Turn | None:
        """Return a turn under way whose trial is not trained now: its worker is free."""
        trained = {trial for trial, _ in self._running}
        resting = (t for t in self._turns.values() if t.folds and t.trial not in trained)
        return next(resting, None)

    def _next_turn(self, stage: Iterator[Turn]) -> Turn | None:
        """Begin the stage's next turn that has something to train, if there is one left."""
        for turn in stage:
            self._turns[turn.trial] = turn
            if turn.folds:
                return turn
            self._finish_if_over(turn)
        self._is_stage_over = True
        return None

    def _shared_turn(self) -> Turn | None:
        """Return a turn whose folds may be trained side by side, as no other trial is left.

        It is the first, so that those who have traced its program go on with it.
        """
        return next((turn for turn in self._turns.values() if turn.folds), None)

    def _submit(self, number: int, fold: int, *, until: int = 0, ahead: bool = False) -> None:
        trial = self._history.trials[number]
        folds = [*trial.folds.values(), *trial.confirmation_folds.values()]
        known = trial.folds.get(fold)
        task = FoldTask(
            trial=number,
            params=trial.params,
            fold=fold,
            describe=not trial.model or bool(self._ends.missing(trial)),
            seconds_before=sum(
                each.ended.seconds if each.ended else each.paused_seconds for each in folds
            ),
            until=until,
            kept=_gone_on_after(known) if known else 0,
        )
        self._running[task.key] = Running(task, ahead)
        self._executor.submit(task)

    # The first stage: every trial has its turn.

    def _proposals(self) -> Iterator[Turn]:
        known = self._history.trials.values()
        interrupted = [t for t in known if not (t.state.is_over or self._may_race(t))]
        for trial in interrupted:
            if self._failing():
                return
            yield from self._resumed(trial)
        while not self._failing():
            if self._driver.learns and (turn := self._within_first_fold()):
                yield turn
                continue
            if not self._has_room():
                return
            number = self._free_number()
            started = self._baseline(number) or self._enqueued(number) or self._proposal(number)
            if started is None:
                return
            self._take(started)
            yield self._own_turn(self._history.trials[number])

    def _within_first_fold(self) -> Turn | None:
        """Return the turn of a trial that goes on within its first fold, the furthest first."""
        within = [n for n, rung in enumerate(self._rungs) if rung.fold == 1 and rung.share < 1]
        for rung in reversed(within):
            for trial in self._going_on(rung, final=False):
                if trial.number not in self._turns:
                    return self._turn_beyond(trial, rung)
        return None

    def _has_room(self) -> bool:
        begun = len(self._history.trials)
        reserve = 0.0 if self._budget.deadline is None else self._seconds_to_race()
        return begun < self._budget.trials and not self._budget.is_used_up(reserve)

    def _free_number(self) -> int:
        while self._next_number in self._history.trials:  # a repair may leave a gap
            self._next_number += 1
        return self._next_number

    def _resumed(self, trial: TrialHistory) -> Iterator[Turn]:
        """Yield what is left of an interrupted trial's turn.

        It may have been interrupted between a fold's end and the pruner's word on it, so the pruner
        is asked once more; having heard nothing new, it would say the same as then.
        """
        reason = self._reason_to_prune(trial) if trial.finished_folds() else ""
        if reason:
            self._end(trial, Ending("pruned", reason))
        else:
            yield self._own_turn(trial)

    def _baseline(self, number: int) -> TrialStarted | None:
        if not self._baselines:
            return None
        name = self._baselines.pop(0)
        params = self._budget.baselines[name]
        self._driver.adopt(number, params, sampled=False)
        return self._started(number, params, f"baseline:{name}")

    def _enqueued(self, number: int) -> TrialStarted | None:
        self._collect()
        self._inform()
        if not self._history.enqueued:
            return None
        self._feedback.give()  # as when the driver lives through the journal again
        first = self._history.enqueued[0]
        self._driver.adopt(number, first.parameters, sampled=False)
        return self._started(number, first.parameters, first.origin)

    def _proposal(self, number: int) -> TrialStarted | None:
        self.enough = self._stopping.reason() if self._budget.stops_early else ""
        if self.enough:
            return None
        self._feedback.give()
        params = self._driver.ask(number)
        if params is None:
            self._exhausted = True
            return None
        started = self._started(number, params, "sampled")
        return replace(started, proposed_by=self._driver.proposed_by(number))

    def _started(self, number: int, params: Params, origin: str) -> TrialStarted:
        return TrialStarted(
            at=time.time(),
            trial=number,
            parameters=dict(params),
            origin=origin,
            compared_after=self._pruner.compared_after(params),
        )

    def _own_turn(self, trial: TrialHistory) -> Turn:
        """Return the turn of a trial up to where it is compared with others, if it is."""
        return self._turn(trial, self._whole if self._sees_all_folds(trial) else self._targets[0])

    def _turn(self, trial: TrialHistory, target: Rung) -> Turn:
        """Return the turn of a trial up to a rung: what is not trained yet, or was lost since."""
        numbers = range(1, target.fold + 1)
        epoch = target.epoch(trial.started.parameters)
        until = epoch if epoch < int(trial.started.parameters.get("epochs", 1)) else 0
        left = self._left(trial, numbers)
        last = trial.folds.get(target.fold)
        if until and last is not None and not last.ended and last.has_reached(until):
            left = [number for number in left if number != target.fold]
        return Turn(trial.number, numbers, deque(left), until)

    def _left(self, trial: TrialHistory, wanted: Iterable[int]) -> list[int]:
        """Return those of some folds that are neither finished nor in training.

        Folds without usable predictions are among them, and the user is told.
        """
        numbers = list(wanted)
        lost = self._ends.faults(trial, numbers)
        for fold, fault in lost.items():
            self._train_again(trial, fold, fault)
        finished = {*trial.finished_folds(), *trial.finished_confirmation_folds()} - set(lost)
        return [n for n in numbers if n not in finished and (trial.number, n) not in self._running]

    def _train_again(self, trial: TrialHistory, fold: int, fault: str) -> None:
        text = f"trial {trial.number}, fold {fold} is trained again: {fault}"
        if not self._is_known(text):
            self._take(Notice(at=time.time(), text=text, trial=trial.number))

    def _is_known(self, text: str) -> bool:
        return any(text == notice.text for notice in self._history.notices)

    # The second: trials that waited race, from the lowest rung upwards.

    def _racing(self) -> list[Turn]:
        """Return the turns of those that go on from the lowest rung that is not settled.

        The best comes first: that is their order should the time run out.
        """
        for rung in range(len(self._rungs)):
            if going := self._going_on(rung):
                self._hold_back(self._pruner.going_on(self._history, rung))
                return [self._turn_beyond(trial, rung) for trial in going]
        return []

    def _with_traced_first(self, turns: list[Turn]) -> Iterator[Turn]:
        """Yield turns, those of trials first whose program a free worker has traced."""
        left = deque(turns)
        while left:
            turn = next((t for t in left if self._executor.has_traced(t.trial)), left[0])
            left.remove(turn)
            yield turn

    def _going_on(self, rung: int, *, final: bool = True) -> list[TrialHistory]:
        """Return the trials that go on from a rung and have not yet, the best first."""
        gone = self._gone[rung]
        numbers = self._pruner.going_on(self._history, rung, final=final)
        trials = [self._history.trials[number] for number in numbers if number not in gone]
        left = [t for t in trials if self._may_race(t) and not self._is_beyond(t, rung)]
        gone.update({trial.number for trial in trials} - {trial.number for trial in left})
        return left

    def _is_beyond(self, trial: TrialHistory, rung: int) -> bool:
        is_last = rung + 1 == len(self._rungs)  # a trial that has come to the end is over
        return not is_last and self._rungs[rung + 1].is_reached(trial)

    def _turn_beyond(self, trial: TrialHistory, rung: int) -> Turn:
        """Return the turn of a trial from a rung to the next.

        After whole folds, workers that would have nothing else to do may begin its later ones.
        """
        turn = self._turn(trial, self._targets[rung + 1])
        if self._rungs[rung].share == 1.0:
            later = range(turn.numbers[-1] + 1, self._folds + 1)
            turn.ahead.extend(self._left(trial, later))
        for running in self._running.values():
            if running.task.trial == trial.number and running.task.fold in turn.numbers:
                running.ahead = False
        return turn

    def _hold_back(self, going: list[int]) -> None:
        """Break off what is trained ahead of trials that do not go on."""
        for running in self._running.values():
            if running.ahead and not running.is_stopped and running.task.trial not in going:
                running.is_stopped = True
                if running.began is not None:
                    self._take(_given_up(running))

    def _end_waiting(self) -> None:
        """End the trials that wait, as nothing will have them go on any more."""
        waiting = [trial for trial in self._history.trials.values() if self._may_race(trial)]
        reasons = {t.number: self._pruner.reason(t, self._history) for t in waiting}
        rungs = {t.number: self._rungs[self._pruner.standing(t, self._history)] for t in waiting}
        for trial in waiting:
            rung = rungs[trial.number]
            whole = rung.fold if rung.share == 1.0 else rung.fold - 1
            ending = Ending("pruned", reasons[trial.number], compared_folds=whole)
            self._end(trial, ending)

    # The third: the best prove themselves on folds that did not choose them.

    def _confirmations(self) -> Iterator[Turn]:
        for trial in self._to_confirm():
            self._tried.add(trial.number)
            numbers = confirmation_numbers(self._folds, self._repeats)
            yield Turn(trial.number, numbers, deque(self._left(trial, numbers)))

    def _to_confirm(self) -> list[TrialHistory]:
        best = self._budget.to_confirm(self._history)
        return [trial for trial in best if trial.number not in self._tried]

    # What happens on the way.

    def _on_record(self, record: Record) -> Verdict:
        running = self._running.get((getattr(record, "trial", -1), getattr(record, "fold", -1)))
        if running is not None and running.is_stopped:
            return HALT  # its trial is over: what still comes is nobody's
        match record:
            case Notice() if self._is_known(record.text):
                return GO_ON  # another worker has found the same
            case AttemptFailed():
                return self._take_failure(record, running)
            case FoldStarted() if self._budget.is_stopped():
                return HALT  # its worker was loading when the study was asked to stop
            case FoldStarted() if running is not None:
                running.began = running.began or time.monotonic()
                record = replace(record, ahead=running.ahead)
            case FoldEnded() if running is not None:
                fold = self._history.folds_of(record)[record.fold]
                record = replace(record, seconds=record.seconds + fold.paused_seconds)
        self._take(record)
        if self._budget.breaks_off():
            return HALT
        if isinstance(record, EpochEnded | FoldEnded):
            trial = self._history.trials[record.trial]
            reason = self._reason_to_prune(trial)
            if reason:
                self._end(trial, Ending("pruned", reason))
                return HALT
        return GO_ON

    def _take_failure(self, failure: AttemptFailed, running: Running | None) -> Verdict:
        if running is None or self._is_finished(running.task):
            return GO_ON  # its worker died with nothing left to do
        running.failure = failure
        if failure.cause != "error":
            self._take(failure)
        return GO_ON

    def _is_finished(self, task: FoldTask) -> bool:
        trial = self._history.trials[task.trial]
        return task.fold in trial.finished_folds() | trial.finished_confirmation_folds()

    def _reason_to_prune(self, trial: TrialHistory) -> str:
        is_over = trial.state.is_over or trial.level >= self._folds
        if is_over or self._sees_all_folds(trial):
            return ""
        return self._pruner.reason_to_stop(trial, self._history)

    def _take(self, record: Record) -> None:
        self._record(record)
        if isinstance(record, FoldPaused | FoldEnded | TrialEnded):
            self._feedback.note(record.trial)

    # What becomes of a trial when one of its folds is over.

    def _conclude(self, running: Running) -> None:
        trial, turn = self._history.trials[running.task.trial], self._turns.get(running.task.trial)
        if running.is_stopped:
            return
        if running.failure is not None:
            self._repeat_or_fail(trial, running, running.failure)
        if turn is not None:
            self._finish_if_over(turn)

    def _repeat_or_fail(
        self, trial: TrialHistory, running: Running, failure: AttemptFailed
    ) -> None:
        """Decide on a fold that broke off; the trial's finished folds are kept either way."""
        task = running.task
        if failure.cause == "disk":
            raise StudyStopped(
                f"trial {trial.number}: {failure.reason}\nEvery finished fold is kept. Make room"
                " and run the same command again."
            )
        if running.ahead:  # its turn, should it come, decides
            return
        if is_worth_repeating(trial, failure, task.params):
            self._turns[trial.number].folds.appendleft(task.fold)
            return
        reason, error = why_given_up(failure), failure.error or failure.reason
        if task.fold > self._folds:
            self._take(self._ends.confirmed(trial, self._repeats, reason=reason, error=error))
            self._stop(trial)
        else:
            self._end(trial, Ending("failed", reason, error), broken=running)

    def _finish_if_over(self, turn: Turn) -> None:
        """Do what the end of a turn means: nothing yet, a complete trial, or a confirmed one."""
        trial, last = self._history.trials[turn.trial], turn.numbers[-1]
        folds = {**trial.finished_folds(), **trial.finished_confirmation_folds()}
        has_paused = (
            turn.until and last in trial.folds and trial.folds[last].has_reached(turn.until)
        )
        if not all(n in folds or (n == last and has_paused) for n in turn.numbers):
            return  # some are in training, have not begun, or were halted
        if last in folds and last >= self._folds:
            if again := self._unusable(trial, turn):
                turn.folds.extend(again)
                return
            if last > self._folds:
                self._take(self._ends.confirmed(trial, self._repeats))
            else:
                self._end(trial, Ending("complete"))
        self._count_failure(trial)
        if not turn.ahead:
            self._turns.pop(turn.trial, None)

    def _unusable(self, trial: TrialHistory, turn: Turn) -> list[int]:
        """Return the folds that a trial cannot end with: they are trained again, once."""
        faults = self._ends.faults(trial, turn.numbers)
        missing = self._ends.missing(trial)
        if missing and not trial.state.is_over:
            faults.setdefault(turn.numbers[-1], f"the journal does not tell its {missing}")
        for fold, fault in faults.items():
            if fold in turn.again:
                raise StudyStopped(
                    f"trial {trial.number}, fold {fold} was trained again, and again {fault}\nEvery"
                    " other fold is kept. Look after the study's folder and run the same command"
                    " again."
                )
            turn.again.add(fold)
            self._train_again(trial, fold, fault)
        return list(faults)

    def _end(self, trial: TrialHistory, ending: Ending, *, broken: Running | None = None) -> None:
        """Record a trial's outcome, and stop what is still trained of it.

        Args:
            trial: the trial.
            ending: how it ends.
            broken: its fold that broke off.
        """
        running = [one for one in self._running.values() if one.task.trial == trial.number]
        self._take(
            self._ends.ended(
                trial,
                ending,
                spent=_spent(trial, [*running, broken] if broken else running),
                model=broken.failure.model if broken and broken.failure else None,
            )
        )
        self._stop(trial)
        self._count_failure(trial)

    def _stop(self, trial: TrialHistory) -> None:
        """Want nothing more of a trial's folds in training, and begin no other."""
        for running in self._running.values():
            running.is_stopped |= running.task.trial == trial.number
        self._turns.pop(trial.number, None)

    def _count_failure(self, trial: TrialHistory) -> None:
        """Count a trial whose first turn is over."""
        failed = trial.state is TrialState.FAILED
        self._failures_in_a_row = self._failures_in_a_row + 1 if failed else 0

    # Where the study stands.

    @property
    def _folds(self) -> int:
        return self._history.known_study().folds

    @property
    def _repeats(self) -> int:
        """How many times all folds are cut and trained anew to confirm a trial."""
        return self._budget.confirm.repeats(self._history)

    @property
    def _whole(self) -> Rung:
        return Rung(self._folds)

    @property
    def _targets(self) -> tuple[Rung, ...]:
        """Where trials are trained to: from rung to rung, and to the end."""
        return (*self._rungs, self._whole)

    def _sees_all_folds(self, trial: TrialHistory) -> bool:
        """Say whether no pruner is asked: of baselines, and of those that were complete before."""
        return trial.started.is_baseline or trial.reopened

    def _may_race(self, trial: TrialHistory) -> bool:
        """Say whether a trial has come through its own turn and goes on by racing alone."""
        if not self._rungs or trial.state.is_over or self._sees_all_folds(trial):
            return False
        return self._rungs[0].is_reached(trial)

    def _seconds_to_race(self) -> float:
        places = [
            self._pruner.places(n, len(self._history.trials), self._folds)
            for n in range(len(self._rungs))
        ]
        return seconds_to_race(self._history, self._rungs, places)

    def _failing(self) -> bool:
        return self._failures_in_a_row >= FAILURES_IN_A_ROW

    def _reason(self) -> str:
        if self._failed:
            return FAILED
        unfinished = STOPPED if self._budget.is_stopped() else TIMEOUT
        finished = len(self._history.finished())
        if finished < len(self._history.trials) or self._to_confirm():
            return unfinished
        if finished >= self._budget.trials:
            return COMPLETE
        if self.enough:
            return ENOUGH
        return EXHAUSTED if self._exhausted else unfinished


def _spent(trial: TrialHistory, running: Iterable[Running]) -> Spent:
    """Return what went into folds of a trial that have not ended, or was trained twice."""
    training = {one.task.fold: one for one in running if one.began is not None}
    seconds, epochs = 0.0, 0
    for number, fold in trial.folds.items():
        if fold.ended is not None:
            epochs += fold.repeated
            continue
        seconds += fold.paused_seconds
        one = training.get(number)
        if one is not None and one.began is not None and fold.epochs:
            seconds += time.monotonic() - one.began
            epochs += fold.trained
        else:
            epochs += fold.repeated + fold.kept
    return Spent(seconds, epochs)


def _gone_on_after(fold: FoldHistory) -> int:
    """Return after which epoch a fold goes on: where it paused, if the journal has all before."""
    is_whole = all(number in fold.epochs for number in range(1, fold.kept + 1))
    return fold.kept if is_whole and fold.ended is None else 0


def _given_up(running: Running) -> FoldPaused:
    """Return the record of a fold that was trained ahead and is not wanted for now."""
    trial, fold = running.task.key
    seconds = 0.0 if running.began is None else time.monotonic() - running.began
    return FoldPaused(at=time.time(), trial=trial, fold=fold, epoch=0, seconds=seconds)
