"""Multiply-adds at 256 pixels against the figures of the SlowFast paper, and by hand on a tiny network."""

import json

import bench_cost
import keras
import pytest
from model_case import tiny_variant

from kerasfast.models.classifier import build
from kerasfast.models.cost import multiply_adds
from kerasfast.models.variants import Pathway, override, variant

# Counted from the PyTorch models with the same rule, where the paper has no figure.
COUNTED = [
    ("slowfast_r101_8x8", {}, 125.91),
    ("slowfast_r101_50_101_8x8", {}, 107.65),
    ("c2d_r50_8x8", {}, 25.46),
    ("i3d_r50_8x8", {}, 37.11),
]


@pytest.fixture(autouse=True)
def quick_start(monkeypatch):
    """Kernels of zeros: drawing 35 to 60 million random numbers is most of the time of building a network."""

    def zeros(self, shape, dtype=None, **_):
        return keras.ops.zeros(shape, dtype)

    monkeypatch.setattr(keras.initializers.VarianceScaling, "__call__", zeros)
    monkeypatch.setattr(keras.initializers.RandomNormal, "__call__", zeros)


def giga(name, fields):
    return multiply_adds(build(variant(name, **fields))) / 1e9


@pytest.mark.parametrize("row", bench_cost.rows(), ids=lambda row: f"{row[0]}{row[1] or ''}")
def test_figures_of_the_paper(row):
    """Within 2 % of the paper, but for the known mismatches; and benchmarks/multiply_adds.json is up to date."""
    name, fields, paper, why = row
    found = bench_cost.count(name, fields)
    assert bool(why) == (abs(found["giga_multiply_adds"] / paper - 1) > 0.02)
    committed = {"network": name, "fields": fields, "paper": paper, **found, "mismatch": why}
    assert committed in json.loads(bench_cost.RESULT.read_text("utf-8"))["rows"]


@pytest.mark.parametrize(("name", "fields", "counted"), COUNTED)
def test_figures_of_the_pytorch_models(name, fields, counted):
    assert giga(name, fields) == pytest.approx(counted, abs=0.006)


def test_by_hand():
    """A Slow pathway of one block, one head; every number from the definition of its layer."""
    row = tiny_variant(
        fast=None,
        slow=Pathway((1,), 3, (3,), (None,)),
        stage_channels=(16,),
        spatial_strides=(1,),
        spatial_dilations=(1,),
    )
    stem = 8 * 32 * 40 * (3 * 7 * 7 * 3) * 8  # frames x positions x kernel x input x output channels
    positions = 8 * 16 * 20
    block = positions * (8 * 16 + 3 * 8 * 4 + 9 * 4 * 4 + 4 * 16)  # shortcut, conv_a, conv_b, conv_c
    head = (16 - 7 + 1) * (20 - 7 + 1) * 16 * 5
    model = build(row, heads={"action": 5})
    assert multiply_adds(model, 64, 80) == stem + block + head
    # Products of a non-local block after it, phi and g pooled 2x2: four convolutions and two products.
    model = build(override(row, nonlocal_after=((2, 0),)), heads={"action": 5})
    points = positions * 16 * 8 * 2 + positions // 4 * 16 * 8 * 2
    assert multiply_adds(model, 64, 80) == stem + block + head + points + 2 * positions * (positions // 4) * 8


def test_other_models_are_refused():
    with pytest.raises(ValueError, match=r"one input of shape \(batch, T, H, W, 3\)\. Received: .*\(None, 4\)"):
        multiply_adds(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]))
