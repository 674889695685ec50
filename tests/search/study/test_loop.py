import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from search.executors.protocol import FoldKey, Verdict
from search.study.budget import Budget, Confirmation, StopRequest
from search.study.drivers import Driver, FixedDriver, Outcome, make_driver
from search.study.loop import FAILURES_IN_A_ROW, Study, StudyStopped
from search.study.pruners import PRUNERS, NoPruner, Pruner, make_pruner
from search.study.pruners.folds import MedianPruner
from search.study.trial_end import to_retry
from spaces import DataSpec, Float, ImageInput, Int, Params, Space
from tests.fakes import ScriptedExecutor, ended, epoch_ended, fold_ended
from tests.studies import StudyBuilder
from tracking.event_log import EventLog
from tracking.history import FoldHistory, History, TrialHistory
from tracking.objectives import OBJECTIVES
from tracking.records import (
    EpochEnded,
    FoldEnded,
    FoldPaused,
    FoldStarted,
    Notice,
    Record,
    StudyStarted,
    TrialEnded,
    TrialStarted,
)

ACCURACY = OBJECTIVES["cv_accuracy"]


def build(parameters: object, data: DataSpec) -> None:
    raise NotImplementedError


SPACE = Space(
    name="toy",
    dataset="digits",
    inputs=ImageInput(size=(8, 8)),
    parameters=(Int("units", 1, 100), Float("rate", 1e-4, 1.0, log=True)),
    build=build,
)
BASELINES: dict[str, Params] = {
    "small": {"units": 10, "rate": 0.1},
    "large": {"units": 90, "rate": 0.1},
}


def good_when_large(params: Params, fold: int) -> float:
    return float(params["units"]) / 200 + fold / 100


class Harness:
    """A study that can be run in sessions, as the journal would have it."""

    def __init__(self) -> None:
        self.records: list[Record] = [
            StudyStarted(
                at=time.time(),
                id="0" * 32,
                study="toy",
                space="toy",
                driver="optuna",
                settings={},
                parameters=[],
                dataset={},
                folds=3,
                folds_digest="",
            )
        ]

    def run(
        self,
        executor: ScriptedExecutor,
        *,
        trials: int,
        driver: Driver | None = None,
        pruner: Pruner | None = None,
        baselines: dict[str, Params] | None = None,
        deadline: float | None = None,
        confirm: int = 0,
        stop: StopRequest | None = None,
        stops_early: bool = False,
    ) -> str:
        log = EventLog(self.history, None, self.records.append)
        study = Study(
            history=log.history,
            record=log.append,
            driver=driver or make_driver("optuna", "tpe", SPACE, seed=3),
            pruner=pruner or NoPruner(ACCURACY),
            executor=executor,
            budget=Budget(
                baselines=BASELINES if baselines is None else baselines,
                trials=trials,
                deadline=deadline,
                confirm=Confirmation(confirm),
                stop=stop,
                stops_early=stops_early,
            ),
        )
        return study.run()

    @property
    def history(self) -> History:
        return History.of(self.records)

    @property
    def proposals(self) -> list[Params]:
        return [trial.started.parameters for _, trial in sorted(self.history.trials.items())]


def test_baselines_come_first_and_count_towards_the_trials():
    harness = Harness()
    assert harness.run(ScriptedExecutor(good_when_large), trials=5) == "complete"
    origins = [trial.started.origin for trial in harness.history.trials.values()]
    assert origins == ["baseline:small", "baseline:large", "sampled", "sampled", "sampled"]
    assert harness.proposals[:2] == list(BASELINES.values())


def test_running_again_goes_on_to_the_new_total_and_trains_nothing_twice():
    harness = Harness()
    harness.run(ScriptedExecutor(good_when_large), trials=4)
    again = ScriptedExecutor(good_when_large)
    assert harness.run(again, trials=4) == "complete"
    assert again.trained == []
    harness.run(again, trials=6)
    assert {trial for trial, _ in again.trained} == {4, 5}


@pytest.mark.parametrize("interrupt_after", [1, 5, 7, 16, 29])
def test_an_interrupted_study_continues_as_if_it_had_not_been(interrupt_after):
    whole, broken = Harness(), Harness()
    whole.run(ScriptedExecutor(good_when_large), trials=10)
    first = ScriptedExecutor(good_when_large, interrupt_after=interrupt_after)
    with pytest.raises(KeyboardInterrupt):
        broken.run(first, trials=10)
    second = ScriptedExecutor(good_when_large)
    broken.run(second, trials=10)
    assert broken.proposals == whole.proposals
    values = [trial.value for trial in broken.history.trials.values()]
    assert values == [trial.value for trial in whole.history.trials.values()]
    assert not set(first.trained) & set(second.trained)
    assert len(first.trained) + len(second.trained) == 30


@pytest.mark.parametrize("before_verdict", [False, True])
@pytest.mark.parametrize("interrupt_after", range(13, 24))
def test_a_pruned_trial_is_pruned_again_after_an_interruption(interrupt_after, before_verdict):
    whole, broken = Harness(), Harness()
    whole.run(ScriptedExecutor(good_when_large), trials=12, pruner=MedianPruner(ACCURACY))
    ends = [(t.state, len(t.finished_folds())) for t in whole.history.trials.values()]
    assert ("pruned", 1) in ends
    first = ScriptedExecutor(
        good_when_large, interrupt_after=interrupt_after, before_verdict=before_verdict
    )
    with pytest.raises(KeyboardInterrupt):
        broken.run(first, trials=12, pruner=MedianPruner(ACCURACY))
    broken.run(ScriptedExecutor(good_when_large), trials=12, pruner=MedianPruner(ACCURACY))
    assert broken.proposals == whole.proposals
    assert [(t.state, len(t.finished_folds())) for t in broken.history.trials.values()] == ends


def test_a_failed_trial_is_recorded_and_the_study_goes_on():
    harness = Harness()
    harness.run(ScriptedExecutor(lambda s, fold: -1 if s["units"] == 90 else 0.5), trials=4)
    assert [t.state for t in harness.history.trials.values()] == [
        "complete",
        "failed",
        "complete",
        "complete",
    ]


def test_ten_failures_in_a_row_end_the_session_and_the_next_one_tries_again():
    harness = Harness()
    assert harness.run(ScriptedExecutor(lambda s, fold: -1), trials=50) == "failed"
    assert len(harness.history.trials) == FAILURES_IN_A_ROW
    assert harness.run(ScriptedExecutor(good_when_large), trials=12) == "complete"


def test_a_driver_with_nothing_left_ends_the_study():
    harness = Harness()
    driver = FixedDriver([{"units": 1, "rate": 0.5}, BASELINES["small"]])
    assert harness.run(ScriptedExecutor(good_when_large), trials=9, driver=driver) == "exhausted"
    assert len(harness.history.trials) == 3  # the baseline in the list is not evaluated twice


def test_a_deadline_halts_a_trial_without_an_outcome_and_it_is_finished_later():
    harness = Harness()
    slow = ScriptedExecutor(lambda s, fold: time.sleep(0.02) or 0.5)
    assert harness.run(slow, trials=99, deadline=time.monotonic() + 0.1) == "timeout"
    running = [t.number for t in harness.history.trials.values() if t.state == "running"]
    assert len(running) <= 1
    finished = {
        (t.number, fold) for t in harness.history.trials.values() for fold in t.finished_folds()
    }
    later = ScriptedExecutor(good_when_large)
    harness.run(later, trials=len(harness.history.trials))
    assert all(trial.state == "complete" for trial in harness.history.trials.values())
    assert finished
    assert not finished & set(later.trained)


def test_weak_trials_are_pruned_after_a_fold_with_the_reason_and_baselines_never():
    harness = Harness()
    settings = [{"units": units, "rate": 0.1} for units in (50, 60, 70, 1, 95)]
    harness.run(
        ScriptedExecutor(good_when_large),
        trials=7,
        driver=FixedDriver(settings),
        pruner=MedianPruner(ACCURACY, warm_up=4),
    )
    trials = harness.history.trials
    assert trials[0].state == "complete"  # a weak baseline
    assert trials[5].state == "pruned"
    assert len(trials[5].finished_folds()) == 1
    assert trials[5].value is None
    assert "after 1 fold its" in trials[5].ended.reason
    assert trials[6].state == "complete"


def test_the_median_pruner_compares_the_same_folds_only():
    harness = Harness()
    harness.run(
        ScriptedExecutor(lambda s, fold: 0.9 if fold == 1 else 0.1),
        trials=4,
        driver=FixedDriver([{"units": units, "rate": 0.1} for units in (1, 2)]),
    )
    history = harness.history
    other = history.trials[0]
    trial = TrialHistory(other.started, {1: FoldHistory(other.folds[1].started)})
    # Above the others' mean over all folds (0.37), below what they had on this fold.
    trial.folds[1].ended = fold_ended(9, 1, 0.6)
    assert MedianPruner(ACCURACY, warm_up=4).reason_to_stop(trial, history)
    trial.folds[1].ended = fold_ended(9, 1, 0.9)
    assert not MedianPruner(ACCURACY, warm_up=4).reason_to_stop(trial, history)


def racers(*units: int) -> FixedDriver:
    return FixedDriver([{"units": u, "rate": 0.1, "epochs": 4} for u in units])


def test_racing_lets_few_trials_out_of_the_first_fold_and_the_best_see_all_folds():
    harness = Harness()
    executor = ScriptedExecutor(good_when_large)
    units = [50, 3, 80, 40, 95, 10, 60, 70, 20, 30, 85, 15]
    pruner = make_pruner("racing", ACCURACY)
    reason = harness.run(executor, trials=12, driver=racers(*units), pruner=pruner, baselines={})
    trials = harness.history.trials
    assert reason == "complete"
    assert harness.history.best().started.parameters["units"] == 95
    in_first_fold = [t for t in trials.values() if not t.finished_folds()]
    assert len(in_first_fold) >= 6
    assert all("in fold 1 after epoch" in t.ended.reason for t in in_first_fold)
    complete = [t for t in trials.values() if t.state == "complete"]
    assert all(len(t.finished_folds()) == 3 for t in complete)
    assert 1 <= len(complete) <= 4
    full = len(units) * 3
    assert len(executor.trained) < full / 1.5


def test_racing_trains_no_second_fold_before_every_trial_had_its_turn():
    harness = Harness()
    executor = ScriptedExecutor(good_when_large)
    pruner = make_pruner("racing", ACCURACY)
    harness.run(executor, trials=8, driver=racers(*range(10, 90, 10)), pruner=pruner, baselines={})
    folds = [fold for _, fold in executor.trained]
    assert folds == sorted(folds)
    assert folds.count(1) == 8


def pieces(harness: Harness) -> list[tuple[int, int, int, int]]:
    """Return trial, fold, first and last epoch of each piece that was trained, in order."""
    found: list[tuple[int, int, int, int]] = []
    for record in harness.records:
        if isinstance(record, FoldStarted):
            found.append((record.trial, record.fold, record.kept + 1, record.kept))
        elif isinstance(record, EpochEnded):
            trial, fold, first, _ = found[-1]
            found[-1] = (trial, fold, first, record.epoch)
    return found


def long_racers(*units: int) -> FixedDriver:
    return FixedDriver([{"units": u, "rate": 0.1, "epochs": 20} for u in units])


UNITS = (50, 3, 80, 40, 95, 10, 60, 70)


def test_where_the_driver_does_not_learn_all_come_to_the_first_rung_before_any_goes_on():
    harness = Harness()
    pruner = make_pruner("racing", ACCURACY)
    executor = ScriptedExecutor(good_when_large)
    harness.run(executor, trials=8, driver=long_racers(*UNITS), pruner=pruner, baselines={})
    assert pieces(harness) == [
        *((trial, 1, 1, 2) for trial in range(8)),
        *((trial, 1, 3, 5) for trial in (4, 2, 7, 6)),  # half of them, the best first
        *((trial, 1, 6, 20) for trial in (4, 2)),
        *((trial, 2, 1, 20) for trial in (4, 2)),
        *((trial, 3, 1, 20) for trial in (4, 2)),
    ]
    assert max(record.epoch for record in harness.records if isinstance(record, FoldPaused)) == 5
    last_fold = max(n for n, r in enumerate(harness.records) if isinstance(r, FoldEnded))
    pruned = [n for n, r in enumerate(harness.records) if getattr(r, "state", "") == "pruned"]
    assert len(pruned) == 6
    assert min(pruned) > last_fold  # not before the race is over


class Learner(FixedDriver):
    """Proposes given params, but says that it learns; keeps how many it was told of, each time."""

    learns = True

    def __init__(self, *units: int) -> None:
        super().__init__([{"units": u, "rate": 0.1, "epochs": 20} for u in units])
        self.known: dict[int, Outcome] = {}
        self.told: list[dict[int, str]] = []

    def ask(self, number: int) -> Params | None:
        self.told.append({n: outcome.state for n, outcome in self.known.items()})
        return super().ask(number)

    def tell(self, number: int, params: Params, outcome: Outcome) -> None:
        self.known[number] = outcome


def test_where_it_learns_trials_go_on_within_their_first_fold_before_the_next_proposal():
    harness, driver = Harness(), Learner(*UNITS)
    pruner = make_pruner("racing", ACCURACY)
    executor = ScriptedExecutor(good_when_large)
    harness.run(executor, trials=8, driver=driver, pruner=pruner, baselines={})
    assert pieces(harness)[:9] == [
        *((0, 1, 1, 2), (0, 1, 3, 5), (0, 1, 6, 20)),
        (1, 1, 1, 2),  # of two one goes on
        *((2, 1, 1, 2), (2, 1, 3, 5), (2, 1, 6, 20)),
        *((3, 1, 1, 2), (4, 1, 1, 2)),
    ]
    assert [piece for piece in pieces(harness) if piece[0] == 5] == [(5, 1, 1, 2)]
    assert driver.told[1] == {0: "complete"}
    assert driver.told[6][5] == "pruned"  # it waits
    assert driver.told[7][0] == "complete"


def test_a_trial_goes_on_once_enough_have_come_that_are_worse():
    harness = Harness()
    pruner = make_pruner("racing", ACCURACY)
    executor = ScriptedExecutor(good_when_large)
    driver = Learner(90, 80, 70, 20, 10, 5)
    harness.run(executor, trials=6, driver=driver, pruner=pruner, baselines={})
    of_third = [n for n, piece in enumerate(pieces(harness)) if piece[0] == 2]
    last = [n for n, piece in enumerate(pieces(harness)) if piece[0] == 5]
    assert pieces(harness)[of_third[0]] == (2, 1, 1, 2)
    assert pieces(harness)[of_third[1]] == (2, 1, 3, 5)
    assert of_third[0] + 1 < last[0] < of_third[1]  # the half of six is three


@pytest.mark.parametrize("interrupt_after", range(1, 24))
@pytest.mark.parametrize("learns", [True, False])
def test_a_study_with_pauses_that_is_interrupted_trains_what_it_would_have(interrupt_after, learns):
    def run(harness, executor):
        driver = Learner(*UNITS) if learns else long_racers(*UNITS)
        pruner = make_pruner("racing", ACCURACY)
        harness.run(executor, trials=8, driver=driver, pruner=pruner, baselines={})

    whole, broken = Harness(), Harness()
    run(whole, ScriptedExecutor(good_when_large))
    try:
        run(broken, ScriptedExecutor(good_when_large, interrupt_after=interrupt_after))
    except KeyboardInterrupt:
        run(broken, ScriptedExecutor(good_when_large))
    assert outcomes(broken.history) == outcomes(whole.history)
    assert [p for p in pieces(broken) if p[3] >= p[2]] == pieces(whole)
    assert [t.ended.epochs_trained for t in broken.history.trials.values()] == [
        t.ended.epochs_trained for t in whole.history.trials.values()
    ]


def test_what_a_fold_that_pauses_takes_is_counted_once_and_twice_where_it_is_trained_again():
    harness = Harness()
    lost = {(4, 1)}  # nothing is kept of this one

    def told(record: Record) -> Record:
        is_lost = isinstance(record, FoldStarted) and (record.trial, record.fold) in lost
        return replace(record, kept=0) if is_lost else record

    class Forgetful(ScriptedExecutor):
        def submit(self, task):
            forgets = (task.trial, task.fold) in lost
            super().submit(replace(task, kept=0) if forgets else task)

    pruner = make_pruner("racing", ACCURACY)
    executor = Forgetful(good_when_large, told=told)
    harness.run(executor, trials=8, driver=long_racers(*UNITS), pruner=pruner, baselines={})
    ends = {n: trial.ended for n, trial in harness.history.trials.items()}
    assert ends[2].epochs_trained == 3  # whatever a fold's epochs, the fake says 1 of it
    assert ends[4].epochs_trained == ends[2].epochs_trained + 2 + 5
    assert ends[1].epochs_trained == 2
    assert ends[1].train_seconds == pytest.approx(0.01)
    assert ends[2].train_seconds == pytest.approx(0.3 + 2 * 0.01)


def test_a_study_of_an_earlier_version_goes_on_with_what_it_has():
    """Then trials were stopped for good after a tenth of their epochs, and waited after a fold."""
    harness = Harness()
    shown = {0: 0.5, 1: 0.1, 2: 0.2, 3: 0.6, 4: 0.4, 5: 0.3}
    for number, value in shown.items():
        params = {"units": 10 + number, "rate": 0.1, "epochs": 20}
        at = {"at": time.time(), "trial": number}
        harness.records += [
            TrialStarted(**at, parameters=params, origin="sampled", compared_after=2),
            FoldStarted(**at, fold=1),
            *(epoch_ended(number, 1, epoch, value) for epoch in (1, 2)),
        ]
        if number in (1, 2):
            reason = "in fold 1 after epoch 2 of 20: it is not among the best 45%"
            harness.records.append(ended(number, "pruned", None, reason=reason))
        elif number != 5:  # which was in training when it was interrupted
            harness.records += [epoch_ended(number, 1, epoch, value) for epoch in range(3, 21)]
            harness.records.append(fold_ended(number, 1, value))
    before = [r for r in harness.records if isinstance(r, TrialEnded | FoldEnded)]
    pruner = make_pruner("racing", ACCURACY)
    executor = ScriptedExecutor(lambda params, fold: shown.get(params["units"] - 10, 0.15))
    driver = FixedDriver([{"units": 10 + n, "rate": 0.1, "epochs": 20} for n in range(8)])
    reason = harness.run(executor, trials=8, driver=driver, pruner=pruner, baselines={})
    assert reason == "complete"
    assert [r for r in harness.records if isinstance(r, TrialEnded | FoldEnded)][: len(before)] == (
        before
    )
    assert {(trial, 1) for trial in (0, 3, 4)}.isdisjoint(executor.given)
    states = [trial.state for trial in harness.history.trials.values()]
    assert states.count("complete") >= 1
    assert harness.history.best().number == 3
    assert set(states) == {"complete", "pruned"}


def test_baselines_do_not_wait_and_are_never_stopped_by_racing():
    harness = Harness()
    pruner = make_pruner("racing", ACCURACY)
    harness.run(
        ScriptedExecutor(good_when_large), trials=6, driver=racers(91, 92, 93, 94), pruner=pruner
    )
    assert [harness.history.trials[n].state for n in (0, 1)] == ["complete", "complete"]


@pytest.mark.parametrize("interrupt_after", range(1, 20, 2))
def test_an_interrupted_race_ends_as_an_uninterrupted_one(interrupt_after):
    units = [50, 3, 80, 40, 95, 10, 60, 70, 20, 30]

    def run(harness, executor):
        pruner = make_pruner("racing", ACCURACY)
        return harness.run(executor, trials=10, driver=racers(*units), pruner=pruner, baselines={})

    def rates(params, fold):  # crossing: what leads on one fold need not on the next
        return 0.5 + params["units"] / 400 + (params["units"] * fold * 7 % 11) / 100

    whole = Harness()
    run(whole, ScriptedExecutor(rates))
    broken = Harness()
    first = ScriptedExecutor(rates, interrupt_after=interrupt_after)
    try:
        run(broken, first)
    except KeyboardInterrupt:
        second = ScriptedExecutor(rates)
        run(broken, second)
        finished = set(first.trained[:-1])
        assert not finished & set(second.trained)
    assert outcomes(broken.history) == outcomes(whole.history)


@pytest.mark.parametrize("pruner", ["none", "racing"])
def test_a_study_that_has_enough_trials_proposes_no_more_and_races_those_that_wait(pruner):
    def score(params, fold):  # all alike, on folds that differ
        return 0.5 + 0.05 * fold + params["units"] / 100_000

    harness, asked = Harness(), {"pruner": make_pruner(pruner, ACCURACY), "trials": 40}
    units = [7 * number % 40 for number in range(1, 40)]

    def run(**more):
        return harness.run(ScriptedExecutor(score), driver=racers(*units), **asked, **more)

    assert run(stops_early=True) == "enough"
    trials = harness.history.trials
    assert 15 <= len(trials) < 40
    assert [trials[n].started.is_baseline for n in (0, 1)] == [True, True]
    assert all(trial.ended for trial in trials.values())
    assert run(stops_early=True) == "enough"
    assert run() == "complete"
    assert len(harness.history.trials) > len(trials)


@pytest.mark.parametrize("interrupt_after", range(8, 20))
def test_a_trial_that_fails_in_the_race_changes_nothing_for_the_others(interrupt_after):
    units = [50, 3, 80, 40, 95, 10, 60, 70, 20, 30]

    def score(params, fold):  # the leader breaks in its second fold
        return -1.0 if params["units"] == 95 and fold == 2 else good_when_large(params, fold)

    def run(harness, executor):
        pruner = make_pruner("racing", ACCURACY)
        return harness.run(executor, trials=10, driver=racers(*units), pruner=pruner, baselines={})

    whole = Harness()
    run(whole, ScriptedExecutor(score))
    assert whole.history.trials[4].state == "failed"
    assert whole.history.best().started.parameters["units"] == 80
    broken = Harness()
    try:
        run(broken, ScriptedExecutor(score, interrupt_after=interrupt_after))
    except KeyboardInterrupt:
        run(broken, ScriptedExecutor(score))
    assert outcomes(broken.history) == outcomes(whole.history)


def test_the_best_trial_gets_its_next_fold_first():
    harness = Harness()
    executor = ScriptedExecutor(good_when_large)
    pruner = make_pruner("racing", ACCURACY)
    harness.run(executor, trials=4, driver=racers(20, 95, 60, 97), pruner=pruner, baselines={})
    second = [trial for trial, fold in executor.trained if fold == 2]
    assert second[:2] == [3, 1]


def outcomes(history):
    return [
        (t.state, t.value, t.ended.reason, tuple(t.finished_folds()))
        for _, t in sorted(history.trials.items())
    ]


def test_the_best_are_confirmed_on_further_folds_which_then_decide():
    harness = Harness()

    def lucky(params, fold):  # 90 is best on the study's folds, 80 on others
        luck = 0.3 if params["units"] == 90 and fold <= 3 else 0.0
        return params["units"] / 200 + luck

    executor = ScriptedExecutor(lucky)
    assert (
        harness.run(executor, trials=3, driver=racers(90, 95, 20), baselines={}, confirm=2)
        == "complete"
    )
    history = harness.history
    assert [t.number for t in history.completed()] == [0, 1, 2]
    assert {t.number for t in history.confirmed()} == {0, 1}
    assert history.best().number == 1
    assert [fold for trial, fold in executor.trained if trial == 1] == list(range(1, 10))
    assert history.trials[0].mean_curves() != []
    again = ScriptedExecutor(lucky)
    harness.run(again, trials=3, driver=racers(90, 95, 20), baselines={}, confirm=2)
    assert again.trained == []


@pytest.mark.parametrize(
    ("confirm", "expected"),
    [(1, {2, 1}), (2, {2, 3, 1}), (3, {2, 3, 1}), (4, {2, 3, 1, 0}), (0, set())],
)
def test_the_best_baseline_is_confirmed_beside_the_best_trials(confirm, expected):
    harness = Harness()
    baselines = {"small": {"units": 10, "rate": 0.1}, "large": {"units": 20, "rate": 0.1}}
    executor = ScriptedExecutor(good_when_large)
    driver = racers(90, 80)
    harness.run(executor, trials=4, driver=driver, baselines=baselines, confirm=confirm)
    assert {trial.number for trial in harness.history.confirmed()} == expected


def test_a_newer_better_trial_is_the_best_until_it_is_confirmed_itself():
    harness = Harness()
    settings = (60, 40, 90)
    executor = ScriptedExecutor(good_when_large)
    harness.run(executor, trials=2, driver=racers(*settings), baselines={}, confirm=1)
    assert harness.history.best().number == 0
    harness.run(executor, trials=3, driver=racers(*settings), baselines={})
    assert harness.history.best().number == 2
    harness.run(executor, trials=3, driver=racers(*settings), baselines={}, confirm=1)
    assert harness.history.best().number == 2
    assert harness.history.trials[2].confirmed is not None


def test_a_confirmation_that_failed_decides_nothing_and_is_tried_again():
    harness = Harness()

    def breaks(params, fold):
        return -1.0 if fold == 4 and params["units"] == 90 else good_when_large(params, fold)

    driver = racers(90, 40)
    first = ScriptedExecutor(breaks)
    assert harness.run(first, trials=2, driver=driver, baselines={}, confirm=2) == "complete"
    assert first.trained.count((0, 4)) == 1
    assert harness.history.trials[0].state == "complete"
    assert harness.history.best().number == 0
    again = ScriptedExecutor(good_when_large)
    harness.run(again, trials=2, driver=racers(90, 40), baselines={}, confirm=2)
    assert (0, 4) in again.trained
    assert harness.history.trials[0].confirmed.scores


@pytest.mark.parametrize("interrupt_after", [10, 12, 17])
def test_an_interrupted_confirmation_goes_on_where_it_was(interrupt_after):
    harness = Harness()
    first = ScriptedExecutor(good_when_large, interrupt_after=interrupt_after)
    driver = racers(90, 80, 20)
    with pytest.raises(KeyboardInterrupt):
        harness.run(first, trials=3, driver=driver, baselines={}, confirm=2)
    second = ScriptedExecutor(good_when_large)
    harness.run(second, trials=3, driver=racers(90, 80, 20), baselines={}, confirm=2)
    assert sorted(first.trained[:interrupt_after] + second.trained) == sorted(
        [(t, f) for t in (0, 1) for f in range(1, 10)] + [(2, f) for f in range(1, 4)]
    )


@pytest.mark.slow
def test_time_is_kept_for_the_waiting_trials_to_finish():
    harness = Harness()
    slow = ScriptedExecutor(lambda s, fold: time.sleep(0.01) or s["units"] / 100)
    deadline = time.monotonic() + 2.0
    pruner = make_pruner("racing", ACCURACY)
    rising = FixedDriver({"units": n, "rate": 0.1, "epochs": 4} for n in range(1, 9999))
    reason = harness.run(
        slow, trials=9999, driver=rising, pruner=pruner, baselines={}, deadline=deadline
    )
    assert reason == "timeout"
    assert harness.history.best() is not None
    assert all(trial.ended is not None for trial in harness.history.trials.values())


@pytest.mark.parametrize("pruner", [NoPruner(ACCURACY), make_pruner("racing", ACCURACY)])
def test_a_trial_that_lost_its_worker_goes_on_with_the_fold_it_was_in(pruner):
    whole, broken = Harness(), Harness()
    options = {"trials": 6, "pruner": pruner, "baselines": {}}
    units = (90, 30, 60, 50, 80, 70)
    whole.run(ScriptedExecutor(good_when_large), driver=racers(*units), **options)
    breaks = [(3, 1, "lost"), (0, 2, "lost"), (0, 2, "lost"), (0, 3, "lost")]
    executor = ScriptedExecutor(good_when_large, breaks=breaks)
    assert broken.run(executor, driver=racers(*units), **options) == "complete"
    assert broken.proposals == whole.proposals
    ends = [(t.state, t.value) for t in broken.history.trials.values()]
    assert ends == [(t.state, t.value) for t in whole.history.trials.values()]
    assert len(executor.trained) == len(set(executor.trained))
    assert len(broken.history.trials[0].failures) == 3


def test_a_fold_that_costs_three_workers_fails_its_trial_and_the_study_goes_on():
    harness = Harness()
    executor = ScriptedExecutor(good_when_large, breaks=[(1, 2, "lost")] * 3)
    assert harness.run(executor, trials=4) == "complete"
    states = [trial.state for trial in harness.history.trials.values()]
    assert states == ["complete", "failed", "complete", "complete"]
    ended = harness.history.trials[1].ended
    assert ended.reason == "it broke off: lost"
    assert ended.train_seconds == pytest.approx(0.1)


@pytest.mark.parametrize("cause", ["machine", "lost"])
def test_a_fault_of_the_machine_is_tried_again_as_a_lost_worker_is(cause):
    whole, broken = Harness(), Harness()
    whole.run(ScriptedExecutor(good_when_large), trials=4)
    executor = ScriptedExecutor(good_when_large, breaks=[(1, 2, "machine"), (1, 2, cause)])
    assert broken.run(executor, trials=4) == "complete"
    assert len(broken.history.trials[1].failures) == 2
    ends = [(t.state, t.value) for t in broken.history.trials.values()]
    assert ends == [(t.state, t.value) for t in whole.history.trials.values()]


def test_faults_of_the_machine_and_lost_workers_count_together():
    harness = Harness()
    breaks = [(1, 2, "machine"), (1, 2, "lost"), (1, 2, "machine")]
    harness.run(ScriptedExecutor(good_when_large, breaks=breaks), trials=3)
    ended = harness.history.trials[1].ended
    assert (ended.state, ended.reason) == (
        "failed",
        "it broke off: machine (3 times); `run --retry-failed` tries the trial once more",
    )


@pytest.mark.parametrize("pruner", [NoPruner(ACCURACY), make_pruner("racing", ACCURACY)])
def test_a_failed_trial_that_is_tried_once_more_keeps_its_folds_and_ends_anew(pruner):
    whole, harness = Harness(), Harness()
    options = {"trials": 4, "pruner": pruner}
    whole.run(ScriptedExecutor(good_when_large), **options)
    breaks = [(1, 2, "machine")] * 3
    harness.run(ScriptedExecutor(good_when_large, breaks=breaks), **options)
    assert [t.number for t in harness.history.finished() if t.state == "failed"] == [1]
    harness.records += to_retry(harness.history)
    again = ScriptedExecutor(good_when_large, breaks=breaks[:2])
    assert harness.run(again, **options) == "complete"
    assert again.trained == [(1, 2), (1, 3)]
    assert harness.history.trials[1].state == "complete"
    assert harness.history.trials[1].value == whole.history.trials[1].value
    assert to_retry(harness.history) == []


def test_a_trial_that_fails_again_has_failed_again():
    harness = Harness()
    fails_alone = ScriptedExecutor(lambda s, fold: -1.0 if s["units"] == 90 else 0.5)
    harness.run(fails_alone, trials=3)
    harness.records += to_retry(harness.history)
    harness.run(fails_alone, trials=3)
    assert [t.state for t in harness.history.finished()] == ["complete", "failed", "complete"]
    assert harness.history.tally.over == 3


def test_a_budget_with_failed_trials_to_try_again_is_not_used_up():
    harness = Harness()
    harness.run(ScriptedExecutor(lambda s, fold: -1.0 if s["units"] == 90 else 0.5), trials=3)
    assert Budget(trials=3).is_done(harness.history)
    assert not Budget(trials=3, retry_failed=True).is_done(harness.history)


def test_want_of_memory_halves_the_batch_size_once():
    baselines = {"small": {"units": 10, "rate": 0.1, "batch_size": 64}}
    harness = Harness()
    executor = ScriptedExecutor(good_when_large, breaks=[(0, 2, "memory")])
    harness.run(executor, trials=1, baselines=baselines)
    trial = harness.history.trials[0]
    assert trial.state == "complete"
    assert [params["batch_size"] for params in executor.params] == [64, 64, 32, 32]
    assert trial.started.parameters["batch_size"] == 64
    again = Harness()
    twice = ScriptedExecutor(good_when_large, breaks=[(0, 2, "memory")] * 2)
    again.run(twice, trials=1, baselines=baselines)
    assert again.history.trials[0].state == "failed"
    assert "memory" in again.history.trials[0].ended.reason


def test_a_trial_without_a_batch_size_to_halve_fails_at_once():
    harness = Harness()
    executor = ScriptedExecutor(good_when_large, breaks=[(0, 1, "memory")])
    harness.run(executor, trials=1)
    assert harness.history.trials[0].state == "failed"


def test_a_trial_that_took_too_long_fails_at_once():
    harness = Harness()
    harness.run(ScriptedExecutor(good_when_large, breaks=[(0, 1, "time")]), trials=2)
    assert [t.state for t in harness.history.trials.values()] == ["failed", "complete"]


def test_a_full_disk_stops_the_study_and_its_trial_goes_on_later():
    harness = Harness()
    with pytest.raises(StudyStopped, match="Make room"):
        harness.run(ScriptedExecutor(good_when_large, breaks=[(1, 2, "disk")]), trials=3)
    rest = ScriptedExecutor(good_when_large)
    assert harness.run(rest, trials=3) == "complete"
    assert rest.trained == [(1, 2), (1, 3), (2, 1), (2, 2), (2, 3)]


def test_a_confirmation_that_lost_its_worker_goes_on():
    harness = Harness()
    executor = ScriptedExecutor(good_when_large, breaks=[(1, 6, "lost")])
    harness.run(executor, trials=2, confirm=1)
    assert harness.history.trials[1].confirmed.scores
    assert len(executor.trained) == len(set(executor.trained)) == 2 * 3 + 6


def test_several_slots_are_filled_and_every_trial_ends_once():
    harness = Harness()
    executor = ScriptedExecutor(good_when_large, slots=3, breaks=[(2, 1, "lost")])
    driver, pruner = racers(*range(10, 90, 10)), make_pruner("racing", ACCURACY)
    assert harness.run(executor, trials=8, driver=driver, pruner=pruner, baselines={}) == "complete"
    ends = [record.trial for record in harness.records if isinstance(record, TrialEnded)]
    assert sorted(ends) == list(range(8))
    assert len(executor.trained) == len(set(executor.trained))
    # the fourth trial was proposed while two of the first three still ran
    kinds = [type(record).__name__ for record in harness.records]
    assert kinds[1:4] == ["TrialStarted"] * 3


def test_a_worker_lost_after_its_trial_was_over_changes_nothing():
    harness = Harness()
    executor = ScriptedExecutor(good_when_large, breaks=[(1, 0, "lost")])
    assert harness.run(executor, trials=3) == "complete"
    assert len(executor.trained) == len(set(executor.trained)) == 9
    assert harness.history.trials[1].failures == []


def test_a_notice_is_kept_once_whoever_finds_it() -> None:
    class Telling(ScriptedExecutor):
        def wait(self, on_record: Callable[[Record], Verdict]) -> FoldKey:
            on_record(Notice(at=time.time(), trial=0, text="outputs are logits"))
            return super().wait(on_record)

    harness = Harness()
    harness.run(Telling(good_when_large), trials=3)
    notices = [record for record in harness.records if isinstance(record, Notice)]
    assert [notice.text for notice in notices] == ["outputs are logits"]
    assert History.of(harness.records).notices == notices


# What a repair left out.


@pytest.mark.parametrize("pruner", PRUNERS)
def test_a_lost_fold_is_trained_again_and_nothing_else_and_the_study_is_as_before(pruner):
    whole = Harness()
    race(whole, ScriptedExecutor(good_when_large), pruner)
    ends = ends_of(whole)
    over = [r for r in whole.records if isinstance(r, FoldEnded)]
    lost = [r for r in over if whole.history.trials[r.trial].state == "complete"]
    assert len(lost) >= 3 + 3 + 6 + 6  # of both that are confirmed, at least
    for fold in lost:
        damaged = Harness()
        damaged.records = [record for record in whole.records if record is not fold]
        again = ScriptedExecutor(good_when_large)
        race(damaged, again, pruner)
        assert again.given == [(fold.trial, fold.fold)]
        assert ends_of(damaged) == ends
        assert damaged.proposals == whole.proposals


def race(harness: Harness, executor: ScriptedExecutor, pruner: str) -> None:
    made = make_pruner(pruner, ACCURACY, winners=2)
    driver = racers(50, 3, 80, 40, 95, 10, 60, 70, 20)
    reason = harness.run(executor, trials=9, driver=driver, pruner=made, baselines={}, confirm=2)
    assert reason == "complete"


def ends_of(harness: Harness) -> list[tuple[str, float | None, dict[str, float]]]:
    trials = sorted(harness.history.trials.items())
    return [(t.state, t.value, t.confirmed.scores if t.confirmed else {}) for _, t in trials]


@pytest.mark.parametrize("fold", [1, 2, 3])
def test_a_trial_that_lost_a_fold_is_never_pruned_for_it(fold):
    harness = Harness()
    harness.run(ScriptedExecutor(good_when_large), trials=8)
    weakest = min(harness.history.completed(), key=lambda trial: trial.value or 0.0).number
    harness.records = [
        r
        for r in harness.records
        if not (isinstance(r, FoldEnded) and (r.trial, r.fold) == (weakest, fold))
    ]
    harness.run(ScriptedExecutor(good_when_large), trials=9, pruner=MedianPruner(ACCURACY))
    assert harness.history.trials[weakest].state == "complete"


@pytest.mark.parametrize("fold", [1, 2])
def test_an_open_trial_of_a_race_that_lost_a_fold_trains_it_and_races_on(fold):
    whole = Harness()
    with pytest.raises(KeyboardInterrupt):
        race(whole, ScriptedExecutor(good_when_large, interrupt_after=14), "racing")
    trial = next(t for t in whole.history.trials.values() if t.level == 2 and t.ended is None)
    damaged = Harness()
    damaged.records = [
        r
        for r in whole.records
        if not (isinstance(r, FoldEnded) and (r.trial, r.fold) == (trial.number, fold))
    ]
    again = ScriptedExecutor(good_when_large)
    race(damaged, again, "racing")
    assert (trial.number, fold) in again.given
    race(whole, ScriptedExecutor(good_when_large), "racing")
    assert outcomes(damaged.history) == outcomes(whole.history)


def test_a_race_goes_on_where_a_trial_that_dropped_out_lost_its_first_fold():
    study = StudyBuilder(folds=3)
    for trial, folds in ((0, [2, 3]), (1, [1]), (2, [1])):
        study.start_trial(trial)
        for fold in folds:
            study.fold(trial, fold, level=0.9 - trial / 10)
    study.end_trial(0, "pruned", value=0.9)
    racing = make_pruner("racing", ACCURACY)
    assert racing.going_on(study.history, 2) == [1, 2]


class Asked(StopRequest):
    """A request to stop that comes with a fold's start."""

    def __init__(self, trial: int) -> None:
        self.trial, self.when = trial, ""

    def seen(self) -> str:
        return self.when

    def told(self, record: Record) -> Record:
        if isinstance(record, FoldStarted) and record.trial == self.trial:
            self.when = self.FOLDS
        return record


def test_a_fold_whose_worker_gets_ready_after_a_request_to_stop_does_not_begin():
    harness, stop = Harness(), Asked(trial=1)
    executor = ScriptedExecutor(good_when_large, slots=2, side_by_side=True, told=stop.told)
    assert harness.run(executor, trials=4, stop=stop) == "stopped"
    kinds = {type(record) for record in harness.records if getattr(record, "trial", -1) == 1}
    assert kinds == {TrialStarted}
    assert len(harness.history.trials[0].finished_folds()) == 1
    assert harness.run(ScriptedExecutor(good_when_large), trials=4) == "complete"


def test_a_study_ends_where_its_executor_has_begun_nothing_and_is_to_begin_no_more():
    class Loads(ScriptedExecutor):
        def wait(self, on_record):
            stop.when = stop.FOLDS
            return

    harness, stop = Harness(), Asked(trial=0)
    assert harness.run(Loads(good_when_large), trials=4, stop=stop) == "stopped"
    assert not harness.history.trials[0].folds
