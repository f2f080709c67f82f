"""Scale, crop and flip for clips; every function works eagerly and inside `tf.data`.

Scaling is bilinear with half-pixel centres and without antialiasing: torch's `align_corners=False`, which
PySlowFast uses. A training crop is cut from the stored frames on whole pixels before it is scaled, so a clip
differs from "scale, then crop" by less than a pixel of the stored frames; test views are scaled first, as
there.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from kerasfast.data.views import CROPS as CROPS


def jittered_short_side(uniform: tf.Tensor, short_side: tuple[int, int]) -> tf.Tensor:
    """A shorter side drawn inverse-uniformly: round(1 / U(1/max, 1/min)).

    Args:
        uniform: float32 scalar in [0, 1).
        short_side: Smallest and largest, in pixels.

    Returns:
        int32 scalar.
    """
    low, high = 1 / short_side[1], 1 / short_side[0]
    return tf.cast(tf.round(1 / (low + uniform * (high - low))), tf.int32)


def random_box(
    uniforms: Sequence[tf.Tensor], height: tf.Tensor, width: tf.Tensor, short_side: tf.Tensor, crop_size: int
) -> tf.Tensor:
    """Where a square training crop lies in the unscaled frame.

    Args:
        uniforms: Two float32 scalars in [0, 1), for the vertical and the horizontal position.
        height: int32 scalar, pixels of the frame.
        width: int32 scalar, pixels of the frame.
        short_side: int32 scalar, the shorter side after scaling; at least `crop_size`.
        crop_size: Side of the crop after scaling.

    Returns:
        int32 `(4,)`: top, left, height, width.
    """
    shorter = tf.minimum(height, width)
    # Whole-number rounding of crop_size * shorter / short_side.
    side = tf.clip_by_value((2 * crop_size * shorter + short_side) // (2 * short_side), 1, shorter)
    top = tf.cast(uniforms[0] * tf.cast(height - side + 1, tf.float32), tf.int32)
    left = tf.cast(uniforms[1] * tf.cast(width - side + 1, tf.float32), tf.int32)
    return tf.stack([tf.minimum(top, height - side), tf.minimum(left, width - side), side, side])


def decode(jpegs: tf.Tensor) -> tf.Tensor:
    """Decodes JPEG frames.

    Args:
        jpegs: string `(T,)`, T known; all of one size.

    Returns:
        uint8 `(T, H, W, 3)`, RGB.
    """
    # One op a frame: the frames of a clip decode in parallel and without the loop of tf.map_fn.
    return tf.stack([tf.io.decode_jpeg(jpeg, channels=3) for jpeg in tf.unstack(jpegs)])


def decode_box(jpegs: tf.Tensor, box: tf.Tensor, size: int, mirrored: tf.Tensor | None = None) -> tf.Tensor:
    """Decodes one box of JPEG frames, scales it to a square and perhaps mirrors it.

    Args:
        jpegs: string `(T,)`, T known; all of one size.
        box: int32 `(4,)` (top, left, height, width).
        size: Side of the square in pixels.
        mirrored: bool scalar, whether to mirror the frames left to right; None for no.

    Returns:
        uint8 `(T, size, size, 3)`, RGB.
    """

    # Frame by frame, because what a frame takes stays in the cache of a core, where that of a clip does not.
    def all_frames(mirror: bool) -> tf.Tensor:
        frames = []
        for jpeg in tf.unstack(jpegs):
            frame = tf.image.decode_and_crop_jpeg(jpeg, box, channels=3)
            frames.append(resize_fast((tf.reverse(frame, axis=[1]) if mirror else frame)[tf.newaxis], size, size))
        return tf.concat(frames, axis=0)

    if mirrored is None:
        return all_frames(False)
    return tf.cond(mirrored, lambda: all_frames(True), lambda: all_frames(False))


def crop(frames: tf.Tensor, box: tf.Tensor) -> tf.Tensor:
    """Cuts a box (top, left, height, width) from frames `(T, H, W, 3)`."""
    return frames[:, box[0] : box[0] + box[2], box[1] : box[1] + box[3]]


def resize(frames: tf.Tensor, height: int | tf.Tensor, width: int | tf.Tensor) -> tf.Tensor:
    """Scales uint8 frames `(T, h, w, 3)` to uint8 `(T, height, width, 3)`; a half is rounded to the even neighbour."""
    return tf.cast(tf.round(tf.image.resize(frames, (height, width), method="bilinear")), tf.uint8)


def resize_fast(frames: tf.Tensor, height: int | tf.Tensor, width: int | tf.Tensor) -> tf.Tensor:
    """As `resize`, for training; a half is rounded up, and rounding errors of float32 decide near it."""
    # Bilinear weights sum to 1, so the half that rounds can be added before: in the same pass as the conversion to
    # float32, from which the kernel scales twice as fast as from uint8. 12 ms a clip of 32x224x224 instead of 21.
    shifted = tf.raw_ops.Dequantize(
        input=tf.bitcast(frames, tf.quint8), min_range=0.5, max_range=255.5, mode="MIN_COMBINED"
    )
    scaled = tf.raw_ops.ResizeBilinear(images=shifted, size=(height, width), half_pixel_centers=True)
    return tf.cast(scaled, tf.uint8)


def flip(frames: tf.Tensor, mirrored: tf.Tensor) -> tf.Tensor:
    """Mirrors frames `(T, H, W, 3)` left to right where the bool scalar `mirrored` is true."""

    def mirror() -> tf.Tensor:
        # TensorFlow has a kernel for one picture, which takes a third of the time of the general one: all rows of all
        # frames are one.
        rows = tf.reshape(frames, (-1, tf.shape(frames)[2], 3))
        return tf.reshape(tf.reverse(rows, axis=[1]), tf.shape(frames))

    return tf.ensure_shape(tf.cond(mirrored, mirror, lambda: tf.identity(frames)), frames.shape)


def scale_short_side(frames: tf.Tensor, short_side: int) -> tf.Tensor:
    """Scales frames to a shorter side; the other side is rounded down.

    Args:
        frames: uint8 `(T, H, W, 3)`.
        short_side: Pixels of the shorter side.

    Returns:
        uint8 `(T, h, w, 3)` with min(h, w) = short_side.
    """
    height, width = tf.shape(frames)[1], tf.shape(frames)[2]
    shorter = tf.minimum(height, width)
    return resize(frames, height * short_side // shorter, width * short_side // shorter)


def crop_position(frames: tf.Tensor, position: int | tf.Tensor, crop_size: int) -> tf.Tensor:
    """One of three square crops along the longer side, offsets 0, ceil((side - crop_size) / 2), side - crop_size.

    Args:
        frames: `(T, H, W, 3)`, both sides at least `crop_size`.
        position: 0 left or top, 1 centre, 2 right or bottom; the shorter side is always centred.
        crop_size: Side of the crop in pixels.

    Returns:
        `(T, crop_size, crop_size, 3)`.
    """
    height, width = tf.shape(frames)[1], tf.shape(frames)[2]
    room = tf.stack([height, width]) - crop_size
    middle = (room + 1) // 2
    along = tf.stack([tf.zeros_like(room), middle, room])[position]
    longer = tf.stack([height > width, width >= height])
    offset = tf.where(longer, along, middle)
    cut = frames[:, offset[0] : offset[0] + crop_size, offset[1] : offset[1] + crop_size]
    return tf.ensure_shape(cut, (frames.shape[0], crop_size, crop_size, 3))
