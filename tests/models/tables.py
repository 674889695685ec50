"""Classes and labels of tables."""

import keras
import keras_tuner
from keras import layers


def getting_started(hp):
    """An MLP whose layer, activation, dropout and learning rate are searched."""
    model = keras.Sequential([layers.Input((6,))])
    activation = hp.Choice("activation", ["relu", "tanh"])
    model.add(layers.Dense(hp.Int("units", 8, 32, step=8), activation=activation))
    if hp.Boolean("dropout"):
        model.add(layers.Dropout(0.25))
    model.add(layers.Dense(3, "softmax"))
    model.compile(
        keras.optimizers.Adam(hp.Float("lr", 1e-4, 1e-2, sampling="log")),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def layers_in_a_loop(hp):
    """As many layers as are asked for, each with its own width."""
    model = keras.Sequential()
    for number in range(hp.Int("layers", 1, 3)):
        model.add(layers.Dense(hp.Int(f"units_{number}", 8, 32, step=8), "relu"))
    model.add(layers.Dense(3))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    return model


class ForAnyClasses(keras_tuner.HyperModel):
    """Takes the number of classes."""

    def __init__(self, num_classes):
        super().__init__()
        self.num_classes = num_classes

    def build(self, hp):
        units = hp.Choice("units", [8, 16])
        model = keras.Sequential(
            [layers.Dense(units, "relu"), layers.Dense(self.num_classes, "softmax")]
        )
        name = hp.Choice("optimizer", ["adam", "rmsprop"])
        model.compile(name, "categorical_crossentropy", metrics=["accuracy"])
        return model


def not_compiled(hp):
    """Leaves the loss and the optimizer to Foldwise."""
    units = hp.Int("units", 8, 16, step=8)
    return keras.Sequential([layers.Input((6,)), layers.Dense(units, "relu"), layers.Dense(3)])


def normalized(hp):
    """Standardises its inputs itself, and its batches."""
    model = keras.Sequential([layers.Input((6,)), layers.Normalization(mean=0.0, variance=1.0)])
    model.add(layers.Dense(hp.Int("units", 8, 16, step=8)))
    model.add(layers.BatchNormalization(momentum=hp.Choice("momentum", [0.8, 0.9])))
    model.add(layers.ReLU())
    model.add(layers.Dense(3, "softmax"))
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def measured_by_auc(hp):
    """One output for two classes, measured by the area under its curve."""
    units = hp.Int("units", 8, 16, step=8)
    model = keras.Sequential([layers.Dense(units, "relu"), layers.Dense(1, "sigmoid")])
    model.compile("adam", "binary_crossentropy", metrics=[keras.metrics.AUC(name="auc")])
    return model


def of_a_rare_class(hp):
    """Two classes of very different sizes; begins at the rare one's share."""
    begin = keras.initializers.Constant(-2.2)
    model = keras.Sequential([layers.Dense(hp.Int("units", 8, 16, step=8), "relu")])
    model.add(layers.Dense(1, "sigmoid", bias_initializer=begin))
    measured = [keras.metrics.Precision(name="precision"), keras.metrics.Recall(name="recall")]
    model.compile("adam", keras.losses.BinaryCrossentropy(), metrics=measured)
    return model


def labels(hp):
    """A probability for each label."""
    units = hp.Int("units", 8, 16, step=8)
    model = keras.Sequential([layers.Dense(units, "relu"), layers.Dense(3, "sigmoid")])
    model.compile("adam", "binary_crossentropy", metrics=["binary_accuracy"])
    return model


def label_logits(hp):
    """A logit for each label."""
    units = hp.Int("units", 8, 16, step=8)
    model = keras.Sequential([layers.Dense(units, "relu"), layers.Dense(3)])
    model.compile("adam", keras.losses.BinaryFocalCrossentropy(from_logits=True))
    return model
