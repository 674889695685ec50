"""Random shifts, turns, zooms and mirrorings of training images, drawn anew every epoch."""

import math
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from spaces import Settings


@dataclass(frozen=True)
class Augmentation:
    """How far a training image may be moved.

    All movements of an image are one affine map, applied once, bilinearly.

    Attributes:
        shift: at most this fraction of height and width, each way.
        rotation: at most so many degrees, each way.
        zoom: the side's length changes by a factor within `1 - zoom .. 1 + zoom`.
        flip: mirror half of the images left to right.
    """

    shift: float = 0.0
    rotation: float = 0.0
    zoom: float = 0.0
    flip: bool = False

    @classmethod
    def of(cls, setting: Settings) -> "Augmentation | None":
        """Return the setting's augmentation; None where it is off or changes nothing."""
        if not setting.get("augmentation", False):
            return None
        made = cls(
            shift=float(setting.get("shift", 0.0)),
            rotation=float(setting.get("rotation", 0.0)),
            zoom=float(setting.get("zoom", 0.0)),
            flip=bool(setting.get("flip", False)),
        )
        return made if made.shift or made.rotation or made.zoom or made.flip else None

    def apply(self, images: Any, seed: Any, fill: Any = 0.0) -> Any:
        """Return a batch of moved images, same shape and dtype.

        Args:
            images: `(n, height, width, channels)`.
            seed: two int64 numbers; the same seed moves the same way.
            fill: what comes in from outside, in the images' own units.
        """
        moved = tf.raw_ops.ImageProjectiveTransformV3(
            images=images,
            transforms=self._transforms(images, seed),
            output_shape=tf.shape(images)[1:3],
            interpolation="BILINEAR",
            fill_mode="CONSTANT",
            fill_value=fill,
        )
        return tf.ensure_shape(moved, images.shape)

    def _transforms(self, images: Any, seed: Any) -> Any:
        """Return the map from output to input pixels, `(n, 8)`, about each image's centre."""
        count = tf.shape(images)[0]
        height, width = (tf.cast(side, tf.float32) for side in images.shape[1:3])
        drawn = tf.random.stateless_uniform((5, count), seed, -1.0, 1.0)
        angle = drawn[0] * (self.rotation * math.pi / 180)
        scale = 1 + drawn[1] * self.zoom
        mirror = tf.where(drawn[2] < 0, -1.0, 1.0) if self.flip else tf.ones((count,))
        down, right = drawn[3] * self.shift * height, drawn[4] * self.shift * width
        if not self.rotation and not self.zoom:  # whole pixels stay sharp
            down, right = tf.round(down), tf.round(right)
        cosine, sine = tf.cos(angle) / scale, tf.sin(angle) / scale
        a, b, d, e = cosine * mirror, -sine, sine * mirror, cosine
        x, y = (width - 1) / 2, (height - 1) / 2
        c, f = x - a * x - b * y + right, y - d * x - e * y + down
        zero = tf.zeros((count,))
        return tf.stack([a, b, c, d, e, f, zero, zero], axis=1)
