"""Training by a `fit` of the user's own, and by Keras's for callbacks that act on batches."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from search.data import load
from search.data.inputs import make_inputs
from search.data.splits import make_folds
from search.executors.protocol import GO_ON, HALT, FoldTask
from search.seeds import derive
from spaces import get_space
from tests.fakes import toy_space
from tracking.home import StudyFolder
from tracking.records import AttemptFailed, EpochEnded, FoldEnded, Notice

pytestmark = pytest.mark.slow  # TensorFlow

EPOCHS = 3


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    from search.training.building import Models
    from search.training.fold_data import FoldData

    dataset = load("digits", home=tmp_path_factory.mktemp("home"))
    space = get_space("mlp")
    return FoldData(
        space=space,
        kind=dataset.kind,
        inputs=make_inputs(dataset, space.input_for("image")),
        labels=np.asarray(dataset.train_labels),
        task=dataset.task,
        folds=make_folds(dataset.train_labels, folds=2, seed=0, limit_samples=240),
        confirmation_folds=None,
        folder=StudyFolder(tmp_path_factory.mktemp("study")),
        seed=7,
        objectives=("cv_accuracy",),
        models=Models(space, None, expected={}, seed=7),
    )


def build(_: Any, data: Any) -> Any:
    import keras

    model = keras.Sequential(
        [
            keras.layers.Input(data.input_shape),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            keras.layers.Dense(16, "relu"),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(10, "softmax"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return model


def plain(_: Any, model: Any, x: Any, y: Any, **arguments: Any) -> Any:
    return model.fit(x, y, **arguments)


def train(
    data: Any,
    fit: Any = plain,
    *,
    made: Any = build,
    callbacks: Any = None,
    stop_after: int | None = None,
    compiled: bool = True,
    **chosen: Any,
) -> list[Any]:
    """Return the records of a fold that is trained by `fit`; None: by the built-in training."""
    from search.training.building import Models
    from search.training.fold import train_fold

    space = replace(
        data.space,
        build=made,
        compiled=compiled,
        fit=fit,
        callbacks=None if callbacks is None else lambda _: callbacks,
    )
    data = replace(data, space=space, models=Models(space, None, expected={}, seed=7))
    params = {**data.space.complete({}), "epochs": EPOCHS, "batch_size": 32, **chosen}
    records: list[Any] = []

    def keep(record: Any) -> Any:
        records.append(record)
        is_last = isinstance(record, EpochEnded) and record.epoch == stop_after
        return HALT if is_last else GO_ON

    train_fold(data, FoldTask(0, params, 1), keep)
    return records


def of(kind: type, records: list[Any]) -> list[Any]:
    return [record for record in records if isinstance(record, kind)]


def reason(records: list[Any]) -> str:
    [failed] = of(AttemptFailed, records)
    return str(failed.reason)


def by_hand(data: Any, fit: Any) -> tuple[float, list[float], Any]:
    """Return accuracy, validation losses by epoch, and outputs of plain Keras code."""
    import keras

    from search.training.building import set_seed
    from search.training.fit import cut_inner

    seed = derive(data.seed, "fold", 1)
    encoder = data.learn(1, data.space.complete({}))
    training, validation = data.parts(1, encoder)
    rest, inner = cut_inner(training, data.task, seed)
    x, val_x = (np.asarray(training.inputs)[p.indices] for p in (rest, validation))
    losses = []

    class Losses(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            outputs = self.model(val_x, training=False).numpy()
            truth = outputs[np.arange(len(outputs)), validation.own_labels]
            losses.append(float(-np.log(truth.astype(np.float64)).mean()))

    set_seed(seed)
    from search.data.inputs import spec_of

    model = build({}, spec_of(encoder, data.kind, data.task))
    set_seed(derive(seed, "fit"))
    held = np.asarray(training.inputs)[inner.indices], inner.own_labels
    fit(
        {},
        model,
        x,
        rest.own_labels,
        validation_data=held,
        callbacks=[Losses()],
        epochs=EPOCHS,
        batch_size=32,
        verbose=0,
    )
    outputs = model(val_x, training=False).numpy()
    accuracy = float((outputs.argmax(axis=1) == validation.own_labels).mean())
    return accuracy, losses, outputs


def twice(_: Any, model: Any, x: Any, y: Any, **arguments: Any) -> Any:
    import keras

    arguments.pop("epochs")
    model.fit(x, y, epochs=1, **arguments)
    model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    return model.fit(x, y, epochs=2, **arguments)


def with_best_epoch(_: Any, model: Any, x: Any, y: Any, *, callbacks: Any, **more: Any) -> Any:
    import keras

    stop = keras.callbacks.EarlyStopping("val_loss", patience=1, restore_best_weights=True)
    model.optimizer.learning_rate = 0.3
    return model.fit(x, y, callbacks=[*callbacks, stop], **{**more, "epochs": 12})


@pytest.mark.parametrize("fit", [plain, twice])
def test_a_fold_scores_as_plain_keras_code_that_calls_the_same_fit(data, fit):
    records = train(data, fit)
    accuracy, losses, _ = by_hand(data, fit)
    [ended] = of(FoldEnded, records)
    epochs = of(EpochEnded, records)
    assert [epoch.epoch for epoch in epochs] == [1, 2, 3]
    assert [e.metrics["val_loss"] for e in epochs] == pytest.approx(losses, abs=1e-6)
    assert ended.accuracy == accuracy
    assert ended.epochs == ended.scored_epoch == EPOCHS


def test_the_weights_that_remain_are_scored_and_not_those_of_the_last_epoch(data):
    records = train(data, with_best_epoch)
    accuracy, losses, _ = by_hand(data, with_best_epoch)
    [ended] = of(FoldEnded, records)
    assert ended.epochs == len(losses)
    assert ended.accuracy == accuracy
    assert ended.scored_epoch == ended.epochs - 1  # patience of 1
    assert ended.loss == pytest.approx(losses[ended.scored_epoch - 1], abs=1e-6)


def test_a_fit_never_sees_the_validation_part(data):
    seen = {}

    def fit(_: Any, model: Any, x: Any, y: Any, validation_data: Any, **more: Any) -> Any:
        seen["rows"] = np.concatenate([x, validation_data[0]])
        return model.fit(x, y, validation_data=validation_data, **more)

    records = train(data, fit)
    _, validation = data.parts(1, data.learn(1, {}))
    rows = {row.tobytes() for row in np.asarray(validation.inputs)[validation.indices]}
    assert len(seen["rows"]) + len(validation.indices) == 240
    assert not rows & {row.tobytes() for row in seen["rows"]}
    [notice] = of(Notice, records)
    assert "gets as `validation_data` a tenth of the training part" in notice.text


def test_a_stop_ends_the_training_and_nothing_is_reported_after_it(data):
    records = train(data, stop_after=2)
    assert isinstance(records[-1], EpochEnded)
    assert len(of(EpochEnded, records)) == 2


def test_a_stop_that_the_users_code_swallows_ends_the_fold_all_the_same(data):
    trained = []

    def fit(_: Any, model: Any, x: Any, y: Any, **arguments: Any) -> Any:
        for _ in range(2):
            try:
                model.fit(x, y, **arguments)
            except BaseException:  # noqa: BLE001
                trained.append(model)
        return 0.5

    records = train(data, fit, stop_after=1)
    assert len(trained) == 2
    assert len(of(EpochEnded, records)) == 1
    assert not of(FoldEnded, records) + of(AttemptFailed, records)


def test_a_fit_without_callbacks_is_scored_once_at_its_end(data):
    def fit(_: Any, model: Any, x: Any, y: Any) -> Any:
        return model.fit(x, y, epochs=4, verbose=0)

    records = train(data, fit)
    [epoch] = of(EpochEnded, records)
    [ended] = of(FoldEnded, records)
    assert epoch.metrics["val_accuracy"] == ended.accuracy
    assert ended.epochs == 1


def test_a_loop_of_ones_own_calls_the_callbacks_itself(data):
    import keras
    import tensorflow as tf

    def fit(_: Any, model: Any, x: Any, y: Any, callbacks: Any, **__: Any) -> Any:
        optimizer = keras.optimizers.Adam(0.01)
        loss = keras.losses.SparseCategoricalCrossentropy()
        for callback in callbacks:
            callback.set_model(model)
        for epoch in range(2):
            with tf.GradientTape() as tape:
                value = loss(y, model(x, training=True))
            optimizer.apply(tape.gradient(value, model.trainable_weights), model.trainable_weights)
            for callback in callbacks:
                callback.on_epoch_end(epoch, logs={"my_loss": value, "told": "a text"})
        return float(value)

    def uncompiled(params: Any, data: Any) -> Any:
        return keras.Sequential(build(params, data).layers)

    records = train(data, fit, made=uncompiled)
    epochs = of(EpochEnded, records)
    assert [epoch.epoch for epoch in epochs] == [1, 2]
    assert set(epochs[0].metrics) == {"my_loss", "val_loss", "val_accuracy"}
    assert of(FoldEnded, records)


@pytest.mark.parametrize(
    ("fit", "words"),
    [
        (lambda *_, **__: 0.5, "must train the model that it is given"),
        (
            lambda _, model, x, y, **more: __import__("keras").models.clone_model(model),
            "must train the model that it is given",
        ),
        (lambda _, model, x, y, **more: model.fit(x, nothing=1), "nothing"),
    ],
)
def test_a_fit_that_does_not_train_fails_with_the_reason(data, fit, words):
    assert words in reason(train(data, fit))


def test_weights_that_are_no_numbers_fail_as_a_training_that_diverged(data):
    def fit(_: Any, model: Any, x: Any, y: Any, **more: Any) -> Any:
        model.set_weights([weight * np.nan for weight in model.get_weights()])

    assert "no longer finite numbers at the end of fold 1" in reason(train(data, fit))


def test_each_fold_runs_in_an_empty_folder_of_its_own(data):
    import keras

    seen: list[Any] = []

    def fit(_: Any, model: Any, x: Any, y: Any, *, callbacks: Any, **more: Any) -> Any:
        seen.append((Path.cwd(), os.listdir()))  # noqa: PTH208
        kept = keras.callbacks.ModelCheckpoint("best.weights.h5", save_weights_only=True)
        model.fit(x, y, callbacks=[*callbacks, kept], **more)
        model.load_weights("best.weights.h5")
        return 1.0

    before = Path.cwd()
    for _ in range(2):
        assert of(FoldEnded, train(data, fit))
    (one, empty), (other, still_empty) = seen
    assert one != other
    assert empty == still_empty == []
    assert Path.cwd() == before
    assert not one.exists()


def test_a_checkpoint_that_all_folds_would_write_over_is_refused(data, tmp_path):
    import keras

    def fit(_: Any, model: Any, x: Any, y: Any, *, callbacks: Any, **more: Any) -> Any:
        kept = keras.callbacks.ModelCheckpoint(tmp_path / "best.keras")
        return model.fit(x, y, callbacks=[*callbacks, kept], **more)

    assert "give it a relative path" in reason(train(data, fit))


def test_weights_of_samples_reach_the_fit(data):
    seen = {}

    def fit(_: Any, model: Any, x: Any, y: Any, *, sample_weight: Any, **more: Any) -> Any:
        seen["weights"] = sample_weight
        return model.fit(x, y, sample_weight=sample_weight, **more)

    weights = np.linspace(1, 2, len(data.labels))
    assert of(FoldEnded, train(replace(data, weights=weights), fit))
    assert len(seen["weights"]) == 108  # 120 without the inner part
    assert 1 <= seen["weights"].min() < seen["weights"].max() <= 2


def test_a_space_offers_its_fit_the_choices_that_it_is_given():
    from spaces.declaring.training import with_training

    space = replace(toy_space(), fit=plain)
    names = with_training(space).names()
    assert {"batch_size", "epochs", "optimizer", "learning_rate"} <= set(names)
    assert not {"early_stopping", "schedule", "augmentation", "class_weights"} & set(names)
    fixed = with_training(replace(space, compiled=True, set_by_fit=("epochs",))).names()
    assert fixed == ("batch_size",)


# Callbacks.


def callback(of_batches: bool) -> Any:
    """Return a callback that counts what it is called for, and acts on batches or not."""
    import keras

    class Counted(keras.callbacks.Callback):
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[Any] = []

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.seen.append((epoch, sorted(logs)))

    class Batches(Counted):
        batches = 0
        monitor = ""

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.batches += 1

    return Batches() if of_batches else Counted()


def test_callbacks_of_epochs_run_in_the_built_in_training(data):
    counted = callback(False)
    records = train(data, None, callbacks=[counted])
    assert counted.seen == [(epoch, ["accuracy", "loss"]) for epoch in range(EPOCHS)]
    assert of(FoldEnded, records)[0].epochs == EPOCHS
    alone = train(data, None)
    assert of(FoldEnded, records)[0].loss == of(FoldEnded, alone)[0].loss  # it has changed nothing


def test_callbacks_of_batches_let_keras_train(data):
    counted = callback(True)
    counted.monitor = "val_loss"
    records = train(data, None, callbacks=[counted])
    assert counted.batches == EPOCHS * 4  # 108 samples in batches of 32
    assert [epoch for epoch, _ in counted.seen] == list(range(EPOCHS))
    accuracy, losses, _ = by_hand(data, plain)
    assert of(FoldEnded, records)[0].accuracy == accuracy
    found = [epoch.metrics["val_loss"] for epoch in of(EpochEnded, records)]
    assert found == pytest.approx(losses, abs=1e-6)


class TestBesidePlainKeras:
    """The built-in training with a callback, beside Keras's `fit` on the same batches."""

    EPOCHS = 8

    def by_keras(self, data: Any, callbacks: list[Any]) -> tuple[Any, Any]:
        import keras

        from search.training.batches import shuffled
        from search.training.building import set_seed
        from search.training.fit import cut_inner

        seed = derive(data.seed, "fold", 1)
        encoder = data.learn(1, {})
        training, _ = data.parts(1, encoder)
        rest, inner = cut_inner(training, data.task, seed)
        x, y = np.asarray(training.inputs), training.labels

        class Same(keras.utils.PyDataset):  # type: ignore[misc]
            epoch = 0

            def __len__(self) -> int:
                return -(-len(rest.indices) // 32)

            def __getitem__(self, number: int) -> Any:
                batches = shuffled(rest.indices, batch_size=32, seed=seed, epoch=self.epoch)
                rows = batches.order[batches.ends[number] : batches.ends[number + 1]]
                return x[rows], y[rows]

        batches = Same()

        class Numbered(keras.callbacks.Callback):
            def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
                batches.epoch = epoch

        set_seed(seed)
        from search.data.inputs import spec_of

        model = without_dropout({}, spec_of(encoder, data.kind, data.task))
        history = model.fit(
            batches,
            shuffle=False,
            epochs=self.EPOCHS,
            validation_data=(x[inner.indices], y[inner.indices]),
            validation_batch_size=32,
            callbacks=[Numbered(), *callbacks],
            verbose=0,
        )
        return model, history

    def compared(self, data: Any, make: Any) -> list[Any]:
        trained = {}

        def kept(params: Any, spec: Any) -> Any:
            trained["model"] = without_dropout(params, spec)
            return trained["model"]

        records = train(data, None, made=kept, callbacks=make(), epochs=self.EPOCHS)
        model, history = self.by_keras(data, make())
        [ended] = of(FoldEnded, records)
        assert ended.epochs == len(history.epoch)
        for mine, its in zip(trained["model"].get_weights(), model.get_weights(), strict=True):
            assert np.allclose(mine, its, rtol=0, atol=1e-6)
        return records

    def test_early_stopping_stops_at_the_same_epoch_with_the_same_weights(self, data):
        import keras

        def make() -> list[Any]:
            return [
                keras.callbacks.LearningRateScheduler(lambda epoch, rate: 0.5),
                keras.callbacks.EarlyStopping(
                    "val_loss", patience=1, min_delta=0.05, restore_best_weights=True
                ),
            ]

        [ended] = of(FoldEnded, self.compared(data, make))
        assert ended.scored_epoch < ended.epochs < self.EPOCHS

    def test_schedules_and_plateaus_set_the_same_learning_rates(self, data):
        import keras

        def make() -> list[Any]:
            return [
                keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.9),
                keras.callbacks.ReduceLROnPlateau("val_loss", patience=1, min_delta=0.5),
                keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: None),
            ]

        self.compared(data, make)

    def test_a_callback_of_ones_own_stops_the_training(self, data):
        import keras

        class Enough(keras.callbacks.Callback):
            def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
                if logs["val_accuracy"] > 0.3:
                    self.model.stop_training = True

        [ended] = of(FoldEnded, self.compared(data, lambda: [Enough()]))
        assert ended.epochs < self.EPOCHS


def without_dropout(params: Any, spec: Any) -> Any:
    import keras

    layers = [one for one in build(params, spec).layers if not hasattr(one, "rate")]
    model = keras.Sequential([keras.layers.Input(spec.input_shape), *layers])
    model.compile(
        keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return model


def test_each_fold_writes_to_a_path_of_its_own(data, tmp_path, monkeypatch):
    import keras

    monkeypatch.chdir(tmp_path)
    path = "fold-{trial}-{fold}.csv"
    for fit in (None, plain):
        assert of(FoldEnded, train(data, fit, callbacks=[keras.callbacks.CSVLogger(path)]))
        lines = (tmp_path / "fold-0-1.csv").read_text().splitlines()
        assert len(lines) == 1 + EPOCHS
    fixed = train(data, None, callbacks=[keras.callbacks.ModelCheckpoint("best.keras")])
    assert "put {trial} and {fold} into its path, as in 'best-{trial}-{fold}.keras'" in reason(
        fixed
    )


def test_all_samples_are_trained_on_where_nothing_watches_an_inner_part(data):
    for monitor, batches in (("", 11), ("val_loss", 10)):  # of 120 and of 108 samples
        counted = callback(True)
        counted.monitor = monitor
        assert of(FoldEnded, train(data, None, callbacks=[counted], epochs=1, batch_size=11))
        assert counted.batches == batches


def test_the_training_choices_hold_where_keras_trains(data):
    import keras

    def uncompiled(params: Any, data: Any) -> Any:
        return keras.Sequential(build(params, data).layers)

    counted = callback(True)
    chosen = {"learning_rate": 0.5, "early_stopping": True, "patience": 1, "class_weights": True}
    records = train(
        data, None, made=uncompiled, compiled=False, callbacks=[counted], epochs=30, **chosen
    )
    [ended] = of(FoldEnded, records)
    assert ended.scored_epoch < ended.epochs < 30
    assert counted.batches == ended.epochs * 4


@pytest.mark.parametrize("chooser", [{"early_stopping": True}, {"schedule": "plateau"}])
def test_keras_does_not_choose_by_the_loss_of_averaged_weights_and_the_trial_says_so(data, chooser):
    failed = train(data, None, callbacks=[callback(True)], ema=0.3, **chooser)
    assert "set `ema=0`, or `early_stopping=off`" in reason(failed)
    assert of(FoldEnded, train(data, None, callbacks=[callback(True)], ema=0.3))


def test_images_are_not_moved_by_keras_and_the_trial_says_so(data):
    failed = train(data, None, callbacks=[callback(True)], augmentation=True)
    assert "does not augment images" in reason(failed)
