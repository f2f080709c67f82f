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
from kerasfast.models.variants import VARIANTS
from kerasfast.weights import assign, canonical_weights
from parity import reference

pytestmark = [
    pytest.mark.parity,
    # PyTorchVideo uses what torch has deprecated since.
    pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning"),
]

CLASSES = 400
TOLERANCE = 1e-5  # times the largest value of a stage; a stem pool padded Keras' way shows as 5e-3
# (trainable parameters, batch-norm moving values) of the published networks
COUNTS = {"slowfast_r50_8x8": (34_566_488, 60_688), "slowfast_r50_4x16": (34_480_216, 60_688)}


@pytest.fixture(scope="module", params=COUNTS)
def pair(request):
    """Our model with every endpoint as output, and the reference, under the same weights."""
    variant = dataclasses.replace(VARIANTS[request.param], head_average="logits")
    ours = build(variant, heads={"action": Head(CLASSES, "softmax")})
    weights = canonical_weights(ours)
    arrays = reference.random_arrays({name: tuple(weight.shape) for name, weight in weights.items()})
    assign(ours, arrays, source="random arrays", new_heads=False)
    theirs = reference.build(variant, CLASSES)
    reference.set_weights(theirs, arrays)
    return variant, keras.Model(ours.input, ours.endpoints), theirs


@pytest.mark.parametrize("crop", [224, 256])
def test_every_stage_and_the_logits(pair, crop, capsys):
    variant, ours, theirs = pair
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
    variant, ours, theirs = pair
    parameters, moving = COUNTS[variant.name]
    assert sum(int(np.prod(weight.shape)) for weight in ours.trainable_weights) == parameters
    assert sum(p.numel() for p in theirs.parameters()) == parameters
    statistics = [weight for weight in ours.non_trainable_weights if weight.name.startswith("moving")]
    assert sum(int(np.prod(weight.shape)) for weight in statistics) == moving


def test_a_wrongly_padded_pool_is_seen(pair):
    """The tolerance has to catch what Keras' own padding would do: shift the reference's stem pool by one pixel."""
    variant, ours, theirs = pair
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
