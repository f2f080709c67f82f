"""One case from the reference's weights to the difference at every stage, through files as its library writes them."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
import torch

from kerasfast.checkpoints import read, to_canonical
from kerasfast.models.classifier import build
from kerasfast.models.heads import KINETICS400
from kerasfast.models.row import Variant
from kerasfast.verify.graph import seeded_weights, tiny_clip
from kerasfast.weights import assign, canonical_weights
from parity import reference
from parity.cases import Case
from parity.torch_names import checkpoint, set_weights

CLASSES = KINETICS400["action"].classes


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What a case showed.

    Attributes:
        differences: Side of the crop -> stage -> largest difference, relative to the stage's largest value.
        tiny: What the reference computes on the tiny clip.
        shapes: Names and shapes of the file.
        parameters: Trainable parameters of our network and of the reference.
        moving_values: Moving statistics of our network and of the reference.
        containers_agree: Whether both containers of torch hold the same bits under the same names.
    """

    differences: dict[str, dict[str, float]]
    tiny: dict[str, np.ndarray]
    shapes: dict[str, tuple[int, ...]]
    parameters: tuple[int, int]
    moving_values: tuple[int, int]
    containers_agree: bool

    @property
    def largest(self) -> dict[str, float]:
        """Stage -> the larger of both crops' differences; one that is not a number wins."""
        stages = next(iter(self.differences.values()))
        return {stage: float(np.max([crop[stage] for crop in self.differences.values()])) for stage in stages}

    def within(self, tolerance: float) -> bool:
        """Whether every stage is as near as that; what is not a number is not."""
        return all(value <= tolerance for value in self.largest.values())

    def line(self, name: str) -> str:
        """The case in one line."""
        return f"{name:42}" + " ".join(f"{stage} {value:.1e}" for stage, value in self.largest.items())


def largest_difference(got: np.ndarray, expected: np.ndarray) -> float:
    """Relative to the largest value of `expected`."""
    assert got.shape == expected.shape
    return float(np.abs(got - expected).max() / np.abs(expected).max())


def traced(model: keras.Model) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """A function of frames of any size that gives every endpoint of a model, traced once for all sizes."""
    endpoints = keras.Model(model.input, dict(model.endpoints))
    signature = tf.TensorSpec((None, model.clip.frames, None, None, 3), tf.float32)
    graph = tf.function(lambda frames: endpoints(frames, training=False), input_signature=[signature])
    return lambda frames: {name: tensor.numpy() for name, tensor in graph(frames.astype("float32")).items()}


def noise(frames: int, side: int) -> np.ndarray:
    """A clip of noise: uint8 `(1, frames, side, side, 3)`."""
    rng = np.random.Generator(np.random.PCG64(side))
    return rng.integers(0, 256, (1, frames, side, side, 3), dtype=np.uint8)


@functools.lru_cache(maxsize=1)
def _reference(row: Variant, shapes: tuple) -> tuple[torch.nn.Module, dict[str, dict[str, np.ndarray]]]:
    """The reference with seeded weights, and its outputs on the crops and on the tiny clip.

    Args:
        row: With one value of `head_average` for all, which the reference does not look at.
        shapes: Pairs of canonical name and shape.
    """
    module = reference.build(row, CLASSES)
    set_weights(module, seeded_weights(dict(shapes)), row)
    clips = {str(side): noise(row.clip.frames, side) for side in (row.crop_size, row.test_crop_size)}
    clips["tiny"] = tiny_clip(row.clip.frames)
    return module, {name: reference.run(module, clip, row) for name, clip in clips.items()}


def compare(case: Case, folder: Path) -> Comparison:
    """Run a case.

    Args:
        case: The case.
        folder: For its checkpoint, which is removed again.
    """
    row = case.variant
    ours = build(row, heads=KINETICS400)
    variables = canonical_weights(ours)
    shapes = tuple((name, tuple(variable.shape)) for name, variable in variables.items())
    theirs, outputs = _reference(dataclasses.replace(row, head_average="logits"), shapes)

    state = checkpoint(theirs, list(variables), row, case.family)
    path = folder / f"{case.name}.pth"
    torch.save(state, path)
    file_shapes = dict(read(path).shapes)
    assign(ours, _weights(path, case), source=str(path), new_heads=False)
    torch.save(state, path, _use_new_zipfile_serialization=False)
    legacy = _weights(path, case)
    agree = set(legacy) == set(variables) and all(
        np.array_equal(legacy[name], np.asarray(variable)) for name, variable in variables.items()
    )
    path.unlink()

    run = traced(ours)
    differences = {}
    for side in dict.fromkeys((row.crop_size, row.test_crop_size)):
        got, expected = run(noise(row.clip.frames, side)), _expected(outputs[str(side)], row)
        differences[str(side)] = {stage: largest_difference(got[stage], expected[stage]) for stage in expected}
    moving = [weight for weight in ours.non_trainable_weights if weight.name.startswith("moving")]
    buffers = [value for name, value in theirs.named_buffers() if "running" in name]
    return Comparison(
        differences,
        _expected(outputs["tiny"], row),
        file_shapes,
        (_count(ours.trainable_weights), sum(value.numel() for value in theirs.parameters())),
        (_count(moving), sum(value.numel() for value in buffers)),
        agree,
    )


def _weights(path: Path, case: Case) -> Mapping[str, np.ndarray]:
    weights = to_canonical(read(path))
    assert weights.family == case.family
    if case.variant.pathways != ("fast",):
        return weights
    # A single pathway counts as Slow by its names; no library publishes the Fast one alone.
    return {name.replace("slow/", "fast/"): weights[name] for name in weights}


def _count(weights: list) -> int:
    return sum(int(np.prod(weight.shape)) for weight in weights)


def _expected(outputs: dict[str, np.ndarray], row: Variant) -> dict[str, np.ndarray]:
    """The reference's outputs under our names; `action` are probabilities, averaged as the row says."""
    expected = dict(outputs)
    mean = expected.pop("action_mean")
    if row.head_average == "logits":
        mean = torch.softmax(torch.from_numpy(expected["action_logits"]), -1).numpy()
    return {**expected, "action": mean}
