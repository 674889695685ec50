"""Training choices, shown on trainings of a second or less."""

import numpy as np
import pytest

from spaces import Int, get_space
from spaces.declaring.training import with_training
from tests.fakes import some_classes, toy_space

pytestmark = pytest.mark.slow

RANDOM = np.random.default_rng(0)
LABELS = np.arange(120) % 3
CENTRES = np.array([[0, 0], [4, 0], [0, 4]])
ROWS = (CENTRES[LABELS] + RANDOM.normal(size=(120, 2))).astype(np.float32)


def params(**changed):
    space = with_training(toy_space(Int("units", 4, 8)))
    return space.complete({"epochs": 3, **changed})


def small_model(outputs=3, *, loss=None, activation="softmax", units=8):
    import keras

    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.layers.Input((2,)),
            keras.layers.Dense(units, activation="relu"),
            keras.layers.Dense(outputs, activation=activation),
        ]
    )
    if loss is not None:
        model.compile("adam", loss)
    return model


def train(
    model, chosen, *, classes=3, rows=ROWS, labels=LABELS, validation=True, on_each=None, **more
):
    from search.training.batches import Part
    from search.training.fit import fit

    epochs = []
    part = Part(rows, labels)
    fitted = fit(
        model,
        part,
        part if validation else None,
        chosen,
        task=more.pop("task", some_classes(classes)),
        seed=5,
        on_epoch=on_each or epochs.append,
        **more,
    )
    return fitted, epochs


def test_every_epoch_is_told_with_scores_of_the_validation_part():
    fitted, epochs = train(small_model(), params(learning_rate=0.05))
    assert [epoch.number for epoch in epochs] == [1, 2, 3]
    assert set(epochs[-1].metrics) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert epochs[-1].metrics["val_accuracy"] > 0.8
    assert fitted.chosen is epochs[-1]
    assert fitted.epochs == 3


def test_the_same_seed_trains_the_same_and_another_order_does_not():
    chosen = params()
    first, _ = train(small_model(), chosen)
    again, _ = train(small_model(), chosen)
    assert np.array_equal(first.chosen.values, again.chosen.values)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "rmsprop"])
@pytest.mark.parametrize("schedule", ["constant", "cosine", "plateau"])
def test_every_optimizer_learns_with_every_schedule(optimizer, schedule):
    model = small_model()
    chosen = params(optimizer=optimizer, schedule=schedule, learning_rate=0.03, epochs=4)
    fitted, _ = train(model, chosen)
    assert fitted.chosen.metrics["val_accuracy"] > 0.6
    assert type(model.optimizer).__name__.lower() == optimizer


def test_cosine_warms_up_and_ends_at_nothing():
    model = small_model()
    train(model, params(schedule="cosine", warmup=0.5, learning_rate=0.1, epochs=2))
    rate = model.optimizer._learning_rate
    steps = [float(rate(step)) for step in (0, 4, 8)]
    assert steps == pytest.approx([0.004, 0.1, 0.0], abs=1e-6)


def test_sgd_has_its_momentum():
    model = small_model()
    train(model, params(optimizer="sgd", momentum=0.5, epochs=1))
    assert model.optimizer.momentum == 0.5


def test_l2_adds_to_the_training_loss_and_not_to_the_validation_loss():
    plain, _ = train(small_model(), params(learning_rate=1e-6, epochs=1))
    heavy, _ = train(small_model(), params(learning_rate=1e-6, epochs=1, l2=0.1))
    assert heavy.chosen.metrics["loss"] > plain.chosen.metrics["loss"] + 0.1
    assert heavy.chosen.metrics["val_loss"] == pytest.approx(
        plain.chosen.metrics["val_loss"], abs=1e-3
    )


def test_label_smoothing_keeps_the_model_from_being_sure():
    sure, _ = train(small_model(units=32), params(learning_rate=0.05, epochs=20))
    smooth, _ = train(
        small_model(units=32), params(learning_rate=0.05, epochs=20, label_smoothing=0.3)
    )
    assert smooth.chosen.values.max() < sure.chosen.values.max() - 0.05


def test_class_weights_make_a_rare_class_count():
    labels = np.where(np.arange(120) < 114, 0, 1)
    rows = RANDOM.normal(size=(120, 2)).astype(np.float32)  # nothing to learn but the shares
    plain, _ = train(
        small_model(2), params(learning_rate=0.03, epochs=8), classes=2, rows=rows, labels=labels
    )
    even, _ = train(
        small_model(2),
        params(learning_rate=0.03, epochs=8, class_weights=True),
        classes=2,
        rows=rows,
        labels=labels,
    )
    assert plain.chosen.values[:, 1].mean() < 0.2
    assert even.chosen.values[:, 1].mean() > 0.3


def test_early_stopping_scores_the_epoch_that_was_best_on_an_inner_part():
    noise = RANDOM.normal(size=(120, 2)).astype(np.float32)
    model = small_model(units=64)
    chosen = params(early_stopping=True, patience=2, learning_rate=0.1, epochs=40)
    fitted, epochs = train(model, chosen, rows=noise)
    assert fitted.epochs == len(epochs) < 40
    assert fitted.chosen.number == fitted.epochs - 2
    from search.training.fit import predict

    assert np.allclose(predict(model, noise, fitted.outputs), fitted.chosen.values, atol=1e-6)


def test_the_inner_part_is_a_tenth_that_is_not_trained_on():
    from search.training.batches import Part
    from search.training.fit import cut_inner

    training = Part(ROWS, LABELS)
    rest, inner = cut_inner(training, some_classes(3), 5)
    assert len(inner.own_labels) == 12
    assert np.bincount(inner.own_labels).tolist() == [4, 4, 4]
    assert sorted([*rest.indices, *inner.indices]) == list(range(120))


def test_without_early_stopping_or_plateau_all_is_trained_on():
    fitted, _ = train(small_model(), params(), validation=False)
    assert fitted.chosen.values is None


def test_a_loss_that_is_no_number_ends_the_training():
    import keras

    from search.training.fit import Diverged

    model = small_model(activation="linear")
    model.compile(keras.optimizers.SGD(1e30), "mean_squared_error")
    with pytest.raises(Diverged, match=r"became (nan|inf) in epoch 1"):
        train(model, params())


@pytest.mark.parametrize(
    ("loss", "outputs", "activation"),
    [
        ("sparse_categorical_crossentropy", 3, "softmax"),
        ("categorical_crossentropy", 3, "softmax"),
        ("categorical_focal_crossentropy", 3, "softmax"),
        ("binary_crossentropy", 3, "sigmoid"),
        ("mean_squared_error", 3, "softmax"),
        ("kl_divergence", 3, "softmax"),
    ],
)
def test_a_compiled_model_gets_labels_in_the_form_its_loss_asks_for(loss, outputs, activation):
    model = small_model(outputs, loss=loss, activation=activation, units=32)
    fitted, _ = train(model, params(epochs=30))
    assert fitted.chosen.metrics["val_accuracy"] > 0.6
    assert np.allclose(fitted.chosen.values.sum(axis=1), 1, atol=1e-5)


def test_logits_become_probabilities():
    import keras

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    fitted, _ = train(small_model(loss=loss, activation="linear", units=32), params(epochs=30))
    assert np.allclose(fitted.chosen.values.sum(axis=1), 1, atol=1e-5)
    assert fitted.chosen.metrics["val_accuracy"] > 0.6
    assert fitted.chosen.metrics["val_loss"] == pytest.approx(
        fitted.chosen.metrics["loss"], abs=0.3
    )


def test_two_classes_may_have_one_output():
    labels = (LABELS > 0).astype(np.int64)
    model = small_model(1, activation="sigmoid", units=32)
    fitted, _ = train(model, params(learning_rate=0.03, epochs=8), classes=2, labels=labels)
    assert fitted.chosen.values.shape == (120, 2)
    assert fitted.chosen.metrics["val_accuracy"] > 0.85
    assert fitted.chosen.metrics["accuracy"] > 0.8


def test_a_model_without_an_input_layer_is_built_on_the_data():
    import keras

    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.layers.Dense(8, "relu"), keras.layers.Dense(3, "softmax")])
    fitted, _ = train(model, params(learning_rate=0.05))
    assert fitted.chosen.metrics["val_accuracy"] > 0.8


def test_a_model_that_is_a_class_of_its_own_is_trained():
    import keras

    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.hidden = keras.layers.Dense(8, "relu")
            self.out = keras.layers.Dense(3, "softmax")

        def call(self, inputs):
            return self.out(self.hidden(inputs))

    keras.utils.set_random_seed(1)
    fitted, _ = train(Own(), params(learning_rate=0.05))
    assert fitted.chosen.metrics["val_accuracy"] > 0.8


def test_a_loss_of_a_models_own_is_the_one_it_is_trained_with():
    import keras

    class Doubled(keras.Sequential):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
            return 2 * keras.losses.sparse_categorical_crossentropy(y, y_pred)

    keras.utils.set_random_seed(1)
    layers = [keras.layers.Input((2,)), keras.layers.Dense(3, "softmax")]
    _, epochs = train(Doubled(layers), params(learning_rate=1e-6))
    last = epochs[-1].metrics
    assert last["loss"] == pytest.approx(2 * last["val_loss"], rel=1e-3)


def test_a_step_of_a_models_own_is_run_and_what_it_returns_is_recorded():
    import keras
    import tensorflow as tf

    class Own(keras.Sequential):
        def train_step(self, data):
            inputs, labels = data
            with tf.GradientTape() as tape:
                found = self(inputs, training=True)
                losses = keras.losses.sparse_categorical_crossentropy(labels, found)
                loss = tf.reduce_mean(losses)
            weights = self.trainable_variables
            self.optimizer.apply(tape.gradient(loss, weights), weights)
            return {"loss": 1000.0 + loss}

    keras.utils.set_random_seed(1)
    model = Own([keras.layers.Input((2,)), keras.layers.Dense(3, "softmax")])
    model.compile(keras.optimizers.Adam(0.05))
    fitted, epochs = train(model, params(epochs=5))
    assert fitted.chosen.metrics["val_accuracy"] > 0.8
    assert all(1000 < epoch.metrics["loss"] < 1002 for epoch in epochs)


def test_what_comes_into_moved_images_is_learned_on_the_training_part_alone(monkeypatch):
    import keras

    import search.training.fit
    from search.training.batches import Part

    seen = []
    learn = search.training.fit.background

    def background(images):
        seen.append(learn(images))
        return seen[-1]

    monkeypatch.setattr(search.training.fit, "background", background)
    images = np.zeros((40, 6, 6, 1), np.uint8)
    images[::2] = 200  # those that score
    rows, labels = np.arange(40), np.arange(40) // 2 % 2

    def trained(**changed):
        layers = [keras.layers.Input((6, 6, 1)), keras.layers.Flatten()]
        search.training.fit.fit(
            keras.Sequential([*layers, keras.layers.Dense(2, "softmax")]),
            Part(images, labels, rows[1::2]),
            Part(images, labels, rows[::2]),
            {**params(epochs=1), **changed},
            task=some_classes(2),
            seed=0,
            on_epoch=lambda _: None,
        )

    trained(augmentation=True, shift=0.2)
    assert seen == [0.0]
    trained()
    assert len(seen) == 1


@pytest.mark.parametrize(("outputs", "classes"), [(4, 3), (1, 3)])
def test_a_model_with_another_number_of_outputs_is_refused(outputs, classes):
    with pytest.raises(ValueError, match=rf"it has {outputs} outputs? for {classes} classes"):
        train(small_model(outputs), params(), classes=classes)


def test_sequences_of_any_length_are_cut_and_scored_as_if_they_were_not():
    import keras

    from search.training.program import Program

    keras.utils.set_random_seed(2)
    tokens = np.zeros((40, 12), np.int32)
    for row, length in enumerate(RANDOM.integers(0, 9, 40)):
        tokens[row, :length] = RANDOM.integers(2, 9, length)
    layers = [
        keras.layers.Embedding(9, 4, mask_zero=True),
        keras.layers.Bidirectional(keras.layers.LSTM(3, return_sequences=True)),
        keras.layers.LSTM(3),
        keras.layers.Dense(1, activation="sigmoid"),
    ]
    whole = keras.Sequential([keras.layers.Input((12,), dtype="int32"), *layers])
    cut = keras.Sequential([keras.layers.Input((None,), dtype="int32"), *layers])
    assert np.allclose(
        Program(cut, tokens).outputs(tokens), Program(whole, tokens).outputs(tokens), atol=1e-6
    )
    labels = (tokens[:, 0] > 4).astype(np.int64)
    fitted, _ = train(cut, params(), classes=2, rows=tokens, labels=labels)
    assert fitted.epochs == 3


@pytest.mark.parametrize("factor", [0.5, 1.0])
def test_a_backbone_thaws_after_its_frozen_epochs(factor):
    model = small_model(units=16)
    model.layers[0].trainable = False
    before = model.layers[0].get_weights()[0].copy()
    seen = []

    def unfreeze(trained, chosen):
        seen.append(np.array_equal(trained.layers[0].get_weights()[0], before))
        trained.layers[0].trainable = True
        return factor

    chosen = {**params(epochs=4), "frozen_epochs": 2}
    _, epochs = train(model, chosen, unfreeze=unfreeze)
    assert seen == [True]
    assert [epoch.number for epoch in epochs] == [1, 2, 3, 4]
    assert not np.array_equal(model.layers[0].get_weights()[0], before)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.001 * factor)


def test_epochs_that_early_stopping_left_out_while_frozen_are_not_counted():
    chosen = params(epochs=20, early_stopping=True, patience=1, learning_rate=1.0)
    fitted, epochs = train(
        small_model(), {**chosen, "frozen_epochs": 10}, unfreeze=lambda model, chosen: 1.0
    )
    numbers = [epoch.number for epoch in epochs]
    assert numbers == list(range(1, len(numbers) + 1))
    assert fitted.epochs == len(numbers) < 10


def test_every_named_space_shares_the_training_choices():
    assert {"schedule", "early_stopping", "augmentation"} <= set(get_space("lenet").names())
    assert "augmentation" not in get_space("bilstm").names()
