"""A look at one video file: its header, its clock and, if asked, every frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from kerasfast.data.errors import TruncatedVideoError
from kerasfast.data.frames import OpenFrames
from kerasfast.data.video import OpenVideo, VideoInfo, probe

# A frame that is further than this from where an even rate has it, in frames, is another frame where one counts.
_EVEN = 1.0


@dataclass(frozen=True)
class VideoFacts:
    """What a video file holds.

    Args:
        info: What its header says, and its first frame.
        frames: Frames stored.
        seconds: From the first frame to the end of the last, by their times; by their number where a file has none.
        slowest_fps: Rate of the longest interval between frames.
        fastest_fps: Rate of the shortest.
        drift: Longest distance of a frame's time from that of the same frame at an even rate, in frames.
        lost: Stored frames that decode to nothing; 0 where it was not decoded.
    """

    info: VideoInfo
    frames: int
    seconds: float
    slowest_fps: float
    fastest_fps: float
    drift: float
    lost: int = 0

    @property
    def variable_rate(self) -> bool:
        """Whether counting frames at the average rate finds another frame than the clock."""
        return self.drift > _EVEN


def examine(path: str | Path, full: bool = False) -> VideoFacts:
    """Reads the header of a video, decodes a frame and reads the times of all others.

    The payload is read but not decoded, which is the cost of copying the file. A damaged frame shows in a full check
    alone; a file that is cut short shows in any.

    Args:
        path: The video file.
        full: Decode every frame, as a build of records does.

    Raises:
        TruncatedVideoError: The file ends too early.
        DataError: The file is missing, no video, or damaged.
    """
    info = probe(path)
    with _Packets(path, threads=1) as video:
        times, shown = video.times()
        tick = float(video.tick_seconds)
    lost = 0
    if full:
        with OpenVideo(path, threads=1) as video:
            for _ in video.frames(wanted=lambda _: False):
                pass
            lost = max(len(times) - video.length, 0)
    timed = np.sort([time for time in times if time is not None])
    if len(timed) < 2 or len(timed) < len(times):
        seconds = len(times) / info.fps
        return VideoFacts(info, len(times), seconds, info.fps, info.fps, 0.0, lost)
    intervals = np.diff(timed)
    even = timed[0] + np.arange(len(timed)) * (timed[-1] - timed[0]) / (len(timed) - 1)
    mean = intervals.mean()
    rates = 1 / (np.array([intervals.max(), max(intervals.min(), 1)]) * tick)
    return VideoFacts(
        info,
        frames=len(times),
        seconds=float(timed[-1] - timed[0] + (shown or mean)) * tick,
        slowest_fps=float(rates[0]),
        fastest_fps=float(rates[1]),
        drift=float(np.abs(timed - even).max() / mean) if mean else 0.0,
        lost=lost,
    )


def examine_frames(folder: str | Path, fps: float, full: bool = False) -> VideoFacts:
    """As `examine`, of a folder of JPEG frames: their numbers and the header of the first.

    Args:
        folder: The folder.
        fps: Frame rate at which they were taken.
        full: Decode every frame.

    Raises:
        DataError: The folder is missing, frames are missing or, of those that are read, damaged.
    """
    with OpenFrames(folder, fps) as frames:
        for _ in frames.frames(wanted=None if full else lambda index: index == 0):
            pass
        count, (height, width) = frames.length, frames.size
    seconds = count / fps
    return VideoFacts(VideoInfo(width, height, fps, count, seconds), count, seconds, fps, fps, 0.0)


class _Packets(OpenVideo):
    """A pass over a file that reads the frames without decoding them."""

    @property
    def tick_seconds(self) -> float:
        """Seconds of a tick."""
        return float(self._stream.time_base)

    def times(self) -> tuple[list[int | None], int]:
        """The time of every frame in ticks, in the order of the file, None where it stores none; and how long the last
        of them is shown, 0 where that is not known.
        """
        # AVI stores no presentation times: those of B-frames come out of order.
        timed = self._container.format.name != "avi"
        times: list[int | None] = []
        latest, shown = 0, 0
        try:
            for packet in self._demuxed():
                time = packet.pts if timed else None
                if not times or (time is not None and time >= latest):
                    latest, shown = time or 0, packet.duration or 0
                times.append(time)
        except (av.FFmpegError, OSError) as error:
            raise self._broken(len(times), error) from error
        self._check_end(len(times))
        return times, shown

    def _demuxed(self) -> Iterator[av.Packet]:
        """Packets of frames that are shown."""
        number = 0
        for packet in self._container.demux(self._stream):
            if packet.is_corrupt:
                raise TruncatedVideoError(
                    f"{self.path}: the data of frame {number} is cut short: truncated. Copy or download it again."
                )
            self._hidden += packet.is_discard
            if packet.size and not packet.is_discard:
                yield packet
                number += 1
