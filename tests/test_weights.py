"""Weights under canonical names: round trip, strictness, hostile and damaged files."""

import functools
import os
import shutil

import h5py
import numpy as np
import pytest
from model_case import random_clip, tiny_variant, wake_up

from kerasfast.checkpoints import CheckpointError
from kerasfast.models.classifier import build
from kerasfast.weights import LoadReport, assign, build_filled, canonical_name, canonical_weights, read_weights

HEADS = {"verb": 3, "action": 4}


@pytest.fixture(scope="module")
def model():
    """A tiny network with an embedding and two heads; tests that change its weights make their own."""
    return wake_up(build(tiny_variant(), heads=HEADS, embedding=6))


@pytest.fixture(scope="module")
def saved(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "tiny.weights.h5"
    model.save_weights(path)
    return path


@pytest.fixture(scope="module")
def target():
    """Another network of the same kind, to load into."""
    return build(tiny_variant(), heads=HEADS, embedding=6)


@pytest.fixture
def arrays(model):
    return {name: np.array(weight.value) for name, weight in canonical_weights(model).items()}


# --- names -----------------------------------------------------------------------------------------------------------

# The names of checkpoints.md, which the readers of other frameworks' files use too.
NAMES = {
    "slow_stem_conv": "slow/stem/conv",
    "fast_stem_bn": "fast/stem/bn",
    "slow_res2_block0_conv_a": "slow/res2/block0/conv_a",
    "fast_res5_block12_bn_short": "fast/res5/block12/bn_short",
    "lateral_stem_conv": "lateral/stem/conv",
    "lateral_res4_bn": "lateral/res4/bn",
    "slow_res4_nonlocal13_theta": "slow/res4/nonlocal13/theta",
    "slow_stem_conv_xy": "slow/stem/conv_xy",
    "slow_res2_block0_se_fc1": "slow/res2/block0/se_fc1",
    "head_conv5": "head/conv5",
    "head_verb": "head/verb",
    "head_my_verbs_2": "head/my_verbs_2",
    "embed": "embedding",
    "slow_stem": None,
    "slow_pool": None,
    "lateral_stem": None,
    "dropout": None,
    "verb": None,
    "": None,
}


@pytest.mark.parametrize("layer", NAMES)
def test_canonical_names(layer):
    assert canonical_name(layer) == NAMES[layer]


def test_every_weight_of_a_model_has_a_name(model):
    named = canonical_weights(model)
    assert {id(weight) for weight in named.values()} == {
        id(weight) for weight in model.weights if "seed" not in weight.path
    }
    assert list(named)[:5] == [
        "fast/stem/conv/kernel",
        *(f"fast/stem/bn/{leaf}" for leaf in ("gamma", "beta", "moving_mean", "moving_variance")),
    ]
    assert {*list(named)[-4:]} == {f"head/{head}/{leaf}" for head in HEADS for leaf in ("kernel", "bias")}


# --- round trip ------------------------------------------------------------------------------------------------------


def test_file_holds_the_arrays_of_the_model(model, saved, arrays):
    read = read_weights(saved)
    assert set(read) == set(arrays)
    for name, array in read.items():
        np.testing.assert_array_equal(array, arrays[name])


def test_round_trip_gives_the_same_numbers(model, saved):
    fresh = build(tiny_variant(), heads=HEADS, embedding=6)
    frames = random_clip(model.variant)
    expected = {name: np.asarray(score) for name, score in model(frames).items()}
    assert any(np.abs(np.asarray(fresh(frames)[name]) - expected[name]).max() > 1e-4 for name in HEADS)
    report = assign(fresh, read_weights(str(saved)), source="file", new_heads=False)
    assert report == LoadReport(tuple(canonical_weights(model)), (), ())
    assert str(report) == f"loaded {len(report.loaded)} weights; new: none; skipped: none"
    for name in HEADS:
        np.testing.assert_array_equal(fresh(frames)[name], expected[name])


def test_order_of_layers_in_the_file_does_not_matter(model, saved, target):
    """Keras numbers layers by class; a graph built in another order must not get its neighbour's arrays."""
    wide = tiny_variant(fast=None)
    slow_only = build(wide, heads=HEADS)
    slow_only.save_weights(saved.parent / "slow.weights.h5")
    read = read_weights(saved.parent / "slow.weights.h5")
    for name, weight in canonical_weights(slow_only).items():
        np.testing.assert_array_equal(read[name], np.asarray(weight.value))


# --- strictness ------------------------------------------------------------------------------------------------------


def refuse(target, arrays, message, new_heads=False):
    before = [np.array(weight.value) for weight in target.weights]
    with pytest.raises(ValueError, match=message):
        assign(target, arrays, source="mine.weights.h5", new_heads=new_heads)
    for weight, old in zip(target.weights, before, strict=True):
        np.testing.assert_array_equal(np.asarray(weight.value), old)  # nothing is loaded by halves


@pytest.mark.parametrize("new_heads", [False, True])
def test_missing_weight(target, arrays, new_heads):
    del arrays["slow/res2/block1/conv_b/kernel"]
    message = r"^mine.weights.h5 does not fit the model: slow/res2/block1/conv_b/kernel \(file: nothing, model: \(1, 3"
    refuse(target, arrays, message, new_heads)


@pytest.mark.parametrize("new_heads", [False, True])
def test_extra_weight(target, arrays, new_heads):
    arrays["slow/res2/block7/conv_b/kernel"] = np.zeros((1, 3, 3, 4, 4), "float32")
    refuse(target, arrays, r"slow/res2/block7/conv_b/kernel \(file: \(1, 3, 3, 4, 4\), model: nothing\)", new_heads)


@pytest.mark.parametrize("new_heads", [False, True])
def test_wrong_shape(target, arrays, new_heads):
    arrays["lateral/stem/conv/kernel"] = np.zeros((7, 1, 1, 2, 4), "float32")
    message = r"lateral/stem/conv/kernel \(file: \(7, 1, 1, 2, 4\), model: \(5, 1, 1, 2, 4\)\).*same architecture"
    refuse(target, arrays, message, new_heads)


def test_one_leaf_takes_its_whole_layer_along(target, arrays):
    del arrays["fast/stem/bn/beta"]
    message = r"fast/stem/bn/gamma .*fast/stem/bn/beta \(file: nothing.*moving_mean.*moving_variance"
    refuse(target, arrays, message)


def test_long_lists_are_cut(target, arrays):
    few = dict(list(arrays.items())[:10])
    refuse(target, few, rf"; and {len(arrays) - 10 - 8} more\. Load weights of the same architecture")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite(target, arrays, value):
    arrays["fast/res3/block0/conv_a/kernel"].flat[3] = value
    refuse(target, arrays, "not finite in fast/res3/block0/conv_a/kernel. Take another copy", new_heads=True)


def test_negative_variance(target, arrays):
    arrays["fast/stem/bn/moving_variance"][1] = -1e-3
    refuse(target, arrays, "negative variance in fast/stem/bn/moving_variance")
    arrays["fast/stem/bn/moving_variance"][1] = 0
    arrays["fast/stem/bn/moving_mean"][1] = -1
    assign(build(tiny_variant(), heads=HEADS, embedding=6), arrays, source="", new_heads=False)


def test_values_that_are_no_numbers(target, arrays):
    arrays["fast/stem/bn/gamma"] = np.array([b"a", b"b"])
    refuse(target, arrays, "not numbers.*fast/stem/bn/gamma")


# --- heads -----------------------------------------------------------------------------------------------------------


def test_new_heads_on_an_old_backbone(saved, arrays):
    """Other classes of one head, another head instead of one, no embedding: all reported, nothing else random."""
    fresh = build(tiny_variant(), heads={"verb": 5, "object": 2})
    report = assign(fresh, read_weights(saved), source="file", new_heads=True)
    assert set(report.new) == {f"head/{head}/{leaf}" for head in ("verb", "object") for leaf in ("kernel", "bias")}
    assert set(report.skipped) == {
        f"{layer}/{leaf}" for layer in ("head/verb", "head/action", "embedding") for leaf in ("kernel", "bias")
    }
    assert str(report).startswith(f"loaded {len(arrays) - 6} weights; new: head/")
    for name in report.loaded:
        np.testing.assert_array_equal(np.asarray(canonical_weights(fresh)[name].value), arrays[name])


def test_head_of_the_same_size_is_kept(saved, arrays):
    fresh = build(tiny_variant(), heads={"verb": 3}, embedding=6)
    report = assign(fresh, read_weights(saved), source="file", new_heads=True)
    assert report.new == () and set(report.skipped) == {"head/action/kernel", "head/action/bias"}
    np.testing.assert_array_equal(fresh.get_layer("head_verb").kernel, arrays["head/verb/kernel"])


def test_new_heads_have_to_be_asked_for(target, arrays):
    arrays["head/verb/kernel"] = np.zeros((6, 5), "float32")
    refuse(target, arrays, r"head/verb/kernel \(file: \(6, 5\), model: \(6, 3\)\).*Pass heads=\.\.\. to train")


# --- new models ------------------------------------------------------------------------------------------------------


class Counting(dict):
    """Arrays that say how often each was read."""

    def __init__(self, arrays):
        super().__init__(arrays)
        self.shapes = {name: array.shape for name, array in arrays.items()}
        self.reads = dict.fromkeys(arrays, 0)

    def __getitem__(self, name):
        self.reads[name] += 1
        return super().__getitem__(name)


def test_a_new_model_is_filled_in_one_pass(arrays):
    counting = Counting(arrays)
    make = functools.partial(build, tiny_variant(), heads=HEADS, embedding=6)
    filled, report = build_filled(make, counting, source="file", new_heads=False)
    assert report == LoadReport(tuple(arrays), (), ())
    assert set(counting.reads.values()) == {1}
    for name, weight in canonical_weights(filled).items():
        np.testing.assert_array_equal(np.asarray(weight.value), arrays[name])


def test_what_a_new_model_lacks_in_the_file_is_random(arrays):
    """Also where the file has it in another shape: a kernel of zeros would never learn."""
    arrays["head/verb/kernel"] = np.zeros((6, 5), "float32")
    arrays["slow/res2/nonlocal0/theta/kernel"] = np.zeros((1, 1, 1, 3, 3), "float32")
    make = functools.partial(build, tiny_variant(nonlocal_after=((2, 0),)), heads=HEADS, embedding=6)
    filled, report = build_filled(make, arrays, source="file", new_heads=True)
    kernels = [name for name in report.new if name.endswith("kernel")]
    assert {name.rpartition("/")[0] for name in kernels} == {
        "head/verb",
        *(f"slow/res2/nonlocal0/{layer}" for layer in ("theta", "phi", "g", "out")),
    }
    for name in kernels:
        assert np.abs(np.asarray(canonical_weights(filled)[name].value)).min() > 0, name
    for name in report.loaded:
        np.testing.assert_array_equal(np.asarray(canonical_weights(filled)[name].value), arrays[name])


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        (
            "fast/stem/bn/beta",
            np.array([0, np.nan], "float32"),
            "^mine holds values that are not finite in fast/stem/",
        ),
        ("fast/stem/bn/beta", np.zeros(3, "float32"), r"^mine does not fit the model: fast/stem/bn/gamma"),
        ("slow/res2/block7/conv_a/kernel", np.zeros(3, "float32"), "block7/conv_a/kernel .*model: nothing"),
    ],
)
def test_a_new_model_is_not_given_out_with_wrong_weights(arrays, name, array, message):
    make = functools.partial(build, tiny_variant(), heads=HEADS, embedding=6)
    with pytest.raises(ValueError, match=message):
        build_filled(make, {**arrays, name: array}, source="mine", new_heads=True)


# --- files -----------------------------------------------------------------------------------------------------------


def test_shapes_are_known_without_reading(saved, arrays, monkeypatch):
    read = read_weights(saved)
    assert read.shapes == {name: array.shape for name, array in arrays.items()}
    monkeypatch.setattr(h5py, "File", None)
    assert len(read) == len(arrays) and set(read) == set(arrays)
    assert "slow/stem/conv/kernel" in read and "slow/stem/conv/bias" not in read


def test_a_file_that_changes_is_noticed(saved, tmp_path):
    path = tmp_path / "changing.weights.h5"
    shutil.copy(saved, path)
    read = read_weights(path)
    os.utime(path, (1, 1))
    with pytest.raises(ValueError, match=r"changing\.weights\.h5 is damaged: it has changed since it was opened"):
        read["slow/stem/conv/kernel"]


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"There is no weights file .*none\.weights\.h5\. Give the path"):
        read_weights(tmp_path / "none.weights.h5")
    with pytest.raises(FileNotFoundError, match="There is no weights file"):
        read_weights(tmp_path)


@pytest.mark.parametrize("content", [b"", b"<html>", b"PK\x03\x04" + bytes(100), b"\x89HDF\r\n\x1a"])
def test_neither_hdf5_nor_a_checkpoint(tmp_path, content):
    path = tmp_path / "other.weights.h5"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"other\.weights\.h5 cannot be used as a checkpoint: "):
        read_weights(path)


@pytest.mark.parametrize("part", [0.1, 0.5, 0.99])
def test_truncated_file(saved, tmp_path, part):
    path = tmp_path / "cut.weights.h5"
    content = saved.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(ValueError, match=r"cut\.weights\.h5 is damaged: .*Copy or save it again"):
        read_weights(path)


def test_flipped_bytes(saved, tmp_path):
    """Wherever a byte of the structure is wrong: a clear error, or arrays that `assign` can judge."""
    path = tmp_path / "flipped.weights.h5"
    content = saved.read_bytes()
    generator = np.random.default_rng(0)
    refused = 0
    for at in generator.integers(0, 4096, 40):  # the first groups and their attributes
        flipped = bytearray(content)
        flipped[at] ^= 0xFF
        path.write_bytes(flipped)
        try:
            read_weights(path)
        except ValueError:
            refused += 1
    assert refused > 0


def test_hdf5_of_something_else(tmp_path):
    path = tmp_path / "other.h5"
    with h5py.File(path, "w") as file:
        file["layers/conv/vars/0"] = np.zeros(3)
    with pytest.raises(ValueError, match=r"other\.h5 holds no weights of a kerasfast model"):
        read_weights(path)


def changed(saved, tmp_path, change):
    """A copy of a file in which `change(group)` was applied to the variables of the Slow stem's batch norm."""
    path = tmp_path / "changed.weights.h5"
    shutil.copy(saved, path)
    with h5py.File(path, "r+") as file:
        groups = []
        file.visititems(lambda _, item: groups.append(item) if item.attrs.get("name") == "slow_stem_bn" else None)
        (group,) = groups
        change(group)
    return path


def test_layer_of_another_kind(saved, tmp_path, target):
    """A batch norm with three variables is no batch norm: its weights count as missing."""
    path = changed(saved, tmp_path, lambda group: group.pop("3"))
    with pytest.raises(ValueError, match=r"slow/stem/bn/gamma \(file: nothing, model: \(8,\)\)"):
        assign(target, read_weights(path), source=str(path), new_heads=False)


def test_group_in_the_place_of_an_array(saved, tmp_path):
    def change(group):
        del group["0"]
        group.create_group("0")

    path = changed(saved, tmp_path, change)
    with pytest.raises(ValueError, match=r"changed\.weights\.h5 is damaged: .*slow/stem/bn"):
        read_weights(path)


def test_two_layers_of_one_name(saved, tmp_path):
    def change(group):
        copy = group.file.create_group("again")
        copy.attrs["name"] = "slow_stem_bn"
        for index in "0123":
            copy[index] = np.zeros(8, "float32")

    with pytest.raises(ValueError, match=r"changed\.weights\.h5 is damaged: .*slow/stem/bn .*twice"):
        read_weights(changed(saved, tmp_path, change))


def test_arrays_of_another_file_are_not_followed(saved, tmp_path):
    """HDF5 can point into other files; weights come from the file that was named."""

    def change(group):
        del group["0"]
        group["0"] = h5py.ExternalLink(str(saved), "/layers")

    with pytest.raises(ValueError, match="is damaged"):
        read_weights(changed(saved, tmp_path, change))
