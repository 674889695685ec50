import statistics
import time
from functools import cache
from itertools import product

import numpy as np
import pytest

from search.study.budget import Budget
from search.study.drivers import FixedDriver
from search.study.loop import Study
from search.study.pruners import PRUNERS, make_pruner
from search.study.pruners.base import Scoreboard
from search.tasks import CLASSIFICATION, REGRESSION
from tests.fakes import ScriptedExecutor, by_metrics
from tests.studies import GivenValues
from tracking.event_log import EventLog
from tracking.history import History
from tracking.objectives import OBJECTIVES, Objective
from tracking.records import (
    EpochEnded,
    FoldEnded,
    FoldStarted,
    Record,
    StudyStarted,
    TrialEnded,
)

SLOW = pytest.mark.slow
FOLDS, EPOCHS = 5, 9
SHUFFLED = [50, 3, 80, 40, 99, 10, 60, 70, 20, 30, 85, 15, 45, 90, 5, 55, 25, 65, 35, 75]


def accuracy(params, fold):
    """Larger units are better; folds differ, and a little so does their effect on a setting."""
    return 0.4 + params["units"] / 250 + fold / 100 + (params["units"] * fold % 7) / 500


class Race:
    """A study over recorded settings that can be run in sessions."""

    def __init__(
        self, pruner: str, objective: str = "cv_accuracy", *, of: Objective | None = None
    ) -> None:
        self.pruner, self.winners = pruner, 1
        self.objective = of or OBJECTIVES[objective]
        self.records: list[Record] = [
            StudyStarted(
                at=time.time(),
                id="0" * 32,
                study="race",
                space="toy",
                driver="fixed",
                settings={"objective": objective},
                parameters=[],
                dataset={},
                folds=FOLDS,
                folds_digest="",
                task=REGRESSION if of else CLASSIFICATION,
                objectives=[of.to_json()] if of else [],
            )
        ]

    def run(self, score=accuracy, units=SHUFFLED, **interrupts) -> ScriptedExecutor:
        executor = ScriptedExecutor(score, **interrupts)
        log = EventLog(self.history, None, self.records.append)
        study = Study(
            history=log.history,
            record=log.append,
            driver=FixedDriver({"units": u, "epochs": EPOCHS} for u in units),
            pruner=make_pruner(self.pruner, self.objective, winners=self.winners),
            executor=executor,
            budget=Budget(trials=len(units)),
        )
        study.run()
        return executor

    @property
    def history(self) -> History:
        return History.of(self.records)

    def epochs(self) -> int:
        return sum(isinstance(record, EpochEnded) for record in self.records)

    def outcomes(self) -> list[object]:
        trials = sorted(self.history.trials.items())
        return [(t.state, t.value, t.ended.reason, list(t.folds)) for _, t in trials]


@cache
def uninterrupted(pruner: str) -> list[object]:
    """What becomes of the trials of a race that nothing interrupts."""
    race = Race(pruner)
    race.run()
    return race.outcomes()


@pytest.mark.parametrize("pruner", PRUNERS)
class TestPrunerContract:
    """What every pruner must do."""

    def test_the_clear_winner_sees_all_folds_and_is_chosen(self, pruner):
        race = Race(pruner)
        race.run()
        best = race.history.best()
        assert best.started.parameters["units"] == 99
        assert len(best.finished_folds()) == FOLDS

    def test_complete_trials_have_all_folds_and_stopped_ones_a_reason(self, pruner):
        race = Race(pruner)
        race.run()
        for trial in race.history.trials.values():
            assert trial.ended is not None
            assert (trial.state == "complete") == (len(trial.finished_folds()) == FOLDS)
            assert (trial.state == "pruned") == bool(trial.ended.reason)

    def test_saves_epochs_unless_it_is_none(self, pruner):
        race = Race(pruner)
        race.run()
        full = len(SHUFFLED) * FOLDS * EPOCHS
        assert (race.epochs() == full) == (pruner == "none")

    def test_of_equal_trials_the_first_is_complete(self, pruner):
        race = Race(pruner)
        race.run(lambda params, fold: 0.5, units=SHUFFLED[:3])
        assert race.history.trials[0].state == "complete"

    @pytest.mark.parametrize("objective", ["cv_loss", "macro_f1"])
    def test_goes_by_the_objective(self, pruner, objective):
        # The fake's loss falls as accuracy rises, and its macro F1 is its accuracy.
        race = Race(pruner, objective)
        race.run()
        assert race.history.best().started.parameters["units"] == 99

    @pytest.mark.parametrize("larger", [True, False])
    @pytest.mark.parametrize("scale", [1e-6, 3e7])
    def test_judges_alike_whatever_the_metrics_scale_and_direction(self, pruner, larger, scale):
        sign = 1 if larger else -1
        race = Race(pruner, of=Objective("cv_own", larger, "made", "own", "val_own"))
        race.run(told=lambda record: by_metrics(record, own=lambda score: scale * sign * score))
        known = uninterrupted(pruner)
        found = race.outcomes()
        assert [(state, folds) for state, _, _, folds in found] == [
            (state, folds) for state, _, _, folds in known
        ]
        assert [value for _, value, _, _ in found] == pytest.approx(
            [None if value is None else scale * sign * value for _, value, _, _ in known]
        )

    @pytest.mark.parametrize(
        "interrupt_after", [1, 14, 26, *(pytest.param(n, marks=SLOW) for n in (4, 9, 19, 22, 30))]
    )
    @pytest.mark.parametrize("before_verdict", [False, True])
    def test_judges_alike_after_an_interruption(self, pruner, interrupt_after, before_verdict):
        broken = Race(pruner)
        try:
            broken.run(interrupt_after=interrupt_after, before_verdict=before_verdict)
        except KeyboardInterrupt:
            broken.run()
        assert broken.outcomes() == uninterrupted(pruner)

    def test_a_failed_trial_disturbs_nothing(self, pruner):
        race = Race(pruner)
        race.run(lambda s, fold: -1.0 if s["units"] == 80 else accuracy(s, fold))
        assert race.history.trials[2].state == "failed"
        assert race.history.best().started.parameters["units"] == 99

    def test_one_fold_is_enough_to_be_complete(self, pruner):
        race = Race(pruner)
        race.records[0] = StudyStarted(**{**vars(race.records[0]), "folds": 1})
        executor = ScriptedExecutor(accuracy)
        log = EventLog(race.history, None, race.records.append)
        Study(
            history=log.history,
            record=log.append,
            driver=FixedDriver({"units": u, "epochs": EPOCHS} for u in SHUFFLED),
            pruner=make_pruner(pruner, race.objective),
            executor=executor,
            budget=Budget(trials=len(SHUFFLED)),
        ).run()
        assert race.history.best().started.parameters["units"] == 99


def stops(race: Race) -> dict[int, tuple[int, int]]:
    """Return where trials were stopped: (fold, epoch), by units."""
    pruned = [t for t in race.history.trials.values() if t.state == "pruned"]
    return {int(t.started.parameters["units"]): t.position() for t in pruned}


def test_racing_trains_so_many_trials_so_far():
    race = Race("racing")
    race.run()  # of nine epochs the first is a tenth and the third a quarter, rounded up
    stopped = list(stops(race).values())
    far = {where: stopped.count(where) for where in set(stopped)}
    # Half, a quarter, three, two and one go on; and one all the same, from a quarter of its epochs.
    assert far == {(1, 1): 10, (1, 3): 4, (1, EPOCHS): 3, (2, EPOCHS): 1, (3, EPOCHS): 1}


def test_racing_lets_as_many_see_all_folds_as_are_to_be_confirmed():
    race = Race("racing")
    race.winners = 3
    race.run(lambda s, fold: 0.9 - fold / 50 if s["units"] == 99 else 0.5 + s["units"] / 1000)
    states = [trial.state for trial in race.history.trials.values()]
    assert states.count("complete") == 3


def test_racing_costs_a_seventh_of_everything_at_twenty_trials():
    race = Race("racing")
    race.run()
    assert race.epochs() <= 0.16 * len(SHUFFLED) * FOLDS * EPOCHS


def test_what_an_objective_is_made_of_exists_in_the_records():
    for objective in OBJECTIVES.values():
        assert isinstance(objective, Objective)
        assert not objective.fold or objective.fold in FoldEnded.__dataclass_fields__
        assert bool(objective.fold) == bool(objective.epoch)


ACCURACY = OBJECTIVES["cv_accuracy"]
RACING = make_pruner("racing", ACCURACY)


def going_on(given: GivenValues, rung: int, *, winners: int = 1) -> list[int]:
    return make_pruner("racing", ACCURACY, winners=winners).going_on(given.history, rung)


def reasons(given: GivenValues) -> dict[int, str]:
    trials = given.history.trials
    return {number: RACING.reason(trial, given.history) for number, trial in trials.items()}


@pytest.mark.parametrize("count", [1, 2, 3, 9, 11, 20, 33, 100])
@pytest.mark.parametrize(("rung", "share"), [(0, 1 / 2), (1, 1 / 4)])
def test_of_those_that_entered_a_share_goes_on_and_two_of_three_at_least(count, rung, share):
    given = GivenValues()
    for number in range(count):
        # Nobody goes on all the same: who is better there is so here, too, and all gain alike.
        given.pause(number, {2: number / 1000} | ({5: number / 1000} if rung else {}))
    kept = max(1 if count < 3 else 2, int(count * share))
    assert going_on(given, rung) == list(range(count - 1, count - 1 - kept, -1))


@pytest.mark.parametrize(("rung", "places"), [(2, 3), (3, 2), (4, 1)])
@pytest.mark.parametrize("entered", [6, 60])
def test_so_many_go_on_after_whole_folds_and_as_many_as_are_to_win(rung, places, entered):
    given = GivenValues(folds=5)
    for number in range(entered):
        given.trial(number, [0.9 - number / 1000] * (rung - 1))
    assert going_on(given, rung) == list(range(places))
    assert going_on(given, rung, winners=4) == [0, 1, 2, 3]
    told = reasons(given)[places]
    folds = "1 fold" if rung == 2 else f"{rung - 1} folds"
    assert f"after {folds}: accuracy 0.89" in told
    assert f"is number {places + 1} of {entered} trials; the best {places} go on" in told


def test_a_trial_that_waits_goes_on_once_more_have_come_that_are_worse():
    given = GivenValues()
    for number, value in enumerate((0.9, 0.8, 0.7)):
        given.pause(number, {2: value})
    assert going_on(given, 0) == [0, 1]
    for number in (3, 4, 5):
        given.pause(number, {2: 0.1})
    assert going_on(given, 0) == [0, 1, 2]


@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_a_trial_goes_on_when_those_that_did_turn_out_no_better(factor):
    """Gains of 0.0, 0.1 and 0.2: the next is trusted to gain 0.1 and their deviation, 0.1."""
    given = GivenValues()
    gains = (0.0, 0.1, 0.2)
    for number, gain in enumerate(gains):
        given.pause(number, {2: 0.6, 5: 0.6 + gain})
    own = 0.7 - factor * (statistics.fmean(gains) + statistics.stdev(gains))
    for number in (3, 4, 5):
        given.pause(number, {2: own - number / 1000 + 3 / 1000})
    # Two go on from a quarter of their epochs; the second of them has 0.7 there.
    assert going_on(given, 0) == ([0, 1, 2, 3] if factor < 1 else [0, 1, 2])


def test_nobody_goes_on_by_the_gains_of_others_while_one_of_the_best_has_not():
    given = GivenValues()
    for number, gain in enumerate((0.0, 0.1, 0.2)):
        given.pause(number, {2: 0.6, 5: 0.6 + gain})
    given.pause(3, {2: 0.61})
    for number in (4, 5, 6, 7):
        given.pause(number, {2: 0.55})
    assert going_on(given, 0) == [3, 0, 1, 2]
    given.pause(3, {2: 0.61, 5: 0.61})
    assert going_on(given, 0) == [3, 0, 1, 2, 4]
    given.pause(4, {2: 0.55, 5: 0.55})  # it has gone on, and stays among them
    assert going_on(given, 0)[:5] == [3, 0, 1, 2, 4]


def test_two_that_went_on_say_nothing_of_what_others_would_gain():
    given = GivenValues()
    for number, gain in enumerate((0.0, 0.3)):
        given.pause(number, {2: 0.6, 5: 0.6 + gain})
    for number in (2, 3):
        given.pause(number, {2: 0.59})
    assert going_on(given, 0) == [0, 1]


def test_trials_of_different_epochs_are_compared_at_the_same_share_of_them():
    given = GivenValues()
    # After one epoch the long ones are behind; after a tenth of their epochs they are ahead.
    for number in range(5):
        given.pause(number, {1: 0.5}, epochs=9)
        given.pause(10 + number, {1: 0.2, 4: 0.7}, epochs=40)
    assert going_on(given, 0) == [10, 11, 12, 13, 14]
    assert reasons(given)[0] == (
        "in fold 1 after epoch 1 of 9: accuracy 0.5000 is number 6 of 10 trials at this share of"
        " their epochs; the best 5 go on"
    )


def test_rungs_that_fall_on_the_same_epoch_are_reached_together():
    given = GivenValues()
    given.pause(0, {1: 0.4}, epochs=4)  # a tenth and a quarter
    given.trial(1, [0.6], shown={1: 0.6}, epochs=1)  # and the end
    given.pause(2, {1: 0.5}, epochs=10)
    given.pause(3, {1: 0.2}, epochs=10)
    assert going_on(given, 0) == [1, 2, 0]  # the last has, as this rung is the next, too
    assert going_on(given, 1) == [1, 0]  # nobody else has been there
    assert going_on(given, 2) == [1]


def test_failed_trials_and_those_that_are_over_count_where_they_have_been_and_baselines_do_not():
    given = GivenValues()
    given.trial(0, [0.9] * 4, shown={2: 0.9}, state="complete", score=0.9, origin="baseline:x")
    given.trial(1, shown={2: 0.8}, state="failed")
    given.trial(2, shown={2: 0.7}, state="pruned")
    given.trial(3, shown={1: 0.9}, state="pruned")  # as earlier versions stopped after an epoch
    given.trial(4, shown={1: 0.9}, state="failed")
    given.trial(5, shown={2: 0.95})  # in training: it has not been there
    given.pause(6, {2: 0.6})
    given.pause(7, {2: float("nan")})
    assert going_on(given, 0) == [1, 2]
    assert going_on(given, 0, winners=6) == [1, 2, 6, 3, 7]


def test_a_fold_that_began_ahead_counts_once_its_trial_goes_on_to_it():
    given = GivenValues(folds=5)
    for number in range(4):
        given.trial(number, [0.9 - number / 100])
        given.fold(number, 2, 0.9, ahead=True)
    assert going_on(given, 2) == [0, 1, 2]
    assert 3 not in going_on(given, 3, winners=1)
    assert RACING.standing(given.history.trials[3], given.history) == 2
    assert RACING.standing(given.history.trials[0], given.history) == 3


def test_what_a_trial_showed_counts_while_it_is_trained_again_as_its_state_was_lost():
    given = GivenValues()
    for number in range(4):
        given.pause(number, {2: 0.9 - number / 100})
    given.add(FoldStarted, trial=0, fold=1)
    assert going_on(given, 0) == [0, 1]
    given.add(EpochEnded, trial=0, fold=1, epoch=1, metrics={"val_accuracy": 0.1})
    assert going_on(given, 0) == [0, 1]


def test_racing_says_after_how_many_epochs_it_compares_and_the_study_records_it():
    race = Race("racing")
    race.run(units=SHUFFLED[:3])
    assert [t.started.compared_after for t in race.history.trials.values()] == [1, 1, 1]
    assert RACING.compared_after({"epochs": 40}) == 4
    assert make_pruner("median", ACCURACY).compared_after({"epochs": 40}) == 0


@pytest.mark.parametrize("pruner", [name for name in PRUNERS if PRUNERS[name].waits])
class TestContractOfRungs:
    """What every pruner must do that has trials wait at rungs."""

    @pytest.mark.parametrize("folds", [1, 2, 3, 5, 10])
    def test_rungs_rise_and_are_all_before_the_end(self, pruner, folds):
        rungs = make_pruner(pruner, ACCURACY).rungs(folds)
        assert rungs
        places = [(rung.fold, rung.share) for rung in rungs]
        assert places == sorted(set(places))
        assert all(0 < share <= 1 for _, share in places)
        assert places[-1] < (folds, 1.0)

    def test_never_fewer_go_on_from_a_rung_than_are_to_win(self, pruner):
        for winners in (1, 3):
            made = make_pruner(pruner, ACCURACY, winners=winners)
            for entered in (1, 5, 20, 200):
                places = [made.places(n, entered, 5) for n in range(len(made.rungs(5)))]
                assert min(places) >= winners

    def test_what_goes_on_depends_on_the_history_alone(self, pruner):
        race = Race(pruner)
        race.run()
        for end in range(1, len(race.records)):
            history = History.of(race.records[:end])
            rungs = range(len(make_pruner(pruner, ACCURACY).rungs(FOLDS)))
            one, other = make_pruner(pruner, ACCURACY), make_pruner(pruner, ACCURACY)
            later_first = {rung: other.going_on(history, rung) for rung in reversed(rungs)}
            assert {rung: one.going_on(history, rung) for rung in rungs} == later_first

    def test_who_goes_on_has_been_there_and_the_best_comes_first(self, pruner):
        race = Race(pruner)
        race.run()
        history, made = race.history, make_pruner(pruner, ACCURACY)
        for place, rung in enumerate(made.rungs(FOLDS)):
            going = [history.trials[number] for number in made.going_on(history, place)]
            assert going
            assert all(rung.is_reached(trial) for trial in going)
            values = [Scoreboard(ACCURACY).at(trial, rung) for trial in going]
            assert values == sorted(values, reverse=True)

    def test_whoever_does_not_go_on_is_told_why_and_only_once_the_race_is_over(self, pruner):
        race = Race(pruner)
        race.run()
        kinds = [type(record) for record in race.records]
        first_end = kinds.index(TrialEnded)
        pruned = [t for t in race.history.trials.values() if t.state == "pruned"]
        assert FoldStarted not in kinds[max(r for r, k in enumerate(kinds) if k is FoldEnded) :]
        assert race.history.trials[race.records[first_end].trial].state == "complete"
        assert all(trial.ended.reason for trial in pruned)


def test_the_median_pruner_stops_below_the_median_only_and_after_its_warm_up():
    for complete, value, is_stopped in ((4, 0.64, True), (5, 0.5 + 2 / 10, False), (3, 0.1, False)):
        given = GivenValues(folds=2)
        for number in range(complete):
            folds = [0.5 + number / 10, 0.9]
            given.trial(number, folds, state="complete", score=sum(folds) / 2)
        given.trial(9, [value])
        reason = make_pruner("median", ACCURACY).reason_to_stop(
            given.history.trials[9], given.history
        )
        assert bool(reason) == is_stopped
    given.trial(10, [0.1])
    given.epochs(10, 2, {1: 0.1})
    pruner = make_pruner("median", ACCURACY)
    assert not pruner.reason_to_stop(given.history.trials[10], given.history)


@pytest.mark.slow
def test_the_wilcoxon_pruner_stops_where_its_test_is_below_a_tenth_alone():
    from scipy.stats import wilcoxon

    best = [0.9] * 9
    verdicts = []
    for worse, gain in product(range(10), (0.001, 0.5)):  # better on few folds, but far
        row = [0.9 - (n + 1) / 100 if n < worse else 0.9 + (n + 1) * gain for n in range(9)]
        for level in range(1, 10):
            given = GivenValues(folds=9)
            given.trial(0, best, state="complete", score=0.9)
            given.trial(1, row[:level])
            reason = make_pruner("wilcoxon", ACCURACY).reason_to_stop(
                given.history.trials[1], given.history
            )
            differences = np.array(row[:level]) - 0.9
            p = wilcoxon(differences, alternative="less", zero_method="zsplit").pvalue
            expected = level >= 2 and differences.mean() < 0 and p < 0.1
            assert bool(reason) == expected
            verdicts.append(bool(expected))
    assert set(verdicts) == {True, False}  # both are among the cases
