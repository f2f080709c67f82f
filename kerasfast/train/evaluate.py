"""Many-view evaluation of a model on records: exact mAP per head, with chance and a shuffled control beside it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasfast.data.records.read import read_manifest
from kerasfast.train.metrics import Rule, check_rule
from kerasfast.train.scoring.decisions import head_thresholds
from kerasfast.train.scoring.files import write_files
from kerasfast.train.scoring.forecast import Forecast, ScoringClock
from kerasfast.train.scoring.heads import check_heads, check_labelled, chosen_heads
from kerasfast.train.scoring.protocols import choose_views
from kerasfast.train.scoring.report import check_subsets, report_heads, subset_summary, summary
from kerasfast.train.scoring.result import described, finished
from kerasfast.train.scoring.rows import check_rows
from kerasfast.train.scoring.scored_videos import ScoredVideos, implied_classes, scores_file
from kerasfast.train.scoring.videos import score_videos
from kerasfast.train.views import merge_rules

if TYPE_CHECKING:
    from kerasfast.models.classifier import VideoClassifier


def evaluate(
    model: VideoClassifier,
    records: str | Path,
    *,
    protocol: str | None = None,
    clips: int | None = None,
    crops: int | None = None,
    merge: str | Mapping[str, str] | None = None,
    split: str = "test",
    rule: Rule = "sklearn",
    batch_size: int = 16,
    crop_size: int | None = None,
    heads: Sequence[str] | None = None,
    thresholds: float | Mapping[str, Any] = 0.5,
    resamples: int = 200,
    subsets: Mapping[str, Sequence[int]] | None = None,
    scores: Mapping[str, np.ndarray] | None = None,
    out: str | Path | None = None,
    files: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    announce: Callable[[Forecast], None] | None = None,
) -> dict[str, Any]:
    """Score a model on the videos of a split.

    Args:
        model: A model whose scored heads are among those of the records, with as many classes.
        records: Folder of `kerasfast records build`, or its address in a store (`s3://`).
        protocol: `full` (10 clips x 3 crops) or `quick` (3 clips x 1 crop); None: `clips` and `crops` say it, and
            `full` where they are not given either.
        clips: Clips of a video, spread evenly over it.
        crops: Crops of a clip: 3 or 1.
        merge: How the views of a video become one score, element by element: `max` or `mean`, for all heads or by
            head; None: `max` for sigmoid heads, `mean` for softmax heads, the protocols of Charades and Kinetics.
        split: Split to score.
        rule: Rule of average precision, `sklearn` or `charades` (`kerasfast.train.metrics`).
        batch_size: Views of a step; memory is that of one step and of one score per video and class.
        crop_size: Side of a view in pixels; None: the architecture's.
        heads: Heads to score; None: all. The others may differ from those of the records, as where a split holds new
            pairs of known verbs and objects.
        thresholds: Scores from which on a sigmoid head says yes: one for all classes, or by head one or `(classes,)`.
        resamples: Resamples of the bootstrap over videos behind `interval`; 0 for none.
        subsets: Name -> indices of action classes that get their own line, such as those that motion alone tells
            apart.
        scores: What `score_videos` gave for the same protocol, so that nothing is scored twice.
        out: File to write the result to, such as `runs/a/metrics.json`. Scores and labels of every video go beside it,
            into a file with the ending `.npz` (`kerasfast.train.scoring.scored_videos`).
        files: Folder to write tables and submission files to (`kerasfast.train.scoring.files`).
        progress: Called after each batch with the views done and the views in all.
        announce: Called once, before the views are scored, with a forecast of the time that they will take.

    Returns:
        `{"heads": {name: {"map", "chance", "prevalence", "ap": {class: AP}, "weighted_map", "shuffled", "skipped",
        "constant", "silent", "macro", "micro", "interval"}}, "overall_map", "overall_chance", "overall_interval",
        "subsets", "protocol", "versions", "seconds", "scoring_seconds", "forecast_seconds"}`, ready for JSON. Classes
        without positives are in `skipped` and in no mean. `shuffled` is the mAP of the scores against the labels of
        other videos, which has to come out at `chance`. A softmax head has `top1`, `top5` (of fewer classes, all of
        them), `class_accuracy` and `confusion` too.

    Raises:
        ValueError: Heads that do not fit the records; scores that are NaN, constant, the same for all clips or
            incomplete; a protocol, thresholds or subsets that do not exist.
        DataError: Records that are missing, damaged, of other clips, or without a labelled video.
    """
    from kerasfast.data.pipeline.testing import video_labels

    begin = time.perf_counter()
    # What is wrong is said now, and not after hours of views.
    check_rule(rule)
    name, clips, crops = choose_views(protocol, clips, crops)
    manifest = read_manifest(records, split)
    scored = chosen_heads(model, heads)
    sizes = {head: row.classes for head, row in scored.items()}
    check_heads(sizes, manifest.labels.sizes, str(records))
    rules = merge_rules(model.heads, merge, scored)
    check_labelled(len(manifest.videos), manifest.class_counts, list(scored), f"{records}, split {split!r}")
    head_thresholds(thresholds, sizes)
    check_subsets(subsets or {}, {head: manifest.class_counts[head] for head in sizes})
    clock = ScoringClock(announce)
    if scores is None:
        scores = score_videos(
            model,
            records,
            clips=clips,
            crops=crops,
            merge=merge,
            split=split,
            batch_size=batch_size,
            crop_size=crop_size,
            heads=heads,
            progress=progress,
            announce=clock.start,
        )
        clock.stop()
    scores = check_rows(scores, sizes, len(manifest.videos))
    labels = video_labels(records, split)
    reports = report_heads(
        labels,
        scores,
        softmax={head: row.activation == "softmax" for head, row in scored.items()},
        rule=rule,
        thresholds=thresholds,
        resamples=resamples,
    )
    names = manifest.labels.heads
    metrics = summary(reports, names)
    if subsets:
        metrics["subsets"] = {key: subset_summary(reports, classes, names) for key, classes in subsets.items()}
    metrics = described(
        metrics,
        model,
        name=name,
        clips=clips,
        crops=crops,
        merge=rules,
        videos=len(manifest.videos),
        split=split,
        rule=rule,
        crop_size=crop_size,
    )
    ids = [str(video["id"]) for video in manifest.videos]
    if files is not None:
        write_files(files, reports, names, ids, scores)
    if out is not None:
        implied = implied_classes(manifest.labels.implied, manifest.labels.annotated, sizes)
        classes = {head: tuple(names[head]) for head in sizes}
        Path(out).parent.mkdir(parents=True, exist_ok=True)
        ScoredVideos(tuple(ids), classes, scores, labels, implied).save(scores_file(out))
    return finished(metrics, clock, begin, out)
