"""Records to tf.data: random training clips and the fixed views of a test."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import tensorflow as tf

from kerasfast.data.clips import ClipSpec
from kerasfast.data.errors import DataError
from kerasfast.data.pipeline import transforms
from kerasfast.data.pipeline.windows import central_window, random_window, window_targets
from kerasfast.data.records.manifest import Manifest
from kerasfast.data.records.read import check_records, read_manifest
from kerasfast.data.records.schema import Record, parse_record

# Shards read at once: enough to mix videos, few enough for a disk.
_OPEN_SHARDS = 8
# Numbers of the random draws of a clip; each clip draws all of them, so adding one changes no other.
_WINDOW, _TEST_CLIP, _SIZE, _TOP, _LEFT, _FLIP = range(6)


def training_clips(
    records: str | Path,
    clip: ClipSpec,
    batch_size: int,
    *,
    crop_size: int = 224,
    short_side: tuple[int, int] = (256, 320),
    flip: bool = True,
    seed: int = 0,
    split: str = "train",
    first_epoch: int = 0,
    shuffle: int = 128,
    drop_remainder: bool = True,
) -> tf.data.Dataset:
    """One random clip of every video, shuffled and augmented; one pass is one epoch.

    Each new pass over the dataset is the next epoch, so it goes straight into `model.fit(epochs=N)`. What a
    pass yields depends on `seed` and the number of its epoch alone: to go on after epoch 7, give
    `first_epoch=7`. (Under a `tf.distribute` strategy Keras looks at one batch before the first epoch, which
    takes up a number.) A clip has one crop, scale and flip for all its frames.

    Args:
        records: Folder that `build_records` wrote.
        clip: The clip to cut: at the rate of the records, not of a longer span than they were built for, its
            stride a multiple of theirs. A video shorter than the clip repeats its last frame.
        batch_size: Clips a batch.
        crop_size: Side of the square crop in pixels.
        short_side: Smallest and largest shorter side to scale the frames to, drawn inverse-uniformly.
        flip: Mirror half of the clips.
        seed: Seed of every random choice.
        split: Name of the split. Of a split in the test layout one of the stored test clips is drawn.
        first_epoch: Number of the epoch of the first pass.
        shuffle: Clips held, still as JPEG, to draw the next one from. The order of the files and of the videos
            in them is random already.
        drop_remainder: Leave out the last batch of an epoch if it is not full.

    Returns:
        A finite dataset of (frames, targets): frames uint8 `(B, T, crop_size, crop_size, 3)`, RGB, and for each
        head float32 `(B, classes)`, 1 for the actions that label a frame between the clip's first and last.

    Raises:
        ValueError: An argument is out of its range.
        DataError: The records are missing, damaged or do not fit the clip; names the file.
    """
    manifest = read_manifest(records, split)
    _check_clip(manifest, clip, Path(records))
    videos = len(manifest.videos)
    if not 1 <= crop_size <= short_side[0] <= short_side[1]:
        raise ValueError(
            f"The shorter side must be at least the crop. Received: crop_size={crop_size!r}, short_side={short_side!r}."
        )
    if not 1 <= batch_size <= (videos if drop_remainder else batch_size):
        raise ValueError(
            f"batch_size must be in 1 .. {videos}, the videos of split {split!r}. Received: {batch_size!r}. "
            "Give a smaller one, or drop_remainder=False."
        )
    if shuffle < 1 or first_epoch < 0:
        raise ValueError(
            "shuffle must be at least 1 and first_epoch at least 0. "
            f"Received: shuffle={shuffle!r}, first_epoch={first_epoch!r}."
        )
    files = tf.constant(manifest.round_files(records))
    sampled = _Sampler(manifest, clip, seed)

    def epoch_clips(epoch: tf.Tensor) -> tf.data.Dataset:
        key = _fold((seed, 0), epoch)
        shards = tf.random.experimental.stateless_shuffle(files[epoch % manifest.options.rounds], key)
        serialized = tf.data.Dataset.from_tensor_slices(shards).interleave(
            tf.data.TFRecordDataset, cycle_length=_OPEN_SHARDS
        )
        if manifest.options.layout == "test":
            serialized = serialized.filter(lambda record: sampled.is_drawn(record, epoch))
        clips = serialized.map(lambda record: sampled.clip(record, epoch))
        # tf.data mixes the seed of the graph at hand into its own, here that of this function, which takes over what
        # tf.random.set_seed was last given. Fixed, it leaves the order to `seed` and the epoch.
        tf.compat.v1.set_random_seed(1)
        return clips.shuffle(shuffle, seed=key[0], reshuffle_each_iteration=False)

    def augmented(jpegs: tf.Tensor, size: tf.Tensor, draws: tf.Tensor, targets: dict[str, tf.Tensor]) -> tuple:
        scaled = transforms.jittered_short_side(draws[_SIZE], short_side)
        box = transforms.random_box((draws[_TOP], draws[_LEFT]), size[0], size[1], scaled, crop_size)
        frames = transforms.resize(transforms.decode(jpegs, box), crop_size, crop_size)
        if flip:
            frames = transforms.flip(frames, draws[_FLIP] < 0.5)
        return tf.ensure_shape(frames, (clip.frames, crop_size, crop_size, 3)), targets

    numbers = itertools.count(first_epoch)
    # A Python generator, because it is asked anew by each pass and so can count them.
    epochs = tf.data.Dataset.from_generator(lambda: iter([next(numbers)]), output_signature=tf.TensorSpec((), tf.int64))
    dataset = (
        epochs.flat_map(epoch_clips)
        .map(augmented, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .batch(batch_size, drop_remainder=drop_remainder)
    )
    batches = videos // batch_size if drop_remainder else -(-videos // batch_size)
    return _finish(dataset, batches)


def testing_views(
    records: str | Path,
    clip: ClipSpec,
    clips: int = 10,
    crops: int = 3,
    *,
    crop_size: int = 256,
    short_side: int = 256,
    split: str = "test",
    batch_size: int = 8,
) -> tf.data.Dataset:
    """The views of a test: every crop of every test clip of every video, in a fixed order.

    Args:
        records: Folder that `build_records` wrote, with a split in the test layout.
        clip: The clip. A shorter one than stored is cut from the middle of the stored clip.
        clips: Clips a video. Fewer than stored are chosen evenly from the first to the last of those, 1 from the
            middle; their starts are near those of a build with that many clips, not equal to them.
        crops: 3 (left, centre, right, or top, centre, bottom of portrait frames) or 1 (centre).
        crop_size: Side of the square crop in pixels.
        short_side: Shorter side to scale the frames to before the crop.
        split: Name of the split.
        batch_size: Views a batch; the last batch may be smaller.

    Returns:
        A finite dataset of (frames, video, view): frames uint8 `(B, T, crop_size, crop_size, 3)`, RGB; video
        int64 `(B,)`, the row of `video_labels`; view int64 `(B,)`, crops * clip + crop.

    Raises:
        ValueError: An argument is out of its range.
        DataError: The records are missing, damaged or do not fit the clip; names the file.
    """
    manifest = read_manifest(records, split)
    path = Path(records)
    _check_clip(manifest, clip, path)
    stored = manifest.options.clips
    if manifest.options.layout != "test":
        raise DataError(f"{path}: holds training segments, not test clips. Build the split with layout='test'.")
    if not 1 <= clips <= stored:
        raise DataError(f"{path}: holds {stored} clips a video; {clips} were asked for. Build it with more clips.")
    if crops not in (1, transforms.CROPS):
        raise ValueError(f"crops must be 1 or {transforms.CROPS}. Received: crops={crops!r}.")
    if not 1 <= crop_size <= short_side or batch_size < 1:
        raise ValueError(
            "The shorter side must be at least the crop, and batch_size at least 1. "
            f"Received: crop_size={crop_size!r}, short_side={short_side!r}, batch_size={batch_size!r}."
        )
    # Stored clip -> its number among those wanted, or -1.
    chosen = np.full(stored, -1, np.int64)
    chosen[np.round(np.linspace(0, stored - 1, clips)).astype(int) if clips > 1 else [stored // 2]] = range(clips)
    # Number of the video in the records -> row among those that were not skipped.
    rows = np.zeros(max(video["index"] for video in manifest.videos) + 1, np.int64)
    rows[[video["index"] for video in manifest.videos]] = range(len(manifest.videos))

    def frames_of(record: Record) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        jpegs = central_window(record, clip, manifest.options)
        frames = transforms.scale_short_side(transforms.decode(jpegs), short_side)
        return frames, tf.gather(rows, record.video_index), tf.gather(chosen, record.place)

    def views_of(frames: tf.Tensor, video: tf.Tensor, number: tf.Tensor) -> tf.data.Dataset:
        positions = tf.data.Dataset.range(crops) if crops > 1 else tf.data.Dataset.from_tensors(np.int64(1))
        return positions.map(
            lambda position: (
                transforms.crop_position(frames, position, crop_size),
                video,
                crops * number + (position if crops > 1 else 0),
            )
        )

    dataset = (
        tf.data.TFRecordDataset(manifest.round_files(records)[0])
        .filter(lambda serialized: tf.gather(chosen, parse_record(serialized).place) >= 0)
        .map(lambda serialized: frames_of(parse_record(serialized)), num_parallel_calls=2, deterministic=True)
        .flat_map(views_of)
        .batch(batch_size)
    )
    views = len(manifest.videos) * clips * crops
    return _finish(dataset, -(-views // batch_size))


def video_labels(records: str | Path, split: str = "test") -> dict[str, np.ndarray]:
    """Targets of whole videos: the union of their actions.

    Args:
        records: Folder that `build_records` wrote.
        split: Name of the split.

    Returns:
        For each head float32 `(videos, classes)`; row i is the video with index i in `testing_views`.

    Raises:
        DataError: The records are missing or damaged; names the file.
    """
    manifest = read_manifest(records, split)
    targets = [manifest.labels.targets(video["actions"]) for video in manifest.videos]
    return {head: np.stack([target[head] for target in targets]) for head in manifest.labels.heads}


class _Sampler:
    """Draws the clip of a record; every choice is a function of seed, epoch and video.

    Args:
        manifest: The records.
        clip: The clip to cut.
        seed: Seed of every choice.
    """

    def __init__(self, manifest: Manifest, clip: ClipSpec, seed: int) -> None:
        self._manifest, self._clip, self._seed = manifest, clip, seed

    def is_drawn(self, serialized: tf.Tensor, epoch: tf.Tensor) -> tf.Tensor:
        """Whether this is the test clip drawn for its video."""
        record = parse_record(serialized)
        draw = self._draws(record, epoch)[_TEST_CLIP]
        return record.place == tf.cast(draw * self._manifest.options.clips, tf.int64)

    def clip(self, serialized: tf.Tensor, epoch: tf.Tensor) -> tuple:
        """The sampled frames, still as JPEG, their size, the other draws, and the targets."""
        record = parse_record(serialized)
        draws = self._draws(record, epoch)
        jpegs, first = random_window(record, self._clip, self._manifest.options, draws[_WINDOW])
        targets = window_targets(record, first, self._clip, self._manifest.labels)
        size = tf.cast(tf.stack([record.height, record.width]), tf.int32)
        return jpegs, size, draws, targets

    def _draws(self, record: Record, epoch: tf.Tensor) -> tf.Tensor:
        key = _fold(_fold((self._seed, 1), epoch), record.video_index)
        return tf.random.stateless_uniform((_FLIP + 1,), key)


@contextmanager
def named_damage(records: str | Path, split: str) -> Iterator[None]:
    """Where TensorFlow fails to read, say which shard is damaged instead.

    Opening a dataset compares sizes only; a flipped bit shows when its record is read, as an error that names no file.

    Raises:
        DataError: A shard is not as it was written; names it.
    """
    try:
        yield
    except tf.errors.OpError:
        check_records(records, split)
        raise


def _fold(key: tf.Tensor | tuple[int, int], number: tf.Tensor) -> tf.Tensor:
    return tf.random.experimental.stateless_fold_in(tf.cast(key, tf.int64), number)


def _check_clip(manifest: Manifest, clip: ClipSpec, path: Path) -> None:
    stored = manifest.options.clip
    step = manifest.options.stride
    if clip.fps != stored.fps or clip.stride % step or clip.span > stored.span:
        raise DataError(
            f"{path}: holds frames at {stored.fps:g} fps, stored at stride {step}, for clips of up to {stored.span} "
            f"frames ({stored.frames} at stride {stored.stride}). Received: {clip.frames} frames at stride "
            f"{clip.stride}, {clip.fps:g} fps (span {clip.span}). Build the records again for this clip."
        )


def _finish(dataset: tf.data.Dataset, batches: int) -> tf.data.Dataset:
    options = tf.data.Options()
    # Several workers share the elements; one worker with several replicas reads all.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(batches))
    return dataset.prefetch(tf.data.AUTOTUNE).with_options(options)
