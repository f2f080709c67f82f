"""LiteRT, once TensorFlow Lite: TensorFlow's converter, and the interpreter of ai-edge-litert."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from kerasfast.serving.formats.network import as_saved_model
from kerasfast.serving.formats.packages import need

FILES = ("model.tflite",)
SIGNATURE = "serving_default"


def check(int8: bool) -> None:
    """Refuse, before any work, to go on without the packages."""
    need("litert", "ai_edge_litert.interpreter")


def write(function: Any, folder: Path, clips: np.ndarray | None) -> None:
    """Convert a function of `traced_network` into `folder/model.tflite`.

    The batch stays open; height and width are those of the function.

    Args:
        function: The function, of a network that convolves and pools pictures.
        folder: Where to write.
        clips: uint8 `(N, T, H, W, 3)` to calibrate int8 with; None for float32.
    """

    def calibration() -> Iterator[dict[str, np.ndarray]]:
        for clip in () if clips is None else clips:
            yield {"frames": clip[None]}

    with as_saved_model(function, folder) as saved, warnings.catch_warnings():
        # The converter asks for ranges of the frames, which are bytes already, and calibrates with its own interpreter.
        warnings.filterwarnings("ignore", "Statistics for quantized inputs", UserWarning)
        warnings.filterwarnings("ignore", r"\s*Warning: tf\.lite\.Interpreter is deprecated", UserWarning)
        converter = tf.lite.TFLiteConverter.from_saved_model(saved, signature_keys=[SIGNATURE])
        if clips is not None:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = calibration
        (folder / FILES[0]).write_bytes(converter.convert())


def load(folder: Path, threads: int | None = None) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """The network in LiteRT on the CPU: from uint8 frames to scores by head."""
    (litert,) = need("litert", "ai_edge_litert.interpreter")
    runner = litert.Interpreter(model_path=str(folder / FILES[0]), num_threads=threads).get_signature_runner(SIGNATURE)
    return lambda frames: runner(frames=np.asarray(frames))
