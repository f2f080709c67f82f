"""Losses with class weights against their formulas."""

from math import log

import numpy as np
import pytest
from loss_case import COUNTS, SCORES, TARGETS, assert_formula, loss_of
from sklearn.utils.class_weight import compute_class_weight

from kerasfast.train.losses import WeightedBinaryCrossentropy


def crossentropy(p, y):
    return -log(p) if y == 1 else -log(1 - p)


def test_weighted_bce_has_scikit_learns_balanced_weights():
    weights = []
    for n in COUNTS.positives:
        rows = np.array([1] * n + [0] * (COUNTS.rows - n))
        weights.append(compute_class_weight("balanced", classes=np.unique(rows), y=rows) if n else [1, 1])
    assert_formula(loss_of("weighted_bce"), lambda p, y, c, row: weights[c][int(y)] * crossentropy(p, y))


def test_a_class_in_every_row_keeps_the_weights_of_bce():
    loss = WeightedBinaryCrossentropy((4, 0), 4)
    assert float(loss(TARGETS[:, :2], SCORES[:, :2])) == pytest.approx(
        float(loss_of("bce")(TARGETS[:, :2], SCORES[:, :2])), rel=1e-6
    )


@pytest.mark.parametrize("beta", [0.9, 0.999])
@pytest.mark.parametrize("gamma", [0, 0.5, 2])
def test_class_balanced(beta, gamma):
    """Cui et al. 2019: weights of the inverse of the effective number (1 - beta^n) / (1 - beta)."""
    inverse = [1 / sum(beta**k for k in range(n)) for n in COUNTS.positives if n]  # the sum is the effective number
    weights = [w * len(inverse) / sum(inverse) for w in inverse] + [1]  # no positives: weight 1

    def formula(p, y, c, row):
        p_t = p if y == 1 else 1 - p
        return -weights[c] * (1 - p_t) ** gamma * log(p_t)

    assert_formula(loss_of("class_balanced", beta=beta, gamma=gamma), formula)


def test_class_balanced_runs_from_no_weights_to_inverse_frequency():
    plain = float(loss_of("bce")(TARGETS, SCORES))
    assert float(loss_of("class_balanced", beta=0)(TARGETS, SCORES)) == pytest.approx(plain, rel=1e-6)
    inverse = np.array([1 / n for n in COUNTS.positives if n])
    weights = [*(inverse * len(inverse) / inverse.sum()), 1]
    assert_formula(loss_of("class_balanced", beta=1 - 1e-9), lambda p, y, c, row: weights[c] * crossentropy(p, y))
    assert loss_of("class_balanced").get_config()["beta"] == 0.999
