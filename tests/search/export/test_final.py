"""What is trained for an export: one model on all data, or those of the folds in one."""

import dataclasses

import numpy as np
import pytest

from search.data import load
from search.data.inputs import make_inputs
from search.data.splits import make_folds
from search.errors import SettingsError
from search.export.refit import Final, check_folds
from search.tasks.classification import ClassPredictions
from spaces import get_space
from tracking.home import StudyFolder
from tracking.records import FoldEnded

pytestmark = pytest.mark.slow  # TensorFlow


@pytest.fixture(scope="module")
def final(tmp_path_factory):
    """A setting of an MLP with batch normalisation's kin, two folds of 120 digits."""
    dataset = load(
        "digits", home=tmp_path_factory.mktemp("home"), data_dir=None, notify=lambda text: None
    )
    space = get_space("mlp")
    params = space.complete({}) | {"epochs": 3, "batch_size": 32, "learning_rate": 0.01}
    folds = make_folds(dataset.train_labels, folds=2, seed=0, limit_samples=120)
    return Final(dataset, folds, space, params, 7, "float32")


def silent(*_: object) -> None:
    pass


def test_one_model_is_trained_on_all_samples_in_use(final):
    from search.export.refit import refit

    epochs = []
    made = refit(final, lambda fold, number, metrics: epochs.append((fold, number)))
    assert epochs == [(0, 1), (0, 2), (0, 3)]
    assert made.models == 1
    assert len(made.curves) == 3
    assert made.curves[-1]["loss"] < made.curves[0]["loss"]
    assert made.labels.task == final.dataset.task
    assert final.samples().encoded.shape[0] == 64


def test_what_was_trained_in_bfloat16_computes_in_float32_with_the_same_weights(final, monkeypatch):
    from search.export.refit import refit

    trained = []
    train = Final.train

    def keep(self, *given):
        model, *rest = train(self, *given)
        trained.append((model.compute_dtype, [np.array(weight) for weight in model.get_weights()]))
        return model, *rest

    monkeypatch.setattr(Final, "train", keep)
    made = refit(dataclasses.replace(final, precision="mixed_bfloat16"), silent)
    [(computed_in, weights)] = trained
    assert computed_in == "bfloat16"
    assert {layer.compute_dtype for layer in made.model.layers} == {"float32"}
    for found, expected in zip(made.model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_such_a_model_is_written_and_read_without_a_word(final, tmp_path):
    from search.export.formats import FORMATS
    from search.export.formats.writing import exportable
    from search.export.refit import refit

    made = refit(dataclasses.replace(final, precision="mixed_bfloat16"), silent)
    whole = exportable(made.model, made.labels, final.samples())
    whole.model.save(tmp_path / "model.keras")
    [found] = FORMATS["keras"].predict(tmp_path, whole.samples, whole.labels).values()
    expected = made.model.predict(final.samples().encoded, verbose=0)
    np.testing.assert_allclose(found, expected, atol=1e-7)


@pytest.fixture(scope="module")
def searched(final, tmp_path_factory):
    """What the folds' models predict in a search."""
    from search.executors.protocol import GO_ON, FoldTask
    from search.training.fold import train_fold
    from search.training.fold_data import FoldData

    data = FoldData(
        space=final.space,
        kind=final.dataset.kind,
        inputs=make_inputs(final.dataset, final.space.input_for("image")),
        labels=np.asarray(final.dataset.train_labels),
        task=final.dataset.task,
        folds=final.folds,
        confirmation_folds=None,
        folder=StudyFolder(tmp_path_factory.mktemp("study")),
        seed=final.seed,
        objectives=("cv_accuracy",),
        models=final.models,
    )
    records = []

    def keep(record):
        records.append(record)
        return GO_ON

    for fold in (1, 2):
        train_fold(data, FoldTask(0, dict(final.params), fold), keep)
    folds = [record for record in records if isinstance(record, FoldEnded)]
    return [ClassPredictions.load(data.folder.root / fold.predictions) for fold in folds]


def test_an_ensemble_holds_the_very_models_of_the_search(final, searched, tmp_path):
    import keras

    from search.export.formats import FORMATS
    from search.export.formats.writing import exportable
    from search.export.refit import refit_folds
    from search.training.program import Program

    epochs = []
    made = refit_folds(final, lambda fold, number, metrics: epochs.append((fold, number)))
    assert epochs == [(fold, epoch) for fold in (1, 2) for epoch in (1, 2, 3)]
    assert (made.models, len(made.curves), made.labels.returns) == (2, 3, "probabilities")

    members = [made.model.get_layer(f"fold_{fold}") for fold in (1, 2)]
    for member, validation, expected in zip(members, final.folds.validation, searched, strict=True):
        inputs = final.inputs.take(final.encoder, validation)
        found = Program(member, inputs).outputs(inputs)
        np.testing.assert_array_equal(found.argmax(axis=1), expected.predicted)
        np.testing.assert_array_equal(found.max(axis=1), expected.confidence)  # to the last bit

    samples = final.samples()
    mean = np.mean([m.predict(samples.encoded, verbose=0) for m in members], axis=0)
    found = made.model.predict(samples.encoded, verbose=0)
    np.testing.assert_allclose(found, mean, atol=1e-6)
    paths = [weight.path for weight in made.model.weights]
    assert len(set(paths)) == len(paths)

    whole = exportable(made.model, made.labels, samples)
    whole.model.save(tmp_path / "model.keras")
    keras.backend.clear_session(free_memory=False)
    [again] = FORMATS["keras"].predict(tmp_path, whole.samples, whole.labels).values()
    np.testing.assert_allclose(again, found, atol=1e-7)


def test_models_of_one_output_or_of_logits_are_averaged_as_probabilities(final):
    from keras import Sequential, layers, losses

    from search.export.refit import refit_folds

    def build(parameters, data):
        model = Sequential([layers.Input(data.input_shape), layers.Flatten(), layers.Dense(10)])
        loss = losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("adam", loss)
        return model

    space = dataclasses.replace(final.space, build=build, compiled=True)
    made = refit_folds(dataclasses.replace(final, space=space), silent)
    samples = final.samples().encoded
    found = made.model.predict(samples, verbose=0)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    logits = [
        made.model.get_layer(f"fold_{n}").predict(samples, verbose=0).astype(float) for n in (1, 2)
    ]
    powers = [np.exp(rows - rows.max(axis=1, keepdims=True)) for rows in logits]
    expected = np.mean([rows / rows.sum(axis=1, keepdims=True) for rows in powers], axis=0)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_single_split_has_no_models_to_average():
    check_folds(2)
    with pytest.raises(SettingsError, match="`--ensemble` averages the models of several folds"):
        check_folds(1)


@pytest.mark.parametrize("beside", ["groups", "time"])
def test_all_samples_are_cut_further_by_groups_and_time(final, beside):
    from search.export.refit import refit

    params = {**final.params, "epochs": 1, "early_stopping": True}
    alike = np.zeros(len(final.dataset.train_labels), np.int64)
    folds = dataclasses.replace(final.folds, **{beside: alike})
    with pytest.raises(ValueError, match="need an inner part"):
        refit(dataclasses.replace(final, folds=folds, params=params), silent)
