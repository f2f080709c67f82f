"""Our networks against PyTorchVideo's, stage by stage, with the same random weights."""

import dataclasses

import keras
import numpy as np
import pytest

pytest.importorskip("torch", reason="parity needs torch: make parity")
pytest.importorskip("pytorchvideo", reason="parity needs pytorchvideo: make parity")

import torch

from kerasfast.models.classifier import build
from kerasfast.models.heads import Head
from kerasfast.models.variants import variant as find_variant
from kerasfast.weights import assign, canonical_weights
from parity import reference

pytestmark = [
    pytest.mark.parity,
    # PyTorchVideo uses what torch has deprecated since.
    pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning"),
]

CLASSES = 400
TOLERANCE = 1e-5  # times the largest value of a stage; a stem pool padded Keras' way shows as 5e-3
MMACTION2 = {
    "lateral_norm": False,
    "slow_frames": "stride",
    "pixel_mean": (123.675, 116.28, 103.53),
    "pixel_std": (58.395, 57.12, 57.375),
}
X3D = {"first_shortcut_norm": False}


@dataclasses.dataclass(frozen=True)
class Case:
    """A row with the fields that the reference needs, and the counts of its weights.

    Trainable parameters and moving values of batch norm are those of the published networks (PyTorchVideo, PySlowFast,
    MMAction2); `None` where no count is published.
    """

    name: str
    parameters: int | None
    moving: int | None
    fields: dict = dataclasses.field(default_factory=dict)


CASES = {
    "slowfast_r50_8x8": Case("slowfast_r50_8x8", 34_566_488, 60_688),
    "slowfast_r50_4x16": Case("slowfast_r50_4x16", 34_480_216, 60_688),
    "slowfast_r50_4x16 (MMAction2)": Case("slowfast_r50_4x16", 34_479_288, 60_688 - 928, MMACTION2),
    "slow_r50_4x16": Case("slow_r50_4x16", 32_454_096, 53_120),
    "slow_r50_8x8": Case("slow_r50_8x8", 32_454_096, 53_120),
    "c2d_r50_8x8": Case("c2d_r50_8x8", 24_327_632, 53_120),
    "c2d_nopool_r50_8x8": Case("c2d_nopool_r50_8x8", 24_327_632, 53_120),
    "i3d_r50_8x8": Case("i3d_r50_8x8", 28_043_472, 53_120),
    "x3d_xs_4x12": Case("x3d_xs_4x12", 3_794_274, 31_416, X3D),
    "x3d_s_13x6": Case("x3d_s_13x6", 3_794_274, 31_416, X3D),
    "x3d_m_16x5": Case("x3d_m_16x5", 3_794_274, 31_416, X3D),
}
LARGE = {
    "slowfast_r50_16x8": Case("slowfast_r50_16x8", 34_566_488, 60_688),
    "slowfast_r101_8x8": Case("slowfast_r101_8x8", 62_826_968, 119_440),
    "slowfast_r101_50_101_8x8": Case("slowfast_r101_50_101_8x8", 53_914_072, 119_440),
    "slowfast_r101_50_50_8x8": Case("slowfast_r101_50_50_8x8", 53_774_808, 119_440),
    "slowfast_r101_50_50_16x8": Case("slowfast_r101_50_50_16x8", 53_774_808, 119_440),
    "slowfast_r101_8x8 (MMAction2)": Case(
        "slowfast_r101_8x8", 62_912_312, 119_440 - 928, {**MMACTION2, "lateral_kernel": 7}
    ),
    "slow_r101_8x8": Case("slow_r101_8x8", None, None),
    "slow_r101_16x8": Case("slow_r101_16x8", None, None),
    "i3d_r101_8x8": Case("i3d_r101_8x8", None, None),
    "x3d_l_16x5": Case("x3d_l_16x5", 6_153_384, 66_264, X3D),
}
PARAMETERS = [
    *(pytest.param(case, id=name) for name, case in CASES.items()),
    *(pytest.param(case, id=name, marks=pytest.mark.slow) for name, case in LARGE.items()),
]


def make_pair(case):
    variant = find_variant(case.name, head_average="logits", **case.fields)
    ours = build(variant, heads={"action": Head(CLASSES, "softmax")})
    weights = canonical_weights(ours)
    arrays = reference.random_arrays({name: tuple(weight.shape) for name, weight in weights.items()})
    assign(ours, arrays, source="random arrays", new_heads=False)
    theirs = reference.build(variant, CLASSES)
    reference.set_weights(theirs, arrays, variant)
    return variant, keras.Model(ours.input, ours.endpoints), theirs


@pytest.fixture(scope="module", params=PARAMETERS)
def pair(request):
    """Our model with every endpoint as output, and the reference, under the same weights."""
    return request.param, *make_pair(request.param)


@pytest.mark.parametrize("kind", ["crop_size", "test_crop_size"])
def test_every_stage_and_the_logits(pair, kind, capsys):
    _, variant, ours, theirs = pair
    crop = getattr(variant, kind)
    rng = np.random.Generator(np.random.PCG64(crop))
    frames = rng.integers(0, 256, (1, variant.clip.frames, crop, crop, 3), dtype=np.uint8)
    expected = reference.run(theirs, frames, variant)
    got = ours.predict(frames, verbose=0)
    differences = {}
    for name, want in expected.items():
        assert got[name].shape == want.shape, name
        differences[name] = float(np.abs(got[name] - want).max() / np.abs(want).max())
    with capsys.disabled():
        stages = "  ".join(f"{name} {value:.1e}" for name, value in differences.items())
        print(f"\n{variant.name} at {crop}: {stages}")
    assert max(differences.values()) <= TOLERANCE, differences
    probabilities = torch.softmax(torch.from_numpy(expected["action_logits"]), -1).numpy()
    np.testing.assert_allclose(got["action"], probabilities, atol=1e-6)


def test_parameter_counts(pair):
    case, _, ours, theirs = pair
    parameters = sum(int(np.prod(weight.shape)) for weight in ours.trainable_weights)
    statistics = [weight for weight in ours.non_trainable_weights if weight.name.startswith("moving")]
    moving = sum(int(np.prod(weight.shape)) for weight in statistics)
    assert sum(p.numel() for p in theirs.parameters()) == parameters
    buffers = {name: value for name, value in theirs.named_buffers() if "running" in name}
    assert sum(value.numel() for value in buffers.values()) == moving
    assert case.parameters in (None, parameters) and case.moving in (None, moving)


def test_a_wrongly_padded_pool_is_seen():
    """The tolerance has to catch what Keras' own padding would do: shift the reference's stem pool by one pixel."""
    variant, ours, theirs = make_pair(CASES["slowfast_r50_4x16"])
    frames = np.random.default_rng(0).integers(0, 256, (1, variant.clip.frames, 224, 224, 3), dtype=np.uint8)
    stem = theirs.blocks[0].multipathway_blocks[1]
    original = stem.pool

    def pool_padded_at_the_end(x):
        return torch.nn.functional.max_pool3d(torch.nn.functional.pad(x, (0, 1, 0, 1)), (1, 3, 3), (1, 2, 2))

    stem.pool = None
    handle = stem.register_forward_hook(lambda module, inputs, output: pool_padded_at_the_end(output))
    try:
        wrong = reference.run(theirs, frames, variant)["action_logits"]
    finally:
        handle.remove()
        stem.pool = original
    got = ours.predict(frames, verbose=0)["action_logits"]
    assert np.abs(got - wrong).max() / np.abs(wrong).max() > 10 * TOLERANCE
