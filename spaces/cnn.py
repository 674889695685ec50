"""A plain convolutional network: two or three convolutions with pooling, one or two dense layers.

Depth, pooling and widths are parameters, so that the small networks of many tutorials are points
of one space. Source: the layout is LeCun's of 1998 with ReLU, max pooling and dropout (Srivastava
et al. 2014). The baselines are published Keras models, all without padding and with 3x3
kernels unless stated otherwise:

- `compact`: 32 and 64 filters, 64 dense units, dropout 0.5, Adam, batch 32, 10 epochs:
  121,930 parameters, test accuracy 0.9064 on Fashion-MNIST.
- `narrow`: 32 and 32 filters, 128 dense units, Adam, learning rate 1e-3: 113,386 parameters;
  `narrow-tuned`: 64 and 64 filters of 5x5, dropout 0.5, learning rate 1e-4: 236,618 parameters;
  both batch 64, 10 epochs: test accuracy 0.99 on MNIST and 0.88 on Fashion-MNIST.
- `three-block`: 32, 64 and 128 filters, 128 dense units, dropout 0.25 after both pools and before
  the output, batch 32: 241,546 parameters, test accuracy 0.9031 on Fashion-MNIST.
- `three-conv`: 32, 64 and 64 filters, two dense layers of 64, batch 64: 97,482 parameters,
  accuracy 0.8463 on the last fifth of the training data after the first epoch.

Run: `python -m search run --space cnn --dataset fashion_mnist`. Ranges: around the baselines.
Expected on two cores: 0.90 to 0.91 in cross-validation after 10 epochs on all 60,000 images, 5 to
10 s an epoch of 48,000.
"""

from collections.abc import Mapping
from typing import Any

from spaces import Boolean, Choice, DataSpec, Float, ImageInput, Int, Published, Space


def build(parameters: Mapping[str, Any], data: DataSpec) -> Any:
    """Return the uncompiled model.

    Input: pixels 0..255, `(n, 28, 28, channels)`. Output: class probabilities, `(n, classes)`.
    """
    from keras import Sequential, layers

    stack = [layers.Input(data.input_shape), layers.Rescaling(1 / 255)]
    for number in range(1, parameters["convolutions"] + 1):
        filters = parameters[f"filters_{number}"]
        kernel = (
            parameters["kernel"] if number < 3 else 3
        )  # the remaining 4x4 pixels are too few for a 5x5 kernel
        stack.append(layers.Conv2D(filters, kernel, activation="relu"))
        if number < 3 or parameters["pool_3"]:
            maximum = parameters["pooling"] == "max"
            stack.append((layers.MaxPooling2D if maximum else layers.AveragePooling2D)(2))
            stack.append(layers.Dropout(parameters["conv_dropout"]))
    stack += [layers.Flatten(), layers.Dense(parameters["dense_units"], activation="relu")]
    if parameters["second_dense"]:
        stack.append(layers.Dense(parameters["dense_2_units"], activation="relu"))
    stack += [
        layers.Dropout(parameters["dropout"]),
        layers.Dense(data.outputs, activation=data.activation, dtype="float32"),
    ]
    return Sequential(stack, name="cnn")


SPACE = Space(
    name="cnn",
    summary="plain convolutional network: 2 or 3 convolutions, 1 or 2 dense layers",
    dataset="fashion_mnist",
    inputs=ImageInput(size=(28, 28)),
    parameters=(
        Choice("convolutions", (2, 3)),
        Int("filters_1", 16, 64, log=True, default=32),
        Int("filters_2", 16, 128, log=True, default=64),
        Int("filters_3", 32, 256, log=True, default=64, when=("convolutions", 3)),
        Choice("kernel", (3, 5)),
        Choice("pooling", ("max", "average")),
        Boolean("pool_3", when=("convolutions", 3)),
        Float("conv_dropout", 0.0, 0.5, step=0.05),
        Int("dense_units", 32, 256, log=True, default=64),
        Boolean("second_dense"),
        Int("dense_2_units", 32, 128, log=True, default=64, when=("second_dense", True)),
        Float("dropout", 0.0, 0.6, step=0.05),
        Float("learning_rate", 1e-4, 1e-2, log=True, default=1e-3),
        Choice("batch_size", (32, 64, 128)),
    ),
    baselines={
        "compact": {"filters_1": 32, "filters_2": 64, "dense_units": 64, "dropout": 0.5},
        "narrow": {
            "filters_1": 32,
            "filters_2": 32,
            "dense_units": 128,
            "learning_rate": 1e-3,
            "batch_size": 64,
        },
        "narrow-tuned": {
            "filters_1": 64,
            "filters_2": 64,
            "kernel": 5,
            "dense_units": 128,
            "dropout": 0.5,
            "learning_rate": 1e-4,
            "batch_size": 64,
        },
        "three-block": {
            "convolutions": 3,
            "filters_1": 32,
            "filters_2": 64,
            "filters_3": 128,
            "conv_dropout": 0.25,
            "dense_units": 128,
            "dropout": 0.25,
        },
        "three-conv": {
            "convolutions": 3,
            "filters_1": 32,
            "filters_2": 64,
            "filters_3": 64,
            "dense_units": 64,
            "second_dense": True,
            "dense_2_units": 64,
            "batch_size": 64,
        },
    },
    published={
        "compact": Published(121_930, {"fashion_mnist": 0.9064}, epochs=10, seconds=60),
        "narrow": Published(113_386, {"mnist": 0.99, "fashion_mnist": 0.88}, epochs=10, seconds=50),
        "narrow-tuned": Published(
            236_618, {"mnist": 0.99, "fashion_mnist": 0.88}, epochs=10, seconds=120
        ),
        "three-block": Published(241_546, {"fashion_mnist": 0.9031}, epochs=10, seconds=100),
        "three-conv": Published(
            97_482, {"fashion_mnist": 0.8463}, epochs=1, measured_on="last fifth", seconds=10
        ),
    },
    build=build,
)
