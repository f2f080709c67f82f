import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from conftest import TINY_VIDEOS, frame_numbers

from kerasfast.data.annotations import find_videos, read_charades_csv
from kerasfast.data.clips import ClipSpec, test_starts
from kerasfast.data.errors import DataError
from kerasfast.data.labels import read_charades_classes
from kerasfast.data.pipeline import training as pipeline
from kerasfast.data.pipeline.training import training_clips, video_labels
from kerasfast.data.records.build import build_records
from kerasfast.data.records.layout import labelled_frames
from kerasfast.data.records.read import read_manifest

TRAIN = ["a1", "b2", "c3", "d4", "f6"]


def clips_of(records, clip, **options):
    """Batches of one clip, for one look at each."""
    defaults = {"crop_size": 40, "short_side": (44, 60), "drop_remainder": False}
    return training_clips(records, clip, 1, **defaults | options)


def one_pass(dataset):
    """All elements of a pass, concatenated."""
    batches = [tf.nest.map_structure(np.asarray, batch) for batch in dataset]
    return tf.nest.map_structure(lambda *parts: np.concatenate(parts), *batches)


@pytest.fixture(scope="module")
def rows(charades_folder):
    labels = read_charades_classes(charades_folder)
    return {row.id: row for row in read_charades_csv(charades_folder / "Tiny_v1_train.csv", labels).rows}


def test_batches_are_uint8_frames_and_multi_hot_targets(records_folder, tiny_clip):
    dataset = training_clips(records_folder, tiny_clip, 2, crop_size=40, short_side=(44, 60))
    frames, targets = dataset.element_spec
    assert (frames.shape, frames.dtype) == ((2, 8, 40, 40, 3), tf.uint8)
    assert {head: tuple(spec.shape) for head, spec in targets.items()} == {
        "verb": (2, 3),
        "object": (2, 4),
        "action": (2, 5),
    }
    assert {spec.dtype for spec in targets.values()} == {tf.float32}
    assert int(dataset.cardinality()) == len(list(dataset)) == 2  # 5 videos
    rest = training_clips(records_folder, tiny_clip, 2, crop_size=40, short_side=(44, 60), drop_remainder=False)
    assert [len(batch[0]) for batch in rest] == [2, 2, 1]


def test_an_epoch_is_one_clip_of_every_video(records_folder, tiny_clip, rows):
    dataset = clips_of(records_folder, tiny_clip)
    seen = {}
    for _ in range(12):
        frames, targets = one_pass(dataset)
        # The videos of an epoch, told apart by their targets and frames below; here by how often each label comes.
        assert len(frames) == 5
        numbers = frame_numbers(frames)
        for clip, action in zip(numbers, targets["action"], strict=True):
            matching = [name for name in TRAIN if matches(rows[name], clip, action)]
            assert matching, (clip, action)
            for name in matching:
                seen.setdefault(name, set()).add(int(clip[0]))
    assert set(seen) == set(TRAIN)
    # b2 has 58 starts: twelve epochs show many of them.
    assert len(seen["b2"]) >= 8


def matches(row, clip, action):
    """Whether a clip, given by its frame numbers, can be of this video with these targets."""
    length = round(row.length_seconds * 24)
    if TINY_VIDEOS[row.id][3] != 24:
        return clip.max() < TINY_VIDEOS[row.id][2] and not action.any() and not row.segments
    start = int(clip[0])
    if clip.tolist() != np.minimum(start + 2 * np.arange(8), length - 1).tolist():
        return False
    last = min(start + 14, length - 1)
    expected = np.zeros(5)
    for segment in row.segments:
        frames = labelled_frames(segment, 24)
        if any(start <= frame <= last for frame in range(frames[0], frames[1] + 1)):
            expected[segment.action] = 1
    return action.tolist() == expected.tolist()


def test_heads_agree_with_the_actions(records_folder, tiny_clip, charades_folder):
    labels = read_charades_classes(charades_folder)
    _, targets = one_pass(clips_of(records_folder, tiny_clip))
    for row in range(5):
        expected = labels.targets(np.flatnonzero(targets["action"][row]))
        for head in labels.heads:
            assert targets[head][row].tolist() == expected[head].tolist()


def test_passes_are_a_function_of_seed_and_epoch(records_folder, tiny_clip):
    dataset = clips_of(records_folder, tiny_clip, seed=3)
    first, second = one_pass(dataset)[0], one_pass(dataset)[0]
    assert not np.array_equal(first, second)
    again = clips_of(records_folder, tiny_clip, seed=3)
    np.testing.assert_array_equal(one_pass(again)[0], first)
    later = clips_of(records_folder, tiny_clip, seed=3, first_epoch=1)
    np.testing.assert_array_equal(one_pass(later)[0], second)
    assert not np.array_equal(one_pass(clips_of(records_folder, tiny_clip, seed=4))[0], first)


def test_the_global_seed_has_no_say_in_the_order(records_folder, tiny_clip):
    passes = []
    for global_seed in (1, 2):
        tf.random.set_seed(global_seed)
        dataset = clips_of(records_folder, tiny_clip, seed=3)
        passes.append([one_pass(dataset)[0] for _ in range(4)])
    np.testing.assert_array_equal(*passes)


def test_epochs_take_the_rounds_in_turn(charades_folder, tiny_clip, tmp_path):
    # 4 rounds: in 4 epochs b2 comes once from each of its 4 segments of 14 or 15 starts.
    labels = read_charades_classes(charades_folder)
    rows = [row for row in read_charades_csv(charades_folder / "Tiny_v1_train.csv", labels).rows if row.id == "b2"]
    videos = find_videos(rows, charades_folder / "videos")
    build_records(rows, videos, labels, tmp_path, clip=tiny_clip, short_side=48, quality=95)
    assert read_manifest(tmp_path, "train").options.rounds == 4
    dataset = clips_of(tmp_path, tiny_clip)
    for _ in range(2):
        starts = [int(frame_numbers(one_pass(dataset)[0])[0, 0]) for _ in range(4)]
        # Segments begin at k * 58 // 4.
        assert sorted(np.searchsorted([14, 29, 43], starts, side="right")) == [0, 1, 2, 3], starts


def test_starts_are_uniform_over_a_video(charades_folder, tiny_clip, tmp_path):
    labels = read_charades_classes(charades_folder)
    rows = [row for row in read_charades_csv(charades_folder / "Tiny_v1_train.csv", labels).rows if row.id == "b2"]
    videos = find_videos(rows, charades_folder / "videos")
    build_records(rows, videos, labels, tmp_path, clip=tiny_clip, short_side=48, stride=1, quality=95)
    epochs = clips_of(tmp_path, tiny_clip).repeat(348)  # in one iterator: a new one sets up the pipeline again
    starts = [int(frame_numbers(frames.numpy())[0, 0]) for frames, _ in epochs]
    assert len(starts) == 348
    counts = np.bincount(starts, minlength=58)
    assert len(counts) == 58
    # 6 a start on average: chi-squared with 57 degrees of freedom stays below 99 with probability 0.9996.
    assert ((counts - 6) ** 2 / 6).sum() < 99


def test_one_crop_scale_and_flip_for_all_frames_of_a_clip(records_folder, tiny_clip):
    dataset = clips_of(records_folder, tiny_clip, crop_size=44, short_side=(44, 44))
    sides = []
    for _ in range(10):
        for clip in one_pass(dataset)[0].astype(int):
            # The red patch in the top left corner, where the crop shows it.
            red = clip[..., 0] - clip[..., 1] > 100
            assert (red == red[0]).mean() > 0.98
            columns = np.flatnonzero(red[0].any(axis=0))
            if len(columns):
                sides.append("left" if columns.mean() < 22 else "right")
    assert 0.2 < sides.count("left") / len(sides) < 0.8
    dataset = clips_of(records_folder, tiny_clip, crop_size=44, short_side=(44, 44), flip=False)
    for clip in one_pass(dataset)[0].astype(int):
        columns = np.flatnonzero((clip[0, ..., 0] - clip[0, ..., 1] > 100).any(axis=0))
        assert len(columns) == 0 or columns.mean() < 22


def test_a_short_video_repeats_its_last_frame(records_folder, tiny_clip):
    dataset = clips_of(records_folder, tiny_clip)
    numbers = frame_numbers(one_pass(dataset)[0])
    assert [0, 2, 4, 6, 8, 10, 11, 11] in numbers.tolist()


def test_videos_are_mixed_across_shards(charades_folder, tiny_clip, tmp_path):
    labels = read_charades_classes(charades_folder)
    rows = read_charades_csv(charades_folder / "Tiny_v1_train.csv", labels).rows
    videos = find_videos(rows, charades_folder / "videos")
    build_records(rows, videos, labels, tmp_path, clip=tiny_clip, short_side=48, part_videos=1, rounds=1)
    dataset = clips_of(tmp_path, tiny_clip, shuffle=4)
    orders = set()
    for _ in range(6):
        _, targets = one_pass(dataset)
        orders.add(tuple(map(tuple, targets["action"])))
    assert len(orders) >= 4


def test_fit_runs_over_epochs(records_folder, tiny_clip):
    import keras

    inputs = keras.Input((8, 40, 40, 3))
    pooled = keras.layers.GlobalAveragePooling3D()(keras.layers.Rescaling(1 / 255)(inputs))
    outputs = {head: keras.layers.Dense(n, "sigmoid", name=head)(pooled) for head, n in (("verb", 3), ("action", 5))}
    model = keras.Model(inputs, outputs)
    model.compile("sgd", dict.fromkeys(outputs, "binary_crossentropy"))
    train = training_clips(records_folder, tiny_clip, 2, crop_size=40, short_side=(44, 60)).map(
        lambda frames, targets: (frames, {head: targets[head] for head in outputs})
    )
    history = model.fit(train, epochs=3, validation_data=train, shuffle=False, verbose=0)
    assert len(history.history["loss"]) == 3
    assert np.isfinite(history.history["val_loss"]).all()


REPLICAS = """
import sys
import tensorflow as tf

devices = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(devices[0], [tf.config.LogicalDeviceConfiguration()] * 2)
from kerasfast.data.clips import ClipSpec
from kerasfast.data.pipeline.training import training_clips

strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
dataset = training_clips(sys.argv[1], ClipSpec(8, 2, 24.0), 4, crop_size=40, short_side=(44, 60))
plain = training_clips(sys.argv[1], ClipSpec(8, 2, 24.0), 4, crop_size=40, short_side=(44, 60))
shared = strategy.experimental_distribute_dataset(dataset)
for _ in range(2):
    (whole,) = [frames for frames, _ in plain]
    (parts,) = [strategy.experimental_local_results(frames) for frames, _ in shared]
    assert [len(part) for part in parts] == [2, 2]
    assert bool(tf.reduce_all(tf.concat(parts, 0) == whole))
print("equal")
"""


def test_replicas_share_a_batch(records_folder):
    command = [sys.executable, "-c", REPLICAS, str(records_folder)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.stdout.strip() == "equal", result.stderr[-2000:]


def test_clips_of_a_test_split_can_train(records_folder, tiny_clip):
    dataset = clips_of(records_folder, tiny_clip, split="test")
    assert int(dataset.cardinality()) == 3
    starts = set()
    for _ in range(20):
        frames, targets = one_pass(dataset)
        assert len(frames) == 3
        numbers = frame_numbers(frames)
        allowed = {int(start) for start in test_starts(60, tiny_clip, 10)}
        (clip,) = [clip for clip, y in zip(numbers, targets["action"], strict=True) if is_g7(clip, y)] or [None]
        if clip is not None:
            assert int(clip[0]) in allowed
            starts.add(int(clip[0]))
    assert len(starts) >= 2


def is_g7(clip, action):
    return clip[-1] - clip[0] == 14 and clip[-1] > 40


def test_views_come_in_order_with_their_crops(records_folder, tiny_clip):
    dataset = pipeline.testing_views(records_folder, tiny_clip, crop_size=40, short_side=44, batch_size=7)
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
    frames, _, _ = one_pass(pipeline.testing_views(records_folder, tiny_clip, crop_size=48, short_side=48))
    # g7 is 96 x 72, stored as 64 x 48: its red patch (8 x 6 there) shows only in the left crop.
    red = (frames[30:60, 0, ..., 0].astype(int) - frames[30:60, 0, ..., 1] > 100).any(axis=(1, 2))
    assert red.tolist() == [True, False, False] * 10


def test_views_are_the_frames_of_the_file(records_folder, tiny_clip, charades_folder):
    from kerasfast.data.video import frames as read_frames

    source = np.stack(list(read_frames(charades_folder / "videos" / "h8.mp4", 24, 48))).astype(int)
    frames, _, _ = one_pass(
        pipeline.testing_views(records_folder, tiny_clip, clips=10, crops=1, crop_size=48, short_side=48)
    )
    first = frames[20].astype(int)  # clip 0 of h8; the centre crop of 64 x 48 begins at column 8
    assert np.abs(first - source[0:15:2, :, 8:56]).mean() < 3


def test_one_crop_is_the_centre(records_folder, tiny_clip):
    options = {"crop_size": 40, "short_side": 44}
    three = one_pass(pipeline.testing_views(records_folder, tiny_clip, **options))
    one = one_pass(pipeline.testing_views(records_folder, tiny_clip, crops=1, **options))
    assert one[2].tolist() == list(range(10)) * 3
    np.testing.assert_array_equal(one[0], three[0][1::3])


@pytest.mark.parametrize(("clips", "chosen"), [(1, [5]), (2, [0, 9]), (4, [0, 3, 6, 9]), (10, list(range(10)))])
def test_fewer_clips_are_chosen_evenly(records_folder, tiny_clip, clips, chosen):
    options = {"crop_size": 40, "short_side": 44, "crops": 1}
    every = one_pass(pipeline.testing_views(records_folder, tiny_clip, **options))[0]
    some, videos, views = one_pass(pipeline.testing_views(records_folder, tiny_clip, clips, **options))
    assert views.tolist() == list(range(clips)) * 3
    assert videos.tolist() == np.repeat([0, 1, 2], clips).tolist()
    np.testing.assert_array_equal(some, every.reshape(3, 10, *every.shape[1:])[:, chosen].reshape(some.shape))


def test_shorter_and_sparser_clips_are_cut_from_the_middle(records_folder):
    options = {"crop_size": 40, "short_side": 44, "crops": 1}
    every = one_pass(pipeline.testing_views(records_folder, ClipSpec(8, 2, 24), **options))[0]
    sparse = one_pass(pipeline.testing_views(records_folder, ClipSpec(3, 4, 24), **options))[0]
    np.testing.assert_array_equal(sparse, every[:, 1:6:2])
    train = clips_of(records_folder, ClipSpec(3, 4, 24))
    for clip in frame_numbers(one_pass(train)[0]):
        # c3 has 30 frames a second, so four frames at 24 are five of its own; f6 ends within the clip.
        assert np.diff(clip).tolist() in ([4, 4], [5, 5], [3, 3], [3, 4], [4, 3], [4, 2])


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
    frames, indices, _ = one_pass(pipeline.testing_views(tmp_path, tiny_clip, crops=1, crop_size=40, short_side=44))
    assert indices.tolist() == [0] * 10 + [1] * 10
    assert frame_numbers(frames)[:, -1].max() == 59  # g7, the longer one, is now row 0
    assert video_labels(tmp_path)["action"].tolist() == [[0, 1, 0, 1, 1], [0, 0, 0, 1, 0]]


@pytest.mark.parametrize("clip", [ClipSpec(8, 3, 24), ClipSpec(8, 2, 30), ClipSpec(9, 2, 24), ClipSpec(8, 1, 24)])
def test_a_clip_that_the_records_do_not_hold(records_folder, clip):
    message = r"manifest-\w+\.json: holds frames at 24 fps, stored at stride 2, for clips of up to 15 frames"
    with pytest.raises(DataError, match=message):
        clips_of(records_folder, clip)
    with pytest.raises(DataError, match=message):
        pipeline.testing_views(records_folder, clip, crop_size=40, short_side=44)


def test_arguments_out_of_range_are_named(records_folder, tiny_clip):
    with pytest.raises(ValueError, match=r"crop_size=64, short_side=\(44, 60\)"):
        clips_of(records_folder, tiny_clip, crop_size=64)
    with pytest.raises(ValueError, match=r"batch_size must be in 1 \.\. 5, the videos of split 'train'. Received: 6"):
        training_clips(records_folder, tiny_clip, 6, crop_size=40, short_side=(44, 60))
    with pytest.raises(ValueError, match="shuffle=0"):
        clips_of(records_folder, tiny_clip, shuffle=0)
    with pytest.raises(ValueError, match="first_epoch=-1"):
        clips_of(records_folder, tiny_clip, first_epoch=-1)
    with pytest.raises(ValueError, match=r"crops must be 1 or 3. Received: crops=2"):
        pipeline.testing_views(records_folder, tiny_clip, crops=2, crop_size=40)
    with pytest.raises(ValueError, match="crop_size=300, short_side=256"):
        pipeline.testing_views(records_folder, tiny_clip, crop_size=300)
    with pytest.raises(DataError, match="holds 10 clips a video; 11 were asked for"):
        pipeline.testing_views(records_folder, tiny_clip, 11, crop_size=40)
    with pytest.raises(DataError, match="holds training segments, not test clips"):
        pipeline.testing_views(records_folder, tiny_clip, crop_size=40, split="train")


def test_records_are_checked_when_a_dataset_is_made(records_folder, tiny_clip, tmp_path):
    import shutil

    copy = shutil.copytree(records_folder, tmp_path / "copy")
    path = copy / read_manifest(copy, "test").shards[0].name
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(DataError, match=rf"{path.name}: truncated"):
        pipeline.testing_views(copy, tiny_clip, crop_size=40, short_side=44)
    (copy / "manifest-train.json").unlink()
    with pytest.raises(DataError, match="The build of split 'train' has not ended"):
        clips_of(copy, tiny_clip)
