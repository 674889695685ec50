"""Which pixels models are made for, found out on models as they are built."""

from typing import Any

import numpy as np
import pytest

from spaces import SpaceError
from spaces.keras_tuner.pixels import check_pixels, wanted_pixels

pytestmark = pytest.mark.slow  # models are built, with TensorFlow

GREY, COLOUR = (16, 16, 1), (64, 64, 3)
PIXELS = np.random.default_rng(0).integers(0, 256, (40, *GREY)).astype("float32")

keras: Any = None  # loaded for these tests, not where tests are gathered: it takes seconds
layers: Any = None
applications: Any = None


@pytest.fixture(autouse=True, scope="module")
def loaded_keras():
    global keras, layers, applications  # cases are made of them
    import keras
    from keras import applications, layers


def stack(*first, shape=GREY):
    head = [layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(3)]
    return keras.Sequential([layers.Input(shape), *first, *head])


def graph(function, shape=COLOUR):
    inputs = keras.Input(shape)
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(function(inputs))))


def adapted(pixels):
    layer = layers.Normalization(axis=None)
    layer.adapt(pixels)
    return layer


def written(first):
    """Return a model whose own `call` does something with the pixels first."""

    class Written(keras.Model):
        def __init__(self):
            super().__init__()
            self.first, self.flat, self.last = first, layers.Flatten(), layers.Dense(3)

        def call(self, x):
            return self.last(self.flat(self.first(x)))

    return Written()


RAW = {
    "rescaling": lambda: stack(layers.Rescaling(1 / 255)),
    "to -1..1": lambda: stack(layers.Rescaling(1 / 127.5, offset=-1)),
    "behind others": lambda: stack(
        layers.Resizing(20, 20),
        layers.CenterCrop(12, 12),
        layers.RandomFlip(),
        layers.Rescaling(1 / 255),
    ),
    "padded": lambda: stack(layers.ZeroPadding2D(2), layers.Rescaling(1 / 255)),
    "adapted": lambda: stack(adapted(PIXELS)),
    "mean alone": lambda: stack(layers.Normalization(mean=130.0, variance=1.0, axis=None)),
    "operators": lambda: graph(lambda x: x / 255.0),
    "a root": lambda: graph(lambda x: keras.ops.sqrt(x / 255.0)),
    "a threshold": lambda: graph(lambda x: keras.ops.cast(x > 127, "float32")),
    "a division": lambda: graph(lambda x: keras.ops.divide(x, 255.0)),
    "a lambda": lambda: graph(layers.Lambda(lambda x: x / 255.0)),
    "preprocessing, tf": lambda: graph(applications.mobilenet_v2.preprocess_input),
    "preprocessing, caffe": lambda: graph(applications.resnet.preprocess_input),
    "preprocessing, torch": lambda: graph(applications.densenet.preprocess_input),
    "nested": lambda: keras.Sequential([layers.Input(GREY), stack(layers.Rescaling(1 / 255))]),
    "without an input": lambda: keras.Sequential(
        [layers.Rescaling(1 / 255), layers.Flatten(), layers.Dense(3)]
    ),
    "subclassed": lambda: written(layers.Rescaling(1 / 255)),
    "mobilenet": lambda: applications.MobileNetV3Small(
        weights=None, input_shape=COLOUR, include_top=False
    ),
}
SCALED = {
    "adapted": lambda: stack(adapted(PIXELS / 255)),
    "from 0..1 to -1..1": lambda: stack(layers.Rescaling(2, offset=-1)),
    "from 0..1 to 0..255": lambda: stack(layers.Rescaling(255)),
}
UNKNOWN = {
    "plain": stack,
    "never adapted": lambda: stack(layers.Normalization()),
    "batch normalization": lambda: stack(layers.BatchNormalization()),
    "clipped": lambda: graph(lambda x: keras.ops.clip(x, 0, 1)),
    "subclassed": lambda: written(lambda x: x),
}


@pytest.mark.parametrize(
    ("make", "wanted"),
    [
        *(pytest.param(make, "raw", id=f"raw: {name}") for name, make in RAW.items()),
        *(pytest.param(make, "scaled", id=f"scaled: {name}") for name, make in SCALED.items()),
        *(pytest.param(make, None, id=f"unknown: {name}") for name, make in UNKNOWN.items()),
    ],
)
def test_a_model_shows_which_pixels_it_is_made_for(make, wanted):
    model = make()
    shape = getattr(model, "input_shape", None) if model.built else None
    assert wanted_pixels(model, shape[1:] if shape else GREY) == wanted


def test_looking_changes_no_weights():
    model = stack(layers.Rescaling(1 / 255), layers.BatchNormalization())
    before = model.get_weights()
    wanted_pixels(model, GREY)
    assert all(map(np.array_equal, before, model.get_weights()))


@pytest.mark.parametrize("given", ["raw", "scaled"])
def test_a_model_made_for_other_pixels_is_refused_with_the_way_out(given):
    right, wrong = (stack(layers.Rescaling(1 / 255)), stack())[:: 1 if given == "raw" else -1]
    check_pixels(right, GREY, given)
    with pytest.raises(SpaceError, match="let all of them rescale, or none, or set"):
        check_pixels(wrong, GREY, given)


@pytest.mark.parametrize(
    "wrong", [lambda x: x / 255.0, lambda x: keras.ops.cast(x - 130, "float32")]
)
def test_arithmetic_that_fails_on_bytes_is_refused_with_the_way_out(wrong):
    with pytest.raises(SpaceError, match=r'Begin with `keras.ops.cast\(x, "float32"\)`'):
        wanted_pixels(written(wrong), GREY)
