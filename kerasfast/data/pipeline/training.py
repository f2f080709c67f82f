"""Records to batches of augmented training clips."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import tensorflow as tf

from kerasfast.data.clips import ClipSpec
from kerasfast.data.pipeline import transforms
from kerasfast.data.pipeline.color import ColorJitter
from kerasfast.data.pipeline.mixup import mixup as mix
from kerasfast.data.pipeline.order import EpochOrder, EpochRows, class_balance, share_of_worker
from kerasfast.data.pipeline.rand_augment import RandAugment
from kerasfast.data.pipeline.reading import (
    RecordReader,
    check_clip,
    check_whole_videos,
    check_worker,
    finish,
)
from kerasfast.data.pipeline.windows import random_window, spread_frames, window_targets
from kerasfast.data.records.manifest import Manifest
from kerasfast.data.records.read import read_manifest
from kerasfast.data.records.schema import Record, parse_record

Strategy = Literal["dense", "uniform"]
Crop = Literal["random", "center"]

# Numbers of the random draws of a clip; each clip draws all of them, so adding one changes no other.
_WINDOW, _SIZE, _TOP, _LEFT, _FLIP, _DRAWS = range(6)
# What the key of a clip, or of a batch, is folded with for the draws that are made elsewhere.
_SPREAD_KEY, _COLOR_KEY, _RAND_AUGMENT_KEY, _MIXUP_KEY, _CLIP_KEY = range(5)  # the last for the first of several clips
# Options of a validation: the same clips every time, from the middle of the frame.
VALIDATION = {"crop": "center", "flip": False, "same_clips": True, "drop_remainder": False}


def training_clips(
    records: str | Path,
    clip: ClipSpec,
    batch_size: int,
    *,
    crop_size: int = 224,
    short_side: tuple[int, int] = (256, 320),
    crop: Crop = "random",
    flip: bool = True,
    strategy: Strategy = "dense",
    clips_per_video: int = 1,
    color: ColorJitter | None = None,
    rand_augment: RandAugment | None = None,
    mixup: float = 0.0,
    balanced: str | None = None,
    seed: int = 0,
    split: str = "train",
    first_epoch: int = 0,
    first_step: int = 0,
    worker: tuple[int, int] | None = None,
    turn: tuple[int, int] | None = None,
    same_clips: bool = False,
    drop_remainder: bool = True,
) -> tf.data.Dataset:
    """A random clip of every video, shuffled and augmented; one pass is one epoch.

    Each new pass over the dataset is the next epoch, so it goes straight into `model.fit(epochs=N)`. A batch is a
    function of `seed`, the epoch and the step alone: `first_epoch=7, first_step=120` goes on with the very batch that
    would have come, and reads nothing of what it leaves out. With `first_step` the dataset is the rest of that one
    epoch, on every pass: `fit(epochs=8, initial_epoch=7)` it, then go on with `first_epoch=8`. (Under a
    `tf.distribute` strategy, and with JAX as its backend, Keras looks at one batch before the first epoch, which takes
    up the number of an epoch.)

    A clip has one crop, scale, flip, color and so on for all its frames. They come in this order: crop and scale, flip,
    `rand_augment`, `color`, and `mixup` over the batch.

    Args:
        records: Folder that `build_records` wrote, or an address such as `s3://bucket/records`.
        clip: The clip to cut: at the rate of the records, not of a longer span than they were built for, its
            stride a multiple of theirs. A video shorter than the clip repeats its last frame.
        batch_size: Clips a batch, of all workers together.
        crop_size: Side of the square crop in pixels.
        short_side: Smallest and largest shorter side to scale the frames to, drawn inverse-uniformly. Published are
            256 to 320 (Kinetics) and 256 to 340 (PySlowFast's Charades).
        crop: "random", or "center" for a validation.
        flip: Mirror half of the clips. Wrong where classes tell left from right.
        strategy: "dense" takes every stride-th frame of a window anywhere in the video; "uniform" a random frame of
            each of `clip.frames` equal parts of the whole video, whatever its length, from records built with
            `rounds=1`.
        clips_per_video: Clips of each video, next to each other in the batch, each with draws of its own; their windows
            share the record equally, so with `rounds=1` the whole video. An epoch is as many times longer.
        color: Brightness, contrast, saturation and hue.
        rand_augment: Random operations of RandAugment.
        mixup: Alpha of the beta distribution by which clips and targets of a batch are mixed; 0 for none.
        balanced: A head whose classes are to be drawn equally often (see `class_balance`); videos of common classes
            then miss some epochs, those of rare ones come several times, from different rounds.
        seed: Seed of every random choice.
        split: Name of the split. Of a split in the test layout one of the stored test clips is drawn.
        first_epoch: Number of the epoch of the first pass.
        first_step: Batches of that epoch to leave out; the dataset then ends with the epoch.
        worker: Number of this process, from 0, and number of processes, where each makes its own share of every batch:
            give it to `strategy.distribute_datasets_from_function`, and where a process has several replicas, which
            take a batch each there, `.rebatch(batch_size // replicas of all)`. What the clips are does not depend on
            it, except for `mixup`, which mixes within a share.
        turn: Of how many clips of the epoch, in its order, one batch is taken, and where in them it begins, given as
            (begin, length): datasets of other batch and crop sizes can so share an epoch, each clip coming once.
        same_clips: Every pass is epoch `first_epoch` again, for a validation.
        drop_remainder: Leave out the last batch of an epoch if it is not full.

    Returns:
        A finite dataset of (frames, targets): frames uint8 `(B, T, crop_size, crop_size, 3)`, RGB, and for each
        head float32 `(B, classes)`, 1 for the actions that label a frame between the clip's first and last.

    Raises:
        ValueError: An argument is out of its range.
        DataError: The records are missing, damaged or do not fit the clip; names the file.
    """
    manifest = read_manifest(records, split)
    check_clip(manifest, clip, records)
    if strategy == "uniform":
        check_whole_videos(manifest, records)
    draws = len(manifest.videos) * clips_per_video
    _check_choices(strategy, crop)
    _check_sizes(crop_size, short_side, batch_size, clips_per_video, draws, split, drop_remainder)
    if worker is not None:
        check_worker(worker, {"batch_size": batch_size, "batch_size // clips_per_video": batch_size // clips_per_video})
        if not drop_remainder:
            raise ValueError("Workers share whole batches. Received: worker and drop_remainder=False. Leave one out.")
    begin, length = turn or (0, batch_size)
    if turn is not None:
        _check_turn(begin, length, batch_size, clips_per_video, draws, drop_remainder)
    # Whole batches; the last turn of an epoch need not be whole.
    batches = (draws - begin - batch_size) // length + 1 if drop_remainder else -(-draws // batch_size)
    if not (seed >= 0 and first_epoch >= 0 and 0 <= first_step < batches and mixup >= 0):
        raise ValueError(
            f"seed, first_epoch and mixup must be at least 0 and first_step in 0 .. {batches - 1}. Received: "
            f"seed={seed!r}, first_epoch={first_epoch!r}, first_step={first_step!r}, mixup={mixup!r}."
        )
    videos_per_batch, shared_by = batch_size // clips_per_video, worker[1] if worker else 1
    taken = np.arange(len(manifest.videos))
    if drop_remainder:
        taken = share_of_worker(batches, videos_per_batch, worker or (0, 1))
        batch_of_epoch, place = np.divmod(taken, videos_per_batch)
        taken = (begin + batch_of_epoch * length) // clips_per_video + place
    taken = taken[first_step * videos_per_batch // shared_by :]
    weights = None if balanced is None else class_balance(manifest, balanced)
    rows_of = EpochRows(manifest, EpochOrder(len(manifest.videos), seed, weights), seed, taken)
    numbers = itertools.count(first_epoch)

    def epochs() -> Iterator[np.ndarray]:
        # A Python generator, because it is asked anew by each pass and so can count them.
        yield rows_of(first_epoch if first_step or same_clips else next(numbers))

    read = RecordReader(manifest, records)
    cut = _Cut(manifest, clip, crop_size, short_side, crop, flip, strategy, color, rand_augment)

    def clips_of(row: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor], tf.Tensor]:
        record = parse_record(read(row[0], row[1]))
        key = fold(fold((seed, 1), row[2]), row[3])
        if clips_per_video == 1:
            return *cut(record, key, 0.0, 1.0), key
        parts = [
            cut(record, fold(key, _CLIP_KEY + number), number / clips_per_video, 1 / clips_per_video)
            for number in range(clips_per_video)
        ]
        return *tf.nest.map_structure(lambda *values: tf.stack(values), *parts), key

    def batch_of(
        frames: tf.Tensor, targets: dict[str, tf.Tensor], keys: tf.Tensor
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        if clips_per_video > 1:
            frames, targets = tf.nest.map_structure(_joined, (frames, targets))
        return mix(frames, targets, fold(keys[0], _MIXUP_KEY), mixup) if mixup else (frames, targets)

    dataset = (
        tf.data.Dataset.from_generator(epochs, output_signature=tf.TensorSpec((None, 4), tf.int64))
        .flat_map(tf.data.Dataset.from_tensor_slices)
        .map(clips_of, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .batch(videos_per_batch // shared_by, drop_remainder=drop_remainder)
        .map(batch_of, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    )
    return finish(dataset, batches - first_step, worker)


@dataclass(frozen=True)
class _Cut:
    """Cuts a clip from a record and augments it; every choice is a function of a key."""

    manifest: Manifest
    clip: ClipSpec
    crop_size: int
    short_side: tuple[int, int]
    crop: Crop
    flip: bool
    strategy: Strategy
    color: ColorJitter | None
    rand_augment: RandAugment | None

    def __call__(
        self, record: Record, key: tf.Tensor, begin: float, share: float
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Frames and targets of the clip whose window begins in a part of all places that it could begin at.

        Args:
            record: The record.
            key: int64 `(2,)`.
            begin: Where that part begins, in [0, 1).
            share: How much of all places it is.
        """
        draws = tf.random.stateless_uniform((_DRAWS,), key)
        options = self.manifest.options
        if self.strategy == "uniform":
            uniforms = tf.random.stateless_uniform((self.clip.frames,), fold(key, _SPREAD_KEY))
            jpegs, first, last = spread_frames(record, self.clip.frames, options, uniforms)
        else:
            jpegs, first, last = random_window(record, self.clip, options, begin + share * draws[_WINDOW])
        targets = window_targets(record, first, last, self.manifest.labels)
        height, width = tf.cast(record.height, tf.int32), tf.cast(record.width, tf.int32)
        scaled = transforms.jittered_short_side(draws[_SIZE], self.short_side)
        where = (draws[_TOP], draws[_LEFT]) if self.crop == "random" else (0.5, 0.5)
        box = transforms.random_box(where, height, width, scaled, self.crop_size)
        frames = transforms.decode_box(jpegs, box, self.crop_size, draws[_FLIP] < 0.5 if self.flip else None)
        if self.rand_augment is not None:
            frames = self.rand_augment(frames, fold(key, _RAND_AUGMENT_KEY))
        if self.color is not None:
            frames = self.color(frames, fold(key, _COLOR_KEY))
        return tf.ensure_shape(frames, (self.clip.frames, self.crop_size, self.crop_size, 3)), targets


def fold(key: tf.Tensor | tuple[int, int], number: tf.Tensor | int) -> tf.Tensor:
    """A key made of a key and a number, int64 `(2,)`."""
    return tf.random.experimental.stateless_fold_in(tf.cast(key, tf.int64), number)


def _joined(values: tf.Tensor) -> tf.Tensor:
    """`(videos, clips, ...)` as `(videos * clips, ...)`."""
    videos, clips = values.shape[:2]
    return tf.reshape(values, (-1 if videos is None else videos * clips, *values.shape[2:]))


def _check_choices(strategy: str, crop: str) -> None:
    for name, value, choices in (("strategy", strategy, get_args(Strategy)), ("crop", crop, get_args(Crop))):
        if value not in choices:
            raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}. Received: {name}={value!r}.")


def _check_sizes(
    crop_size: int,
    short_side: tuple[int, int],
    batch_size: int,
    clips_per_video: int,
    draws: int,
    split: str,
    drop_remainder: bool,
) -> None:
    if not 1 <= crop_size <= short_side[0] <= short_side[1]:
        raise ValueError(
            f"The shorter side must be at least the crop. Received: crop_size={crop_size!r}, short_side={short_side!r}."
        )
    if clips_per_video < 1 or batch_size % clips_per_video:
        raise ValueError(
            "batch_size must be a multiple of clips_per_video, which is at least 1. "
            f"Received: batch_size={batch_size!r}, clips_per_video={clips_per_video!r}."
        )
    if not 1 <= batch_size <= (draws if drop_remainder else batch_size):
        raise ValueError(
            f"batch_size must be in 1 .. {draws}, the clips of an epoch of split {split!r}. Received: {batch_size!r}. "
            "Give a smaller one, or drop_remainder=False."
        )


def _check_turn(
    begin: int, length: int, batch_size: int, clips_per_video: int, draws: int, drop_remainder: bool
) -> None:
    if not drop_remainder or begin % clips_per_video or length % clips_per_video:
        raise ValueError(
            "Datasets take turns in whole batches and whole videos. Received: "
            f"turn={(begin, length)}, clips_per_video={clips_per_video!r}, drop_remainder={drop_remainder!r}."
        )
    if not (0 <= begin <= length - batch_size and begin + batch_size <= draws):
        raise ValueError(
            f"A batch must lie within its turn, and within the {draws} clips of an epoch. "
            f"Received: turn={(begin, length)}, batch_size={batch_size!r}."
        )
