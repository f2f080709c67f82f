"""Both pathways and the laterals between them: what each one hears of the other, names and shapes."""

import keras
import numpy as np
import numpy_reference as reference
import pytest
from model_case import random_clip, tiny_variant, wake_up

from kerasfast.models.backbone import backbone, stage
from kerasfast.models.layers import LayerOptions, slow_frame_indices
from kerasfast.models.variants import Pathway, variant


def make(row):
    frames = keras.Input((row.clip.frames, None, None, 3))
    return wake_up(keras.Model(frames, backbone(frames, row, LayerOptions())))


def arrays(model, frames):
    return {name: np.asarray(value) for name, value in model(frames).items()}


def test_endpoints_come_before_laterals():
    row = tiny_variant()
    features = arrays(make(row), random_clip(row, batch=1, height=64, width=72))
    shapes = {name: value.shape[1:] for name, value in features.items()}
    assert shapes == {
        "slow_stem": (2, 16, 18, 8),
        "fast_stem": (8, 16, 18, 2),
        "slow_res2": (2, 16, 18, 16),
        "fast_res2": (8, 16, 18, 4),
        "slow_res3": (2, 8, 9, 32),
        "fast_res3": (8, 8, 9, 8),
    }
    assert list(shapes) == [f"{path}_{stage}" for stage in ("stem", "res2", "res3") for path in ("slow", "fast")]


def test_stage_strides_once_and_looks_along_time_where_told():
    row = tiny_variant(slow=Pathway((2, 4), 1, (1, (3, 1)), (None, 3)), fast=None)
    inputs = keras.Input((4, None, None, 6))
    model = keras.Model(inputs, stage(inputs, row, "slow", 1, options=LayerOptions()))
    assert model(np.zeros((1, 4, 9, 8, 6), "float32")).shape == (1, 4, 5, 4, 32)
    convs = {layer.name: layer for layer in model.layers if isinstance(layer, keras.layers.Conv3D)}
    kernels = [convs[f"slow_res3_block{block}_conv_a"].kernel_size for block in range(4)]
    assert kernels == [(3, 1, 1), (1, 1, 1), (3, 1, 1), (1, 1, 1)]
    assert [convs[f"slow_res3_block{block}_conv_b"].strides for block in range(4)] == [(1, 2, 2)] + [(1, 1, 1)] * 3
    assert [name for name in convs if name.endswith("short")] == ["slow_res3_block0_conv_short"]


@pytest.mark.parametrize("pathways", [{}, {"fast": None}])
def test_temporal_pool_after_res2(pathways):
    row = tiny_variant(temporal_pool=2, **pathways)
    model = make(row)
    frames = random_clip(row, batch=1)
    features = arrays(model, frames)
    for path in row.pathways:
        res2 = features[f"{path}_res2"]
        pooled = np.asarray(keras.Model(model.input, model.get_layer(f"{path}_temporal_pool").output)(frames))
        joined = pooled.shape[-1] > res2.shape[-1]  # the lateral connection comes before the pooling
        assert joined == (path == "slow" and not pathways)
        np.testing.assert_array_equal(pooled[..., : res2.shape[-1]], np.maximum(res2[:, ::2], res2[:, 1::2]))
        assert features[f"{path}_res3"].shape[1] == res2.shape[1] // 2
    assert not any("temporal_pool" in layer.name for layer in make(tiny_variant()).layers)


@pytest.mark.parametrize("path", ["slow", "fast"])
def test_one_pathway_alone(path):
    other = {"slow": "fast", "fast": "slow"}[path]
    row = tiny_variant(**{other: None})
    model = make(row)
    frames = random_clip(row, batch=1)
    features = arrays(model, frames)
    assert list(features) == [f"{path}_stem", f"{path}_res2", f"{path}_res3"]
    assert features[f"{path}_res3"].shape[1] == row.clip.frames  # Slow-only rows count their own frames
    assert not any(layer.name.startswith(("lateral", other)) for layer in model.layers)


def test_fast_widths_round_up():
    row = tiny_variant(beta=1 / 3)
    features = make(row).output
    widths = [features[name].shape[-1] for name in ("fast_stem", "fast_res2", "fast_res3")]
    assert widths == [3, 6, 11]


def test_normalisation():
    row = tiny_variant(pixel_mean=(123.675, 116.28, 103.53), pixel_std=(58.395, 57.12, 57.375))
    model = make(row)
    frames = random_clip(row, batch=1)
    pixels = np.asarray(keras.Model(model.input, model.get_layer("normalize").output)(frames))
    reference.assert_close(pixels, (frames - np.array(row.pixel_mean)) / np.array(row.pixel_std), 1e-6)


def test_slow_sees_its_own_frames_only():
    row = tiny_variant(clip=variant("slowfast_nano").clip, alpha=8)
    model = make(row)
    frames = random_clip(row, batch=1)
    seen = slow_frame_indices(32, 8)
    assert seen == (0, 10, 20, 31)
    before = arrays(model, frames)
    changed = frames.copy()
    changed[:, [t for t in range(32) if t not in seen]] //= 2
    after = arrays(model, changed)
    np.testing.assert_array_equal(after["slow_stem"], before["slow_stem"])
    assert np.abs(after["fast_stem"] - before["fast_stem"]).max() > 0.01
    assert np.abs(after["slow_res2"] - before["slow_res2"]).max() > 0.01  # through the lateral after the stem
    changed = frames.copy()
    changed[:, 10] //= 2
    different = np.abs(arrays(model, changed)["slow_stem"] - before["slow_stem"]).max(axis=(0, 2, 3, 4)) > 0.01
    np.testing.assert_array_equal(different, [False, True, False, False])


def test_fast_never_hears_slow():
    row = tiny_variant()
    model = make(row)
    frames = random_clip(row, batch=1)
    before = arrays(model, frames)
    for layer in model.layers:
        if layer.name.startswith(("slow_", "lateral_")) and layer.weights:
            layer.set_weights([2 * weight for weight in layer.get_weights()])
    after = arrays(model, frames)
    for name, value in before.items():
        same = np.array_equal(after[name], value)
        assert same == name.startswith("fast"), name


def test_no_lateral():
    row = tiny_variant(lateral="none")
    model = make(row)
    assert not any("lateral" in layer.name for layer in model.layers)
    frames = random_clip(row, batch=1)
    before = arrays(model, frames)
    model.get_layer("fast_stem_conv").kernel.assign(2 * model.get_layer("fast_stem_conv").kernel)
    np.testing.assert_array_equal(arrays(model, frames)["slow_res3"], before["slow_res3"])


@pytest.mark.parametrize("norm", [True, False])
def test_lateral_against_numpy(norm):
    """conv (K,1,1) strided by alpha, batch norm, ReLU; concatenated behind the Slow channels."""
    row = tiny_variant(lateral_norm=norm, lateral_kernel=7)
    model = make(row)
    frames = random_clip(row, batch=1)
    features = arrays(model, frames)
    kernel = np.asarray(model.get_layer("lateral_stem_conv").kernel)
    assert kernel.shape == (7, 1, 1, 2, 4)
    lateral = reference.conv(features["fast_stem"], kernel, strides=(4, 1, 1))
    if norm:
        layer = model.get_layer("lateral_stem_bn")
        lateral = reference.BatchNorm(layer.gamma, layer.beta, layer.moving_mean, layer.moving_variance)(lateral)
        lateral = reference.relu(lateral)
    assert norm == any(layer.name == "lateral_stem_bn" for layer in model.layers)
    joined = keras.Model(model.input, model.get_layer("lateral_stem").output)(frames)
    reference.assert_close(joined, np.concatenate([features["slow_stem"], lateral], axis=-1))


def test_laterals_stand_after_every_stage_but_the_last():
    names = [layer.name for layer in make(tiny_variant()).layers if isinstance(layer, keras.layers.Concatenate)]
    assert names == ["lateral_stem", "lateral_res2"]
