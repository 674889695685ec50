import numpy as np
import pytest

from search.analysis.report.parameters import smoothed

BOTH = np.array([True, True])


def test_smoothing_finds_a_slope_again():
    points = np.random.default_rng(0).random((200, 2))
    where = np.array([[0.3, 0.5], [0.7, 0.5]])
    low, high = smoothed(points, points[:, 0], where, BOTH)
    assert low == pytest.approx(0.3, abs=0.05)
    assert high == pytest.approx(0.7, abs=0.05)


def test_what_no_trial_is_near_stays_blank():
    points = np.random.default_rng(0).random((50, 2)) * 0.2
    assert np.isnan(smoothed(points, points[:, 0], np.array([[1.0, 1.0]]), BOTH)).all()


def test_choices_do_not_speak_for_each_other():
    chance = np.random.default_rng(0)
    points = np.column_stack([chance.random(60), np.repeat([0.0, 1.0], 30)])
    values = np.repeat([0.2, 0.8], 30)
    where = np.array([[0.5, 0.0], [0.5, 1.0]])
    numbers = np.array([True, False])
    assert smoothed(points, values, where, numbers) == pytest.approx([0.2, 0.8])
