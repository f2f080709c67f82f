"""Videos and annotations to TFRecord shards with a manifest."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import tensorflow as tf

from kerasfast.data.annotations import Annotations, VideoRow
from kerasfast.data.clips import ClipSpec
from kerasfast.data.labels import LabelSpace
from kerasfast.data.records.assemble import assemble_manifest
from kerasfast.data.records.executor import Executor, Job, ProcessExecutor, ThreadExecutor
from kerasfast.data.records.manifest import Manifest
from kerasfast.data.records.output import OutputFolder
from kerasfast.data.records.plan import plan_build
from kerasfast.data.records.read import OtherFormatError, check_shape, manifest_name, parse_manifest
from kerasfast.data.records.state import BuildState, BuiltDifferentlyError


def build_records(
    annotations: Annotations | Iterable[VideoRow],
    videos: Mapping[str, str | Path],
    labels: LabelSpace,
    out: str | Path,
    *,
    clip: ClipSpec,
    split: str = "train",
    layout: Literal["train", "test"] | None = None,
    short_side: int = 256,
    quality: int = 90,
    stride: int | None = None,
    segment_spans: float = 2.0,
    rounds: int | None = None,
    clips: int = 10,
    part_videos: int = 64,
    frames_fps: float = 24.0,
    workers: int = 2,
    processes: int = 1,
    seed: int = 0,
    skip_bad: bool = False,
    progress: Callable[[int, int], None] | None = None,
    executor: Executor | None = None,
) -> Manifest:
    """Writes the TFRecord shards of one split and, last of all, its manifest.

    Every video is decoded once, in constant memory. The frames are JPEG of the sampled size, at the rate of the
    clip. In the "train" layout a round holds one segment of every video (see `layout`) and the order
    of the videos is drawn from `seed`; in the "test" layout a record holds one test clip and the order is
    that of the rows. Several splits can share a folder. A build that was ended, even killed, goes on where it
    was when the same call comes again, and its files are the same byte for byte.

    Args:
        annotations: The videos to store, with their timed actions.
        videos: File of each video by id, as from `find_videos`, or folder of its JPEG frames, as from `find_frames`.
        labels: The classes of the annotations.
        out: Folder to write; made if missing. Not an address: build here, then copy the folder into the store.
        clip: The clip to be read from the records. Clips of a shorter span can be read too, and strides that
            are multiples of `stride`.
        split: Name of the split, for example "train", "test" or "kinetics_train".
        layout: By default "train" if the name of the split contains "train", else "test".
        short_side: Shorter side of the stored frames in pixels; smaller videos keep their size.
        quality: JPEG quality. JPEG frames that are not to be scaled down are stored as they are.
        stride: Distance of stored frames, a divisor of `clip.stride`, which is the default. 1 doubles the files
            of a clip of stride 2, and then every start of a clip exists in every round.
        segment_spans: Longest training segment, in spans of the clip.
        rounds: Rounds of the training layout, by default as many as a video of mean length has segments, at most
            64. Longer videos have longer segments then, shorter ones come again in other phases. The files grow with
            the rounds: at the default they hold every sampled frame about twice, with 1 once.
        clips: Test clips a video.
        part_videos: Videos a shard; an ended build loses at most one shard of work for each worker.
        frames_fps: Frame rate of the videos that are folders of frames.
        workers: Threads that decode.
        processes: Processes that decode, if more than 1, in place of the threads: for many cores. They are started
            anew, so a script has to stand behind `if __name__ == "__main__":`.
        seed: Seed of the order of videos, segments and phases.
        skip_bad: Leave out videos that cannot be read and list them in the manifest, instead of raising.
        progress: Called with (videos done, videos in all) as the work goes on.
        executor: What builds the parts, by default `workers` threads or `processes`; `build_records_on_beam` gives
            another.

    Returns:
        The manifest, as written to `manifest-<split>.json`.

    Raises:
        ValueError: An argument is out of its range.
        DataError: A video cannot be read, or the folder holds this split built from other options or inputs.
        OSError: The folder cannot be written: read-only, or the disk is full. No half-written shard is left, and the
            same call goes on from the whole ones.
    """
    if processes < 1 or (executor is not None and processes > 1):
        raise ValueError(
            f"processes must be at least 1, and are not for another executor. Received: processes={processes!r}, "
            f"executor={executor!r}."
        )
    executor = executor or (ProcessExecutor(processes) if processes > 1 else ThreadExecutor(workers))
    folder = executor.folder(out)
    there = _manifest_there(folder, split)
    plan = plan_build(
        rows=annotations.rows if isinstance(annotations, Annotations) else tuple(annotations),
        videos=videos,
        labels=labels,
        split=split,
        workers=workers,
        skip_bad=skip_bad,
        rounds=rounds,
        frames_fps=frames_fps,
        there=there,
        stored_bytes=executor.stored_bytes,
        layout=layout or ("train" if "train" in split else "test"),
        clip=clip,
        stride=clip.stride if stride is None else stride,
        short_side=short_side,
        quality=quality,
        segment_spans=segment_spans,
        clips=clips,
        part_videos=part_videos,
        seed=seed,
    )
    state = BuildState(folder, split, plan.options, plan.fingerprint, skip_bad)
    advance = _Progress(progress, sum(len(part) for part in plan.parts))
    if there is not None:
        state.check_finished(there)
        state.clear()
        advance(advance.total)
        return there
    with _named_write_errors(folder):
        folder.make()
        state.begin()
        finished = state.finished_parts()
        if finished:
            advance(sum(len(plan.parts[number]) for number in finished))
        todo = tuple(number for number in range(len(plan.parts)) if number not in finished)
        if todo:
            executor.build(Job(folder, split, plan, todo, state, skip_bad), advance)
            finished = state.finished_parts()
        if missing := len(plan.parts) - len(finished):
            raise OSError(f"{missing} of {len(plan.parts)} parts are not there, though the work has ended")
        manifest = assemble_manifest(folder.root, split, plan, labels, list(finished.values()))
        folder.write(manifest_name(split), manifest.to_text())
        state.clear()
    return manifest


def _manifest_there(folder: OutputFolder, split: str) -> Manifest | None:
    """The manifest of an earlier build, if it has ended, checked as by `read_manifest`."""
    if folder.size(manifest_name(split)) is None:
        return None
    try:
        manifest = parse_manifest(folder, split)
    except OtherFormatError as error:
        raise BuiltDifferentlyError(f"{error} First delete it and the files {split}-* beside it.") from error
    # In a store the sizes of all come with one listing, and each look at a shard costs a round trip.
    sizes = folder.sizes(f"{split}-*.tfrecord") if folder.is_remote else {}
    for shard in manifest.shards:
        if sizes.get(shard.name) != shard.bytes:
            check_shape(folder, shard)
    return manifest


@contextmanager
def _named_write_errors(out: OutputFolder) -> Iterator[None]:
    """Says which folder cannot be written: what the file system and TensorFlow raise may not."""
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        if isinstance(error, OSError) and error.errno is None:  # of an executor, about something else than a disk
            raise OSError(
                f"{out}: the build has ended ({error}); the same build goes on from the whole shards."
            ) from error
        raise OSError(
            f"{out}: the records cannot be written ({error}). Free space or give another folder; the same build goes "
            "on from the shards that are whole."
        ) from error


class _Progress:
    """Counts videos for the caller's progress bar; used by all workers."""

    def __init__(self, report: Callable[[int, int], None] | None, total: int) -> None:
        self._report, self.total = report, total
        self._done, self._lock = 0, threading.Lock()

    def __call__(self, videos: int = 1) -> None:
        with self._lock:
            self._done += videos
            if self._report is not None:
                self._report(self._done, self.total)
