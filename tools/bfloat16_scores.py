"""What bfloat16 does to scores: `python tools/bfloat16_scores.py WORK RECORDS CLIPS [VIDEOS]` prints JSON.

The weights of slowfast_nano.miniature, exported in both precisions, score the same views of the test videos of the
miniature of seed 100; the probabilities of all views are compared, and the mAP of the videos.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf

from kerasfast.data.annotations import find_videos, read_charades_csv
from kerasfast.data.labels import read_charades_classes
from kerasfast.data.miniature.generate import generate
from kerasfast.data.pipeline.testing import testing_views, video_labels
from kerasfast.data.records.build import build_records
from kerasfast.data.records.read import read_manifest
from kerasfast.models.variants import variant
from kerasfast.registry import load
from kerasfast.serving.saved_model import export
from kerasfast.train.metrics import mean_average_precision
from kerasfast.train.views import ViewMerger, merge_rules

MODEL, SEED, VIDEOS = "slowfast_nano.miniature", 100, 400
PRECISIONS = ("float32", "bfloat16")


def test_records(folder: Path, videos: int = VIDEOS) -> Path:
    """Records of the miniature's test videos; those that are there are kept."""
    records, source, row = folder / "records", folder / "miniature", variant("slowfast_nano")
    if (records / "manifest-test.json").exists():
        return records
    generate(source, train_videos=1, test_videos=videos, seed=SEED, processes=os.cpu_count() or 1)
    annotations = read_charades_csv(source / "Miniature_v1_test.csv", labels := read_charades_classes(source))
    files = find_videos(annotations.rows, source / "videos")
    build_records(
        annotations, files, labels, records, clip=row.clip, split="test", short_side=row.test_crop_size, rounds=1
    )
    return records


def compare(work: Path, records: Path, clips: int) -> dict[str, Any]:
    """Largest difference of a probability of a view, and mAP of the videos in each precision."""
    model = load(MODEL)
    manifest = read_manifest(records, "test")
    sizes = {head: row.classes for head, row in model.heads.items()}
    rules = merge_rules(model.heads)
    functions, mergers, seconds = {}, {}, dict.fromkeys(PRECISIONS, 0.0)
    for precision in PRECISIONS:
        path = work / f"scores-{precision}" / "1"
        if not path.exists():
            export(model, path, precision=precision)
        # The object that was loaded keeps the weights alive.
        functions[precision] = tf.saved_model.load(str(path))
        mergers[precision] = ViewMerger(sizes, len(manifest.videos), clips, rules)
    side, largest, views = model.variant.test_crop_size, 0.0, 0
    batches = testing_views(records, model.clip, clips, 1, crop_size=side, short_side=side, batch_size=16)
    for frames, video, view in batches:
        scores = {}
        for precision, served in functions.items():
            begin = time.perf_counter()
            given = served.signatures["serving_default"](frames=frames)
            scores[precision] = {head: values.numpy() for head, values in given.items()}
            seconds[precision] += time.perf_counter() - begin
            mergers[precision].add(scores[precision], video.numpy(), view.numpy())
        views += len(video)
        largest = max(largest, *(np.abs(scores["float32"][head] - scores["bfloat16"][head]).max() for head in sizes))
    labels = video_labels(records, "test")
    maps = {
        precision: {
            head: round(mean_average_precision(labels[head], merged).map, 5)
            for head, merged in mergers[precision].result().items()
        }
        for precision in PRECISIONS
    }
    changes = {head: maps["bfloat16"][head] - maps["float32"][head] for head in sizes}
    return {
        "model": MODEL,
        "videos": len(manifest.videos),
        "views": views,
        "clips": clips,
        "largest_difference": float(largest),
        "map": maps,
        "largest_map_change": max(map(abs, changes.values())),
        "seconds": {precision: round(value, 1) for precision, value in seconds.items()},
    }


def main() -> None:
    work, records, clips, *videos = sys.argv[1:]
    folder = Path(records) if records != "-" else test_records(Path(work) / "miniature", *map(int, videos))
    print(json.dumps(compare(Path(work), folder, int(clips))))


if __name__ == "__main__":
    main()
