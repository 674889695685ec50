"""Several inputs, and several outputs."""

import keras
from keras import layers


def wide_and_deep(hp):
    """A linear part of some columns, and layers of the others."""
    wide, deep = keras.Input((2,), name="wide"), keras.Input((4,), name="deep")
    x = layers.Dense(hp.Choice("units", [8, 16]), "relu")(deep)
    x = layers.Concatenate()([wide, x])
    model = keras.Model([wide, deep], layers.Dense(3, "softmax")(x))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def picture_and_row(hp):
    """Convolutions of a picture beside a row."""
    picture, row = keras.Input((12, 12, 1), name="picture"), keras.Input((3,), name="row")
    x = layers.Conv2D(hp.Choice("filters", [4, 8]), 3, activation="relu")(picture)
    x = layers.Concatenate()([layers.GlobalAveragePooling2D()(x), row])
    model = keras.Model([picture, row], layers.Dense(1)(layers.Dense(8, "relu")(x)))
    model.compile("adam", "mse", metrics=["mae"])
    return model


def text_and_row(hp):
    """Words as vectors beside a row, by the names of a dictionary."""
    inputs = {
        "text": keras.Input((50,), dtype="int32", name="text"),
        "row": keras.Input((3,), name="row"),
    }
    x = layers.Embedding(10_000, hp.Choice("width", [4, 8]))(inputs["text"])
    x = layers.Concatenate()([layers.GlobalAveragePooling1D()(x), inputs["row"]])
    model = keras.Model(inputs, layers.Dense(1, "sigmoid")(x))
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return model


def kind_and_price(hp):
    """A class and a number."""
    row = keras.Input((6,))
    x = layers.Dense(hp.Choice("units", [8, 16]), "relu")(row)
    outputs = {
        "kind": layers.Dense(3, activation="softmax")(x),
        "price": layers.Dense(1)(x),
    }
    model = keras.Model(row, outputs)
    model.compile(
        "adam",
        {"kind": "sparse_categorical_crossentropy", "price": "mse"},
        loss_weights={"kind": 1.0, "price": hp.Choice("weight", [0.2, 0.5])},
        metrics={"kind": ["accuracy"], "price": ["mae"]},
    )
    return model
