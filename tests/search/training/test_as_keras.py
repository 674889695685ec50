"""Training here gives the weights that `Model.fit` gives, bit for bit."""

import numpy as np
import pytest

from spaces import Int
from spaces.declaring.training import with_training
from tests.fakes import some_classes, toy_space

pytestmark = pytest.mark.slow

BATCH, EPOCHS, SEED = 16, 2, 5
RANDOM = np.random.default_rng(0)
LABELS = np.arange(90) % 3
IMAGES = (RANDOM.random((90, 6, 6, 2)) + LABELS[:, None, None, None]).astype(np.float32)
CLASSES = 3


def layers(name):
    from keras import layers as k

    last = [k.Flatten(), k.Dense(CLASSES, name="last")]
    return {
        "dense": [k.Flatten(), k.Dense(8, "relu"), *last],
        "convolution": [k.Conv2D(4, 3, activation="relu"), k.MaxPooling2D(), *last],
        "dropout": [k.Flatten(), k.Dense(8, "relu"), k.Dropout(0.4), *last],
        "noise": [k.GaussianNoise(0.3), k.SpatialDropout2D(0.3), *last],
        "batch normalisation": [k.Conv2D(4, 3), k.BatchNormalization(), *last],
        "layer normalisation": [k.LayerNormalization(), *last],
        "recurrent": [k.Reshape((36, 2)), k.LSTM(4), *last],
        "penalties": [k.Flatten(), k.Dense(8, kernel_regularizer="l2"), *last],
        "augmentation": [k.RandomFlip(seed=1), *last],
        "depthwise": [k.SeparableConv2D(4, 3), k.GlobalAveragePooling2D(), *last],
        "attention": [k.Reshape((36, 2)), _attention(), *last],
    }[name]


def _attention():
    import keras

    @keras.saving.register_keras_serializable("as_keras")
    class Attention(keras.layers.Layer):
        def __init__(self, **more):
            super().__init__(**more)
            self.inner = keras.layers.MultiHeadAttention(2, 2, use_bias=False)

        def call(self, x):
            return self.inner(x, x)

    return Attention()


def losses(name):
    import keras
    import tensorflow as tf

    return {
        "sparse logits": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        "one-hot logits": keras.losses.CategoricalCrossentropy(from_logits=True),
        "smoothed": keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1),
        "hinge": "categorical_hinge",
        "own": lambda y, z: tf.nn.softmax_cross_entropy_with_logits(y, z),
        "listed": [keras.losses.CategoricalFocalCrossentropy(from_logits=True)],
        "squares": {"last": "mean_squared_error"},
        "summed": keras.losses.CategoricalCrossentropy(from_logits=True, reduction="sum"),
    }[name]


def optimizers(name):
    from keras import optimizers as k

    return {
        "adam": k.Adam(0.01),
        "sgd": k.SGD(0.05, momentum=0.9, nesterov=True),
        "adamw": k.AdamW(0.01, weight_decay=0.02),
        "amsgrad": k.Adam(0.01, amsgrad=True),
        "rmsprop": k.RMSprop(0.01, centered=True),
        "schedule": k.Adam(k.schedules.CosineDecay(0.02, 12)),
        "clipped": k.Adam(0.01, global_clipnorm=0.1),
        "averaged": k.SGD(0.05, use_ema=True, ema_momentum=0.8),
        "overwritten": k.SGD(0.05, use_ema=True, ema_overwrite_frequency=4),
        "accumulated": k.Adam(0.01, gradient_accumulation_steps=3),
    }[name]


def made(layer, loss, optimizer):
    import keras

    keras.utils.set_random_seed(1)
    x = inputs = keras.Input((6, 6, 2))
    for each in layers(layer):
        x = each(x)
    model = keras.Model(inputs, x)
    model.compile(optimizers(optimizer), losses(loss), metrics=["accuracy"], jit_compile=False)
    return model


def trained_by_keras(model, form):
    """Fit epoch by epoch on samples that lie in the order in which they are trained here."""
    from search.training.batches import shuffled

    wanted = np.eye(CLASSES, dtype=np.float32)[LABELS] if form == "one-hot" else LABELS
    rows, history, orders = np.arange(len(LABELS)), [], set()
    final = model.optimizer.finalize_variable_values
    model.optimizer.finalize_variable_values = lambda _: None  # `fit` averages at each call's end
    for epoch in range(EPOCHS):
        order = shuffled(rows, batch_size=BATCH, seed=SEED, epoch=epoch).order
        orders.add(tuple(order))
        done = model.fit(IMAGES[order], wanted[order], batch_size=BATCH, shuffle=False, verbose=0)
        history.append({name: values[0] for name, values in done.history.items()})
    final(model.trainable_weights)
    assert len(orders) == EPOCHS
    return history


def trained_here(model):
    from search.training.batches import Part
    from search.training.fit import fit

    space = with_training(toy_space(Int("units", 4, 8)))
    epochs = []
    fit(
        model,
        Part(IMAGES, LABELS),
        Part(IMAGES, LABELS),
        space.complete({"epochs": EPOCHS, "batch_size": BATCH}),
        task=some_classes(CLASSES),
        seed=SEED,
        on_epoch=epochs.append,
    )
    return [epoch.metrics for epoch in epochs]


# TensorFlow computes a constant of these in another order within a loop: they differ in a last bit.
ROUNDED = {"attention", "rmsprop", "schedule"}


def check(layer="dense", loss="sparse logits", optimizer="adam"):
    from search.training.targets import targets_for

    ours, theirs = (made(layer, loss, optimizer) for _ in range(2))
    form = targets_for(made(layer, loss, optimizer), some_classes(CLASSES), IMAGES).form
    told, expected = trained_here(ours), trained_by_keras(theirs, form)
    for mine, reference in zip(ours.weights, theirs.weights, strict=True):
        if ROUNDED & {layer, optimizer}:
            assert np.allclose(mine.numpy(), reference.numpy(), rtol=1e-5, atol=1e-7), mine.path
        else:
            assert np.array_equal(mine.numpy(), reference.numpy()), mine.path
    for mine, reference in zip(told, expected, strict=True):
        assert mine["loss"] == pytest.approx(reference["loss"], rel=1e-6)
        assert mine["accuracy"] == pytest.approx(reference["accuracy"], rel=1e-6)


@pytest.mark.parametrize(
    "layer",
    [
        "dense",
        "convolution",
        "dropout",
        "noise",
        "batch normalisation",
        "layer normalisation",
        "recurrent",
        "penalties",
        "augmentation",
        "depthwise",
        "attention",
    ],
)
def test_every_layer_trains_as_in_keras(layer):
    check(layer=layer)


@pytest.mark.parametrize(
    "loss",
    ["one-hot logits", "smoothed", "hinge", "own", "listed", "squares", "summed"],
)
def test_every_loss_trains_as_in_keras(loss):
    check(loss=loss)


@pytest.mark.parametrize(
    "optimizer",
    [
        "sgd",
        "adamw",
        "amsgrad",
        "rmsprop",
        "schedule",
        "clipped",
        "averaged",
        "overwritten",
        "accumulated",
    ],
)
def test_every_optimizer_trains_as_in_keras(optimizer):
    check(optimizer=optimizer)


@pytest.mark.parametrize("loss", ["sparse logits", "one-hot logits"])
def test_weights_of_samples_count_as_in_fit(loss):
    from sklearn.metrics import accuracy_score

    from search.training.batches import Part, shuffled
    from search.training.fit import fit
    from search.training.targets import targets_for

    weights = RANDOM.random(len(LABELS)) * 3
    ours, theirs = (made("dense", loss, "adam") for _ in range(2))
    form = targets_for(made("dense", loss, "adam"), some_classes(CLASSES), IMAGES).form
    wanted = np.eye(CLASSES, dtype=np.float32)[LABELS] if form == "one-hot" else LABELS
    params = with_training(toy_space(Int("units", 4, 8))).complete({"batch_size": BATCH})
    rows, epochs = np.arange(80), []
    part = Part(IMAGES, LABELS, rows, weights=weights)
    validation = Part(IMAGES, LABELS, np.arange(60, 90), weights=weights)
    fit(
        ours,
        part,
        validation,
        params | {"epochs": 1},
        task=some_classes(CLASSES),
        seed=SEED,
        on_epoch=epochs.append,
    )
    order = shuffled(rows, batch_size=BATCH, seed=SEED, epoch=0).order
    done = theirs.fit(
        IMAGES[order],
        wanted[order],
        sample_weight=weights[order],
        validation_data=(IMAGES[60:], wanted[60:], weights[60:]),
        batch_size=BATCH,
        shuffle=False,
        verbose=0,
    )
    for mine, reference in zip(ours.weights, theirs.weights, strict=True):
        assert np.array_equal(mine.numpy(), reference.numpy()), mine.path
    for name in ("loss", "accuracy", "val_loss"):
        assert epochs[0].metrics[name] == pytest.approx(done.history[name][0], rel=1e-5)
    named = theirs.predict(IMAGES[60:], verbose=0).argmax(axis=1)
    expected = accuracy_score(LABELS[60:], named, sample_weight=weights[60:])
    assert epochs[0].metrics["val_accuracy"] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("is_sparse", [False, True], ids=["dense", "sparse"])
def test_adam_is_traced_in_fewer_operations_that_give_the_same_bits(is_sparse):
    from contextlib import nullcontext

    import keras
    import tensorflow as tf

    from search.training.compiling import traced_lightly

    rows, change = tf.constant([2, 0, 2]), tf.constant(RANDOM.normal(size=(3, 4)), tf.float32)

    def updated(context):
        variable = keras.Variable(np.ones((5, 4), np.float32))
        adam = keras.optimizers.Adam(0.01)
        adam.build([variable])

        @tf.function
        def step():
            slices = tf.IndexedSlices(change, rows, tf.constant([5, 4]))
            with context(adam):
                adam.apply([slices if is_sparse else tf.convert_to_tensor(slices)])

        for _ in range(4):
            step()
        assert "_backend_update_step" not in vars(adam)
        operations = len(step.get_concrete_function().graph.get_operations())
        return operations, [each.numpy() for each in (variable, *adam.variables)]

    (fewer, mine), (usual, keras_own) = updated(traced_lightly), updated(nullcontext)
    assert all(map(np.array_equal, mine, keras_own))
    assert fewer == usual if is_sparse else fewer < usual
