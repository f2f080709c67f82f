"""Layers that Keras lacks, and the convolution of the reference: padded as torch pads.

Everything here is plain Keras and runs on any backend; the one exception is TensorFlow's fused batch norm,
which is imported when TensorFlow is the backend.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from kerasfast.models.depthwise import DepthwiseConv3D
from kerasfast.models.recompute import hand_out

BATCH_NORM_POLICIES = ("replica", "sync", "frozen")

_starts_at_zero: ContextVar[Callable[[str], bool]] = ContextVar("starts_at_zero", default=lambda name: False)


@contextmanager
def zero_convolutions(chosen: Callable[[str], bool]) -> Iterator[None]:
    """Convolutions built inside start at zero where `chosen(name of the layer)` says so.

    It is for weights that are loaded right after: drawing random ones is half the time of building a network.
    """
    token = _starts_at_zero.set(chosen)
    try:
        yield
    finally:
        _starts_at_zero.reset(token)


@dataclass(frozen=True)
class LayerOptions:
    """What every layer of a network shares.

    Args:
        bn: Batch-norm policy: `replica`, `sync` or `frozen` (see `BatchNorm`).
        dtype: Keras dtype policy of the layers outside the heads, or `None` for the global one.
    """

    bn: str = "replica"
    dtype: Any = None


def conv(
    x: Any,
    channels: int,
    kernel: tuple[int, int, int],
    *,
    name: str,
    options: LayerOptions,
    strides: tuple[int, int, int] = (1, 1, 1),
    spatial_dilation: int = 1,
    depthwise: bool = False,
    use_bias: bool = False,
) -> Any:
    """A 3D convolution padded by half its kernel on both sides of every axis.

    Keras' own `same` pads a strided convolution by one less in front than torch does (0/1 instead of 1/1 for a
    3x3 kernel with stride 2), which moves every feature by a pixel; hence the explicit padding.

    Input and output: `(batch, T, H, W, channels)`.
    """
    dilation = (1, spatial_dilation, spatial_dilation)
    pad = tuple(d * (k // 2) for k, d in zip(kernel, dilation, strict=True))
    strided = any(s > 1 and p > 0 for s, p in zip(strides, pad, strict=True))
    if strided:
        x = keras.layers.ZeroPadding3D(pad, name=f"{name}_pad", dtype=options.dtype)(x)
    initializer = keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")
    layer = (DepthwiseConv3D if depthwise else keras.layers.Conv3D)(
        channels,
        kernel,
        strides=strides,
        dilation_rate=dilation,
        # At stride 1 an odd kernel gets the same zeros from `same`, without a copy of the input.
        padding="valid" if strided else "same",
        use_bias=use_bias,
        kernel_initializer="zeros" if _starts_at_zero.get()(name) else initializer,
        name=name,
        dtype=options.dtype,
    )
    y = layer(x)
    layer.kernel_initializer = initializer  # as the layer's configuration says, whatever it started at
    return y


def batch_norm(x: Any, *, name: str, options: LayerOptions, zero_gamma: bool = False) -> Any:
    """`BatchNorm` under the network's policy; `zero_gamma` starts a residual branch at zero."""
    gamma = "zeros" if zero_gamma else "ones"
    return BatchNorm(policy=options.bn, gamma_initializer=gamma, name=name, dtype=options.dtype)(x)


@keras.saving.register_keras_serializable("kerasfast")
class BatchNorm(keras.layers.BatchNormalization):
    """Batch normalisation with torch's constants and torch's unbiased moving variance.

    Args:
        policy: `replica` takes the statistics of the clips on one replica, `sync` those of all replicas
            (TensorFlow only), `frozen` uses the moving statistics in training too and leaves them as they are
            (gamma and beta still learn; set `trainable=False` to stop them).
        clips: Under `replica`, the clips of a statistic: a batch of more is normalised in groups of as many (Wu et al.
            2020, arXiv:1912.00998: what the network learns then does not depend on the batch); none: the whole batch.
        momentum: Weight of the old moving statistics in an update (torch's momentum of 0.1 is 0.9 here).
        epsilon: Added to the variance.
        **kwargs: Those of `keras.layers.BatchNormalization`, as far as they leave gamma, beta and the last axis alone.

    Input shape: `(batch, T, H, W, channels)`; output shape: the same.

    Raises:
        ValueError: An unknown policy, `sync` on another backend than TensorFlow, or another rank or axis.
    """

    def __init__(
        self,
        policy: str = "replica",
        momentum: float = 0.9,
        epsilon: float = 1e-5,
        clips: int | None = None,
        **kwargs: Any,
    ) -> None:
        if policy not in BATCH_NORM_POLICIES:
            raise ValueError(
                f"The batch-norm policy must be one of {', '.join(BATCH_NORM_POLICIES)}. Received: bn={policy!r}."
            )
        if policy == "sync" and keras.backend.backend() != "tensorflow":
            raise ValueError(
                "The batch-norm policy 'sync' needs the TensorFlow backend. "
                f"Received: {keras.backend.backend()}. Use bn='replica' or bn='frozen'."
            )
        for key, value in (("axis", -1), ("center", True), ("scale", True), ("renorm", False)):
            if kwargs.get(key, value) != value:
                raise ValueError(
                    "BatchNorm normalises the last axis and scales with gamma and beta. "
                    f"Received: {key}={kwargs[key]!r}. Use keras.layers.BatchNormalization for that."
                )
        super().__init__(momentum=momentum, epsilon=epsilon, synchronized=policy == "sync", **kwargs)
        self.policy, self.clips = policy, clips

    def build(self, input_shape: Sequence[int | None]) -> None:
        if len(input_shape) != 5:
            raise ValueError(
                f"BatchNorm takes tensors of shape (batch, T, H, W, channels). Received: shape {tuple(input_shape)}."
            )
        super().build(input_shape)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        learning = bool(training) and self.trainable and self.policy != "frozen"
        if learning and self.policy == "sync":
            return self._sync(inputs)
        if learning and self.clips is not None:
            return self._grouped(inputs, self.clips)
        if keras.backend.backend() == "tensorflow":
            return self._fused(inputs, learning)
        return self._plain(inputs, learning)

    def _update(self, mean: Any, unbiased_variance: Any) -> None:
        if not hand_out(self, mean, unbiased_variance):
            self.move(mean, unbiased_variance)

    def move(self, mean: Any, unbiased_variance: Any) -> None:
        for moving, new in ((self.moving_mean, mean), (self.moving_variance, unbiased_variance)):
            moving.assign(moving * self.momentum + new * (1.0 - self.momentum))

    def _fused(self, inputs: Any, learning: bool) -> Any:
        """One pass over the data; the kernel knows images only, so time is folded into height.

        It returns the unbiased variance, which is torch's rule for the moving one.
        """
        import tensorflow as tf

        shape = tf.shape(inputs)
        images = tf.reshape(inputs, (shape[0], shape[1] * shape[2], shape[3], inputs.shape[-1]))
        empty = tf.zeros((0,), tf.float32)
        images, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=images,
            scale=self.gamma,
            offset=self.beta,
            mean=empty if learning else self.moving_mean,
            variance=empty if learning else self.moving_variance,
            epsilon=self.epsilon,
            is_training=learning,
        )
        if learning:
            self._update(mean, variance)
        outputs = tf.reshape(images, shape)
        outputs.set_shape(inputs.shape)
        return outputs

    def _plain(self, inputs: Any, learning: bool) -> Any:
        x = ops.cast(inputs, "float32")
        mean, variance = self.moving_mean, self.moving_variance
        if learning:
            mean, variance = ops.moments(x, axes=[0, 1, 2, 3])
            self._update(mean, variance * _bessel(ops.size(x) // x.shape[-1]))
        return self._normalize(x, mean, variance)

    def _grouped(self, inputs: Any, clips: int) -> Any:
        x = ops.cast(inputs, "float32")
        shape: Any = ops.shape(x)
        batch, *sizes = shape
        groups = batch // clips
        groups = max(groups, 1) if isinstance(groups, int) else ops.maximum(groups, 1)
        x = ops.reshape(x, (groups, batch // groups, *sizes))
        mean, variance = ops.moments(x, axes=[1, 2, 3, 4], keepdims=True)
        bessel = _bessel(ops.size(x) // (groups * sizes[-1]))
        self._update(ops.mean(mean, axis=(0, 1, 2, 3, 4)), ops.mean(variance, axis=(0, 1, 2, 3, 4)) * bessel)
        x = (x - mean) * (ops.rsqrt(variance + self.epsilon) * self.gamma) + self.beta
        return ops.cast(ops.reshape(x, (batch, *sizes)), self.compute_dtype)

    def _sync(self, inputs: Any) -> Any:
        """Over the clips of all replicas.

        Keras' own synchronised moments take the squared mean from the mean of squares, which in float32 loses what is
        small beside the mean: after one step of slow_nano on two replicas weights were 2e-4 of the largest change apart
        from those of one, with squared deviations from the mean 5e-7.
        """
        import tensorflow as tf

        def total(values: Any) -> Any:
            return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, values)

        x: Any = ops.cast(inputs, "float32")
        axes = [0, 1, 2, 3]
        count, values = total([tf.cast(tf.size(x) // x.shape[-1], tf.float32), tf.reduce_sum(x, axes)])
        mean = values / count
        variance = total(tf.reduce_sum(tf.square(x - mean), axes)) / count
        self._update(mean, variance * _bessel(count))
        return self._normalize(x, mean, variance)

    def _normalize(self, x: Any, mean: Any, variance: Any) -> Any:
        x = ops.batch_normalization(x, mean, variance, -1, self.beta, self.gamma, self.epsilon)
        return ops.cast(x, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.pop("synchronized", None)  # follows from the policy
        return {**config, "policy": self.policy, "clips": self.clips}


def _bessel(count: Any) -> Any:
    """N / (n - 1), which turns the variance of n values into the unbiased estimate."""
    count = ops.cast(count, "float32")
    return count / ops.maximum(count - 1.0, 1.0)


def slow_frame_indices(frames: int, alpha: int, rule: str = "linspace") -> tuple[int, ...]:
    """The Fast frames that the Slow pathway sees: `frames // alpha` of them.

    By the rule `stride` they are every alpha-th; by `linspace` first and last are included. There the reference
    computes trunc(linspace(0, frames - 1, n)) in float32, from both ends towards the middle; the same arithmetic here
    gives the same frames for every length, also where an exact quotient would differ.

    >>> slow_frame_indices(32, 4)
    (0, 4, 8, 13, 17, 22, 26, 31)
    >>> slow_frame_indices(32, 4, "stride")
    (0, 4, 8, 12, 16, 20, 24, 28)
    """
    n = frames // alpha
    if rule == "stride":
        return tuple(range(0, n * alpha, alpha))
    if n == 1:
        return (0,)
    last = np.float32(frames - 1)
    step = np.float32(last / np.float32(n - 1))
    front = [int(step * np.float32(i)) for i in range(n // 2)]
    back = [int(last - step * np.float32(n - 1 - i)) for i in range(n // 2, n)]
    return tuple(front + back)


@keras.saving.register_keras_serializable("kerasfast")
class SelectFrames(keras.layers.Layer):
    """Takes fixed frames of a clip.

    Args:
        indices: Frame numbers, from 0.
        **kwargs: Those of `keras.layers.Layer`.

    Input shape: `(batch, T, H, W, channels)`; output shape: `(batch, len(indices), H, W, channels)`.
    """

    def __init__(self, indices: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.indices = tuple(int(index) for index in indices)

    def call(self, inputs: Any) -> Any:
        return ops.take(inputs, np.asarray(self.indices, "int32"), axis=1)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        return (input_shape[0], len(self.indices), *input_shape[2:])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "indices": list(self.indices)}
