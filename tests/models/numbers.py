"""Numbers to predict, of tables."""

import keras
from keras import layers, ops


def _mlp(hp, outputs=1, activation=None):
    units = hp.Int("units", 8, 16, step=8)
    return keras.Sequential(
        [layers.Input((6,)), layers.Dense(units, "relu"), layers.Dense(outputs, activation)]
    )


def house_prices(hp):
    """Two layers, the mean squared and absolute error."""
    model = keras.Sequential([layers.Input((6,))])
    for _ in range(2):
        model.add(layers.Dense(hp.Choice("units", [8, 16]), "relu"))
    model.add(layers.Dense(1))
    model.compile(
        keras.optimizers.RMSprop(hp.Choice("rate", [1e-2, 1e-3])), loss="mse", metrics=["mae"]
    )
    return model


@keras.saving.register_keras_serializable("tests")
def pinball(y_true, y_pred):
    """Return the loss of a predicted 90 % quantile."""
    error = y_true - y_pred
    return ops.mean(ops.maximum(0.9 * error, -0.1 * error), axis=-1)


def quantile(hp):
    """Predicts what nine of ten numbers stay below."""
    model = _mlp(hp)
    model.compile("adam", pinball)
    return model


def poisson(hp):
    """Predicts how often something happens: the exponential of its last layer."""
    model = _mlp(hp, activation="exponential")
    model.compile("adam", "poisson", metrics=["mse"])
    return model


def two_numbers(hp):
    """Two numbers of different sizes at once."""
    model = _mlp(hp, outputs=2)
    model.compile("adam", keras.losses.Huber())
    return model


def autoencoder(hp):
    """Gives its rows back through a narrow layer."""
    inputs = keras.Input((6,))
    x = layers.Dense(8, "relu")(inputs)
    x = layers.Dense(hp.Int("code", 2, 4), name="code")(x)
    x = layers.Dense(8, "relu")(x)
    model = keras.Model(inputs, layers.Dense(6)(x))
    model.compile("adam", "mse")
    return model
