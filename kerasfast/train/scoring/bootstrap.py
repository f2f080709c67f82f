"""How far a figure would move with other test videos: the bootstrap. NumPy only.

Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapters 10 and 13. Whole videos are drawn with
replacement, so the interval covers the choice of the videos, not that of the training seed. Copies of a positive follow
each other in the ranking, which lifts the AP of classes with few positives, up to where no draw is as low as the figure
itself. That is the bias of the draws (chapter 10), and is taken off them before the percentiles are read.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kerasfast.train.metrics import Rule, competing_scores


@dataclass(frozen=True)
class Interval:
    """Where the middle `level` of the draws lies, once their bias is off.

    Attributes:
        low: Its lower end.
        high: Its upper end.
        level: Share of the draws inside.
        resamples: Number of draws.
        bias: The median of the draws less the figure itself; of the mAP of a few videos it is large.
    """

    low: float
    high: float
    level: float
    resamples: int
    bias: float


def draws(rows: int, resamples: int = 200, seed: int = 0) -> np.ndarray:
    """How often each row comes in each resample of as many rows, int32 `(rows, resamples)`.

    Args:
        rows: Rows, such as videos.
        resamples: Resamples, at least 2.
        seed: Seed of the draws; the same for all heads, so that their figures can be averaged draw by draw.

    Raises:
        ValueError: Fewer than 2 resamples.
    """
    if resamples < 2:
        raise ValueError(f"A bootstrap needs at least 2 resamples, better 200. Received: resamples={resamples!r}.")
    generator = np.random.default_rng(seed)
    counts = generator.multinomial(rows, np.full(rows, 1 / rows), size=resamples)
    return np.ascontiguousarray(counts.T, dtype=np.int32)


def resampled_map(labels: np.ndarray, scores: np.ndarray, counts: np.ndarray, rule: Rule = "sklearn") -> np.ndarray:
    """The mAP of every resample: that of `mean_average_precision` for rows repeated as often as they were drawn.

    Rows are sorted once per class, and all resamples go through its cumulative sums together.

    Args:
        labels: `(rows, classes)`, 0 or 1.
        scores: `(rows, classes)`, as `mean_average_precision` takes them.
        counts: What `draws` gave, `(rows, resamples)`.
        rule: Rule of average precision.

    Returns:
        float64 `(resamples,)`. A class without a positive in a resample is left out of the mean of that one; NaN
        where no class has any.
    """
    labels = np.asarray(labels).astype(bool)
    scores = competing_scores(labels, np.asarray(scores, np.float64), rule)
    average = _grouped_ap if rule == "sklearn" else _ordered_ap
    total, classes = np.zeros(counts.shape[1]), np.zeros(counts.shape[1], int)
    for c in np.flatnonzero(labels.any(axis=0)):
        order = np.argsort(-scores[:, c], kind="stable")
        places = np.flatnonzero(labels[order, c])
        positives = counts[order[places]]
        seen = np.cumsum(counts[order[: places[-1] + 1] if rule != "sklearn" else order], axis=0, dtype=np.int32)
        drawn = positives.sum(axis=0)
        ap = average(scores[order, c], places, positives, seen)
        total += np.where(drawn > 0, ap / np.maximum(drawn, 1), 0.0)
        classes += drawn > 0
    return np.divide(total, classes, out=np.full(len(total), np.nan), where=classes > 0)


def interval(values: np.ndarray, figure: float, level: float = 0.95) -> Interval:
    """The percentile interval of the draws of a figure, moved so that their median is the figure.

    Args:
        values: The figure in each resample, `(resamples,)`, each between 0 and 1; NaN where it is undefined.
        figure: The figure of the videos as they are.
        level: Share of the draws inside, between 0 and 1.

    Raises:
        ValueError: `level` is out of range, or no draw is defined.
    """
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1. Received: level={level!r}.")
    if not np.isfinite(values).any():
        raise ValueError("No resample has a class with a positive row. Received: too few labelled videos to draw from.")
    low, median, high = np.nanquantile(values, [(1 - level) / 2, 0.5, (1 + level) / 2])
    bias = float(median) - figure
    return Interval(max(float(low) - bias, 0.0), min(float(high) - bias, 1.0), level, len(values), bias)


def _grouped_ap(ranked: np.ndarray, places: np.ndarray, positives: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Sum over the drawn positives of the precision at the end of their group of equal scores, `(resamples,)`."""
    ends = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)
    groups = ends[np.searchsorted(ends, places)]  # last row of the group of each positive
    last = np.append(np.flatnonzero(groups[1:] != groups[:-1]), len(groups) - 1)
    hits = np.cumsum(positives, axis=0)[last]
    precision = hits / np.maximum(seen[groups[last]], 1)
    return (np.diff(hits, axis=0, prepend=0) * precision).sum(axis=0)


def _ordered_ap(_: np.ndarray, places: np.ndarray, positives: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Sum over the drawn positives of the precision at their rank; copies follow each other, `(resamples,)`."""
    hits_before = np.cumsum(positives, axis=0) - positives
    seen_before = seen[places] - positives
    total = np.zeros(positives.shape[1])
    for copy in range(1, int(positives.max(initial=0)) + 1):
        precision = (hits_before + copy) / (seen_before + copy)
        total += np.where(positives >= copy, precision, 0.0).sum(axis=0)
    return total
