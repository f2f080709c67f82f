"""The operations of RandAugment on the frames of a clip, as Pillow's ImageOps, ImageEnhance and Image.transform do it.

What timm and PySlowFast run is Pillow, frame by frame; this follows its arithmetic, so that a table, a mean or a
histogram is that of its own frame. Frames are uint8 `(T, H, W, 3)`, RGB, before and after, H and W at least 3.
"""

from __future__ import annotations

import math

import tensorflow as tf

# Where a moved frame ends: the grey of timm and PySlowFast, halfway between black and white.
FILL = 128


def auto_contrast(frames: tf.Tensor) -> tf.Tensor:
    """Stretches each channel to 0 .. 255, rounding down; one of a single value stays."""
    low, high = (
        tf.cast(limit(frames, axis=(1, 2)), tf.float64)[:, :, None] for limit in (tf.reduce_min, tf.reduce_max)
    )
    # float64 as in Pillow: rounding down makes a level of the last digit.
    scale = 255 / tf.maximum(high - low, 1)
    ramp = tf.range(256, dtype=tf.float64)
    return _look_up(_bins(frames), tf.where(high > low, ramp * scale + (-low * scale), ramp))


def equalize(frames: tf.Tensor) -> tf.Tensor:
    """Flattens the histogram of each channel: level i becomes (step // 2 + pixels below i) // step.

    A step is the 255th part of the pixels below the highest level that occurs; a channel of less than 255 stays.
    """
    bins = _bins(frames)
    size = 768 * tf.shape(frames)[0]
    counts = tf.reshape(tf.math.bincount(tf.reshape(bins, [-1]), minlength=size, maxlength=size), (-1, 3, 256))
    below = tf.cumsum(counts, axis=-1, exclusive=True)
    total = tf.reduce_sum(counts, axis=-1, keepdims=True)
    step = tf.reduce_max(tf.where(below < total, below, 0), axis=-1, keepdims=True) // 255
    flat = (step // 2 + below) // tf.maximum(step, 1)
    return _look_up(bins, tf.where(step > 0, flat, tf.range(256)))


def invert(frames: tf.Tensor) -> tf.Tensor:
    """255 - x."""
    return 255 - frames


def posterize(frames: tf.Tensor, bits: tf.Tensor) -> tf.Tensor:
    """Keeps the highest bits of each value, int32 scalar in 0 .. 8; of 0 bits black is left.

    So it was in Pillow, before it refused 0 bits.
    """
    return tf.bitwise.bitwise_and(frames, tf.cast(256 - tf.bitwise.left_shift(1, 8 - bits), tf.uint8))


def solarize(frames: tf.Tensor, threshold: tf.Tensor) -> tf.Tensor:
    """Inverts the values that are at least `threshold`, int32 scalar in 0 .. 256."""
    # 256 is no uint8, so the comparison is with the last value to stay; none has to where it is below 0.
    bright = tf.cast(frames > tf.cast(tf.maximum(threshold - 1, 0), tf.uint8), tf.uint8)
    bright = tf.maximum(bright, tf.cast(threshold < 1, tf.uint8))
    return tf.bitwise.bitwise_xor(frames, 255 * bright)  # 255 - x; all of it is five times as fast as tf.where


def solarize_add(frames: tf.Tensor, amount: tf.Tensor) -> tf.Tensor:
    """Adds `amount`, int32 scalar in 0 .. 127, to the values below 128."""
    return frames + tf.cast(amount, tf.uint8) * tf.cast(frames < 128, tf.uint8)


def color(frames: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Blends with the grey picture, 1 being the frame itself; float32 scalar."""
    return _blend(_grey(frames), frames, factor)


def contrast(frames: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Blends with the mean of the grey picture, rounded; float32 scalar."""
    # Of whole numbers, whose sum is the same in any order.
    grey = tf.cast(_grey(frames), tf.int32)
    pixels = tf.size(grey[0])
    mean = (2 * tf.reduce_sum(grey, axis=(1, 2), keepdims=True) + pixels) // (2 * pixels)
    return _blend(tf.cast(mean, tf.float32), frames, factor)


def brightness(frames: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Blends with black; float32 scalar."""
    return _blend(tf.constant(0.0), frames, factor)


def sharpness(frames: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Blends with the smoothed picture; float32 scalar.

    Smoothing weighs a pixel 5 / 13 and its eight neighbours 1 / 13 each, rounded; the border stays as it is.
    """
    pictures = tf.cast(frames, tf.float32)
    rows = pictures[:, :-2] + pictures[:, 1:-1] + pictures[:, 2:]
    around = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]
    inner = pictures[:, 1:-1, 1:-1]
    change = tf.floor((around + 4 * inner) / 13 + 0.5) - inner
    return _blend(pictures + tf.pad(change, ((0, 0), (1, 1), (1, 1), (0, 0))), frames, factor)


def rotate(frames: tf.Tensor, degrees: tf.Tensor) -> tf.Tensor:
    """Turns anticlockwise about the centre; float32 scalar."""
    cosine, sine = tf.cos(degrees * (math.pi / 180)), tf.sin(degrees * (math.pi / 180))
    y, x = (tf.cast(side, tf.float32) / 2 for side in tf.unstack(tf.shape(frames)[1:3]))
    return _affine(frames, (cosine, -sine, x - cosine * x + sine * y), (sine, cosine, y - sine * x - cosine * y))


def shear_x(frames: tf.Tensor, slope: tf.Tensor) -> tf.Tensor:
    """Moves each row left by slope * its distance from the top; float32 scalar."""
    return _affine(frames, (1.0, slope, 0.0), (0.0, 1.0, 0.0))


def shear_y(frames: tf.Tensor, slope: tf.Tensor) -> tf.Tensor:
    """Moves each column up by slope * its distance from the left; float32 scalar."""
    return _affine(frames, (1.0, 0.0, 0.0), (slope, 1.0, 0.0))


def translate_x(frames: tf.Tensor, part: tf.Tensor) -> tf.Tensor:
    """Moves left by a part of the width; float32 scalar."""
    return _affine(frames, (1.0, 0.0, part * tf.cast(tf.shape(frames)[2], tf.float32)), (0.0, 1.0, 0.0))


def translate_y(frames: tf.Tensor, part: tf.Tensor) -> tf.Tensor:
    """Moves up by a part of the height; float32 scalar."""
    return _affine(frames, (1.0, 0.0, 0.0), (0.0, 1.0, part * tf.cast(tf.shape(frames)[1], tf.float32)))


def _bins(frames: tf.Tensor) -> tf.Tensor:
    """Places of the pixels in tables `(T, 3, 256)`: int32 `(T, H, W, 3)`."""
    tables = tf.reshape(tf.range(3 * tf.shape(frames)[0]), (-1, 1, 1, 3))
    return tf.cast(frames, tf.int32) + 256 * tables


def _look_up(bins: tf.Tensor, tables: tf.Tensor) -> tf.Tensor:
    """Replaces each level by that of the table of its frame and channel, `(T, 3, 256)`, clipped and rounded down."""
    return tf.gather(tf.reshape(tf.saturate_cast(tables, tf.uint8), [-1]), bins)


def _grey(frames: tf.Tensor) -> tf.Tensor:
    """Pillow's mode L, float32 `(T, H, W, 1)`: (19595 R + 38470 G + 7471 B + 2^15) // 2^16."""
    # 0.299, 0.587 and 0.114 in 1 / 2^16. All sums are below 2^24, so exact in float32.
    weights = tf.constant([19595.0, 38470.0, 7471.0], shape=(1, 1, 3, 1))
    grey = tf.nn.conv2d(tf.cast(frames, tf.float32), weights, 1, "VALID")
    return tf.floor((grey + 2.0**15) / 2.0**16)


def _blend(start: tf.Tensor, frames: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Image.blend: start + factor * (frames - start), clipped and rounded down."""
    return tf.saturate_cast(start + factor * (tf.cast(frames, tf.float32) - start), tf.uint8)


def _affine(frames: tf.Tensor, to_x: tuple, to_y: tuple) -> tf.Tensor:
    """Image.transform: an output pixel (x, y) shows the point (a x + b y + c, d x + e y + f), interpolated bilinearly.

    Pixel centres lie at halves. Points outside of the frame are FILL, and the half pixel inside of its edge repeats it.

    Args:
        frames: The clip.
        to_x: a, b, c; floats or float32 scalars.
        to_y: d, e, f.

    Returns:
        The moved clip.
    """
    shape = tf.shape(frames)
    height, width = shape[1], shape[2]
    x = tf.range(width, dtype=tf.float32)[None, :, None] + 0.5
    y = tf.range(height, dtype=tf.float32)[:, None, None] + 0.5
    inside = tf.constant(True)
    rows = []
    for (a, b, c), side in ((to_x, width), (to_y, height)):
        point = a * x + b * y + c
        inside &= (point >= 0) & (point < tf.cast(side, tf.float32))
        # The op puts pixel centres at whole numbers.
        rows += [a, b, c + 0.5 * (a + b) - 0.5]
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=frames,
        transforms=tf.stack([*rows, 0.0, 0.0])[None],
        output_shape=shape[1:3],
        fill_value=float(FILL),
        interpolation="BILINEAR",
        fill_mode="NEAREST",  # its CONSTANT would blend the edge with the fill
    )
    kept = tf.tile(tf.cast(inside, tf.uint8), (1, 1, 3))  # of full depth, because broadcasting the last axis is slow
    return moved * kept + FILL * (1 - kept)
