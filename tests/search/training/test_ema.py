"""`ema` averages weights as Keras does with a momentum that grows."""

import numpy as np
import pytest

from tests.search.training.test_fit import LABELS, ROWS, params, small_model, train

pytestmark = pytest.mark.slow


def trained_by_keras(chosen, optimizer):
    """Fit with Keras's own averages, whose momentum a callback sets before every step."""
    import keras

    from search.training.batches import shuffled

    share = chosen["ema"]

    class Growing(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            step = int(self.model.optimizer.iterations) + 1
            self.model.optimizer.ema_momentum = (1 - 1 / step) ** (1 / share - 1)

    model, size = small_model(), chosen["batch_size"]
    model.compile(optimizer, "sparse_categorical_crossentropy", run_eagerly=True)
    final, scores = model.optimizer.finalize_variable_values, []
    model.optimizer.finalize_variable_values = lambda _: None
    for epoch in range(chosen["epochs"]):
        order = shuffled(np.arange(len(ROWS)), batch_size=size, seed=5, epoch=epoch).order
        model.fit(
            ROWS[order],
            LABELS[order],
            batch_size=size,
            shuffle=False,
            verbose=0,
            callbacks=[Growing()],
        )
        raw = model.get_weights()
        final(model.trainable_weights)
        scores.append(model.evaluate(ROWS, LABELS, verbose=0))
        averages = model.get_weights()
        model.set_weights(raw)
    model.set_weights(averages)
    return model, scores


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("ema", [0.05, 0.5])
def test_weights_and_scores_are_those_of_keras(optimizer, ema):
    import keras

    chosen = params(optimizer=optimizer, learning_rate=0.05, ema=ema, batch_size=16)
    keras_own = {
        "adam": keras.optimizers.Adam(0.05, use_ema=True),
        "sgd": keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True, use_ema=True),
    }
    expected, scores = trained_by_keras(chosen, keras_own[optimizer])
    fitted, epochs = train(small_model(), chosen)
    for mine, theirs in zip(fitted.model.get_weights(), expected.get_weights(), strict=True):
        assert np.allclose(mine, theirs, rtol=1e-5, atol=1e-6)
    losses = [epoch.metrics["val_loss"] for epoch in epochs]
    assert losses == pytest.approx(scores, rel=1e-5)


def test_at_a_half_it_is_the_mean_of_the_weights_after_all_steps():
    import keras

    from search.training.compiling import average_weights

    variable, seen = keras.Variable(np.zeros(3, np.float32)), []
    optimizer = average_weights(keras.optimizers.SGD(1.0), 0.5)
    for step in range(7):
        optimizer.apply([np.float32([step, 1, -step])], [variable])
        seen.append(variable.numpy())
    optimizer.finalize_variable_values([variable])
    assert np.allclose(variable.numpy(), np.mean(seen, axis=0), rtol=1e-6)


def test_the_steps_mean_age_is_the_fraction_of_all_steps():
    import keras

    from search.training.compiling import average_weights

    steps, share = 2000, 0.1
    clock = keras.Variable(np.zeros(1, np.float32))  # its value is the number of the step
    optimizer = average_weights(keras.optimizers.SGD(1.0), share)
    for _ in range(steps):
        optimizer.apply([np.float32([-1])], [clock])
    optimizer.finalize_variable_values([clock])
    assert 1 - clock.numpy()[0] / steps == pytest.approx(share, rel=0.02)


def test_training_itself_is_as_without():
    _, plain = train(small_model(), params(learning_rate=0.05))
    _, averaged = train(small_model(), params(learning_rate=0.05, ema=0.1))
    assert [e.metrics["loss"] for e in plain] == [e.metrics["loss"] for e in averaged]
    assert plain[-1].metrics["val_loss"] != averaged[-1].metrics["val_loss"]


def test_early_stopping_keeps_the_averages_of_the_epoch_that_was_best():
    import keras

    chosen = params(learning_rate=0.5, optimizer="sgd", epochs=12, ema=0.2, early_stopping=True)
    fitted, epochs = train(small_model(), chosen)
    assert fitted.chosen.number < len(epochs)
    assert np.allclose(
        keras.ops.convert_to_numpy(fitted.model(ROWS)), fitted.chosen.values, atol=1e-6
    )
    assert fitted.chosen.metrics["val_loss"] == epochs[fitted.chosen.number - 1].metrics["val_loss"]


def test_unfreezing_begins_new_averages():
    def unfreeze(model, params):
        model.layers[0].trainable = True
        return 0.5

    model = small_model()
    model.layers[0].trainable = False
    fitted, epochs = train(
        model, params(epochs=3, ema=0.1) | {"frozen_epochs": 1}, unfreeze=unfreeze
    )
    assert [epoch.number for epoch in epochs] == [1, 2, 3]
    assert np.isfinite(fitted.chosen.metrics["val_loss"])
