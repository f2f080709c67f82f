"""Decodes videos and writes one part of the records: the shards that hold a fixed group of videos."""

from __future__ import annotations

import heapq
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import tensorflow as tf

from kerasfast.data.errors import DataError
from kerasfast.data.files import file_sha256
from kerasfast.data.records.jpeg import JpegEncoder
from kerasfast.data.records.layout import StoredClip, stored_test_clips, training_segments
from kerasfast.data.records.manifest import Options, Shard
from kerasfast.data.records.output import OutputFolder
from kerasfast.data.records.plan import Source
from kerasfast.data.records.schema import encode_record

# Finished stretches of a video wait here until the whole video has proved readable; beyond this many bytes
# they wait on disk.
_SPOOL_BYTES = 32 << 20
# Of a TFRecord beside its data: length (8), checksum of the length (4), checksum of the data (4).
_FRAMING_BYTES = 16


class PartBuilder:
    """Writes parts; one instance serves all workers.

    Args:
        folder: Where the shards go.
        split: Name of the split.
        options: How to store.
        parts: Number of parts, for the file names.
        skip_bad: Leave out a video that cannot be read instead of raising.
        done: Called after each video.
        stop: Set when the work is to end early.
        fetched: Brings a video that lies elsewhere into a folder of this machine while the context lasts, and names it
            as it is named there where it cannot be read.
    """

    def __init__(
        self,
        folder: OutputFolder,
        split: str,
        options: Options,
        parts: int,
        skip_bad: bool,
        done: Callable[[], None],
        stop: threading.Event | None = None,
        fetched: Callable[[Source, Path], AbstractContextManager[Source]] = lambda source, _: nullcontext(source),
    ) -> None:
        self._folder, self._split, self._options, self._parts = folder, split, options, parts
        self._skip_bad, self._done, self._fetched = skip_bad, done, fetched
        self._stop = stop or threading.Event()
        self._encoder = JpegEncoder(options.quality)

    def build(self, part: int, sources: Sequence[Source], work: Path) -> dict[str, Any]:
        """Writes the shards of a part; they get their names when all are whole.

        Args:
            part: Its number.
            sources: Its videos.
            work: Folder of this machine for what is not whole yet.

        Returns:
            The part's share of the manifest: `shards`, `videos`, `skipped`, `stored_frames`.

        Raises:
            DataError: A video cannot be read, without `skip_bad`.
            InterruptedError: `stop` was set.
        """
        rounds = range(self._options.rounds)
        names = [shard_name(self._split, self._options, number, part, self._parts) for number in rounds]
        partials = [work / f"{name}.partial" for name in names]
        videos: list[list[int]] = [[] for _ in names]
        offsets: list[list[int]] = [[] for _ in names]
        sizes = [0] * len(names)
        summary: dict[str, Any] = {"shards": [], "videos": [], "skipped": [], "stored_frames": 0}
        try:
            with ExitStack() as stack:
                writers = [stack.enter_context(tf.io.TFRecordWriter(str(path))) for path in partials]
                for source in sources:
                    if self._stop.is_set():
                        raise InterruptedError("Another worker failed.")
                    for place, record in self._records(source, summary, work):
                        number = place if self._options.layout == "train" else 0
                        writers[number].write(record)
                        videos[number].append(source.index)
                        offsets[number].append(sizes[number])
                        sizes[number] += len(record) + _FRAMING_BYTES
                    self._done()
            for number, name, path in zip(rounds, names, partials, strict=True):
                listed = tuple(videos[number]), tuple(offsets[number])
                shard = Shard(name, number, path.stat().st_size, file_sha256(path), *listed)
                summary["shards"].append(asdict(shard))
            for name, path in zip(names, partials, strict=True):
                self._folder.take(path, name)
        finally:
            for path in partials:
                path.unlink(missing_ok=True)
        return summary

    def _records(self, source: Source, summary: dict[str, Any], work: Path) -> Iterator[tuple[int, bytes]]:
        """The records of a video, once it has been read to its end, with their places; notes it in `summary`.

        The header is believed as to the length; if it is wrong the video is cut once more.
        """
        video: dict[str, Any] = {"index": source.index, "id": source.row.id}
        with ExitStack() as stack:
            try:
                with self._fetched(source, work) as here:
                    spool = stack.enter_context(_Spool(work))
                    length, found = self._cut(here, None, spool)
                    if found != length:
                        spool = stack.enter_context(_Spool(work))
                        length, found = self._cut(here, found, spool)
                    if found != length:
                        raise DataError(f"{here.path}: decodes to another number of frames each time. Encode it again.")
            except DataError as error:
                if not self._skip_bad:
                    raise
                summary["skipped"].append(video | {"reason": str(error)})
                return
            if source.row.subject:
                video |= {"subject": source.row.subject}
            summary["videos"].append(video | {"frames": length, "actions": list(source.row.actions)})
            summary["stored_frames"] += spool.frames
            yield from spool

    def _cut(self, source: Source, length: int | None, spool: _Spool) -> tuple[int, int]:
        """Spools the stretches of a video of `length` frames, by default as many as its header announces.

        Returns:
            The length by which it was cut, and the one that it has.
        """
        options = self._options
        with source.open() as video:
            length = length or video.announced_length(options.clip.fps)
            stretches = self._stretches(source, length)
            wanted = {index for stored in stretches for index in stored.indices}
            frames = video.frames(options.clip.fps, options.short_side, wanted.__contains__, enlarge=False)
            for stored, jpegs in collect(stretches, self._encoder(frames)):
                for place in stored.places:
                    record = encode_record(source.row, source.index, length, stored, place, jpegs, video.size, options)
                    spool.add(place, record, len(jpegs))
            return length, video.length

    def _stretches(self, source: Source, length: int) -> list[StoredClip]:
        options = self._options
        if options.layout == "test":
            return stored_test_clips(length, options.clip, options.stride, options.clips)
        seed = (options.seed, source.index)
        return training_segments(length, options.clip, options.stride, options.segment_spans, options.rounds, seed)


def shard_name(split: str, options: Options, number: int, part: int, parts: int) -> str:
    """File name of a shard: its round, if the layout has rounds, and its part."""
    place = f"-round{number:02d}" if options.layout == "train" else ""
    return f"{split}{place}-{part:05d}-of-{parts:05d}.tfrecord"


def collect(
    stretches: Sequence[StoredClip], jpegs: Iterable[tuple[int, bytes]]
) -> Iterator[tuple[StoredClip, list[bytes]]]:
    """Gathers a stream of frames into stretches, each as soon as its last frame has come.

    Frames that no unfinished stretch needs are dropped at once, so at most one stretch is held.

    Args:
        stretches: What to gather; they may overlap.
        jpegs: (index, frame), indices increasing.

    Yields:
        Each stretch with its frames, in the order of their last frames. A stretch that the stream ends in is
        not yielded.
    """
    queue = [(stored.indices[-1], number) for number, stored in enumerate(stretches)]
    heapq.heapify(queue)
    held: dict[int, bytes] = {}
    for index, jpeg in jpegs:
        held[index] = jpeg
        finished = False
        while queue and queue[0][0] <= index:
            stored = stretches[heapq.heappop(queue)[1]]
            yield stored, [held[frame] for frame in stored.indices]
            finished = True
        if finished:
            begin = min((stretches[number].indices[0] for _, number in queue), default=index + 1)
            held = {frame: held[frame] for frame in held if frame >= begin}


class _Spool:
    """Records of one video, in memory while they are small, else in a nameless file.

    Args:
        folder: Where the file goes.
    """

    def __init__(self, folder: Path) -> None:
        self.frames = 0
        self._file = tempfile.SpooledTemporaryFile(_SPOOL_BYTES, dir=folder, suffix=".partial")  # noqa: SIM115

    def __enter__(self) -> _Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, place: int, record: bytes, frames: int) -> None:
        """Adds a record of `frames` frames."""
        self._file.write(place.to_bytes(4, "little") + len(record).to_bytes(8, "little"))
        self._file.write(record)
        self.frames += frames

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        """The records with their places, in the order in which they came."""
        self._file.seek(0)
        while header := self._file.read(12):
            size = int.from_bytes(header[4:], "little")
            yield int.from_bytes(header[:4], "little"), self._file.read(size)
