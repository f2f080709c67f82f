"""Where a network looks for a class: maps of each pathway over the frames of a clip, computed by tf-keras-vis."""

from __future__ import annotations

import math
import warnings
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from kerasfast.models.layers import slow_frame_indices

if TYPE_CHECKING:
    from kerasfast.models.classifier import VideoClassifier

METHODS = {"gradcam": "Grad-CAM", "gradcam++": "Grad-CAM++", "saliency": "Saliency"}


def attention_maps(
    model: VideoClassifier, frames: np.ndarray, head: str, index: int, method: str = "gradcam"
) -> dict[str, np.ndarray]:
    """One map for each pathway: how much each place of each frame speaks for a class.

    Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391) and Grad-CAM++ (Chattopadhay et al. 2018, arXiv:1710.11063)
    weight the last features of a pathway by the gradient of the class's logit. Saliency (Simonyan et al. 2014,
    arXiv:1312.6034) is the size of that gradient with respect to the pixels that a pathway is given.

    Maps of features are coarse: a cell for 32 pixels (16 in the nano networks), and for Slow one frame of alpha. They
    are interpolated to the frames here, each cell about the pixel that it is centred on, each Slow frame at its time.

    Args:
        model: A network with heads.
        frames: A clip, uint8 or float `(T, H, W, 3)`, RGB, 0..255.
        head: Name of the head.
        index: The class, counted from 0.
        method: `gradcam`, `gradcam++` or `saliency`.

    Returns:
        Pathway (`slow`, `fast`) to `(T, H, W)` float32: the highest value of the clip is 1, and 0 is no evidence for
        the class. A map without any evidence is 0 everywhere.

    Raises:
        ValueError: An unknown method, or Keras runs on another backend than TensorFlow.
        ImportError: tf-keras-vis is missing; says how to install it.
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}. Received: method={method!r}.")
    vis = _tf_keras_vis()
    model = _in_float32(model)
    clip = np.asarray(frames, np.float32)[None]  # tf-keras-vis takes a gradient of it, which whole numbers have not
    of_features = method.startswith("gradcam")
    if of_features:
        maps = _of_features(model, clip, head, vis.Gradcam if method == "gradcam" else vis.GradcamPlusPlus, index)
    else:
        maps = _of_pixels(model, clip, head, vis.Saliency, index)
    return {
        path: _scaled(_over_frames(one, model, path, clip.shape[1:4], of_features=of_features))
        for path, one in maps.items()
    }


def _of_features(model: VideoClassifier, clip: np.ndarray, head: str, method: Any, index: int) -> dict[str, np.ndarray]:
    """Maps of the last features of each pathway, `(t, h, w)`."""
    network = keras.Model(model.input, model.endpoints[f"{head}_logits"])
    maps = {}
    for path in model.variant.pathways:
        last = model.endpoints[f"{path}_res{model.variant.num_stages + 1}"]
        # Enlarged by `_over_frames`: tf-keras-vis spreads the cells from edge to edge, so that the last one comes to
        # lie on the last pixel, 15 pixels off the one that it is centred on in a nano network.
        found = method(network, clone=False)(
            _score(index),
            clip,
            penultimate_layer=last._keras_history.operation,
            seek_penultimate_conv_layer=False,
            expand_cam=False,
            normalize_cam=False,
        )
        maps[path] = np.asarray(found)[0]
    return maps


def _of_pixels(model: VideoClassifier, clip: np.ndarray, head: str, method: Any, index: int) -> dict[str, np.ndarray]:
    """Maps of what each pathway is given, `(t, h, w)`."""
    paths = model.variant.pathways
    # The model has one input and shares it out itself. Cut behind that, it has an input for each pathway, and
    # tf-keras-vis gives a map for each.
    given = [_first_layer(model, path).input for path in paths]
    pixels = keras.Model(model.input, given)(clip)
    network = keras.Model(given, model.endpoints[f"{head}_logits"])
    found = method(network, clone=False)(_score(index), list(pixels), normalize_map=False)
    return {path: np.asarray(one)[0] for path, one in zip(paths, found, strict=True)}


def _first_layer(model: VideoClassifier, path: str) -> Any:
    return next(layer for layer in model.layers if layer.name.startswith(f"{path}_stem"))


def _score(index: int) -> Any:
    """The logit of a class, moved to 0 without its gradient.

    Grad-CAM++ multiplies by exp(logit) and divides by it again; in float32 that is NaN above 88 and all zeros from
    about -40 down, and the map is the same wherever the logit stands.
    """

    def score(logits: Any) -> Any:
        import tensorflow as tf

        return logits[:, index] - tf.stop_gradient(logits[:, index])

    return score


def _over_frames(
    maps: np.ndarray, model: VideoClassifier, path: str, shape: tuple[int, ...], *, of_features: bool
) -> np.ndarray:
    """A map `(t, h, w)` interpolated to the frames of a clip, `(T, H, W)`: linear between the centres of its cells."""
    stride = _stride(model, path, of_features)
    centres = (_frames_seen(model, path, len(maps)), *(stride * np.arange(side) for side in maps.shape[1:]))
    for axis, (at, length) in enumerate(zip(centres, shape, strict=True)):
        # Row p holds what each cell counts at place p; before the first centre and behind the last, that cell alone.
        weights = np.stack([np.interp(np.arange(length), at, one) for one in np.eye(len(at))], axis=1)
        maps = np.moveaxis(np.tensordot(weights, maps, (1, axis)), 0, axis)
    return maps.astype(np.float32)


def _stride(model: VideoClassifier, path: str, of_features: bool) -> int:
    """Pixels from the centre of a cell to that of the next. Convolutions are padded by half their kernel on all sides
    here, so the first centre is the first pixel.
    """
    variant = model.variant
    own = 2 if path == "fast" and variant.fast_input == "half_resolution" else 1
    stem = 2 if variant.block == "x3d" else 4
    return own * (stem * math.prod(variant.spatial_strides) if of_features else 1)


def _frames_seen(model: VideoClassifier, path: str, count: int) -> np.ndarray:
    """Which frames of the clip the `count` frames of a pathway's features stand for."""
    variant = model.variant
    if path == "slow" and variant.fast is not None:
        seen = slow_frame_indices(variant.clip.frames, variant.alpha, variant.slow_frames)
    else:
        seen = range(variant.clip.frames)
    pooled = len(seen) // count  # frames that a temporal pooling made one
    return np.array(seen[: count * pooled], float).reshape(count, pooled).mean(axis=1)


def _scaled(maps: np.ndarray) -> np.ndarray:
    highest = float(maps.max())
    return np.clip(maps / highest, 0, 1) if highest > 0 else np.zeros_like(maps)


def _in_float32(model: VideoClassifier) -> VideoClassifier:
    """The model, or a copy in float32: tf-keras-vis mixes NumPy with the features, and NumPy has no bfloat16."""
    config = model.get_config()
    policy = keras.dtype_policies.get(config["dtype"])
    if policy.compute_dtype == "float32":
        return model
    copy = type(model).from_config({**config, "dtype": "float32"})
    copy.set_weights(model.get_weights())
    return copy


def _tf_keras_vis() -> SimpleNamespace:
    """The classes of tf-keras-vis."""
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            "tf-keras-vis, which computes the maps, needs Keras on TensorFlow. Received: KERAS_BACKEND="
            f"{keras.backend.backend()}. Set KERAS_BACKEND=tensorflow."
        )
    try:
        with warnings.catch_warnings():
            # It takes `zoom` from a module that SciPy 2 will not have; pyproject.toml keeps SciPy below that.
            warnings.simplefilter("ignore", DeprecationWarning)
            from tf_keras_vis.gradcam import Gradcam
            from tf_keras_vis.gradcam_plus_plus import GradcamPlusPlus
            from tf_keras_vis.saliency import Saliency
    except ImportError as error:
        raise ImportError(
            f"Explanations need tf-keras-vis ({error}). Install it with: pip install 'kerasfast[explain]'"
        ) from error
    return SimpleNamespace(Gradcam=Gradcam, GradcamPlusPlus=GradcamPlusPlus, Saliency=Saliency)
