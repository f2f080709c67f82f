"""Videos and annotations to TFRecord shards with a manifest."""

from __future__ import annotations

import importlib.metadata
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import tensorflow as tf

from kerasfast.data.annotations import Annotations, VideoRow
from kerasfast.data.clips import ClipSpec
from kerasfast.data.errors import DataError
from kerasfast.data.files import write_text
from kerasfast.data.labels import LabelSpace
from kerasfast.data.records.folder import local_folder
from kerasfast.data.records.manifest import Manifest, Shard, class_counts
from kerasfast.data.records.parts import PartBuilder
from kerasfast.data.records.plan import Plan, plan_build
from kerasfast.data.records.read import manifest_name, read_manifest
from kerasfast.data.records.state import BuildState


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
    seed: int = 0,
    skip_bad: bool = False,
    progress: Callable[[int, int], None] | None = None,
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
        seed: Seed of the order of videos, segments and phases.
        skip_bad: Leave out videos that cannot be read and list them in the manifest, instead of raising.
        progress: Called with (videos done, videos in all) as the work goes on.

    Returns:
        The manifest, as written to `manifest-<split>.json`.

    Raises:
        ValueError: An argument is out of its range.
        DataError: A video cannot be read, or the folder holds this split built from other options or inputs.
        OSError: The folder cannot be written: read-only, or the disk is full. No half-written shard is left, and the
            same call goes on from the whole ones.
    """
    out = local_folder(out)
    path = out / manifest_name(split)
    there = read_manifest(out, split) if path.exists() else None
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
    state = BuildState(out, split, plan.options, plan.fingerprint, skip_bad)
    advance = _Progress(progress, sum(len(part) for part in plan.parts))
    if there is not None:
        state.check_finished(there, path)
        state.clear()
        advance(advance.total)
        return there
    with _named_write_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        state.begin()
        summaries = _build_parts(out, split, plan, state, skip_bad, workers, advance)
        manifest = _manifest(out, split, plan, labels, summaries)
        write_text(path, manifest.to_text())
        state.clear()
    return manifest


@contextmanager
def _named_write_errors(out: Path) -> Iterator[None]:
    """Says which folder cannot be written: what the file system and TensorFlow raise may not."""
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
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


def _build_parts(
    out: Path, split: str, plan: Plan, state: BuildState, skip_bad: bool, workers: int, advance: _Progress
) -> list[dict[str, Any]]:
    """Builds the parts that are not there yet; returns the summaries of all."""
    summaries = {number: state.finished_part(number) for number in range(len(plan.parts))}
    todo = [number for number, summary in summaries.items() if summary is None]
    if len(todo) < len(plan.parts):
        advance(sum(len(part) for number, part in enumerate(plan.parts) if number not in todo))
    stop = threading.Event()
    builder = PartBuilder(out, split, plan.options, len(plan.parts), skip_bad, stop, advance)

    def build(number: int) -> None:
        summaries[number] = builder.build(number, plan.parts[number])
        state.finish_part(number, summaries[number])

    with ThreadPoolExecutor(workers, thread_name_prefix="records") as pool:
        futures = [pool.submit(build, number) for number in todo]
        try:
            for future in as_completed(futures):
                future.result()
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    return [summary for summary in summaries.values() if summary is not None]


def _manifest(out: Path, split: str, plan: Plan, labels: LabelSpace, summaries: Sequence[dict[str, Any]]) -> Manifest:
    videos = sorted((v for s in summaries for v in s["videos"]), key=lambda video: video["index"])
    skipped = sorted((v for s in summaries for v in s["skipped"]), key=lambda video: video["index"])
    if not videos:
        raise DataError(f"{out}: none of the {len(skipped)} videos could be read, the first: {skipped[0]['reason']}")
    shards = sorted(
        (Shard.from_dict(values) for s in summaries for values in s["shards"]), key=lambda shard: shard.name
    )
    return Manifest(
        split=split,
        options=plan.options,
        labels=labels,
        videos=tuple(videos),
        skipped=tuple(skipped),
        counts={
            "videos": len(videos),
            "without_actions": sum(not video["actions"] for video in videos),
            "records": sum(shard.records for shard in shards),
            "stored_frames": sum(summary["stored_frames"] for summary in summaries),
            "bytes": sum(shard.bytes for shard in shards),
        },
        class_counts=class_counts(labels, [video["actions"] for video in videos]),
        shards=tuple(shards),
        fingerprint=plan.fingerprint,
        versions={name: importlib.metadata.version(name) for name in ("av", "tensorflow")},
    )
