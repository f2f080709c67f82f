"""Targets, probabilities and class frequencies that the losses are tried on."""

import keras
import numpy as np

from kerasfast.train.losses import ClassCounts, head_losses

COUNTS = ClassCounts((60, 12, 5, 1, 0), 100)  # a long tail that ends in a class without positives
MULTI_LABEL = (
    *("bce", "weighted_bce", "focal", "asymmetric"),
    *("class_balanced", "distribution_balanced", "partial_label_masking"),
)

_random = np.random.default_rng(7)
TARGETS = np.array(
    [[1, 0, 0, 0, 0], [1, 1, 0, 0, 0], [0, 0, 1, 1, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1], [0, 1, 0, 0, 0]], "float32"
)
SCORES = _random.uniform(0.02, 0.98, TARGETS.shape).astype("float32")


def loss_of(name, **options):
    """A loss as a recipe gets it, for one head of five classes."""
    return head_losses({"action": "sigmoid"}, name, options=options, counts={"action": COUNTS})["action"]


def assert_formula(loss, formula):
    """Each row costs the mean over classes of a formula, and all rows the mean of that.

    Args:
        loss: A loss.
        formula: Function of probability, target, class and the targets of the whole row.
    """
    rows = [
        sum(formula(float(p), float(y), c, row) for c, (p, y) in enumerate(zip(scores, row, strict=True))) / len(row)
        for scores, row in zip(SCORES, TARGETS, strict=True)
    ]
    tensors = (keras.ops.convert_to_tensor(values) for values in (TARGETS, SCORES))
    np.testing.assert_allclose(loss.call(*tensors), rows, rtol=2e-5)
    np.testing.assert_allclose(float(loss(TARGETS, SCORES)), np.mean(rows), rtol=2e-5)
