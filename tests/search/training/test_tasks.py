"""Folds of numbers and of labels, scored as a plain Keras and scikit-learn loop scores them."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from search.data.formats.memory import Given
from search.data.inputs import make_inputs, space_on
from search.data.reading import Reading
from search.data.sources import bring
from search.data.splits import make_folds
from search.executors.protocol import GO_ON, FoldTask
from search.seeds import derive
from spaces import get_space
from tracking.home import StudyFolder
from tracking.records import AttemptFailed, EpochEnded, FoldEnded, Notice

pytestmark = pytest.mark.slow  # TensorFlow

SEED, EPOCHS, BATCH = 7, 3, 32
RANDOM = np.random.default_rng(3)


@pytest.fixture(scope="module")
def folds_of(tmp_path_factory):
    """Return the function that makes a worker's data of samples and targets."""
    from search.training.building import Models
    from search.training.fold_data import FoldData

    def made(given: Given, space_name: str, task: str, **more: Any) -> FoldData:
        home = tmp_path_factory.mktemp("home")
        dataset = bring(given, home=home, notify=lambda _: None, reading=Reading(task=task))
        space = space_on(space_name, dataset, home)
        targets = np.asarray(dataset.train_labels)
        made.samples = np.asarray(dataset.train_samples)  # of the last one
        return FoldData(
            space=space,
            kind=dataset.kind,
            inputs=make_inputs(dataset, space.input_for(dataset.kind)),
            labels=targets,
            task=dataset.task,
            folds=make_folds(targets, task=dataset.task, folds=3, seed=0),
            confirmation_folds=None,
            folder=StudyFolder(tmp_path_factory.mktemp("study")),
            seed=SEED,
            models=Models(space, None, expected={}, seed=SEED),
            weights=dataset.train_extra("weights"),
            **{"objectives": (dataset.task.objective,), **more},
        )

    return made


def records_of(data: Any, build: Any = None, **params: Any) -> list[Any]:
    """Train every fold; return all records."""
    from search.training.building import Models
    from search.training.fold import train_fold

    if build is not None:
        space = replace(data.space, build=build, compiled=True)
        data = replace(data, space=space, models=Models(space, None, expected={}, seed=SEED))
    chosen = settings(data, **params)
    records: list[Any] = []

    def keep(record: Any) -> Any:
        records.append(record)
        return GO_ON

    for fold in range(1, len(data.folds) + 1):
        train_fold(data, FoldTask(0, chosen, fold), keep)
    return records


def settings(data: Any, **params: Any) -> dict[str, Any]:
    return data.space.complete({}) | {"epochs": EPOCHS, "batch_size": BATCH} | params


def of(kind: type, records: list[Any]) -> list[Any]:
    return [record for record in records if isinstance(record, kind)]


def ended(records: list[Any]) -> list[FoldEnded]:
    failed = of(AttemptFailed, records)
    assert not failed, failed[0].error
    return of(FoldEnded, records)


def plainly(data: Any, samples: Any, targets: Any, loss: str, fold: int) -> tuple[Any, Any, float]:
    """Train one fold with Keras's `fit`; return outputs, validation rows, and Keras's own loss.

    Args:
        data: whose folds and space are taken.
        samples: function of training rows and rows: the latter as the model receives them.
        targets: the same of targets.
        loss: Keras's.
        fold: from 0.
    """
    import keras

    train, validation = data.folds.train[fold], data.folds.validation[fold]
    seed = derive(SEED, "fold", fold + 1)
    keras.utils.set_random_seed(seed)
    from search.data.inputs import spec_of

    chosen = settings(data)
    encoder = data.inputs.learn(train, chosen)
    model = data.space.build(chosen, spec_of(encoder, data.kind, data.task))
    model.compile(keras.optimizers.Adam(chosen["learning_rate"]), loss)
    for epoch in range(EPOCHS):
        # As a worker shuffles: row numbers among those in use, which are all here.
        order = np.random.default_rng((seed, epoch)).permutation(train)
        model.fit(
            samples(train, order),
            targets(train, order),
            batch_size=BATCH,
            shuffle=False,
            verbose=0,
        )
    shown = samples(train, validation)
    own = model.evaluate(shown, targets(train, validation), batch_size=512, verbose=0)
    return model.predict(shown, batch_size=512, verbose=0), validation, own


def scaled(train: Any, rows: Any) -> Any:
    from sklearn.preprocessing import StandardScaler

    return StandardScaler().fit(train).transform(rows).astype(np.float32)


def diabetes() -> tuple[Any, Any]:
    from sklearn.datasets import load_diabetes

    return load_diabetes(return_X_y=True)


def twenty_thousand() -> tuple[Any, Any]:
    rows = RANDOM.normal(3, 20, (20_000, 8))
    noise = RANDOM.normal(size=20_000)
    return rows, 5e5 + 2e3 * rows[:, 0] + 40 * rows[:, 1] * rows[:, 2] + 1e4 * noise


@pytest.mark.parametrize("made", [diabetes, twenty_thousand])
def test_numbers_of_a_table_score_as_in_a_plain_loop(folds_of, made):
    from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error
    from sklearn.preprocessing import StandardScaler

    rows, numbers = made()
    data = folds_of(Given.of((rows, numbers)), "mlp", "regression")
    taken, true = folds_of.samples, data.labels
    found = ended(records_of(data))
    for fold, record in enumerate(found):
        outputs, validation, loss = plainly(
            data,
            lambda train, some: scaled(taken[train], taken[some]),
            lambda train, some: scaled(true[train], true[some]),
            "mse",
            fold,
        )
        back = StandardScaler().fit(true[data.folds.train[fold]]).inverse_transform(outputs)
        expected = {
            "rmse": root_mean_squared_error(true[validation], back),
            "mae": mean_absolute_error(true[validation], back),
            "r2": r2_score(true[validation], back),
        }
        assert record.metrics == pytest.approx(expected, rel=1e-6)
        assert record.loss == pytest.approx(loss, rel=1e-6)
        assert (record.accuracy, record.macro_f1, record.outputs) == (None, None, "numbers")
        kept = data.task.predictions.load(data.folder.root / record.predictions)
        assert np.allclose(kept.predicted, back, rtol=1e-6)
        assert np.array_equal(kept.actual, true[validation])


def test_two_numbers_of_images_score_as_in_a_plain_loop(folds_of):
    from sklearn.metrics import root_mean_squared_error

    images = RANDOM.integers(0, 256, (120, 12, 12, 1), np.uint8)
    sums = images.astype(np.float64).sum(axis=(1, 2, 3))
    numbers = np.stack([1e6 + sums, images[:, :6].mean(axis=(1, 2, 3)) / 1e3], axis=1)
    data = folds_of(Given.of((images, numbers)), "mlp", "regression")
    true = data.labels
    taken = folds_of.samples
    for fold, record in enumerate(ended(records_of(data))):
        outputs, validation, _ = plainly(
            data,
            lambda _, some: taken[some],
            lambda train, some: scaled(true[train], true[some]),
            "mse",
            fold,
        )
        train = true[data.folds.train[fold]]
        back = outputs.astype(np.float64) * train.std(axis=0) + train.mean(axis=0)
        expected = root_mean_squared_error(true[validation], back)
        assert record.metrics["rmse"] == pytest.approx(expected, rel=1e-6)


def labelled(count: int = 150) -> tuple[Any, Any]:
    rows = RANDOM.normal(size=(count, 5))
    bits = (RANDOM.random((count, 3)) < 1 / (1 + np.exp(-2 * rows[:, :3]))).astype(int)
    return rows, bits


def test_labels_score_as_in_a_plain_loop(folds_of):
    from sklearn.metrics import accuracy_score, f1_score, hamming_loss, roc_auc_score

    rows, bits = labelled()
    data = folds_of(
        Given.of((rows, bits)),
        "mlp",
        "multi-label",
        objectives=("cv_roc_auc",),
        metrics=("cv_roc_auc",),
    )
    taken, true = folds_of.samples, data.labels
    records = records_of(data)
    for fold, record in enumerate(ended(records)):
        outputs, validation, loss = plainly(
            data,
            lambda train, some: scaled(taken[train], taken[some]),
            lambda _, some: true[some].astype(np.float32),
            "binary_crossentropy",
            fold,
        )
        given = outputs > 0.5
        expected = {
            "macro_f1": f1_score(true[validation], given, average="macro"),
            "exact_match": accuracy_score(true[validation], given),
            "hamming_loss": hamming_loss(true[validation], given),
            "roc_auc": roc_auc_score(true[validation], outputs),
        }
        assert record.metrics == pytest.approx(expected, rel=1e-6)
        assert record.loss == pytest.approx(loss, rel=1e-6)
        assert record.outputs == "probabilities"
        last = [r for r in of(EpochEnded, records) if r.fold == fold + 1][-1].metrics
        assert set(last) == {"loss", "val_loss", "val_macro_f1", "val_roc_auc"}
        assert last["val_roc_auc"] == record.metrics["roc_auc"]


def test_weights_count_in_the_metrics_and_the_standardisation(folds_of):
    from sklearn.metrics import root_mean_squared_error

    rows = RANDOM.normal(size=(90, 3))
    numbers, weights = 100 * rows[:, 0] + 5, RANDOM.uniform(0.1, 3, 90)
    data = folds_of(Given.of((rows, numbers), weights=weights), "mlp", "regression")
    for fold, record in enumerate(ended(records_of(data))):
        kept = data.task.predictions.load(data.folder.root / record.predictions)
        own = data.weights[data.folds.validation[fold]]
        expected = root_mean_squared_error(kept.actual, kept.predicted, sample_weight=own)
        plain = root_mean_squared_error(kept.actual, kept.predicted)
        assert record.metrics["rmse"] == pytest.approx(expected, rel=1e-9)
        assert record.metrics["rmse"] != pytest.approx(plain, rel=1e-3)


def own_model(metrics: Any, units: int = 1, activation: Any = None, loss: str = "mse") -> Any:
    def build(_: Any, data: Any) -> Any:
        from keras import Sequential, layers

        parts = [layers.Input(data.input_shape), layers.Dense(8, "relu")]
        model = Sequential([*parts, layers.Dense(units, activation)])
        model.compile("adam", loss, metrics=metrics())
        return model

    return build


def sizes(folds_of: Any) -> Any:
    """Return data whose folds are scored by a metric of the models' own, called size."""
    rows = RANDOM.normal(size=(90, 3))
    given = Given.of((rows, 100 * rows[:, 0] + 500))
    asked = {"objectives": ("cv_val_size",), "metrics": ("min:val_size", "mae")}
    return folds_of(given, "mlp", "regression", **asked)


def test_a_models_own_metrics_are_in_the_targets_unit_and_may_be_objectives(folds_of):
    import keras

    data = sizes(folds_of)
    metrics = lambda: [keras.metrics.MeanAbsoluteError("size")]  # noqa: E731
    records = records_of(data, own_model(metrics))
    for record in ended(records):
        assert record.metrics["val_size"] == pytest.approx(record.metrics["mae"], rel=1e-5)
        assert record.metrics["mae"] > 10
    for record in of(EpochEnded, records):
        assert record.metrics["val_size"] == pytest.approx(record.metrics["size"], rel=0.5)


@pytest.mark.parametrize("on_batches", [False, True])
def test_own_metrics_of_restored_weights_are_in_the_targets_unit_too(folds_of, on_batches):
    import keras

    data = sizes(folds_of)

    def callbacks(_: Any) -> list[Any]:
        worst = {"mode": "max", "patience": 1, "restore_best_weights": True}  # the first epoch's
        stop = keras.callbacks.EarlyStopping("val_loss", **worst)
        return [stop, keras.callbacks.TerminateOnNaN()] if on_batches else [stop]

    data = replace(data, space=replace(data.space, callbacks=callbacks))
    metrics = lambda: [keras.metrics.MeanAbsoluteError("size")]  # noqa: E731
    found = ended(records_of(data, own_model(metrics)))
    assert {record.scored_epoch for record in found} == {1}
    assert {record.epochs for record in found} == {2}
    for record in found:
        assert record.metrics["val_size"] == pytest.approx(record.metrics["mae"], rel=1e-5)


SUMS = np.array([1.0, 2.0, 3.0])


def test_an_own_fit_is_given_the_weights_of_the_inner_part(folds_of):
    import keras

    rows = RANDOM.normal(size=(120, 3)).astype(np.float32)
    weights = 1 + np.arange(120) % 7
    data = folds_of(Given.of((rows, rows @ SUMS), weights=weights), "mlp", "regression")
    held, told = [], []

    class Watching(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            told.append(logs["val_loss"])
            x, y, own = held[-1]
            losses = (np.asarray(self.model(x))[:, 0] - np.asarray(y)[:, 0]) ** 2
            assert told[-1] == pytest.approx((losses * own).mean(), rel=1e-4)

    def fit(_: Any, model: Any, x: Any, y: Any, validation_data: Any, **more: Any) -> Any:
        held.append(validation_data)
        more["callbacks"] = [*more["callbacks"], Watching()]
        return model.fit(x, y, validation_data=validation_data, **more)

    data = replace(data, space=replace(data.space, fit=fit))
    ended(records_of(data, own_model(list)))
    assert len(told) == 3 * EPOCHS
    by_target = dict(zip((rows @ SUMS).round(4).tolist(), weights, strict=True))
    for _, targets, kept in held:
        assert kept.tolist() == [by_target[round(float(y), 4)] for y in targets[:, 0]]


@pytest.mark.parametrize("on_batches", [False, True])
def test_weights_count_in_the_validation_loss_that_callbacks_are_told(folds_of, on_batches):
    import keras

    rows = RANDOM.normal(size=(120, 3)).astype(np.float32)
    first: list[float] = []

    class Noting(keras.callbacks.Callback):
        monitor = "val_loss"

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            first.extend([logs["val_loss"]] * (epoch == 0))

    callbacks = [Noting(), *([keras.callbacks.TerminateOnNaN()] if on_batches else [])]
    for weight in (1.0, 8.0):  # Adam's steps do not grow with it, but losses do
        given = Given.of((rows, rows @ SUMS), weights=np.full(120, weight))
        data = folds_of(given, "mlp", "regression")
        data = replace(data, space=replace(data.space, callbacks=lambda _: callbacks))
        ended(records_of(data, own_model(list)))
    plain, weighted = first[:3], first[3:]
    assert weighted == pytest.approx([8 * loss for loss in plain], rel=0.05)


def test_a_metric_that_models_are_not_compiled_with_fails_the_fold(folds_of):
    rows = RANDOM.normal(size=(60, 3))
    data = folds_of(
        Given.of((rows, rows[:, 0])), "mlp", "regression", metrics=("max:val_auc", "mae")
    )
    [failed, *_] = of(AttemptFailed, records_of(data))
    assert "there is no auc" in failed.reason
    assert "compiled with" in failed.reason


def test_a_metric_that_cannot_be_computed_is_left_out_unless_it_is_an_objective(folds_of):
    rows, bits = labelled(60)
    bits[:, 2] = 0
    bits[0, 2] = 1  # so that some folds have none
    given = Given.of((rows, bits))
    data = folds_of(given, "mlp", "multi-label", metrics=("roc_auc",))
    records = records_of(data)
    assert len(ended(records)) == 3
    assert any("roc_auc" not in record.metrics for record in ended(records))
    assert any("metric roc_auc" in notice.text for notice in of(Notice, records))
    sought = folds_of(given, "mlp", "multi-label", metrics=("roc_auc",), objectives=("cv_roc_auc",))
    failed = of(AttemptFailed, records_of(sought))
    assert failed
    assert all("metric roc_auc" in one.reason for one in failed)


@pytest.mark.parametrize(
    ("units", "activation", "loss", "told"),
    [
        (10, "softmax", "mse", "it has 10 outputs for 1 number"),
        (1, None, "hinge", "must be smaller the nearer the outputs are to the numbers"),
    ],
)
def test_models_of_classes_are_refused_for_numbers(folds_of, units, activation, loss, told):
    rows = RANDOM.normal(size=(60, 3))
    data = folds_of(Given.of((rows, rows[:, 0])), "mlp", "regression")
    [failed, *_] = of(AttemptFailed, records_of(data, own_model(list, units, activation, loss)))
    assert told in failed.reason
    assert "--task classification" in failed.reason


@pytest.mark.parametrize("task", ["regression", "multi-label"])
@pytest.mark.parametrize("space", ["mlp", "lenet", "cnn", "convnet", "bilstm"])
def test_the_spaces_of_this_project_end_as_their_task_needs(space, task):
    from search.tasks import task_of
    from spaces import DataSpec

    known = task_of(task, ("one", "two"))
    kind, shape = ("text", (30,)) if space == "bilstm" else ("image", (32, 32, 1))
    spec = DataSpec(shape, 0, kind, 50, task, outputs=2, activation=known.activation)
    found = get_space(space)
    model = found.build(found.complete({}), spec)
    assert model.output_shape == (None, 2)
    assert model.layers[-1].activation.__name__ == known.activation
