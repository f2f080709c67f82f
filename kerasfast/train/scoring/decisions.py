"""Yes or no at a threshold: precision, recall and F1 per class, macro and micro. NumPy only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Averages:
    """Precision, recall and F1 over classes."""

    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class Decisions:
    """How decisions agree with labels; arrays are `(classes,)` float64, NaN for skipped classes.

    Attributes:
        precision: Share of the rows decided for a class that have it; 0 for a class that no row was decided for.
        recall: Share of the rows that have a class that were decided for it.
        f1: Harmonic mean of both, 2 TP / (2 TP + FP + FN).
        macro: Means over the classes that have positives.
        micro: Of the pooled counts of the same classes.
        skipped: Classes without a positive row, in neither average: their recall is undefined, and counted as 0 or
            1 it would move the mean by the accident of the split.
        silent: Classes with positives that no row was decided for.
    """

    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    macro: Averages
    micro: Averages
    skipped: tuple[int, ...]
    silent: tuple[int, ...]


def decide(scores: np.ndarray, thresholds: float | np.ndarray = 0.5) -> np.ndarray:
    """Decisions by thresholds: a score that reaches its threshold is a yes.

    Args:
        scores: `(rows, classes)`.
        thresholds: One for all classes, or one per class `(classes,)`; infinite means never.

    Returns:
        Boolean `(rows, classes)`.

    Raises:
        ValueError: Another shape, or a threshold that is NaN.
    """
    scores = np.asarray(scores)
    return scores >= limits(thresholds, scores.shape[1])


def limits(thresholds: float | np.ndarray, classes: int) -> np.ndarray:
    """Thresholds as float64 `()` or `(classes,)`.

    Raises:
        ValueError: Another shape, or a threshold that is NaN.
    """
    found = np.asarray(thresholds, np.float64)
    if found.shape not in ((), (classes,)) or np.isnan(found).any():
        raise ValueError(
            f"thresholds must be one number, or {classes} for the {classes} classes, and not NaN. "
            f"Received: {thresholds if found.ndim == 0 else f'shape {found.shape}, {np.isnan(found).sum()} NaN'}."
        )
    return found


def head_thresholds(thresholds: float | Mapping[str, Any], sizes: Mapping[str, int]) -> dict[str, np.ndarray]:
    """Thresholds of every head, before anything is scored.

    Args:
        thresholds: One for all heads, or by head; a head without keeps 0.5.
        sizes: Classes by head.

    Raises:
        ValueError: Thresholds of another head or shape, or that are NaN; names the head.
    """
    given = thresholds if isinstance(thresholds, Mapping) else dict.fromkeys(sizes, thresholds)
    if unknown := set(given) - set(sizes):
        raise ValueError(f"thresholds are for the heads {', '.join(sizes)}. Received: {', '.join(sorted(unknown))}.")
    found = {}
    for head, classes in sizes.items():
        try:
            found[head] = limits(given.get(head, 0.5), classes)
        except ValueError as error:
            raise ValueError(f"Head {head!r}: {error}") from error
    return found


def agreement(labels: np.ndarray, decided: np.ndarray) -> Decisions:
    """Compare decisions with labels.

    scikit-learn takes a single column for a binary problem and scores its zeros too; hence the counts here.

    Args:
        labels: `(rows, classes)`, 0 or 1.
        decided: `(rows, classes)`, boolean, as `decide` gives it.

    Raises:
        ValueError: The shapes differ, or no class has a positive.
    """
    labels, decided = np.asarray(labels), np.asarray(decided)
    if labels.ndim != 2 or labels.shape != decided.shape:
        raise ValueError(
            f"labels and decisions must both be (rows, classes). Received: {labels.shape} and {decided.shape}."
        )
    true = labels.astype(bool)
    positives, named = true.sum(axis=0), decided.sum(axis=0)
    hits = (true & decided).sum(axis=0)
    scored = positives > 0
    if not scored.any():
        raise ValueError("F1 needs a class with at least one positive row. Received: labels that are all 0.")
    ratios = np.stack(
        [hits / np.maximum(named, 1), hits / np.maximum(positives, 1), 2 * hits / (named + positives + ~scored)]
    )
    ratios[:, ~scored] = np.nan
    pooled = hits[scored].sum(), named[scored].sum(), positives[scored].sum()
    return Decisions(
        *ratios,
        macro=Averages(*(float(value) for value in ratios[:, scored].mean(axis=1))),
        micro=Averages(
            float(pooled[0] / max(pooled[1], 1)),
            float(pooled[0] / pooled[2]),
            float(2 * pooled[0] / (pooled[1] + pooled[2])),
        ),
        skipped=tuple(np.flatnonzero(~scored).tolist()),
        silent=tuple(np.flatnonzero(scored & (named == 0)).tolist()),
    )
