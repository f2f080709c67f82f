"""Tiny records of real mp4 files for the tests of training and evaluation."""

from pathlib import Path
from typing import Any

import numpy as np

from kerasfast.data.annotations import Segment, VideoRow
from kerasfast.data.clips import ClipSpec
from kerasfast.data.labels import LabelSpace
from kerasfast.data.records.build import build_records
from kerasfast.data.video_writer import write_video

LABELS = LabelSpace.charades(
    heads={"verb": ("rise", "fall"), "object": ("red", "green"), "action": ("rise red", "fall red", "rise green")},
    action_verb=(0, 1, 0),
    action_object=(0, 0, 1),
)
HEADS = LABELS.sizes
CLIP = ClipSpec(32, 1, 24.0)
SECONDS = 1.75  # 42 frames, ten more than a clip


def video(action: int, seed: int) -> list[np.ndarray]:
    """A coloured square that rises or falls on noise."""
    random = np.random.default_rng(seed)
    left = int(random.integers(0, 40))
    frames = []
    for step in np.linspace(0, 1, round(SECONDS * 24)):
        frame = random.integers(0, 60, (64, 72, 3), dtype=np.uint8)
        place = step if LABELS.implied["verb"][action] else 1 - step
        top = int(place * 44)
        frame[top : top + 20, left : left + 20, LABELS.implied["object"][action]] = 250
        frames.append(frame)
    return frames


def make(folder: Path, split: str, videos: int, seed: int = 0, clips: int = 3, **options: Any) -> Path:
    """Records of `videos` videos whose actions go round in turn; the folder of the records."""
    rows, files = [], {}
    for i in range(videos):
        name, action = f"{split}{i:02d}", i % 3
        files[name] = folder / f"{name}.mp4"
        write_video(files[name], video(action, 100 * seed + i), 24)
        rows.append(VideoRow(name, "S0", SECONDS, (Segment(action, 0.0, SECONDS),), i + 2))
    records = folder / "records"
    build_records(rows, files, LABELS, records, clip=CLIP, split=split, short_side=64, clips=clips, **options)
    return records
