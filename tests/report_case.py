"""The folder of a run whose scores were made up, for the tests of reports: no network, and names that attack."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from kerasfast.train.operating.calibrate import fit_head
from kerasfast.train.operating.points import OperatingPoints
from kerasfast.train.run import recipe_heading
from kerasfast.train.scoring.report import report_heads, summary
from kerasfast.train.scoring.scored_videos import ScoredVideos

VERBS = ("open", "close", "lift")
THINGS = ("door", "<b>box</b>", "$5 {bill}")
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "</style></svg><script>alert(3)</script>",
    "$\\frac{1}{0}$ and $",
    "开门 the door, a class whose name is much longer than any plot has room for",
    "gpj.\u202eexe\x07bell",
)
ACTIONS = (*HOSTILE, "plain action", "never there")
IMPLIED = {"verb": (0, 1, 2, 0, 1, 2, 0, 1), "object": (0, 0, 0, 1, 1, 2, 2, 2)}
VERSIONS = {"python": "3.12.1", "kerasfast": "0.1", "keras": "3.15.1"}
HOSTILE_LINE = "# </pre><script>alert(4)</script> & \u202e done"


def scored_videos(videos: int = 60, seed: int = 0) -> ScoredVideos:
    """Videos of one to three actions with scores that know something of them; the last action is never there."""
    random = np.random.default_rng(seed)
    classes = {"verb": VERBS, "object": THINGS, "action": ACTIONS}
    actions = np.zeros((videos, len(ACTIONS)), np.uint8)
    for row in actions:
        row[random.choice(len(ACTIONS) - 1, random.integers(1, 4), replace=False)] = 1
    labels = {"action": actions}
    for head, implied in IMPLIED.items():
        labels[head] = np.stack([actions[:, np.equal(implied, c)].any(axis=1) for c in range(3)], axis=1)
    scores = {
        head: 1 / (1 + np.exp(2 - 3 * labels[head] - random.normal(0, 1.5, labels[head].shape))) for head in classes
    }
    ids = tuple(f"<i>video{i:02d}</i>" for i in range(videos))
    return ScoredVideos(ids, classes, scores, labels, IMPLIED)


def single_label_videos(videos: int = 40, classes: int = 4, seed: int = 0) -> ScoredVideos:
    """Videos of exactly one class, with scores that sum to 1."""
    random = np.random.default_rng(seed)
    labels = np.eye(classes, dtype=np.uint8)[np.arange(videos) % classes]
    scores = np.exp(2 * labels + random.normal(0, 1, labels.shape))
    scores /= scores.sum(axis=1, keepdims=True)
    names = {"action": tuple(f"class {c}" for c in range(classes))}
    return ScoredVideos(tuple(f"v{i}" for i in range(videos)), names, {"action": scores}, {"action": labels})


def metrics_of(
    scored: ScoredVideos, *, softmax: bool = False, rule: str = "sklearn", **protocol: Any
) -> dict[str, Any]:
    """The figures that `kerasfast.evaluate` would have written."""
    heads = dict.fromkeys(scored.classes, softmax)
    metrics = summary(
        report_heads(scored.labels, scored.scores, softmax=heads, rule=rule, resamples=20), scored.classes
    )
    views = {"clips": 10, "crops": 3, "merge": "mean" if softmax else "max", "videos": len(scored.ids)}
    return metrics | {
        "protocol": {"name": "full", "split": "test", "rule": rule, **views, **protocol},
        "versions": VERSIONS,
        "seconds": 1.5,
    }


def write_evaluation(folder: Path, scored: ScoredVideos, stem: str = "metrics", **options: Any) -> dict[str, Any]:
    """Writes figures and scores of an evaluation; the figures."""
    metrics = metrics_of(scored, **options)
    (folder / f"{stem}.json").write_text(json.dumps(metrics), "utf-8")
    scored.save(folder / f"{stem}.npz")
    return metrics


def write_training(folder: Path, epochs: int = 3) -> None:
    """Writes what a training leaves, but for weights."""
    folder.mkdir(parents=True, exist_ok=True)
    recipe = 'name = "made_up"\n\n[model]\nname = "slow_nano"\n' + HOSTILE_LINE + "\n"
    (folder / "config.toml").write_text(recipe_heading("/data/my records", VERSIONS) + recipe, "utf-8")
    head = {"classes": len(ACTIONS), "activation": "sigmoid", "labels": ACTIONS, "parts": None}
    model = {"variant": {"name": "slow_nano"}, "heads": {"action": head}}
    (folder / "model.json").write_text(json.dumps(model), "utf-8")
    columns = "epoch,action_loss,loss,val_action_loss,val_loss,val_map,learning_rate,seconds"
    rows = [f"{i},{0.9 / i},{0.9 / i},{1 / i},{1 / i},{0.1 * i},0.01,12.5" for i in range(1, epochs + 1)]
    (folder / "history.csv").write_text("\n".join([columns, *rows]) + "\n", "utf-8")
    machine = {"processor": "<em>Processor</em>", "cores": 2, "memory_bytes": 2**33, "accelerators": []}
    environment = {"versions": VERSIONS | {"keras": "3.14.0"}, "machine": machine, "seconds": 37.5, "steps": 90}
    (folder / "environment.json").write_text(json.dumps(environment | {"resumed_at_step": 0}), "utf-8")


def write_points(folder: Path, scored: ScoredVideos) -> None:
    """Writes operating points that were fitted to the videos."""
    points = {
        head: fit_head(scored.labels[head], scored.scores[head], names=names) for head, names in scored.classes.items()
    }
    protocol = {"split": "val", "videos": len(scored.ids), "clips": 10, "crops": 3, "merge": "max", "crop_size": 64}
    OperatingPoints(points, "0" * 64, protocol, VERSIONS).save(folder)


def write_run(folder: Path) -> dict[str, Any]:
    """Writes the folder of a run that has everything; the figures of its evaluation."""
    write_training(folder)
    (folder / "best.weights.h5").write_bytes(b"not looked at")
    scored = scored_videos()
    write_points(folder, scored)
    return write_evaluation(folder, scored)
