import time

import pytest

from search.drivers import Driver, FixedDriver, make_driver
from search.racing import MedianPruner, NoPruner, Pruner
from search.study import FAILURES_IN_A_ROW, Study
from spaces import DataSpec, Float, ImageInput, Int, Settings, Space
from tests.fakes import ScriptedExecutor, fold_ended
from tracking.history import FoldHistory, History, TrialHistory
from tracking.records import Record, StudyStarted


def build(parameters: object, data: DataSpec) -> None:
    raise NotImplementedError


SPACE = Space(
    name="toy",
    dataset="digits",
    inputs=ImageInput(size=(8, 8)),
    parameters=(Int("units", 1, 100), Float("rate", 1e-4, 1.0, log=True)),
    build=build,
)
BASELINES: dict[str, Settings] = {
    "small": {"units": 10, "rate": 0.1},
    "large": {"units": 90, "rate": 0.1},
}


def good_when_large(setting: Settings, fold: int) -> float:
    return float(setting["units"]) / 200 + fold / 100


class Bench:
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
        baselines: dict[str, Settings] | None = None,
        deadline: float | None = None,
    ) -> str:
        study = Study(
            history=self.history,
            record=self.records.append,
            driver=driver or make_driver("optuna", "tpe", SPACE, seed=3),
            pruner=pruner or NoPruner(),
            executor=executor,
            baselines=BASELINES if baselines is None else baselines,
            trials=trials,
            deadline=deadline,
        )
        return study.run()

    @property
    def history(self) -> History:
        return History.of(self.records)

    @property
    def proposals(self) -> list[Settings]:
        return [trial.started.parameters for _, trial in sorted(self.history.trials.items())]


def test_baselines_come_first_and_count_towards_the_trials():
    bench = Bench()
    assert bench.run(ScriptedExecutor(good_when_large), trials=5) == "complete"
    origins = [trial.started.origin for trial in bench.history.trials.values()]
    assert origins == ["baseline:small", "baseline:large", "sampled", "sampled", "sampled"]
    assert bench.proposals[:2] == list(BASELINES.values())


def test_running_again_goes_on_to_the_new_total_and_trains_nothing_twice():
    bench = Bench()
    bench.run(ScriptedExecutor(good_when_large), trials=4)
    again = ScriptedExecutor(good_when_large)
    assert bench.run(again, trials=4) == "complete"
    assert again.trained == []
    bench.run(again, trials=6)
    assert {trial for trial, _ in again.trained} == {4, 5}


@pytest.mark.parametrize("interrupt_after", [1, 5, 7, 16, 29])
def test_an_interrupted_study_continues_as_if_it_had_not_been(interrupt_after):
    whole, broken = Bench(), Bench()
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
    whole, broken = Bench(), Bench()
    whole.run(ScriptedExecutor(good_when_large), trials=12, pruner=MedianPruner())
    ends = [(t.state, len(t.finished_folds())) for t in whole.history.trials.values()]
    assert ("pruned", 1) in ends
    first = ScriptedExecutor(
        good_when_large, interrupt_after=interrupt_after, before_verdict=before_verdict
    )
    with pytest.raises(KeyboardInterrupt):
        broken.run(first, trials=12, pruner=MedianPruner())
    broken.run(ScriptedExecutor(good_when_large), trials=12, pruner=MedianPruner())
    assert broken.proposals == whole.proposals
    assert [(t.state, len(t.finished_folds())) for t in broken.history.trials.values()] == ends


def test_a_failed_trial_is_recorded_and_the_study_goes_on():
    bench = Bench()
    bench.run(ScriptedExecutor(lambda s, fold: -1 if s["units"] == 90 else 0.5), trials=4)
    assert [t.state for t in bench.history.trials.values()] == [
        "complete",
        "failed",
        "complete",
        "complete",
    ]


def test_ten_failures_in_a_row_end_the_session_and_the_next_one_tries_again():
    bench = Bench()
    assert bench.run(ScriptedExecutor(lambda s, fold: -1), trials=50) == "failed"
    assert len(bench.history.trials) == FAILURES_IN_A_ROW
    assert bench.run(ScriptedExecutor(good_when_large), trials=12) == "complete"


def test_a_driver_with_nothing_left_ends_the_study():
    bench = Bench()
    driver = FixedDriver([{"units": 1, "rate": 0.5}, BASELINES["small"]])
    assert bench.run(ScriptedExecutor(good_when_large), trials=9, driver=driver) == "exhausted"
    assert len(bench.history.trials) == 3  # the baseline in the list is not evaluated twice


def test_a_deadline_halts_a_trial_without_an_outcome_and_it_is_finished_later():
    bench = Bench()
    slow = ScriptedExecutor(lambda s, fold: time.sleep(0.02) or 0.5)
    assert bench.run(slow, trials=99, deadline=time.monotonic() + 0.1) == "timeout"
    running = [t.number for t in bench.history.trials.values() if t.state == "running"]
    assert len(running) <= 1
    later = ScriptedExecutor(good_when_large)
    bench.run(later, trials=len(bench.history.trials))
    assert all(trial.state == "complete" for trial in bench.history.trials.values())
    assert not set(slow.trained) & set(later.trained)


def test_weak_trials_are_pruned_after_a_fold_with_the_reason_and_baselines_never():
    bench = Bench()
    settings = [{"units": units, "rate": 0.1} for units in (50, 60, 70, 1, 95)]
    bench.run(
        ScriptedExecutor(good_when_large),
        trials=7,
        driver=FixedDriver(settings),
        pruner=MedianPruner(warm_up=4),
    )
    trials = bench.history.trials
    assert trials[0].state == "complete"  # a weak baseline
    assert trials[5].state == "pruned"
    assert len(trials[5].finished_folds()) == 1
    assert trials[5].value is None
    assert "after 1 of its folds" in trials[5].ended.reason
    assert trials[6].state == "complete"


def test_the_median_pruner_compares_the_same_folds_only():
    bench = Bench()
    bench.run(
        ScriptedExecutor(lambda s, fold: 0.9 if fold == 1 else 0.1),
        trials=4,
        driver=FixedDriver([{"units": units, "rate": 0.1} for units in (1, 2)]),
    )
    history = bench.history
    other = history.trials[0]
    trial = TrialHistory(other.started, {1: FoldHistory(other.folds[1].started)})
    # Above the others' mean over all folds (0.37), below what they had on this fold.
    trial.folds[1].ended = fold_ended(9, 1, 0.6)
    assert MedianPruner(warm_up=4).reason_to_stop(trial, history)
    trial.folds[1].ended = fold_ended(9, 1, 0.9)
    assert not MedianPruner(warm_up=4).reason_to_stop(trial, history)
