"""Random brightness, contrast, saturation and hue, one draw for all frames of a clip.

Keras' RandomColorJitter (3.15) cannot serve: it draws from a SeedGenerator, a state that each call moves on, where a
clip here has to be a function of its key alone; and it draws for each picture of a batch, so for each frame of a clip.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import tensorflow as tf

_GREY = (0.299, 0.587, 0.114)  # of R, G, B: ITU-R BT.601, as in torchvision


@dataclass(frozen=True)
class ColorJitter:
    """Colour jitter as in PySlowFast and torchvision, for uint8 clips.

    Brightness blends a frame with black, contrast with the mean of its grey picture, saturation with its grey picture,
    each by a factor from U(max(0, 1 - x), 1 + x), 1 being the frame itself; hue turns by U(-hue, hue). The order is
    random. As in PySlowFast nothing is clipped in between (torchvision clips after each), and the result is rounded
    and clipped once.

    Args:
        brightness: Largest change of the factor.
        contrast: Largest change of the factor.
        saturation: Largest change of the factor.
        hue: Largest shift, in turns of the colour circle, at most 0.5. PySlowFast leaves hue as it is.

    Raises:
        ValueError: A value is negative or not finite, or `hue` is above 0.5.
    """

    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    hue: float = 0.0

    def __post_init__(self) -> None:
        for field in ("brightness", "contrast", "saturation", "hue"):
            value = getattr(self, field)
            if not (0 <= value < math.inf and (field != "hue" or value <= 0.5)):
                rule = "in 0 .. 0.5, in turns" if field == "hue" else "at least 0 and finite"
                raise ValueError(
                    f"ColorJitter.{field} must be {rule}. "
                    f"Received: {field}={value!r}. Give 0 to leave {field} as it is."
                )

    def __call__(self, frames: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
        """Jitters a clip; the same key gives the same clip.

        Args:
            frames: uint8 `(T, H, W, 3)`, RGB.
            key: Seed of the draws, int32 or int64 `(2,)`.

        Returns:
            uint8 `(T, H, W, 3)`.
        """
        draws = tf.random.stateless_uniform((8,), key)
        amounts = (self.brightness, self.contrast, self.saturation)
        low = tf.constant([max(0.0, 1.0 - amount) for amount in amounts])
        high = tf.constant([1.0 + amount for amount in amounts])
        factors = low + draws[:3] * (high - low)
        pictures = tf.cast(frames, tf.float32)
        if self.hue:
            # In a random order of four, each of the other three comes before hue or after it.
            early = draws[4:7] < draws[7]
            pictures = _blended(pictures, tf.where(early, factors, 1.0))
            # AdjustHue keeps the largest and the smallest channel of a pixel: it needs no values in 0 .. 255.
            pictures = tf.image.adjust_hue(pictures, (2 * draws[3] - 1) * self.hue)
            factors = tf.where(early, 1.0, factors)
        # 0.5: the cast rounds down.
        return tf.saturate_cast(_blended(pictures, factors, 0.5), tf.uint8)


def _blended(pictures: tf.Tensor, factors: tf.Tensor, offset: float = 0.0) -> tf.Tensor:
    """Brightness b, contrast c and saturation s in any order: b c (s x + (1 - s) grey) + b (1 - c) mean grey + offset.

    Without clipping the three commute, because a pixel and its grey picture have the same grey. So they are one
    matrix on the channels and one number a frame, whatever their order.

    Args:
        pictures: float32 `(T, H, W, 3)`.
        factors: float32 `(3,)`: b, c, s.
        offset: Added to all values.

    Returns:
        float32 `(T, H, W, 3)`.
    """
    brightness, contrast, saturation = tf.unstack(factors)
    grey = tf.constant(_GREY)[:, None]
    matrix = brightness * contrast * (saturation * tf.eye(3) + (1 - saturation) * tf.tile(grey, (1, 3)))
    means = tf.matmul(tf.reduce_mean(pictures, axis=(1, 2)), grey)[:, None, None]
    # A convolution, because oneDNN is faster at it than tf.matmul at so narrow a matrix (29 ms a clip against 41).
    return tf.nn.conv2d(pictures, matrix[None, None], 1, "VALID") + (brightness * (1 - contrast) * means + offset)
