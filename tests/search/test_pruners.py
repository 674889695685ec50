import time

import pytest

from search.budget import Budget
from search.drivers import FixedDriver
from search.pruners import PRUNERS, make_pruner
from search.study import Study
from tests.fakes import ScriptedExecutor
from tracking.history import History
from tracking.objectives import OBJECTIVES, Objective
from tracking.records import EpochEnded, FoldEnded, Record, StudyStarted

FOLDS, EPOCHS = 5, 9
SHUFFLED = [50, 3, 80, 40, 99, 10, 60, 70, 20, 30, 85, 15, 45, 90, 5, 55, 25, 65, 35, 75]


def accuracy(setting, fold):
    """Larger units are better; folds differ, and a little so does their effect on a setting."""
    return 0.4 + setting["units"] / 250 + fold / 100 + (setting["units"] * fold % 7) / 500


class Race:
    """A study over recorded settings that can be run in sessions."""

    def __init__(self, pruner: str, objective: str = "cv_accuracy") -> None:
        self.pruner, self.objective, self.winners = pruner, OBJECTIVES[objective], 1
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
            )
        ]

    def run(self, score=accuracy, units=SHUFFLED, **interrupts) -> ScriptedExecutor:
        executor = ScriptedExecutor(score, FOLDS, field=self.objective.fold, **interrupts)
        study = Study(
            history=self.history,
            record=self.records.append,
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
        race.run(lambda setting, fold: 0.5, units=SHUFFLED[:3])
        assert [trial.state for trial in race.history.trials.values()] == ["complete"] * 3

    @pytest.mark.parametrize("objective", ["cv_loss", "macro_f1"])
    def test_goes_by_the_objective(self, pruner, objective):
        # The fake's loss falls as accuracy rises, and its macro F1 is its accuracy.
        race = Race(pruner, objective)
        race.run()
        assert race.history.best().started.parameters["units"] == 99

    @pytest.mark.parametrize("interrupt_after", [1, 4, 9, 14, 19, 22, 26, 30])
    @pytest.mark.parametrize("before_verdict", [False, True])
    def test_judges_alike_after_an_interruption(self, pruner, interrupt_after, before_verdict):
        whole = Race(pruner)
        whole.run()
        broken = Race(pruner)
        try:
            broken.run(interrupt_after=interrupt_after, before_verdict=before_verdict)
        except KeyboardInterrupt:
            broken.run()
        assert broken.outcomes() == whole.outcomes()

    def test_a_failed_trial_disturbs_nothing(self, pruner):
        race = Race(pruner)
        race.run(lambda s, fold: -1.0 if s["units"] == 80 else accuracy(s, fold))
        assert race.history.trials[2].state == "failed"
        assert race.history.best().started.parameters["units"] == 99

    def test_one_fold_is_enough_to_be_complete(self, pruner):
        race = Race(pruner)
        race.records[0] = StudyStarted(**{**vars(race.records[0]), "folds": 1})
        executor = ScriptedExecutor(accuracy, 1)
        Study(
            history=race.history,
            record=race.records.append,
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


def test_racing_stops_the_weaker_after_the_first_epoch_and_nobody_later_in_that_fold():
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
