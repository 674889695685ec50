"""A module of a user's own, whose objects are passed instead of named."""

import functools

import keras_tuner

WIDTHS = [8, 16]
LABELS = {"b": 2, "a": 1}


def layer(units):
    import keras

    return keras.layers.Dense(units, "relu")


def build(hp):
    """A model with one hidden layer."""
    import keras

    return keras.Sequential(
        [
            keras.layers.Input((4,)),
            layer(hp.Choice("units", WIDTHS)),
            keras.layers.Dense(2, "softmax"),
        ]
    )


class Model(keras_tuner.HyperModel):
    def __init__(self, widths):
        super().__init__()
        self.widths = widths

    def build(self, hp):
        return build_with(hp, widths=self.widths)


def build_with(hp, widths):
    import keras

    return keras.Sequential(
        [keras.layers.Input((4,)), layer(hp.Choice("units", widths)), keras.layers.Dense(2)]
    )


def made(widths):
    def inner(hp):
        return build_with(hp, widths)

    return inner


class Maker:
    widths = (8, 16)

    def build(self, hp):
        return build_with(hp, list(self.widths))


SHAPES = {
    "function": build,
    "lambda": lambda hp: build(hp),
    "partial": functools.partial(build_with, widths=[8, 16]),
    "closure": made([8, 16]),
    "method": Maker().build,
    "hypermodel": Model([8, 16]),
}
