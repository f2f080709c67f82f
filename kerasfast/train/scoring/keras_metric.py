"""mAP as a metric of `Model.compile`, by the code of the evaluation, over any number of replicas."""

from __future__ import annotations

from typing import Any, get_args

import keras
import numpy as np
import tensorflow as tf

from kerasfast.train.metrics import Rule, mean_average_precision


@keras.saving.register_keras_serializable("kerasfast")
class MeanAveragePrecision(keras.metrics.Metric):
    """Exact mAP over all rows of an epoch: `kerasfast.train.metrics.mean_average_precision`.

    Average precision ranks all rows against each other, so no running mean of batches gives it. The metric keeps every
    row, up to `capacity`; replicas fill separate places, and rows are put into the order of one replica before they are
    ranked. Keras asks for the value after every step, inside its graph; there it is NaN, because a value would cost a
    sort a step. It comes with the end of the epoch, in the logs of `fit` and `evaluate`, or from `result()`.

    Scores that say nothing, as in the first epochs of a training, do not stop it: constant ones give the prevalence of
    the labels; scores that are NaN, labels without a positive and no row at all give NaN.

    Args:
        classes: Classes of the head.
        capacity: Most rows of an epoch, such as the videos of the validation split.
        rule: Rule of average precision, as in `mean_average_precision`.
        name: Name in the logs.
        dtype: As for every metric of Keras.

    Call arguments: labels `(batch, classes)`, where more than 0.5 is a positive (mixup gives fractions), and scores
        `(batch, classes)`.

    >>> metric = MeanAveragePrecision(classes=2, capacity=10)
    >>> metric.update_state([[1, 0], [0, 1], [0, 1]], [[0.9, 0.2], [0.3, 0.1], [0.1, 0.8]])
    >>> round(float(metric.result()), 4)
    0.9167
    """

    def __init__(
        self, classes: int, capacity: int, rule: Rule = "sklearn", name: str = "map", dtype: Any = None
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        if min(classes, capacity) < 1 or rule not in get_args(Rule):
            raise ValueError(
                f"classes and capacity must be at least 1, and rule one of {get_args(Rule)}. Received: "
                f"classes={classes!r}, capacity={capacity!r}, rule={rule!r}."
            )
        self.classes, self.capacity, self.rule = classes, capacity, rule
        # One place more than capacity takes the rows that have none: XLA cannot compile a number of rows that varies.
        self.scores = self._rows("scores", (capacity + 1, classes), "float32")
        self.labels = self._rows("labels", (capacity + 1, classes), "float32")
        # When the row came, counted over all replicas from 1; 0 for an empty place.
        self.turns = self._rows("turns", (capacity + 1,), "int32")
        self.steps = self._rows("steps", (), "int32")
        self.count = self._rows("count", (), "int32")

    def _rows(self, name: str, shape: tuple[int, ...], dtype: str) -> Any:
        # Keras sums a metric's variable over the replicas when it is read outside of them: a place that one replica
        # filled is 0 in all others.
        return self.add_variable(shape=shape, initializer="zeros", dtype=dtype, name=name)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Keep the rows of a batch.

        Raises:
            ValueError: Weights are given, or rows of other classes.
        """
        if sample_weight is not None:
            raise ValueError("mAP counts every row once. Received: sample_weight. Give the metric in `metrics`.")
        labels = tf.cast(tf.cast(y_true, "float32") > 0.5, "float32")
        scores = tf.cast(y_pred, "float32")
        for given in (labels, scores):
            if given.shape.rank != 2 or given.shape[1] not in (None, self.classes):
                raise ValueError(f"{self.name} takes (batch, {self.classes}). Received: shape {tuple(given.shape)}.")
        # Outside of the replicas there is none only where Keras looks at shapes, before the first step.
        context = tf.distribute.get_replica_context()
        replica, replicas = (context.replica_id_in_sync_group, context.num_replicas_in_sync) if context else (0, 1)
        steps, count = (tf.convert_to_tensor(variable.value) for variable in (self.steps, self.count))
        batch = tf.shape(scores)[0]
        # Replica r has the places r, r + replicas, ...
        places = tf.minimum((count + tf.range(batch)) * replicas + replica, self.capacity)
        turn = tf.fill([batch], steps * replicas + replica + 1)
        for variable, rows in ((self.scores, scores), (self.labels, labels), (self.turns, turn)):
            kept = tf.convert_to_tensor(variable.value)
            variable.assign(tf.tensor_scatter_nd_update(kept, places[:, None], rows))
        self.steps.assign(steps + 1)
        self.count.assign(count + batch)

    def result(self) -> Any:
        """The mAP of the rows so far; NaN inside a graph.

        Raises:
            ValueError: More rows came than the metric has places for.
        """
        if not tf.executing_eagerly():
            return tf.constant(np.nan, self.dtype)
        turns, scores, labels, count = (
            tf.convert_to_tensor(variable.value).numpy()
            for variable in (self.turns, self.scores, self.labels, self.count)
        )
        kept = np.flatnonzero(turns[: self.capacity])
        if len(kept) < count:
            raise ValueError(
                f"{self.name} has capacity={self.capacity} for the rows of an epoch. Received: {int(count)} rows. "
                "Give it the number of rows, with one batch to spare where replicas get batches of different sizes."
            )
        order = kept[np.argsort(turns[kept], kind="stable")]
        return tf.constant(self._map(labels[order], scores[order]), self.dtype)

    def _map(self, labels: np.ndarray, scores: np.ndarray) -> float:
        if not labels.any() or not np.isfinite(scores).all():
            return float("nan")
        constant = (scores == scores[0]).all()  # ranked by nothing but the order of the rows under Charades' rules
        rule: Any = "sklearn" if constant else self.rule
        return mean_average_precision(labels, scores, rule, allow_constant=True).map

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        own = {"classes": self.classes, "capacity": self.capacity, "rule": self.rule}
        return {**super().get_config(), **own}
