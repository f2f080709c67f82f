import numpy as np
import pytest
import tensorflow as tf

from kerasfast.data.pipeline import transforms


def both_ways(function, *arrays):
    """The result of a function, the same eagerly and inside tf.data."""
    eager = function(*map(tf.constant, arrays))
    (mapped,) = tf.data.Dataset.from_tensors(arrays).map(function)
    np.testing.assert_array_equal(eager, mapped)
    return eager.numpy()


def bilinear(frame, height, width):
    """Bilinear with half-pixel centres and without antialiasing, written out."""
    rows = np.clip((np.arange(height) + 0.5) * frame.shape[0] / height - 0.5, 0, frame.shape[0] - 1)
    columns = np.clip((np.arange(width) + 0.5) * frame.shape[1] / width - 0.5, 0, frame.shape[1] - 1)
    top, left = rows.astype(int), columns.astype(int)
    bottom, right = np.minimum(top + 1, frame.shape[0] - 1), np.minimum(left + 1, frame.shape[1] - 1)
    y, x = (rows - top)[:, None, None], (columns - left)[None, :, None]
    upper = frame[top][:, left] * (1 - x) + frame[top][:, right] * x
    lower = frame[bottom][:, left] * (1 - x) + frame[bottom][:, right] * x
    return upper * (1 - y) + lower * y


@pytest.fixture
def frames():
    return np.random.default_rng(0).integers(0, 256, (3, 20, 30, 3), np.uint8)


@pytest.mark.parametrize("size", [(10, 15), (33, 47), (20, 30), (7, 30)])
def test_resize_is_bilinear_with_half_pixel_centres(frames, size):
    found = both_ways(lambda x: transforms.resize(x, *size), frames)
    assert found.dtype == np.uint8
    expected = np.stack([bilinear(frame.astype(float), *size) for frame in frames])
    assert np.abs(found - expected).max() <= 0.5 + 1e-4  # rounded, not truncated


def test_scale_short_side_rounds_the_other_down(frames):
    assert both_ways(lambda x: transforms.scale_short_side(x, 15), frames).shape == (3, 15, 22, 3)
    portrait = frames.transpose(0, 2, 1, 3).copy()
    assert both_ways(lambda x: transforms.scale_short_side(x, 25), portrait).shape == (3, 37, 25, 3)
    np.testing.assert_array_equal(transforms.scale_short_side(frames, 20), frames)


def test_three_crops_lie_along_the_longer_side(frames):
    offsets = {0: 0, 1: 8, 2: 15}  # of 30 - 15; the middle is ceil(15 / 2)
    for position, left in offsets.items():
        found = both_ways(lambda x, p=position: transforms.crop_position(x, p, 15), frames)
        np.testing.assert_array_equal(found, frames[:, 3:18, left : left + 15])
        portrait = frames.transpose(0, 2, 1, 3).copy()
        found = both_ways(lambda x, p=position: transforms.crop_position(x, p, 15), portrait)
        np.testing.assert_array_equal(found, portrait[:, left : left + 15, 3:18])


def test_crops_of_a_square_lie_along_its_width():
    square = np.random.default_rng(1).integers(0, 256, (2, 20, 20, 3), np.uint8)
    np.testing.assert_array_equal(transforms.crop_position(square, 2, 16), square[:, 2:18, 4:])


def test_flip_mirrors_left_to_right(frames):
    np.testing.assert_array_equal(both_ways(transforms.flip, frames, True), frames[:, :, ::-1])
    np.testing.assert_array_equal(both_ways(transforms.flip, frames, False), frames)


def test_short_side_is_drawn_inverse_uniformly():
    uniforms = np.linspace(0, 1, 1001, endpoint=False, dtype=np.float32)
    sizes = [int(transforms.jittered_short_side(tf.constant(u), (256, 320))) for u in uniforms]
    assert (min(sizes), max(sizes)) == (256, 320)
    # Half of the draws lie above the harmonic middle, 2 / (1/256 + 1/320) = 284.4.
    assert sorted(sizes)[500] in (284, 285)
    assert int(transforms.jittered_short_side(tf.constant(0.7), (80, 80))) == 80


@pytest.mark.parametrize("size", [(48, 64), (90, 60), (40, 40)])
def test_random_boxes_fill_the_frame(size):
    boxes = []
    for u in (0.0, 0.5, 0.999999):
        for v in (0.0, 0.5, 0.999999):
            draw = (tf.constant(u), tf.constant(v))
            boxes.append(transforms.random_box(draw, *map(tf.constant, size), tf.constant(50), 40).numpy())
    side = round(40 * min(size) / 50)
    boxes = np.stack(boxes)
    assert (boxes[:, 2:] == side).all()
    assert boxes[:, :2].min(axis=0).tolist() == [0, 0]
    assert boxes[:, :2].max(axis=0).tolist() == [size[0] - side, size[1] - side]


def test_decoding_a_box_is_decoding_then_cropping():
    # Smooth frames: at the edge of a box the decoder interpolates colour from inside the box alone.
    ramp = np.arange(20)[:, None] * 4 + np.arange(30)[None] * 3
    frames = np.stack([np.stack([ramp, 200 - ramp, ramp // 2 + k], -1) for k in range(3)]).astype(np.uint8)
    jpegs = tf.stack([tf.io.encode_jpeg(frame, quality=95) for frame in frames])
    whole = both_ways(lambda x: transforms.decode(tf.ensure_shape(x, (3,))), jpegs.numpy())
    assert whole.shape == frames.shape
    for box in ([0, 0, 8, 8], [5, 9, 12, 12], [4, 14, 16, 16]):
        cropped = transforms.crop(whole, tf.constant(box))
        for size in (box[2], 20):
            found = both_ways(
                lambda x, b=box, s=size: transforms.decode_box(tf.ensure_shape(x, (3,)), tf.constant(b), s),
                jpegs.numpy(),
            )
            expected = np.asarray(transforms.resize_fast(cropped, size, size))
            assert found.shape == (3, size, size, 3)
            assert np.abs(found.astype(int) - expected).max() <= 4
        np.testing.assert_array_equal(transforms.resize_fast(cropped, box[2], box[2]), cropped)


def test_scaling_is_tensorflows_rounded():
    frames = np.random.default_rng(0).integers(0, 256, (3, 31, 44, 3), dtype=np.uint8)
    frames[0, :4] = 255
    for height, width in ((17, 60), (64, 64), (31, 44)):
        exact = tf.image.resize(frames, (height, width), method="bilinear").numpy()
        found = both_ways(lambda x, h=height, w=width: transforms.resize_fast(x, h, w), frames)
        assert np.abs(found - exact).max() <= 0.5 + 1e-4
        np.testing.assert_array_equal(transforms.resize(frames, height, width), np.round(exact))
