import time
from functools import cache
from itertools import product

import numpy as np
import pytest

from search.study.budget import Budget
from search.study.drivers import FixedDriver
from search.study.loop import Study
from search.study.pruners import PRUNERS, make_pruner
from search.tasks import CLASSIFICATION, REGRESSION
from tests.fakes import ScriptedExecutor, by_metrics
from tests.studies import GivenValues
from tracking.event_log import EventLog
from tracking.history import History
from tracking.objectives import OBJECTIVES, Objective
from tracking.records import EpochEnded, FoldEnded, Record, StudyStarted

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

    def test_equal_trials_are_all_kept(self, pruner):
        race = Race(pruner)
        race.run(lambda params, fold: 0.5, units=SHUFFLED[:3])
        assert [trial.state for trial in race.history.trials.values()] == ["complete"] * 3

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


def test_racing_stops_the_weaker_after_a_tenth_of_the_epochs_and_nobody_later_in_that_fold():
    race = Race("racing")
    race.run()
    inside = [where for where in stops(race).values() if where[1] < EPOCHS]
    assert set(inside) == {(1, 1)}
    assert len(SHUFFLED) // 3 <= len(inside) <= 0.55 * len(SHUFFLED)


def test_racing_takes_a_quarter_to_each_next_fold_and_two_to_the_end():
    race = Race("racing")
    units = [n * 37 % 101 for n in range(1, 100)]
    # All much alike and in another order on every fold, so that nobody is beyond doubt.
    race.run(lambda s, fold: 0.5 + (s["units"] * (fold + 3) * 31 % 89) / 9000, units=units)
    folds = [record.fold for record in race.records if isinstance(record, FoldEnded)]
    first, *counts = [folds.count(fold) for fold in range(1, FOLDS + 1)]
    assert counts[0] == -(-first // 4)
    assert 3 <= counts[1] <= 4  # two have the same mean
    assert 1 <= counts[3] <= counts[2] <= 2


def test_racing_lets_as_many_see_all_folds_as_are_to_be_confirmed():
    race = Race("racing")
    race.winners = 3
    race.run(lambda s, fold: 0.9 - fold / 50 if s["units"] == 99 else 0.5 + s["units"] / 1000)
    states = [trial.state for trial in race.history.trials.values()]
    assert states.count("complete") == 3


def test_racing_costs_a_fifth_of_everything_at_twenty_trials():
    race = Race("racing")
    race.run()
    assert race.epochs() <= 0.22 * len(SHUFFLED) * FOLDS * EPOCHS


def test_a_trial_that_the_leader_beats_beyond_doubt_is_dropped_with_both_numbers():
    race = Race("racing")
    race.run(lambda s, fold: 0.9 - fold / 50 if s["units"] == 99 else 0.5 + s["units"] / 1000)
    reasons = [t.ended.reason for t in race.history.trials.values() if t.ended.reason]
    assert any("more than twice the standard error" in reason for reason in reasons)


def test_what_an_objective_is_made_of_exists_in_the_records():
    for objective in OBJECTIVES.values():
        assert isinstance(objective, Objective)
        assert not objective.fold or objective.fold in FoldEnded.__dataclass_fields__
        assert bool(objective.fold) == bool(objective.epoch)


ACCURACY = OBJECTIVES["cv_accuracy"]
RACING = make_pruner("racing", ACCURACY)


def stops_at_rung(given: GivenValues, number: int) -> str:
    return RACING.reason_to_stop(given.history.trials[number], given.history)


def dropped(given: GivenValues, *, winners: int = 1) -> dict[int, str]:
    """Return why trials would get no confirmation fold, by number; they are judged together."""
    pruner = make_pruner("racing", ACCURACY, winners=winners)
    history = given.history
    found = {n: pruner.reason_to_drop(t, history, t.level) for n, t in history.trials.items()}
    return {number: reason for number, reason in found.items() if reason}


@pytest.mark.parametrize("count", [1, 2, 3, 9, 11, 20, 33, 100])
def test_of_those_at_the_rung_the_best_45_percent_go_on_rounded_up(count):
    for place in range(1, count + 1):
        given = GivenValues()
        others = [rank for rank in range(1, count + 1) if rank != place]
        for number, rank in enumerate([*others, place]):
            given.trial(number, shown={2: 1 - rank / 1000})
        assert (stops_at_rung(given, count - 1) == "") == (place <= -(-45 * count // 100))


def test_trials_of_different_epochs_are_compared_at_the_same_share_of_them():
    given = GivenValues()
    # After one epoch the long ones are behind; after a tenth of their epochs they are ahead.
    for number in range(5):
        given.trial(number, shown={1: 0.5, 2: 0.6}, epochs=3)
        given.trial(10 + number, shown={1: 0.2, 4: 0.7}, epochs=40)
        assert not stops_at_rung(given, 10 + number)
    given.trial(20, shown={1: 0.5}, epochs=3)
    reason = stops_at_rung(given, 20)
    assert "in fold 1 after epoch 1 of 3: accuracy 0.5000 is not among the best 45%" in reason
    assert "of 11 trials at the same share of their epochs, accuracy 0.7000 and better" in reason


def test_nobody_stops_elsewhere_than_at_the_rung():
    for shown, epochs in (({1: 0.1}, 20), ({1: 0.1, 2: 0.1, 3: 0.1}, 20), ({1: 0.1}, 1)):
        given = GivenValues()
        for number in range(4):
            given.trial(number, [0.9], shown={1: 0.9, 2: 0.9})
        given.trial(9, shown=shown, epochs=epochs)
        assert not stops_at_rung(given, 9)
    given.trial(10, [0.1], shown={2: 0.1}, epochs=20)  # the fold is over
    assert not stops_at_rung(given, 10)
    given.trial(11, [0.9], shown={2: 0.9})
    given.epochs(11, 2, {1: 0.1, 2: 0.1})  # the rung lies in the first fold alone
    assert not stops_at_rung(given, 11)
    given.trial(12, shown={2: 0.1}, epochs=20)
    assert stops_at_rung(given, 12)


def test_racing_says_after_how_many_epochs_it_compares_and_the_study_records_it():
    race = Race("racing")
    race.run(units=SHUFFLED[:3])
    assert [t.started.compared_after for t in race.history.trials.values()] == [1, 1, 1]
    assert RACING.compared_after({"epochs": 40}) == 4
    assert make_pruner("median", ACCURACY).compared_after({"epochs": 40}) == 0


@pytest.mark.parametrize(
    ("entered", "level", "places"),
    [
        *((n, 1, 4) for n in (5, 16)),
        *((17, 1, 5), (20, 1, 5), (21, 1, 6)),
        *((20, 2, 3), (48, 2, 3), (49, 2, 4), (81, 2, 6)),
        *((20, 3, 2), (128, 3, 2), (129, 3, 3)),
        *((129, 4, 2), (200, 4, 2)),
    ],
)
def test_so_many_go_on_after_a_fold_of_those_that_entered(entered, level, places):
    given = GivenValues(folds=5)
    for number in range(entered):
        # They differ so much from fold to fold that nobody is beyond doubt.
        swing = 1.0 if number % 2 else -1.0
        mean = -number / 1000
        seen = [mean + swing * (-1) ** fold for fold in range(level - level % 2)]
        seen += [mean] * (level % 2)
        given.trial(number, seen if number < max(7, places + 2) else seen[:1])
    racing = {n: t for n, t in given.history.trials.items() if len(t.finished_folds()) == level}
    reasons = dropped(given)
    assert [number for number in racing if number not in reasons] == list(range(places))
    told = reasons[places]
    assert f"is behind {places} of {len(racing)} trials; the best {places} continue" in told


def beyond_doubt(values: list[list[float]], folds: int) -> float:
    """Return twice the standard error of a gap to the first of four, as decision 0013 has it."""
    level = len(values[0])
    differences = np.array(values[1:4]) - np.array(values[0])
    error = np.sqrt(differences.var(axis=1, ddof=1).mean() * (1 / level - 1 / folds))
    return float(2 * error)


@pytest.mark.parametrize("folds", [3, 5, 10])
@pytest.mark.parametrize("level", [2, 3, 4])
def test_twice_the_standard_error_of_the_gap_is_beyond_doubt_and_less_is_not(folds, level):
    if level >= folds:
        pytest.skip("the race is over")
    source = np.random.default_rng(level)
    values = source.normal(0, 0.01, (6, level))
    values -= values.mean(axis=1, keepdims=True)
    values[5] *= 100  # the fifth best and sixth tell nothing of the doubt
    values[2:] -= 9.0
    values[1] -= beyond_doubt(values.tolist(), folds)
    for closer, is_dropped in ((1e-9, False), (-1e-9, True)):
        given = GivenValues(folds=folds)
        for number, row in enumerate(values):
            given.trial(number, (row + closer if number == 1 else row).tolist())
        reason = dropped(given).get(1, "")
        assert bool(reason) == is_dropped
        assert 1 not in dropped(given, winners=2)
    doubt = beyond_doubt(values.tolist(), folds) / 2
    assert f"is {2 * doubt:.4f} behind trial 0, more than twice the standard error" in reason
    assert f"error of {doubt:.4f}" in reason


@pytest.mark.parametrize(("level", "rivals"), [(2, 3), (3, 2), (4, 1)])
def test_three_differences_beyond_one_a_trial_tell_how_large_chance_is_and_fewer_do_not(
    level, rivals
):
    for fewer in (False, True):
        given = GivenValues(folds=5)
        last = level - 1 if fewer and level > 2 else level
        count = rivals - 1 if fewer and level == 2 else rivals
        given.trial(0, [0.9, 0.901, 0.9, 0.901][:last])
        for number in range(1, count + 1):
            given.trial(number, [0.5, 0.5, 0.5, 0.5][:last])
        assert (1 in dropped(given)) == (not fewer)


def test_a_fold_that_is_missing_ends_what_a_trial_is_compared_on():
    given = GivenValues(folds=4)
    for number in range(6):
        given.trial(number, [0.9 - number / 100])
    given.fold(5, 3, 0.99)  # a repair took its second fold
    assert set(dropped(given)) == {4, 5}


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
