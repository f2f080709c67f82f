"""A model in the format of another runtime, checked in that runtime."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import tensorflow as tf

from kerasfast.models.classifier import VideoClassifier
from kerasfast.serving.card import CARD_FILE, write_card
from kerasfast.serving.formats import litert_file, onnx_file, openvino_files
from kerasfast.serving.formats.calibration import calibration_clips
from kerasfast.serving.formats.network import traced_network
from kerasfast.serving.new_folder import new_folder, writing
from kerasfast.serving.saved_model import check_model, in_precision, rules_of
from kerasfast.train.operating.points import OperatingPoints

FORMATS: dict[str, ModuleType] = {"onnx": onnx_file, "openvino": openvino_files, "litert": litert_file}
WITH_INT8 = ("openvino", "litert")
# As of a SavedModel: relative to a head's largest probability, since those of a fresh 400-way softmax are 0.0025 all.
_TOLERANCE = 1e-4
_COMPARED_CLIPS = 8  # of those that int8 was calibrated with


@dataclass(frozen=True)
class FormatReport:
    """What an export to another runtime wrote.

    Attributes:
        path: The folder.
        format: `onnx`, `openvino` or `litert`.
        precision: `float32` or `int8`.
        folded: How many batch norms went into convolutions.
        bytes: Size of the network on disk.
        seconds: How long the export took, the check included.
        largest_difference: Largest difference of a probability between the network in its runtime and the Keras model
            in float32: on one clip of noise of the testing size, in int8 on clips of the calibration, since the
            ranges of features on noise are none that were calibrated.
    """

    path: Path
    format: str
    precision: str
    folded: int
    bytes: int
    seconds: float
    largest_difference: float

    def __str__(self) -> str:
        return (
            f"{self.path}: {self.format}, {self.precision}, {self.bytes / 1e6:.1f} MB, {self.folded} batch norms "
            f"folded; largest difference to the Keras model {self.largest_difference:.1e}; {self.seconds:.1f} s"
        )


def export_format(
    model: VideoClassifier,
    path: str | os.PathLike[str],
    format: str,
    *,
    quantize: str | None = None,
    calibration: str | os.PathLike[str] | np.ndarray | None = None,
    operating_points: OperatingPoints | None = None,
) -> FormatReport:
    """Write a model for another runtime than TensorFlow.

    Each takes `frames`, uint8 `(batch, T, H, W, 3)`, RGB, and gives `{head: float32 (batch, classes)}`; normalisation
    and the frames of the Slow pathway are inside. Batch norm is folded into the convolutions.

    | format | files | runtime | open axes | int8 |
    |---|---|---|---|---|
    | `onnx` | `model.onnx` (opset 18) | onnxruntime | batch, H, W | no |
    | `openvino` | `model.xml`, `model.bin` | openvino | batch, H, W | by NNCF |
    | `litert` | `model.tflite` | ai-edge-litert | batch | by TensorFlow's converter |

    LiteRT has no kernel that pools volumes, and none in int8 that convolves them. Its network convolves and pools
    pictures instead, with the same result; height and width are fixed to the testing size.

    Beside the network lie `card.json` (frames, stride and frame rate of a clip, crop size, heads),
    `labels/<head>.txt` and, with operating points, `operating_points.json`, as beside a SavedModel.

    The folder appears whole or not at all: it is written beside its place, loaded in its runtime, compared with the
    Keras model, and then renamed.

    Args:
        model: A model of `kerasfast.load` or `kerasfast.build`; it is left as it is.
        path: The new folder.
        format: `onnx`, `openvino` or `litert`. SavedModels are what `kerasfast.export` writes.
        quantize: None for float32, whatever the model's own policy, or `int8`: kernels and features in 8 bits.
        calibration: For int8, clips that show the ranges of features: the folder of records, of which one clip of
            each of 64 videos of the training split is taken, or uint8 `(N, T, H, W, 3)`, for `litert` of the testing
            size.
        operating_points: Thresholds, calibration and "no action" of this model, to lie beside the network.

    Returns:
        What was written, how long it took and how near it is to the model.

    Raises:
        ValueError: `path` exists, is remote, has the suffix of a file or cannot be made; the model is none of
            kerasfast or has no heads; an unknown format, or one without int8; a package is missing; int8 without
            calibration, or the reverse; clips of another length or size; the converter has no such operation; scores
            that differ from the model's by more than 1e-4 of the largest, in int8 that are not finite.
        DataError: Records that are missing, damaged or of other clips.
        OSError: The disk is full, or a file cannot be written.
    """
    started = time.perf_counter()
    path = _checked(model, path, format, quantize, calibration)
    if operating_points is not None:
        operating_points.check(model)
    reference = in_precision(model, "float32")
    side = model.variant.test_crop_size if format == "litert" else None
    clips = None if calibration is None else calibration_clips(reference, calibration, side)
    function, folded = traced_network(reference, side=side, images=format == "litert")
    runtime = FORMATS[format]
    precision = quantize or "float32"
    with new_folder(path) as folder:
        with writing(path):
            folder.mkdir()
            runtime.write(function, folder, clips)
            size = sum((folder / name).stat().st_size for name in runtime.FILES)
            rules = rules_of(model, None, operating_points)
            write_card(folder, model, precision=precision, functions={}, rules=rules, points=operating_points)
            _add_to_card(folder, format, side)
        difference = _difference(reference, runtime.load(folder), clips, path)
    return FormatReport(path, format, precision, folded, size, time.perf_counter() - started, difference)


def load_format(
    path: str | os.PathLike[str], threads: int | None = None
) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """A network that `export_format` wrote, in its runtime on the CPU.

    Args:
        path: The folder.
        threads: Threads that it may use; None leaves them to the runtime.

    Returns:
        A function of uint8 frames `(batch, T, H, W, 3)` that gives `{head: float32 (batch, classes)}`.

    Raises:
        ValueError: No such folder, or its runtime is not installed.
    """
    card = Path(path) / CARD_FILE
    found = json.loads(card.read_text("utf-8")).get("format") if card.is_file() else None
    if found not in FORMATS:
        raise ValueError(
            f"load_format takes a folder that export_format wrote. Received: path={str(path)!r}, which has no "
            f"{CARD_FILE} that names one of {', '.join(FORMATS)}."
        )
    return FORMATS[found].load(Path(path), threads)


def _checked(
    model: VideoClassifier, path: str | os.PathLike[str], format: str, quantize: str | None, calibration: object
) -> Path:
    if format not in FORMATS:
        raise ValueError(
            f"format must be one of {', '.join(FORMATS)}. Received: format={format!r}. SavedModels are written by "
            "kerasfast.export."
        )
    if quantize not in (None, "int8"):
        raise ValueError(f"quantize must be None or 'int8'. Received: quantize={quantize!r}.")
    if quantize and format not in WITH_INT8:
        raise ValueError(
            f"int8 is written for {' and '.join(WITH_INT8)}. Received: format={format!r}, quantize={quantize!r}."
        )
    if (quantize is None) != (calibration is None):
        raise ValueError(
            "int8 needs calibration clips, and nothing else takes any. Received: "
            f"quantize={quantize!r}, calibration={'None' if calibration is None else 'given'}. Give the folder of "
            "records with a training split as calibration together with quantize='int8'."
        )
    if Path(path).suffix in (".onnx", ".xml", ".bin", ".tflite"):
        raise ValueError(
            f"path is the folder to make; the network in it is {FORMATS[format].FILES[0]}. "
            f"Received: path={str(path)!r}. Leave the suffix out."
        )
    path = check_model(model, path)
    FORMATS[format].check(quantize is not None)
    return path


def _add_to_card(folder: Path, format: str, side: int | None) -> None:
    card = json.loads((folder / CARD_FILE).read_text("utf-8"))
    axes = ["batch", card["clip"]["frames"], *(("H", "W") if side is None else (side, side)), 3]
    del card["signatures"]  # of a SavedModel
    card |= {
        "format": format,
        "files": list(FORMATS[format].FILES),
        "inputs": {"frames": {"dtype": "uint8", "axes": axes}},
        "outputs": {
            name: {"dtype": "float32", "axes": ["batch", head["classes"]]} for name, head in card["heads"].items()
        },
    }
    (folder / CARD_FILE).write_text(json.dumps(card, indent=2) + "\n", "utf-8")


def _difference(
    model: VideoClassifier, run: Callable[[np.ndarray], dict[str, np.ndarray]], clips: np.ndarray | None, path: Path
) -> float:
    """Largest difference of a probability; refuses one above the tolerance of float32."""
    side = model.variant.test_crop_size
    if clips is None:
        shape = (1, model.clip.frames, side, side, 3)
        compared = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    else:
        compared = clips[:_COMPARED_CLIPS]
    # Traced, a convolution takes a third of its eager time.
    network = tf.function(lambda x: model(x, training=False), autograph=False)
    differences, relative = [], []
    for clip in compared:
        with tf.device("CPU"):  # where the runtime is; a GPU may round products to TF32
            expected = network(tf.constant(clip[None]))
        found = run(clip[None])
        for name in model.heads:
            differences.append(np.max(np.abs(found[name] - expected[name])))
            relative.append(differences[-1] / np.max(expected[name]))
    limit = _TOLERANCE if clips is None else np.inf
    # np.max and not max: it keeps NaN.
    if not (np.isfinite(np.max(relative)) and np.max(relative) <= limit):
        raise ValueError(
            f"The converted network must give the model's scores within {limit:g} of the largest. Received: a "
            f"difference of {np.max(relative):g}; nothing was written to {path}. Check that the weights are finite."
        )
    return float(np.max(differences))
