"""The model that users hold: every row of the table, its options, its refusals."""

import json

import keras
import numpy as np
import numpy_reference as reference
import pytest
import tensorflow as tf
from model_case import (
    check_config,
    check_forward,
    check_gradients,
    check_saving,
    check_shapes,
    own_layers,
    random_clip,
    tiny_variant,
    wake_up,
)

from kerasfast.data.clips import ClipSpec
from kerasfast.models import classifier
from kerasfast.models.classifier import VideoClassifier, build, check_frames
from kerasfast.models.heads import Head
from kerasfast.models.layers import BatchNorm
from kerasfast.models.variants import VARIANTS, variant
from kerasfast.weights import canonical_weights

NANO = [name for name in VARIANTS if name.endswith("_nano")]
HEADS = {"verb": 3, "action": Head(4, "softmax", ("run", "sit", "eat", "read"))}

# Parameters of a block of Slow res4 by the temporal length of conv_a; it has 2 x (256 + 256 + 1024) moving values.
BLOCK = {kt: kt * 1024 * 256 + 9 * 256 * 256 + 256 * 1024 + 2 * (256 + 256 + 1024) for kt in (1, 3)}

# Two non-local blocks in res3 and three in res4, each with one batch norm.
NONLOCAL_MOVING = 2 * (2 * 512 + 3 * 1024)

# Trainable parameters with Kinetics' 400 classes, moving values of batch norm, and tensors in a checkpoint: counted
# from the PyTorch models (PyTorchVideo, PySlowFast).
COUNTS = {
    "slowfast_r50_4x16": (34_480_216, 60_688, 552),
    "slowfast_r50_8x8": (34_566_488, 60_688, 552),
    "slowfast_r50_16x8": (34_566_488, 60_688, 552),
    "slowfast_r101_8x8": (62_826_968, 119_440, 1062),
    "slowfast_r101_50_101_8x8": (53_914_072, 119_440, 1062),
    "slowfast_r101_50_50_8x8": (53_774_808, 119_440, 1062),
    "slowfast_r101_50_50_16x8": (53_774_808, 119_440, 1062),
    # MMAction2's own has no batch norm on its laterals: 928 fewer parameters, 16 fewer tensors.
    "slowfast_r101_r50_4x16": (62_384_312 + 928, 60_688 + 17 * 3_072, 791 + 16),
    "slow_r50_4x16": (32_454_096, 53_120, 267),
    "slow_r50_8x8": (32_454_096, 53_120, 267),
    # No such network is published: the fast/ weights of slowfast_r50_8x8 and a head of 256 x 400 + 400. Its moving
    # values are those of both pathways less those of Slow and of the laterals, 2 x (16 + 64 + 128 + 256).
    # No count is published: R50's and 17 further blocks of res4.
    "slow_r101_8x8": (32_454_096 + 17 * BLOCK[3], 53_120 + 17 * 3_072, 522),
    "slow_r101_16x8": (32_454_096 + 17 * BLOCK[3], 53_120 + 17 * 3_072, 522),
    "c2d_r50_8x8": (24_327_632, 53_120, 267),
    "c2d_nopool_r50_8x8": (24_327_632, 53_120, 267),
    "i3d_r50_8x8": (28_043_472, 53_120, 267),
    "i3d_r101_8x8": (28_043_472 + 9 * BLOCK[3] + 8 * BLOCK[1], 53_120 + 17 * 3_072, 522),
    "slowfast_r50_4x16_nl": (41_838_680, 60_688 + NONLOCAL_MOVING, 612),
    "slowfast_r50_8x8_nl": (41_838_680, 60_688 + NONLOCAL_MOVING, 612),
    "slowfast_r101_50_50_16x8_nl": (60_080_088, 119_440 + 3 * 2 * 1024, 1098),
    "slow_r50_4x16_nl": (39_812_560, 53_120 + NONLOCAL_MOVING, 327),
    "slow_r50_8x8_nl": (39_812_560, 53_120 + NONLOCAL_MOVING, 327),
    # The published counts give what five blocks add to Slow; they add the same to C2D.
    "c2d_r50_8x8_nl": (24_327_632 + 39_812_560 - 32_454_096, 53_120 + NONLOCAL_MOVING, 327),
    "i3d_r50_8x8_nl": (35_401_936, 53_120 + NONLOCAL_MOVING, 327),
    "x3d_xs_4x12": (3_794_322, 31_416 + 48, 484),
    "x3d_s_13x6": (3_794_322, 31_416 + 48, 484),
    "x3d_m_16x5": (3_794_322, 31_416 + 48, 484),
    "x3d_l_16x5": (6_153_432, 66_264 + 48, 975),
    "fast_r50_8x8": (None, 60_688 - 53_120 - 928, 267),
}


@pytest.fixture(scope="module")
def tiny():
    """A tiny network with two heads; tests must not change its weights."""
    return wake_up(build(tiny_variant(), heads=HEADS))


# --- every row -------------------------------------------------------------------------------------------------------


def count(weights):
    return sum(int(np.prod(weight.shape)) for weight in weights)


@pytest.fixture
def quick_start(monkeypatch):
    """Kernels of zeros: drawing 35 to 60 million random numbers is most of the time of building a network."""

    def zeros(self, shape, dtype=None, **_):
        return keras.ops.zeros(shape, dtype)

    monkeypatch.setattr(keras.initializers.VarianceScaling, "__call__", zeros)
    monkeypatch.setattr(keras.initializers.RandomNormal, "__call__", zeros)


@pytest.mark.parametrize("name", COUNTS)
def test_parameters_of_published_rows(name, quick_start):
    model = build(name)
    parameters, moving, tensors = COUNTS[name]
    weights = canonical_weights(model)
    if parameters is None:
        both = canonical_weights(build("slowfast_r50_8x8"))
        parts = [weight for key, weight in both.items() if key.startswith("fast/") and "/moving_" not in key]
        parameters = count(parts) + 256 * 400 + 400
    assert count(model.trainable_weights) == parameters
    assert count(weight for key, weight in weights.items() if "/moving_" in key) == moving
    assert len(weights) == tensors
    assert model.name == name and model.clip == variant(name).clip
    assert model.input_shape == (None, variant(name).clip.frames, None, None, 3)
    widths = {"slow": 2048, "fast": 256}
    pooled = sum(widths[path] for path in model.variant.pathways)  # X3D's lin5 has the width of Slow's res5
    assert model.endpoints["pooled"].shape == (None, pooled)


@pytest.mark.parametrize(
    ("name", "fields", "parameters", "tensors"),
    [
        ("slowfast_r50_8x8", {"lateral_kernel": 5}, 34_479_288, 536),
        ("slowfast_r50_8x8", {}, 34_565_560, 536),
        ("slowfast_r50_4x16", {}, 34_479_288, 536),
        ("slowfast_r101_8x8", {"lateral_kernel": 7}, 62_912_312, 1046),
        ("slowfast_r101_r50_4x16", {}, 62_384_312, 791),
    ],
)
def test_parameters_of_mmaction2(name, fields, parameters, tensors, quick_start):
    """No batch norm on the laterals; its R101 has lateral kernels of 7 where FAIR's have 5."""
    model = build(variant(name, lateral_norm=False, slow_frames="stride", **fields))
    assert count(model.trainable_weights) == parameters
    assert len(canonical_weights(model)) == tensors


@pytest.mark.parametrize(("name", "parameters"), [("x3d_s_13x6", 3_794_274), ("x3d_l_16x5", 6_153_384)])
def test_parameters_of_pytorchvideos_x3d(name, parameters, quick_start):
    """It has no batch norm on the first shortcut."""
    assert count(build(variant(name, first_shortcut_norm=False)).trainable_weights) == parameters


def test_all_rows_are_counted_or_nano():
    assert {*COUNTS, *NANO} == set(VARIANTS)


@pytest.mark.slow
@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("size", [(64, 64), (112, 80)])
def test_published_rows_run(name, size):
    model = wake_up(build(name, heads=HEADS))
    for layer in model.layers:
        if isinstance(layer, BatchNorm) and "_nonlocal" in layer.name:
            # Dot products grow with the cube of the features, so that five in a row may overflow: these blocks stay
            # muted, as they start. Small networks try them awake (test_models_nonlocal_block.py).
            layer.gamma.assign(keras.ops.zeros_like(layer.gamma))
    frames = random_clip(model.variant, 1, *size)
    check_forward(model, frames)
    check_shapes(model, frames)


@pytest.mark.parametrize("name", NANO)
def test_nano_rows(name, tmp_path):
    model = build(name, heads=HEADS)
    frames = random_clip(model.variant)
    check_forward(model, frames)
    check_shapes(model, frames)
    check_gradients(model, frames)
    check_saving(model, frames, tmp_path)
    missing = {w.path for w in model.trainable_weights} - {w.path for w in canonical_weights(model).values()}
    assert not missing, "weights without a canonical name are neither checked nor carried over"


# --- options ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"embedding": 5, "dropout": 0.0, "bn": "sync"},
        {"row": {"head_fusion": "interpolate_then_concat", "head_average": "logits"}, "bn": "frozen"},
        {"row": {"lateral": "none", "head_pool": "global"}, "dtype": "mixed_bfloat16"},
        {"features_only": True, "embedding": 5},
    ],
    ids=["embedding", "interpolate", "bfloat16", "features"],
)
def test_options_survive_saving(options, tmp_path):
    options = dict(options)
    row = tiny_variant(**options.pop("row", {}))
    model = build(row, heads=HEADS, **options)
    again = check_saving(model, random_clip(row), tmp_path)
    assert [layer.dtype_policy.name for layer in again.layers] == [layer.dtype_policy.name for layer in model.layers]
    assert [getattr(layer, "policy", None) for layer in again.layers] == [
        getattr(layer, "policy", None) for layer in model.layers
    ]


def test_a_file_keeps_its_policy_under_another_global_one(tmp_path):
    build(tiny_variant(), heads=HEADS).save(tmp_path / "model.keras")
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        again = keras.models.load_model(tmp_path / "model.keras")
        fresh = build(tiny_variant(), heads=HEADS)
    finally:
        keras.config.set_dtype_policy("float32")
    computing = [layer for layer in again.layers if not isinstance(layer, keras.layers.InputLayer)]
    assert {layer.compute_dtype for layer in computing} == {"float32"}
    assert fresh.get_layer("fast_stem_conv").compute_dtype == "bfloat16"


def test_config_is_complete():
    assert own_layers(classifier.__name__) == {VideoClassifier}
    values = {
        "variant": tiny_variant(),
        "heads": HEADS,
        "embedding": 5,
        "dropout": 0.25,
        "bn": "frozen",
        "recompute": True,
        "features_only": True,
        "dtype": "mixed_bfloat16",
        "name": "mine",
    }
    check_config(VideoClassifier, values, given=("variant", "heads", "dtype"))
    config = json.loads(json.dumps(VideoClassifier(**values).get_config()))
    assert config["heads"]["action"]["labels"] == ["run", "sit", "eat", "read"]
    again = VideoClassifier.from_config(config)
    assert again.variant == values["variant"] and again.name == "mine"
    assert again.get_layer("fast_stem_conv").dtype_policy.name == "mixed_bfloat16"


def test_attributes(tiny):
    assert tiny.variant == tiny_variant() and tiny.clip == ClipSpec(8, 2)
    assert dict(tiny.heads) == {"verb": Head(3), "action": HEADS["action"]}
    assert list(tiny.output) == ["verb", "action"]
    names = [f"{path}_{stage}" for stage in ("stem", "res2", "res3") for path in ("slow", "fast")]
    assert list(tiny.endpoints) == [*names, "pooled", "verb_logits", "action_logits", "verb", "action"]


def test_bfloat16_gives_float32_probabilities(tiny):
    model = build(tiny.variant, heads=HEADS, dtype="mixed_bfloat16")
    model.set_weights(tiny.get_weights())
    frames = random_clip(tiny.variant)
    check_forward(model, frames)
    for name, expected in tiny(frames).items():
        np.testing.assert_allclose(model(frames)[name], expected, atol=0.02)
    check_gradients(model, frames)
    assert model.get_layer("slow_res2_block0_conv_a").compute_dtype == "bfloat16"
    assert {weight.dtype for weight in model.weights if "seed" not in weight.path} == {"float32"}
    assert {model.endpoints[name].dtype for name in ("pooled", "verb_logits", "verb")} == {"float32"}
    assert model.endpoints["slow_res3"].dtype == "bfloat16"


@pytest.mark.parametrize("embedding", [None, 5])
def test_features_only(embedding):
    row = tiny_variant()
    frames = random_clip(row)
    model = build(row, features_only=True, embedding=embedding)
    everything = wake_up(build(row, heads=HEADS, embedding=embedding))
    weights = canonical_weights(everything)
    for name, weight in canonical_weights(model).items():
        weight.assign(weights[name])
    names = [f"{path}_{stage}" for stage in ("stem", "res2", "res3") for path in ("slow", "fast")]
    names += ["pooled", "embedding"] if embedding else ["pooled"]
    assert list(model.output) == list(model.endpoints) == names
    assert dict(model.heads) == {} and not any(layer.name.startswith("head_") for layer in model.layers)
    got = model(frames)
    expected = keras.Model(everything.input, dict(everything.endpoints))(frames)
    for name in names:
        np.testing.assert_array_equal(got[name], expected[name])
    assert got["pooled"].shape == (2, 32 + 8) and got["slow_res2"].shape == (2, 2, 16, 16, 16)
    check_shapes(model, frames)


def test_seed_makes_the_weights():
    def fresh(seed):
        keras.utils.set_random_seed(seed)
        return build(tiny_variant(fast=None), heads=HEADS).get_weights()

    first, again, other = fresh(1), fresh(1), fresh(2)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


# --- use -------------------------------------------------------------------------------------------------------------


def test_uint8_and_float_frames_are_the_same(tiny):
    frames = random_clip(tiny.variant)
    expected = tiny(frames)
    for same in (frames.astype("float32"), tf.constant(frames), tf.constant(frames, "int32")):
        for name in HEADS:
            np.testing.assert_array_equal(tiny(same)[name], expected[name])
    half = tiny(frames + np.float32(0.5))  # floats are not truncated to whole pixels
    assert np.abs(np.asarray(half["verb"]) - np.asarray(expected["verb"])).max() > 0


def test_predict_takes_every_size(tiny):
    for height, width in ((64, 64), (64, 100), (128, 72)):
        frames = random_clip(tiny.variant, 3, height, width)
        scores = tiny.predict(frames, batch_size=2, verbose=0)
        for name, expected in tiny(frames).items():
            assert scores[name].dtype == "float32"
            reference.assert_close(scores[name], expected)


def test_clips_of_a_batch_do_not_mix(tiny):
    frames = random_clip(tiny.variant, 2)
    together = tiny(frames)
    for index in range(2):
        for name, scores in tiny(frames[index : index + 1]).items():
            reference.assert_close(np.asarray(scores)[0], np.asarray(together[name])[index])


def test_fit_with_a_loss_by_head():
    row = tiny_variant(fast=None)
    model = build(row, heads=HEADS)
    before = model.get_layer("head_verb").get_weights() + model.get_layer("slow_res3_block0_bn_c").get_weights()
    labels = {"verb": np.eye(4, 3, dtype="float32"), "action": np.eye(4, dtype="float32")}
    model.compile("sgd", loss={"verb": "binary_crossentropy", "action": "categorical_crossentropy"})
    dataset = tf.data.Dataset.from_tensors((random_clip(row, 4), labels))
    history = model.fit(dataset, shuffle=False, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    after = model.get_layer("head_verb").get_weights() + model.get_layer("slow_res3_block0_bn_c").get_weights()
    assert all(np.any(old != new) for old, new in zip(before, after, strict=True))


# --- refusals --------------------------------------------------------------------------------------------------------

TAKES = r"tiny takes `frames` of shape \(batch, 8, H, W, 3\), H and W at least 64, RGB from 0 to 255\. Received: shape "
WRONG = {
    (8, 64, 64, 3): r"\(8, 64, 64, 3\), which has 4 axes instead of 5\. Add a batch axis with frames\[None\]",
    (2, 64, 3): r".* which has 3 axes instead of 5\.$",
    (2, 1, 8, 64, 64, 3): ".* which has 6 axes instead of 5",
    (
        2,
        16,
        64,
        64,
        3,
    ): r".* which has 16 frames\. Sample 8 frames with stride 2 at 30 frames a second; repeat the",
    (2, 3, 8, 64, 64): ".* which has 3 frames",
    (2, 8, 64, 64, 1): r".* which has 1 channels\. Give RGB frames, channels last",
    (2, 8, 63, 64, 3): r".* which is too small\. Scale the short side up",
    (2, 8, 64, 32, 3): ".* which is too small",
    (2, 8, 0, 64, 3): ".* which is too small",
}


@pytest.mark.parametrize("shape", WRONG, ids=str)
@pytest.mark.parametrize("use", ["call", "predict", "predict dataset", "fit", "evaluate"])
def test_wrong_frames_are_refused(tiny, use, shape):
    """Also after calls with other shapes, when a traced function of Keras no longer sees any."""
    frames = np.zeros(shape, "uint8")
    run = {
        "call": tiny,
        "predict": tiny.predict,
        "predict dataset": lambda x: tiny.predict(tf.data.Dataset.from_tensors(x)),
        "fit": lambda x: tiny.fit(x, {}),
        "evaluate": lambda x: tiny.evaluate(tf.data.Dataset.from_tensors((x, {}))),
    }[use]
    with pytest.raises(ValueError, match=TAKES + WRONG[shape]):
        run(frames)


def test_unknown_sizes_pass():
    row = variant("slowfast_nano")
    for shape in (None, tf.TensorShape(None), (None,) * 5, tf.TensorShape((None, 32, None, None, 3))):
        check_frames(shape, row)
    with pytest.raises(ValueError, match="16 frames"):
        check_frames(tf.TensorShape((None, 16, None, None, None)), row)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bn": "batch"}, "one of replica, sync, frozen. Received: bn='batch'"),
        ({"dtype": "bfloat16"}, "dtype='float32', 'mixed_bfloat16' or 'mixed_float16'. Received: dtype='bfloat16'"),
        ({"dtype": "float64"}, "Received: dtype='float64'"),
        ({"heads": {}}, "at least one name"),
    ],
)
def test_wrong_options_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        build("slow_nano", **arguments)
    with pytest.raises(ValueError, match=r"no architecture 'slow_nana'\. Did you mean 'slow_nano'"):
        build("slow_nana")
