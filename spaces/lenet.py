"""LeNet-5 with wider layers, ReLU and max pooling, and the space around it.

Source: LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document
recognition", 1998, for the layout; Xiao, Rasul and Vollgraf, "Fashion-MNIST", 2017, for the data.
The baselines are two published Keras models for Fashion-MNIST: `lenet5` as published, validation
accuracy 0.8985 after 10 epochs (five folds 0.869 0.879 0.863 0.886 0.855), and
`keras-tuner`, the filters and kernels KerasTuner chose, 0.8964. The tuned dropout and learning
rate were not published; 0.25 and 1e-3 are used instead.

Run: `python -m search run --space lenet --dataset fashion_mnist`. Ranges: those of the published
search. Expected on two cores: about 0.905 in cross-validation after 10 epochs on all 60,000
images, about 10 s an epoch of 48,000.
"""

from collections.abc import Mapping
from typing import Any

from spaces import Boolean, Choice, DataSpec, Float, ImageInput, Int, Published, Space


def build(parameters: Mapping[str, Any], data: DataSpec) -> Any:
    """Return the uncompiled model.

    Input: pixels 0..255, `(n, 32, 32, channels)`. Output: class probabilities, `(n, classes)`.
    """
    from keras import Sequential, layers

    first = layers.Conv2D(
        parameters["conv_1_filters"],
        parameters["conv_1_kernel"],
        padding="same",
        activation="relu",
    )
    extra = []
    if parameters["extra_conv"]:
        filters, kernel = parameters["conv_2_filters"], parameters["conv_2_kernel"]
        extra = [layers.Conv2D(filters, kernel, activation="relu")]
    return Sequential(
        [
            layers.Input(data.input_shape),
            layers.Rescaling(1 / 255),
            first,
            layers.MaxPooling2D(),
            layers.Conv2D(48, 5, activation="relu"),
            *extra,
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(256, activation="relu"),
            layers.Dropout(parameters["dropout"]),
            layers.Dense(84, activation="relu"),
            layers.Dense(data.outputs, activation=data.activation, dtype="float32"),
        ],
        name="lenet",
    )


SPACE = Space(
    name="lenet",
    summary="LeNet-5: two convolutions, optionally a third, and three dense layers",
    dataset="fashion_mnist",
    inputs=ImageInput(size=(32, 32), channels=1),
    parameters=(
        Int("conv_1_filters", 32, 64),
        Choice("conv_1_kernel", (3, 5), default=5),
        Boolean("extra_conv"),
        Int("conv_2_filters", 32, 128, when=("extra_conv", True)),
        Choice("conv_2_kernel", (3, 5), when=("extra_conv", True)),
        Float("dropout", 0.0, 0.5, step=0.05),
        Float("learning_rate", 1e-4, 1e-2, log=True, default=1e-3),
    ),
    baselines={
        "lenet5": {
            "conv_1_filters": 32,
            "conv_1_kernel": 5,
            "extra_conv": False,
            "dropout": 0.0,
            "learning_rate": 1e-3,
            "optimizer": "adam",
            "batch_size": 32,
        },
        "keras-tuner": {
            "conv_1_filters": 47,
            "conv_1_kernel": 5,
            "extra_conv": True,
            "conv_2_filters": 117,
            "conv_2_kernel": 3,
            "dropout": 0.25,
            "learning_rate": 1e-3,
            "optimizer": "adam",
            "batch_size": 32,
        },
    },
    published={
        "lenet5": Published(
            504_342, {"fashion_mnist": 0.8985}, epochs=10, measured_on="validation", seconds=120
        ),
        "keras-tuner": Published(
            879_825, {"fashion_mnist": 0.8964}, epochs=10, measured_on="validation", seconds=240
        ),
    },
    build=build,
)
