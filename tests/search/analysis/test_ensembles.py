import time
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize

from search.analysis.comparison.statistics import corrected_difference
from search.analysis.ensembles import AUTO, select
from search.analysis.library import Library, loss_of
from search.data.folds import Folds
from search.errors import DataError, SettingsError
from search.tasks import Classification, MultiLabel, MultiOutput, OutputTask, Regression
from search.tasks.classification import ClassPredictions, Outputs
from tests.search.analysis.predicting import folds_of, logits_of, softmax, study_of
from tests.studies import CLASSES

THREE = Classification(tuple(CLASSES))


def noisy(logits, count, noise, seed=1):
    """Return the probabilities of models that each make errors of their own."""
    source = np.random.default_rng(seed)
    spreads = np.broadcast_to(noise, count)
    return [softmax(logits + source.normal(0, s, logits.shape)) for s in spreads]


def library_of(root, values, labels, **given) -> Library:
    return Library.read(*study_of(root, THREE, labels, values, **given))


def test_an_average_of_unlike_models_is_taken_beyond_doubt(tmp_path):
    logits, labels = logits_of(1_000, 3)
    found = select(library_of(tmp_path, noisy(logits, 6, 2.0), labels))
    assert found.is_taken
    assert found.difference.low > 0
    assert found.difference.low > 0
    assert 2 <= len(found.members) <= 6
    assert sum(member.weight for member in found.members) == pytest.approx(1)
    assert found.gain > 0.1
    assert found.by_size[1] > found.by_size[len(found.members)]
    assert "beyond doubt" in found.reason


def test_equal_models_make_no_ensemble(tmp_path):
    logits, labels = logits_of(400, 3)
    same = noisy(logits, 1, 1.0) * 4
    found = select(library_of(tmp_path, same, labels))
    assert not found.is_taken
    assert [member.weight for member in found.members] == [1.0]


@pytest.mark.slow
def test_one_good_model_among_bad_ones_stays_alone(tmp_path):
    """No average is better than the truth, so each one that is taken is a false claim."""
    taken = 0
    for seed in range(25):
        logits, labels = logits_of(300, 3, seed)
        values = noisy(logits, 6, (0.0, 1.5, 1.5, 2, 2, 2), seed)
        taken += select(library_of(tmp_path / str(seed), values, labels)).is_taken
    assert taken <= 2


def test_weights_come_close_to_the_optimum_that_scipy_finds(tmp_path):
    logits, labels = logits_of(800, 3)
    library = library_of(tmp_path, noisy(logits, 3, (1.0, 1.4, 2.0)), labels)
    found = select(library, most=3)

    def loss(raw):
        weights = np.exp(raw) / np.exp(raw).sum()
        mean = np.einsum("t,tnc->nc", weights, library.columns)
        return loss_of(mean, None, library.are_shares, library.importance)

    least = minimize(loss, np.zeros(3), method="Nelder-Mead").fun
    place = {trial.number: n for n, trial in enumerate(library.trials)}
    own = np.full(3, -50.0)
    for member in found.ensemble:
        own[place[member.trial.number]] = np.log(member.weight)
    assert loss(own) == pytest.approx(least, rel=2e-3)


def test_nested_losses_are_of_ensembles_chosen_on_the_other_folds(tmp_path):
    """With two trials and exactly two members, choosing is finding one weight."""
    logits, labels = logits_of(600, 3)
    values = noisy(logits, 2, (1.2, 1.5))
    library = replace(library_of(tmp_path, values, labels), folder=None)  # no calibration
    found = select(library, most=2)
    truths = np.stack([v[np.arange(600), labels] for v in values])
    singles, pairs = [], []
    for part in range(5):
        own = np.arange(600) % 5 == part
        alone = np.log(truths[:, ~own]).mean(axis=1).argmax()
        singles.append(-np.log(truths[alone, own]).mean())
        grid = [-np.log(w * truths[0] + (1 - w) * truths[1]) for w in np.linspace(0, 1, 101)]
        best = min(grid, key=lambda losses: losses[~own].mean())
        pairs.append(best[own].mean())
    assert found.single_loss == pytest.approx(np.mean(singles), rel=1e-4)
    assert found.loss == pytest.approx(np.mean(pairs), rel=5e-3)


def test_the_interval_is_the_corrected_one_of_calibrated_losses(tmp_path):
    logits, labels = logits_of(500, 3)
    values = [softmax(1.0 * logits)] * 2  # calibrated, so that the temperature is about 1
    found = select(library_of(tmp_path, values, labels), most=2)
    assert found.difference == corrected_difference([0.0] * 5, [0.0] * 5, test_share=0.25)


@pytest.mark.slow
def test_what_a_temperature_mends_is_no_reason_for_an_ensemble(tmp_path):
    """One model is far too sure; the average with a flat one is better only until calibrated."""
    taken = 0
    for seed in range(10):
        logits, labels = logits_of(500, 3, seed)
        values = [softmax(4 * logits), np.full((500, 3), 1 / 3)]
        found = select(library_of(tmp_path / str(seed), values, labels))
        assert found.by_size[2] < 0.8 * found.by_size[1]  # without calibration
        taken += found.is_taken
    assert taken <= 1


def test_a_number_is_taken_whatever_the_evidence_and_judged_all_the_same(tmp_path):
    logits, labels = logits_of(200, 3)
    values = noisy(logits, 5, (0.3, 1.5, 1.5, 1.5, 1.5))
    library = library_of(tmp_path, values, labels)
    found = select(library, most=3)
    assert found.is_taken == (len(found.ensemble) > 1)
    assert len(found.members) <= 3
    assert found.cost.parameters == sum(m.trial.ended.model_parameters for m in found.ensemble)
    assert found.cost.train_seconds == pytest.approx(3.0 * len(found.ensemble))
    with pytest.raises(SettingsError, match="at least 2 trials; got 1"):
        select(library, most=1)


def test_a_study_with_one_trial_has_no_ensemble(tmp_path):
    logits, labels = logits_of(200, 3)
    library = library_of(tmp_path, noisy(logits, 1, 1.0), labels)
    assert not select(library, most=AUTO).is_taken
    with pytest.raises(SettingsError, match="has 1 complete"):
        select(library, most=2)


def test_numbers_are_averaged_by_their_squared_error(tmp_path):
    source = np.random.default_rng(0)
    true = source.normal(0, 1_000, (600, 1))
    values = [true + source.normal(0, 500, true.shape) for _ in range(5)]
    history, folder = study_of(tmp_path, Regression(("price",)), true, values)
    found = select(Library.read(history, folder))
    assert found.is_taken
    assert found.single_loss == pytest.approx(0.25, rel=0.15)  # in units of the spread
    assert found.loss == pytest.approx(0.25 / len(found.members), rel=0.3)
    assert found.score.mean > 0  # of the objective, RMSE


@pytest.mark.slow
def test_labels_are_averaged_by_their_log_loss(tmp_path):
    source = np.random.default_rng(1)
    logits = source.normal(0, 2, (600, 4))
    labels = (source.random((600, 4)) < 1 / (1 + np.exp(-logits))).astype(np.uint8)
    values = [1 / (1 + np.exp(-(logits + source.normal(0, 2, (600, 4))))) for _ in range(5)]
    task = MultiLabel(("a", "b", "c", "d"))
    study = study_of(tmp_path, task, labels, [v.astype(np.float32) for v in values])
    assert select(Library.read(*study)).is_taken


def test_files_of_earlier_versions_are_enough_to_choose(tmp_path):
    logits, labels = logits_of(500, 3)
    history, folder = study_of(tmp_path, THREE, labels, noisy(logits, 4, 2.0))
    for path in folder.all_predictions.iterdir():
        replace(ClassPredictions.load(path), halves=None).save(path)
    library = Library.read(history, folder)
    assert select(library).is_taken
    with pytest.raises(DataError, match="earlier version"):
        library.values(library.trials[0])


def test_of_two_classes_files_of_earlier_versions_have_all(tmp_path):
    logits, labels = logits_of(200, 2)
    values = softmax(logits).astype(np.float32)
    history, folder = study_of(tmp_path, Classification(("no", "yes")), labels, [values])
    for path in folder.all_predictions.iterdir():
        replace(ClassPredictions.load(path), halves=None).save(path)
    library = Library.read(history, folder)
    np.testing.assert_allclose(
        library.values(library.trials[0]), values[library.samples], atol=1e-6
    )


def test_trials_with_scores_or_without_files_are_left_out_by_name(tmp_path):
    logits, labels = logits_of(300, 3)
    history, folder = study_of(tmp_path, THREE, labels, noisy(logits, 3, 1.0))
    folder.predictions(1, 2).unlink()
    library = Library.read(history, folder)
    assert {trial.number for trial in library.trials} == {0, 2}
    assert "trial 1 is left out" in library.missing[0]
    far = Outputs("scores", 3)
    for number in range(1, 6):
        rows = np.arange(300) % 5 == number - 1
        ClassPredictions.of(9 * logits[rows], labels[rows], far).save(folder.predictions(0, number))
    library = Library.read(history, folder)
    assert [trial.number for trial in library.trials] == [2]
    assert "scores" in library.missing[0]
    for path in folder.all_predictions.iterdir():
        path.unlink()
    with pytest.raises(DataError, match="no predictions to use"):
        Library.read(history, folder)


def test_groups_and_repeated_samples_are_never_on_both_sides(tmp_path):
    logits, labels = logits_of(300, 3)
    values = noisy(logits, 2, 1.0)
    groups = np.arange(300) // 4
    library = library_of(tmp_path / "1", values, labels, folds=folds_of(300, 5, groups))
    for others, own in library.splits():
        assert not set(library.groups[others]) & set(library.groups[own])
    twice = Folds.joined([folds_of(300, 3), folds_of(300, 2)])
    library = library_of(tmp_path / "2", values, labels, folds=twice)
    assert len(library.samples) == 600
    for others, own in library.splits():
        assert not set(library.samples[others]) & set(library.samples[own])


def test_of_repeated_folds_the_first_are_read(tmp_path):
    logits, labels = logits_of(300, 3)
    values = noisy(logits, 3, 1.0)
    twice = Folds.joined([folds_of(300, 3), folds_of(300, 3)])
    library = library_of(tmp_path, values, labels, folds=twice, split="repeated:2")
    assert sorted(library.samples) == list(range(300))
    assert library.values(library.trials[0]).shape == (300, 3)
    assert select(library).difference.folds == 3


def test_a_single_fold_is_cut_into_parts(tmp_path):
    logits, labels = logits_of(400, 3)
    one = Folds((np.arange(100, 400),), (np.arange(100),))
    library = library_of(tmp_path, noisy(logits, 3, 2.0), labels, folds=one)
    assert np.bincount(library.parts).tolist() == [20] * 5
    assert select(library).difference.low is not None


def test_weights_of_samples_count(tmp_path):
    """Half of the samples, which count for nothing, are known to one model alone."""
    logits, labels = logits_of(400, 3)
    is_first = np.arange(400) < 200
    flat = np.full_like(logits, 0.0)
    one, other = (
        softmax(np.where(known[:, np.newaxis], logits, flat)) for known in (is_first, ~is_first)
    )
    study = study_of(tmp_path, THREE, labels, [one, other])
    weighted = Library.read(*study, weights=np.where(is_first, 1.0, 0.0) + 1e-9)
    assert weighted.trials[0].number == 0
    assert not select(weighted).is_taken
    assert select(Library.read(*study)).is_taken


def test_samples_of_one_group_judge_no_ensemble(tmp_path):
    logits, labels = logits_of(300, 3)
    one = Folds((np.arange(100, 300),), (np.arange(100),), (np.arange(300) >= 100).astype(np.int64))
    for count in (1, 3):
        library = library_of(tmp_path / str(count), noisy(logits, count, 2.0), labels, folds=one)
        found = select(library)
        assert not found.is_taken
        assert [member.trial.number for member in found.members] == [library.trials[0].number]
        loss = loss_of(library.columns[0], None, library.are_shares, library.importance)
        assert found.loss == found.single_loss == pytest.approx(loss)
        assert "one group" in found.reason
    with pytest.raises(SettingsError, match=r"belong to one group\. Search with more folds"):
        select(library, most=2)


def test_parts_whose_samples_count_for_nothing_are_left_out(tmp_path):
    logits, labels = logits_of(300, 3)
    study = study_of(tmp_path, THREE, labels, noisy(logits, 3, 2.0))
    known = Library.read(*study, weights=(np.arange(300) % 5 > 0).astype(float))
    assert len(list(known.splits())) == 4
    assert select(known).difference.folds == 4


def test_errors_of_several_outputs_have_one_unit_in_all_parts():
    """One output hardly changes in the first part, whose own spread would make its error huge."""
    source, count = np.random.default_rng(0), 300
    first = np.concatenate([5 + source.normal(0, 0.01, 100), source.normal(0, 1, 200)])
    true = np.stack([first, source.normal(0, 1, count)], axis=1)
    given = true + source.normal(0, 0.3, true.shape)
    parts = tuple(OutputTask(name, Regression((name,))) for name in ("a", "b"))
    task = MultiOutput(("a", "b"), parts)
    library = Library(
        task,
        (),
        np.arange(count),
        np.repeat([0, 1, 2], 100),
        true,
        np.zeros((0, count, 2), np.float32),
        np.zeros(2, bool),
        np.full(2, 0.5),
    )
    expected = (((given - true) / true.std(axis=0)) ** 2).mean(axis=1)
    for rows in (np.arange(100), np.arange(100, 300)):
        assert library.losses_of(given, rows) == pytest.approx(expected[rows], rel=1e-4)


@pytest.mark.slow
def test_many_trials_of_many_samples_are_chosen_from_in_time_and_space(tmp_path):
    source = np.random.default_rng(0)
    logits, labels = logits_of(20_000, 3)
    library = library_of(tmp_path, noisy(logits, 3, 1.0), labels)
    columns = np.clip(library.columns[0] + source.normal(0, 0.1, (200, 20_000, 1)), 1e-3, 1)
    trials = tuple(library.trials[0] for _ in range(200))
    many = replace(library, trials=trials, columns=columns.astype(np.float32), folder=None)
    began = time.monotonic()
    found = select(many)
    assert found.loss < found.single_loss
    assert time.monotonic() - began < 120
