"""A model as a SavedModel that runs where neither kerasfast nor Keras is installed."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import tensorflow as tf

from kerasfast.models.classifier import VideoClassifier
from kerasfast.serving.card import check_labels, write_card
from kerasfast.serving.comparison import largest_differences, served_answers, tolerance_of
from kerasfast.serving.fold import fold_batch_norm
from kerasfast.serving.new_folder import new_folder, refuse_existing, writing
from kerasfast.serving.processor import on_gpu
from kerasfast.serving.signatures import SIGNATURES, with_features
from kerasfast.serving.signatures import signatures as traced_signatures
from kerasfast.serving.warmup import write_warmup
from kerasfast.serving.winograd import with_winograd
from kerasfast.train.operating.points import OperatingPoints
from kerasfast.train.views import merge_rules

# Name -> Keras policy of the model whose convolutions compute in it.
PRECISIONS = {"float32": "float32", "bfloat16": "mixed_bfloat16"}


@dataclass(frozen=True)
class ExportReport:
    """What an export wrote.

    Attributes:
        path: The folder of the SavedModel.
        signatures: Names of its signatures.
        precision: In which its convolutions compute.
        folded: How many batch norms went into convolutions.
        winograd: How many convolutions compute by Winograd's algorithm.
        bytes: Size on disk.
        seconds: How long the export took, the check included.
        largest_difference: Largest difference of a probability between the SavedModel, loaded again and asked
            through each signature, and the Keras model in that precision, whose batch norms are not folded and whose
            convolutions are direct, on one clip of noise of the testing size.
        float32_difference: The same to the Keras model in float32: with `bfloat16` what that precision costs.
    """

    path: Path
    signatures: tuple[str, ...]
    precision: str
    folded: int
    winograd: int
    bytes: int
    seconds: float
    largest_difference: float
    float32_difference: float

    def __str__(self) -> str:
        in_float32 = "" if self.precision == "float32" else f" and {self.float32_difference:.1e} to it in float32"
        winograd = f", {self.winograd} convolutions by Winograd" if self.winograd else ""
        return (
            f"{self.path}: signatures {', '.join(self.signatures)}; {self.precision}, {self.bytes / 1e6:.1f} MB, "
            f"{self.folded} batch norms folded{winograd}; largest difference to the Keras model "
            f"{self.largest_difference:.1e}{in_float32}; {self.seconds:.1f} s"
        )


def export(
    model: VideoClassifier,
    path: str | os.PathLike[str],
    *,
    precision: str = "float32",
    signatures: Sequence[str] = SIGNATURES,
    merge: str | None = None,
    operating_points: OperatingPoints | None = None,
    winograd: bool | None = None,
) -> ExportReport:
    """Write a model as a SavedModel for TensorFlow Serving or plain TensorFlow.

    It answers to the signatures of `kerasfast.serving.signatures`: `serving_default`, `jpeg_frames`, `views` and
    `features` (`pooled`, and `embedding` if the model has one). Batch norm is folded into the convolutions, and in
    float32 many of those compute by Winograd's algorithm. Beside the graph, in `assets.extra`, lie

    - `card.json`: frames, stride and frame rate of a clip, crop size, heads, signatures with their shapes, precision;
    - `labels/<head>.txt`: one class name a line, for heads with class names;
    - `operating_points.json`, with operating points: thresholds, calibration and "no action". They turn the scores of
      the views of a video, merged as their protocol says, into answers. `OperatingPoints.load` reads it;
    - `tf_serving_warmup_requests`: one request for each signature, which TensorFlow Serving answers when it starts.

    Sizes of requests: a clip of 32 frames of 256 x 256 pixels is 6.3 MB for `serving_default`, thirty views are 189 MB,
    and as JPEG files a clip is about 0.6 MB. gRPC refuses messages of more than 4 MB that it *receives* unless its
    limit is raised. TensorFlow Serving raises that of the server, and the answers here are a few kilobytes; a server in
    Python has to set `grpc.max_receive_message_length`, and no message exceeds 2 GB. REST sends numbers as text: random
    pixels take 4.2 bytes each from `kerasfast.serving.client`, 5.2 with a blank after each comma, as `json.dumps`
    writes them. JPEG files take a third more than over gRPC.

    The folder appears whole or not at all: it is written beside its place, loaded again, compared with the Keras
    model on a clip of noise, and then renamed.

    Args:
        model: A model of `kerasfast.load` or `kerasfast.build`; it is left as it is.
        path: The new folder, for TensorFlow Serving a version number such as `serving/slowfast/1`.
        precision: What the convolutions compute in, whatever the model's own policy: `float32`, or `bfloat16`, which is
            faster on processors with AVX512-BF16 or AMX and slower on others. Batch norm is folded in float32 before
            the weights are rounded, and heads compute in float32.
        signatures: Which of the four to write.
        merge: Rule by which `views` merges scores, `max` or `mean`, for all heads. None: that of the operating points,
            else `max` for sigmoid heads and `mean` for softmax heads, as `kerasfast.evaluate` does.
        operating_points: Thresholds, calibration and "no action" of this model, to lie beside the graph.
        winograd: Whether convolutions compute by Winograd's algorithm (`kerasfast.serving.winograd`) that are then
            faster on a CPU at the testing size. Their kernels are stored two or four times as large, which doubles the
            file and the weights in memory of a ResNet-50. For float32 alone. None: in float32, unless TensorFlow sees
            a GPU here; False for an export that a GPU shall serve or that is converted to another runtime.

    Returns:
        What was written, how long it took and how near it is to the model.

    Raises:
        ValueError: `path` exists, is remote or cannot be made; the model is none of kerasfast or has no heads; an
            unknown precision, signature or rule; another backend than TensorFlow; the weights give values that are not
            finite; operating points of other heads or weights, or for another rule than `merge`.
        OSError: The disk is full, or a file cannot be written.

    >>> import tempfile, kerasfast
    >>> folder = tempfile.mkdtemp()
    >>> report = export(kerasfast.build("slow_nano", heads={"action": 5}), f"{folder}/1")
    >>> report.signatures
    ('serving_default', 'jpeg_frames', 'views', 'features')
    """
    started = time.perf_counter()
    path = _checked(model, path, precision, signatures)
    if winograd and precision != "float32":
        raise ValueError(
            "Winograd's algorithm computes in float32 alone. Received: winograd=True, "
            f"precision={precision!r}. Leave one of them out."
        )
    if winograd is None:
        winograd = precision == "float32" and not on_gpu()
    rules = rules_of(model, merge, operating_points)
    if operating_points is not None:
        operating_points.check(model)
    with new_folder(path) as folder:
        reference = in_precision(model, precision)
        network, folded = fold_batch_norm(with_features(reference))
        by_winograd = 0
        if winograd:
            network, by_winograd = with_winograd(network, model.variant.test_crop_size)
        functions = traced_signatures(network, model.variant, rules, signatures)
        served = tf.Module()
        # What the functions read, and nothing else: the state of dropout's random numbers stays behind.
        used = {variable.ref(): variable for function in functions.values() for variable in function.variables}
        served.weights = list(used.values())
        with writing(path):
            tf.saved_model.save(served, str(folder), signatures=functions)
            extra = folder / "assets.extra"
            extra.mkdir()
            write_card(
                extra,
                model,
                precision=precision,
                functions=functions,
                rules=rules,
                points=operating_points,
                winograd=by_winograd,
            )
            write_warmup(extra, model.variant, functions)
        answers = served_answers(folder, functions, model)
        difference, relative = largest_differences(reference, answers)
        tolerance = tolerance_of(precision)
        if not relative <= tolerance:
            raise ValueError(
                f"The exported network must give the model's scores within {tolerance:g} of the largest. Received: a "
                f"difference of {relative:g} on a clip of noise; nothing was written to {path}. Check that the "
                f"weights are finite{', and try winograd=False' if by_winograd else ''}."
            )
        exact = in_precision(model, "float32")
        float32_difference = difference if exact is reference else largest_differences(exact, answers)[0]
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    seconds = time.perf_counter() - started
    return ExportReport(
        path, tuple(functions), precision, folded, by_winograd, size, seconds, difference, float32_difference
    )


def _checked(model: VideoClassifier, path: str | os.PathLike[str], precision: str, names: Sequence[str]) -> Path:
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}. Received: precision={precision!r}.")
    if isinstance(names, str) or not names or not set(names) <= set(SIGNATURES) or len(set(names)) < len(names):
        raise ValueError(
            f"signatures must be some of {', '.join(SIGNATURES)}, each once. Received: signatures={names!r}."
        )
    return check_model(model, path)


def check_model(model: VideoClassifier, path: str | os.PathLike[str]) -> Path:
    """Refuse what no export takes: other models, and paths that exist or are not on this machine.

    Returns:
        The path.

    Raises:
        ValueError: It is such a model or path, or the backend is not TensorFlow.
    """
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            f"A SavedModel is exported from Keras' TensorFlow backend. Received: {keras.backend.backend()}. Save the "
            "weights, set KERAS_BACKEND=tensorflow, load them and export."
        )
    if not isinstance(model, VideoClassifier):
        raise ValueError(
            "export takes a model of kerasfast.load or kerasfast.build. "
            f"Received: {type(model).__module__}.{type(model).__qualname__}."
        )
    if not model.heads:
        raise ValueError("export takes a model with heads. Received: one with features_only=True; load it without.")
    check_labels(model)
    if "://" in str(path):
        raise ValueError(f"path must be a local folder. Received: path={str(path)!r}. Export locally, then copy it.")
    refuse_existing(Path(path))
    return Path(path)


def rules_of(model: VideoClassifier, merge: str | None, points: OperatingPoints | None) -> dict[str, str]:
    """How the views of a video are merged, by head: thresholds for their highest score say nothing of their mean."""
    rules = merge_rules(model.heads, merge)
    if points is None or "merge" not in points.protocol:
        return rules
    fitted = points.protocol["merge"]
    by_head = {name: fitted if isinstance(fitted, str) else fitted[name] for name in points.heads}
    if merge is not None and set(by_head.values()) != {merge}:
        raise ValueError(
            "Views must be merged as they were when the operating points were fitted. Received: "
            f"merge={merge!r}, operating points for {fitted!r}. Leave merge out, or calibrate with that rule."
        )
    return rules | by_head


def in_precision(model: VideoClassifier, precision: str) -> VideoClassifier:
    """The model, or one built again with its weights where it computes in another precision."""
    config = model.get_config()
    dtype = keras.dtype_policies.serialize(keras.dtype_policies.get(PRECISIONS[precision]))
    if config["dtype"] == dtype:
        return model
    copy = type(model).from_config({**config, "dtype": dtype})
    copy.set_weights(model.get_weights())
    return copy
