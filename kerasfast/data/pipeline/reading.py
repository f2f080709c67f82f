"""What both pipelines read by: one record at a place, damage that is named, and checks of what was asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tensorflow as tf

from kerasfast.data.clips import ClipSpec
from kerasfast.data.errors import DataError
from kerasfast.data.records.folder import RecordFolder
from kerasfast.data.records.manifest import Manifest
from kerasfast.data.records.read import check_records, manifest_name


class RecordReader:
    """Reads single records of a split, in any order, inside `tf.data`.

    A record at a known place costs two reads, of its header and of itself: at 1.3 MB a record that is as fast as
    reading whole shards in turn, and an epoch can be shuffled by its places alone, begun anywhere and shared among
    workers without reading what is left out.

    Args:
        manifest: The records.
        folder: Where they are.
    """

    def __init__(self, manifest: Manifest, folder: str | Path) -> None:
        opened = RecordFolder(folder)
        self._files = tf.constant([opened.path(shard.name) for shard in manifest.shards])

    def __call__(self, shard: tf.Tensor, offset: tf.Tensor) -> tf.Tensor:
        """The serialised record of a shard that begins at a byte, string scalar; its checksum is compared."""
        # What tf.data.TFRecordDataset is made of; it does not hand on the offset.
        following = tf.raw_ops.TFRecordDatasetV2(
            filenames=self._files[shard][tf.newaxis],
            compression_type="",
            buffer_size=0,
            byte_offsets=offset[tf.newaxis],
        )
        kind = {"output_types": [tf.string], "output_shapes": [()]}
        record = tf.raw_ops.TakeDataset(input_dataset=following, count=tf.constant(1, tf.int64), **kind)
        return tf.raw_ops.DatasetToSingleElement(dataset=record, **kind)[0]


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


def check_clip(manifest: Manifest, clip: ClipSpec, records: str | Path) -> None:
    """Refuses a clip that the records do not hold."""
    stored, step = manifest.options.clip, manifest.options.stride
    if clip.fps != stored.fps or clip.stride % step or clip.span > stored.span:
        raise DataError(
            f"{_manifest_path(manifest, records)}: holds frames at {stored.fps:g} fps, stored at stride {step}, for "
            f"clips of up to {stored.span} frames ({stored.frames} at stride {stored.stride}). Received: {clip.frames} "
            f"frames at stride {clip.stride}, {clip.fps:g} fps (span {clip.span}). Build the records again for this "
            "clip."
        )


def check_whole_videos(manifest: Manifest, records: str | Path) -> None:
    """Refuses records that hold parts of videos, where frames of whole ones are wanted."""
    options = manifest.options
    if options.layout != "train" or options.rounds > 1:
        what = "test clips" if options.layout == "test" else f"segments in {options.rounds} rounds"
        raise DataError(
            f"{_manifest_path(manifest, records)}: holds {what}; strategy='uniform' takes frames of whole videos. "
            "Build the split with layout='train', rounds=1 and, for every frame, stride=1."
        )


def check_worker(worker: tuple[int, int], shares: dict[str, int]) -> None:
    """Refuses a worker that is not among the workers, or sizes that they cannot share equally."""
    index, count = worker
    if not 0 <= index < count:
        raise ValueError(
            f"worker must be (number, workers) with the number in 0 .. workers - 1. Received: worker={worker!r}."
        )
    for name, size in shares.items():
        if size % count:
            raise ValueError(
                f"{name} must be a multiple of the {count} workers, which share it. Received: {name}={size!r}."
            )


def finish(dataset: tf.data.Dataset, batches: int, worker: tuple[int, int] | None) -> tf.data.Dataset:
    """Says how long a dataset is, and how workers share it."""
    options = tf.data.Options()
    policy = tf.data.experimental.AutoShardPolicy
    # Without a share of its own each worker would read all and leave out what is the others'; one worker with several
    # replicas reads all in either case.
    options.experimental_distribute.auto_shard_policy = policy.DATA if worker is None else policy.OFF
    # Clips are made side by side; threads within an operation on one frame of them only wait for each other.
    options.threading.max_intra_op_parallelism = 1
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(batches))
    return dataset.prefetch(tf.data.AUTOTUNE).with_options(options)


def _manifest_path(manifest: Manifest, records: str | Path) -> str:
    return RecordFolder(records).path(manifest_name(manifest.split))
