"""What the losses of sigmoid heads have in common: they see probabilities and mean over the classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from kerasfast.train.losses.counts import ClassCounts

REDUCTION = "sum_over_batch_size"


class MultiLabelLoss(keras.losses.Loss):
    """Loss of independent classes: the mean over classes of what `per_class` returns, one value a row.

    The mean keeps the losses on the scale of the binary crossentropy whatever the number of classes, and the value a
    row is what Keras weighs with `sample_weight` and reduces across replicas.

    Args:
        name: Name of the loss.
        reduction: Of the values of the rows, as for `keras.losses.Loss`.

    Call arguments:
        y_true: Targets `(batch, classes)`, 0 or 1, or between them after mixup.
        y_pred: Probabilities `(batch, classes)`; clipped at `keras.config.epsilon()`, 1e-7 unless someone changed
            it, so that a saturated class has a finite loss and gradient.
    """

    def __init__(self, name: str, reduction: str = REDUCTION) -> None:
        super().__init__(name=name, reduction=reduction)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Loss of each row, `(batch,)`."""
        self.check_classes(y_true.shape, y_pred.shape)
        epsilon = keras.config.epsilon()
        losses = self.per_class(_numbers(y_true), keras.ops.clip(y_pred, epsilon, 1 - epsilon))
        return keras.ops.mean(losses, axis=-1)

    def per_class(self, targets: Any, probabilities: Any) -> Any:
        """Loss of each class of each row.

        Args:
            targets: `(batch, classes)`.
            probabilities: `(batch, classes)`, within `keras.config.epsilon()` and 1 less it.

        Returns:
            `(batch, classes)`.
        """
        raise NotImplementedError

    def check_classes(self, targets: Sequence[int | None], probabilities: Sequence[int | None]) -> None:
        """Refuse shapes that do not fit each other.

        Raises:
            ValueError: Targets and probabilities differ in their number of classes.
        """
        if None not in (targets[-1], probabilities[-1]) and targets[-1] != probabilities[-1]:
            raise ValueError(
                f"loss {self.name!r} needs one target for each probability. Received: targets of shape "
                f"{tuple(targets)}, probabilities of shape {tuple(probabilities)}. Build the model for these classes."
            )


class CountedLoss(MultiLabelLoss):
    """Multi-label loss that depends on how frequent the classes are in the training split.

    Args:
        positives: For each class, the rows that have it.
        rows: All rows.
        name: Name of the loss.
        reduction: As for `MultiLabelLoss`.

    Raises:
        ValueError: As `ClassCounts`.
    """

    def __init__(self, positives: Sequence[int], rows: int, name: str, reduction: str = REDUCTION) -> None:
        super().__init__(name=name, reduction=reduction)
        self.counts = ClassCounts(tuple(int(count) for count in positives), int(rows))

    def check_classes(self, targets: Sequence[int | None], probabilities: Sequence[int | None]) -> None:
        """As `MultiLabelLoss`, and both must have the classes that were counted."""
        super().check_classes(targets, probabilities)
        if probabilities[-1] != len(self.counts.positives):
            raise ValueError(
                f"loss {self.name!r} was given the frequencies of {len(self.counts.positives)} classes. Received: "
                f"probabilities of {probabilities[-1]}. Count the records that the model trains on."
            )

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {**super().get_config(), "positives": self.counts.positives, "rows": self.counts.rows}


def crossentropies(probabilities: Any, gamma: float = 0.0) -> tuple[Any, Any]:
    """Crossentropy of each probability if its class is there, and if it is not.

    Args:
        probabilities: Probabilities between 0 and 1.
        gamma: Each is multiplied by the gamma-th power of how wrong its probability is, as in the focal loss.
    """
    ops: Any = keras.ops  # whose stubs allow None
    present, absent = -ops.log(probabilities), -ops.log(1 - probabilities)
    return (1 - probabilities) ** gamma * present, probabilities**gamma * absent


def check_range(loss: str, name: str, value: float, low: float, high: float = float("inf")) -> None:
    """Refuse an argument of a loss that is not in [low, high).

    Raises:
        ValueError: It is not; names loss and argument.
    """
    if not low <= value < high:
        raise ValueError(f"{name} of loss {loss!r} must be in [{low:g}, {high:g}). Received: {name}={value!r}.")


def _numbers(targets: Any) -> Any:
    """The targets; running them fails if one is NaN or infinite, which would end in weights that are NaN."""
    if keras.backend.backend() != "tensorflow":
        return targets
    import tensorflow as tf

    return tf.debugging.check_numerics(targets, "Targets of a loss must be numbers; check the labels of the records")
