"""Trainings of one's own, and callbacks."""

import keras
import keras_tuner
import numpy as np
import tensorflow as tf
from keras import layers


class _Dense(keras_tuner.HyperModel):
    def build(self, hp):
        units = hp.Choice("units", [8, 16])
        model = keras.Sequential(
            [layers.Input((6,)), layers.Dense(units, "relu"), layers.Dense(3, "softmax")]
        )
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model


class TunedFit(_Dense):
    """Searches the batch size and the number of epochs."""

    def fit(self, hp, model, *args, **kwargs):
        kwargs |= {"batch_size": hp.Choice("batch", [16, 32]), "epochs": hp.Int("rounds", 1, 2)}
        return model.fit(*args, **kwargs)


class Loop(_Dense):
    """Trains with a loop of its own, and returns a number."""

    def fit(self, hp, model, x, y, validation_data, callbacks=(), epochs=1, **kwargs):
        optimizer = keras.optimizers.Adam(hp.Float("rate", 1e-3, 1e-1, sampling="log"))
        measure = keras.losses.SparseCategoricalCrossentropy()
        batches = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(len(x), seed=1).batch(32)
        for callback in callbacks:
            callback.set_model(model)
        best = np.inf
        for epoch in range(epochs):
            for rows, targets in batches:
                with tf.GradientTape() as tape:
                    loss = measure(targets, model(rows, training=True))
                gradients = tape.gradient(loss, model.trainable_variables)
                optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
            reached = float(measure(validation_data[1], model(validation_data[0])))
            best = min(best, reached)
            for callback in callbacks:
                callback.on_epoch_end(epoch, logs={"val_loss": reached})
        return {"val_loss": best}


class Weighted(_Dense):
    """Passes weights of classes."""

    def fit(self, hp, model, *args, **kwargs):
        heavy = hp.Choice("heavy", [1.0, 3.0])
        return model.fit(*args, class_weight={0: heavy, 1: 1.0, 2: 1.0}, **kwargs)


def stopping():
    return [keras.callbacks.EarlyStopping(monitor="val_loss", patience=1)]


def reducing():
    return [keras.callbacks.ReduceLROnPlateau(monitor="val_loss", factor=0.5, patience=1)]


def telling():
    return [keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: dict(logs or {}))]
