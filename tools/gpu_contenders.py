"""The contenders of bench_gpu.py: `python tools/gpu_contenders.py NAME MODEL WORK BATCH SIZE [cpu]` takes its turns.

`cpu` is the dry run: float32, and torch.compile without a compiler. Keras runs on the backend of KERAS_BACKEND.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from kerasfast.models.variants import variant
from kerasfast.serving.turns import take_turns

Prepared = tuple[Callable[[], object], dict[str, Any]]
CLASSES, RATE, MOMENTUM = 400, 0.01, 0.9
# Name -> (title, backend of Keras or "").
CONTENDERS = {
    "kerasfast_jax": ("kerasfast on JAX", "jax"),
    "kerasfast_torch": ("kerasfast on torch", "torch"),
    "torch": ("PyTorchVideo, channels_last_3d", ""),
    "torch_compiled": ("PyTorchVideo, channels_last_3d, torch.compile", ""),
}
WORK = ("inference", "training")


def _labels(batch: int) -> Any:
    import numpy as np

    return np.arange(batch) * 7 % CLASSES


def _facts(backend: str, device: str) -> dict[str, Any]:
    """Name of the device."""
    if backend == "jax":
        import jax

        found = jax.devices()[0]
        if device == "gpu" and found.platform != "gpu":
            raise ValueError("JAX sees no GPU; install jax[cuda12], or give --dry-run")
        return {"device": found.device_kind}
    import torch

    if device == "cpu":
        return {"device": "cpu"}
    if not torch.cuda.is_available():
        raise ValueError("torch sees no GPU; install a CUDA build of it, or give --dry-run")
    return {"device": torch.cuda.get_device_name()}


def keras_contender(name: str, work: str, batch: int, size: int, device: str) -> Prepared:
    """A prediction or a training step of kerasfast under the backend of the environment."""
    import keras
    import numpy as np

    from kerasfast.models.classifier import build

    backend = keras.backend.backend()
    facts = _facts(backend, device)
    model = build(name, dtype="float32" if device == "cpu" else "mixed_bfloat16")
    shape = (batch, model.clip.frames, size, size, 3)
    frames = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    if work == "training":
        labels = np.eye(CLASSES, dtype="float32")[_labels(batch)]
        optimizer = keras.optimizers.SGD(RATE, momentum=MOMENTUM)
        model.compile(optimizer=optimizer, loss="categorical_crossentropy", jit_compile=backend == "jax")
        return lambda: model.train_on_batch(frames, labels), facts
    if backend == "jax":
        return _jax_prediction(model, frames), facts
    import torch

    # Frames on the device, as those of PyTorchVideo are.
    given = torch.from_numpy(frames).to("cpu" if device == "cpu" else "cuda")

    def run() -> object:
        with torch.inference_mode():
            return [scores.cpu() for scores in model(given, training=False).values()]

    return run, facts


def _jax_prediction(model: Any, frames: Any) -> Callable[[], object]:
    import jax

    weights = [
        [variable.value for variable in kind] for kind in (model.trainable_variables, model.non_trainable_variables)
    ]
    predict = jax.jit(lambda x: model.stateless_call(*weights, x, training=False)[0])
    given = jax.device_put(frames)
    return lambda: jax.block_until_ready(predict(given))


def torch_contender(name: str, work: str, batch: int, size: int, device: str, compiled: bool) -> Prepared:
    """A prediction or a training step of PyTorchVideo's network."""
    import torch
    from torch_networks import network, parameters, pathways

    facts = _facts("torch", device)
    place = "cpu" if device == "cpu" else "cuda"
    layout = torch.channels_last_3d
    module = network(variant(name), size).to(place, memory_format=layout)
    clip = [path.contiguous(memory_format=layout) for path in pathways(variant(name), batch, size, place)]
    facts["parameters"] = parameters(module)
    if compiled:
        module = torch.compile(module, backend="eager" if device == "cpu" else "inductor")
    autocast = torch.autocast(place, dtype=torch.bfloat16, enabled=device != "cpu")
    if work == "inference":

        def run() -> object:
            # Not in inference mode: there torch's check of a stride that is a NumPy number fails in the compiled one.
            with torch.no_grad(), autocast:
                return module(*clip).cpu()

        return run, facts
    module.train()
    optimizer = torch.optim.SGD(module.parameters(), lr=RATE, momentum=MOMENTUM)
    criterion, labels = torch.nn.CrossEntropyLoss(), torch.from_numpy(_labels(batch)).to(place)

    def step() -> object:
        optimizer.zero_grad(set_to_none=True)
        with autocast:
            logits = module(*clip)
        loss = criterion(logits.float(), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step, facts


def main() -> None:
    what, name, work, batch, size, device = sys.argv[1:]
    backend = CONTENDERS[what][1]
    if backend and os.environ.get("KERAS_BACKEND") != backend:
        raise ValueError(f"{what} needs KERAS_BACKEND={backend}. Received: {os.environ.get('KERAS_BACKEND')}.")
    arguments = (name, work, int(batch), int(size), device)
    if backend:
        take_turns(lambda: keras_contender(*arguments))
    else:
        take_turns(lambda: torch_contender(*arguments, compiled=what == "torch_compiled"))


if __name__ == "__main__":
    main()
