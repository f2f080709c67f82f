"""The names and layouts of four libraries, as those of our networks."""

from functools import partial

import numpy as np
import pytest
from checkpoint_files import as_tensor, module_state, torch_zip
from checkpoint_names import R101, caffe2, counters, mmaction2, network, pyslowfast, pytorchvideo

from kerasfast.checkpoints import CheckpointError, read, to_canonical

NONLOCAL = ((3, 1), (3, 3), (4, 1), (4, 3), (4, 5))
MM_NONLOCAL = ((3, 0), (3, 2), (4, 0), (4, 2), (4, 4))


def without(shapes, *endings):
    return {name: shape for name, shape in shapes.items() if not name.endswith(endings)}


# name -> (canonical names with torch shapes, their names in the file, entries without and with counters); the numbers
# of entries are those of the libraries' own state dicts (checkpoints.md, section 2.1).
NETWORKS = {
    "pytorchvideo_slowfast": (network(), pytorchvideo, 552, 662),
    "pytorchvideo_slowfast_r101": (network(R101, lateral_kernel=5), pytorchvideo, 1062, 1274),
    "pytorchvideo_slow": (network(fast=0), partial(pytorchvideo, single=True), 267, 320),
    "pytorchvideo_i3d": (network(fast=0), partial(pytorchvideo, single=True, pool_after_res2=True), 267, 320),
    "pyslowfast_slowfast": (network(), pyslowfast, 552, 662),
    "pyslowfast_slowfast_nonlocal": (network(nonlocal_blocks=NONLOCAL), pyslowfast, 612, 727),
    "pyslowfast_slow": (network(fast=0), pyslowfast, 267, 320),
    "pyslowfast_i3d_nonlocal": (network(fast=0, nonlocal_blocks=NONLOCAL), pyslowfast, 327, 385),
    "caffe2_slowfast": (network(), caffe2, 552, 552),
    "caffe2_slowfast_r101": (network(R101, lateral_kernel=5), partial(caffe2, depths=R101), 1062, 1062),
    "caffe2_i3d_nonlocal": (network(fast=0, nonlocal_blocks=NONLOCAL), caffe2, 327, 327),
    "mmaction2_slowfast": (network(lateral_norm=False), mmaction2, 536, 642),
    "mmaction2_slow": (network(fast=0), partial(mmaction2, single=True), 267, 320),
    "mmaction2_slow_nonlocal": (
        without(network(fast=0, nonlocal_blocks=MM_NONLOCAL), "out/bias"),
        partial(mmaction2, single=True),
        322,
        380,
    ),
}


def keras_shape(shape):
    return {5: lambda o, i, t, h, w: (t, h, w, i, o), 2: lambda o, i: (i, o), 1: lambda n: (n,)}[len(shape)](*shape)


def unreal(shape):
    """An array of that shape that takes no memory."""
    return np.broadcast_to(np.float32(0), shape)


# DistributedDataParallel puts `module.` before every name, PySlowFast `model.` before those of PyTorchVideo.
PREFIXES = [
    (name, prefix) for name in NETWORKS for prefix in (("", "module.", "model.") if name.startswith("py") else ("",))
]


@pytest.mark.parametrize(("name", "prefix"), PREFIXES)
def test_names_and_shapes(name, prefix):
    shapes, rename, entries, with_counters = NETWORKS[name]
    arrays = {prefix + rename(canonical): unreal(shape) for canonical, shape in shapes.items()}
    assert len(arrays) == entries
    if not name.startswith("caffe2"):
        arrays |= {counter: np.array(5) for counter in counters(arrays)}
    assert len(arrays) == with_counters
    weights = to_canonical(arrays)
    assert weights.family == name.partition("_")[0]
    expected = {canonical: keras_shape(shape) for canonical, shape in shapes.items()}
    for kernel in [key for key in expected if "nonlocal" in key and key.endswith("out/kernel")]:
        expected.setdefault(kernel.replace("kernel", "bias"), expected[kernel][-1:])
    assert dict(weights.shapes) == expected
    assert set(weights) == set(expected) and len(weights) == len(expected)


# Names in full, so that the functions of checkpoint_names are not their own witnesses.
LITERAL = {
    "blocks.0.multipathway_blocks.0.conv.weight": "slow/stem/conv/kernel",
    "blocks.0.multipathway_blocks.1.norm.running_var": "fast/stem/bn/moving_variance",
    "blocks.0.multipathway_fusion.conv_fast_to_slow.weight": "lateral/stem/conv/kernel",
    "blocks.1.multipathway_fusion.norm.weight": "lateral/res2/bn/gamma",
    "blocks.1.multipathway_blocks.0.res_blocks.0.branch1_conv.weight": "slow/res2/block0/conv_short/kernel",
    "blocks.1.multipathway_blocks.0.res_blocks.0.branch1_norm.bias": "slow/res2/block0/bn_short/beta",
    "blocks.3.multipathway_blocks.1.res_blocks.5.branch2.conv_b.weight": "fast/res4/block5/conv_b/kernel",
    "blocks.2.multipathway_blocks.0.res_blocks.1.branch2.conv_a.weight": "slow/res3/block1/conv_a/kernel",
    "blocks.4.multipathway_blocks.1.res_blocks.2.branch2.norm_c.running_mean": "fast/res5/block2/bn_c/moving_mean",
    "blocks.6.proj.weight": "head/action/kernel",
}
LITERAL_PSF = {
    "s1.pathway0_stem.conv.weight": "slow/stem/conv/kernel",
    "s1.pathway1_stem.bn.running_mean": "fast/stem/bn/moving_mean",
    "s1_fuse.conv_f2s.weight": "lateral/stem/conv/kernel",
    "s4_fuse.bn.weight": "lateral/res4/bn/gamma",
    "s2.pathway0_res0.branch1.weight": "slow/res2/block0/conv_short/kernel",
    "s2.pathway0_res0.branch1_bn.bias": "slow/res2/block0/bn_short/beta",
    "s4.pathway1_res22.branch2.b.weight": "fast/res4/block22/conv_b/kernel",
    "s5.pathway0_res2.branch2.c_bn.running_var": "slow/res5/block2/bn_c/moving_variance",
    "s3.pathway0_nonlocal1.conv_theta.bias": "slow/res3/nonlocal1/theta/bias",
    "s3.pathway0_nonlocal1.bn.weight": "slow/res3/nonlocal1/bn/gamma",
    "head.projection.bias": "head/action/bias",
}
LITERAL_C2 = {
    "conv1_w": "slow/stem/conv/kernel",
    "t_conv1_w": "fast/stem/conv/kernel",
    "res_conv1_bn_s": "slow/stem/bn/gamma",
    "t_res_conv1_bn_riv": "fast/stem/bn/moving_variance",
    "t_pool1_subsample_w": "lateral/stem/conv/kernel",
    "t_pool1_subsample_bn_rm": "lateral/stem/bn/moving_mean",
    "t_res3_3_branch2c_bn_subsample_w": "lateral/res3/conv/kernel",
    "t_res3_3_branch2c_bn_subsample_bn_b": "lateral/res3/bn/beta",
    "t_res3_3_branch2c_bn_b": "fast/res3/block3/bn_c/beta",
    "res4_22_branch2a_w": "slow/res4/block22/conv_a/kernel",
    "res2_0_branch1_bn_riv": "slow/res2/block0/bn_short/moving_variance",
    "nonlocal_conv4_3_phi_b": "slow/res4/nonlocal3/phi/bias",
    "nonlocal_conv4_3_out_w": "slow/res4/nonlocal3/out/kernel",
    "nonlocal_conv4_3_bn_rm": "slow/res4/nonlocal3/bn/moving_mean",
    "pred_w": "head/action/kernel",
}
LITERAL_MM = {
    "backbone.slow_path.conv1.conv.weight": "slow/stem/conv/kernel",
    "backbone.fast_path.conv1.bn.running_var": "fast/stem/bn/moving_variance",
    "backbone.slow_path.conv1_lateral.conv.weight": "lateral/stem/conv/kernel",
    "backbone.slow_path.layer3_lateral.conv.weight": "lateral/res4/conv/kernel",
    "backbone.slow_path.layer1.0.downsample.conv.weight": "slow/res2/block0/conv_short/kernel",
    "backbone.slow_path.layer1.0.downsample.bn.weight": "slow/res2/block0/bn_short/gamma",
    "backbone.fast_path.layer3.5.conv2.conv.weight": "fast/res4/block5/conv_b/kernel",
    "backbone.fast_path.layer4.2.conv3.bn.bias": "fast/res5/block2/bn_c/beta",
    "cls_head.fc_cls.bias": "head/action/bias",
}
LITERAL_X3D = {
    "pytorchvideo": {
        "blocks.0.conv.conv_t.weight": "slow/stem/conv_xy/kernel",
        "blocks.0.conv.conv_xy.weight": "slow/stem/conv_t/kernel",
        "blocks.0.norm.weight": "slow/stem/bn/gamma",
        "blocks.1.res_blocks.0.branch2.norm_b.0.running_mean": "slow/res2/block0/bn_b/moving_mean",
        "blocks.1.res_blocks.0.branch2.norm_b.1.block.0.weight": "slow/res2/block0/se_fc1/kernel",
        "blocks.1.res_blocks.0.branch2.norm_b.1.block.2.bias": "slow/res2/block0/se_fc2/bias",
        "blocks.2.res_blocks.1.branch2.norm_b.weight": "slow/res3/block1/bn_b/gamma",
        "blocks.5.pool.pre_conv.weight": "head/conv5/kernel",
        "blocks.5.pool.pre_norm.bias": "head/bn5/beta",
        "blocks.5.pool.post_conv.weight": "head/lin5/kernel",
        "blocks.5.proj.weight": "head/action/kernel",
    },
    "pyslowfast": {
        "s1.pathway0_stem.conv_xy.weight": "slow/stem/conv_xy/kernel",
        "s1.pathway0_stem.conv.weight": "slow/stem/conv_t/kernel",
        "s2.pathway0_res0.branch2.b_bn.weight": "slow/res2/block0/bn_b/gamma",
        "s2.pathway0_res0.branch2.se.fc1.weight": "slow/res2/block0/se_fc1/kernel",
        "head.conv_5.weight": "head/conv5/kernel",
        "head.conv_5_bn.running_var": "head/bn5/moving_variance",
        "head.lin_5.weight": "head/lin5/kernel",
        "head.projection.weight": "head/action/kernel",
    },
    "mmaction2": {
        "backbone.conv1_s.conv.weight": "slow/stem/conv_xy/kernel",
        "backbone.conv1_t.conv.weight": "slow/stem/conv_t/kernel",
        "backbone.conv1_t.bn.weight": "slow/stem/bn/gamma",
        "backbone.layer1.0.se_module.fc1.bias": "slow/res2/block0/se_fc1/bias",
        "backbone.conv5.bn.weight": "head/bn5/gamma",
        "cls_head.fc1.weight": "head/lin5/kernel",
        "cls_head.fc2.weight": "head/action/kernel",
    },
}


@pytest.mark.parametrize(
    ("family", "literal"),
    [
        ("pytorchvideo", LITERAL),
        ("pyslowfast", LITERAL_PSF),
        ("caffe2", LITERAL_C2),
        ("mmaction2", LITERAL_MM),
        *LITERAL_X3D.items(),
    ],
)
def test_literal_names(family, literal):
    shapes = {"kernel": (2, 2, 1, 1, 1)}
    arrays = {
        key: np.zeros((2, 4) if name == "head/action/kernel" else shapes.get(name.rpartition("/")[2], (2,)))
        for key, name in literal.items()
    }
    weights = to_canonical(arrays)
    assert weights.family == family
    assert {key: name for name, key in weights._keys.items()} == literal


# --- values ----------------------------------------------------------------------------------------------------------


def random(shapes):
    rng = np.random.default_rng(1)
    return {
        name: (rng.random(shape) if name.endswith("variance") else rng.normal(size=shape)).astype("f4")
        for name, shape in shapes.items()
    }


TINY = network((1, 1), slow=8, fast=4, nonlocal_blocks=((3, 0),), classes=3)
TINY_FAMILIES = {
    "pytorchvideo": (without(network((1, 1), slow=8, fast=4, classes=3)), pytorchvideo),
    "pyslowfast": (TINY, pyslowfast),
    "caffe2": (TINY, partial(caffe2, depths=(1, 1))),
}


@pytest.mark.parametrize("family", TINY_FAMILIES)
def test_layouts(family, tmp_path):
    shapes, rename = TINY_FAMILIES[family]
    values = random(shapes)
    path = tmp_path / "tiny"
    path.write_bytes(torch_zip(module_state({rename(name): as_tensor(name, a) for name, a in values.items()})))
    weights = to_canonical(read(path))
    for name, value in values.items():
        axes = {5: (2, 3, 4, 1, 0), 2: (1, 0), 1: (0,)}[value.ndim]
        assert weights[name].shape == weights.shapes[name]
        assert weights[name].dtype == np.float32 and weights[name].flags.c_contiguous
        np.testing.assert_array_equal(weights[name], value.transpose(axes))


def test_mmaction2_head_is_turned():
    values = random(network((1, 1), slow=8, fast=4, lateral_norm=False, classes=3))
    arrays = {mmaction2(name): value for name, value in values.items()}
    weights = to_canonical(arrays)
    fast = 4 * 4 * 2
    kernel = arrays["cls_head.fc_cls.weight"]
    np.testing.assert_array_equal(
        weights["head/action/kernel"], np.concatenate([kernel[:, fast:], kernel[:, :fast]], 1).T
    )
    single = to_canonical(
        {
            key.replace("slow_path.", ""): arrays[key]
            for key in arrays
            if "fast_path" not in key and "lateral" not in key
        }
    )
    np.testing.assert_array_equal(single["head/action/kernel"], kernel.T)


def test_mmaction2_nonlocal_blocks_get_a_bias_of_zero():
    values = random(without(network((1, 1), slow=8, fast=0, nonlocal_blocks=((3, 0),)), "out/bias"))
    weights = to_canonical({mmaction2(name, single=True): value for name, value in values.items()})
    assert "slow/res3/nonlocal0/out/bias" in weights
    np.testing.assert_array_equal(weights["slow/res3/nonlocal0/out/bias"], np.zeros(64, "f4"))


@pytest.mark.parametrize("family", ["pytorchvideo", "pyslowfast", "mmaction2"])
def test_dense_layer_of_x3d(family):
    """A 1x1x1 convolution of PyTorchVideo and PySlowFast, a matrix of MMAction2."""
    names = {canonical: key for key, canonical in LITERAL_X3D[family].items()}
    values = np.arange(6, dtype="f4").reshape((2, 3) if family == "mmaction2" else (2, 3, 1, 1, 1))
    stem = np.ones((2, 1, 5, 1, 1), "f4")
    weights = to_canonical({names["slow/stem/conv_t/kernel"]: stem, names["head/lin5/kernel"]: values})
    assert weights.shapes["head/lin5/kernel"] == (3, 2)
    assert weights["head/lin5/kernel"].tolist() == [[0, 3], [1, 4], [2, 5]]


def test_matrices_of_caffe2_and_split_batch_norms():
    arrays = {
        "conv1_w": np.ones((2, 3, 1, 7, 7), "f4"),
        "res2_0_branch1_w": np.arange(6, dtype="f4").reshape(2, 3),
        "pred_w": np.arange(6, dtype="f4").reshape(2, 3, 1, 1, 1),
        "res_conv1_bn_s": np.ones((2, 1, 1, 1), "f4"),
        "conv1_w_momentum": np.ones(2),
        "lr": np.ones(1),
        "model_iter": np.ones(1),
    }
    weights = to_canonical(arrays)
    assert weights["slow/res2/block0/conv_short/kernel"][0, 0, 0].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert weights["head/action/kernel"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert weights["slow/stem/bn/gamma"].tolist() == [1, 1]
    assert len(weights) == 4
    raw = {
        "s1.pathway0_stem.conv.weight": arrays["conv1_w"],
        "s1.pathway0_stem.bn.bn.running_mean": np.full(2, 3, "f4"),
        "s1.pathway0_stem.bn.split_bn.running_mean": np.ones(8, "f4"),
        "s1.pathway0_stem.bn.bn.num_batches_tracked": np.array(1),
        "s1.pathway0_stem.bn.weight": np.ones(2, "f4"),
    }
    weights = to_canonical(raw)
    assert weights["slow/stem/bn/moving_mean"].tolist() == [3, 3] and len(weights) == 3


@pytest.mark.parametrize("dtype", ["f2", "f8"])
def test_other_precisions_become_float32(dtype):
    arrays = {"s1.pathway0_stem.conv.weight": np.full((2, 3, 1, 7, 7), 0.5, dtype)}
    assert to_canonical(arrays)["slow/stem/conv/kernel"].dtype == np.float32


# --- errors ----------------------------------------------------------------------------------------------------------

STEM = {"s1.pathway0_stem.conv.weight": np.ones((2, 3, 1, 7, 7), "f4")}
BN = "s1.pathway0_stem.bn"
WRONG = {
    "unknown_family": ({"patch_embed.proj.weight": np.ones(2), "head.norm.bias": np.ones(2)}, "none of the families"),
    "nothing": ({}, "none of the families"),
    "another_network": (
        {"blocks.0.conv.weight": np.ones((2, 3, 1, 7, 7)), "blocks.1.attn.qkv.weight": np.ones((2, 2))},
        "'blocks.1.attn.qkv.weight'",
    ),
    "unknown_leaf": ({**STEM, f"{BN}.momentum": np.ones(2)}, "belong to no SlowFast network"),
    "stage_seven": (
        {
            "blocks.0.conv.weight": STEM["s1.pathway0_stem.conv.weight"],
            "blocks.7.multipathway_fusion.norm.weight": np.ones(2),
        },
        "belong to no",
    ),
    "twice": ({**STEM, f"{BN}.running_mean": np.ones(2), f"{BN}.bn.running_mean": np.ones(2)}, "both stand for"),
    "image_convolution": ({"backbone.conv1.conv.weight": np.ones((2, 3, 7, 7))}, r"shape \(2, 3, 7, 7\)"),
    "empty_array": ({**STEM, f"{BN}.weight": np.ones(0)}, r"shape \(0,\)"),
    "matrix_for_a_vector": ({**STEM, f"{BN}.weight": np.ones((2, 2))}, r"shape \(2, 2\)"),
    "head_without_slow": (
        {
            "backbone.fast_path.layer1.0.conv3.bn.weight": np.ones(8),
            "cls_head.fc_cls.weight": np.ones((3, 8)),
        },
        "head takes 8 features",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_names_and_shapes(case):
    arrays, message = WRONG[case]
    with pytest.raises(CheckpointError, match=message):
        to_canonical(arrays)


@pytest.mark.parametrize(
    ("leaf", "values", "message"),
    [
        ("weight", [1, np.nan], "not finite"),
        ("weight", [1, np.inf], "not finite"),
        ("weight", [1, 1e300], "not finite"),
        ("running_var", [1, -1e-3], "negative variance"),
        ("weight", np.array([1, 2]), "int64 numbers"),
        ("weight", np.array([True, False]), "bool numbers"),
    ],
)
def test_values_that_are_no_weights(leaf, values, message, tmp_path):
    state = {"s1.pathway0_stem.conv.weight": as_tensor(0, STEM["s1.pathway0_stem.conv.weight"])}
    state[f"{BN}.{leaf}"] = as_tensor(1, values)
    path = tmp_path / "some.pyth"
    path.write_bytes(torch_zip({"model_state": state}))
    weights = to_canonical(read(path))
    assert weights["slow/stem/conv/kernel"].shape == (1, 7, 7, 3, 2)
    with pytest.raises(CheckpointError, match=message) as raised:
        weights[next(name for name in weights if "/bn/" in name)]
    assert str(raised.value).startswith(f"{path} cannot be used")


def test_names_from_the_file_stay_short_and_on_one_line():
    block = f"s2.pathway0_res{'7' * 900}.branch2.a"
    for arrays in (
        {"backbone." + "x\n" * 300: np.ones(2)},
        {**STEM, f"{block}.weight": np.ones(2)},
        {**STEM, f"{block}_bn.running_mean": np.ones(2), f"{block}_bn.bn.running_mean": np.ones(2)},
    ):
        with pytest.raises(CheckpointError) as raised:
            to_canonical(arrays)
        assert len(str(raised.value)) < 500 and "\n" not in str(raised.value)


def test_nothing_is_read_before_it_is_asked_for(tmp_path):
    path = tmp_path / "some.pyth"
    path.write_bytes(torch_zip({name: as_tensor(name, value) for name, value in STEM.items()}))
    weights = to_canonical(read(path))
    path.unlink()
    assert weights.shapes == {"slow/stem/conv/kernel": (1, 7, 7, 3, 2)} and list(weights) == list(weights.shapes)
    assert "slow/stem/conv/kernel" in weights and repr(weights) == "CanonicalWeights(pyslowfast, 1 weights)"
    with pytest.raises(KeyError):
        weights["slow/stem/conv/bias"]
    with pytest.raises(CheckpointError, match="reading it failed"):
        weights["slow/stem/conv/kernel"]
