"""RandAugment (Cubuk et al. 2020, arXiv:1909.13719) for clips, in the form of timm that PySlowFast's recipes use.

Keras' RandAugment (3.15) cannot serve: it draws from SeedGenerators, states that each call moves on, where a clip here
has to be a function of its key alone; it draws a strength for each picture of a batch, so for each frame of a clip; and
it runs all of its operations and keeps one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import tensorflow as tf

from kerasfast.data.pipeline import augment_ops as ops

_MOST = 10.0  # the strongest level, at which a map below reaches its last value


def _whole(level: tf.Tensor, most: int) -> tf.Tensor:
    """A level as a whole number from 0 to `most`, rounded down: int32 scalar."""
    return tf.cast(level / _MOST * most, tf.int32)


def _around_one(level: tf.Tensor, sign: tf.Tensor) -> tf.Tensor:
    """A factor from 1 to 0.1 or to 1.9."""
    return 1 + sign * 0.9 * level / _MOST


# Name -> the operation at a level in 0 .. 10, with a sign of -1 or 1 for those with two directions. The maps from level
# to argument are timm's (timm/data/auto_augment.py, _RAND_INCREASING_TRANSFORMS), the same in PySlowFast
# (slowfast/datasets/rand_augment.py): "increasing", in that a higher level changes a frame more wherever there is one.
OPS: dict[str, Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]] = {
    "auto_contrast": lambda frames, level, sign: ops.auto_contrast(frames),
    "equalize": lambda frames, level, sign: ops.equalize(frames),
    "invert": lambda frames, level, sign: ops.invert(frames),
    "rotate": lambda frames, level, sign: ops.rotate(frames, sign * 30 * level / _MOST),  # degrees
    "posterize": lambda frames, level, sign: ops.posterize(frames, 4 - _whole(level, 4)),  # bits; black at level 10
    "solarize": lambda frames, level, sign: ops.solarize(frames, 256 - _whole(level, 256)),
    "solarize_add": lambda frames, level, sign: ops.solarize_add(frames, _whole(level, 110)),
    "color": lambda frames, level, sign: ops.color(frames, _around_one(level, sign)),
    "contrast": lambda frames, level, sign: ops.contrast(frames, _around_one(level, sign)),
    "brightness": lambda frames, level, sign: ops.brightness(frames, _around_one(level, sign)),
    "sharpness": lambda frames, level, sign: ops.sharpness(frames, _around_one(level, sign)),
    "shear_x": lambda frames, level, sign: ops.shear_x(frames, sign * 0.3 * level / _MOST),
    "shear_y": lambda frames, level, sign: ops.shear_y(frames, sign * 0.3 * level / _MOST),
    "translate_x": lambda frames, level, sign: ops.translate_x(frames, sign * 0.45 * level / _MOST),
    "translate_y": lambda frames, level, sign: ops.translate_y(frames, sign * 0.45 * level / _MOST),
}


@dataclass(frozen=True)
class RandAugment:
    """Draws operations, and how strong they are, once for all frames of a clip.

    timm writes `RandAugment(ops=4, magnitude=7)` as rand-m7-n4-mstd0.5-inc1.

    Args:
        ops: Operations drawn, with replacement; they run one after the other.
        magnitude: Mean level, in 0 .. 10.
        magnitude_std: Standard deviation of the level, which is normal and clipped to 0 .. 10.
        probability: With which a drawn operation runs; 0.5 in timm and PySlowFast.
        exclude: Names in `OPS` never to draw.

    Raises:
        ValueError: A value is out of its range, or `exclude` has an unknown name or all names.
    """

    ops: int = 2
    magnitude: float = 9.0
    magnitude_std: float = 0.5
    probability: float = 0.5
    exclude: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        rules = {
            "ops": ("a whole number of at least 1", self.ops >= 1 and self.ops % 1 == 0),
            "magnitude": (f"in 0 .. {_MOST:g}", 0 <= self.magnitude <= _MOST),
            "magnitude_std": ("at least 0 and finite", 0 <= self.magnitude_std < math.inf),
            "probability": ("in 0 .. 1", 0 <= self.probability <= 1),
        }
        for field, (rule, holds) in rules.items():
            if not holds:
                raise ValueError(
                    f"RandAugment.{field} must be {rule}. Received: {field}={getattr(self, field)!r}. "
                    "Video recipes give RandAugment(ops=4, magnitude=7)."
                )
        if isinstance(self.exclude, str) or not set(self.exclude) < set(OPS):
            raise ValueError(
                "RandAugment.exclude must be a tuple of names, not all of them. "
                f"Received: exclude={self.exclude!r}. The names are {', '.join(OPS)}."
            )

    def __call__(self, frames: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
        """Augments a clip; the same key gives the same clip.

        Args:
            frames: uint8 `(T, H, W, 3)`, RGB; H and W at least 3.
            key: Seed of the draws, int32 or int64 `(2,)`.

        Returns:
            uint8 `(T, H, W, 3)`. Where a frame was moved away it is 128.
        """
        names = [name for name in OPS if name not in self.exclude]

        def augmented(number: tf.Tensor, frames: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            chosen, level, sign = self._draw(key, number, len(names))
            branches = [lambda name=name: OPS[name](frames, level, sign) for name in names]
            result = tf.switch_case(chosen, [*branches, lambda: tf.identity(frames)])
            return number + 1, tf.ensure_shape(result, frames.shape)

        # A loop of the graph, because a Python loop would trace all operations anew for each turn, a second each.
        start = (tf.constant(0, tf.int64), frames)
        return tf.while_loop(lambda number, _: number < int(self.ops), augmented, start, parallel_iterations=1)[1]

    def _draw(self, key: tf.Tensor, number: tf.Tensor, names: int) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Which of `names` operations comes as int64 scalar `number`: int32 scalar, `names` for none; its level and
        its sign, float32 scalars.
        """
        own = tf.random.experimental.stateless_fold_in(tf.cast(key, tf.int64), number)
        uniforms = tf.random.stateless_uniform((3,), own)
        # Another key, for a normal draw of the same one would not be independent of the uniform ones.
        normal = tf.random.stateless_normal((), tf.random.experimental.stateless_fold_in(own, tf.constant(1, tf.int64)))
        chosen = tf.where(uniforms[0] < self.probability, tf.cast(uniforms[1] * names, tf.int32), names)
        level = tf.clip_by_value(self.magnitude + self.magnitude_std * normal, 0.0, _MOST)
        return chosen, level, tf.where(uniforms[2] < 0.5, -1.0, 1.0)
