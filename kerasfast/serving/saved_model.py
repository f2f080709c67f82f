"""A model as a SavedModel that runs where neither kerasfast nor Keras is installed."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from kerasfast import __version__
from kerasfast.models.classifier import VideoClassifier
from kerasfast.serving.fold import fold_batch_norm
from kerasfast.serving.signatures import signatures
from kerasfast.train.operating.points import POINTS_FILE, OperatingPoints

PRECISIONS = ("float32",)
# Largest difference that the checked export may show, relative to a head's largest probability, since those of a fresh
# 400-way softmax are 0.0025 all. Sound ones reach 1e-6 on a CPU and about 1e-3 on a GPU that rounds products to TF32.
_TOLERANCE_CPU, _TOLERANCE_GPU = 1e-4, 1e-2


@dataclass(frozen=True)
class ExportReport:
    """What an export wrote.

    Attributes:
        path: The folder of the SavedModel.
        signatures: Names of its signatures.
        precision: In which its convolutions compute.
        folded: How many batch norms went into convolutions.
        bytes: Size on disk.
        seconds: How long the export took, the check included.
        largest_difference: Largest difference of a probability between the SavedModel, loaded again and asked
            through `serving_default`, and the Keras model (in that precision), on one clip of noise of the testing
            size.
    """

    path: Path
    signatures: tuple[str, ...]
    precision: str
    folded: int
    bytes: int
    seconds: float
    largest_difference: float

    def __str__(self) -> str:
        return (
            f"{self.path}: {', '.join(self.signatures)}; {self.precision}, {self.bytes / 1e6:.1f} MB, "
            f"{self.folded} batch norms folded, largest difference to the Keras model "
            f"{self.largest_difference:.1e}, {self.seconds:.1f} s"
        )


def export(
    model: VideoClassifier,
    path: str | os.PathLike[str],
    *,
    precision: str = "float32",
    operating_points: OperatingPoints | None = None,
) -> ExportReport:
    """Write a model as a SavedModel for TensorFlow Serving or plain TensorFlow.

    It has the signatures `serving_default` (uint8 `frames` `(batch, T, H, W, 3)`, RGB) and `jpeg_frames` (string
    `frames` `(batch, T)`, decoded, scaled and centre-cropped in the graph); both return
    `{head: float32 (batch, classes)}`. Batch norm is folded into the convolutions. Beside the graph lie
    `assets.extra/card.json` (frames, stride and frame rate of a clip, crop size, heads) and
    `assets.extra/labels/<head>.txt`, one class name a line, for heads with class names; with operating points
    `assets.extra/operating_points.json`, which `OperatingPoints.load` reads. They turn the scores of the views of a
    video, merged as their protocol says, into answers.

    The folder appears whole or not at all: it is written beside its place, loaded again, compared with the Keras
    model on a clip of noise, and then renamed.

    Args:
        model: A model of `kerasfast.load` or `kerasfast.build`; it is left as it is.
        path: The new folder, for TensorFlow Serving a version number such as `serving/slowfast/1`.
        precision: What the convolutions compute in: `float32`, whatever the model's own policy.
        operating_points: Thresholds, calibration and "no action" of this model, to lie beside the graph.

    Returns:
        What was written, how long it took and how near it is to the model.

    Raises:
        ValueError: `path` exists, is remote or cannot be made; the model is none of kerasfast or has no heads; an
            unknown precision; another backend than TensorFlow; the weights give values that are not finite; operating
            points of other heads or weights.

    >>> import tempfile, kerasfast
    >>> folder = tempfile.mkdtemp()
    >>> report = export(kerasfast.build("slow_nano", heads={"action": 5}), f"{folder}/1")
    >>> report.signatures
    ('serving_default', 'jpeg_frames')
    """
    started = time.perf_counter()
    path = _checked(model, path, precision)
    if operating_points is not None:
        operating_points.check(model)
    with _new_folder(path) as folder:
        reference = _in_precision(model, precision)
        network, folded = fold_batch_norm(reference)
        functions = signatures(network, model.variant)
        served = tf.Module()
        # What the functions read, and nothing else: the state of dropout's random numbers stays behind.
        used = {variable.ref(): variable for function in functions.values() for variable in function.variables}
        served.weights = list(used.values())
        tf.saved_model.save(served, str(folder), signatures=functions)
        _write_card(model, precision, folder / "assets.extra", operating_points)
        difference, relative = _largest_differences(reference, folder)
        tolerance = _TOLERANCE_GPU if tf.config.list_physical_devices("GPU") else _TOLERANCE_CPU
        if not relative <= tolerance:
            raise ValueError(
                f"The exported network must give the model's scores within {tolerance:g} of the largest. Received: a "
                f"difference of {relative:g} on a clip of noise; nothing was written to {path}. Check that the "
                "weights are finite."
            )
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return ExportReport(path, tuple(functions), precision, folded, size, time.perf_counter() - started, difference)


def _checked(model: VideoClassifier, path: str | os.PathLike[str], precision: str) -> Path:
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            f"A SavedModel is exported from Keras' TensorFlow backend. Received: {keras.backend.backend()}. Save the "
            "weights, set KERAS_BACKEND=tensorflow, load them and export."
        )
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}. Received: precision={precision!r}.")
    if not isinstance(model, VideoClassifier):
        raise ValueError(
            "export takes a model of kerasfast.load or kerasfast.build. "
            f"Received: {type(model).__module__}.{type(model).__qualname__}."
        )
    if not model.heads:
        raise ValueError("export takes a model with heads. Received: one with features_only=True; load it without.")
    for name, head in model.heads.items():
        if head.labels and any(len(label.splitlines()) != 1 for label in head.labels):
            raise ValueError(
                f"Class names are written one a line, so none may be empty or hold a line break. Received: head "
                f"{name!r} with such a label; rename it."
            )
    if "://" in str(path):
        raise ValueError(f"path must be a local folder. Received: path={str(path)!r}. Export locally, then copy it.")
    _refuse_existing(Path(path))
    return Path(path)


def _refuse_existing(path: Path) -> None:
    if os.path.lexists(path):
        raise ValueError(
            f"An export never replaces what is there. Received: path={str(path)!r}, which exists. Give a new path, "
            "such as the next version number, or remove it first."
        )


@contextmanager
def _new_folder(path: Path) -> Iterator[Path]:
    """A folder to write into, which becomes `path` when the block ends and vanishes when it fails."""
    made = [parent for parent in path.parents if not parent.exists()]
    scratch = None
    try:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Hidden and not a number, so that a server which watches the parent passes it by.
            scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        except OSError as error:
            raise ValueError(
                f"path must lie in a folder that can be written. Received: path={str(path)!r}; {error}."
            ) from error
        yield scratch / "model"
        _refuse_existing(path)
        (scratch / "model").rename(path)
        made = []
    finally:
        if scratch is not None:
            shutil.rmtree(scratch)
        for parent in made:
            if parent.is_dir() and not any(parent.iterdir()):
                parent.rmdir()


def _in_precision(model: VideoClassifier, precision: str) -> VideoClassifier:
    """The model, or one built again with its weights where it computes in another precision."""
    config = model.get_config()
    dtype = keras.dtype_policies.serialize(keras.dtype_policies.get(precision))
    if config["dtype"] == dtype:
        return model
    copy = type(model).from_config({**config, "dtype": dtype})
    copy.set_weights(model.get_weights())
    return copy


def _write_card(model: VideoClassifier, precision: str, folder: Path, points: OperatingPoints | None) -> None:
    """What a client needs to know; TensorFlow Serving leaves `assets.extra` alone."""
    heads = {}
    for name, head in model.heads.items():
        heads[name] = {"classes": head.classes, "activation": head.activation}
        if head.labels is not None:
            heads[name]["labels"] = f"labels/{name}.txt"
            (folder / "labels").mkdir(parents=True, exist_ok=True)
            (folder / "labels" / f"{name}.txt").write_text("".join(f"{label}\n" for label in head.labels), "utf-8")
    card = {
        "model": model.variant.name,
        "clip": dataclasses.asdict(model.clip),
        "crop_size": model.variant.test_crop_size,
        "heads": heads,
        "precision": precision,
        "kerasfast": __version__,
    }
    folder.mkdir(exist_ok=True)
    if points is not None:
        points.save(folder)
        card["operating_points"] = POINTS_FILE
    (folder / "card.json").write_text(json.dumps(card, indent=2) + "\n", "utf-8")


def _largest_differences(model: VideoClassifier, folder: Path) -> tuple[float, float]:
    """Of a probability, and of one as a share of the largest of its head."""
    side = model.variant.test_crop_size
    shape = (1, model.clip.frames, side, side, 3)
    frames = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    # Traced, a convolution takes a third of its eager time.
    expected = tf.function(lambda x: model(x, training=False), autograph=False)(tf.constant(frames))
    scores = tf.saved_model.load(str(folder)).signatures["serving_default"](frames=tf.constant(frames))
    differences = {name: np.max(np.abs(scores[name] - expected[name])) for name in model.heads}
    # np.max and not max: it keeps NaN.
    relative = [difference / np.max(expected[name]) for name, difference in differences.items()]
    return float(np.max([*differences.values()])), float(np.max(relative))
