import numpy as np
import pytest
from serving_case import small_variant, spread_model
from train_records import CLIP, make

from kerasfast.data.errors import DataError
from kerasfast.serving.formats.calibration import calibration_clips


@pytest.fixture(scope="module")
def model():
    return spread_model(small_variant(clip=CLIP))


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    return make(tmp_path_factory.mktemp("records"), "train", 3, layout="train", rounds=1)


def test_one_clip_of_each_training_video(model, records):
    clips = calibration_clips(model, records)
    assert clips.shape == (3, 32, 64, 64, 3) and clips.dtype == np.uint8
    assert np.std(clips, axis=(1, 2, 3, 4)).min() > 10 and not np.array_equal(clips[0], clips[1])
    np.testing.assert_array_equal(calibration_clips(model, str(records), most=2), clips[:2])


def test_clips_at_hand(model):
    clips = np.zeros((3, 32, 80, 96, 3), np.uint8)
    assert calibration_clips(model, clips, most=2).shape == (2, 32, 80, 96, 3)


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ((2, 16, 64, 64, 3), "uint8"),
        ((2, 32, 64, 64, 3), "float32"),
        ((32, 64, 64, 3), "uint8"),
        ((0, 32, 64, 64, 3), "uint8"),
        ((2, 32, 80, 64, 3), "uint8"),
    ],
)
def test_other_clips_are_refused(model, shape, dtype):
    with pytest.raises(ValueError, match=r"uint8 \(N, 32, 64, 64, 3\)\. Received: " + dtype):
        calibration_clips(model, np.zeros(shape, dtype), 64)


def test_records_of_other_clips_are_refused(records):
    long = spread_model(small_variant(clip=CLIP.__class__(64, 2, 24.0)))
    with pytest.raises(DataError):
        calibration_clips(long, records)


def test_records_without_a_training_split_are_refused(model, tmp_path):
    with pytest.raises(DataError, match="train"):
        calibration_clips(model, tmp_path)
