"""A multilayer perceptron: two dense layers over pixels or the columns of a table.

Source: Rumelhart, Hinton and Williams, "Learning representations by back-propagating errors",
1986; dropout from Srivastava et al. 2014. The baselines are published Keras models: `small`,
Dense 128, Dropout 0.5, Dense 64, learning rate 1e-3 (109,386 parameters on 28x28 images), and
`small-tuned`, Dense 256 and 128, dropout 0.3, learning rate 1e-4 (235,146); both Adam, batch 64, 10
epochs: test accuracy 0.97 on MNIST and 0.87 on Fashion-MNIST.

Run: `python -m search run --space mlp --dataset mnist`. Ranges: around the baselines. Expected on
two cores: 0.97 on MNIST, 0.87 on Fashion-MNIST after 10 epochs on all 60,000 images, 2 s an epoch.
"""

from collections.abc import Mapping
from typing import Any

from spaces import Choice, DataSpec, Float, ImageInput, Int, Published, Space, TableInput


def build(parameters: Mapping[str, Any], data: DataSpec) -> Any:
    """Return the uncompiled model.

    Input: pixels 0..255, `(n, height, width, channels)`, or standardised rows, `(n, columns)`.
    Output: class probabilities, `(n, classes)`.
    """
    from keras import Sequential, layers

    pixels = [layers.Rescaling(1 / 255), layers.Flatten()] if data.kind == "image" else []
    return Sequential(
        [
            layers.Input(data.input_shape),
            *pixels,
            layers.Dense(parameters["units_1"], activation="relu"),
            layers.Dropout(parameters["dropout"]),
            layers.Dense(parameters["units_2"], activation="relu"),
            layers.Dense(data.outputs, activation=data.activation, dtype="float32"),
        ],
        name="mlp",
    )


SPACE = Space(
    name="mlp",
    summary="multilayer perceptron: two dense layers, for images and tables",
    dataset="mnist",
    inputs=(ImageInput(), TableInput()),
    parameters=(
        Int("units_1", 32, 512, log=True, default=128),
        Float("dropout", 0.0, 0.6, step=0.05),
        Int("units_2", 16, 256, log=True, default=64),
        Float("learning_rate", 1e-4, 1e-2, log=True, default=1e-3),
        Choice("batch_size", (32, 64, 128), default=64),
    ),
    baselines={
        "small": {
            "units_1": 128,
            "dropout": 0.5,
            "units_2": 64,
            "learning_rate": 1e-3,
            "batch_size": 64,
        },
        "small-tuned": {
            "units_1": 256,
            "dropout": 0.3,
            "units_2": 128,
            "learning_rate": 1e-4,
            "batch_size": 64,
        },
    },
    published={
        "small": Published(109_386, {"mnist": 0.97, "fashion_mnist": 0.87}, epochs=10, seconds=14),
        "small-tuned": Published(
            235_146, {"mnist": 0.97, "fashion_mnist": 0.87}, epochs=10, seconds=20
        ),
    },
    build=build,
)
