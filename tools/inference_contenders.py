"""The contenders of bench_inference.py: `python tools/inference_contenders.py NAME MODEL WORK SIZE` takes its turns.

Each is given a view of noise. Those of kerasfast take uint8 frames, and normalise and pack the pathways themselves;
PyTorchVideo's network, and OpenVINO and onnxruntime with it, get float32 pathways that are normalised already.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from kerasfast.models.variants import variant
from kerasfast.serving.turns import take_turns

Prepared = tuple[Callable[[], object], dict[str, Any]]
BATCH, CLASSES = 1, 400
PLAIN = "float32_plain"  # the export without Winograd's algorithm


@dataclass(frozen=True)
class Contender:
    """A contender.

    Attributes:
        title: As the page calls it.
        precision: `float32` or `bfloat16`.
        family: Whose it is.
        make: From the name of the architecture, the folder of artefacts and the side of a view.
        needs: The artefact that has to be there.
    """

    title: str
    precision: str
    family: str
    make: Callable[[str, Path, int], Prepared]
    needs: str = ""


def frames_of(name: str, size: int) -> Any:
    """A view of noise, uint8 `(1, T, size, size, 3)`."""
    import numpy as np

    shape = (BATCH, variant(name).clip.frames, size, size, 3)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def _served(kind: str) -> Callable[[str, Path, int], Prepared]:
    def make(name: str, work: Path, size: int) -> Prepared:
        import tensorflow as tf

        frames = tf.constant(frames_of(name, size))
        function = tf.saved_model.load(str(work / kind / "1")).signatures["serving_default"]
        return lambda: [scores.numpy() for scores in function(frames=frames).values()], {}

    return make


def _keras(name: str, work: Path, size: int) -> Prepared:
    import tensorflow as tf

    from kerasfast.models.classifier import build

    frames, model = tf.constant(frames_of(name, size)), build(name)
    function = tf.function(lambda x: model(x, training=False), autograph=False)
    return lambda: [scores.numpy() for scores in function(frames).values()], {"parameters": _trained(model)}


def _trained(model: Any) -> int:
    return sum(weight.shape.num_elements() for weight in (w.value for w in model.trainable_weights))


def _torch(mode: str) -> Callable[[str, Path, int], Prepared]:
    def make(name: str, work: Path, size: int) -> Prepared:
        from torch_networks import inference

        return inference(mode, variant(name), BATCH, size)

    return make


def _openvino(hint: str, source: str) -> Callable[[str, Path, int], Prepared]:
    def make(name: str, work: Path, size: int) -> Prepared:
        import openvino as ov

        if source == "kerasfast":
            clip = [frames_of(name, size)]
            network = ov.convert_model(str(work / PLAIN / "1"), input=[clip[0].shape])
        else:
            from torch_networks import network as torch_network
            from torch_networks import pathways

            tensors = pathways(variant(name), BATCH, size)
            clip = [tensor.numpy() for tensor in tensors]
            shapes = [tensor.shape for tensor in clip]
            network = ov.convert_model(torch_network(variant(name), size), example_input=tuple(tensors), input=shapes)
        options = {"INFERENCE_PRECISION_HINT": hint, "PERFORMANCE_HINT": "LATENCY"}
        compiled = ov.Core().compile_model(network, "CPU", options)
        request = compiled.create_infer_request()
        given = str(compiled.get_property("INFERENCE_PRECISION_HINT"))
        return lambda: request.infer(clip), {"precision": given}

    return make


def _onnxruntime(name: str, work: Path, size: int) -> Prepared:
    import onnxruntime
    from torch_networks import pathways

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = len(os.sched_getaffinity(0))
    # Its threads would wait for the next call by computing, in the turns of the others.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(str(work / "onnx" / "torch.onnx"), options, ["CPUExecutionProvider"])
    names = [given.name for given in session.get_inputs()]
    clip = dict(zip(names, (path.numpy() for path in pathways(variant(name), BATCH, size)), strict=True))
    return lambda: session.run(None, clip), {}


CONTENDERS: dict[str, Contender] = {
    "kerasfast_float32": Contender("kerasfast, exported", "float32", "kerasfast", _served("float32"), "float32"),
    "kerasfast_float32_plain": Contender(
        "kerasfast, direct export (winograd=False)", "float32", "kerasfast", _served(PLAIN), PLAIN
    ),
    "kerasfast_bfloat16": Contender("kerasfast, exported", "bfloat16", "kerasfast", _served("bfloat16"), "bfloat16"),
    "keras_float32": Contender("Keras model in a tf.function, not folded", "float32", "keras", _keras),
    "torch_eager": Contender("PyTorchVideo, eager", "float32", "torch", _torch("eager")),
    "torch_channels_last": Contender("PyTorchVideo, channels_last_3d", "float32", "torch", _torch("channels_last")),
    "torch_frozen": Contender("PyTorchVideo, TorchScript frozen", "float32", "torch", _torch("frozen")),
    "torch_frozen_channels_last": Contender(
        "PyTorchVideo, TorchScript frozen, channels_last_3d", "float32", "torch", _torch("frozen_channels_last")
    ),
    "torch_compiled": Contender(
        "PyTorchVideo, torch.compile in channels_last_3d", "float32", "torch", _torch("compiled")
    ),
    "torch_bfloat16_autocast": Contender("PyTorchVideo, autocast", "bfloat16", "torch", _torch("bfloat16_autocast")),
    "torch_bfloat16_autocast_channels_last": Contender(
        "PyTorchVideo, autocast in channels_last_3d", "bfloat16", "torch", _torch("bfloat16_autocast_channels_last")
    ),
    "torch_bfloat16_frozen": Contender(
        "PyTorchVideo, pure, TorchScript frozen", "bfloat16", "torch", _torch("bfloat16_frozen")
    ),
    "torch_bfloat16_frozen_channels_last": Contender(
        "PyTorchVideo, pure, TorchScript frozen, channels_last_3d",
        "bfloat16",
        "torch",
        _torch("bfloat16_frozen_channels_last"),
    ),
    "openvino_float32": Contender(
        "OpenVINO of kerasfast's direct export",
        "float32",
        "openvino",
        _openvino("f32", "kerasfast"),
        PLAIN,
    ),
    "openvino_bfloat16": Contender(
        "OpenVINO of kerasfast's direct export",
        "bfloat16",
        "openvino",
        _openvino("bf16", "kerasfast"),
        PLAIN,
    ),
    "openvino_torch_float32": Contender(
        "OpenVINO of PyTorchVideo's network", "float32", "openvino", _openvino("f32", "torch")
    ),
    "openvino_torch_bfloat16": Contender(
        "OpenVINO of PyTorchVideo's network", "bfloat16", "openvino", _openvino("bf16", "torch")
    ),
    "onnxruntime_float32": Contender(
        "onnxruntime of PyTorchVideo's network", "float32", "onnxruntime", _onnxruntime, "onnx"
    ),
}


def write_artefact(kind: str, name: str, work: Path, size: int) -> None:
    """Make what contenders need: an export in a precision, or PyTorchVideo's network as ONNX."""
    if kind == "onnx":
        import torch
        from torch_networks import network, pathways

        (work / "onnx").mkdir(parents=True, exist_ok=True)
        clip = tuple(pathways(variant(name), BATCH, size))
        torch.onnx.export(network(variant(name), size).eval(), clip, str(work / "onnx" / "torch.onnx"), dynamo=True)
        return
    from kerasfast.models.classifier import SMALLEST_SIDE, build
    from kerasfast.serving.saved_model import export

    precision = kind.removesuffix("_plain")
    # An export chooses its convolutions for the size of testing and checks itself with clips of it. In bfloat16,
    # without kernels for it, such a check takes too long: there the smallest do, and frames of any size are served.
    side = size if precision == "float32" else SMALLEST_SIDE
    model = build(variant(name, test_crop_size=side))
    export(model, work / kind / "1", precision=precision, winograd=False if kind == PLAIN else None)


def main() -> None:
    what, name, folder, size = sys.argv[1:]
    if what.startswith("make="):
        write_artefact(what.removeprefix("make="), name, Path(folder), int(size))
    else:
        take_turns(lambda: CONTENDERS[what].make(name, Path(folder), int(size)))


if __name__ == "__main__":
    main()
