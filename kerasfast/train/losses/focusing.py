"""Losses that forget what is easy: focal, and asymmetric, which forgets easy negatives faster than positives."""

from __future__ import annotations

from typing import Any

import keras

from kerasfast.train.losses.base import REDUCTION, MultiLabelLoss, check_range, crossentropies


@keras.saving.register_keras_serializable("kerasfast")
class Focal(MultiLabelLoss):
    """Focal loss (Lin et al. 2017, "Focal Loss for Dense Object Detection").

    A positive costs `-alpha * (1 - p)**gamma * log(p)`, a negative `-(1 - alpha) * p**gamma * log(1 - p)`. The paper
    divides the sum by the number of positive anchors of detection, of which classification has none. Keras'
    `BinaryFocalCrossentropy` is the same but for its gradient, NaN at saturated probabilities if gamma is below 1.

    Args:
        alpha: Weight of positives; negatives have 1 - alpha.
        gamma: Focusing: the power of how wrong a probability is that its crossentropy is multiplied by.
        name: Name of the loss.
        reduction: As for `MultiLabelLoss`.

    Raises:
        ValueError: alpha outside [0, 1), or a negative gamma.
    """

    def __init__(
        self, alpha: float = 0.25, gamma: float = 2.0, name: str = "focal", reduction: str = REDUCTION
    ) -> None:
        super().__init__(name=name, reduction=reduction)
        check_range(name, "alpha", alpha, 0, 1)
        check_range(name, "gamma", gamma, 0)
        self.alpha, self.gamma = alpha, gamma

    def per_class(self, targets: Any, probabilities: Any) -> Any:
        """Loss of each class of each row."""
        positive, negative = crossentropies(probabilities, self.gamma)
        return self.alpha * targets * positive + (1 - self.alpha) * (1 - targets) * negative

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {**super().get_config(), "alpha": self.alpha, "gamma": self.gamma}


@keras.saving.register_keras_serializable("kerasfast")
class Asymmetric(MultiLabelLoss):
    """Asymmetric loss (Ben-Baruch, Ridnik et al. 2021, "Asymmetric Loss For Multi-Label Classification").

    A positive costs `-(1 - p)**gamma_pos * log(p)`, a negative `-q**gamma_neg * log(1 - q)` where
    `q = max(p - margin, 0)`: below the margin a negative costs nothing. The gradient includes that of the focusing
    factors, as in the paper; its code can leave them out.

    Args:
        gamma_pos: Focusing of positives; the paper's 0 is the plain crossentropy.
        gamma_neg: Focusing of negatives.
        margin: Probability below which a negative is ignored.
        name: Name of the loss.
        reduction: As for `MultiLabelLoss`.

    Raises:
        ValueError: A negative gamma, or a margin outside [0, 1).
    """

    def __init__(
        self,
        gamma_pos: float = 0.0,
        gamma_neg: float = 4.0,
        margin: float = 0.05,
        name: str = "asymmetric",
        reduction: str = REDUCTION,
    ) -> None:
        super().__init__(name=name, reduction=reduction)
        check_range(name, "gamma_pos", gamma_pos, 0)
        check_range(name, "gamma_neg", gamma_neg, 0)
        check_range(name, "margin", margin, 0, 1)
        self.gamma_pos, self.gamma_neg, self.margin = gamma_pos, gamma_neg, margin

    def per_class(self, targets: Any, probabilities: Any) -> Any:
        """Loss of each class of each row."""
        # Not 0, where the gradient of a power below 1 is infinite.
        shifted: Any = keras.ops.maximum(probabilities - self.margin, keras.config.epsilon())
        positive = (1 - probabilities) ** self.gamma_pos * crossentropies(probabilities)[0]
        negative = shifted**self.gamma_neg * crossentropies(shifted)[1]
        return targets * positive + (1 - targets) * negative

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        own = {"gamma_pos": self.gamma_pos, "gamma_neg": self.gamma_neg, "margin": self.margin}
        return {**super().get_config(), **own}
