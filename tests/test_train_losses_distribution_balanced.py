"""The distribution-balanced loss against the formula of Wu et al. 2020."""

from math import exp, log

import numpy as np
import pytest
from loss_case import COUNTS, assert_formula, loss_of


@pytest.mark.parametrize(
    ("alpha", "beta", "mu", "lam", "kappa"), [(0.1, 10, 0.2, 2, 0.05), (0.1, 10, 0.3, 5, 0.05), (0.5, 3, 1, 1, 0)]
)
def test_formula(alpha, beta, mu, lam, kappa):
    counts = [max(n, 1) for n in COUNTS.positives]  # the class without positives counts as having one
    classes, rows = len(counts), COUNTS.rows

    def formula(p, y, c, row):
        class_level = 1 / classes * 1 / counts[c]
        instance_level = 1 / classes * sum(1 / counts[j] for j in np.flatnonzero(row))
        weight = alpha + (1 / (1 + exp(-beta * (class_level / instance_level - mu))) if instance_level else 1)
        bias_hat = -log(1 / (counts[c] / rows) - 1)
        bias = -kappa * bias_hat
        z = log(p / (1 - p))
        if y == 1:
            return weight * log(1 + exp(-(z - bias)))
        return weight / lam * log(1 + exp(lam * (z - bias)))

    options = {"alpha": alpha, "beta": beta, "mu": mu, "lam": lam, "kappa": kappa}
    assert_formula(loss_of("distribution_balanced", **options), formula)


def test_defaults_are_the_papers_on_coco():
    config = loss_of("distribution_balanced").get_config()
    defaults = {key: config[key] for key in ("alpha", "beta", "mu", "lam", "kappa")}
    assert defaults == {"alpha": 0.1, "beta": 10.0, "mu": 0.2, "lam": 2.0, "kappa": 0.05}
