import itertools

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance, ImageOps

from kerasfast.data.pipeline import augment_ops
from kerasfast.data.pipeline.rand_augment import OPS, RandAugment

SIZE = (24, 37)  # height, width
DIRECTED = ("rotate", "shear_x", "shear_y", "translate_x", "translate_y")
LEVELS = (0.0, 2.0, 6.3, 9.4, 10.0)


def moved(coefficients):
    options = {"resample": Image.Resampling.BILINEAR, "fillcolor": (128, 128, 128)}
    return lambda picture: picture.transform(picture.size, Image.Transform.AFFINE, coefficients, **options)


def posterized(picture, bits):
    # Pillow refuses 0 bits.
    return ImageOps.posterize(picture, bits) if bits else picture.point(3 * [0] * 256)


def solarized_add(amount):
    table = [value + amount if value < 128 else value for value in range(256)]
    return lambda picture: picture.point(3 * table)


def by_pillow(name, level, sign):
    """What timm has Pillow do at a level of the increasing form, as a function on pictures."""
    height, width = SIZE
    enhanced = 1 + sign * 0.09 * level
    slope, part = sign * 0.03 * level, sign * 0.045 * level
    bilinear = Image.Resampling.BILINEAR
    return {
        "auto_contrast": ImageOps.autocontrast,
        "equalize": ImageOps.equalize,
        "invert": ImageOps.invert,
        "rotate": lambda x: x.rotate(sign * 3 * level, resample=bilinear, fillcolor=(128, 128, 128)),
        "posterize": lambda x: posterized(x, 4 - int(0.4 * level)),
        "solarize": lambda x: ImageOps.solarize(x, 256 - int(25.6 * level)),
        "solarize_add": solarized_add(int(11 * level)),
        "color": lambda x: ImageEnhance.Color(x).enhance(enhanced),
        "contrast": lambda x: ImageEnhance.Contrast(x).enhance(enhanced),
        "brightness": lambda x: ImageEnhance.Brightness(x).enhance(enhanced),
        "sharpness": lambda x: ImageEnhance.Sharpness(x).enhance(enhanced),
        "shear_x": moved((1, slope, 0, 0, 1, 0)),
        "shear_y": moved((1, 0, 0, slope, 1, 0)),
        "translate_x": moved((1, 0, part * width, 0, 1, 0)),
        "translate_y": moved((1, 0, 0, 0, 1, part * height)),
    }[name]


def each(frames, function):
    return np.stack([np.asarray(function(Image.fromarray(frame))) for frame in frames])


def run(name, frames, level, sign):
    found = OPS[name](tf.constant(frames), tf.constant(level), tf.constant(sign))
    assert found.dtype == tf.uint8
    return found.numpy()


def both_ways(call, frames, key):
    """The result of a key, the same eagerly and inside tf.data, at a static shape."""
    eager = call(tf.constant(frames), tf.constant(key))
    data = tf.data.Dataset.from_tensors((frames, key)).map(call)
    assert data.element_spec == tf.TensorSpec(frames.shape, tf.uint8)
    np.testing.assert_array_equal(eager, next(iter(data)))
    return eager.numpy()


def only(*names, **options):
    """Draws of these operations alone, which always run."""
    defaults = {"ops": 1, "probability": 1.0, "magnitude_std": 0.0}
    return RandAugment(**defaults | options, exclude=tuple(name for name in OPS if name not in names))


def draws(call, count):
    """(operation, level, sign) of many keys, as their first operation draws them."""
    zero = tf.constant(0, tf.int64)
    drawn = tf.data.Dataset.range(count).map(lambda n: call._draw(tf.stack([9, n]), zero, len(OPS) - len(call.exclude)))
    return (np.array(column) for column in zip(*drawn.as_numpy_iterator(), strict=True))


@pytest.fixture(scope="module")
def frames():
    """Noise of different range in each frame and channel, so that a statistic of several shows; the last is even."""
    rng = np.random.default_rng(3)
    low, high = np.array([0, 30, 80, 100]), np.array([256, 200, 240, 255])
    noise = [rng.integers(a + 5 * c, b - 4 * c, SIZE) for a, b in zip(low, high, strict=True) for c in range(3)]
    frames = np.stack(noise).reshape(4, 3, *SIZE).transpose(0, 2, 3, 1).astype(np.uint8)
    return np.concatenate([frames, np.full((1, *SIZE, 3), 77, np.uint8)])


@pytest.mark.parametrize(("name", "level", "sign"), [*itertools.product(OPS, LEVELS, (-1.0, 1.0))])
def test_operations_are_those_of_pillow(frames, name, level, sign):
    found = run(name, frames, level, sign)
    expected = each(frames, by_pillow(name, level, sign))
    difference = np.abs(found.astype(int) - expected)
    # Tables are exact. Blends and interpolation are in float32 here, partly in double in Pillow, and round down.
    exact = ("auto_contrast", "equalize", "invert", "posterize", "solarize", "solarize_add")
    assert difference.max() <= (0 if name in exact else 1)
    assert (difference > 0).mean() < 0.02
    if level == 10 or name in exact[:3]:
        assert (expected != frames).mean() > 0.1, "the operation changes nothing, so the comparison says nothing"


@pytest.mark.parametrize("size", [(3, 3), (16, 16), (20, 30)])
def test_equalize_of_few_pixels(size):
    """Below 255 pixels a channel stays; a little above, levels of the table exceed 255."""
    few = np.random.default_rng(1).integers(0, 256, (2, *size, 3), np.uint8)
    few[1, ..., 0] //= 100  # few levels
    np.testing.assert_array_equal(augment_ops.equalize(tf.constant(few)), each(few, ImageOps.equalize))


@pytest.mark.parametrize(("bright", "mean"), [(2, 101), (1, 100)])
def test_contrast_is_around_the_rounded_mean(bright, mean):
    frame = np.full((1, 4, 4, 3), 100, np.uint8)
    frame[:, :bright] = 101  # a mean of 100.5 or 100.25
    found = augment_ops.contrast(tf.constant(frame), tf.constant(0.0))
    assert (found.numpy() == mean).all()
    np.testing.assert_array_equal(found, each(frame, lambda x: ImageEnhance.Contrast(x).enhance(0.0)))


@pytest.mark.parametrize("size", [(8, 31), (31, 8)])
def test_rotation_is_about_the_centre_of_any_shape(size):
    tall = np.random.default_rng(1).integers(0, 256, (1, *size, 3), np.uint8)
    for degrees in (-30.0, 12.5, 90.0):
        found = augment_ops.rotate(tf.constant(tall), tf.constant(degrees)).numpy().astype(int)
        pillow = each(tall, lambda x, d=degrees: x.rotate(d, Image.Resampling.BILINEAR, fillcolor=(128, 128, 128)))
        assert np.abs(found - pillow).max() <= 1


@pytest.mark.parametrize("name", OPS)
def test_all_frames_of_a_clip_are_treated_alike(frames, name):
    same = np.repeat(frames[1:2], 4, axis=0)
    found = both_ways(only(name), same, [3, 4])
    assert (found != same).any()
    np.testing.assert_array_equal(found, found[:1].repeat(4, axis=0))
    expected = [run(name, same, 9.0, sign) for sign in (-1.0, 1.0)]
    assert any((found == wanted).all() for wanted in expected)


def test_operations_run_one_after_the_other(frames):
    """Of two operations that do not commute, twice drawn, the four orders occur and nothing else."""
    orders = {}
    for pair in itertools.product(("invert", "solarize_add"), repeat=2):
        result = frames
        for name in pair:
            result = run(name, result, 9.0, 1.0)
        orders[result.tobytes()] = pair
    assert len(orders) == 4
    call = only("invert", "solarize_add", ops=2)
    found = [orders[call(tf.constant(frames), tf.constant([1, n])).numpy().tobytes()] for n in range(40)]
    assert set(found) == set(orders.values())  # each is missed with (3/4)^40 = 1e-5


def test_same_key_same_clip(frames):
    call = RandAugment(ops=3)
    keys = [[2, n] for n in range(8)]
    eager = [call(tf.constant(frames), tf.constant(key)) for key in keys]
    dataset = tf.data.Dataset.from_tensor_slices(keys).map(lambda key: call(tf.constant(frames), key))
    for one, mapped, again in zip(eager, dataset, dataset, strict=True):
        np.testing.assert_array_equal(one, mapped)
        np.testing.assert_array_equal(one, again)
    # A clip stays with 1/8, so that all eight do is 6e-8.
    assert len({clip.numpy().tobytes() for clip in eager}) >= 3


def test_draws_are_distributed_as_documented():
    chosen, levels, signs = draws(RandAugment(magnitude=7, magnitude_std=0.5, probability=0.5), 3000)
    assert abs((chosen == len(OPS)).mean() - 0.5) < 0.04  # more than four standard deviations, 0.009 each
    counts = np.bincount(chosen, minlength=len(OPS) + 1)[:-1]
    assert counts.sum() == (chosen < len(OPS)).sum()
    assert np.abs(counts / 3000 - 0.5 / 15).max() < 0.015  # 4.6 standard deviations of 0.0033
    assert abs(levels.mean() - 7) < 0.04 and abs(levels.std() - 0.5) < 0.03
    assert set(signs) == {-1.0, 1.0} and abs(signs.mean()) < 0.08
    # Level and sign are independent of which operation is drawn, and of one another.
    assert np.abs(np.corrcoef([chosen, levels, signs])[np.triu_indices(3, 1)]).max() < 0.08


def test_levels_are_clipped():
    _, levels, _ = draws(RandAugment(magnitude=9, magnitude_std=2.0), 500)
    assert levels.max() == 10
    assert (levels == 10).mean() == pytest.approx(0.31, abs=0.09)  # P(normal > 0.5)
    _, levels, _ = draws(RandAugment(magnitude=0, magnitude_std=1.0), 500)
    assert levels.min() == 0


def test_operations_of_a_clip_are_drawn_apart():
    call = RandAugment(ops=2)
    numbers = tf.range(2, dtype=tf.int64)
    drawn = tf.data.Dataset.range(300).map(lambda n: [call._draw(tf.stack([4, n]), x, 15) for x in tf.unstack(numbers)])
    levels = np.array([[level for _, level, _ in pair] for pair in drawn.as_numpy_iterator()])
    assert abs(np.corrcoef(levels.T)[0, 1]) < 0.25  # four standard deviations


def test_probability_zero_changes_nothing(frames):
    np.testing.assert_array_equal(both_ways(RandAugment(probability=0.0), frames, [1, 1]), frames)


def test_excluded_operations_are_not_drawn(frames):
    kept = ("invert", "translate_x")
    call = only(*kept)
    wanted = [run(name, frames, 9.0, sign).tobytes() for name in kept for sign in (-1.0, 1.0)]
    found = [call(tf.constant(frames), tf.constant([6, n])).numpy().tobytes() for n in range(40)]
    assert set(found) == set(wanted)


def test_frames_of_unknown_size(frames):
    signature = [tf.TensorSpec((None, None, None, 3), tf.uint8), tf.TensorSpec((2,), tf.int64)]
    for name in OPS:
        call = only(name)
        found = tf.function(call.__call__, input_signature=signature)(frames, [1, 2])
        np.testing.assert_array_equal(found, call(tf.constant(frames), tf.constant([1, 2])))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("ops", 0),
        ("ops", 1.5),
        ("ops", np.inf),
        ("magnitude", 10.5),
        ("magnitude", np.nan),
        ("magnitude_std", -1),
        ("magnitude_std", np.inf),
        ("probability", 1.1),
        ("exclude", ("inverse",)),
        ("exclude", "invert"),
        ("exclude", tuple(OPS)),
    ],
)
def test_bad_arguments(field, value):
    with pytest.raises(ValueError, match=rf"RandAugment\.{field} must be .* Received: {field}=") as error:
        RandAugment(**{field: value})
    assert field != "exclude" or all(name in str(error.value) for name in OPS)
