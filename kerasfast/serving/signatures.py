"""What a served model answers to: the network as TensorFlow functions with checked inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from kerasfast.data.pipeline.transforms import crop_position, decode, scale_short_side
from kerasfast.models.classifier import SMALLEST_SIDE
from kerasfast.models.variants import Variant

Scores = Callable[[tf.Tensor], dict[str, tf.Tensor]]
CENTRE = 1  # of the three positions of `crop_position`


def signatures(network: keras.Model, variant: Variant) -> dict[str, Any]:
    """The traced functions of a SavedModel by name.

    `serving_default` takes uint8 `frames` `(batch, T, H, W, 3)`; `jpeg_frames` takes string `frames` `(batch, T)`,
    the JPEG files of the frames of each clip, of any size. Each is scaled to a short side of
    `variant.test_crop_size` and cropped to its centre, as in testing. Both answer with
    `{head: float32 (batch, classes)}`, or with an `InvalidArgument` status where a request has no clip, another number
    of frames or too small ones, or bytes that are no JPEG.

    Args:
        network: From float32 frames `(batch, T, H, W, 3)` to a dict of scores by head.
        variant: The network's row: frames of a clip, and size of a testing crop.

    Returns:
        `tf.types.experimental.ConcreteFunction` by signature name.
    """
    pixels = tf.TensorSpec((None, variant.clip.frames, None, None, 3), tf.uint8)

    # One function that every signature calls, so that the network is traced and stored once.
    @tf.function(input_signature=[pixels], autograph=False)
    def scores(frames: tf.Tensor) -> dict[str, tf.Tensor]:
        return dict(network(tf.cast(frames, tf.float32), training=False))

    functions = {
        "serving_default": _pixels_signature(scores, variant),
        "jpeg_frames": _jpeg_signature(scores, variant),
    }
    return {name: function.get_concrete_function() for name, function in functions.items()}


def _pixels_signature(scores: Scores, variant: Variant) -> Any:
    # The frame count is left open here and checked in the graph: servers do not compare requests with the shapes
    # of a signature, and a static count would let the graph optimiser drop the check.
    spec = tf.TensorSpec((None, None, None, None, 3), tf.uint8, name="frames")

    @tf.function(input_signature=[spec], autograph=False)
    def serving_default(frames: tf.Tensor) -> dict[str, tf.Tensor]:
        shape, (clips, length, height, width, channels) = _sizes(frames, 5)
        fits = (clips > 0) & (length == variant.clip.frames) & (tf.minimum(height, width) >= SMALLEST_SIDE)
        fits &= channels == 3
        rule = (
            f"{variant.name} takes uint8 frames of shape (batch, {variant.clip.frames}, H, W, 3), batch at least 1, "
            f"H and W at least {SMALLEST_SIDE}, sampled with {_sampling(variant)}"
        )
        with tf.control_dependencies([_require(fits, rule, shape)]):
            frames = tf.identity(frames)
        return scores(tf.ensure_shape(frames, (None, variant.clip.frames, None, None, 3)))

    return serving_default


def _jpeg_signature(scores: Scores, variant: Variant) -> Any:
    spec = tf.TensorSpec((None, None), tf.string, name="frames")
    length, size = variant.clip.frames, variant.test_crop_size
    view = tf.TensorSpec((size, size, 3), tf.uint8)

    @tf.function(input_signature=[spec], autograph=False)
    def jpeg_frames(frames: tf.Tensor) -> dict[str, tf.Tensor]:
        shape, (clips, received) = _sizes(frames, 2)
        fits = (clips > 0) & (received == length)
        rule = (
            f"{variant.name} takes JPEG frames of shape (batch, {length}), batch at least 1, "
            f"sampled with {_sampling(variant)}"
        )
        with tf.control_dependencies([_require(fits, rule, shape)]):
            jpegs = tf.reshape(frames, (-1,))
        # Frame by frame takes 0.042 s for 32 frames of 340x256; scaling a clip at once 0.066 s, as it leaves the
        # cache.
        views = tf.map_fn(_centre_view(size), jpegs, parallel_iterations=length, fn_output_signature=view)
        return scores(tf.reshape(views, (-1, length, size, size, 3)))

    return jpeg_frames


def _centre_view(size: int) -> Callable[[tf.Tensor], tf.Tensor]:
    """From a JPEG frame to its centre crop, through the functions that make testing views of clips."""
    return lambda jpeg: crop_position(scale_short_side(decode(jpeg[None]), size), CENTRE, size)[0]


def _sizes(tensor: tf.Tensor, rank: int) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """The shape of a request's tensor as it was sent, and the first `rank` sizes of that, 0 where there are fewer."""
    # Servers do not compare the rank of a request with the signature's.
    shape = tf.shape(tensor)
    return shape, tf.unstack(tf.concat([shape, tf.zeros(rank, tf.int32)], axis=0)[:rank], rank)


def _require(condition: tf.Tensor, rule: str, shape: tf.Tensor) -> tf.Operation:
    """Ends the request with `rule` and the shape that was received, unless the condition holds."""
    message = tf.strings.format(f"{rule}. Received: shape {{}}", shape, summarize=-1)
    return tf.debugging.Assert(condition, [message])


def _sampling(variant: Variant) -> str:
    return f"stride {variant.clip.stride} at {variant.clip.fps:g} frames a second"
