"""The numbers that the claims of tools/bench_charades.py compare, of one seed."""

from __future__ import annotations

from typing import Any

import numpy as np
from charades_data import Miniature
from charades_heads import CLIPS

from kerasfast.data.miniature.generate import motion_actions
from kerasfast.data.pipeline.testing import video_labels
from kerasfast.data.records.read import read_manifest
from kerasfast.models.composition import composed_scores
from kerasfast.train.metrics import mean_average_precision
from kerasfast.train.operating.thresholds import fit_thresholds, macro_f1

PARTS = ("verb", "object")
Scores = dict[str, np.ndarray]  # by split and head, such as `test_action`: (videos, clips, classes)


def summary(networks: dict[str, Scores], heads: dict[str, Scores], scales: dict[str, float], data: Miniature) -> Any:
    """Every number that a claim compares.

    Args:
        networks: Scores of each network.
        heads: Scores of the heads on frozen features: by name of their loss, and `composed`.
        scales: What `composed` learned (`kerasfast.models.composition.learned_scales`).
        data: The records.
    """
    labels, novel = video_labels(data.charades, "test"), video_labels(data.novel, "novel")
    novel["action"] = novel["action"][:, len(data.labels.heads["action"]) :]
    counts = video_labels(data.charades, "train")["action"].sum(axis=0)
    rarest = np.argsort(counts, kind="stable")[: len(counts) // 3]

    def maps(scores: Scores, scales: dict[str, float] | None = None) -> dict[str, Any]:
        merged = {head: scores[f"test_{head}"].max(axis=1) for head in labels}
        return _maps(labels, merged, rarest) | _novel(novel, scores, data, scales or dict.fromkeys(PARTS, 1.0))

    scratch = networks["scratch"]
    ways = {
        "1 clip": lambda views: views[:, CLIPS // 2],
        "10 clips, max": lambda views: views.max(axis=1),
        "10 clips, mean": lambda views: views.mean(axis=1),
    }
    return {
        "networks": {name: maps(scores) for name, scores in networks.items()},
        # Novel pairs by one rule for all: the sum of the logits of verb and object. That of the weights that `composed`
        # has learned stands beside it.
        "heads": {name: maps(scores) for name, scores in heads.items()}
        | {"composed_scaled": maps(heads["composed"], scales)},
        "views": {
            way: _maps(labels, {head: merge(scratch[f"test_{head}"]) for head in labels}, rarest)
            for way, merge in ways.items()
        },
        "thresholds": _thresholds(labels["action"], data, networks["transfer"]),
        "scales": {part: round(scale, 3) for part, scale in scales.items()},
        "videos": {split: len(read_manifest(data.charades, split).videos) for split in ("train", "val", "test")},
        "rarest_third": {"classes": rarest.tolist(), "most_training_videos": int(counts[rarest].max())},
    }


def _maps(labels: dict[str, np.ndarray], scores: dict[str, np.ndarray], rarest: np.ndarray) -> dict[str, Any]:
    results = {head: mean_average_precision(labels[head], scores[head]) for head in labels}
    maps = {head: _pair(result.map, result.chance) for head, result in results.items()}
    for name, classes in (("motion", motion_actions()), ("rarest", rarest)):
        part = results["action"].subset(classes)
        maps[name] = _pair(part.map, part.chance)
    overall = [float(np.mean([getattr(result, key) for result in results.values()])) for key in ("map", "chance")]
    return {**maps, "overall": _pair(*overall)}


def _novel(labels: dict[str, np.ndarray], scores: Scores, data: Miniature, scales: dict[str, float]) -> dict[str, Any]:
    """On pairs that no training video shows: actions are composed, clip by clip, of their verbs and objects."""
    views = {head: scores[f"novel_{head}"] for head in PARTS}
    known = len(data.labels.heads["action"])
    parts = {head: data.novel_labels.implied[head][known:] for head in views}
    flat = {head: values.reshape(-1, values.shape[-1]) for head, values in views.items()}
    views["action"] = composed_scores(flat, parts, scales).reshape(*views["verb"].shape[:2], -1)
    results = {head: mean_average_precision(labels[head], values.max(axis=1)) for head, values in views.items()}
    return {f"novel_{head}": _pair(result.map, result.chance) for head, result in results.items()}


def _thresholds(labels: np.ndarray, data: Miniature, scores: Scores) -> dict[str, Any]:
    """Macro F1 of the actions at 0.5 and at thresholds of the validation videos, and the mAP, which they leave."""
    test, val = (scores[f"{split}_action"].max(axis=1) for split in ("test", "val"))
    fitted = fit_thresholds(video_labels(data.charades, "val")["action"], val)
    # Chance: every action of every video, which is the most that an answer can reach that looks at no video.
    answers = {"0.5": test >= 0.5, "fitted": test >= fitted.values, "chance": np.ones_like(test, bool)}
    return {
        "macro_f1": {way: round(macro_f1(labels, answer), 4) for way, answer in answers.items()},
        "map": round(mean_average_precision(labels, test).map, 4),
        "without_positives": list(fitted.without_positives),
    }


def _pair(map_: float, chance: float) -> dict[str, float]:
    return {"map": round(map_, 4), "chance": round(chance, 4)}
