"""A tally must say what looking through all trials would."""

import random
from functools import cache
from statistics import fmean

import pytest

from tests.studies import GivenValues, StudyBuilder
from tracking.history import History
from tracking.records import FoldEnded, FoldPaused, FoldStarted, SessionEnded, TrialStarted
from tracking.stages import newly_waiting, waiting
from tracking.tally import rung_of


@cache
def muddle(seed: int, steps: int = 300) -> StudyBuilder:
    """A study in which anything happens to six trials at a time; folds also begin again.

    Trials also end as complete without all their folds, as after damage.
    """
    source, study = random.Random(seed), StudyBuilder(folds=3)  # noqa: S311 # no secret
    study.session()
    for trial in range(steps // 10):
        study.start_trial(trial, "baseline:x" if trial % 5 == 0 else "sampled")
        for _ in range(10):
            one(source, study, source.randrange(max(0, trial - 5), trial + 1))
    return study


def one(source: random.Random, study: StudyBuilder, number: int) -> None:
    trial = study.history.trials[number]
    if trial.state == "complete" and source.random() < 0.1:
        study.fold(number, source.randrange(1, study.folds + 1))
    if trial.ended is not None:
        return
    done = trial.level
    level = round(source.random(), 1)  # ties, too
    if done == study.folds or source.random() < 0.1:
        study.end_trial(number, source.choice(("complete", "pruned", "failed")), level=level)
    else:
        fold = min(study.folds, done + source.choice((1, 1, 1, 2)))
        study.fold(number, fold, epochs=source.choice((None, 0, 1, 2)), level=level)


@pytest.fixture(scope="module", params=range(4))
def history(request) -> History:
    return muddle(request.param).history


@pytest.mark.parametrize("seed", range(4))
def test_those_who_wait_are_found_as_if_all_were_looked_at(seed):
    history, before, most = History(), set(), 0
    for record in muddle(seed).records:
        seen = len(history.tally.waits)
        history.add(record)
        expected = looked_for(history)
        most = max(most, len(expected))
        assert [trial.number for trial in waiting(history)] == expected
        newly = [trial.number for trial in newly_waiting(history, seen)]
        assert newly == [number for number in expected if number not in before]
        before = set(expected)
    assert most > 1


def looked_for(history: History) -> list[int]:
    def begun(trial):
        return max([trial.started.at, *(fold.started.at for fold in trial.folds.values())])

    def rests_since(trial):
        numbers = range(1, max(trial.folds, default=0) + 1)
        folds = [trial.folds.get(number) for number in numbers]
        ends = [fold.ended.at if fold and fold.ended else None for fold in folds]
        is_out = trial.ended is not None or trial.started.origin != "sampled" or trial.reopened
        return None if is_out or not ends or None in ends else max(ends)

    newest = max((begun(trial) for trial in history.trials.values()), default=0.0)
    return [n for n, t in history.trials.items() if (rests_since(t) or newest) < newest]


def test_sums_are_those_over_all_trials(history):
    folds = [f for t in history.trials.values() for f in t.finished_folds().values()]
    best = max(t.value for t in history.completed())
    tally = history.tally
    assert tally.fold_seconds / tally.folds == pytest.approx(fmean(f.seconds for f in folds))
    assert (tally.over, tally.best) == (len(history.finished()), best)


def test_a_smaller_loss_is_the_better_one():
    study = StudyBuilder(objective="cv_loss")
    study.complete_trial(0, level=0.8)  # the loss is 0.5
    study.complete_trial(1, level=0.9)
    assert study.history.tally.best == pytest.approx(-0.4)


def test_every_record_makes_it_another_history(study):
    history = study.history
    counts = [history.tally.records]
    for record in (
        TrialStarted(at=1.0, trial=0, parameters={}, origin="sampled"),
        SessionEnded(at=2.0, reason="complete"),
    ):
        history.add(record)
        counts.append(history.tally.records)
    assert counts == [1, 2, 3]


@pytest.mark.parametrize(
    ("epochs", "rung"), [(1, 1), (9, 1), (10, 1), (11, 2), (20, 2), (21, 3), (40, 4), (1000, 100)]
)
def test_the_rung_is_a_tenth_of_a_trials_own_epochs_rounded_up(epochs, rung):
    assert rung_of({"epochs": epochs}) == rung


@pytest.mark.parametrize(
    ("epochs", "frozen", "rung"), [(20, 5, 7), (21, 10, 12), (12, 2, 3), (5, 5, 1), (5, 9, 1)]
)
def test_frozen_epochs_come_before_the_tenth(epochs, frozen, rung):
    assert rung_of({"epochs": epochs, "frozen_epochs": frozen}) == rung


@pytest.mark.parametrize(
    ("share", "epochs", "rung"), [(0.25, 20, 5), (0.25, 21, 6), (0.07, 100, 7), (1.0, 9, 9)]
)
def test_other_shares_are_rounded_up_as_well(share, epochs, rung):
    assert rung_of({"epochs": epochs}, share) == rung


def test_a_fold_that_paused_counts_with_its_share_and_is_counted_once():
    given = GivenValues()
    given.trial(0, shown={1: 0.1, 2: 0.2}, epochs=8)
    given.add(FoldPaused, trial=0, fold=1, epoch=2, seconds=3.0)
    tally = given.history.tally
    assert (tally.folds, tally.fold_seconds) == (0.25, 3.0)
    given.add(FoldStarted, trial=0, fold=1, kept=2)
    given.add(FoldEnded, trial=0, fold=1, loss=0.5, seconds=10.0, predictions="", epochs=8)
    assert (tally.folds, tally.fold_seconds) == (1.0, 10.0)
