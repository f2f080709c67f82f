"""Every row of the index as a network: it builds, runs, learns and describes itself.

The default tests run each row in a reduced form, one block a stage and few channels, all else as in the row; the slow
ones run the networks themselves. Rows that differ only in what no layer sees (sizes of crops, frame rates) share a run.
"""

import dataclasses
import inspect
import json

import keras
import numpy as np
import pytest
from model_case import check_forward, check_gradients, check_shapes, random_clip

from kerasfast.models.classifier import build
from kerasfast.registry import entry, index

# Trainable parameters, counted in the original libraries (PyTorchVideo 0.1.5, PySlowFast 287ec00, MMAction2 1.2.0).
PARAMETERS = {
    "c2d_r50_8x8.k400": 24_327_632,
    "c2d_nopool_r50_8x8.k400_psf": 24_327_632,
    "i3d_r50_8x8.k400": 28_043_472,
    "i3d_r50_8x8_nl.k400_psf": 35_401_936,
    "slow_r50_4x16.k400": 32_454_096,
    "slow_r50_8x8.ssv2": 31_991_022,
    "slowfast_r50_4x16.k400": 34_480_216,
    "slowfast_r50_8x8.k400_psf": 34_566_488,
    "slowfast_r50_16x8.ssv2_psf": 34_045_558,
    "slowfast_r50_16x8.charades_psf_multigrid": 34_006_373,
    "slowfast_r101_8x8.k400": 62_826_968,
    "slowfast_r101_50_50_16x8.k400": 53_774_808,
    "x3d_xs_4x12.k400": 3_794_274,
    "x3d_s_13x6.k400_psf": 3_794_322,
    "x3d_m_16x5.k400_mm": 3_794_322,
    "x3d_l_16x5.k400": 6_153_384,
    "x3d_l_16x5.k400_psf": 6_153_432,
    "slowfast_r50_4x16.k400_mm": 34_479_288,
    "slowfast_r50_8x8.k400_mm": 34_565_560,
    "slowfast_r50_8x8.k400_mm_steplr": 34_566_488,
    "slowfast_r101_8x8.k400_mm": 62_912_312,
    "slowfast_r101_r50_4x16.k400_mm": 62_384_312,
}


def graph(variant):
    """The variant without what its graph does not depend on."""
    unseen = {"name": "row", "crop_size": 224, "test_crop_size": 256, "short_side": (256, 320)}
    return dataclasses.replace(variant, clip=dataclasses.replace(variant.clip, stride=1, fps=30.0), **unseen)


def reduced(variant):
    """A variant with one block a stage and few channels."""

    def shallow(path):
        return path and dataclasses.replace(
            path,
            depths=(1,) * len(path.depths),
            temporal_blocks=(None,) * len(path.depths),
        )

    fields = {"slow": shallow(variant.slow), "fast": shallow(variant.fast)}
    if variant.num_stages == 4:
        fields["stage_channels"] = (16, 32, 64, 128) if variant.block == "bottleneck" else (8, 16, 24, 32)
        fields["stem_channels"] = 8
    if variant.head_widths:
        fields["head_widths"] = (24, 32)
    fields["nonlocal_after"] = tuple(sorted({(stage, 0) for stage, _ in variant.nonlocal_after}))
    return dataclasses.replace(variant, **fields)


def runs(form):
    """The first row of each graph, with the graph, as parameters of a test."""
    found = {}
    for name, row in index().items():
        heads = tuple((head, values["classes"], values.get("activation")) for head, values in row.heads.items())
        found.setdefault((form(graph(row.variant)), heads if form is graph else ()), name)
    return [pytest.param(name, variant, id=name) for (variant, _), name in found.items()]


def check_configs(model):
    """The config of the model and of each layer of kerasfast holds every argument and gives the same object.

    Returns the features of the model, which is built from its config with that one argument changed.
    """
    own = [layer for layer in model.layers if type(layer).__module__.startswith("kerasfast.")]
    assert own
    for thing in own:
        again = type(thing).from_config(whole_config(thing))
        assert json.dumps(again.get_config()) == json.dumps(thing.get_config()), thing.name
    config = {**whole_config(model), "features_only": True}
    features = type(model).from_config(config)
    assert json.dumps(features.get_config()) == json.dumps(config)
    return features


def whole_config(thing):
    """The config over JSON, checked against the signature of the constructor."""
    config = thing.get_config()
    parameters = inspect.signature(type(thing).__init__).parameters.values()
    named = {p.name for p in parameters if p.name != "self" and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
    assert named <= set(config), f"{thing.name}: get_config drops {named - set(config)}"
    return json.loads(json.dumps(config))


def check_row(name, variant):
    keras.utils.set_random_seed(0)
    model = build(variant, heads=entry(name).head_rows())
    frames = random_clip(variant, batch=1)
    check_forward(model, frames)
    check_gradients(model, frames)
    features = check_configs(model)
    stages = ("stem", *(f"res{stage + 2}" for stage in range(variant.num_stages)))
    shapes = check_shapes(features, frames)
    assert set(shapes) == {f"{path}_{stage}" for path in variant.pathways for stage in stages} | {"pooled"}


# --- every row, reduced ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "variant"), runs(reduced))
def test_every_row_in_a_reduced_form(name, variant):
    check_row(name, variant)


# --- every row, whole ------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("name", "variant"), runs(graph))
def test_every_row(name, variant):
    check_row(name, variant)


@pytest.mark.slow
@pytest.mark.parametrize("name", PARAMETERS)
def test_rows_have_the_parameters_of_the_originals(name):
    row = entry(name)
    model = build(row.variant, heads=row.head_rows())
    assert sum(int(np.prod(weight.shape)) for weight in model.trainable_weights) == PARAMETERS[name]
