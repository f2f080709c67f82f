"""Attention over clips: what it starts at, what it can learn that a clip alone cannot, saved and loaded."""

import keras
import numpy as np
import numpy_reference as reference
import pytest
from model_case import check_config, check_layer_shape

from kerasfast.models.clip_attention import ClipAttention, MergeClips, PlaceInVideo
from kerasfast.models.heads import Head

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_configs_are_complete():
    check_config(MergeClips, {"rule": "mean", "name": "merged"})
    check_config(PlaceInVideo, {"name": "place"})


def test_layers_against_numpy():
    x = np.random.default_rng(0).normal(size=(2, 5, 6)).astype("float32")
    for rule, merge in (("max", np.max), ("mean", np.mean)):
        assert check_layer_shape(MergeClips(rule), x) == (2, 6)
        reference.assert_close(MergeClips(rule)(x), merge(x, axis=1), 1e-6)
    places = np.asarray(PlaceInVideo()(np.zeros((1, 5, 6), "float32")))[0]
    reference.assert_close(places[:, 0], np.sin(np.arange(5)), 1e-6)
    reference.assert_close(places[:, 5], np.cos(np.arange(5) * 10_000 ** (-2 / 3)), 1e-6)
    with pytest.raises(ValueError, match=r"rule must be 'max' or 'mean'\. Received: 'sum'"):
        MergeClips("sum")


def test_a_new_model_scores_each_clip_by_itself():
    model = ClipAttention(4, 6, {"action": 3, "scene": Head(2, "softmax")}, width=8, attention_heads=2)
    features = np.random.default_rng(0).normal(size=(5, 4, 6)).astype("float32")
    scores = model(features)
    kernel, bias = model.get_layer("head_action").get_weights()
    reference.assert_close(scores["action"], sigmoid(features @ kernel + bias).max(axis=1), 1e-6)
    kernel, bias = model.get_layer("head_scene").get_weights()
    each = np.exp(features @ kernel + bias)
    reference.assert_close(scores["scene"], (each / each.sum(axis=-1, keepdims=True)).mean(axis=1), 1e-6)


def ordered(videos, seed):
    """Videos of six clips in which A and B come once each; the label says whether A comes first."""
    random = np.random.default_rng(seed)
    features = random.normal(0, 0.1, (videos, 6, 4)).astype("float32")
    first = random.integers(0, 2, videos)
    for video in range(videos):
        early, late = np.sort(random.choice(6, 2, replace=False))
        features[video, early, 1 - first[video]] += 1
        features[video, late, first[video]] += 1
    return features, {"order": first[:, None].astype("float32")}


def test_it_learns_what_no_clip_shows():
    keras.utils.set_random_seed(0)
    model = ClipAttention(6, 4, {"order": 1}, width=16, attention_heads=2, dropout=0.0)
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss="binary_crossentropy", jit_compile=False)
    features, labels = ordered(512, seed=0)
    model.fit(features, labels, epochs=20, batch_size=64, verbose=0)
    unseen, truth = ordered(256, seed=1)
    right = (model.predict(unseen, verbose=0)["order"] > 0.5) == (truth["order"] > 0.5)
    assert right.mean() > 0.9
    # The clips of a video without their order say nothing.
    shuffled = np.stack([video[np.random.default_rng(i).permutation(6)] for i, video in enumerate(unseen)])
    right = (model.predict(shuffled, verbose=0)["order"] > 0.5) == (truth["order"] > 0.5)
    assert right.mean() < 0.65


def test_it_is_saved_and_loaded(tmp_path):
    parts = {"verb": (0, 1, 1)}
    model = ClipAttention(3, 4, {"verb": 2, "action": Head(3, parts=parts)}, width=8, attention_heads=2)
    model.save(tmp_path / "a.keras")
    copy = keras.saving.load_model(tmp_path / "a.keras")
    assert copy.heads == model.heads and copy.get_config() == model.get_config()
    features = np.random.default_rng(0).normal(size=(2, 3, 4)).astype("float32")
    for head, scores in model(features).items():
        np.testing.assert_array_equal(scores, copy(features)[head])


def test_a_width_that_cannot_be_shared_is_refused():
    with pytest.raises(ValueError, match=r"multiple of twice attention_heads\. Received: width=12, attention_heads=4"):
        ClipAttention(3, 4, {"action": 1}, width=12)
