"""Models of sequences and of texts."""

import keras
from keras import layers


def forecast(hp):
    """Predicts a series' next value from a window of it."""
    model = keras.Sequential([layers.Input((12, 2)), layers.LSTM(hp.Choice("units", [8, 16]))])
    model.add(layers.Dense(1))
    model.compile("adam", "mse", metrics=["mae"])
    return model


def conv1d(hp):
    """Convolutions over time."""
    model = keras.Sequential([layers.Input((16, 2))])
    for _ in range(hp.Int("blocks", 1, 2)):
        model.add(layers.Conv1D(hp.Choice("filters", [8, 16]), 3, padding="same"))
        model.add(layers.BatchNormalization())
        model.add(layers.ReLU())
    model.add(layers.GlobalAveragePooling1D())
    model.add(layers.Dense(3, "softmax"))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def transformer(hp):
    """A block of attention over time."""
    inputs = keras.Input((16, 2))
    x = layers.Dense(8)(inputs)
    heads = hp.Choice("heads", [1, 2])
    y = layers.MultiHeadAttention(heads, 4, dropout=0.1)(x, x)
    x = layers.LayerNormalization()(x + y)
    y = layers.Dense(8)(layers.Dense(hp.Choice("inner", [8, 16]), "relu")(x))
    x = layers.LayerNormalization()(x + y)
    x = layers.GlobalAveragePooling1D()(x)
    model = keras.Model(inputs, layers.Dense(3, "softmax")(x))
    model.compile(
        "adam", "sparse_categorical_crossentropy", metrics=["sparse_categorical_accuracy"]
    )
    return model


def text_lstm(hp):
    """Words as vectors, and an LSTM that skips padding."""
    model = keras.Sequential(
        [
            layers.Embedding(10_000, hp.Choice("width", [4, 8]), mask_zero=True),
            layers.LSTM(8, dropout=hp.Choice("dropout", [0.0, 0.2])),
            layers.Dense(1, "sigmoid"),
        ]
    )
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return model
