"""ONNX: written by tf2onnx, run by onnxruntime."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from kerasfast.serving.formats.packages import need

FILES = ("model.onnx",)
OPSET = 18  # of ONNX 1.13 (December 2022), the latest that tf2onnx 1.17 knows
AXES = ("batch", "T", "H", "W")


def check(int8: bool) -> None:
    """Refuse, before any work, to go on without the packages."""
    need("onnx", "tf2onnx", "onnx", "onnxruntime")


def write(function: Any, folder: Path, clips: np.ndarray | None) -> None:
    """Convert a function of `traced_network` into `folder/model.onnx`; batch, height and width stay open.

    There is no int8 here: `clips` is None.
    """
    converter, onnx = need("onnx", "tf2onnx", "onnx")
    model, _ = converter.convert.from_function(function, input_signature=function.input_signature, opset=OPSET)
    for tensor in (*model.graph.input, *model.graph.output):
        for axis, name in zip(tensor.type.tensor_type.shape.dim, AXES, strict=False):
            if not axis.dim_value:  # open, under a name such as unk__17
                axis.dim_param = name
    onnx.checker.check_model(model)
    onnx.save_model(model, str(folder / FILES[0]))


def load(folder: Path, threads: int | None = None) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """The network in onnxruntime on the CPU: from uint8 frames to scores by head."""
    (runtime,) = need("onnx", "onnxruntime")
    options = runtime.SessionOptions()
    if threads is not None:
        options.intra_op_num_threads = threads
    session = runtime.InferenceSession(str(folder / FILES[0]), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda frames: dict(zip(names, session.run(names, {"frames": np.asarray(frames)}), strict=True))
