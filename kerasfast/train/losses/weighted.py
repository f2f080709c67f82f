"""Losses that weigh classes by how frequent they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from kerasfast.train.losses.base import REDUCTION, CountedLoss, check_range, crossentropies


@keras.saving.register_keras_serializable("kerasfast")
class WeightedBinaryCrossentropy(CountedLoss):
    """Binary crossentropy with weights of inverse frequency (King and Zeng 2001, scikit-learn's "balanced").

    Of a class with n positives in N rows, a positive weighs `N / 2n` and a negative `N / 2(N - n)`: over the training
    split both sides of a class have equal weight, and the mean weight is 1. A class that is in none of the rows, or
    in all, has nothing to balance and keeps the weights 1.

    Args:
        positives: For each class, the rows that have it.
        rows: All rows.
        name: Name of the loss.
        reduction: As for `MultiLabelLoss`.

    Raises:
        ValueError: As `ClassCounts`.
    """

    def __init__(
        self, positives: Sequence[int], rows: int, name: str = "weighted_bce", reduction: str = REDUCTION
    ) -> None:
        super().__init__(positives, rows, name=name, reduction=reduction)
        present = np.array(self.counts.positives, float)
        absent = self.counts.rows - present
        balanced = (present > 0) & (absent > 0)
        half = self.counts.rows / 2
        self._positive = np.where(balanced, half / np.maximum(present, 1), 1).astype("float32")
        self._negative = np.where(balanced, half / np.maximum(absent, 1), 1).astype("float32")

    def per_class(self, targets: Any, probabilities: Any) -> Any:
        """Loss of each class of each row."""
        positive, negative = crossentropies(probabilities)
        return self._positive * targets * positive + self._negative * (1 - targets) * negative


@keras.saving.register_keras_serializable("kerasfast")
class ClassBalanced(CountedLoss):
    """Binary crossentropy weighted by the effective number of samples (Cui et al. 2019, "Class-Balanced Loss ...").

    A class with n positives weighs `(1 - beta) / (1 - beta**n)`, and the weights are scaled to sum to the number of
    classes. The paper has one class a row and gives the row its weight; with several classes a row, the term of each
    class has the weight of that class. A class without positives keeps weight 1 and stays out of the scaling, for
    its weight would outgrow all the others.

    Args:
        positives: For each class, the rows that have it.
        rows: All rows.
        beta: From 0 (no weights) towards 1 (weights of inverse frequency). 0.999 is the paper's on ImageNet and
            iNaturalist.
        gamma: Focusing, as in the focal loss without its alpha; the paper's on ImageNet and iNaturalist is 0.5. 0 is
            its sigmoid crossentropy.
        name: Name of the loss.
        reduction: As for `MultiLabelLoss`.

    Raises:
        ValueError: As `ClassCounts`, beta outside [0, 1) or a negative gamma.
    """

    def __init__(
        self,
        positives: Sequence[int],
        rows: int,
        beta: float = 0.999,
        gamma: float = 0.0,
        name: str = "class_balanced",
        reduction: str = REDUCTION,
    ) -> None:
        super().__init__(positives, rows, name=name, reduction=reduction)
        check_range(name, "beta", beta, 0, 1)
        check_range(name, "gamma", gamma, 0)
        self.beta, self.gamma = beta, gamma
        present = np.array(self.counts.positives, float)
        found = present > 0
        weights = np.ones(len(present))
        weights[found] = (1 - beta) / (1 - beta ** present[found])
        weights[found] *= found.sum() / weights[found].sum()
        self._weights = weights.astype("float32")

    def per_class(self, targets: Any, probabilities: Any) -> Any:
        """Loss of each class of each row."""
        positive, negative = crossentropies(probabilities, self.gamma)
        return self._weights * (targets * positive + (1 - targets) * negative)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {**super().get_config(), "beta": self.beta, "gamma": self.gamma}
