"""A training step, by whom: `python tools/training_contenders.py NAME MODEL BATCH SIZE` takes its turns.

The same clips of noise, crossentropy over 400 classes, and stochastic gradient descent with momentum for all. Of each
process `start_mib` is the memory with its library imported and the clips made, before there is a network: what stands
above it at the peak is the network with its optimizer, gradients and activations.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from kerasfast.models.variants import variant
from kerasfast.serving.turns import memory_mib, take_turns

Prepared = tuple[Callable[[], object], dict[str, Any]]
CLASSES, RATE, MOMENTUM = 400, 0.01, 0.9


@dataclass(frozen=True)
class Contender:
    """A contender: how the page calls it, its precision, whose it is, and what makes it from name, batch and side."""

    title: str
    precision: str
    family: str
    make: Callable[[str, int, int], Prepared]


def _labels(batch: int) -> Any:
    import numpy as np

    return np.arange(batch) * 7 % CLASSES


def _keras(dtype: str, **options: Any) -> Callable[[str, int, int], Prepared]:
    def make(name: str, batch: int, size: int) -> Prepared:
        import keras
        import numpy as np
        import tensorflow as tf

        from kerasfast.registry import load

        shape = (batch, variant(name).clip.frames, size, size, 3)
        frames = tf.constant(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))
        labels = tf.constant(np.eye(CLASSES, dtype="float32")[_labels(batch)])
        start = memory_mib("VmRSS")
        if missing := set(options) - set(inspect.signature(load).parameters):
            raise ValueError(f"kerasfast.load takes no {', '.join(missing)}")
        model = load(name, weights=False, dtype=dtype, **options)
        model.compile(
            optimizer=keras.optimizers.SGD(RATE, momentum=MOMENTUM), loss="categorical_crossentropy", jit_compile=False
        )
        model.optimizer.build(model.trainable_variables)
        return lambda: model.train_on_batch(frames, labels), {"start_mib": start}

    return make


def _torch(autocast: bool, channels_last: bool) -> Callable[[str, int, int], Prepared]:
    def make(name: str, batch: int, size: int) -> Prepared:
        import torch
        from torch_networks import network, parameters, pathways

        torch.set_num_threads(len(os.sched_getaffinity(0)))
        layout = torch.channels_last_3d if channels_last else torch.contiguous_format
        clip = [path.contiguous(memory_format=layout) for path in pathways(variant(name), batch, size)]
        labels = torch.from_numpy(_labels(batch))
        start = memory_mib("VmRSS")
        module = network(variant(name), size).to(memory_format=layout).train()
        optimizer = torch.optim.SGD(module.parameters(), lr=RATE, momentum=MOMENTUM)
        criterion = torch.nn.CrossEntropyLoss()

        def step() -> object:
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
                logits = module(*clip)
            loss = criterion(logits.float(), labels)
            loss.backward()
            optimizer.step()
            return loss.item()

        return step, {"start_mib": start, "parameters": parameters(module)}

    return make


def _predict(name: str, batch: int, size: int) -> Prepared:
    import numpy as np

    from kerasfast.models.classifier import build

    model = build(name)
    shape = (batch, model.clip.frames, size, size, 3)
    frames = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    return lambda: model.predict_on_batch(frames), {}


CONTENDERS: dict[str, Contender] = {
    "kerasfast_float32": Contender("kerasfast", "float32", "kerasfast", _keras("float32")),
    "kerasfast_bfloat16": Contender("kerasfast", "bfloat16", "kerasfast", _keras("mixed_bfloat16")),
    "kerasfast_float32_recompute": Contender(
        "kerasfast, recompute=True", "float32", "recompute", _keras("float32", recompute=True)
    ),
    "kerasfast_bfloat16_recompute": Contender(
        "kerasfast, recompute=True", "bfloat16", "recompute", _keras("mixed_bfloat16", recompute=True)
    ),
    "torch_float32": Contender("PyTorchVideo", "float32", "torch", _torch(False, False)),
    "torch_float32_channels_last": Contender("PyTorchVideo, channels_last_3d", "float32", "torch", _torch(False, True)),
    "torch_bfloat16": Contender("PyTorchVideo, autocast", "bfloat16", "torch", _torch(True, False)),
    "torch_bfloat16_channels_last": Contender(
        "PyTorchVideo, autocast in channels_last_3d", "bfloat16", "torch", _torch(True, True)
    ),
}
# Not of that benchmark: bench_kernels.py times it.
PREDICTION = Contender("kerasfast, predict_on_batch", "float32", "kerasfast", _predict)


def main() -> None:
    what, name, batch, size = sys.argv[1:]
    contender = PREDICTION if what == "predict" else CONTENDERS[what]
    take_turns(lambda: contender.make(name, int(batch), int(size)))


if __name__ == "__main__":
    main()
