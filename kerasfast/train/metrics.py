"""Exact average precision for multi-label scores, with chance beside it. NumPy and scikit-learn only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

Rule = Literal["sklearn", "charades", "charades_localize"]


@dataclass(frozen=True)
class Result:
    """Average precision of one head; arrays are `(classes,)` float64.

    Attributes:
        map: Mean of `ap` over the classes that have positives.
        ap: Average precision per class, NaN for the skipped ones.
        chance: Mean over the same classes of `class_chance`.
        prevalence: Mean share of positives over the same classes, which is what constant scores get.
        class_chance: Expected average precision of a random ranking, NaN for skipped classes.
        positives: Positive rows per class, int64 `(classes,)`.
        rows: Rows that compete for a rank: all of them, or those with a label (`"charades"`).
        skipped: Classes without a positive: neither 0 nor 1, they are left out of every mean.
        constant: Classes with positives whose scores are the same in every row; they rank nothing.
    """

    map: float
    ap: np.ndarray
    chance: float
    prevalence: float
    class_chance: np.ndarray
    positives: np.ndarray
    rows: int
    skipped: tuple[int, ...]
    constant: tuple[int, ...]

    @property
    def weighted_map(self) -> float:
        """The WAP of the official code of Charades: the mean of `ap` weighted by the positives of each class."""
        scored = self.positives > 0
        return float(np.average(self.ap[scored], weights=self.positives[scored]))

    def subset(self, classes: Sequence[int]) -> Result:
        """The same for some classes; the rows that compete stay those of all classes.

        Args:
            classes: Indices of classes, in any order; `ap` and the other arrays follow it.

        Raises:
            ValueError: An index out of range, or none of the classes has a positive.
        """
        chosen = np.asarray(classes, int)
        if not chosen.size or chosen.min() < 0 or chosen.max() >= len(self.ap):
            raise ValueError(f"classes must be indices below {len(self.ap)}. Received: {list(classes)}.")
        if not self.positives[chosen].any():
            raise ValueError(f"None of the classes {list(classes)} has a positive row; their mAP is undefined.")
        return Result(
            map=float(np.nanmean(self.ap[chosen])),
            ap=self.ap[chosen],
            chance=float(np.nanmean(self.class_chance[chosen])),
            prevalence=float(np.mean(self.positives[chosen][self.positives[chosen] > 0] / self.rows)),
            class_chance=self.class_chance[chosen],
            positives=self.positives[chosen],
            rows=self.rows,
            skipped=tuple(np.flatnonzero(self.positives[chosen] == 0).tolist()),
            constant=tuple(np.flatnonzero(np.isin(chosen, self.constant)).tolist()),
        )


def mean_average_precision(
    labels: np.ndarray, scores: np.ndarray, rule: Rule = "sklearn", *, allow_constant: bool = False
) -> Result:
    """Average over classes the exact average precision, without thresholds or interpolation.

    Args:
        labels: `(rows, classes)`, 0 or 1.
        scores: `(rows, classes)`, larger means more likely. `-inf` (a missing prediction) is allowed under
            the rules of Charades.
        rule: `"sklearn"`: `sklearn.metrics.average_precision_score`, every row counts and equal scores form
            one threshold, as in PySlowFast's `get_map`. `"charades"`: the official `Charades_v1_classify.m`:
            rows without any label sort last, equal scores keep their order, AP is the mean over the
            positives of the precision at their rank. `"charades_localize"`: the official
            `Charades_v1_localize.m`, the same with every row (a frame) at its own score.
        allow_constant: Let all rows have the same scores, as at the first step of a training, whose mAP is the
            prevalence then.

    Raises:
        ValueError: Wrong shapes, labels other than 0 and 1, scores that are not numbers, scores that do not
            depend on the row, or no class with a positive.
    """
    labels, scores = _checked(labels, scores, rule)
    if not allow_constant:
        _refuse_constant(scores)
    positives = labels.sum(axis=0)
    scored = np.flatnonzero(positives)
    if not len(scored):
        raise ValueError(
            f"Average precision needs a class with at least one positive row. Received: labels of shape "
            f"{labels.shape} that are all 0. Check the split and the annotations."
        )
    ap = np.full(labels.shape[1], np.nan)
    rows = int(labels.any(axis=1).sum()) if rule == "charades" else len(labels)
    if rule == "sklearn":
        from sklearn.metrics import average_precision_score

        ap[scored] = [average_precision_score(labels[:, c], scores[:, c]) for c in scored]
    else:
        ap[scored] = _charades_ap(labels[:, scored], competing_scores(labels, scores, rule)[:, scored])
    class_chance = np.full(labels.shape[1], np.nan)
    class_chance[scored] = chance_average_precision(positives[scored], rows)
    constant = np.flatnonzero((scores == scores[0]).all(axis=0) & (positives > 0)) if len(scores) > 1 else []
    return Result(
        map=float(np.mean(ap[scored])),
        ap=ap,
        chance=float(np.mean(class_chance[scored])),
        prevalence=float(np.mean(positives[scored] / rows)),
        class_chance=class_chance,
        positives=positives,
        rows=rows,
        skipped=tuple(np.flatnonzero(positives == 0).tolist()),
        constant=tuple(np.asarray(constant, int).tolist()),
    )


def chance_average_precision(positives: np.ndarray, rows: int) -> np.ndarray:
    """Return the expected AP of a uniformly random ranking: H_n/n + (p-1)/(n-1) * (1 - H_n/n).

    The positive at rank k contributes (1 + (k-1)(p-1)/(n-1)) / k, and its rank is uniform over 1..n.

    Args:
        positives: Positive rows p per class, each at least 1.
        rows: Rows n.
    """
    harmonic = np.sum(1.0 / np.arange(1, rows + 1)) / rows
    others = (np.asarray(positives, float) - 1) / max(rows - 1, 1)
    return harmonic + others * (1 - harmonic)


def shuffled_control(
    labels: np.ndarray, scores: np.ndarray, seed: int = 0, rule: Rule = "sklearn", repeats: int = 10
) -> float:
    """Return the mAP that the same scores get for the wrong videos; it has to come out at `Result.chance`.

    Args:
        labels: As for `mean_average_precision`.
        scores: As for `mean_average_precision`; their rows are permuted.
        seed: Seed of the permutations.
        rule: As for `mean_average_precision`.
        repeats: Permutations to average over: one alone strays from chance by chance.
    """
    generator = np.random.default_rng(seed)
    scores = np.asarray(scores)
    orders = (generator.permutation(len(scores)) for _ in range(repeats))
    return float(np.mean([mean_average_precision(labels, scores[order], rule).map for order in orders]))


def competing_scores(labels: np.ndarray, scores: np.ndarray, rule: Rule) -> np.ndarray:
    """The scores that rows are ranked by: their own, or -inf for rows without any label under `"charades"`."""
    return np.where(labels.any(axis=1, keepdims=True), scores, -np.inf) if rule == "charades" else scores


def _charades_ap(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Average precision per class of the official code; every class has a positive."""
    order = np.argsort(-scores, axis=0, kind="stable")
    hits = np.take_along_axis(labels, order, axis=0)
    precision = np.cumsum(hits, axis=0) / np.arange(1, len(labels) + 1)[:, None]
    return (precision * hits).sum(axis=0) / hits.sum(axis=0)


def check_rule(rule: str) -> None:
    """Refuse a rule that there is not.

    Raises:
        ValueError: Names those that there are.
    """
    if rule not in get_args(Rule):
        raise ValueError(f"rule must be one of {get_args(Rule)}. Received: rule={rule!r}.")


def _checked(labels: np.ndarray, scores: np.ndarray, rule: str) -> tuple[np.ndarray, np.ndarray]:
    check_rule(rule)
    labels, scores = np.asarray(labels), np.asarray(scores, dtype=np.float64)
    if labels.ndim != 2 or labels.shape != scores.shape or not labels.size:
        raise ValueError(
            "labels and scores must both be (rows, classes) and hold at least one row. "
            f"Received: labels {labels.shape}, scores {scores.shape}. Give one row per video, in one order."
        )
    if not np.isin(labels, (0, 1)).all():
        found = labels[~np.isin(labels, (0, 1))][0]
        raise ValueError(f"labels must be 0 or 1. Received: {found!r}. Give multi-hot rows, not class numbers.")
    unusable = ~np.isfinite(scores) if rule == "sklearn" else np.isnan(scores) | (scores == np.inf)
    if unusable.any():
        row, column = (int(i) for i in np.argwhere(unusable)[0])
        raise ValueError(
            f"scores must be numbers. Received: {scores[row, column]} at row {row}, class {column} "
            f"({int(unusable.sum())} in all). The model has diverged or a video was never scored."
        )
    return labels.astype(np.int64), scores


def _refuse_constant(scores: np.ndarray) -> None:
    if len(scores) > 1 and (scores == scores[0]).all():
        raise ValueError(
            f"scores must depend on the row. Received: {len(scores)} identical rows (first class: "
            f"{scores[0, 0]:.6g}), for which mAP is only the prevalence of the labels. The model ignores its "
            "input: check its weights, its batch norm statistics and the range of its frames (0..255)."
        )
