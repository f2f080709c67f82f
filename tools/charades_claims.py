"""Scores of a run of tools/bench_charades.py, and the numbers that its claims compare."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from charades_data import Miniature
from sklearn.metrics import f1_score

from kerasfast.data.miniature.generate import motion_actions
from kerasfast.data.pipeline.testing import video_labels
from kerasfast.data.records.read import read_manifest
from kerasfast.models.classifier import VideoClassifier
from kerasfast.models.composition import composed_scores
from kerasfast.train.evaluate import score_videos
from kerasfast.train.metrics import mean_average_precision
from kerasfast.train.thresholds import fit_thresholds

CLIPS, BATCH = 10, 32


def score_run(model: VideoClassifier, data: Miniature, *, views: bool, validation: bool) -> dict[str, np.ndarray]:
    """Scores of the test videos, 10 clips merged by max; with `views` by mean and of the middle clip alone too."""
    ways: dict[str, dict[str, Any]] = {"test": {}}
    if views:
        ways |= {"mean": {"merge": "mean"}, "one": {"clips": 1}}
    if validation:
        ways |= {"val": {"split": "val"}}
    found = {}
    for way, options in ways.items():
        options = {"clips": CLIPS, "crops": 1, "merge": "max", "batch_size": BATCH, **options}
        for head, scores in score_videos(model, data.charades, **options).items():
            found[f"{way}_{head}"] = scores
    return found


def novel_scores(model: VideoClassifier, data: Miniature) -> dict[str, np.ndarray]:
    """Scores of the videos that show pairs of a verb and an object which no training video does, by head.

    `action` are the novel pairs: composed from the scores of the verb and the object, by the head that learned to, or
    else as their product.
    """
    heads = ("verb", "object")
    scores = score_videos(
        model, data.novel, split="novel", clips=CLIPS, crops=1, merge="max", batch_size=BATCH, heads=heads
    )
    parts = {head: data.novel_labels.implied[head][len(data.labels.heads["action"]) :] for head in heads}
    return {**scores, "action": composed_scores(scores, parts, model=model)}


def summary(runs: Path, data: Miniature) -> dict[str, Any]:
    """Every number that a claim compares, of one seed."""
    labels, novel = video_labels(data.charades, "test"), video_labels(data.novel, "novel")
    novel["action"] = novel["action"][:, len(data.labels.heads["action"]) :]
    counts = video_labels(data.charades, "train")["action"].sum(axis=0)
    rarest = np.argsort(counts, kind="stable")[: len(counts) // 3]
    found: dict[str, Any] = {"maps": {}}
    for folder in sorted(runs.iterdir()):
        if not (folder / "scores.npz").is_file():
            continue
        scores, novel_found = np.load(folder / "scores.npz"), np.load(folder / "novel.npz")
        found["maps"][folder.name] = _maps(labels, {head: scores[f"test_{head}"] for head in labels}, rarest) | {
            f"novel_{head}": _rounded(novel[head], novel_found[head]) for head in novel
        }
    scratch, transfer = np.load(runs / "scratch" / "scores.npz"), np.load(runs / "transfer" / "scores.npz")
    found["views"] = {
        way: _maps(labels, {head: scratch[f"{key}_{head}"] for head in labels}, rarest)
        for way, key in (("1 clip", "one"), ("10 clips, max", "test"), ("10 clips, mean", "mean"))
    }
    found["thresholds"] = _thresholds(labels["action"], data, transfer)
    found["videos"] = {split: len(read_manifest(data.charades, split).videos) for split in ("train", "val", "test")}
    found["rarest_third"] = {"classes": rarest.tolist(), "most_training_videos": int(counts[rarest].max())}
    return found


def _maps(labels: dict[str, np.ndarray], scores: dict[str, np.ndarray], rarest: np.ndarray) -> dict[str, Any]:
    results = {head: mean_average_precision(labels[head], scores[head]) for head in labels}
    maps = {head: _pair(result.map, result.chance) for head, result in results.items()}
    for name, classes in (("motion", motion_actions()), ("rarest", rarest)):
        part = results["action"].subset(classes)
        maps[name] = _pair(part.map, part.chance)
    overall = [float(np.mean([getattr(result, key) for result in results.values()])) for key in ("map", "chance")]
    return {**maps, "overall": _pair(*overall)}


def _thresholds(labels: np.ndarray, data: Miniature, scores: Any) -> dict[str, Any]:
    """Macro F1 of the actions at 0.5 and at thresholds of the validation videos, and the mAP, which they leave."""
    test = scores["test_action"]
    fitted = fit_thresholds(video_labels(data.charades, "val")["action"], scores["val_action"])
    answers = {"0.5": test >= 0.5, "fitted": test >= fitted.thresholds}
    return {
        "macro_f1": {
            way: round(float(f1_score(labels, answer, average="macro", zero_division=0)), 4)
            for way, answer in answers.items()
        },
        "map": round(mean_average_precision(labels, test).map, 4),
        "without_positives": list(fitted.skipped),
    }


def _rounded(labels: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    result = mean_average_precision(labels, scores)
    return _pair(result.map, result.chance)


def _pair(map_: float, chance: float) -> dict[str, float]:
    return {"map": round(map_, 4), "chance": round(chance, 4)}
