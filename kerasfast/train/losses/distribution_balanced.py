"""Loss that undoes what classes that occur together do to each other's frequency."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from kerasfast.train.losses.base import REDUCTION, CountedLoss, check_range

# Where a row has no class, its weights would be divided by 0. So far below 1 / rows that they reach their limit.
_NO_CLASS = 1e-12


@keras.saving.register_keras_serializable("kerasfast")
class DistributionBalanced(CountedLoss):
    """Distribution-balanced loss (Wu et al. 2020, "Distribution-Balanced Loss for Multi-Label Classification ...").

    With n_i positives of class i in N rows, the logit z, the target y and the logit's bias
    `v_i = kappa * log(N / n_i - 1)`, class i of a row costs

        w_i * (y * log(1 + exp(-(z - v_i))) + (1 - y) / lam * log(1 + exp(lam * (z - v_i))))

    Its weight is `w_i = alpha + sigmoid(beta * (r_i - mu))`, and `r_i = (1 / n_i) / sum of 1 / n_j over the classes j
    of the row` is how often the row should be drawn for class i, compared with how often it is drawn for all its
    classes. A row without classes has the limit, `alpha + 1`. A class without positives counts as having one, one
    without negatives likewise. The resampling that the paper adds, and the focal factor of its code, are left out.

    Args:
        positives: For each class, the rows that have it.
        rows: All rows.
        alpha: Smallest weight.
        beta: Slope of the sigmoid.
        mu: Middle of the sigmoid: 0.2 is the paper's on COCO, 0.3 on VOC.
        lam: Tolerance of negatives (the paper's lambda): 2 on COCO, 5 on VOC.
        kappa: Scale of the bias of the logits.
        name: Name of the loss.
        reduction: As for `MultiLabelLoss`.

    Raises:
        ValueError: As `ClassCounts`, or a negative argument, or lam below 1.
    """

    def __init__(
        self,
        positives: Sequence[int],
        rows: int,
        alpha: float = 0.1,
        beta: float = 10.0,
        mu: float = 0.2,
        lam: float = 2.0,
        kappa: float = 0.05,
        name: str = "distribution_balanced",
        reduction: str = REDUCTION,
    ) -> None:
        super().__init__(positives, rows, name=name, reduction=reduction)
        for key, value in {"alpha": alpha, "beta": beta, "mu": mu, "kappa": kappa}.items():
            check_range(name, key, value, 0)
        check_range(name, "lam", lam, 1)
        self.alpha, self.beta, self.mu, self.lam, self.kappa = alpha, beta, mu, lam, kappa
        self._inverse = (1 / np.maximum(self.counts.positives, 1)).astype("float32")
        self._bias = (-kappa * np.log(self.counts.odds())).astype("float32")

    def per_class(self, targets: Any, probabilities: Any) -> Any:
        """Loss of each class of each row."""
        ops: Any = keras.ops  # whose stubs allow None
        drawn = ops.sum(targets * self._inverse, axis=-1, keepdims=True)
        ratio = self._inverse / ops.maximum(drawn, _NO_CLASS)
        weights = self.alpha + ops.sigmoid(self.beta * (ratio - self.mu))
        logits = ops.log(probabilities) - ops.log(1 - probabilities) - self._bias
        positive = ops.softplus(-logits)
        negative = ops.softplus(self.lam * logits) / self.lam
        return weights * (targets * positive + (1 - targets) * negative)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        own = {key: getattr(self, key) for key in ("alpha", "beta", "mu", "lam", "kappa")}
        return {**super().get_config(), **own}
