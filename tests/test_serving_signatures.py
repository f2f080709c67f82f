import keras
import numpy as np
import pytest
import tensorflow as tf
from model_case import random_clip
from serving_case import centre_views, jpeg_clips, largest_difference, small_variant, spread_model

from kerasfast.data.clips import ClipSpec
from kerasfast.serving.signatures import SIGNATURES, request_shape, signatures

RULES = {"verb": "max", "action": "mean"}


@pytest.fixture(scope="module")
def model():
    return spread_model(small_variant())


@pytest.fixture(scope="module")
def features(model):
    return keras.Model(model.input, model.endpoints["pooled"])


@pytest.fixture(scope="module")
def functions(model):
    network = keras.Model(model.input, {**model.output, "pooled": model.endpoints["pooled"]})
    return signatures(network, model.variant, RULES)


def test_inputs_and_outputs_carry_the_names_of_the_contract(functions, model):
    assert tuple(functions) == SIGNATURES
    for name, dtype, rank in (
        ("serving_default", tf.uint8, 5),
        ("jpeg_frames", tf.string, 2),
        ("views", tf.uint8, 6),
        ("features", tf.uint8, 5),
    ):
        positional, inputs = functions[name].structured_input_signature
        specs = [*positional, *inputs.values()]
        assert [(spec.name, spec.dtype, spec.shape.rank) for spec in specs] == [("frames", dtype, rank)]
        expected = request_shape(name, model.variant)
        assert (expected.dtype, len(expected.axes)) == (dtype.name, rank)
        outputs = functions[name].structured_outputs
        shapes = {"pooled": (None, 32)} if name == "features" else {"verb": (None, 4), "action": (None, 7)}
        assert {key: tuple(spec.shape) for key, spec in outputs.items()} == shapes
        assert all(spec.dtype == tf.float32 for spec in outputs.values())


def test_a_request_shape_says_what_to_send(model):
    shape = request_shape("views", model.variant)
    assert str(shape) == "(batch, views, 8, H, W, 3)"
    assert shape.sizes(batch=2, views=30, H=64, W=80) == (2, 30, 8, 64, 80, 3)


def test_only_the_chosen_signatures_are_traced(model):
    assert list(signatures(model, model.variant, RULES, ("views", "serving_default"))) == ["views", "serving_default"]


def test_views_of_a_video_are_merged_by_the_rule_of_each_head(model, functions):
    views = np.stack([random_clip(model.variant, 2, 64, 80, seed=seed) for seed in range(3)], axis=1)
    single = [model(views[:, view]) for view in range(3)]
    expected = {
        "verb": np.max([np.asarray(scores["verb"]) for scores in single], axis=0),
        "action": np.mean([np.asarray(scores["action"]) for scores in single], axis=0),
    }
    scores = functions["views"](frames=tf.constant(views))
    assert largest_difference(scores, expected) <= 1e-5
    for other in single:
        assert largest_difference(scores, other) > 1e-3, "these views are too alike to show a merge"
    assert largest_difference(functions["views"](frames=tf.constant(views[:, 1:2])), single[1]) <= 1e-5


def test_features_are_what_the_heads_see(model, functions, features):
    frames = random_clip(model.variant, 2, 96, 72)
    found = functions["features"](frames=tf.constant(frames))
    assert list(found) == ["pooled"]
    np.testing.assert_allclose(found["pooled"], features(frames), atol=1e-5)


@pytest.mark.parametrize(
    "shape", [(1, 0, 8, 64, 64, 3), (0, 2, 8, 64, 64, 3), (1, 2, 7, 64, 64, 3), (1, 2, 8, 64, 60, 3)]
)
def test_other_views_end_in_a_status(functions, shape):
    rule = r"takes uint8 frames of shape \(batch, views, 8, H, W, 3\), batch and views at least 1"
    with pytest.raises(tf.errors.InvalidArgumentError, match=rule):
        functions["views"](frames=tf.zeros(shape, tf.uint8))


@pytest.mark.parametrize(("height", "width"), [(64, 64), (80, 113), (121, 72), (50, 61)])
def test_jpeg_clips_are_seen_as_their_scaled_centre(model, functions, height, width):
    files = jpeg_clips(2, model.clip.frames, height, width)
    views = centre_views(files, model.variant.test_crop_size)
    scores = functions["jpeg_frames"](frames=tf.constant(files.tolist()))
    assert largest_difference(scores, model(views)) <= 1e-5
    moved = model(np.roll(views, 1, axis=3))
    assert largest_difference(scores, moved) > 1e-3, "this clip would not show a crop that is off by a pixel"


def test_a_gray_jpeg_is_seen_in_three_channels(model, functions):
    gray = tf.io.encode_jpeg(np.full((64, 64, 1), 90, np.uint8)).numpy()
    scores = functions["jpeg_frames"](frames=tf.fill((1, model.clip.frames), gray))
    assert largest_difference(scores, model(np.full((1, model.clip.frames, 64, 64, 3), 90, np.uint8))) <= 1e-5


@pytest.mark.parametrize(
    "shape",
    [(1, 7, 64, 64, 3), (1, 9, 64, 64, 3), (1, 0, 64, 64, 3), (0, 8, 64, 64, 3), (2, 32, 64, 64, 3), (1, 8, 63, 80, 3)],
)
def test_other_frames_end_in_a_status_that_says_what_is_needed(functions, shape):
    for name in ("features", "serving_default"):
        with pytest.raises(tf.errors.InvalidArgumentError) as error:
            functions[name](frames=tf.zeros(shape, tf.uint8))
    assert "tiny takes uint8 frames of shape (batch, 8, H, W, 3), batch at least 1, H and W at least 64" in str(
        error.value
    )
    assert "stride 2 at 30 frames a second" in str(error.value)
    assert f"Received: shape [{' '.join(map(str, shape))}]" in str(error.value)


@pytest.mark.parametrize(("clips", "frames"), [(2, 0), (2, 7), (1, 9), (0, 8)])
def test_another_number_of_jpeg_frames_ends_in_a_status(functions, clips, frames):
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"takes JPEG frames of shape \(batch, 8\)") as error:
        functions["jpeg_frames"](frames=tf.fill((clips, frames), b"never decoded"))
    assert f"Received: shape [{clips} {frames}]" in str(error.value)


def with_one(files, bad):
    files[-1, 1] = bad
    return tf.constant(files.tolist())


def test_bytes_that_are_no_jpeg_end_in_a_status(model, functions):
    files = jpeg_clips(2, model.clip.frames, 64, 64)
    whole = files[-1, 1]
    for bad in (b"", b"no picture", whole[:40], whole[: len(whole) // 2]):
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"(?i)jpeg|image"):
            functions["jpeg_frames"](frames=with_one(files, bad))


@pytest.mark.parametrize(("height", "width"), [(4097, 1024), (64, 520), (520, 64)])
def test_pictures_that_would_fill_the_memory_end_in_a_status(model, functions, height, width):
    bad = tf.io.encode_jpeg(np.zeros((height, width, 3), np.uint8)).numpy()
    with pytest.raises(tf.errors.InvalidArgumentError, match="may have up to 4096 pixels a side") as error:
        functions["jpeg_frames"](frames=with_one(jpeg_clips(1, model.clip.frames, 64, 64), bad))
    assert f"Received: shape [{height} {width}]" in str(error.value)


@pytest.mark.parametrize("frames", [4, 32])
def test_the_frames_that_are_decoded_at_once_do_not_grow_with_the_clip(frames):
    variant = small_variant(clip=ClipSpec(frames, 2))
    functions = signatures(
        lambda clips, training: {"verb": tf.reduce_mean(clips, (1, 2, 3))}, variant, {"verb": "max"}, ("jpeg_frames",)
    )
    graph = functions["jpeg_frames"].graph.as_graph_def()
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    (loop,) = (node for node in nodes if node.op in ("While", "StatelessWhile"))
    assert loop.attr["parallel_iterations"].i == 8


def test_a_request_may_mix_clips_of_different_sizes(model, functions):
    size = model.variant.test_crop_size
    small, large = jpeg_clips(1, model.clip.frames, 64, 96), jpeg_clips(1, model.clip.frames, 140, 100, seed=1)
    scores = functions["jpeg_frames"](frames=tf.constant([*small.tolist(), *large.tolist()]))
    views = np.concatenate([centre_views(small, size), centre_views(large, size)])
    assert largest_difference(scores, model(views)) <= 1e-5


def test_pixels_of_any_size_give_the_scores_of_the_model(model, functions):
    for batch, height, width in ((1, 64, 64), (3, 96, 72)):
        frames = random_clip(model.variant, batch, height, width)
        assert largest_difference(functions["serving_default"](frames=tf.constant(frames)), model(frames)) <= 1e-5
