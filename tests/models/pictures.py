"""Models of pictures."""

import keras
from keras import layers


def mlp_or_cnn(hp):
    """Two kinds of models, each with parameters of its own."""
    kind = hp.Choice("model_type", ["mlp", "cnn"])
    model = keras.Sequential([layers.Input((12, 12, 1))])
    with hp.conditional_scope("model_type", ["mlp"]):
        if kind == "mlp":
            model.add(layers.Flatten())
            model.add(layers.Dense(hp.Int("units", 8, 16, step=8), "relu"))
    with hp.conditional_scope("model_type", ["cnn"]):
        if kind == "cnn":
            model.add(layers.Conv2D(hp.Int("filters", 4, 8, step=4), 3, activation="relu"))
            model.add(layers.GlobalAveragePooling2D())
    model.add(layers.Dense(4, "softmax"))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def convnet(hp):
    """Two convolutions with pooling, dropout and one-hot labels."""
    filters = hp.Choice("filters", [4, 8])
    model = keras.Sequential([layers.Input((12, 12, 1))])
    for factor in (1, 2):
        model.add(layers.Conv2D(factor * filters, 3, activation="relu"))
        model.add(layers.MaxPooling2D(2))
    model.add(layers.Flatten())
    model.add(layers.Dropout(hp.Float("dropout", 0.2, 0.5, step=0.1)))
    model.add(layers.Dense(4, "softmax"))
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    return model


def residual(hp):
    """Blocks around which their inputs are added."""
    filters = hp.Choice("filters", [4, 8])
    inputs = keras.Input((12, 12, 1))
    x = layers.Conv2D(filters, 3, strides=2, padding="same")(inputs)
    for _ in range(hp.Int("blocks", 1, 2)):
        y = layers.BatchNormalization()(x)
        y = layers.Conv2D(filters, 3, padding="same", activation="relu")(y)
        x = layers.Add()([x, y])
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, layers.Dense(4, "softmax")(x))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def augmenting(hp):
    """Turns and flips its pictures while it trains, and rescales them."""
    model = keras.Sequential(
        [
            layers.Input((12, 12, 1)),
            layers.RandomFlip("horizontal"),
            layers.RandomRotation(hp.Float("rotation", 0.0, 0.1, step=0.05)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(hp.Choice("filters", [4, 8]), 3, activation="relu"),
            layers.GlobalMaxPooling2D(),
            layers.Dense(4, "softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def number_of_a_picture(hp):
    """Predicts a number."""
    model = keras.Sequential([layers.Input((12, 12, 1)), layers.Rescaling(1 / 255)])
    model.add(layers.Conv2D(hp.Choice("filters", [4, 8]), 3, activation="relu"))
    model.add(layers.GlobalAveragePooling2D())
    model.add(layers.Dense(1))
    model.compile("adam", "mse", metrics=["mae"])
    return model


def autoencoder(hp):
    """Gives its pictures back."""
    inputs = keras.Input((12, 12, 1))
    x = layers.Conv2D(hp.Choice("filters", [4, 8]), 3, strides=2, padding="same")(inputs)
    x = layers.Conv2DTranspose(1, 3, strides=2, padding="same", activation="sigmoid")(x)
    model = keras.Model(inputs, x)
    model.compile("adam", "binary_crossentropy")
    return model
