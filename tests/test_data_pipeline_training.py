import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from conftest import TINY_ROWS, TINY_VIDEOS, frame_numbers

from kerasfast.data.annotations import find_videos, read_charades_csv
from kerasfast.data.clips import ClipSpec, test_starts
from kerasfast.data.errors import DataError
from kerasfast.data.labels import read_charades_classes
from kerasfast.data.pipeline import reading, testing
from kerasfast.data.pipeline.color import ColorJitter
from kerasfast.data.pipeline.order import EpochOrder, class_balance
from kerasfast.data.pipeline.rand_augment import RandAugment
from kerasfast.data.pipeline.training import VALIDATION, training_clips
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


def test_datasets_of_several_batch_sizes_share_an_epoch(records_folder, tiny_clip):
    """A turn of three clips, two for one dataset and one for the other; the second turn of five videos is not whole."""
    single = [frames[0] for frames, _ in clips_of(records_folder, tiny_clip, seed=3)]
    options = {"crop_size": 40, "short_side": (44, 60), "seed": 3}
    pairs = training_clips(records_folder, tiny_clip, 2, turn=(0, 3), **options)
    others = training_clips(records_folder, tiny_clip, 1, turn=(2, 3), **options)
    assert (int(pairs.cardinality()), int(others.cardinality())) == (2, 1)
    np.testing.assert_array_equal(one_pass(pairs)[0], [single[place] for place in (0, 1, 3, 4)])
    np.testing.assert_array_equal(one_pass(others)[0], [single[2]])
    later = training_clips(records_folder, tiny_clip, 2, turn=(0, 3), first_step=1, **options)
    np.testing.assert_array_equal(one_pass(later)[0], [single[place] for place in (3, 4)])
    shares = [training_clips(records_folder, tiny_clip, 2, turn=(0, 3), worker=(i, 2), **options) for i in range(2)]
    for worker, share in enumerate(shares):
        np.testing.assert_array_equal(one_pass(share)[0], [single[place] for place in (worker, 3 + worker)])


@pytest.mark.parametrize(
    "batch_size, options, message",
    [
        (2, {"turn": (2, 3)}, r"lie within its turn, and within the 5 clips.*turn=\(2, 3\), batch_size=2"),
        (2, {"turn": (4, 8)}, r"within the 5 clips of an epoch.*turn=\(4, 8\)"),
        (2, {"turn": (0, 4), "drop_remainder": False}, r"in whole batches.*drop_remainder=False"),
        (2, {"turn": (1, 4), "clips_per_video": 2}, r"whole videos.*turn=\(1, 4\), clips_per_video=2"),
    ],
)
def test_a_turn_that_no_batch_fits_is_refused(records_folder, tiny_clip, batch_size, options, message):
    with pytest.raises(ValueError, match=message):
        training_clips(records_folder, tiny_clip, batch_size, crop_size=40, short_side=(44, 60), **options)


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
    dataset = clips_of(tmp_path, tiny_clip)
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


def test_shorter_and_sparser_clips_are_cut(records_folder):
    for clip in frame_numbers(one_pass(clips_of(records_folder, ClipSpec(3, 4, 24)))[0]):
        # c3 has 30 frames a second, so four frames at 24 are five of its own; f6 ends within the clip.
        assert np.diff(clip).tolist() in ([4, 4], [5, 5], [3, 3], [3, 4], [4, 3], [4, 2])


@pytest.mark.parametrize("clip", [ClipSpec(8, 3, 24), ClipSpec(8, 2, 30), ClipSpec(9, 2, 24), ClipSpec(8, 1, 24)])
def test_a_clip_that_the_records_do_not_hold(records_folder, clip):
    message = r"manifest-\w+\.json: holds frames at 24 fps, stored at stride 2, for clips of up to 15 frames"
    with pytest.raises(DataError, match=message):
        clips_of(records_folder, clip)
    with pytest.raises(DataError, match=message):
        testing.testing_views(records_folder, clip, crop_size=40, short_side=44)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"crop_size": 64}, r"crop_size=64, short_side=\(44, 60\)"),
        ({"first_epoch": -1}, "first_epoch=-1"),
        ({"first_step": 5}, r"first_step in 0 \.\. 4"),
        ({"seed": -1}, "seed=-1"),
        ({"mixup": -0.1}, r"mixup=-0\.1"),
        ({"crop": "centre"}, r"crop must be one of 'random', 'center'\. Received: crop='centre'"),
        ({"strategy": "sparse"}, r"strategy must be one of 'dense', 'uniform'\. Received: strategy='sparse'"),
        ({"clips_per_video": 2}, r"multiple of clips_per_video.*batch_size=1, clips_per_video=2"),
        ({"balanced": "noun"}, r"balanced must be a head of the records: verb, object, action\. Received: 'noun'"),
        ({"worker": (1, 1)}, r"the number in 0 \.\. workers - 1\. Received: worker=\(1, 1\)"),
        ({"worker": (0, 2)}, r"batch_size must be a multiple of the 2 workers"),
        ({"worker": (0, 1)}, r"Workers share whole batches"),
    ],
)
def test_arguments_out_of_range_are_named(records_folder, tiny_clip, options, message):
    with pytest.raises(ValueError, match=message):
        clips_of(records_folder, tiny_clip, **options)


def test_a_batch_of_more_clips_than_an_epoch_has(records_folder, tiny_clip):
    with pytest.raises(ValueError, match=r"batch_size must be in 1 \.\. 5, the clips of an epoch of split 'train'"):
        training_clips(records_folder, tiny_clip, 6, crop_size=40, short_side=(44, 60))


def test_records_are_checked_when_a_dataset_is_made(records_folder, tiny_clip, tmp_path):
    copy = shutil.copytree(records_folder, tmp_path / "copy")
    path = copy / read_manifest(copy, "test").shards[0].name
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(DataError, match=rf"{path.name}: truncated"):
        testing.testing_views(copy, tiny_clip, crop_size=40, short_side=44)
    (copy / "manifest-train.json").unlink()
    with pytest.raises(DataError, match="The build of split 'train' has not ended"):
        clips_of(copy, tiny_clip)


def test_a_flipped_byte_is_named(records_folder, tiny_clip, tmp_path):
    copy = shutil.copytree(records_folder, tmp_path / "copy")
    shard = read_manifest(copy, "train").shards[0]
    content = bytearray((copy / shard.name).read_bytes())
    content[shard.offsets[1] + 5_000] ^= 1
    (copy / shard.name).write_bytes(content)
    dataset = clips_of(copy, tiny_clip)  # sizes and places are as they were
    with (
        pytest.raises(DataError, match=rf"{shard.name}: its content differs from its manifest"),
        reading.named_damage(copy, "train"),
    ):
        one_pass(dataset)


# What a step is, wherever it is begun and whoever makes it.


def batches_of(records, clip, batch_size, **options):
    """Batches of an epoch as they come, each with its targets."""
    defaults = {"crop_size": 40, "short_side": (44, 60), "seed": 3}
    return as_arrays(training_clips(records, clip, batch_size, **defaults | options))


def as_arrays(dataset):
    return [tf.nest.map_structure(np.asarray, batch) for batch in dataset]


def assert_same(first, second):
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, one, other)


AUGMENTED = {
    "color": ColorJitter(hue=0.1),
    "rand_augment": RandAugment(),
    "mixup": 0.8,
    "balanced": "action",
    "clips_per_video": 2,
}


@pytest.mark.parametrize("options", [{}, AUGMENTED], ids=["plain", "augmented"])
def test_a_restart_goes_on_with_the_very_next_batch(records_folder, tiny_clip, options):
    options = {"crop_size": 40, "short_side": (44, 60), "seed": 3} | options
    dataset = training_clips(records_folder, tiny_clip, 2, **options)
    epochs = [as_arrays(dataset) for _ in range(3)]
    assert not np.array_equal(epochs[1][0][0], epochs[2][0][0])
    for step in {1, len(epochs[1]) - 1}:
        rest = training_clips(records_folder, tiny_clip, 2, first_epoch=1, first_step=step, **options)
        assert_same(as_arrays(rest), epochs[1][step:])
        assert_same(as_arrays(rest), epochs[1][step:])  # on every pass


def test_what_is_left_out_is_not_read(records_folder, tiny_clip, tmp_path):
    """Every shard but those of the last step is emptied of what it held."""
    copy = shutil.copytree(records_folder, tmp_path / "copy")
    expected = batches_of(copy, tiny_clip, 1)
    manifest = read_manifest(copy, "train")
    last = EpochOrder(5, 3)(0)[0][-1]
    index = manifest.videos[last]["index"]
    for shard in manifest.shards:
        content = bytearray((copy / shard.name).read_bytes())
        for video, begin, end in zip(shard.videos, shard.offsets, (*shard.offsets[1:], shard.bytes), strict=True):
            if shard.round or video != index:
                content[begin + 12 : end] = bytes(end - begin - 12)
        (copy / shard.name).write_bytes(content)
    assert_same(batches_of(copy, tiny_clip, 1, first_step=4), expected[4:])
    with pytest.raises(tf.errors.DataLossError):
        batches_of(copy, tiny_clip, 1)


@pytest.mark.parametrize("options", [{}, {"clips_per_video": 2, "color": ColorJitter()}], ids=["plain", "clips"])
def test_workers_share_every_batch(records_folder, tiny_clip, options):
    whole = batches_of(records_folder, tiny_clip, 4, **options)
    shares = [batches_of(records_folder, tiny_clip, 4, worker=(number, 2), **options) for number in range(2)]
    assert len(whole) == len(shares[0]) == len(shares[1]) == (2 if options else 1)
    for step, batch in enumerate(whole):
        joined = tf.nest.map_structure(lambda *parts: np.concatenate(parts), *(share[step] for share in shares))
        tf.nest.map_structure(np.testing.assert_array_equal, joined, batch)


def test_fit_goes_on_in_the_middle_of_an_epoch(records_folder, tiny_clip):
    """Two calls of fit, the second from the state that the first was in, against one without a break."""
    import keras

    def model():
        keras.utils.set_random_seed(0)
        inputs = keras.Input((8, 40, 40, 3))
        pooled = keras.layers.GlobalAveragePooling3D()(keras.layers.Rescaling(1 / 255)(inputs))
        made = keras.Model(inputs, {"action": keras.layers.Dense(5, "sigmoid", name="action")(pooled)})
        made.compile(keras.optimizers.SGD(0.5, momentum=0.9), "binary_crossentropy")
        return made

    def clips(**options):
        made = training_clips(records_folder, tiny_clip, 1, crop_size=40, short_side=(44, 60), seed=3, **options)
        return made.map(lambda frames, targets: (frames, {"action": targets["action"]}))

    whole, broken = model(), model()
    whole.fit(clips(), epochs=2, shuffle=False, verbose=0)
    broken.fit(clips().take(3), epochs=1, shuffle=False, verbose=0)
    broken.fit(clips(first_step=3), epochs=1, shuffle=False, verbose=0)
    broken.fit(clips(first_epoch=1), epochs=2, initial_epoch=1, shuffle=False, verbose=0)
    for one, other in zip(whole.get_weights(), broken.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


# How a clip is cut.


@pytest.fixture(scope="module")
def whole_videos(charades_folder, tiny_clip, tmp_path_factory):
    """The train split with a record a video, every frame in it."""
    out = tmp_path_factory.mktemp("whole")
    labels = read_charades_classes(charades_folder)
    annotations = read_charades_csv(charades_folder / "Tiny_v1_train.csv", labels)
    videos = find_videos(annotations.rows, charades_folder / "videos")
    build_records(annotations, videos, labels, out, clip=tiny_clip, short_side=48, quality=95, stride=1, rounds=1)
    return out


def test_uniform_takes_a_frame_of_each_part_of_the_video(whole_videos, tiny_clip):
    dataset = clips_of(whole_videos, tiny_clip, strategy="uniform")
    expected = {"a1": 48, "b2": 72, "d4": 36, "f6": 12}
    seen = {name: [set() for _ in range(8)] for name in expected}
    for _ in range(30):
        frames, targets = one_pass(dataset)
        for clip, action in zip(frame_numbers(frames), targets["action"], strict=True):
            for name, length in expected.items():
                bounds = np.round(np.arange(9) * (length - 1) / 8)
                if (clip >= bounds[:-1]).all() and (clip <= bounds[1:]).all() and is_union(name, clip, action):
                    for part, number in zip(seen[name], clip, strict=True):
                        part.add(int(number))
    # 72 frames in 8 parts: 9 or 10 choices each, of which 30 draws show most; f6 has 2 or 3.
    assert all(len(part) >= 6 for part in seen["b2"])
    assert all(len(part) >= 2 for part in seen["f6"])


def is_union(name, clip, action):
    """Whether the targets are those of the frames from a clip's first to its last."""
    row = next(row for row in TINY_ROWS["Tiny_v1_train.csv"] if row.startswith(name))
    expected = np.zeros(5)
    for timed in filter(None, row.split(",")[-2].split(";")):
        label, start, end = timed.split()
        if any(float(start) - 1e-6 <= frame / 24 <= float(end) + 1e-6 for frame in range(clip[0], clip[-1] + 1)):
            expected[int(label[1:])] = 1
    return action.tolist() == expected.tolist()


def test_uniform_needs_whole_videos(records_folder, tiny_clip):
    for split, held in (("train", "segments in 4 rounds"), ("test", "test clips")):
        message = rf"manifest-{split}.json: holds {held}; strategy='uniform' takes.*rounds=1"
        with pytest.raises(DataError, match=message):
            clips_of(records_folder, tiny_clip, strategy="uniform", split=split)


def test_clips_of_one_video_share_it(whole_videos, tiny_clip):
    dataset = training_clips(
        whole_videos, tiny_clip, 3, clips_per_video=3, crop_size=40, short_side=(44, 60), drop_remainder=False
    )
    assert int(dataset.cardinality()) == 5
    starts = []
    for _ in range(20):
        for frames, targets in dataset:
            assert frames.shape == (3, 8, 40, 40, 3)
            assert targets["verb"].shape == (3, 3)
            numbers = frame_numbers(frames.numpy())
            if numbers[-1, -1] > 47:  # b2 alone is so long
                starts.append(numbers[:, 0].tolist())
                for clip, action in zip(numbers, targets["action"].numpy(), strict=True):
                    assert is_union("b2", clip, action)
    # 58 starts in three parts.
    assert len(starts) == 20
    low, high = np.min(starts, axis=0), np.max(starts, axis=0)
    assert (np.abs(low - [0, 19, 38]) <= 5).all()
    assert (np.abs(high - [19, 38, 57]) <= 5).all()
    assert (low[1:] >= [19, 38]).all()


def test_the_center_crop_is_in_the_center(records_folder, tiny_clip):
    # The red patch is the top left eighth: never in the middle 36 of 48 pixels, now and then in a random crop.
    options = {"crop_size": 36, "short_side": (48, 48), "flip": False}
    red = []
    for crop in ("center", "random"):
        dataset = clips_of(records_folder, tiny_clip, crop=crop, **options)
        frames = np.concatenate([one_pass(dataset)[0] for _ in range(6)]).astype(int)
        red.append((frames[..., 0] - frames[..., 1] > 100).any())
    assert red == [False, True]


def test_colors_and_operations_change_frames_alone(records_folder, tiny_clip):
    options = {"flip": False, "short_side": (44, 44), "crop": "center", "seed": 5}
    plain = one_pass(clips_of(records_folder, tiny_clip, **options))
    for changed in ({"color": ColorJitter()}, {"rand_augment": RandAugment()}):
        frames, targets = one_pass(clips_of(records_folder, tiny_clip, **options, **changed))
        assert (frames != plain[0]).any(axis=(1, 2, 3, 4)).sum() >= 3
        tf.nest.map_structure(np.testing.assert_array_equal, targets, plain[1])


def test_mixup_mixes_frames_and_targets_alike(records_folder, tiny_clip):
    plain = batches_of(records_folder, tiny_clip, 2)
    mixed = batches_of(records_folder, tiny_clip, 2, mixup=1.0)
    for (frames, targets), (both, soft) in zip(plain, mixed, strict=True):
        own, other = targets["action"], targets["action"][::-1]
        found = np.where(own == 1, soft["action"], 1 - soft["action"])[own != other]
        np.testing.assert_allclose(found, found[0], atol=1e-6)
        expected = found[0] * frames + (1 - found[0]) * frames[::-1].astype(float)
        assert np.abs(both - expected).max() <= 0.51


def test_rare_classes_come_as_often_as_common_ones(records_folder, tiny_clip):
    dataset = clips_of(records_folder, tiny_clip, balanced="object")
    manifest = read_manifest(records_folder, "train")
    order = EpochOrder(5, 0, class_balance(manifest, "object"))
    for epoch in range(6):
        frames, targets = one_pass(dataset)
        assert len(frames) == 5
        # The targets of a clip are among those of its video; c3 has none.
        drawn = [manifest.labels.targets(manifest.videos[video]["actions"])["object"] for video in order(epoch)[0]]
        assert (targets["object"] <= np.stack(drawn)).all()
        assert (targets["object"].any(axis=1) == np.stack(drawn).any(axis=1)).sum() >= 3


def test_a_validation_is_the_same_every_time(records_folder, tiny_clip):
    dataset = clips_of(records_folder, tiny_clip, **VALIDATION)
    first = as_arrays(dataset)
    assert_same(as_arrays(dataset), first)
    assert not np.array_equal(first[0][0], as_arrays(clips_of(records_folder, tiny_clip))[0][0])
