"""Models, losses, metrics and training steps of one's own."""

import keras
import tensorflow as tf
from keras import layers, ops


@keras.saving.register_keras_serializable("tests")
class Subclassed(keras.Model):
    """A model with a `call` of its own."""

    def __init__(self, units=8, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.hidden = layers.Dense(units, "relu")
        self.dropout = layers.Dropout(0.2)
        self.last = layers.Dense(3, "softmax")

    def call(self, inputs, training=False):
        return self.last(self.dropout(self.hidden(inputs), training=training))

    def get_config(self):
        return {**super().get_config(), "units": self.units}


def subclassed(hp):
    model = Subclassed(hp.Choice("units", [8, 16]))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


@keras.saving.register_keras_serializable("tests")
class OwnStep(keras.Model):
    """A model that computes and applies its gradients itself."""

    def train_step(self, data):
        x, y, weights = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            made = self(x, training=True)
            loss = self.compute_loss(x, y, made, weights)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
            else:
                metric.update_state(y, made, sample_weight=weights)
        return {metric.name: metric.result() for metric in self.metrics}


def own_step(hp):
    inputs = keras.Input((6,))
    x = layers.Dense(hp.Choice("units", [8, 16]), "relu")(inputs)
    model = OwnStep(inputs, layers.Dense(3, "softmax")(x))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def own_loss(hp):
    """A focal loss of one-hot labels, whose exponent is searched."""
    gamma = hp.Choice("gamma", [1.0, 2.0])

    def focal(y_true, y_pred):
        made = ops.clip(y_pred, 1e-6, 1.0)
        return ops.sum(-y_true * (1 - made) ** gamma * ops.log(made), axis=-1)

    model = keras.Sequential([layers.Dense(8, "relu"), layers.Dense(3, "softmax")])
    model.compile("adam", focal, metrics=["accuracy"])
    return model


@keras.saving.register_keras_serializable("tests")
class Within(keras.metrics.Metric):
    """The share of predictions within a tolerance."""

    def __init__(self, tolerance=20_000.0, name="within", **kwargs):
        super().__init__(name=name, **kwargs)
        self.tolerance = tolerance
        self.hits = self.add_weight(name="hits", initializer="zeros")
        self.seen = self.add_weight(name="seen", initializer="zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):
        near = ops.cast(ops.abs(y_true - y_pred) < self.tolerance, "float32")
        self.hits.assign_add(ops.sum(near))
        self.seen.assign_add(ops.cast(ops.size(near), "float32"))

    def result(self):
        return self.hits / ops.maximum(self.seen, 1.0)

    def get_config(self):
        return {**super().get_config(), "tolerance": self.tolerance}


def own_metric(hp):
    inputs = keras.Input((6,))
    x = layers.Dense(hp.Choice("units", [8, 16]), "relu")(inputs)
    model = keras.Model(inputs, layers.Dense(1)(x))
    model.compile(keras.optimizers.Adam(0.01), "mae", metrics=[Within()])
    return model


def _of_policy(hp, policy):
    keras.mixed_precision.set_global_policy(policy)
    inputs = keras.Input((6,))
    x = layers.Dense(hp.Choice("units", [8, 16]), "relu")(inputs)
    model = keras.Model(inputs, layers.Dense(3, "softmax", dtype="float32")(x))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def half(hp):
    """Sets Keras's policy to float16, with a scaled loss."""
    return _of_policy(hp, "mixed_float16")


def brain(hp):
    """Sets Keras's policy to bfloat16."""
    return _of_policy(hp, "mixed_bfloat16")


@keras.saving.register_keras_serializable("tests")
class Explaining(keras.Model):
    """Returns a text beside its outputs."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.last = layers.Dense(3, "softmax")

    def call(self, inputs):
        return self.last(inputs), "a class"


def no_tensors(hp):
    """Returns more than tensors."""
    hp.Choice("unused", [1, 2])
    model = Explaining()
    model.compile("adam", "sparse_categorical_crossentropy")
    return model
