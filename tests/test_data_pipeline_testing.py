import numpy as np
import pytest
import tensorflow as tf
from conftest import frame_numbers

from kerasfast.data.annotations import find_videos, read_charades_csv
from kerasfast.data.clips import ClipSpec, test_starts, whole_video_indices
from kerasfast.data.errors import DataError
from kerasfast.data.labels import read_charades_classes
from kerasfast.data.pipeline.testing import testing_views, video_labels
from kerasfast.data.records.build import build_records


def one_pass(dataset):
    """All elements of a pass, concatenated."""
    batches = [tf.nest.map_structure(np.asarray, batch) for batch in dataset]
    return tf.nest.map_structure(lambda *parts: np.concatenate(parts), *batches)


def test_views_come_in_order_with_their_crops(records_folder, tiny_clip):
    dataset = testing_views(records_folder, tiny_clip, crop_size=40, short_side=44, batch_size=7)
    assert int(dataset.cardinality()) == -(-90 // 7)
    frames, videos, views = one_pass(dataset)
    assert frames.shape == (90, 8, 40, 40, 3)
    assert frames.dtype == np.uint8
    assert videos.tolist() == np.repeat([0, 1, 2], 30).tolist()
    assert views.tolist() == list(range(30)) * 3
    numbers = frame_numbers(frames)
    for video, (name, length) in enumerate([("e5", 48), ("g7", 60), ("h8", 40)]):
        for number, start in enumerate(test_starts(length, tiny_clip, 10)):
            for crop in range(3):
                found = numbers[video * 30 + number * 3 + crop]
                if name != "e5":  # its frames are repeated
                    assert found.tolist() == list(range(start, start + 15, 2))


def test_the_three_crops_are_left_centre_right(records_folder, tiny_clip):
    frames, _, _ = one_pass(testing_views(records_folder, tiny_clip, crop_size=48, short_side=48))
    # g7 is 96 x 72, stored as 64 x 48: its red patch (8 x 6 there) shows only in the left crop.
    red = (frames[30:60, 0, ..., 0].astype(int) - frames[30:60, 0, ..., 1] > 100).any(axis=(1, 2))
    assert red.tolist() == [True, False, False] * 10


def test_views_are_the_frames_of_the_file(records_folder, tiny_clip, charades_folder):
    from kerasfast.data.video import frames as read_frames

    source = np.stack(list(read_frames(charades_folder / "videos" / "h8.mp4", 24, 48))).astype(int)
    frames, _, _ = one_pass(testing_views(records_folder, tiny_clip, clips=10, crops=1, crop_size=48, short_side=48))
    first = frames[20].astype(int)  # clip 0 of h8; the centre crop of 64 x 48 begins at column 8
    assert np.abs(first - source[0:15:2, :, 8:56]).mean() < 3


def test_one_crop_is_the_centre(records_folder, tiny_clip):
    options = {"crop_size": 40, "short_side": 44}
    three = one_pass(testing_views(records_folder, tiny_clip, **options))
    one = one_pass(testing_views(records_folder, tiny_clip, crops=1, **options))
    assert one[2].tolist() == list(range(10)) * 3
    np.testing.assert_array_equal(one[0], three[0][1::3])


@pytest.mark.parametrize(("clips", "chosen"), [(1, [5]), (2, [0, 9]), (4, [0, 3, 6, 9]), (10, list(range(10)))])
def test_fewer_clips_are_chosen_evenly(records_folder, tiny_clip, clips, chosen):
    options = {"crop_size": 40, "short_side": 44, "crops": 1}
    every = one_pass(testing_views(records_folder, tiny_clip, **options))[0]
    some, videos, views = one_pass(testing_views(records_folder, tiny_clip, clips, **options))
    assert views.tolist() == list(range(clips)) * 3
    assert videos.tolist() == np.repeat([0, 1, 2], clips).tolist()
    np.testing.assert_array_equal(some, every.reshape(3, 10, *every.shape[1:])[:, chosen].reshape(some.shape))


def test_shorter_and_sparser_clips_are_cut_from_the_middle(records_folder):
    options = {"crop_size": 40, "short_side": 44, "crops": 1}
    every = one_pass(testing_views(records_folder, ClipSpec(8, 2, 24), **options))[0]
    sparse = one_pass(testing_views(records_folder, ClipSpec(3, 4, 24), **options))[0]
    np.testing.assert_array_equal(sparse, every[:, 1:6:2])


def test_video_labels_are_the_union_over_the_video(records_folder):
    labels = video_labels(records_folder, "test")
    assert labels["action"].tolist() == [[1, 0, 1, 0, 0], [0, 1, 0, 1, 1], [0, 0, 0, 1, 0]]
    assert labels["verb"].tolist() == [[1, 0, 0], [0, 1, 1], [0, 0, 1]]
    assert labels["object"].dtype == np.float32
    # The reversed segment of f6 labels the video, though no clip.
    assert video_labels(records_folder, "train")["action"][4].tolist() == [1, 0, 0, 0, 1]


def test_rows_of_views_and_labels_agree_after_a_skip(charades_folder, tiny_clip, tmp_path):
    labels = read_charades_classes(charades_folder)
    rows = read_charades_csv(charades_folder / "Tiny_v1_test.csv", labels).rows
    videos = find_videos(rows, charades_folder / "videos")
    (tmp_path / "bad.mp4").touch()
    build_records(
        rows,
        videos | {"e5": tmp_path / "bad.mp4"},
        labels,
        tmp_path,
        clip=tiny_clip,
        split="test",
        short_side=48,
        skip_bad=True,
    )
    frames, indices, _ = one_pass(testing_views(tmp_path, tiny_clip, crops=1, crop_size=40, short_side=44))
    assert indices.tolist() == [0] * 10 + [1] * 10
    assert frame_numbers(frames)[:, -1].max() == 59  # g7, the longer one, is now row 0
    assert video_labels(tmp_path)["action"].tolist() == [[0, 1, 0, 1, 1], [0, 0, 0, 1, 0]]


@pytest.fixture(scope="module")
def whole_videos(charades_folder, tiny_clip, tmp_path_factory):
    """The test videos, a record each with every frame in it."""
    out = tmp_path_factory.mktemp("whole")
    labels = read_charades_classes(charades_folder)
    annotations = read_charades_csv(charades_folder / "Tiny_v1_test.csv", labels)
    videos = find_videos(annotations.rows, charades_folder / "videos")
    options = {"split": "test", "layout": "train", "stride": 1, "rounds": 1}
    build_records(annotations, videos, labels, out, clip=tiny_clip, short_side=48, quality=95, **options)
    return out


def test_uniform_views_are_of_the_whole_video(whole_videos, tiny_clip):
    options = {"strategy": "uniform", "crop_size": 40, "short_side": 44}
    frames, videos, views = one_pass(testing_views(whole_videos, tiny_clip, 1, 3, **options))
    assert (videos.tolist(), views.tolist()) == ([0] * 3 + [1] * 3 + [2] * 3, [0, 1, 2] * 3)
    numbers = frame_numbers(frames)
    for row, length in ((3, 60), (6, 40)):
        assert numbers[row].tolist() == whole_video_indices(length, 8).tolist()
    frames, _, views = one_pass(testing_views(whole_videos, tiny_clip, 2, 1, **options))
    assert views.tolist() == [0, 1] * 3
    bounds = np.round(np.arange(9) * 59 / 8).astype(int)
    for view, quarter in ((2, 1), (3, 3)):  # a quarter and three quarters of each part
        expected = bounds[:-1] + (bounds[1:] - bounds[:-1]) * quarter // 4
        assert frame_numbers(frames)[view].tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"crops": 2}, ValueError, r"crops must be 1 or 3. Received: crops=2"),
        ({"crop_size": 300}, ValueError, "crop_size=300, short_side=256"),
        ({"strategy": "sparse"}, ValueError, "strategy must be 'dense' or 'uniform'. Received: strategy='sparse'"),
        ({"clips": 0}, ValueError, "clips=0"),
        ({"clips": 11}, DataError, "holds 10 clips a video; 11 were asked for"),
        ({"split": "train"}, DataError, "holds training segments, not test clips"),
        ({"strategy": "uniform"}, DataError, "holds test clips; strategy='uniform' takes frames of whole videos"),
    ],
)
def test_views_that_cannot_be_had(records_folder, tiny_clip, options, error, message):
    with pytest.raises(error, match=message):
        testing_views(records_folder, tiny_clip, **{"crop_size": 40} | options)
