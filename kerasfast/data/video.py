"""Video files to frames."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np

from kerasfast.data.clips import Resampler, as_rate
from kerasfast.data.containers import open_file
from kerasfast.data.errors import DataError, TruncatedVideoError
from kerasfast.data.pictures import PictureSource, quarter_turns

if TYPE_CHECKING:
    from kerasfast.data.stream import stream as stream

# A file may end a little before the count in its header (edit lists, a dropped last frame); more is a
# truncated file.
_MISSING_FRAMES = 2
_MISSING_SHARE = 0.02


@dataclass(frozen=True)
class VideoInfo:
    """What a video file says of itself.

    Args:
        width: Width in pixels as shown, after the file's rotation.
        height: Height in pixels as shown.
        fps: Average frame rate.
        frames: Number of frames.
        duration_seconds: Length of the video stream.
        rotation: Degrees counter-clockwise that show the stored picture upright: 0, 90, 180 or 270. Frames come
            turned.
        bits: Bits of a stored sample, 10 or more in deep colour. Frames come with 8.
        pixel_aspect: Width of a stored pixel by its height, nearly always 1. Frames come as if it were 1.
    """

    width: int
    height: int
    fps: float
    frames: int
    duration_seconds: float
    rotation: int = 0
    bits: int = 8
    pixel_aspect: float = 1.0


def probe(path: str | Path) -> VideoInfo:
    """Reads the size, rate and length of a video from its header; decodes one frame.

    Args:
        path: The video file.

    Raises:
        DataError: The file is missing, is no video, or holds no picture.
    """
    with OpenVideo(path, threads=1) as video:
        return video.info()


def frames(
    path: str | Path, fps: float | None = None, short_side: int | None = None, threads: int = 0
) -> Iterator[np.ndarray]:
    """The frames of a video, one after the other, in constant memory.

    Args:
        path: The video file.
        fps: Constant rate to bring the frames to (each shows the nearest frame of the file, a tie goes to the
            earlier); by default every frame of the file as it is.
        short_side: Scale the frames so that the shorter side has this many pixels, the other side rounded down;
            by default the size of the file.
        threads: Threads of the decoder, 0 for as many as there are cores.

    Yields:
        uint8 `(H, W, 3)`, RGB, turned as the file's rotation says. The same array comes again where a frame
        repeats: do not write into it.

    Raises:
        DataError: The file is missing, truncated or no video; names the file.
    """
    with OpenVideo(path, threads) as video:
        for _, frame in video.frames(fps, short_side):
            yield frame


def read_video(
    path: str | Path, fps: float | None = None, short_side: int | None = None, max_frames: int | None = None
) -> np.ndarray:
    """The frames of a video in one array; for long videos use `frames`.

    Args:
        path: The video file.
        fps: As in `frames`.
        short_side: As in `frames`.
        max_frames: Stop after so many frames.

    Returns:
        uint8 `(T, H, W, 3)`, RGB.

    Raises:
        DataError: The file is missing, truncated or no video; names the file.
    """
    return np.stack(list(itertools.islice(frames(path, fps, short_side), max_frames)))


class OpenVideo(PictureSource):
    """A video file for one pass; a context manager.

    Args:
        path: The video file.
        threads: Threads of the decoder, 0 for as many as there are cores.

    Raises:
        DataError: The file is missing or is no video.
    """

    def __init__(self, path: str | Path, threads: int = 0) -> None:
        super().__init__(Path(path))
        self._hidden = 0  # frames that an edit list hides, as in a video that was trimmed; the header counts them
        self._container, self._stream = self._open()
        self._stream.thread_type = "AUTO"
        self._stream.codec_context.thread_count = threads

    def __enter__(self) -> OpenVideo:
        return self

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def announced_length(self, fps: float) -> int:
        """Frames at `fps` by the header of the file, at least 1; the pass may find another number."""
        return max(round(self._seconds() * as_rate(fps)), 1)

    def info(self) -> VideoInfo:
        """What the header says; takes the pass to look at the first frame."""
        first = next(self._decode(), None)
        if first is None:
            raise self._no_picture()
        height, width, turns = first[0].height, first[0].width, quarter_turns(first[0])
        if turns % 2:
            height, width = width, height
        seconds, rate = self._seconds(), self._rate()
        count = self._stream.frames or round(seconds * rate)
        bits = max(component.bits for component in first[0].format.components)
        aspect = float(self._stream.sample_aspect_ratio or 1)
        return VideoInfo(width, height, float(rate), count, float(seconds), 90 * turns, bits, aspect)

    def _render(
        self, stored: av.VideoFrame, short_side: int | None, enlarge: bool
    ) -> tuple[np.ndarray, tuple[int, int]]:
        picture = self._scaled(stored, short_side, enlarge)
        return picture, picture.shape[:2]

    def _repeats(self, fps: float | None) -> Iterator[tuple[av.VideoFrame, int]]:
        """Every frame of the file with the number of times it is shown at `fps`."""
        if fps is None:
            for frame, _ in self._decode():
                yield frame, 1
            return
        time_base = self._stream.time_base
        resampler = Resampler(fps, time_base)
        previous, tick = None, 0
        for frame, tick in self._decode():
            repeats = resampler.push(tick)
            if previous is not None:
                yield previous, repeats
            previous = frame
        if previous is not None:
            # The last frame lasts as long as the file says, or one frame of the average rate.
            shown = previous.duration or round(1 / self._rate() / time_base)
            yield previous, resampler.finish(tick + shown)

    def _decode(self) -> Iterator[tuple[av.VideoFrame, int]]:
        """Every frame of the file with its time in ticks after the first."""
        step = max(round(1 / self._rate() / self._stream.time_base), 1)
        # AVI stores no presentation times: those of B-frames come out of order.
        timed = self._container.format.name != "avi"
        count, first, tick = 0, None, 0
        try:
            for frame in self._pictures():
                if frame.is_corrupt:
                    raise DataError(
                        f"{self.path}: frame {count} is damaged. Copy or download the video again, or leave it out."
                    )
                if count == 0:
                    first = frame.pts
                elif timed and None not in (frame.pts, first) and frame.pts - first > tick:
                    tick = frame.pts - first
                else:
                    tick += step
                yield frame, tick
                count += 1
        except (av.FFmpegError, OSError) as error:
            raise self._broken(count, error) from error
        self._check_end(count)

    def _open(self) -> tuple[av.container.InputContainer, av.video.stream.VideoStream]:
        return open_file(self.path)

    def _pictures(self) -> Iterator[av.VideoFrame]:
        """Every frame as the decoder gives it."""
        for packet in self._container.demux(self._stream):
            self._hidden += packet.is_discard
            yield from packet.decode()

    def _check_end(self, count: int) -> None:
        """Refuses a pass that ended after `count` frames when the header announces more."""
        if not count:
            raise self._no_picture()
        announced = (self._stream.frames or round(self._announced_seconds() * self._rate())) - self._hidden
        if count < announced - max(_MISSING_FRAMES, _MISSING_SHARE * announced):
            raise TruncatedVideoError(
                f"{self.path}: ends after {count} frames of the {announced} that its header announces: truncated. "
                "Copy or download it again."
            )

    def _rate(self) -> Fraction:
        # 25 frames a second is FFmpeg's own assumption for streams that do not say.
        return Fraction(self._stream.average_rate or self._stream.guessed_rate or 25)

    def _announced_seconds(self) -> Fraction:
        """Length of the stream by its own header, 0 if that does not say."""
        if self._stream.duration:
            return self._stream.duration * self._stream.time_base
        if self._stream.frames:
            return self._stream.frames / self._rate()
        # Matroska and WebM note it as text, "00:01:02.500000000".
        clock = self._stream.metadata.get("DURATION", "").split(":")
        if len(clock) == 3 and all(part.replace(".", "", 1).isdecimal() for part in clock):
            return sum((Fraction(part) * 60**power for part, power in zip(clock, (2, 1, 0), strict=True)), Fraction(0))
        return Fraction(0)

    def _seconds(self) -> Fraction:
        """Length of the stream: by its header, by that of the file, which may be the sound's, or counted."""
        if seconds := self._announced_seconds():
            return seconds
        if self._container.duration:
            return Fraction(self._container.duration, av.time_base)
        container, stream = self._open()
        with container:
            return sum(1 for packet in container.demux(stream) if packet.size) / self._rate()

    def _broken(self, count: int, error: av.FFmpegError | OSError) -> DataError:
        return DataError(
            f"{self.path}: cannot be decoded after {count} frames ({error.strerror}): truncated or damaged. "
            "Copy or download it again."
        )

    def _no_picture(self) -> DataError:
        return DataError(f"{self.path}: holds no picture. Copy or download the video again.")


def __getattr__(name: str) -> Any:
    if name != "stream":  # its module builds on this one, so it is not imported above
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module("kerasfast.data.stream").stream
