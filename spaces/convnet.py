"""This project's own network for small images: residual or separable blocks.

A stem, then three stages of blocks at full, half and quarter size, batch normalisation throughout,
global pooling, no dense layer except the output; trained with AdamW, a cosine schedule with
warm-up, label smoothing and augmentation.

Source: He et al., "Deep residual learning", 2016, for the residual block; Chollet, "Xception",
2017, for the separable one; Loshchilov and Hutter, "SGDR", 2017, and "Decoupled weight decay",
2019, for schedule and optimizer; Szegedy et al. 2016 for label smoothing. Ranges: where trials of
this project's own search on Fashion-MNIST did well; the baselines are also its own (decision 0011).

Run: `python -m search run --space convnet --dataset fashion_mnist --epochs 30`. Expected on two
idle cores: about a minute an epoch of 60,000 images at width 32. Test accuracy, from
`docs/results.md`: 0.9470 on Fashion-MNIST after 30 epochs, 0.9967 on MNIST after 8.
"""

from collections.abc import Mapping
from typing import Any

from spaces import Boolean, Choice, DataSpec, Float, ImageInput, Int, Params, Published, Space


def build(parameters: Mapping[str, Any], data: DataSpec) -> Any:
    """Return the uncompiled model.

    Input: pixels 0..255, `(n, height, width, channels)`, sides of at least 8. Output: class
    probabilities, `(n, classes)`.
    """
    from keras import Input, Model, layers

    separable = parameters["block"] == "separable"
    width = parameters["width"]

    def convolution(x: Any, filters: int, *, plain: bool = False) -> Any:
        kind = layers.SeparableConv2D if separable and not plain else layers.Conv2D
        x = kind(filters, 3, padding="same", use_bias=False)(x)
        # Keras's default moving averages are too slow for short trainings.
        return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))

    def block(x: Any) -> Any:
        return layers.Add()([x, convolution(convolution(x, x.shape[-1]), x.shape[-1])])

    inputs = Input(data.input_shape)
    x = convolution(layers.Rescaling(1 / 255)(inputs), width, plain=True)
    x = layers.MaxPooling2D()(convolution(x, 2 * width))
    for stage, filters in enumerate((2 * width, 4 * width)):
        if stage:
            x = layers.MaxPooling2D()(convolution(x, filters))
        for _ in range(parameters["blocks"]):
            x = block(x)
    maximum = parameters["pooling"] == "max"
    x = (layers.GlobalMaxPooling2D() if maximum else layers.GlobalAveragePooling2D())(x)
    x = layers.Dropout(parameters["dropout"])(x)
    outputs = layers.Dense(data.outputs, activation=data.activation, dtype="float32")(x)
    return Model(inputs, outputs, name="convnet")


_TUNED: Params = {
    "pooling": "max",
    "dropout": 0.2,
    "learning_rate": 3e-3,
    "weight_decay": 0.05,
    "label_smoothing": 0.05,
    "batch_size": 128,
    "shift": 0.1,
}

SPACE = Space(
    name="convnet",
    summary="residual or separable blocks with batch normalisation, tuned for accuracy",
    dataset="fashion_mnist",
    inputs=ImageInput(),
    parameters=(
        Int("width", 16, 48, step=8, default=32),
        Int("blocks", 1, 2),
        Choice("block", ("residual", "separable")),
        Choice("pooling", ("max", "average")),
        Float("dropout", 0.0, 0.4, step=0.1, default=0.2),
        Choice("optimizer", ("adam", "adamw", "sgd", "rmsprop"), default="adamw", fixed=True),
        Float("learning_rate", 2e-3, 2e-2, log=True, default=3e-3),
        Float("weight_decay", 1e-2, 1e-1, log=True, default=2e-2, when=("optimizer", "adamw")),
        Choice("schedule", ("constant", "cosine", "plateau"), default="cosine", fixed=True),
        Float("label_smoothing", 0.0, 0.2, step=0.05, default=0.1),
        Choice("batch_size", (64, 128, 256), default=128),
        Boolean("augmentation", default=True, fixed=True),
        Float("shift", 0.0, 0.1, step=0.05, default=0.05, when=("augmentation", True)),
        Float("rotation", 0.0, 10.0, step=5.0, when=("augmentation", True)),
        Float("zoom", 0.0, 0.1, step=0.05, when=("augmentation", True)),
        Boolean("flip", when=("augmentation", True)),
    ),
    baselines={
        "clothes": {**_TUNED, "width": 32, "flip": True},
        "digits": {**_TUNED, "width": 24, "rotation": 10.0, "zoom": 0.1},
    },
    published={
        "clothes": Published(464_810, {"fashion_mnist": None}, epochs=30, seconds=2000),
        "digits": Published(262_210, {"mnist": None}, epochs=8, seconds=500),
    },
    build=build,
)
