"""One case from the reference's weights to the difference at every stage, through files as its library writes them."""

import dataclasses
import functools
from pathlib import Path

import numpy as np
import torch

from kerasfast.checkpoints import read, to_canonical
from kerasfast.models.classifier import build
from kerasfast.models.heads import KINETICS400
from kerasfast.models.row import Variant
from kerasfast.verify.graph import run, seeded_weights, tiny_clip
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

    def line(self, name: str) -> str:
        """The case in one line."""
        return f"{name:42}" + " ".join(f"{stage} {value:.1e}" for stage, value in self.largest.items())


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
    weights = to_canonical(read(path))
    assert weights.family == case.family
    assign(ours, weights, source=str(path), new_heads=False)
    torch.save(state, path, _use_new_zipfile_serialization=False)
    legacy = to_canonical(read(path))
    agree = set(legacy) == set(variables) and all(
        np.array_equal(legacy[name], np.asarray(variable)) for name, variable in variables.items()
    )
    file_shapes = dict(legacy._arrays.shapes)
    path.unlink()

    differences = {}
    for side in dict.fromkeys((row.crop_size, row.test_crop_size)):
        got, expected = run(ours, noise(row.clip.frames, side)), _expected(outputs[str(side)], row)
        assert all(got[stage].shape == values.shape for stage, values in expected.items())
        differences[str(side)] = {
            stage: float(np.abs(got[stage] - values).max() / np.abs(values).max()) for stage, values in expected.items()
        }
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


def _count(weights: list) -> int:
    return sum(int(np.prod(weight.shape)) for weight in weights)


def _expected(outputs: dict[str, np.ndarray], row: Variant) -> dict[str, np.ndarray]:
    """The reference's outputs under our names; `action` are probabilities, averaged as the row says."""
    expected = dict(outputs)
    mean = expected.pop("action_mean")
    if row.head_average == "logits":
        mean = torch.softmax(torch.from_numpy(expected["action_logits"]), -1).numpy()
    return {**expected, "action": mean}
