"""Transfer learning: a network of `keras.applications` without its top, and a small head on it.

Two spaces: `resnet152v2` (He et al., "Identity mappings in deep residual networks", 2016) and
`vgg16` (Simonyan and Zisserman, "Very deep convolutional networks", 2015). Images become colour and
32x32, the smallest size both take, and are scaled as in each backbone's training: -1..1 for
ResNetV2, blue-green-red minus ImageNet's means for VGG. The published runs, without this scaling,
had validation accuracies of 0.7283 and 0.0980 (diverged) on Fashion-MNIST.

`--set weights=imagenet` (the default) takes Keras's weights, from its cache or its download;
`weights=none` starts from random weights, and the backbone is trained from the first epoch;
`weights=FILE` takes a `.weights.h5` or `.h5` file of the backbone without its top. A backbone with
weights is frozen; with `fine_tune` it is trained after `frozen_epochs`, from block
`fine_tune_from` on, at `fine_tune_rate` times the learning rate. Batch normalisation stays frozen.

Run: `python -m search run --space vgg16 --dataset fashion_mnist --set weights=none`. Ranges: common
ones for a head. Expected on two cores: minutes per epoch on all 60,000 images; use
`--limit-samples`.
"""

import os
import socket
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from spaces import Boolean, Choice, DataSpec, Float, ImageInput, Int, Published, Space, SpaceError

HOST = ("storage.googleapis.com", 443)  # where Keras keeps its weights
TIMEOUT_SECONDS = 10.0
BACKBONE = "backbone"
SIDE = 32


def build(
    parameters: Mapping[str, Any], data: DataSpec, *, backbone: Callable[[str | None], Any]
) -> Any:
    """Return the uncompiled model: the backbone, frozen unless its weights are random, and a head.

    Input: pixels 0..255, `(n, 32, 32, 3)`. Output: class probabilities, `(n, classes)`.

    Args:
        parameters: the params.
        data: the data the model is built for.
        backbone: returns the backbone's first layers and itself, for given weights.
    """
    from keras import Input, Model, layers

    weights = parameters["weights"]
    scale, body = backbone(None if weights == "none" else weights)
    body.trainable = weights == "none"
    inputs = Input(data.input_shape)
    # Frozen batch normalisation must use its own means, even after the rest is unfrozen.
    x = body(scale(inputs), training=None if weights == "none" else False)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(parameters["dense_units"], activation="relu")(x)
    x = layers.Dropout(parameters["dropout"])(x)
    outputs = layers.Dense(data.outputs, activation=data.activation, dtype="float32")(x)
    return Model(inputs, outputs, name="transfer")


def unfreeze(model: Any, parameters: Mapping[str, Any]) -> float:
    """Unfreeze the backbone from block `fine_tune_from` on; return the learning rate's factor."""
    from keras import layers

    body = model.get_layer(BACKBONE)
    body.trainable = True
    begun = False
    for layer in body.layers:
        begun = begun or layer.name.startswith(_block_prefixes(parameters["fine_tune_from"]))
        layer.trainable = begun and not isinstance(layer, layers.BatchNormalization)
    return float(parameters["fine_tune_rate"])


def _block_prefixes(block: int) -> tuple[str, ...]:
    return (f"block{block}_", f"conv{block}_")


def check(space: Space, *, file_name: str) -> None:
    """Check that ImageNet's weights are available if they are needed.

    Raises:
        SpaceError: they are not in Keras's cache and its server cannot be reached.
    """
    weights = space["weights"]
    if not weights.contains("imagenet") or (weights.fixed and weights.default != "imagenet"):
        return
    if (_keras_folder() / "models" / file_name).is_file():
        return
    try:
        socket.create_connection(HOST, timeout=TIMEOUT_SECONDS).close()
    except OSError as error:
        raise SpaceError(
            f"space {space.name}: ImageNet's weights are not available: {file_name} is not in"
            f" {_keras_folder() / 'models'}, and {HOST[0]} cannot be reached ({error})."
            " Start from random weights with `--set weights=none`, or name a file of the"
            " backbone's weights with `--set weights=FILE`."
        ) from error


def _keras_folder() -> Path:
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras").expanduser()


def _resnet152v2(weights: str | None) -> tuple[Any, Any]:
    from keras import layers
    from keras.applications import ResNet152V2

    body = ResNet152V2(
        include_top=False, weights=weights, input_shape=(SIDE, SIDE, 3), name=BACKBONE
    )
    return layers.Rescaling(1 / 127.5, offset=-1.0), body


def _vgg16(weights: str | None) -> tuple[Any, Any]:
    from keras import layers
    from keras.applications import VGG16

    body = VGG16(include_top=False, weights=weights, input_shape=(SIDE, SIDE, 3), name=BACKBONE)

    def scale(images: Any) -> Any:
        pixels = layers.Rescaling(1.0)(images)[..., ::-1]  # blue, green, red
        means = [103.939, 116.779, 123.68]
        return layers.Normalization(mean=means, variance=[1.0, 1.0, 1.0], name="scaled")(pixels)

    return scale, body


def _space(
    name: str,
    summary: str,
    *,
    backbone: Callable[[str | None], Any],
    file_name: str,
    rate: float,
    published: Published,
) -> Space:
    return Space(
        name=name,
        summary=summary,
        dataset="fashion_mnist",
        inputs=ImageInput(size=(SIDE, SIDE), channels=3),
        parameters=(
            Choice("weights", ("imagenet", "none"), or_file=True, fixed=True),
            Int("dense_units", 64, 512, log=True, default=256),
            Float("dropout", 0.0, 0.6, step=0.05, default=0.2),
            Boolean("fine_tune"),
            Int("frozen_epochs", 1, 20, default=2, when=("fine_tune", True), fixed=True),
            Choice("fine_tune_from", (5, 4, 3), when=("fine_tune", True)),
            Float("fine_tune_rate", 0.01, 1.0, log=True, default=0.1, when=("fine_tune", True)),
            Float("learning_rate", 1e-5, 1e-2, log=True, default=rate),
            Choice("batch_size", (32, 64, 128), default=64),
        ),
        baselines={"transfer": {}},
        published={"transfer": published},
        build=partial(build, backbone=backbone),
        check=partial(check, file_name=file_name),
        unfreeze=unfreeze,
    )


RESNET152V2 = _space(
    "resnet152v2",
    "ResNet152V2, pretrained or not, with a small head; optionally fine-tuned",
    backbone=_resnet152v2,
    file_name="resnet152v2_weights_tf_dim_ordering_tf_kernels_notop.h5",
    rate=1e-3,
    published=Published(
        58_858_762, {"fashion_mnist": 0.7283}, epochs=1, measured_on="validation", seconds=3600
    ),
)
VGG16 = _space(
    "vgg16",
    "VGG16, pretrained or not, with a small head; optionally fine-tuned",
    backbone=_vgg16,
    file_name="vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
    rate=1e-4,
    published=Published(
        14_848_586, {"fashion_mnist": 0.0980}, epochs=1, measured_on="validation", seconds=1800
    ),
)
