"""What a served model answers to: the network as TensorFlow functions with checked inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from kerasfast.data.pipeline.transforms import crop_position, decode, scale_short_side
from kerasfast.models.classifier import SMALLEST_SIDE, VideoClassifier
from kerasfast.models.variants import Variant

Network = Callable[[tf.Tensor], dict[str, tf.Tensor]]
SIGNATURES = ("serving_default", "jpeg_frames", "views", "features")
FEATURES = ("pooled", "embedding")
CENTRE = 1  # of the three positions of `crop_position`
# Of JPEG frames. A file of a few kilobytes may hold 65500 x 65500 pixels, which are 13 GB once decoded; and one of
# 1 x 4096 would be scaled to 256 x a million.
LARGEST_SIDE, LARGEST_RATIO = 4096, 8
# Frames of a request that are decoded at a time, on as many cores as there are. All 32 of a clip are no faster:
# 0.14 s for 340x256 pixels with 8 and 0.17 s with 32, on two busy cores.
DECODED_AT_ONCE = 8


@dataclass(frozen=True)
class RequestShape:
    """What a signature takes as `frames`.

    Attributes:
        dtype: `uint8` or `string`.
        axes: Names of the axes, a number where the size is fixed: `("batch", 32, "H", "W", 3)`.
    """

    dtype: str
    axes: tuple[str | int, ...]

    def sizes(self, **open_axes: int) -> tuple[int, ...]:
        """The shape with numbers for the open axes."""
        return tuple(open_axes[axis] if isinstance(axis, str) else axis for axis in self.axes)

    def __str__(self) -> str:
        return f"({', '.join(map(str, self.axes))})"


def request_shape(name: str, variant: Variant) -> RequestShape:
    """What the signature of a name takes.

    Args:
        name: One of `SIGNATURES`.
        variant: The network's row: frames of a clip.
    """
    length = variant.clip.frames
    if name == "jpeg_frames":
        return RequestShape("string", ("batch", length))
    if name == "views":
        return RequestShape("uint8", ("batch", "views", length, "H", "W", 3))
    return RequestShape("uint8", ("batch", length, "H", "W", 3))


def with_features(model: VideoClassifier) -> keras.Model:
    """The graph of the model with its features among the outputs."""
    features = {name: model.endpoints[name] for name in FEATURES if name in model.endpoints and name not in model.heads}
    return keras.Model(model.input, {**{name: model.endpoints[name] for name in model.heads}, **features})


def signatures(
    network: keras.Model, variant: Variant, rules: Mapping[str, str], names: Sequence[str] = SIGNATURES
) -> dict[str, Any]:
    """The traced functions of a SavedModel by name.

    - `serving_default` takes uint8 `frames` `(batch, T, H, W, 3)`, RGB.
    - `jpeg_frames` takes string `frames` `(batch, T)`, the JPEG files of the frames of each clip, of up to 4096
      pixels a side. Each is scaled to a short side of `variant.test_crop_size` and cropped to its centre, as in
      testing. Decoded frames are in memory one a core and at most eight of a request, whatever its clips: 400 MB
      where they have 4096 x 4096 pixels (100 MB on two cores, measured), 2 MB where they have 340 x 256.
    - `views` takes uint8 `frames` `(batch, views, T, H, W, 3)`, any number of views of each video, and merges their
      scores. It computes one view of every video at a time, so that its memory does not grow with the views.
    - `features` takes what `serving_default` takes.

    All answer with float32: the first three `{head: (batch, classes)}`, `features` the other outputs of the network. A
    request that has no clip, another number of frames or too small ones, or bytes that are no JPEG, ends with an
    `InvalidArgument` status.

    Args:
        network: From float32 frames `(batch, T, H, W, 3)` to a dict of scores by head and of features.
        variant: The network's row: frames of a clip, and size of a testing crop.
        rules: The heads among the network's outputs, each with the rule that merges its views, `max` or `mean`.
        names: Which signatures, of `SIGNATURES`.

    Returns:
        `tf.types.experimental.ConcreteFunction` by signature name.
    """
    pixels = tf.TensorSpec((None, variant.clip.frames, None, None, 3), tf.uint8)

    # One function that every signature calls, so that the network is traced and stored once.
    @tf.function(input_signature=[pixels], autograph=False)
    def outputs(frames: tf.Tensor) -> dict[str, tf.Tensor]:
        return dict(network(tf.cast(frames, tf.float32), training=False))

    def scores(frames: tf.Tensor) -> dict[str, tf.Tensor]:
        return {name: values for name, values in outputs(frames).items() if name in rules}

    def features(frames: tf.Tensor) -> dict[str, tf.Tensor]:
        return {name: values for name, values in outputs(frames).items() if name not in rules}

    makers = {
        "serving_default": lambda: _pixels_signature(scores, variant),
        "jpeg_frames": lambda: _jpeg_signature(scores, variant),
        "views": lambda: _views_signature(scores, variant, rules),
        "features": lambda: _pixels_signature(features, variant),
    }
    return {name: makers[name]().get_concrete_function() for name in names}


def _pixels_signature(answer: Network, variant: Variant) -> Any:
    # The frame count is left open here and checked in the graph: servers do not compare requests with the shapes
    # of a signature, and a static count would let the graph optimiser drop the check.
    spec = tf.TensorSpec((None, None, None, None, 3), tf.uint8, name="frames")

    @tf.function(input_signature=[spec], autograph=False)
    def pixels(frames: tf.Tensor) -> dict[str, tf.Tensor]:
        frames = _checked_pixels(frames, variant, request_shape("serving_default", variant))
        return answer(tf.ensure_shape(frames, (None, variant.clip.frames, None, None, 3)))

    return pixels


def _views_signature(scores: Network, variant: Variant, rules: Mapping[str, str]) -> Any:
    spec = tf.TensorSpec((None, None, None, None, None, 3), tf.uint8, name="frames")

    @tf.function(input_signature=[spec], autograph=False)
    def views(frames: tf.Tensor) -> dict[str, tf.Tensor]:
        frames = _checked_pixels(frames, variant, request_shape("views", variant))
        count = tf.shape(frames)[1]

        def of_view(view: tf.Tensor | int) -> dict[str, tf.Tensor]:
            return scores(tf.ensure_shape(frames[:, view], (None, variant.clip.frames, None, None, 3)))

        def step(view: tf.Tensor, merged: dict[str, tf.Tensor]) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
            found = of_view(view)
            joined = {
                name: tf.maximum(merged[name], found[name]) if rule == "max" else merged[name] + found[name]
                for name, rule in rules.items()
            }
            return view + 1, joined

        _, merged = tf.while_loop(
            lambda view, _: view < count, step, (tf.constant(1), of_view(0)), parallel_iterations=1
        )
        views = tf.cast(count, tf.float32)
        return {name: merged[name] / views if rule == "mean" else merged[name] for name, rule in rules.items()}

    return views


def _jpeg_signature(scores: Network, variant: Variant) -> Any:
    spec = tf.TensorSpec((None, None), tf.string, name="frames")
    length, size = variant.clip.frames, variant.test_crop_size
    view = tf.TensorSpec((size, size, 3), tf.uint8)

    @tf.function(input_signature=[spec], autograph=False)
    def jpeg_frames(frames: tf.Tensor) -> dict[str, tf.Tensor]:
        shape, (clips, received) = _sizes(frames, 2)
        fits = (clips > 0) & (received == length)
        rule = (
            f"{variant.name} takes JPEG frames of shape {request_shape('jpeg_frames', variant)}, batch at least 1, "
            f"sampled with {_sampling(variant)}"
        )
        with tf.control_dependencies([_require(fits, rule, shape)]):
            jpegs = tf.reshape(frames, (-1,))
        # Frame by frame takes 0.042 s for 32 frames of 340x256; scaling a clip at once 0.066 s, as it leaves the
        # cache.
        views = tf.map_fn(_centre_view(size), jpegs, parallel_iterations=DECODED_AT_ONCE, fn_output_signature=view)
        return scores(tf.reshape(views, (-1, length, size, size, 3)))

    return jpeg_frames


def _centre_view(size: int) -> Callable[[tf.Tensor], tf.Tensor]:
    """From a JPEG frame to its centre crop, through the functions that make testing views of clips."""
    rule = (
        f"A JPEG frame may have up to {LARGEST_SIDE} pixels a side, along one at most {LARGEST_RATIO} times as many as "
        "along the other"
    )

    def view(jpeg: tf.Tensor) -> tf.Tensor:
        sides = tf.io.extract_jpeg_shape(jpeg)[:2]  # from the header: nothing is decoded yet
        longer, shorter = tf.reduce_max(sides), tf.reduce_min(sides)
        fits = (longer <= LARGEST_SIDE) & (longer <= LARGEST_RATIO * shorter)
        with tf.control_dependencies([_require(fits, rule, sides)]):
            jpeg = tf.identity(jpeg)
        return crop_position(scale_short_side(decode(jpeg[None]), size), CENTRE, size)[0]

    return view


def _checked_pixels(frames: tf.Tensor, variant: Variant, expected: RequestShape) -> tf.Tensor:
    """The frames, once it is sure that they are `expected`."""
    shape, (*counts, length, height, width, channels) = _sizes(frames, len(expected.axes))
    fits = (length == variant.clip.frames) & (tf.minimum(height, width) >= SMALLEST_SIDE) & (channels == 3)
    fits &= tf.reduce_min(tf.stack(counts)) > 0
    names = " and ".join(str(axis) for axis in expected.axes[: len(counts)])
    rule = (
        f"{variant.name} takes uint8 frames of shape {expected}, {names} at least 1, "
        f"H and W at least {SMALLEST_SIDE}, sampled with {_sampling(variant)}"
    )
    with tf.control_dependencies([_require(fits, rule, shape)]):
        return tf.identity(frames)


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
