"""Requests that TensorFlow Serving answers before it takes any other, so that the first of a client is not slow.

The file is a TFRecord of `tensorflow.serving.PredictionLog`. These messages belong to tensorflow-serving-api, which
an export shall not need; the four fields that a request has are written here by the rules of protocol buffers, and a
test reads them with that package's classes.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from kerasfast.models.variants import Variant
from kerasfast.serving.signatures import request_shape

WARMUP_FILE = "tf_serving_warmup_requests"  # the name that TensorFlow Serving looks for in assets.extra
GRAY = 128
# Field numbers of tensorflow_serving/apis: prediction_log.proto, predict.proto and model.proto.
_PREDICT_LOG, _REQUEST, _MODEL_SPEC, _SIGNATURE_NAME, _INPUTS, _KEY, _VALUE = 6, 1, 1, 3, 2, 1, 2


def write_warmup(folder: Path, variant: Variant, names: Iterable[str]) -> Path:
    """Write one request for each signature: one clip, one view, of the size of a testing crop.

    Args:
        folder: `assets.extra` of a SavedModel, which exists.
        variant: The network's row.
        names: Signatures.

    Returns:
        The file; it has about a kilobyte a request, whatever the size of a clip.
    """
    path = folder / WARMUP_FILE
    with tf.io.TFRecordWriter(str(path)) as writer:
        for name in names:
            writer.write(prediction_log(name, _frames(name, variant)))
    return path


def prediction_log(signature: str, frames: Any) -> bytes:
    """A `PredictionLog` with one request to a signature, whose input `frames` is a TensorProto."""
    spec = _field(_SIGNATURE_NAME, signature.encode())
    entry = _field(_KEY, b"frames") + _field(_VALUE, frames.SerializeToString())
    request = _field(_MODEL_SPEC, spec) + _field(_INPUTS, entry)
    return _field(_PREDICT_LOG, _field(_REQUEST, request))


def _frames(name: str, variant: Variant) -> Any:
    """Gray frames. A TensorProto repeats its last value up to its shape: six megabytes of pixels are one number."""
    side, expected = variant.test_crop_size, request_shape(name, variant)
    shape = expected.sizes(batch=1, views=1, H=side, W=side)
    if expected.dtype == "string":
        picture = tf.io.encode_jpeg(np.full((side, side, 3), GRAY, np.uint8))
        return tf.make_tensor_proto(picture.numpy(), shape=shape)
    return tf.make_tensor_proto(GRAY, expected.dtype, shape)


def _field(number: int, payload: bytes) -> bytes:
    """A field of text, bytes or a message: its key, its length and its bytes."""
    return _varint(number << 3 | 2) + _varint(len(payload)) + payload


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; all bytes but the last have their highest bit set."""
    result = bytearray()
    while value > 0x7F:
        result.append(value & 0x7F | 0x80)
        value >>= 7
    result.append(value)
    return bytes(result)
