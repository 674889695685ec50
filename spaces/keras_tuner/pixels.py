"""Whether a model wants pixels as they are, 0 to 255, or scaled to 0 to 1: found by trying.

Keras's guides let models rescale pixels themselves, by `Rescaling(1 / 255)`, an adapted
`Normalization` or an application's `preprocess_input`. Other models of the same look want 0 to 1.
Which it is shows at the first layer with weights: even grey pictures are put in, and what
arrives there tells by how much, and from where, pixels were scaled on the way.
"""

import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from spaces.declaring.parameters import SpaceError
from spaces.declaring.space import ONE_RANGE, PIXEL_RANGES, Pixels

Array: TypeAlias = npt.NDArray[Any]

MIDDLE, BRIGHTEST = 128.0, 255.0
# A model that takes pixels 0..255 to about 1 has a factor of 1/255, one that does nothing 1: what
# is nearer to the first in ratio is meant for pixels 0..255.
_LEAST_FACTOR = BRIGHTEST**-0.5
_LEAST_MIDDLE = 2.0  # a value that is taken for zero; of pixels 0..1 it is at most 1
_TOLERANCE = 1e-3  # of the range, for arithmetic in bfloat16's and float32's precision


def wanted_pixels(model: Any, shape: tuple[int, ...]) -> Pixels | None:
    """Return the pixels that a model is made for; None where nothing in it tells.

    Args:
        model: a Keras model for images.
        shape: of one image, `(height, width, channels)`.

    Raises:
        SpaceError: it is made for pixels 0 to 255, and wrong for these as whole numbers.
    """
    greys = np.array([0.0, MIDDLE, BRIGHTEST], np.float32)
    images = np.broadcast_to(greys[:, None, None, None], (3, *shape)).copy()
    if _takes_whole_numbers(model):
        return "raw"
    arrived = _at_first_weights(model, images)
    if arrived is None:
        return None
    wanted = _scale_of(arrived).wanted()
    if wanted == "raw":
        _check_bytes(model, images, arrived)
    return wanted


def check_pixels(model: Any, shape: tuple[int, ...], given: Pixels) -> None:
    """Check that a model is made for the pixels that it is given.

    Raises:
        SpaceError: it is made for others.
    """
    wanted = wanted_pixels(model, shape)
    if (wanted == "raw") != (given == "raw"):
        does = "rescales pixels itself" if wanted == "raw" else "does not rescale pixels"
        raise SpaceError(
            f"this model {does}, but the study's models are given pixels {PIXEL_RANGES[given]}:"
            f" {ONE_RANGE}"
        )


@dataclass(frozen=True)
class _Scale:
    """What becomes of a pixel on the way: `factor * pixel + offset`.

    Attributes:
        factor: 0 where what arrives does not depend on the brightness, or not evenly.
    """

    factor: float
    offset: float

    def wanted(self) -> Pixels | None:
        if self.factor == 0.0:
            return None
        middle = -self.offset / self.factor  # the pixel that becomes zero
        if abs(self.factor) <= _LEAST_FACTOR or middle >= _LEAST_MIDDLE:
            return "raw"
        is_untouched = math.isclose(self.factor, 1.0, rel_tol=1e-3) and abs(self.offset) < 1e-3
        return None if is_untouched else "scaled"


def _scale_of(arrived: Array) -> _Scale:
    """Return the scale that shows in what arrived of pictures of 0, 128 and 255, `(3, ...)`."""
    # Borders may be padded and channels have means of their own: the typical one counts.
    black, grey, white = np.median(arrived.reshape(3, -1), axis=1)
    lower, factor = (grey - black) / MIDDLE, (white - black) / BRIGHTEST
    if factor == 0.0 or not math.isclose(lower, factor, rel_tol=0.05):
        return _Scale(0.0, 0.0)
    return _Scale(float(factor), float(black))


def _takes_whole_numbers(model: Any) -> bool:
    kinds = [str(getattr(each, "dtype", "")) for each in getattr(model, "inputs", None) or ()]
    return bool(kinds) and all(kind.startswith(("int", "uint")) for kind in kinds)


def _check_bytes(model: Any, images: Array, arrived: Array) -> None:
    """Check that a model does the same with pixels as bytes, which is how it is given them."""
    try:
        of_bytes = _at_first_weights(model, images.astype(np.uint8))
        differs = of_bytes is None or np.abs(of_bytes - arrived).max() > _TOLERANCE * max(
            1.0, float(np.ptp(arrived))
        )
    except Exception as error:
        raise SpaceError(
            "it rescales pixels itself, but cannot take them as uint8, 0 to 255:"
            f' {_cause(error)}. Begin with `keras.ops.cast(x, "float32")`, or leave the rescaling'
            " out"
        ) from error
    if differs:
        raise SpaceError(
            "it rescales pixels itself, and reckons wrongly with pixels as uint8, 0 to 255. Begin"
            ' with `keras.ops.cast(x, "float32")`, or leave the rescaling out'
        )


def _cause(error: Exception) -> str:
    """Return an error's first line that is not Keras's announcement of it."""
    lines = [re.sub(r"\x1b\[\d*m", "", line).strip() for line in str(error).splitlines()]
    said = [line for line in lines if line and not line.startswith("Exception encountered")]
    return f"{type(error).__name__}: {(said or [''])[0][:200].rstrip('.')}"


class _Arrived(BaseException):
    """Ends the way through a model; Keras takes every `Exception` for one of the model's own."""


def _at_first_weights(model: Any, images: Array) -> Array | None:
    """Return what the first layer with weights receives; None where no layer has any.

    `Normalization` is no such layer: its weights are what it has learned of the data's scale.
    """
    import keras

    _build(model, images)
    received: list[Array] = []

    def look(layer: Any, inputs: Any) -> None:
        if isinstance(layer, keras.layers.Normalization) or not _has_own_weights(layer):
            return
        first = keras.ops.convert_to_numpy(keras.tree.flatten(inputs)[0])
        if first.shape[:1] == images.shape[:1]:  # else it is no picture, but numbers of places
            received.append(np.asarray(first, np.float64))
            raise _Arrived

    with _watching(keras.layers.Layer, look):
        try:
            model(images, training=False)
        except _Arrived:
            return received[0]
    return None


def _build(model: Any, images: Array) -> None:
    import keras

    if model.built:
        return
    try:
        model(keras.KerasTensor((None, *images.shape[1:]), "float32"))
    except Exception:  # noqa: BLE001 # a model of the user's own may have to see data
        model(images, training=False)


def _has_own_weights(layer: Any) -> bool:
    inner = {
        id(weight) for part in layer._flatten_layers(include_self=False) for weight in part.weights
    }
    return any(id(weight) not in inner for weight in layer.weights)


@contextmanager
def _watching(layers: Any, look: Callable[[Any, Any], None]) -> Iterator[None]:
    """Call `look` with each layer and its first argument, just before the layer computes."""
    compute = layers.__call__

    def call(self: Any, *args: Any, **options: Any) -> Any:
        if args:
            look(self, args[0])
        return compute(self, *args, **options)

    layers.__call__ = call
    try:
        yield
    finally:
        layers.__call__ = compute
