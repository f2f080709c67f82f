"""Operating points of a model, fitted to the videos of a validation split."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasfast.data.records.read import read_manifest
from kerasfast.train.operating.calibration import fit_calibration, reliability
from kerasfast.train.operating.points import HeadPoint, OperatingPoints, weights_sha256
from kerasfast.train.operating.thresholds import MIN_POSITIVES, checked, fit_thresholds, macro_f1
from kerasfast.train.scoring.heads import check_heads, chosen_heads
from kerasfast.train.scoring.result import versions
from kerasfast.train.scoring.videos import score_videos
from kerasfast.train.views import merge_rules, one_rule

if TYPE_CHECKING:
    from kerasfast.models.classifier import VideoClassifier

FOLDS = 5


def fit_operating_points(
    model: VideoClassifier,
    records: str | Path,
    *,
    split: str = "val",
    clips: int = 10,
    crops: int = 3,
    merge: str | None = None,
    batch_size: int = 16,
    crop_size: int | None = None,
    heads: Sequence[str] | None = None,
    calibration: str | None = "temperature",
    min_positives: int = MIN_POSITIVES,
    no_action_below: float = 0.0,
    scores: Mapping[str, np.ndarray] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> OperatingPoints:
    """Fit thresholds and calibration of every head to a validation split.

    The split must be neither trained nor tested on: thresholds that saw the test videos make its figures too good.

    Args:
        model: A trained model whose heads are among those of the records, with as many classes.
        records: Folder of `kerasfast records build`, or its address in a store (`s3://`).
        split: Split to fit to, built with test clips (`layout="test"`).
        clips: Clips of a video. This and the next four as in `kerasfast.evaluate`; answers are asked for by the same.
        crops: Crops of a clip: 3 or 1.
        merge: `max` or `mean`; none: `max` for sigmoid heads, `mean` for softmax heads.
        batch_size: Views of a step.
        crop_size: Side of a view in pixels; none: the architecture's.
        heads: Heads to fit; none: all.
        calibration: `temperature`, `isotonic`, or none.
        min_positives: Positives that a class needs for a threshold and an isotonic map of its own.
        no_action_below: Calibrated probability of the best class below which a head answers "no action", besides
            where no class reaches its threshold.
        scores: What `score_videos` gave for the same split and protocol, so that nothing is scored twice.
        progress: Called after each batch with the views done and the views in all.

    Returns:
        Operating points. `validation` of each head holds `macro_f1_at_half` (threshold 0.5 for all), `macro_f1` (of
        the fitted thresholds, on the videos that they were fitted to, hence too good), `macro_f1_held_out` (each
        fifth of the videos by what the other four gave), `videos`, `without_label` and `no_action` (videos whose
        answer is "no action").

    Raises:
        ValueError: Heads or scores that do not fit the records, fewer than two videos with a label, or scores that are
            no probabilities.
        DataError: Records that are missing, damaged, or of other clips.
    """
    from kerasfast.data.pipeline.testing import video_labels

    manifest = read_manifest(records, split)
    videos = len(manifest.videos)
    if not videos:
        raise ValueError(f"Split {split!r} of {records} has no videos to fit to. Build it from videos that are whole.")
    chosen = chosen_heads(model, heads)
    check_heads({name: head.classes for name, head in chosen.items()}, manifest.labels.sizes, str(records))
    protocol: dict[str, Any] = {"clips": clips, "crops": crops, "merge": merge}
    if scores is None:
        views = {**protocol, "batch_size": batch_size, "crop_size": crop_size, "heads": heads, "progress": progress}
        scores = score_videos(model, records, split=split, **views)
    labels = video_labels(records, split)
    options = {"calibration": calibration, "min_positives": min_positives, "no_action_below": no_action_below}
    points = {}
    for name, head in chosen.items():
        if name not in scores:
            raise ValueError(f"scores must be of every head. Received: none of {name!r}.")
        try:
            points[name] = fit_head(
                labels[name], scores[name], head.activation, names=manifest.labels.heads[name], **options
            )
        except ValueError as error:
            raise ValueError(f"Head {name!r} on split {split!r} of {records}: {error}") from error
    protocol |= {
        "merge": one_rule(merge_rules(model.heads, merge, chosen)),
        "crop_size": crop_size or model.variant.test_crop_size,
    }
    return OperatingPoints(points, weights_sha256(model), {"split": split, "videos": videos, **protocol}, versions())


def fit_head(
    labels: np.ndarray,
    scores: np.ndarray,
    activation: str = "sigmoid",
    *,
    names: Sequence[str] | None = None,
    calibration: str | None = "temperature",
    min_positives: int = MIN_POSITIVES,
    no_action_below: float = 0.0,
) -> HeadPoint:
    """Fit one head; arguments and errors as in `fit_operating_points`.

    Args:
        labels: `(videos, classes)`, 0 or 1.
        scores: `(videos, classes)`, probabilities.
        activation: `sigmoid` or `softmax`.
        names: Class names.
        calibration: `temperature`, `isotonic`, or none.
        min_positives: Positives that a class needs for its own threshold and isotonic map.
        no_action_below: Calibrated probability of the best class below which the answer is "no action".
    """
    labels, scores = checked(labels, scores)
    softmax = activation == "softmax"

    def fit(rows: Any) -> HeadPoint:
        thresholds = fit_thresholds(labels[rows], scores[rows], min_positives=min_positives)
        return HeadPoint(
            activation=activation,
            thresholds=(0.0,) * len(thresholds.values) if softmax else tuple(thresholds.values.tolist()),
            calibration=None
            if calibration is None
            else fit_calibration(
                labels[rows], scores[rows], calibration, activation=activation, min_positives=min_positives
            ),
            no_action_below=no_action_below,
            labels=None if names is None else tuple(names),
            break_even=() if softmax else thresholds.break_even,
            without_positives=thresholds.without_positives,
        )

    point = fit(slice(None))
    decided, probable = np.zeros(labels.shape, bool), np.zeros(labels.shape)
    for held in _folds(labels):
        without = fit(~held)
        decided[held], probable[held] = without.decide(scores[held]), without.probabilities(scores[held])
    fitted = point.decide(scores)
    return dataclasses.replace(
        point,
        validation={
            "macro_f1_at_half": macro_f1(labels, scores >= 0.5),
            "macro_f1": macro_f1(labels, fitted),
            "macro_f1_held_out": macro_f1(labels, decided),
            "videos": len(labels),
            "without_label": int((~labels.any(axis=1)).sum()),
            "no_action": int((~fitted.any(axis=1)).sum()),
        },
        reliability=(reliability(labels, scores, activation), reliability(labels, probable, activation)),
    )


def _folds(labels: np.ndarray) -> list[np.ndarray]:
    """Rows of each fold, bool `(rows,)`; those with a label are spread evenly.

    Raises:
        ValueError: Fewer than two rows with a label, so that some fold would leave none to fit to.
    """
    labelled = labels.any(axis=1)
    if labelled.sum() < 2:
        raise ValueError(
            f"At least two videos must have a label. Received: {int(labelled.sum())} of {len(labels)}. "
            "Check the split and the annotations."
        )
    order = np.lexsort((np.random.default_rng(0).random(len(labels)), ~labelled))
    fold = np.empty(len(labels), int)
    fold[order] = np.arange(len(labels)) % FOLDS
    return [fold == number for number in np.unique(fold)]
