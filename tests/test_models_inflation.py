import keras
import numpy as np
import numpy_reference as reference
import pytest

from kerasfast.models.inflation import inflate


@pytest.mark.parametrize("length", [1, 3, 5])
def test_a_still_clip_gives_what_its_frame_gives(length):
    generator = np.random.default_rng(0)
    kernel = generator.normal(size=(3, 3, 4, 5)).astype("float32")
    frame = generator.normal(size=(2, 8, 9, 4)).astype("float32")
    clip = np.repeat(frame[:, None], 2 * length, axis=1)
    inflated = inflate(kernel, length)
    assert inflated.shape == (length, 3, 3, 4, 5) and inflated.dtype == "float32"
    image = np.asarray(keras.ops.conv(frame, kernel, padding="same"))
    video = reference.conv(clip, inflated)
    for at in range(length // 2, 2 * length - length // 2):  # away from the ends, where zeros stand for frames
        reference.assert_close(video[:, at], image)


def test_wrong_kernels_are_refused():
    with pytest.raises(ValueError, match=r"takes a 2D kernel.*Received: shape \(3, 3, 3, 4, 5\)"):
        inflate(np.zeros((3, 3, 3, 4, 5)), 3)
    with pytest.raises(ValueError, match=r"at least 1 frame long\. Received: length=0"):
        inflate(np.zeros((3, 3, 4, 5)), 0)
