"""Statistics of batch norm over many batches, in place of the moving ones ("precise BN").

Moving statistics lag behind weights that change, and the last batches outweigh the others. Precise ones are taken with
the weights as they are (Wu and Johnson 2021, arXiv:2105.07576, section 3). PySlowFast takes them over 200 batches
before each validation (`update_bn_stats` of fvcore).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasfast.models.layers import BatchNorm


class PreciseBN(keras.callbacks.Callback):
    """Call `precise_batch_norm` before each validation and at the end of the training.

    Put it before callbacks that save weights, so that they save these statistics too.

    Args:
        clips: Batches as the model is trained on, in a dataset of their own: a pass over that of the training would
            take up the number of an epoch. `training_clips(..., same_clips=True)` gives the same clips each time.
        batches: Number of batches; all of `clips` if it has fewer.

    Raises:
        ValueError: `batches` is below 1, or `clips` is empty.
    """

    def __init__(self, clips: Iterable[Any], batches: int = 200) -> None:
        if batches < 1:
            raise ValueError(
                f"PreciseBN.batches must be at least 1. Received: {batches}. Leave PreciseBN out for none."
            )
        super().__init__()
        self.clips, self.batches = clips, batches
        self.statistics: _Statistics | None = None
        self.is_current = False

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Make the function of a batch, which all updates of a training share."""
        self.statistics = _Statistics(self.model)
        self.is_current = False

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Note that the weights are others."""
        self.is_current = False

    def on_test_begin(self, logs: dict | None = None) -> None:
        """Before a validation."""
        self._update()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Before other callbacks save the last weights."""
        params: Any = self.params  # Keras sets it, None before
        if epoch + 1 == params["epochs"]:
            self._update()

    def on_train_end(self, logs: dict | None = None) -> None:
        """After a training that was stopped early."""
        self._update()

    def _update(self) -> None:
        if self.statistics is not None and not self.is_current:
            self.statistics.update(itertools.islice(self.clips, self.batches))
            self.is_current = True


def precise_batch_norm(model: Any, batches: Iterable[Any]) -> None:
    """Set the moving statistics of batch norm to mean and variance over all the batches together.

    Every layer is run as in training, so each normalises by the statistics of its batch (under a strategy: of a replica
    or of all, by the layer's policy) and the next sees what it sees in training. Mean and variance are those of the
    population: over all values that the batches have in a channel, divided by their number. (fvcore averages the
    unbiased variances of the batches instead, and leaves out the variance of their means.) Layers with the policy
    `frozen` and untrainable ones are left alone.

    Args:
        model: A functional model with `BatchNorm` layers.
        batches: Frames, or tuples that begin with frames, `(batch, T, H, W, 3)`. Under a `tf.distribute` strategy each
            replica takes its share of those of a distributed dataset, and all of plain ones.

    Raises:
        ValueError: There are no batches.
    """
    _Statistics(model).update(batches)


class _Statistics:
    """Mean and variance of what the batch-norm layers of a model see.

    Args:
        model: A functional model.
    """

    def __init__(self, model: Any) -> None:
        self.layers: list[Any] = [
            layer
            for layer in model.layers
            if isinstance(layer, BatchNorm) and layer.trainable and layer.policy != "frozen"
        ]
        # Up to the last batch norm: no dropout is drawn, which would change that of the training.
        self._to_layers: Any = (
            keras.Model(model.inputs, [layer.input for layer in self.layers]) if self.layers else None
        )
        self._strategy = model.distribute_strategy
        self._step = tf.function(self._sums_of_all, reduce_retracing=True, autograph=False)

    def update(self, batches: Iterable[Any]) -> None:
        """Set the moving statistics of the layers."""
        if not self.layers:
            return
        totals: list[np.ndarray] | None = None
        for batch in batches:
            sums = [value.numpy() for value in self._step(batch[0] if isinstance(batch, (tuple, list)) else batch)]
            totals = sums if totals is None else [total + value for total, value in zip(totals, sums, strict=True)]
        if totals is None:
            raise ValueError("Precise batch norm needs batches. Received: none. Give a dataset that is not empty.")
        for layer, (count, total, squares) in zip(self.layers, totals, strict=True):
            mean = total / count
            layer.moving_mean.assign(mean)
            layer.moving_variance.assign(np.maximum(squares / count - mean**2, 0.0))

    def _sums_of_all(self, frames: Any) -> list[Any]:
        sums = self._strategy.run(self._sums, (frames,))
        return [self._strategy.experimental_local_results(value)[0] for value in sums]  # all replicas hold the same

    def _sums(self, frames: Any) -> list[Any]:
        """For each layer `(3, channels)`: count, sum and sum of squares; float64, since their difference counts."""
        sums = []
        inputs = keras.tree.flatten(self._to_layers(frames, training=True))  # a single one comes without a list
        for layer, x in zip(self.layers, inputs, strict=True):
            x = tf.cast(tf.cast(x, layer.compute_dtype), tf.float32)  # as the layer takes it
            mean, variance = (tf.cast(value, tf.float64) for value in tf.nn.moments(x, [0, 1, 2, 3]))
            count = tf.cast(tf.size(x) // x.shape[-1], tf.float64)
            sums.append(count * tf.stack([tf.ones_like(mean), mean, variance + mean**2]))
        if self._strategy.num_replicas_in_sync == 1:
            return sums
        return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, sums)
