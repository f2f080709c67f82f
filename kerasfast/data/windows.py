"""Which of a record's frames make a clip, and which actions label it; on tensors, inside `tf.data`."""

from __future__ import annotations

import tensorflow as tf

from kerasfast.data.clips import ClipSpec
from kerasfast.data.labels import LabelSpace
from kerasfast.data.manifest import Options
from kerasfast.data.record_schema import Record


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
    """Multi-hot targets: every action that labels a frame from the clip's first to its last, both included.

    Args:
        record: A stored stretch.
        first: int64 scalar, frame number of the clip's first frame.
        clip: The clip.
        labels: The classes.

    Returns:
        For each head float32 `(classes,)`.
    """
    last = tf.minimum(first + clip.span, record.length) - 1
    seen = tf.maximum(record.first_frames, first) <= tf.minimum(record.last_frames, last)
    actions = tf.boolean_mask(record.actions, seen)
    classes = {
        "verb": tf.gather(labels.action_verb, actions),
        "object": tf.gather(labels.action_object, actions),
        "action": actions,
    }
    return {head: _multi_hot(classes[head], size) for head, size in labels.sizes.items()}


def _room(record: Record, clip: ClipSpec, options: Options) -> tf.Tensor:
    """Last stored frame at which the clip can begin."""
    needed = (clip.frames - 1) * (clip.stride // options.stride) + 1
    return tf.maximum(tf.size(record.jpegs, tf.int64) - needed, 0)


def _cut(record: Record, clip: ClipSpec, options: Options, first: tf.Tensor) -> tf.Tensor:
    step = clip.stride // options.stride
    wanted = first + step * tf.range(clip.frames, dtype=tf.int64)
    return tf.gather(record.jpegs, tf.minimum(wanted, tf.size(record.jpegs, tf.int64) - 1))


def _multi_hot(classes: tf.Tensor, size: int) -> tf.Tensor:
    ones = tf.ones_like(classes, tf.float32)
    return tf.tensor_scatter_nd_max(tf.zeros((size,), tf.float32), tf.expand_dims(classes, 1), ones)
