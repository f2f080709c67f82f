import colorsys

import numpy as np
import pytest
import tensorflow as tf

from kerasfast.data.pipeline.color import ColorJitter

GREY = np.array([0.299, 0.587, 0.114])
NOTHING = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0}


def jitter(frames, seed, **amounts):
    """The result of a key, the same eagerly and inside tf.data, at a static shape."""
    call = ColorJitter(**NOTHING | amounts)
    eager = call(tf.constant(frames), tf.constant([7, seed]))
    data = tf.data.Dataset.from_tensors((frames, [7, seed])).map(call)
    assert data.element_spec == tf.TensorSpec(frames.shape, tf.uint8)
    np.testing.assert_array_equal(eager, next(iter(data)))
    return eager.numpy()


def blend(frames, other, factor):
    return factor * frames + (1 - factor) * other


def blended(name, frames, factor):
    """One of the three blends, written out, on float frames (T, H, W, 3)."""
    grey = (frames @ GREY)[..., None]
    others = {"brightness": 0.0, "contrast": grey.mean(axis=(1, 2), keepdims=True), "saturation": grey}
    return blend(frames, others[name], factor)


def turned(frames, turns):
    """Hue by the formulas of HSV, on float frames of any values: the largest and the smallest channel stay."""
    largest, smallest = frames.max(axis=-1), frames.min(axis=-1)
    chroma = np.maximum(largest - smallest, 1e-9)
    red, green, blue = np.moveaxis(frames, -1, 0)
    sixths = np.where(
        largest == red,
        (green - blue) / chroma,
        np.where(largest == green, 2 + (blue - red) / chroma, 4 + (red - green) / chroma),
    )
    places = (np.array([5, 3, 1]) + (sixths + 6 * turns)[..., None]) % 6
    return largest[..., None] - chroma[..., None] * np.clip(np.minimum(places, 4 - places), 0, 1)


def as_stored(frames):
    return np.clip(np.floor(frames + 0.5), 0, 255)


def fitted(frames, found, function, candidates):
    """The candidate whose `function` comes nearest to what was found, and the largest difference left."""
    errors = [np.abs(as_stored(function(frames.astype(float), value)) - found).max() for value in candidates]
    return candidates[int(np.argmin(errors))], min(errors)


@pytest.fixture
def frames():
    # Frames of different brightness, so that a mean over all of them would show.
    noise = np.random.default_rng(0).integers(0, 150, (3, 12, 16, 3))
    return (noise + np.array([0, 50, 105])[:, None, None, None]).astype(np.uint8)


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
@pytest.mark.parametrize("seed", range(3))
def test_one_factor_blends_all_frames(frames, name, seed):
    found = jitter(frames, seed, **{name: 0.4})
    grid = np.linspace(0.6, 1.4, 801)
    factor, error = fitted(frames, found, lambda x, f: blended(name, x, f), grid)
    assert error <= 1  # the grid is 0.001 wide: a quarter of a level, which rounding can make one
    assert np.abs(found.astype(int) - frames).max() > 2, "nothing happened"
    assert 0.6 <= factor <= 1.4


def test_hue_of_this_test_is_that_of_python():
    for pixel in np.random.default_rng(2).uniform(0, 1, (20, 3)):
        hue, saturation, value = colorsys.rgb_to_hsv(*pixel)
        np.testing.assert_allclose(turned(pixel, 0.2), colorsys.hsv_to_rgb((hue + 0.2) % 1, saturation, value))


@pytest.mark.parametrize("seed", range(3))
def test_one_turn_shifts_the_hue_of_all_frames(frames, seed):
    found = jitter(frames, seed, hue=0.3)
    turns, error = fitted(frames, found, turned, np.linspace(-0.3, 0.3, 301))
    assert error <= 2  # the grid is 0.002 wide: 6 * 0.001 * 255 = 1.5 levels of the steepest channel
    assert abs(turns) > 0.01


def test_three_blends_commute():
    """Why `_blended` needs no order: unclipped, any gives the same picture."""
    frames = np.random.default_rng(1).uniform(0, 255, (2, 5, 7, 3))
    factors = {"brightness": 1.3, "contrast": 0.7, "saturation": 1.6}
    results = []
    for order in (("brightness", "contrast", "saturation"), ("saturation", "contrast", "brightness")):
        result = frames
        for name in order:
            result = blended(name, result, factors[name])
        results.append(result)
    np.testing.assert_allclose(*results, rtol=0, atol=1e-9)


def test_blends_together_are_the_blends_one_by_one(frames):
    """The factors of a key do not depend on which others are wanted, so each can be found on its own."""
    amounts = {"brightness": 0.2, "contrast": 0.3, "saturation": 0.5}
    for seed in range(3):
        expected = frames.astype(float)
        for name, amount in amounts.items():
            alone = jitter(frames, seed, **{name: amount})
            grid = np.linspace(1 - amount, 1 + amount, 2001)
            factor, _ = fitted(frames, alone, lambda x, f, n=name: blended(n, x, f), grid)
            expected = blended(name, expected, factor)
        # Three factors, each known to about a level.
        assert np.abs(jitter(frames, seed, **amounts) - as_stored(expected)).max() <= 4


def test_hue_comes_before_saturation_as_often_as_after(frames):
    """The two do not commute, as a turn changes what is grey."""
    few = frames[:1, :4, :4]
    results = []
    for amounts in ({"saturation": 0.9, "hue": 0.5}, {"saturation": 0.9}, {"hue": 0.5}):
        call = ColorJitter(**NOTHING | amounts)
        clips = tf.data.Dataset.range(60).map(lambda n, call=call: call(tf.constant(few), tf.stack([7, n])))
        results.append([clip.astype(int) for clip in clips.as_numpy_iterator()])
    differences, shifts = [], []
    for both, saturated, shifted in zip(*results, strict=True):
        factor, _ = fitted(few, saturated, lambda x, f: blended("saturation", x, f), np.linspace(0.1, 1.9, 721))
        turns, _ = fitted(few, shifted, turned, np.linspace(-0.5, 0.5, 501))
        shifts.append(turns)
        early = turned(blended("saturation", few.astype(float), factor), turns)
        late = blended("saturation", turned(few.astype(float), turns), factor)
        differences.append([np.abs(both - as_stored(order)).max() for order in (early, late)])
    assert min(shifts) < -0.4 and max(shifts) > 0.4  # either is missed with (9/10)^60 = 0.002
    differences = np.array(differences)
    # Factor and turn are known to about a level; where the two orders are further apart than that, one is right.
    assert differences.min(axis=1).max() <= 4
    told = differences[differences.max(axis=1) > 8]
    assert len(told) >= 30
    share = (told[:, 0] < told[:, 1]).mean()
    assert 0.2 < share < 0.8  # more than three standard deviations of 30 draws


@pytest.mark.parametrize(("amount", "low", "high"), [(0.4, 0.6, 1.4), (1.5, 0.0, 2.5)])
def test_factors_are_uniform_and_not_negative(amount, low, high):
    grey = np.full((1, 2, 2, 3), 100, np.uint8)
    call = ColorJitter(**NOTHING | {"brightness": amount})
    keys = tf.data.Dataset.range(400).map(lambda seed: call(tf.constant(grey), tf.stack([3, seed])))
    factors = np.array([frames[0, 0, 0, 0] for frames in keys.as_numpy_iterator()]) / 100
    assert low <= factors.min() <= low + 0.05 * (high - low)
    assert high - 0.05 * (high - low) <= factors.max() <= high
    # The mean of 400 uniform draws has a standard deviation of 0.0144 of the range.
    assert abs(factors.mean() - (low + high) / 2) <= 0.06 * (high - low)


def test_results_are_rounded():
    """Rounded down, a level of 1 would be 0 at a factor of 0.6 to 1."""
    call = ColorJitter(**NOTHING | {"brightness": 0.4})
    for seed in range(20):
        assert (call(tf.ones((1, 2, 2, 3), tf.uint8), tf.constant([3, seed])).numpy() == 1).all()


def test_nothing_to_change_changes_nothing(frames):
    np.testing.assert_array_equal(jitter(frames, 0), frames)


def test_the_default_draws_a_clip_for_each_key(frames):
    call = ColorJitter()
    first, again, other = (call(tf.constant(frames), tf.constant(key, tf.int64)) for key in ([1, 2], [1, 2], [1, 3]))
    np.testing.assert_array_equal(first, again)
    assert (np.asarray(first) != np.asarray(other)).any()


def test_frames_of_unknown_size(frames):
    call = ColorJitter(hue=0.1)
    signature = [tf.TensorSpec((None, None, None, 3), tf.uint8), tf.TensorSpec((2,), tf.int64)]
    found = tf.function(call.__call__, input_signature=signature)(frames, [1, 2])
    np.testing.assert_array_equal(found, call(tf.constant(frames), tf.constant([1, 2])))


@pytest.mark.parametrize(
    ("field", "value"), [("brightness", -0.1), ("contrast", np.nan), ("saturation", np.inf), ("hue", 0.51), ("hue", -1)]
)
def test_bad_amounts(field, value):
    with pytest.raises(ValueError, match=rf"ColorJitter\.{field} must be .* Received: {field}="):
        ColorJitter(**{field: value})
