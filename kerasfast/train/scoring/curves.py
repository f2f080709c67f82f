"""Precision over recall as a curve of few points. NumPy and scikit-learn only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class PrecisionRecall:
    """A curve of precision over recall, from the highest threshold down.

    Attributes:
        precision: float64 `(points,)`.
        recall: float64 `(points,)`, rising.
        average: Average precision, the area under the steps of all points.
        prevalence: Share of positives, the precision of a guess.
    """

    precision: np.ndarray
    recall: np.ndarray
    average: float
    prevalence: float


def precision_recall(labels: np.ndarray, scores: np.ndarray, points: int = 200) -> PrecisionRecall:
    """Precision and recall at every threshold, thinned out where there are many.

    Args:
        labels: 0 or 1, of any shape; of all classes and rows together the curve is the micro average.
        scores: As labels.
        points: Points to keep at most, evenly spread over recall; at least 2. The average is that of all.

    Raises:
        ValueError: The shapes differ, or there is no positive.
    """
    from sklearn.metrics import average_precision_score, precision_recall_curve

    labels, scores = np.asarray(labels), np.asarray(scores)
    if labels.shape != scores.shape or not labels.any():
        raise ValueError(
            "Precision and recall need labels and scores of one shape, and a positive. Received: labels "
            f"{labels.shape} with {int(labels.sum())} positives, scores {scores.shape}."
        )
    labels, scores = labels.ravel().astype(int), scores.ravel()
    precision, recall, _ = precision_recall_curve(labels, scores)
    precision, recall = precision[::-1], recall[::-1]
    if len(recall) > points:
        kept = np.unique(np.searchsorted(recall, np.linspace(0, 1, points)).clip(max=len(recall) - 1))
        precision, recall = precision[kept], recall[kept]
    return PrecisionRecall(precision, recall, float(average_precision_score(labels, scores)), float(labels.mean()))
