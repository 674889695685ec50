"""Find out by trying whether a model expects pixels 0 to 255 or scaled to 0 to 1.

In Keras's guides, models rescale pixels themselves, by `Rescaling(1 / 255)`, an adapted
`Normalization` or an application's `preprocess_input`. Other models that look alike expect 0 to 1.
The input of the first layer with weights shows which: for uniformly grey pictures, it gives the
scale and offset that the layers before it apply to pixels.
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
# A model that rescales pixels 0..255 to about 1 has a factor of 1/255, one that does not has 1: a
# factor nearer to the first in ratio means pixels 0..255.
_LEAST_FACTOR = BRIGHTEST**-0.5
_LEAST_MIDDLE = 2.0  # values up to this count as zero; pixels 0..1 are at most 1
# Of what arrives for pixels 0..255: what leaves less of it for pixels 0..1 is made for 0..255.
_LEAST_SHARE = 1 / 12
_TOLERANCE = 1e-3  # tolerances, as fractions of the range, in bfloat16 and float32


def wanted_pixels(model: Any, shape: tuple[int, ...]) -> Pixels | None:
    """Return the pixels that a model expects; None if it does not show.

    Args:
        model: a Keras model for images.
        shape: of one image, `(height, width, channels)`.

    Raises:
        SpaceError: it expects pixels 0 to 255, but computes wrongly with whole numbers.
    """
    greys = np.array([0.0, MIDDLE, BRIGHTEST], np.float32)
    images = np.broadcast_to(greys[:, None, None, None], (3, *shape)).copy()
    if _takes_whole_numbers(model):
        return "raw"
    arrived = _at_first_weights(model, images)
    if arrived is None:
        return None
    scale = _scale_of(arrived)
    wanted = scale.wanted() if scale.factor else _wanted_of_bend(model, images, arrived)
    if wanted == "raw":
        _check_bytes(model, images, arrived)
    return wanted


def check_pixels(model: Any, shape: tuple[int, ...], given: Pixels) -> None:
    """Check that a model expects the pixels that it receives.

    Raises:
        SpaceError: it expects others.
    """
    wanted = wanted_pixels(model, shape)
    if (wanted == "raw") != (given == "raw"):
        does = "rescales pixels itself" if wanted == "raw" else "does not rescale pixels"
        raise SpaceError(
            f"this model {does}, but the study's models receive pixels {PIXEL_RANGES[given]}:"
            f" {ONE_RANGE}"
        )


@dataclass(frozen=True)
class _Scale:
    """The transformation of pixels before the first layer with weights: `factor * pixel + offset`.

    Attributes:
        factor: 0 if the result does not depend linearly on the brightness.
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
    """Return the scale from the layer's inputs for pictures of 0, 128 and 255, `(3, ...)`."""
    # Borders may be padded and channels have different means: the median counts.
    black, grey, white = np.median(arrived.reshape(3, -1), axis=1)
    lower, factor = (grey - black) / MIDDLE, (white - black) / BRIGHTEST
    if factor == 0.0 or not math.isclose(lower, factor, rel_tol=0.05):
        return _Scale(0.0, 0.0)
    return _Scale(float(factor), float(black))


def _wanted_of_bend(model: Any, images: Array, arrived: Array) -> Pixels | None:
    """Return the pixels of a model that bends brightness before its first weights.

    A threshold at 128, or the square root of `x / 255`, tells pixels 0..255 apart, but leaves next
    to nothing of pixels 0..1.

    Args:
        model: the model.
        images: of pixels 0..255, `(3, ...)`.
        arrived: what came of them.
    """
    spread = _spread(arrived)
    if not 0 < spread <= 1 / _LEAST_FACTOR:
        return None
    of_scaled = _at_first_weights(model, images / np.float32(BRIGHTEST))
    is_lost = of_scaled is not None and _spread(of_scaled) < _LEAST_SHARE * spread
    return "raw" if is_lost else None


def _spread(arrived: Array) -> float:
    return float(np.ptp(np.median(arrived.reshape(len(arrived), -1), axis=1)))


def _takes_whole_numbers(model: Any) -> bool:
    kinds = [str(getattr(each, "dtype", "")) for each in getattr(model, "inputs", None) or ()]
    return bool(kinds) and all(kind.startswith(("int", "uint")) for kind in kinds)


def _check_bytes(model: Any, images: Array, arrived: Array) -> None:
    """Check that a model does the same with pixels as bytes, in which form it receives them."""
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
            "it rescales pixels itself, and computes wrongly with pixels as uint8, 0 to 255. Begin"
            ' with `keras.ops.cast(x, "float32")`, or leave the rescaling out'
        )


def _cause(error: Exception) -> str:
    """Return an error's first line after Keras's introduction."""
    lines = [re.sub(r"\x1b\[\d*m", "", line).strip() for line in str(error).splitlines()]
    said = [line for line in lines if line and not line.startswith("Exception encountered")]
    return f"{type(error).__name__}: {(said or [''])[0][:200].rstrip('.')}"


class _Arrived(BaseException):
    """Ends a call of a model; no `Exception`, because Keras would wrap it."""


def _at_first_weights(model: Any, images: Array) -> Array | None:
    """Return the input of the first layer with weights; None if no layer has any.

    `Normalization` does not count: its weights are the scale of the data.
    """
    import keras

    _build(model, images)
    received: list[Array] = []

    def look(layer: Any, inputs: Any) -> None:
        if isinstance(layer, keras.layers.Normalization) or not _has_own_weights(layer):
            return
        first = keras.ops.convert_to_numpy(keras.tree.flatten(inputs)[0])
        if first.shape[:1] == images.shape[:1]:  # otherwise it is not a picture, but indices
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
    except Exception:  # noqa: BLE001 # a custom model may have to see data
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
