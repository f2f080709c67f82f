"""Which of a record's frames make a clip, and which actions label it; on tensors, inside `tf.data`."""

from __future__ import annotations

import tensorflow as tf

from kerasfast.data.clips import ClipSpec
from kerasfast.data.labels import LabelSpace
from kerasfast.data.records.manifest import Options
from kerasfast.data.records.schema import Record


def random_window(record: Record, clip: ClipSpec, options: Options, uniform: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """A clip that begins anywhere in the record, all places alike.

    Args:
        record: A stored stretch.
        clip: The clip to cut.
        options: How the records were made.
        uniform: float32 scalar in [0, 1).

    Returns:
        The frames, string `(clip.frames,)`, and the frame numbers of the first and the last, int64 scalars. A stretch
        shorter than the clip repeats its last frame.
    """
    room = _room(record, clip, options)
    first = tf.minimum(tf.cast(uniform * tf.cast(room + 1, tf.float32), tf.int64), room)
    number = record.start_frame + first * options.stride
    return _cut(record, clip, options, first), number, number + clip.span - 1


def central_window(record: Record, clip: ClipSpec, options: Options) -> tf.Tensor:
    """The clip in the middle of the record, string `(clip.frames,)`: the whole record if made for this clip."""
    return _cut(record, clip, options, _room(record, clip, options) // 2)


def spread_frames(record: Record, frames: int, options: Options, uniforms: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """One frame from each of equal parts of the record: PySlowFast's rule for Something-Something.

    Part i goes from round(i * s) to round((i + 1) * s), both included, with s = (stored frames - 1) / `frames`.

    Args:
        record: A whole video.
        frames: Number of parts.
        options: How the records were made.
        uniforms: float32 `(frames,)` in [0, 1): which frame of each part.

    Returns:
        The frames, string `(frames,)`, and the frame numbers of the first and the last, int64 scalars.
    """
    lower, upper = _parts(record, frames)
    drawn = tf.cast(uniforms * tf.cast(upper - lower + 1, tf.float32), tf.int64)
    numbers = tf.minimum(lower + drawn, upper)
    jpegs = tf.ensure_shape(tf.gather(record.jpegs, numbers), (frames,))
    return jpegs, *(record.start_frame + number * options.stride for number in (numbers[0], numbers[-1]))


def middle_frames(record: Record, frames: int, view: tf.Tensor, views: int) -> tf.Tensor:
    """The same parts, and of each the frame at (view + 1/2) / views of its length, rounded down.

    With one view, and every frame stored, these are those of `kerasfast.data.clips.whole_video_indices`.

    Returns:
        string `(frames,)`.
    """
    lower, upper = _parts(record, frames)
    numbers = lower + (upper - lower) * (2 * view + 1) // (2 * views)
    return tf.ensure_shape(tf.gather(record.jpegs, numbers), (frames,))


def window_targets(record: Record, first: tf.Tensor, last: tf.Tensor, labels: LabelSpace) -> dict[str, tf.Tensor]:
    """Targets of a clip by the actions that label a frame from its first to its last, both included.

    A sigmoid head gets all their classes, a softmax head the one that labels most frames (a tie goes to the one that
    stands first), or none where no action is, which costs nothing in a crossentropy.

    Args:
        record: A stored stretch.
        first: int64 scalar, frame number of the clip's first frame.
        last: int64 scalar, of its last; past the end of the video is the end of it.
        labels: The classes.

    Returns:
        For each head float32 `(classes,)`.
    """
    last = tf.minimum(last, record.length - 1)
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


def _parts(record: Record, frames: int) -> tuple[tf.Tensor, tf.Tensor]:
    """First and last stored frame of each of equal parts, int64 `(frames,)`; neighbours share theirs."""
    step = tf.cast(tf.size(record.jpegs, tf.int64) - 1, tf.float64) / frames
    bounds = tf.cast(tf.round(step * tf.range(frames + 1, dtype=tf.float64)), tf.int64)
    return bounds[:-1], bounds[1:]


def _room(record: Record, clip: ClipSpec, options: Options) -> tf.Tensor:
    """Last stored frame at which the clip can begin."""
    needed = (clip.frames - 1) * (clip.stride // options.stride) + 1
    return tf.maximum(tf.size(record.jpegs, tf.int64) - needed, 0)


def _cut(record: Record, clip: ClipSpec, options: Options, first: tf.Tensor) -> tf.Tensor:
    step = clip.stride // options.stride
    wanted = first + step * tf.range(clip.frames, dtype=tf.int64)
    return tf.gather(record.jpegs, tf.minimum(wanted, tf.size(record.jpegs, tf.int64) - 1))
