"""One stored stretch of frames as a tf.train.SequenceExample.

`image/encoded` and `clip/label/index` have the names that TF Model Garden reads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import tensorflow as tf

from kerasfast.data.annotations import Segment, VideoRow
from kerasfast.data.records.layout import StoredClip, labelled_frames
from kerasfast.data.records.manifest import Options


def encode_record(
    row: VideoRow,
    index: int,
    length: int,
    stored: StoredClip,
    place: int,
    jpegs: Sequence[bytes],
    size: tuple[int, int],
    options: Options,
) -> bytes:
    """Serialises a stretch of frames.

    Args:
        row: The video's annotations.
        index: Number of the video in the split.
        length: Frames of the video at the clip's rate.
        stored: Which frames these are.
        place: Round or test clip.
        jpegs: The frames.
        size: (height, width) of the frames.
        options: How the split is stored.

    Returns:
        A SequenceExample. Context: `video/id`, `video/index`, `video/length_frames`; `clip/index` (round or
        test clip), `clip/fps`, `clip/start_frame`, `clip/frames` (number stored), `clip/stride`,
        `clip/phase`; `clip/label/index`, `.../start`, `.../end` (seconds), `.../first_frame`,
        `.../last_frame` of the actions that label one of these frames; `image/height`, `image/width`,
        `image/format`. Feature list: `image/encoded`.
    """
    fps = options.clip.fps
    first, last = stored.indices[0], stored.indices[-1]
    timed = [
        segment if math.isfinite(segment.end_seconds) else replace(segment, end_seconds=length / fps)
        for segment in row.segments
    ]
    labels = [
        (segment, frames)
        for segment in timed
        if (frames := labelled_frames(segment, fps))[0] <= min(last, frames[1]) and frames[1] >= first
    ]
    context = {
        "video/id": _bytes(row.id.encode()),
        "video/index": _ints(index),
        "video/length_frames": _ints(length),
        "clip/index": _ints(place),
        "clip/fps": _floats(fps),
        "clip/start_frame": _ints(first),
        "clip/frames": _ints(len(jpegs)),
        "clip/stride": _ints(options.stride),
        "clip/phase": _ints(stored.phase),
        "image/height": _ints(size[0]),
        "image/width": _ints(size[1]),
        "image/format": _bytes(b"jpeg"),
        **_label_features(labels),
    }
    images = tf.train.FeatureList(feature=[_bytes(jpeg) for jpeg in jpegs])
    return tf.train.SequenceExample(
        context=tf.train.Features(feature=context),
        feature_lists=tf.train.FeatureLists(feature_list={"image/encoded": images}),
    ).SerializeToString(deterministic=True)


@dataclass(frozen=True)
class Record:
    """A parsed stretch of frames, as tensors.

    Args:
        video_index: int64 scalar, number of the video in the split.
        place: int64 scalar, round or test clip.
        length: int64 scalar, frames of the video.
        start_frame: int64 scalar, first frame stored.
        height: int64 scalar, pixels of the stored frames.
        width: int64 scalar, pixels of the stored frames.
        actions: int64 `(labels,)`.
        first_frames: int64 `(labels,)`, first frame that each labels.
        last_frames: int64 `(labels,)`.
        jpegs: string `(frames,)`.
    """

    video_index: tf.Tensor
    place: tf.Tensor
    length: tf.Tensor
    start_frame: tf.Tensor
    height: tf.Tensor
    width: tf.Tensor
    actions: tf.Tensor
    first_frames: tf.Tensor
    last_frames: tf.Tensor
    jpegs: tf.Tensor


def parse_record(serialized: tf.Tensor) -> Record:
    """Parses one serialised record; for use in `tf.data`."""
    scalar = tf.io.FixedLenFeature((), tf.int64)
    ragged = tf.io.RaggedFeature(tf.int64)
    context, lists = tf.io.parse_single_sequence_example(
        serialized,
        context_features={
            "video/index": scalar,
            "clip/index": scalar,
            "video/length_frames": scalar,
            "clip/start_frame": scalar,
            "image/height": scalar,
            "image/width": scalar,
            "clip/label/index": ragged,
            "clip/label/first_frame": ragged,
            "clip/label/last_frame": ragged,
        },
        sequence_features={"image/encoded": tf.io.FixedLenSequenceFeature((), tf.string)},
    )
    return Record(
        video_index=context["video/index"],
        place=context["clip/index"],
        length=context["video/length_frames"],
        start_frame=context["clip/start_frame"],
        height=context["image/height"],
        width=context["image/width"],
        actions=context["clip/label/index"],
        first_frames=context["clip/label/first_frame"],
        last_frames=context["clip/label/last_frame"],
        jpegs=lists["image/encoded"],
    )


def _label_features(labels: list[tuple[Segment, tuple[int, int]]]) -> dict[str, tf.train.Feature]:
    return {
        "clip/label/index": _ints(*(segment.action for segment, _ in labels)),
        "clip/label/start": _floats(*(segment.start_seconds for segment, _ in labels)),
        "clip/label/end": _floats(*(segment.end_seconds for segment, _ in labels)),
        "clip/label/first_frame": _ints(*(frames[0] for _, frames in labels)),
        "clip/label/last_frame": _ints(*(frames[1] for _, frames in labels)),
    }


def _ints(*values: int) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def _floats(*values: float) -> tf.train.Feature:
    return tf.train.Feature(float_list=tf.train.FloatList(value=values))


def _bytes(value: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
