"""All figures of one head, and how they are written: into `metrics.json`, tables and submission files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from kerasfast.train.metrics import Result, Rule, mean_average_precision, shuffled_control
from kerasfast.train.scoring.bootstrap import Interval, draws, interval, resampled_map
from kerasfast.train.scoring.decisions import Decisions, agreement, decide, head_thresholds
from kerasfast.train.scoring.single_label import SingleLabel, single_label

SEED = 0  # of the shuffled control and of the bootstrap: the same scores give the same report


@dataclass(frozen=True)
class HeadReport:
    """Figures of one head.

    Attributes:
        result: Average precision.
        decisions: Precision, recall and F1: a sigmoid head decides by its thresholds, a softmax head for its highest
            score.
        thresholds: Those of the classes, float64 `(classes,)`; None for a softmax head.
        shuffled: The mAP of the scores against the labels of other rows, which has to come out at chance.
        single: Accuracy of a softmax head; None for a sigmoid head.
        draws: The figure that the head is known by, mAP or top-1, in each resample of the videos; None without.
    """

    result: Result
    decisions: Decisions
    thresholds: np.ndarray | None
    shuffled: float
    single: SingleLabel | None
    draws: np.ndarray | None

    def to_dict(self, names: Sequence[str]) -> dict[str, Any]:
        """The figures in plain types, classes by name."""
        result, decisions = self.result, self.decisions
        values: dict[str, Any] = {
            "map": result.map,
            "chance": result.chance,
            "prevalence": result.prevalence,
            "weighted_map": result.weighted_map,
            "shuffled": self.shuffled,
            "skipped": [names[c] for c in result.skipped],
            "constant": [names[c] for c in result.constant],
            "macro": asdict(decisions.macro),
            "micro": asdict(decisions.micro),
            "silent": [names[c] for c in decisions.silent],
            "ap": _by_name(names, result.ap),
        }
        if self.draws is not None:
            key, figure = ("interval", result.map) if self.single is None else ("top1_interval", self.single.top1)
            values[key] = asdict(interval(self.draws, figure))
        if self.single is not None:
            values |= _accuracy(self.single, names)
        return values


def report_head(
    labels: np.ndarray,
    scores: np.ndarray,
    *,
    softmax: bool,
    rule: Rule,
    thresholds: float | np.ndarray = 0.5,
    counts: np.ndarray | None = None,
) -> HeadReport:
    """Work out every figure of one head.

    Args:
        labels: `(rows, classes)`, 0 or 1.
        scores: `(rows, classes)`.
        softmax: Whether each row has exactly one class.
        rule: Rule of average precision.
        thresholds: For a sigmoid head one for all classes, or `(classes,)`.
        counts: How often each row comes in each resample, `(rows, resamples)`; None: no interval.

    Raises:
        ValueError: Scores that are NaN or constant, labels without a positive, thresholds that do not fit.
    """
    result = mean_average_precision(labels, scores, rule)
    drawn, single, limits = None, None, None
    if softmax:
        single = single_label(labels, scores)
        decided = np.argsort(-scores, axis=1, kind="stable")[:, :1] == np.arange(scores.shape[1])
        if counts is not None:
            drawn = single.correct @ counts / len(labels)
    else:
        decided = decide(scores, thresholds)
        limits = np.broadcast_to(np.asarray(thresholds, np.float64), scores.shape[1:])
        if counts is not None:
            drawn = resampled_map(labels, scores, counts, rule)
    return HeadReport(
        result=result,
        decisions=agreement(labels, decided),
        thresholds=limits,
        shuffled=shuffled_control(labels, scores, seed=SEED, rule=rule),
        single=single,
        draws=drawn,
    )


def report_heads(
    labels: Mapping[str, np.ndarray],
    scores: Mapping[str, np.ndarray],
    *,
    softmax: Mapping[str, bool],
    rule: Rule,
    thresholds: float | Mapping[str, Any] = 0.5,
    resamples: int = 0,
) -> dict[str, HeadReport]:
    """The reports of all heads; arguments by head, as in `report_head`.

    Args:
        labels: `(videos, classes)`, or `(videos, frames, classes)`, whose frames are drawn with their video.
        scores: As labels.
        softmax: Whether a head is single-label.
        rule: Rule of average precision.
        thresholds: One for all, or by head; heads without keep 0.5.
        resamples: Resamples of the bootstrap; 0 for none.

    Raises:
        ValueError: As in `report_head`; names the head.
    """
    limits = head_thresholds(thresholds, {head: labels[head].shape[-1] for head in softmax})
    reports = {}
    for head, single in softmax.items():
        classes = labels[head].shape[-1]
        repeats = labels[head][0, ..., 0].size  # rows of a video
        counts = None
        if resamples:
            counts = np.repeat(draws(len(labels[head]), resamples, SEED), repeats, axis=0)
        try:
            reports[head] = report_head(
                labels[head].reshape(-1, classes),
                scores[head].reshape(-1, classes),
                softmax=single,
                rule=rule,
                thresholds=limits[head],
                counts=counts,
            )
        except ValueError as error:
            raise ValueError(f"Head {head!r}: {error}") from error
    return reports


def summary(reports: Mapping[str, HeadReport], names: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """What `metrics.json` holds of the heads and of all of them together."""
    results = [report.result for report in reports.values()]
    metrics: dict[str, Any] = {
        "heads": {head: report.to_dict(names[head]) for head, report in reports.items()},
        "overall_map": float(np.mean([result.map for result in results])),
        "overall_chance": float(np.mean([result.chance for result in results])),
    }
    drawn = [report.draws for report in reports.values() if report.single is None and report.draws is not None]
    if len(drawn) == len(reports):  # the same videos were drawn for every head
        overall: Interval = interval(np.mean(drawn, axis=0), metrics["overall_map"])
        metrics["overall_interval"] = asdict(overall)
    return metrics


def check_subsets(subsets: Mapping[str, Sequence[int]], counts: Mapping[str, Sequence[int]]) -> None:
    """Refuse subsets of action classes that could not be scored, before anything is.

    Args:
        subsets: Name -> indices of action classes.
        counts: Positives of each class of the scored heads.

    Raises:
        ValueError: There is no head `action`, a class is out of range, or none of a subset has a positive.
    """
    if subsets and "action" not in counts:
        raise ValueError(f"Subsets are of action classes; the model has the heads {', '.join(counts)}.")
    for name, classes in subsets.items():
        known = range(len(counts["action"]))
        if not len(classes) or any(c not in known for c in classes):
            raise ValueError(
                f"Subset {name!r} must be indices of action classes below {len(known)}. Received: {list(classes)}."
            )
        if not any(counts["action"][c] for c in classes):
            raise ValueError(f"Subset {name!r}: none of the classes {list(classes)} has a positive row to score.")


def subset_summary(
    reports: Mapping[str, HeadReport], classes: Sequence[int], names: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """The mAP of some classes of the head `action`, with chance beside it; `check_subsets` says whether it has one."""
    part = reports["action"].result.subset(classes)
    shown = {"map": part.map, "chance": part.chance, "prevalence": part.prevalence}
    return {**shown, "classes": [names["action"][c] for c in classes]}


def _by_name(names: Sequence[str], values: np.ndarray) -> dict[str, float]:
    return {name: float(value) for name, value in zip(names, values, strict=True) if not np.isnan(value)}


def _accuracy(single: SingleLabel, names: Sequence[str]) -> dict[str, Any]:
    """Accuracy in plain types; of the confusion matrix the cells that are not 0, true class first."""
    cells = {
        names[true]: {names[found]: int(row[found]) for found in np.flatnonzero(row).tolist()}
        for true, row in enumerate(single.confusion)
        if row.any()
    }
    return {
        "top1": single.top1,
        f"top{single.k}": single.topk,
        "chance_top1": 1 / len(names),
        "mean_class_accuracy": float(np.nanmean(single.class_accuracy)),
        "class_accuracy": _by_name(names, single.class_accuracy),
        "confusion": cells,
    }
