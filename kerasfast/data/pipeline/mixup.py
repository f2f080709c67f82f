"""Mixup of the clips of a batch (Zhang et al. 2018, arXiv:1710.09412).

Keras' MixUp (3.15) cannot serve: it takes pictures, not clips, one array of labels, not one for each head, and its
draws from a SeedGenerator, a state that each call moves on, where a batch here has to be a function of its key alone.
"""

from __future__ import annotations

import math

import tensorflow as tf


def mixup(
    frames: tf.Tensor, targets: dict[str, tf.Tensor], key: tf.Tensor, alpha: float
) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    """Blends each clip with the one as far from the other end of the batch, by one weight from Beta(alpha, alpha).

    The batch reversed as partner, and one weight for a batch, are the choices of timm and PySlowFast. The middle clip
    of an odd batch, so the only one of a batch of one, is its own partner and stays.

    Args:
        frames: uint8 `(B, T, H, W, 3)`.
        targets: For each head float32 `(B, classes)`.
        key: Seed of the draw, int32 or int64 `(2,)`.
        alpha: Of the Beta distribution; 1 draws all weights alike, smaller values mostly near 0 or 1.

    Returns:
        Frames and targets of the same shapes and types: weight * own + (1 - weight) * partner's, frames rounded.

    Raises:
        ValueError: `alpha` is not positive and finite.
    """
    if not (alpha > 0 and math.isfinite(alpha)):
        raise ValueError(
            f"alpha must be positive and finite. Received: alpha={alpha!r}. Without mixup, leave out the call."
        )
    weight = _beta(alpha, key)
    own, partner = tf.cast(weight, tf.float32), tf.cast(1 - weight, tf.float32)
    last = tf.shape(frames)[0] - 1

    def mixed(index: tf.Tensor) -> tf.Tensor:
        blend = own * tf.cast(frames[index], tf.float32) + partner * tf.cast(frames[last - index], tf.float32)
        return tf.cast(blend + 0.5, tf.uint8)  # the cast rounds down

    # Clip by clip, because a batch as float32 is four times its size, and several of them are alive at once.
    clips = tf.map_fn(mixed, tf.range(last + 1), fn_output_signature=tf.TensorSpec(frames.shape[1:], tf.uint8))
    blended = {head: own * target + partner * tf.reverse(target, axis=[0]) for head, target in targets.items()}
    return tf.ensure_shape(clips, frames.shape), blended


def _beta(alpha: float, key: tf.Tensor) -> tf.Tensor:
    """A draw from Beta(alpha, alpha), float64 scalar: x / (x + y) with x and y from Gamma(alpha).

    A Gamma(alpha) is a Gamma(alpha + 1) times U^(1 / alpha). Their logarithms are drawn, because the numbers themselves
    underflow for a small alpha: TensorFlow then gives the smallest of its type for both, which is a weight of 1/2 where
    0 or 1 is due (for alpha = 0.001 in every fourth batch, even in float64).
    """
    keys = [tf.random.experimental.stateless_fold_in(tf.cast(key, tf.int64), tf.constant(n, tf.int64)) for n in (0, 1)]
    gammas = tf.random.stateless_gamma((2,), keys[0], alpha=tf.constant(alpha + 1, tf.float64), dtype=tf.float64)
    uniforms = 1 - tf.random.stateless_uniform((2,), keys[1], dtype=tf.float64)  # in (0, 1]
    x, y = tf.unstack(tf.math.log(gammas) + tf.math.log(uniforms) / alpha)
    return tf.sigmoid(x - y)
