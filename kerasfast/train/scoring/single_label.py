"""One class a row: top-k accuracy, accuracy per class, confusion matrix."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

TOP = 5  # the second figure of every table of Kinetics


@dataclass(frozen=True)
class SingleLabel:
    """Accuracy of one softmax head.

    Attributes:
        top1: Share of the rows whose class has the highest score.
        topk: Share of the rows whose class is among the `k` highest.
        k: 5, or the number of classes where there are fewer.
        class_accuracy: Share of the rows of each class with `top1`, float64 `(classes,)`; NaN for classes without rows.
        confusion: int64 `(classes, classes)`: rows of class i (row) whose highest score is class j (column).
        correct: Whether each row has `top1`, boolean `(rows,)`.
    """

    top1: float
    topk: float
    k: int
    class_accuracy: np.ndarray
    confusion: np.ndarray
    correct: np.ndarray


def single_label(labels: np.ndarray, scores: np.ndarray, top: int = TOP) -> SingleLabel:
    """Rank the class of each row; of equal scores the first class leads, as in `argmax`.

    Args:
        labels: `(rows, classes)`, one 1 in each row.
        scores: `(rows, classes)`.
        top: k of the top-k accuracy.

    Raises:
        ValueError: The shapes differ, or a row has no class or several.
    """
    from sklearn.metrics import confusion_matrix

    labels, scores = np.asarray(labels), np.asarray(scores)
    if labels.ndim != 2 or labels.shape != scores.shape or not labels.size:
        raise ValueError(f"labels and scores must both be (rows, classes). Received: {labels.shape}, {scores.shape}.")
    held = np.count_nonzero(labels, axis=1)
    if (held != 1).any():
        row = int(np.flatnonzero(held != 1)[0])
        raise ValueError(
            f"A softmax head needs exactly one class in every row. Received: {held[row]} in row {row}. "
            "Build the model with sigmoid heads for videos of several actions."
        )
    classes = labels.shape[1]
    true, k = labels.argmax(axis=1), min(top, classes)
    order = np.argsort(-scores, axis=1, kind="stable")
    found = order[:, :k] == true[:, None]
    confusion = confusion_matrix(true, order[:, 0], labels=np.arange(classes))
    rows = confusion.sum(axis=1)
    accuracy = np.where(rows > 0, np.diag(confusion) / np.maximum(rows, 1), np.nan)
    return SingleLabel(
        top1=float(found[:, 0].mean()),
        topk=float(found.any(axis=1).mean()),
        k=k,
        class_accuracy=accuracy,
        confusion=confusion,
        correct=found[:, 0],
    )
