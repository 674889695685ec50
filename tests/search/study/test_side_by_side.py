"""Which folds several workers train at once, and that the study's outcome does not depend on it."""

import random
import time
from collections.abc import Iterator

import pytest

from search.executors import Executor, OnRecord
from search.executors.protocol import FoldKey, FoldTask
from search.study.budget import Budget, Confirmation, StopRequest
from search.study.drivers import FixedDriver
from search.study.loop import Study
from search.study.pruners import PRUNERS, make_pruner
from tests.fakes import attempt_failed, epoch_ended, fold_ended, fold_paused
from tests.studies import GivenValues
from tracking.event_log import EventLog
from tracking.history import History
from tracking.objectives import OBJECTIVES
from tracking.records import EpochEnded, FoldEnded, FoldStarted, Record, TrialEnded

FOLDS, EPOCHS = 5, 4
UNITS = (50, 3, 80, 40, 95, 10, 60, 70, 20, 30)


def score(params, fold):
    """Crossing: what leads on one fold need not on the next."""
    return 0.3 + params["units"] / 250 + (params["units"] * fold * 7 % 11) / 60


class Workers(Executor):
    """Workers that train a fold in so many steps; a step is an epoch.

    Keeps which folds were in training at each step. `order` picks who makes the next step; without
    it they make theirs together.
    """

    def __init__(self, slots, *, order=None, stop_after=None, fails=(), lost=()):
        self.slots = slots
        self.steps: list[frozenset[FoldKey]] = []
        self.trained: list[FoldKey] = []
        self.given: list[tuple[FoldKey | None, FoldKey]] = []  # with what was over just before
        self._over: FoldKey | None = None
        self._order, self._left, self._fails, self._lost = order, stop_after, fails, list(lost)
        self._running: dict[FoldKey, Iterator[Record]] = {}
        self._to_step: list[FoldKey] = []

    def submit(self, task: FoldTask) -> None:
        assert len(self._running) < self.slots
        assert task.key not in self._running
        self._running[task.key] = self._train(task)
        self.given.append((self._over, task.key))
        self._over = None

    def wait(self, on_record: OnRecord) -> FoldKey:
        while True:
            key = self._next()
            record = next(self._running[key], None)
            if record is None or on_record(record).stop:
                del self._running[key]
                self._over = key
                return key

    def close(self) -> None:
        self._running.clear()

    def _next(self) -> FoldKey:
        if self._order is not None:
            return self._order.choice(sorted(self._running))
        self._to_step = [key for key in self._to_step if key in self._running]
        if not self._to_step:
            self.steps.append(frozenset(self._running))
            self._to_step = list(self._running)
        return self._to_step.pop(0)

    def _train(self, task: FoldTask) -> Iterator[Record]:
        trial, fold = task.key
        yield FoldStarted(at=time.time(), trial=trial, fold=fold, kept=task.kept)
        if task.key in self._lost:
            self._lost.remove(task.key)
            yield attempt_failed(trial, "lost", fold)
            return
        if self._left is not None:
            self._left -= 1
            if self._left < 0:
                raise KeyboardInterrupt
        if not task.kept:
            self.trained.append(task.key)
        if task.key in self._fails:
            yield attempt_failed(trial, "error", fold, reason="a bad setting")
            return
        shown = score(task.params, fold)
        epochs = task.params["epochs"]
        until = task.until or epochs
        for epoch in range(task.kept + 1, until + 1):
            yield epoch_ended(trial, fold, epoch, shown * epoch / epochs)
        yield fold_paused(task, until) if until < epochs else fold_ended(trial, fold, shown)


class Journal:
    """A study that can be run in sessions.

    With one epoch nobody is stopped by racing in the first fold, where who is there to be compared
    with depends on the order.
    """

    def __init__(self, pruner: str, epochs: int = EPOCHS) -> None:
        self.pruner, self.epochs = pruner, epochs
        study = GivenValues(folds=FOLDS).history.known_study()
        self.records: list[Record] = [study]
        study.settings["pruner"] = pruner

    def run(self, workers: Workers, units=UNITS, confirm: int = 0, deadline=None, stop=None) -> str:
        objective = OBJECTIVES["cv_accuracy"]
        log = EventLog(self.history, None, self.records.append)
        return Study(
            history=log.history,
            record=log.append,
            driver=FixedDriver({"units": u, "epochs": self.epochs} for u in units),
            pruner=make_pruner(self.pruner, objective, winners=max(1, confirm)),
            executor=workers,
            budget=Budget(
                trials=len(units), confirm=Confirmation(confirm), deadline=deadline, stop=stop
            ),
        ).run()

    @property
    def history(self) -> History:
        return History.of(self.records)

    def outcomes(self) -> list[object]:
        return [
            (t.state, t.ended.value, t.ended.reason, list(t.finished_folds()), confirmed(t))
            for _, t in sorted(self.history.trials.items())
        ]


def confirmed(trial):
    return trial.confirmed.scores if trial.confirmed else {}


def alone(pruner: str, confirm: int = 0, units=UNITS) -> Journal:
    journal = Journal(pruner)
    assert journal.run(Workers(1), confirm=confirm, units=units) == "complete"
    return journal


class StopAfter:
    """A request to stop that comes after so many steps of the workers."""

    def __init__(self, workers: Workers, steps: int, when: str) -> None:
        self._workers, self._steps, self._when = workers, steps, when

    def seen(self) -> str:
        return self._when if len(self._workers.steps) >= self._steps else ""


@pytest.mark.parametrize("pruner", ["racing", "none"])
@pytest.mark.parametrize("steps", [1, 3, 17, 25])
def test_a_study_that_is_asked_to_stop_ends_the_folds_in_training_and_begins_none(pruner, steps):
    workers, journal = Workers(3), Journal(pruner, epochs=1)
    assert journal.run(workers, stop=StopAfter(workers, steps, StopRequest.FOLDS)) == "stopped"
    begun = [(r.trial, r.fold) for r in journal.records if isinstance(r, FoldStarted)]
    ended = [(r.trial, r.fold) for r in journal.records if isinstance(r, FoldEnded)]
    assert sorted(begun) == sorted(ended)
    assert len(workers.steps) <= steps + 3  # a fold has three steps
    journal.run(Workers(3))
    assert len([r for r in journal.records if isinstance(r, FoldStarted)]) == len(
        {(r.trial, r.fold) for r in journal.records if isinstance(r, FoldStarted)}
    )
    whole = Journal(pruner, epochs=1)
    whole.run(Workers(3))
    assert journal.outcomes() == whole.outcomes()


def test_a_study_that_is_to_stop_now_ends_at_the_next_epoch():
    workers, journal = Workers(2), Journal("none", epochs=50)
    assert journal.run(workers, stop=StopAfter(workers, 10, StopRequest.NOW)) == "stopped"
    assert len(workers.steps) <= 12
    assert not [r for r in journal.records if isinstance(r, FoldEnded)]


def test_one_worker_trains_nothing_that_is_not_needed():
    workers, journal = Workers(1), Journal("racing")
    journal.run(workers)
    assert not any(r.ahead for r in journal.records if isinstance(r, FoldStarted))
    folds = [fold for _, fold in workers.trained]
    assert folds == sorted(folds)


def test_while_there_are_trials_left_each_worker_has_one_of_its_own():
    workers = Workers(3)
    Journal("none").run(workers, units=UNITS[:6])
    most = [len({trial for trial, _ in step}) for step in workers.steps if len(step) == 3]
    in_the_middle = most[: len(most) // 2]
    assert in_the_middle == [3] * len(in_the_middle)


def test_folds_of_the_last_trial_are_trained_side_by_side():
    workers, journal = Workers(4), Journal("none")
    journal.run(workers, units=UNITS[:1])
    assert max(map(len, workers.steps)) == 4
    # Five folds on four workers take as long as two one after the other.
    assert len(workers.steps) <= 2 * (EPOCHS + 4)
    assert journal.outcomes() == alone("none", units=UNITS[:1]).outcomes()


@pytest.mark.parametrize("seed", range(4))
def test_a_worker_goes_on_with_the_trial_it_has_traced_while_that_has_folds_left(seed):
    workers = Workers(3, order=random.Random(seed))  # noqa: S311
    Journal("none").run(workers, units=UNITS[:2])
    for place, (over, begun) in enumerate(workers.given):
        left = [key for _, key in workers.given[place:] if over is not None and key[0] == over[0]]
        if left:
            assert begun[0] == over[0]


def test_no_worker_is_idle_while_a_trial_that_races_has_folds_left():
    workers = Workers(4)
    Journal("racing").run(workers)
    race = [step for step in workers.steps if all(fold > 1 for _, fold in step)]
    left = FOLDS * 4
    assert [len(step) for step in race[: len(race) // 2]] == [4] * (len(race) // 2)
    assert len(workers.steps) < left * 4


def test_confirmation_folds_are_trained_side_by_side():
    workers, journal = Workers(5), Journal("none")
    journal.run(workers, units=UNITS[:2], confirm=1)
    confirming = [step for step in workers.steps if all(fold > FOLDS for _, fold in step)]
    assert {len(step) for step in confirming} == {5}
    assert journal.outcomes() == alone("none", confirm=1, units=UNITS[:2]).outcomes()


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("slots", [2, 3, 8])
def test_a_race_ends_as_with_one_worker_in_whatever_order_folds_are_over(slots, seed):
    journal, lone = Journal("racing", epochs=1), Journal("racing", epochs=1)
    lone.run(Workers(1), confirm=2)
    journal.run(Workers(slots, order=random.Random(seed)), confirm=2)  # noqa: S311
    assert journal.outcomes() == lone.outcomes()
    dropped = [t for t in journal.history.trials.values() if t.state == "pruned"]
    assert dropped
    assert all(len(t.finished_folds()) == t.ended.compared_folds for t in dropped)


@pytest.mark.parametrize("seed", range(8))
def test_a_race_goes_on_when_most_of_its_workers_are_gone(seed):
    class Leaving(Workers):
        def wait(self, on_record):
            if len(self.trained) > len(UNITS) + 4:
                self.slots = 1
            return super().wait(on_record)

    lone, journal = Journal("racing", epochs=1), Journal("racing", epochs=1)
    lone.run(Workers(1), confirm=1)
    journal.run(Leaving(8, order=random.Random(seed)), confirm=1)  # noqa: S311
    assert journal.outcomes() == lone.outcomes()


@pytest.mark.parametrize("stop_after", range(8, 40, 3))
def test_an_interrupted_race_of_several_workers_ends_as_with_one(stop_after):
    lone, journal = Journal("racing", epochs=1), Journal("racing", epochs=1)
    lone.run(Workers(1), confirm=2)
    order = random.Random(stop_after)  # noqa: S311
    first = Workers(3, order=order, stop_after=stop_after)
    done = set()
    try:
        journal.run(first, confirm=2)
    except KeyboardInterrupt:
        done = {(r.trial, r.fold) for r in journal.records if isinstance(r, FoldEnded)}
        again = Workers(3, order=order)
        journal.run(again, confirm=2)
        assert not done & set(again.trained)
    assert journal.outcomes() == lone.outcomes()


@pytest.mark.parametrize("pruner", PRUNERS)
@pytest.mark.parametrize("seed", range(4))
def test_every_trial_ends_once_and_nothing_of_it_is_recorded_afterwards(pruner, seed):
    journal = Journal(pruner)
    journal.run(Workers(4, order=random.Random(seed)), confirm=1)  # noqa: S311
    over: set[int] = set()
    for record in journal.records:
        trial = getattr(record, "trial", None)
        if isinstance(record, TrialEnded):
            assert trial not in over
            over.add(trial)
        elif isinstance(record, FoldStarted | EpochEnded | FoldEnded) and record.fold <= FOLDS:
            assert trial not in over
    assert len(over) == len(UNITS)
    for trial in journal.history.trials.values():
        whole = list(trial.finished_folds()) == list(range(1, FOLDS + 1))
        assert whole or trial.state == "pruned"
    assert not any(trial.failures for trial in journal.history.trials.values())


def test_a_pruned_trial_stops_all_its_folds():
    journal = Journal("median")
    journal.run(Workers(4), units=(90, 80, 85, 95, 1))
    weak = journal.history.trials[4]
    assert weak.state == "pruned"
    cut = [fold for fold in weak.folds.values() if fold.ended is None]
    assert cut
    counted = sum(f.epochs for f in weak.finished_folds().values())
    assert weak.ended.epochs_trained == counted + sum(len(fold.epochs) for fold in cut)


def test_a_fold_that_fails_ends_its_trial_and_the_others_of_it_break_off():
    journal = Journal("none")
    journal.run(Workers(4, fails=[(0, 3)]), units=UNITS[:1])
    trial = journal.history.trials[0]
    assert (trial.state, trial.ended.reason) == ("failed", "a bad setting")
    assert not [r for r in journal.records if isinstance(r, FoldEnded) and r.fold > 3]


def test_a_fold_that_fails_before_its_turn_harms_a_trial_only_once_it_is_its_turn():
    lone, journal = Journal("racing", epochs=1), Journal("racing", epochs=1)
    fails = [(trial, FOLDS) for trial in range(len(UNITS))]
    lone.run(Workers(1, fails=fails))
    journal.run(Workers(8, fails=fails))
    assert journal.outcomes() == lone.outcomes()


def test_a_lost_worker_costs_one_fold():
    workers, journal = Workers(4, lost=[(0, 2), (0, 2), (0, 4)]), Journal("none")
    journal.run(workers, units=UNITS[:1])
    assert journal.history.trials[0].state == "complete"
    assert sorted(workers.trained) == [(0, fold) for fold in range(1, FOLDS + 1)]


def test_losses_of_other_folds_do_not_count_against_a_fold():
    lost = [(0, fold) for fold in (1, 2, 3, 4)] * 2
    workers, journal = Workers(2, lost=lost), Journal("none")
    journal.run(workers, units=UNITS[:1])
    assert journal.history.trials[0].state == "complete"
    workers, journal = Workers(2, lost=[(0, 2)] * 3), Journal("none")
    journal.run(workers, units=UNITS[:1])
    assert journal.history.trials[0].state == "failed"
