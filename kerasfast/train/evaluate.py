"""Many-view evaluation of a model on records: exact mAP per head, with chance and a shuffled control beside it."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasfast.data.files import write_json
from kerasfast.data.records.read import read_manifest
from kerasfast.train.metrics import Result, Rule, mean_average_precision, shuffled_control
from kerasfast.train.views import ViewMerger, merge_rules

if TYPE_CHECKING:
    from kerasfast.models.classifier import VideoClassifier
    from kerasfast.models.heads import Head


def evaluate(
    model: VideoClassifier,
    records: str | Path,
    *,
    clips: int = 10,
    crops: int = 3,
    merge: str | None = None,
    split: str = "test",
    rule: Rule = "sklearn",
    batch_size: int = 16,
    crop_size: int | None = None,
    heads: Sequence[str] | None = None,
    subsets: Mapping[str, Sequence[int]] | None = None,
    scores: Mapping[str, np.ndarray] | None = None,
    out: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Score a model on the videos of a split.

    Args:
        model: A model whose scored heads are among those of the records, with as many classes.
        records: Folder of `kerasfast records build`, or its address in a store (`s3://`).
        clips: Clips of a video, spread evenly over it.
        crops: Crops of a clip: 3 or 1.
        merge: How the views of a video become one score, element by element: `max` or `mean`; None: `max` for sigmoid
            heads, `mean` for softmax heads, the protocols of Charades and Kinetics.
        split: Split to score.
        rule: Rule of average precision, `sklearn` or `charades` (`kerasfast.train.metrics`).
        batch_size: Views of a step; memory is that of one step and of one score per video and class.
        crop_size: Side of a view in pixels; None: the architecture's.
        heads: Heads to score; None: all. The others may differ from those of the records, as where a split holds new
            pairs of known verbs and objects.
        subsets: Name -> indices of action classes that get their own line, such as those that motion alone tells
            apart.
        scores: What `score_videos` gave for the same protocol, so that nothing is scored twice.
        out: File to write the result to, such as `runs/a/metrics.json`.
        progress: Called after each batch with the views done and the views in all.

    Returns:
        `{"heads": {name: {"map", "chance", "prevalence", "ap": {class: AP}, "shuffled", "skipped", "constant"}},
        "overall_map", "overall_chance", "subsets", "protocol", "versions", "seconds"}`, ready for JSON. Classes
        without positives are in `skipped` and in no mean. `shuffled` is the mAP of the scores against the labels of
        other videos, which has to come out at `chance`.

    Raises:
        ValueError: Heads that do not fit the records; scores that are NaN, constant or incomplete.
        DataError: Records that are missing, damaged, or of other clips.
    """
    from kerasfast.data.pipeline.testing import video_labels

    begin = time.perf_counter()
    manifest = read_manifest(records, split)
    scored = chosen_heads(model, heads)
    check_heads({name: head.classes for name, head in scored.items()}, manifest.labels.sizes, str(records))
    rules = merge_rules(scored, merge)
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
        )
    labels = video_labels(records, split)
    results = {head: _named(head, labels[head], scores[head], rule) for head in scored}
    names = manifest.labels.heads
    metrics: dict[str, Any] = {
        "heads": {head: _head(results[head], labels[head], scores[head], rule, names[head]) for head in results},
        "overall_map": float(np.mean([result.map for result in results.values()])),
        "overall_chance": float(np.mean([result.chance for result in results.values()])),
    }
    if subsets:
        metrics["subsets"] = {key: _subset(results, classes, names) for key, classes in subsets.items()}
    spec = model.clip
    metrics["protocol"] = {
        "clips": clips,
        "crops": crops,
        "merge": rules if len(set(rules.values())) > 1 else next(iter(rules.values())),
        "videos": len(manifest.videos),
        "views": clips * crops,
        "split": split,
        "rule": rule,
        "clip": {"frames": spec.frames, "stride": spec.stride, "fps": spec.fps},
        "crop_size": crop_size or model.variant.test_crop_size,
        "model": model.name,
    }
    metrics["versions"] = versions()
    metrics["seconds"] = round(time.perf_counter() - begin, 2)
    if out is not None:
        Path(out).parent.mkdir(parents=True, exist_ok=True)
        write_json(Path(out), metrics)
    return metrics


def score_videos(
    model: VideoClassifier,
    records: str | Path,
    *,
    clips: int = 10,
    crops: int = 3,
    merge: str | None = None,
    split: str = "test",
    batch_size: int = 16,
    crop_size: int | None = None,
    heads: Sequence[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, np.ndarray]:
    """Merge the probabilities of all views of each video; arguments and errors as in `evaluate`.

    Returns:
        Per head float64 `(videos, classes)`, rows as in the manifest and in `kerasfast.data.video_labels`.
    """
    from kerasfast.data.pipeline.reading import named_damage
    from kerasfast.data.pipeline.testing import testing_views

    side = crop_size or model.variant.test_crop_size
    videos, views = len(read_manifest(records, split).videos), clips * crops
    scored = chosen_heads(model, heads)
    sizes = {name: head.classes for name, head in scored.items()}
    merger = ViewMerger(sizes, videos, views, merge_rules(scored, merge))
    batches = testing_views(
        records,
        model.clip,
        clips,
        crops,
        crop_size=side,
        short_side=side,
        # Weights of Something-Something see frames of the whole video.
        strategy="uniform" if model.sampling == "video" else "dense",
        split=split,
        batch_size=batch_size,
    )
    done = 0
    with named_damage(records, split):
        for frames, video, view in batches:
            given = model.predict_on_batch(frames)
            merger.add({head: given[head] for head in scored}, np.asarray(video), np.asarray(view))
            done += len(video)
            if progress is not None:
                progress(done, videos * views)
    return merger.result()


def chosen_heads(model: VideoClassifier, names: Sequence[str] | None) -> dict[str, Head]:
    """The heads of a model by these names, or all of them.

    Raises:
        ValueError: The model has no such head.
    """
    unknown = set(names or ()) - set(model.heads)
    if unknown:
        raise ValueError(f"heads must be among {', '.join(model.heads)}. Received: {', '.join(sorted(unknown))}.")
    return {name: model.heads[name] for name in (names or model.heads)}


def check_heads(model: Mapping[str, int], records: Mapping[str, int], where: str) -> None:
    """Refuse heads that the records do not have, or have with another number of classes.

    Raises:
        ValueError: Names the head and both numbers.
    """
    for name, classes in model.items():
        if records.get(name) != classes:
            found = f"{records[name]} classes" if name in records else "no such head"
            raise ValueError(
                f"Head {name!r} of the model has {classes} classes; the records in {where} have {found} "
                f"({', '.join(f'{key}: {value}' for key, value in records.items())}). "
                "Build the model with heads that fit the records, or give the records of its data."
            )


def versions() -> dict[str, str]:
    """What numbers may depend on: versions of Python and of the packages that compute."""
    import keras
    import sklearn
    import tensorflow as tf

    import kerasfast

    packages = {"kerasfast": kerasfast, "keras": keras, "tensorflow": tf, "numpy": np, "scikit-learn": sklearn}
    return {"python": platform.python_version(), **{key: module.__version__ for key, module in packages.items()}}


def _named(head: str, labels: np.ndarray, scores: np.ndarray, rule: Rule) -> Result:
    try:
        return mean_average_precision(labels, scores, rule)
    except ValueError as error:
        raise ValueError(f"Head {head!r}: {error}") from error


def _head(result: Result, labels: np.ndarray, scores: np.ndarray, rule: Rule, names: Sequence[str]) -> dict[str, Any]:
    return {
        "map": result.map,
        "chance": result.chance,
        "prevalence": result.prevalence,
        "shuffled": shuffled_control(labels, scores, seed=0, rule=rule),
        "skipped": [names[c] for c in result.skipped],
        "constant": [names[c] for c in result.constant],
        "ap": {name: float(ap) for name, ap in zip(names, result.ap, strict=True) if not np.isnan(ap)},
    }


def _subset(
    results: Mapping[str, Result], classes: Sequence[int], names: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    if "action" not in results:
        raise ValueError(f"Subsets are of action classes; the model has the heads {', '.join(results)}.")
    part = results["action"].subset(classes)
    shown = {"map": part.map, "chance": part.chance, "prevalence": part.prevalence}
    return {**shown, "classes": [names["action"][c] for c in classes]}
