"""What drivers are told, and that an interruption changes nothing of it."""

import random
import time

import numpy as np
import pytest

from search.study.budget import Budget
from search.study.drivers import Driver, FixedDriver, Outcome, make_driver
from search.study.feedback import PEERS, Feedback
from search.study.loop import Study
from search.study.pruners import make_pruner
from search.study.pruners.base import Rung
from spaces import Float, Int
from tests.fakes import ScriptedExecutor, toy_space
from tests.studies import GivenValues
from tracking.event_log import EventLog
from tracking.history import History
from tracking.objectives import OBJECTIVES
from tracking.records import FoldEnded, Record, StudyStarted, TrialEnded

EASY = {1: 0.05, 2: 0.0, 3: -0.03, 4: -0.02}  # how much easier each fold is
SPACE = toy_space(
    Float("x", -5.0, 5.0), Float("y", -5.0, 5.0), Int("epochs", 1, 100, default=20, fixed=True)
)


class Listener(Driver):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: dict[int, Outcome] = {}
        self.times: dict[int, int] = {}

    def ask(self, number):
        raise NotImplementedError

    def tell(self, number, params, outcome):
        self.told[number] = outcome
        self.times[number] = self.times.get(number, 0) + 1


def rungs(history: History) -> tuple[Rung, ...]:
    return make_pruner("racing", history.objectives[0]).rungs(history.known_study().folds)


class Journal(GivenValues):
    """Records of trials with given values, and what is told of them."""

    def told(self, *, waits=True) -> dict[int, Outcome]:
        listener = Listener()
        Feedback(listener, self.history, rungs(self.history) if waits else ()).give()
        return listener.told

    def values(self, **options) -> dict[int, float]:
        return {n: o.values[0] for n, o in self.told(**options).items() if o.values}


def by_least_squares(table: dict[int, list[float]], folds: int) -> dict[int, float]:
    """Fit a trial's value plus a fold's effect, these of mean zero, by NumPy's solver."""
    trials = sorted(table)
    rows, wanted = [], []
    for at, number in enumerate(trials):
        for fold, value in enumerate(table[number]):
            row = np.zeros(len(trials) + folds)
            row[at] = row[len(trials) + fold] = 1.0
            rows.append(row)
            wanted.append(value)
    rows.append(np.concatenate([np.zeros(len(trials)), np.ones(folds)]))
    found = np.linalg.lstsq(np.array(rows), np.array([*wanted, 0.0]), rcond=None)[0]
    return dict(zip(trials, found, strict=False))


@pytest.mark.parametrize("seed", range(5))
def test_told_values_are_those_of_the_additive_model_of_trials_and_folds(seed):
    source, journal, table = random.Random(seed), Journal(), {}  # noqa: S311 # no secret
    for number in range(12):
        seen = 4 if number < 2 else source.randrange(1, 5)
        table[number] = [source.random() + EASY[fold] for fold in range(1, seen + 1)]
        mean = float(np.mean(table[number]))
        if seen == 4:
            journal.trial(number, table[number], state="complete", score=mean)
        else:
            journal.trial(number, table[number], state="pruned" if number % 2 else "")
    assert journal.values() == pytest.approx(by_least_squares(table, 4))


def test_equal_trials_are_told_alike_whatever_folds_they_have_seen():
    journal = Journal()
    for number in range(6):
        seen = 1 + number % 4
        values = [0.7 + EASY[fold] for fold in range(1, seen + 1)]
        state = "complete" if seen == 4 else "pruned"
        journal.trial(number, values, state=state, score=0.7 if seen == 4 else None)
    assert list(journal.values().values()) == pytest.approx([0.7] * 6)


def test_of_a_loss_the_smaller_is_told_as_the_larger():
    journal = Journal(folds=2, objective="cv_loss")
    journal.trial(0, [0.4, 0.6], state="complete", score=0.5)
    journal.trial(1, [0.3], state="")
    assert journal.values() == pytest.approx({0: -0.5, 1: -0.4})


def test_a_score_that_is_no_mean_of_folds_sets_the_scale():
    journal = Journal(folds=2, objective="macro_f1")
    journal.trial(0, [0.8, 0.6], state="complete", score=0.65)  # over all predictions together
    journal.trial(1, [0.9, 0.7], state="pruned")
    journal.trial(2, [0.7], state="pruned")
    assert journal.values() == pytest.approx({0: 0.65, 1: 0.75, 2: 0.55})


def test_before_any_trial_saw_a_second_fold_the_first_alone_compares():
    journal = Journal()
    journal.trial(0, [0.8])
    journal.trial(1, [0.9])
    assert journal.values() == {0: 0.8, 1: 0.9}


def test_a_trial_stopped_in_its_first_fold_is_told_what_it_would_have_come_to():
    journal = Journal(folds=2)
    journal.trial(0, [0.9, 0.7], shown={1: 0.2, 2: 0.6, 20: 0.9}, state="complete", score=0.8)
    # Of 5 epochs the first is a tenth, rounded up; of 20 it is the second.
    journal.trial(1, [0.7], shown={1: 0.5, 5: 0.7}, epochs=5)
    journal.trial(2, [], shown={1: 0.1, 2: 0.3}, state="pruned")
    # From the rung to the fold's end: + 0.3 and + 0.2; from that to both folds: - 0.1.
    told = journal.told()
    assert told[2].state == "pruned"
    assert told[2].values == pytest.approx((0.3 + 0.25 - 0.1,))


def test_stopped_elsewhere_than_at_its_rung_it_is_compared_at_the_same_share_of_the_epochs():
    journal = Journal(folds=1)
    shown = {epoch: epoch / 20 for epoch in range(1, 21)}
    journal.trial(0, [1.0], shown=shown, state="complete", score=1.0)
    journal.trial(1, [], shown={1: 0.1, 2: 0.2, 3: 0.3}, epochs=6, state="pruned")  # half of them
    assert journal.values(waits=False)[1] == pytest.approx(0.3 + (1.0 - 0.5))


def test_rungs_are_compared_with_rungs_though_rounding_makes_them_other_shares():
    journal = Journal(folds=1)
    shown = {4: 0.4, 8: 0.8}
    journal.trial(0, [1.0], shown=shown, epochs=40, state="complete", score=1.0)
    journal.trial(1, [], shown={2: 0.1}, epochs=11, state="pruned")  # 2 of 11 would be 8 of 40
    assert journal.values(waits=False)[1] == pytest.approx(0.1 + 0.6)


def test_what_is_gained_within_a_fold_is_known_better_with_each_of_the_first_trials():
    journal, listener = Journal(folds=1), Listener()
    journal.trial(0, [0.8], shown={2: 0.5}, state="complete", score=0.8)
    journal.trial(1, [], shown={2: 0.1}, state="pruned")
    feedback = Feedback(listener, journal.history, rungs(journal.history))
    feedback.give()
    assert listener.told[1].values == pytest.approx((0.4,))
    journal.trial(2, [0.8], shown={2: 0.3}, state="complete", score=0.8)
    feedback.note(2)
    feedback.give()
    assert listener.told[1].values == pytest.approx((0.5,))


def test_the_first_trials_alone_tell_what_is_gained_within_a_fold():
    journal = Journal(folds=1)
    for number in range(PEERS):
        journal.trial(number, [0.8], shown={2: 0.5}, state="complete", score=0.8)
    journal.trial(900, [], shown={2: 0.1}, state="pruned")
    before = journal.values(waits=False)[900]
    journal.trial(PEERS, [0.8], shown={2: 0.0}, state="complete", score=0.8)
    assert journal.values(waits=False)[900] == before == pytest.approx(0.4)


def test_the_step_from_a_rung_to_the_next_is_the_mean_gain_of_all_that_took_it():
    journal = Journal(folds=2)
    journal.trial(0, [0.8, 0.6], shown={2: 0.3, 5: 0.5}, state="complete", score=0.7)
    journal.trial(1, [0.9], shown={2: 0.2, 5: 0.6})
    journal.pause(2, {2: 0.1, 5: 0.4})
    journal.pause(3, {2: 0.25})
    to_quarter, to_end, to_all = (0.2 + 0.4 + 0.3) / 3, (0.3 + 0.3) / 2, -0.1
    told = journal.told()
    assert (told[2].state, told[3].state) == ("pruned", "pruned")
    assert told[2].values == pytest.approx((0.4 + to_end + to_all,))
    assert told[3].values == pytest.approx((0.25 + to_quarter + to_end + to_all,))


def test_equal_trials_are_told_alike_wherever_they_wait():
    journal = Journal()
    curve = {2: 0.2, 5: 0.5}
    for number in range(6):
        values = [0.7 + EASY[fold] for fold in range(1, 1 + number % 3)]
        if values:
            journal.trial(number, values, shown=curve)
        else:
            journal.pause(number, dict(list(curve.items())[: 1 + number // 3]))
    assert list(journal.values().values()) == pytest.approx([0.7 + (EASY[1] + EASY[2]) / 2] * 6)


def test_trials_are_told_again_when_more_is_known_of_the_folds_and_only_then():
    journal, listener = Journal(folds=2), Listener()
    journal.trial(0, [0.9])
    journal.trial(1, [0.7])
    feedback = Feedback(listener, journal.history, rungs(journal.history))
    feedback.give()
    feedback.give()
    assert listener.times == {0: 1, 1: 1}
    journal.fold(0, 2, 0.7)
    feedback.note(0)
    feedback.give()
    assert listener.times == {0: 2, 1: 2}
    assert {n: o.values[0] for n, o in listener.told.items()} == pytest.approx({0: 0.8, 1: 0.6})
    journal.add(TrialEnded, trial=0, state="complete", value=0.8, scores={"cv_accuracy": 0.8})
    feedback.note(0)
    feedback.give()
    assert listener.times[1] == 2


def test_states_are_told_as_they_are_and_what_waits_or_was_dropped_as_complete():
    journal = Journal(folds=2)
    journal.trial(0, [0.8, 0.8], state="complete", score=0.8)
    journal.trial(1, [0.8])
    journal.trial(2, [0.8], state="pruned")
    journal.trial(3, [], shown={2: 0.1}, state="pruned")
    journal.trial(4, [0.8], state="failed")
    journal.trial(5, [], state="pruned")
    journal.trial(6, [], shown={2: 0.1})
    journal.trial(7, [0.8], origin="baseline:x")  # trains on
    journal.trial(8, [], shown={2: float("nan")}, state="pruned")
    states = {number: outcome.state for number, outcome in journal.told().items()}
    assert states == dict.fromkeys((0, 1, 2), "complete") | {4: "failed"} | dict.fromkeys(
        (3, 5, 8), "pruned"
    )
    assert journal.told()[4].values == journal.told()[5].values == journal.told()[8].values == ()
    others = {number: outcome.state for number, outcome in journal.told(waits=False).items()}
    assert others == {
        0: "complete",
        2: "pruned",
        3: "pruned",
        4: "failed",
        5: "pruned",
        8: "pruned",
    }


def score(params, fold):
    """A hill; folds differ much, and what leads on one need not on the next."""
    x, y = float(params["x"]), float(params["y"])
    return 0.9 - ((x - 2) ** 2 + (y + 1) ** 2) / 200 + EASY[fold] + 0.02 * np.sin(9 * x + fold)


class Sessions:
    """A study whose trials a sampler proposes, run in sessions."""

    def __init__(self, driver: str, sampler: str, slots: int, pruner: str = "racing") -> None:
        self._of = driver, sampler, slots, pruner
        self.records: list[Record] = [
            StudyStarted(
                at=time.time(),
                id="0" * 32,
                study="told",
                space="toy",
                driver=driver,
                settings={"pruner": pruner},
                parameters=[],
                dataset={},
                folds=4,
                folds_digest="",
            )
        ]

    def run(self, trials: int, *, interrupt_after: int | None = None, baselines=True) -> bool:
        """Run a session; say whether it came to its end."""
        driver, sampler, slots, pruner = self._of
        executor = ScriptedExecutor(score, interrupt_after=interrupt_after, slots=slots)
        given = {"zero": {"x": 0.0, "y": 0.0, "epochs": 20}} if baselines else {}
        log = EventLog(History.of(self.records), None, self.records.append)
        study = Study(
            history=log.history,
            record=log.append,
            driver=make_driver(driver, sampler, SPACE, 5),
            pruner=make_pruner(pruner, OBJECTIVES["cv_accuracy"]),
            executor=executor,
            budget=Budget(trials=trials, baselines=given),
        )
        try:
            study.run()
        except KeyboardInterrupt:
            return False
        return True

    @property
    def proposals(self):
        trials = History.of(self.records).trials
        return [trial.started.parameters for _, trial in sorted(trials.items())]


SAMPLERS = [
    ("optuna", "tpe"),
    ("optuna", "cmaes"),
    ("keras-tuner", "bayesian"),
    ("keras-tuner", "hyperband"),
]


@pytest.mark.slow
@pytest.mark.parametrize("slots", [1, 2])
@pytest.mark.parametrize(("driver", "sampler"), SAMPLERS)
def test_a_race_continued_after_an_interruption_at_any_fold_proposes_as_before(
    driver, sampler, slots
):
    if (sampler, slots) == ("bayesian", 2):
        # Seen to propose otherwise after an interruption; why is not known yet.
        pytest.skip("KerasTuner's Bayesian search was seen to be inexact with two workers")
    first = Sessions(driver, sampler, slots)
    first.run(12)
    whole = Sessions(driver, sampler, slots)
    whole.records += first.records[1:]
    whole.run(18)  # learns of a whole race
    trained = sum(isinstance(record, FoldEnded) for record in whole.records)
    for interrupt_after in range(0, trained, 1 if driver == "optuna" else 9):
        broken = Sessions(driver, sampler, slots)
        for trials in (12, 18):
            if not broken.run(trials, interrupt_after=interrupt_after):
                broken.run(trials)
        assert broken.proposals == whole.proposals, interrupt_after


@pytest.mark.slow
@pytest.mark.parametrize("pruner", ["median", "hyperband"])
def test_so_does_a_study_with_another_pruner(pruner):
    whole = Sessions("optuna", "tpe", 1, pruner)
    whole.run(14)
    for interrupt_after in range(0, 36, 3):
        broken = Sessions("optuna", "tpe", 1, pruner)
        if not broken.run(14, interrupt_after=interrupt_after):
            broken.run(14)
        assert broken.proposals == whole.proposals


@pytest.mark.parametrize("seed", range(20))
def test_after_a_race_the_chosen_trial_is_the_best_told(seed):
    source = random.Random(seed)  # noqa: S311 # no secret
    settings = [{"units": n, "level": source.random() / 20, "epochs": 10} for n in range(16)]
    noise = {(n, fold): source.random() / 20 for n in range(16) for fold in EASY}
    journal = Journal()

    def noisy(params, fold):
        return 0.7 + params["level"] + EASY[fold] + noise[params["units"], fold]

    Study(
        history=journal.history,
        record=EventLog(journal.history).append,
        driver=FixedDriver(settings),
        pruner=make_pruner("racing", journal.objective),
        executor=ScriptedExecutor(noisy),
        budget=Budget(trials=16),
    ).run()
    best = journal.history.best()
    told = journal.told()
    assert max(told, key=lambda number: told[number].values) == best.number
    assert told[best.number].values == pytest.approx((best.value,))


def test_a_trial_that_lost_a_fold_is_told_by_the_folds_it_has():
    journal = Journal(folds=2)
    journal.trial(0, [0.8], state="complete", score=0.6)
    journal.trial(1, [0.7])
    assert journal.values() == {0: 0.8, 1: 0.7}


def test_a_trial_of_which_nothing_was_noted_yet_is_told_as_nothing():
    given = Journal()
    given.trial(0, [0.5])
    feedback = Feedback(Listener(), given.history, rungs(given.history))
    given.trial(1, shown={1: 0.5})  # another worker trains it
    assert feedback.outcome(given.history.trials[1]) is None
