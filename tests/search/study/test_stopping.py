"""Tests of when a study has enough trials."""

import numpy as np
import pytest

from search.errors import SettingsError
from search.study.settings import validate
from search.study.stopping import LEAST, Stopping, expected_gain
from tests.studies import StudyBuilder
from tracking.history import History


@pytest.mark.parametrize(
    ("tail", "least", "most"), [("exponential", 0.65, 1.1), ("normal", 1.0, 1.6)]
)
def test_the_expected_gain_is_about_that_of_further_draws(
    tail: str, least: float, most: float
) -> None:
    drawn = getattr(np.random.default_rng(0), tail)(size=(400, 60))
    true = np.maximum(drawn[:, 30:].max(axis=1) - drawn[:, :30].max(axis=1), 0).mean()
    estimated = np.mean([expected_gain(row[:30].tolist(), 30) for row in drawn])
    assert least * true < estimated < most * true


def test_a_best_value_far_ahead_of_the_others_promises_little_more() -> None:
    values = [float(value) for value in np.linspace(0, 1, 24)]
    assert expected_gain([*values, 3.0], 20) < expected_gain([*values, 1.05], 20)


def test_equal_values_promise_nothing() -> None:
    assert expected_gain([0.5] * 20, 100) == 0


def known(levels: list[float], spread: float = 0.02) -> History:
    builder = StudyBuilder(folds=3, epochs=1)
    builder.session()
    for number, level in enumerate([0.8, *levels]):
        builder.start_trial(number, "sampled" if number else "baseline:published")
        for fold in (1, 2, 3):
            builder.fold(number, fold, level=level + spread * (fold - 2))
        builder.end_trial(number, "complete", level)
    return builder.history


def reason(history: History, trials: int) -> str:
    from search.study.drivers import Outcome

    def outcome(trial):  # type: ignore[no-untyped-def]
        return Outcome("complete", (trial.score("cv_accuracy"),))

    return Stopping(history, outcome, trials).reason()


CLOSE = [0.85 + 0.0001 * (number % 5) for number in range(20)]
FAR_APART = [0.5 + 0.02 * number for number in range(20)]


def test_enough_is_told_with_what_more_would_gain_and_what_the_folds_can_tell() -> None:
    told = reason(known(CLOSE), 40)
    assert told.startswith("After 21 trials, 19 more are expected to gain about 0.00")
    assert "less than a tenth of the 0.0" in told


def test_a_study_goes_on_while_the_gain_is_worth_it() -> None:
    assert reason(known(FAR_APART), 40) == ""


def test_nothing_is_said_of_few_trials() -> None:
    assert reason(known(CLOSE[: LEAST - 1]), 40) == ""
    assert reason(known(CLOSE[:LEAST]), 40) != ""


def test_it_cannot_be_told_without_a_trial_that_saw_all_folds() -> None:
    history = known(CLOSE)
    for trial in history.trials.values():
        del trial.folds[3]
    assert reason(history, 40) == ""


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"objective": "cv_accuracy,model_parameters"}, "must be one with `--stop auto`"),
        ({"sampler": "grid"}, "goes through all params in order"),
        ({"stop": "soon"}, "`--stop`: must be 'none' or 'auto'"),
    ],
)
def test_stop_auto_is_refused_where_it_cannot_tell(setting: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        validate({"space": "lenet", "stop": "auto", **setting})
