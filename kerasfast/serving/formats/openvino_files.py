"""OpenVINO: its own reader of SavedModels, its intermediate representation, and int8 by NNCF."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from kerasfast.serving.formats.network import as_saved_model
from kerasfast.serving.formats.packages import need

FILES = ("model.xml", "model.bin")  # the graph, its numbers


def check(int8: bool) -> None:
    """Refuse, before any work, to go on without the packages."""
    need("openvino", "openvino", *(["nncf"] if int8 else []))


def write(function: Any, folder: Path, clips: np.ndarray | None) -> None:
    """Convert a function of `traced_network` into `folder/model.xml` and `model.bin`.

    Batch, height and width stay open.

    Args:
        function: The function.
        folder: Where to write.
        clips: uint8 `(N, T, H, W, 3)` to calibrate int8 with; None for float32.
    """
    (openvino,) = need("openvino", "openvino")
    # Read by the runtime itself: openvino.convert_model would do the same and report its use to Intel.
    with as_saved_model(function, folder) as saved:
        model = openvino.Core().read_model(saved)
    if clips is not None:
        (nncf,) = need("openvino", "nncf")
        model = nncf.quantize(model, nncf.Dataset([clip[None] for clip in clips]), subset_size=len(clips))
    # Left to itself save_model rounds the numbers to float16.
    openvino.save_model(model, str(folder / FILES[0]), compress_to_fp16=False)


def load(folder: Path, threads: int | None = None) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """The network in OpenVINO on the CPU, in float32 where it is not int8: from uint8 frames to scores by head."""
    (openvino,) = need("openvino", "openvino")
    # On processors with bfloat16 the runtime would take that by itself.
    settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    if threads is not None:
        settings["INFERENCE_NUM_THREADS"] = threads
    compiled = openvino.Core().compile_model(str(folder / FILES[0]), "CPU", settings)

    def run(frames: np.ndarray) -> dict[str, np.ndarray]:
        found = compiled(np.ascontiguousarray(frames))
        return {output.get_any_name(): np.array(found[output]) for output in compiled.outputs}

    return run
