import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit, log_softmax, logit

from search.analysis.calibration import (
    ISOTONIC,
    NONE,
    TEMPERATURE,
    Calibration,
    calibrate,
    fit_temperature,
    fitted,
    log_loss,
)
from search.tasks import Classification, MultiLabel, Regression

TWO, THREE = Classification(("no", "yes")), Classification(("a", "b", "c"))
LABELS = MultiLabel(("a", "b"))


def sure(samples: int, classes: int, power: float, seed: int = 0):
    """Return probabilities that are too sure if the power is above 1, and true classes."""
    source = np.random.default_rng(seed)
    logits = source.normal(0, 1.2, (samples, classes))
    true = np.exp(log_softmax(logits, axis=1))
    labels = (true.cumsum(axis=1) > source.random((samples, 1))).argmax(axis=1)
    return np.exp(log_softmax(power * logits, axis=1)), labels


def splits_of(samples: int):
    parts = np.arange(samples) % 5
    return [(np.flatnonzero(parts != n), np.flatnonzero(parts == n)) for n in range(5)]


def test_the_temperature_is_the_optimum_that_scipy_finds_of_the_formula():
    values, labels = sure(800, 3, 2.5)
    weights = np.random.default_rng(1).uniform(0.2, 2, 800)

    def loss(temperature):
        logs = log_softmax(np.log(values) / temperature[0], axis=1)
        return -np.average(logs[np.arange(800), labels], weights=weights)

    optimum = minimize(loss, [1.0], method="Nelder-Mead").x[0]
    assert fit_temperature(values, labels, THREE, weights) == pytest.approx(optimum, rel=1e-3)
    assert fit_temperature(values, labels, THREE) == pytest.approx(2.5, rel=0.15)


def test_two_classes_and_labels_have_the_temperature_of_their_odds():
    values, labels = sure(600, 2, 2.0)

    def loss(temperature):
        second = expit(logit(values[:, 1]) / temperature[0])
        return -np.mean(np.where(labels == 1, np.log(second), np.log1p(-second)))

    optimum = minimize(loss, [1.0], method="Nelder-Mead").x[0]
    assert fit_temperature(values, labels, TWO) == pytest.approx(optimum, rel=1e-3)
    as_label = MultiLabel(("yes",))
    found = fit_temperature(values[:, 1:], labels[:, np.newaxis], as_label)
    assert found == pytest.approx(optimum, rel=1e-3)
    given = Calibration(TEMPERATURE, 2.0)
    assert given.applied(values[:, 1:], as_label)[:, 0] == pytest.approx(
        given.applied(values, TWO)[:, 1]
    )


def test_too_sure_a_model_is_mended_and_its_nested_loss_falls():
    values, labels = sure(1_000, 3, 3.0)
    found = calibrate(values, labels, THREE, splits_of(1_000))
    assert found.calibration.kind == TEMPERATURE
    assert found.calibration.temperature == pytest.approx(3.0, rel=0.15)
    assert found.loss < 0.8 * found.loss_before
    assert found.difference.low > 0
    assert found.after.error < found.before.error / 2
    assert found.brier < found.brier_before
    by_hand = []
    for others, own in splits_of(1_000):
        scale = Calibration(TEMPERATURE, fit_temperature(values[others], labels[others], THREE))
        by_hand.append(log_loss(scale.applied(values[own], THREE), labels[own], THREE))
    assert found.loss == pytest.approx(np.mean(by_hand))


def test_what_does_not_help_is_not_kept():
    kept = []
    for seed in range(20):
        values, labels = sure(200, 3, 1.0, seed)
        found = calibrate(values, labels, THREE, splits_of(200))
        kept.append(found.calibration.kind != NONE)
        if found.calibration.kind == NONE:
            assert (found.values == values).all()
            assert found.loss == found.loss_before
    assert np.mean(kept) < 0.5


def bent(samples: int, seed: int = 0):
    """Return probabilities of two classes that no temperature mends, and true classes."""
    source = np.random.default_rng(seed)
    true = source.random(samples)
    labels = (source.random(samples) < true).astype(np.int64)
    second = 0.5 + 0.5 * true**2
    return np.stack([1 - second, second], axis=1), labels


def test_isotonic_is_for_many_samples_that_no_temperature_mends():
    values, labels = bent(8_000)
    found = calibrate(values, labels, TWO, splits_of(8_000))
    assert found.calibration.kind == ISOTONIC
    assert len(found.calibration.knots) == 1
    assert len(found.calibration.knots[0][0]) <= 34
    assert found.after.error < found.before.error / 8
    few = calibrate(values[:1_000], labels[:1_000], TWO, splits_of(1_000))
    assert few.calibration.kind != ISOTONIC


def test_isotonic_of_many_classes_and_of_labels_gives_probabilities():
    values, labels = sure(6_000, 3, 2.0)
    knots = fitted(ISOTONIC, values, labels, THREE)
    changed = knots.applied(values, THREE)
    assert changed.sum(axis=1) == pytest.approx(1)
    assert log_loss(changed, labels, THREE) < log_loss(values, labels, THREE)
    both = np.stack([values[:, 0], values[:, 1]], axis=1)
    given = np.stack([labels == 0, labels == 1], axis=1).astype(np.uint8)
    of_labels = fitted(ISOTONIC, both, given, LABELS).applied(both, LABELS)
    assert of_labels.min() > 0
    assert of_labels.max() < 1
    assert log_loss(of_labels, given, LABELS) < log_loss(both, given, LABELS)


def test_a_threshold_decides_as_before():
    values, labels = bent(6_000)
    second = values[:, 1]
    for known in (
        Calibration(),
        Calibration(TEMPERATURE, 2.5),
        fitted(ISOTONIC, values, labels, TWO),
    ):
        after = known.applied(values, TWO)[:, 1]
        for before in (0.55, 0.75, 0.9):
            cut = np.float32(known.threshold(before))
            clearly = np.abs(second - before) > 1e-4
            assert ((after.astype(np.float32) > cut) == (second > before))[clearly].all()


def test_an_isotonic_function_that_is_flat_leaves_order_and_thresholds():
    source = np.random.default_rng(5)
    second = np.concatenate([source.uniform(0, 0.03, 1_000), source.uniform(0.03, 1, 5_000)])
    labels = (second > 0.03) & (source.random(6_000) < second)  # below, none ever comes true
    values = np.stack([1 - second, second], axis=1)
    known = fitted(ISOTONIC, values, labels.astype(np.int64), TWO)
    after = known.applied(values, TWO)[:, 1]
    assert (np.diff(after[np.argsort(second)]) > 0).all()
    cut = np.float32(known.threshold(0.015))
    clearly = np.abs(second - 0.015) > 1e-4
    assert ((after.astype(np.float32) > cut) == (second > 0.015))[clearly].all()
    assert known.threshold(0.0) < known.threshold(1e-3)
    assert 0 < after.min() < after.max() < 1


def test_an_isotonic_function_does_not_jump_and_float32_has_its_corners():
    source = np.random.default_rng(1)
    logits = 8 * source.normal(size=8_000)
    labels = (source.random(8_000) < expit(logits / 4)).astype(np.int64)
    second = np.mean([expit(logits + 3 * source.normal(size=8_000)) for _ in range(5)], axis=0)
    known = fitted(ISOTONIC, np.stack([1 - second, second], axis=1), labels, TWO)
    x, y = map(np.array, known.knots[0])
    assert len(x) > 5
    assert (x == x.astype(np.float32)).all()
    assert (np.diff(x) >= 1e-5).all()
    assert (np.diff(y) / np.diff(x)).max() <= 100
    assert (x[0], x[-1]) == (0, 1)
    assert (np.diff(y) > 0).all()


def test_it_comes_back_from_json():
    values, labels = bent(6_000)
    for known in (
        Calibration(),
        Calibration(TEMPERATURE, 1.7),
        fitted(ISOTONIC, values, labels, TWO),
    ):
        assert Calibration.from_json(known.to_json()) == known


def test_certain_and_wrong_is_no_infinity():
    values = np.array([[1.0, 0.0]] * 30)
    labels = np.array([0] * 29 + [1])
    temperature = fit_temperature(values, labels, TWO)
    assert 1 < temperature <= 20.01
    assert np.isfinite(log_loss(values, labels, TWO))


def test_numbers_have_nothing_to_calibrate():
    with pytest.raises(ValueError, match="no probabilities"):
        calibrate(np.ones((4, 1)), np.ones((4, 1)), Regression(("price",)), [])
