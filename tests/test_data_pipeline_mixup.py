import numpy as np
import pytest
import tensorflow as tf

from kerasfast.data.pipeline.mixup import mixup


def batch(size):
    rng = np.random.default_rng(size)
    targets = {"verb": rng.integers(0, 2, (size, 5)), "noun": np.eye(7)[rng.integers(0, 7, size)]}
    frames = rng.integers(0, 256, (size, 3, 6, 8, 3), np.uint8)
    return frames, {head: target.astype(np.float32) for head, target in targets.items()}


def both_ways(frames, targets, key, alpha):
    """The result of a key, the same eagerly and inside tf.data, at static shapes."""
    eager = mixup(tf.constant(frames), {head: tf.constant(x) for head, x in targets.items()}, tf.constant(key), alpha)
    data = tf.data.Dataset.from_tensors((frames, targets, key)).map(lambda *given: mixup(*given, alpha))
    assert data.element_spec == (
        tf.TensorSpec(frames.shape, tf.uint8),
        {head: tf.TensorSpec(target.shape, tf.float32) for head, target in targets.items()},
    )
    for one, other in zip(tf.nest.flatten(eager), tf.nest.flatten(next(iter(data))), strict=True):
        np.testing.assert_array_equal(one, other)
    return tf.nest.map_structure(np.asarray, eager)


def weights_of(alpha, draws):
    """Many draws, each read off a batch of a clip of class 0 and a clip of class 1."""
    frames, targets = tf.zeros((2, 1, 1, 1, 3), tf.uint8), {"a": tf.eye(2)}
    keys = tf.data.Dataset.range(draws)
    return np.array([y[0, 0] for y in keys.map(lambda n: mixup(frames, targets, [5, n], alpha)[1]["a"])])


@pytest.mark.parametrize("size", [2, 5])
@pytest.mark.parametrize("seed", range(3))
def test_one_weight_blends_frames_and_targets_with_the_reversed_batch(size, seed):
    frames, targets = batch(size)
    mixed, labels = both_ways(frames, targets, [11, seed], 0.8)
    weight = np.float64(mixup(frames[:2], {"a": tf.eye(2)}, [11, seed], 0.8)[1]["a"][0, 0])
    assert 0 < weight < 1
    expected = weight * frames + (1 - weight) * frames[::-1]
    assert np.abs(mixed - expected).max() <= 0.5 + 1e-4  # rounded, not truncated
    for head, target in targets.items():
        np.testing.assert_allclose(labels[head], weight * target + (1 - weight) * target[::-1], atol=1e-6)
    assert (labels["verb"] != targets["verb"]).any()


def test_the_middle_of_an_odd_batch_stays():
    frames, targets = batch(3)
    mixed, labels = both_ways(frames, targets, [1, 2], 0.8)
    np.testing.assert_array_equal(mixed[1], frames[1])
    np.testing.assert_allclose(labels["noun"][1], targets["noun"][1], atol=1e-6)
    assert (mixed[0] != frames[0]).any()


def test_a_batch_of_unknown_size():
    frames, targets = batch(5)
    specs = tf.nest.map_structure(lambda x: tf.TensorSpec((None, *x.shape[1:]), x.dtype), (frames, targets))
    traced = tf.function(lambda x, y: mixup(x, y, tf.constant([1, 2]), 0.8), input_signature=specs)
    mixed, labels = traced(frames, targets)
    expected, expected_labels = both_ways(frames, targets, [1, 2], 0.8)
    np.testing.assert_array_equal(mixed, expected)
    np.testing.assert_array_equal(labels["noun"], expected_labels["noun"])


@pytest.mark.parametrize("alpha", [0.2, 0.8, 1.0, 4.0])
def test_weights_are_beta_distributed(alpha):
    weights = weights_of(alpha, 1000)
    assert ((weights >= 0) & (weights <= 1)).all()
    variance = 1 / (4 * (2 * alpha + 1))  # of Beta(alpha, alpha)
    # Four standard deviations of either; that of the variance is below 4 %, at alpha = 4.
    assert abs(weights.mean() - 0.5) < 4 * np.sqrt(variance / 1000)
    assert weights.var() == pytest.approx(variance, rel=0.15)


def test_tiny_alpha_draws_ends_and_no_nan():
    weights = weights_of(0.001, 300)
    assert np.isfinite(weights).all()
    # Between 0.001 and 0.999 lies a share of about alpha * log(999) = 0.007.
    assert ((weights < 1e-3) | (weights > 1 - 1e-3)).mean() > 0.95
    assert 0.35 < (weights > 0.5).mean() < 0.65


@pytest.mark.parametrize("alpha", [0.0, -1.0, np.nan, np.inf])
def test_bad_alpha(alpha):
    frames, targets = batch(2)
    with pytest.raises(ValueError, match=r"alpha must be positive and finite\. Received: alpha="):
        mixup(frames, targets, [1, 2], alpha)
