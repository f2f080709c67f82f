"""Records to the fixed views of a test, and the labels of whole videos."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import tensorflow as tf

from kerasfast.data.clips import ClipSpec
from kerasfast.data.errors import DataError
from kerasfast.data.pipeline import transforms
from kerasfast.data.pipeline.order import RecordTable, as_rows
from kerasfast.data.pipeline.reading import RecordReader, check_clip, check_whole_videos, finish
from kerasfast.data.pipeline.windows import central_window, middle_frames
from kerasfast.data.records.folder import RecordFolder
from kerasfast.data.records.manifest import Manifest
from kerasfast.data.records.read import manifest_name, read_manifest
from kerasfast.data.records.schema import parse_record


def testing_views(
    records: str | Path,
    clip: ClipSpec,
    clips: int = 10,
    crops: int = 3,
    *,
    crop_size: int = 256,
    short_side: int = 256,
    strategy: Literal["dense", "uniform"] = "dense",
    split: str = "test",
    batch_size: int = 8,
) -> tf.data.Dataset:
    """The views of a test: every crop of every test clip of every video, in a fixed order.

    Args:
        records: Folder that `build_records` wrote, or an address such as `s3://bucket/records`.
        clip: The clip. A shorter one than stored is cut from the middle of the stored clip.
        clips: Clips a video. Fewer than stored are chosen evenly from the first to the last of those, 1 from the
            middle; their starts are near those of a build with that many clips, not equal to them.
        crops: 3 (left, centre, right, or top, centre, bottom of portrait frames) or 1 (centre).
        crop_size: Side of the square crop in pixels.
        short_side: Shorter side to scale the frames to before the crop.
        strategy: "dense" shows test clips, from a split in the test layout; "uniform" frames of the whole video, one of
            each of `clip.frames` equal parts, from a split built with `layout="train", rounds=1, stride=1` (at a longer
            stride they are the nearest that were stored). The only clip of "uniform" takes the middle frames, several
            take frames at equal distances.
        split: Name of the split.
        batch_size: Views a batch; the last batch may be smaller.

    Returns:
        A finite dataset of (frames, video, view): frames uint8 `(B, T, crop_size, crop_size, 3)`, RGB; video
        int64 `(B,)`, the row of `video_labels`; view int64 `(B,)`, crops * clip + crop.

    Raises:
        ValueError: An argument is out of its range.
        DataError: The records are missing, damaged or do not fit the clip; names the file.
    """
    manifest = read_manifest(records, split)
    check_clip(manifest, clip, records)
    if crops not in (1, transforms.CROPS):
        raise ValueError(f"crops must be 1 or {transforms.CROPS}. Received: crops={crops!r}.")
    if not 1 <= crop_size <= short_side or batch_size < 1 or clips < 1:
        raise ValueError(
            "The shorter side must be at least the crop, and clips and batch_size at least 1. Received: "
            f"crop_size={crop_size!r}, short_side={short_side!r}, clips={clips!r}, batch_size={batch_size!r}."
        )
    if strategy == "uniform":
        check_whole_videos(manifest, records)
        places = np.zeros(clips, np.int64)
    elif strategy == "dense":
        places = _chosen_clips(manifest, clips, records)
    else:
        raise ValueError(f"strategy must be 'dense' or 'uniform'. Received: strategy={strategy!r}.")
    table, read = RecordTable.of(manifest), RecordReader(manifest, records)
    at = places, np.arange(table.videos)[:, np.newaxis]
    rows = as_rows(table.shards[at], table.offsets[at], at[1], np.arange(clips)).reshape(-1, 4)

    def frames_of(row: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        record = parse_record(read(row[0], row[1]))
        if strategy == "uniform":
            jpegs = middle_frames(record, clip.frames, row[3], clips)
        else:
            jpegs = central_window(record, clip, manifest.options)
        return transforms.scale_short_side(transforms.decode(jpegs), short_side), row[2], row[3]

    def views_of(frames: tf.Tensor, video: tf.Tensor, number: tf.Tensor) -> tf.data.Dataset:
        positions = tf.data.Dataset.range(crops) if crops > 1 else tf.data.Dataset.from_tensors(np.int64(1))
        return positions.map(
            lambda position: (
                transforms.crop_position(frames, position, crop_size),
                video,
                crops * number + (position if crops > 1 else 0),
            )
        )

    dataset = (
        tf.data.Dataset.from_tensor_slices(rows)
        # Two whole views at a time: each is 25 MB at 64 frames of 340x256, beside those that wait to be cropped.
        .map(frames_of, num_parallel_calls=2, deterministic=True)
        .flat_map(views_of)
        .batch(batch_size)
    )
    return finish(dataset, -(-table.videos * clips * crops // batch_size), None)


# pytest collects functions whose name begins with "test" from any module that imports them.
testing_views.__test__ = False


def video_labels(records: str | Path, split: str = "test") -> dict[str, np.ndarray]:
    """Targets of whole videos: the union of their actions.

    Args:
        records: Folder that `build_records` wrote, or an address.
        split: Name of the split.

    Returns:
        For each head float32 `(videos, classes)`; row i is the video with index i in `testing_views`.

    Raises:
        DataError: The records are missing or damaged; names the file.
    """
    manifest = read_manifest(records, split)
    targets = [manifest.labels.targets(video["actions"]) for video in manifest.videos]
    return {head: np.stack([target[head] for target in targets]) for head in manifest.labels.heads}


def _chosen_clips(manifest: Manifest, clips: int, records: str | Path) -> np.ndarray:
    """Which of the stored test clips are shown."""
    stored = manifest.options.clips
    path = RecordFolder(records).path(manifest_name(manifest.split))
    if manifest.options.layout != "test":
        raise DataError(f"{path}: holds training segments, not test clips. Build the split with layout='test'.")
    if clips > stored:
        raise DataError(f"{path}: holds {stored} clips a video; {clips} were asked for. Build it with more clips.")
    if clips == 1:
        return np.array([stored // 2])
    return np.round(np.linspace(0, stored - 1, clips)).astype(np.int64)
