"""Which of a record's frames make a clip, and which actions label it; on tensors, inside `tf.data`."""

from __future__ import annotations

import tensorflow as tf

from kerasfast.data.clips import ClipSpec
from kerasfast.data.labels import LabelSpace
from kerasfast.data.records.manifest import Options
from kerasfast.data.records.schema import Record


def random_window(record: Record, clip: ClipSpec, options: Options, uniform: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """A clip that begins anywhere in the record, all places alike.

    Args:
        record: A stored stretch.
        clip: The clip to cut.
        options: How the records were made.
        uniform: float32 scalar in [0, 1).

    Returns:
        The frames, string `(clip.frames,)`, and the frame number of the first, int64 scalar. A stretch shorter
        than the clip repeats its last frame.
    """
    room = _room(record, clip, options)
    first = tf.minimum(tf.cast(uniform * tf.cast(room + 1, tf.float32), tf.int64), room)
    return _cut(record, clip, options, first), record.start_frame + first * options.stride


def central_window(record: Record, clip: ClipSpec, options: Options) -> tf.Tensor:
    """The clip in the middle of the record, string `(clip.frames,)`: the whole record if made for this clip."""
    return _cut(record, clip, options, _room(record, clip, options) // 2)


def window_targets(record: Record, first: tf.Tensor, clip: ClipSpec, labels: LabelSpace) -> dict[str, tf.Tensor]:
    """Targets of a clip by the actions that label a frame from its first to its last, both included.

    A sigmoid head gets all their classes, a softmax head the one that labels most frames (a tie goes to the one that
    stands first), or none where no action is, which costs nothing in a crossentropy.

    Args:
        record: A stored stretch.
        first: int64 scalar, frame number of the clip's first frame.
        clip: The clip.
        labels: The classes.

    Returns:
        For each head float32 `(classes,)`.
    """
    last = tf.minimum(first + clip.span, record.length) - 1
    frames = tf.minimum(record.last_frames, last) - tf.maximum(record.first_frames, first) + 1
    targets = {}
    for head, size in labels.sizes.items():
        # Labels of other heads have class -1, which the sum leaves out.
        classes = tf.gather(labels.classes[head], record.actions)
        labelled = tf.math.unsorted_segment_sum(tf.maximum(frames, 0), classes, size)
        hot = tf.cast(labelled > 0, tf.float32)
        if labels.activations[head] == "softmax":
            hot *= tf.one_hot(tf.argmax(labelled), size)
        targets[head] = hot
    return targets


def _room(record: Record, clip: ClipSpec, options: Options) -> tf.Tensor:
    """Last stored frame at which the clip can begin."""
    needed = (clip.frames - 1) * (clip.stride // options.stride) + 1
    return tf.maximum(tf.size(record.jpegs, tf.int64) - needed, 0)


def _cut(record: Record, clip: ClipSpec, options: Options, first: tf.Tensor) -> tf.Tensor:
    step = clip.stride // options.stride
    wanted = first + step * tf.range(clip.frames, dtype=tf.int64)
    return tf.gather(record.jpegs, tf.minimum(wanted, tf.size(record.jpegs, tf.int64) - 1))
