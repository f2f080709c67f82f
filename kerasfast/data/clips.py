"""Which frames of a video a clip takes. NumPy only."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np


@dataclass(frozen=True)
class ClipSpec:
    """The frames that a network sees: `frames` frames, every `stride`-th, counted at `fps` frames a second.

    Args:
        frames: Frames of a clip (T).
        stride: Distance between two sampled frames, in frames at `fps`.
        fps: Frame rate at which `stride` counts: 30 for Kinetics, 24 for Charades.

    Raises:
        ValueError: A value is not positive, or `frames` or `stride` is not whole.
    """

    frames: int
    stride: int
    fps: float = 30.0

    def __post_init__(self) -> None:
        for field in ("frames", "stride", "fps"):
            value = getattr(self, field)
            if not value > 0 or (field != "fps" and value != int(value)):
                raise ValueError(
                    f"ClipSpec.{field} must be positive{'' if field == 'fps' else ' and whole'}. "
                    f"Received: {field}={value!r}. Give the clip as ClipSpec(frames=32, stride=2, fps=30)."
                )

    @property
    def span(self) -> int:
        """Frames at `fps` from the first sampled frame to the last, both included."""
        return (self.frames - 1) * self.stride + 1

    @property
    def seconds(self) -> float:
        """Seconds that the span covers."""
        return self.span / self.fps


def clip_indices(start: int, clip: ClipSpec, length: int) -> np.ndarray:
    """Frame indices of the clip that starts at `start`, by the Charades rule: start + stride * i.

    Indices outside the video repeat its first or last frame, so a video shorter than the clip still fills it.

    Args:
        start: First frame of the clip, counted at `clip.fps`.
        clip: The clip.
        length: Frames of the video at `clip.fps`.

    Returns:
        int64 `(clip.frames,)`, every value in 0 .. length - 1.

    Raises:
        ValueError: `length` is not positive.
    """
    _check_length(length)
    return np.clip(start + clip.stride * np.arange(clip.frames, dtype=np.int64), 0, length - 1)


def test_starts(length: int, clip: ClipSpec, clips: int = 10) -> np.ndarray:
    """First frames of the test clips, spread evenly: round(max(length - span, 0) / (clips - 1) * k).

    This is PySlowFast's rule for Charades; one clip is taken from the middle.

    Args:
        length: Frames of the video at `clip.fps`.
        clip: The clip.
        clips: Clips a video.

    Returns:
        int64 `(clips,)`, not decreasing.

    Raises:
        ValueError: `length` or `clips` is not positive.
    """
    _check_length(length)
    if clips < 1:
        raise ValueError(f"clips must be at least 1. Received: clips={clips!r}. Charades is tested on 10.")
    room = max(length - clip.span, 0)
    if clips == 1:
        return np.array([room // 2], np.int64)
    return np.array([round(room / (clips - 1) * k) for k in range(clips)], np.int64)


# pytest collects functions whose name begins with "test" from any module that imports them.
test_starts.__test__ = False


def whole_video_indices(length: int, frames: int) -> np.ndarray:
    """The middle frames of `frames` equal parts of a video: PySlowFast's rule for testing on Something-Something.

    Part i goes from round(i * s) to round((i + 1) * s) with s = (length - 1) / frames, and its middle is rounded down.

    Args:
        length: Frames of the video.
        frames: Frames of the view.

    Returns:
        int64 `(frames,)`, every value in 0 .. length - 1; a video shorter than the view repeats frames.

    Raises:
        ValueError: `length` is not positive.
    """
    _check_length(length)
    bounds = np.round(np.arange(frames + 1) * ((length - 1) / frames)).astype(np.int64)
    return (bounds[:-1] + bounds[1:]) // 2


def kinetics_indices(start_frame: float, clip: ClipSpec, source_fps: float, length: int) -> np.ndarray:
    """Source-frame indices of a clip by PySlowFast's rule for Kinetics.

    The clip spans frames * stride * source_fps / clip.fps source frames (`clip.fps` is 30 there), and its
    indices are trunc(linspace(start, start + span - 1, frames)), clamped to the video: the step is a little
    over `stride`, unlike `clip_indices`.

    Args:
        start_frame: First frame, in frames of the source; may be fractional.
        clip: The clip.
        source_fps: Frame rate of the video file.
        length: Frames of the video file.

    Returns:
        int64 `(clip.frames,)`, every value in 0 .. length - 1.

    Raises:
        ValueError: `length` or `source_fps` is not positive.
    """
    _check_length(length)
    if not source_fps > 0:
        raise ValueError(f"source_fps must be positive. Received: source_fps={source_fps!r}.")
    span = clip.frames * clip.stride * source_fps / clip.fps
    positions = np.linspace(start_frame, start_frame + span - 1, clip.frames)
    return np.clip(positions.astype(np.int64), 0, length - 1)


def resample_indices(source_fps: float, count: int, fps: float) -> np.ndarray:
    """The nearest source frame for each frame at `fps`, for a video of constant frame rate.

    Args:
        source_fps: Frame rate of the video.
        count: Frames of the video.
        fps: Wanted frame rate.

    Returns:
        int64 `(round(count / source_fps * fps),)`, at least one index. A tie goes to the earlier frame.
    """
    _check_length(count)
    resampler = Resampler(fps, 1 / as_rate(source_fps))
    repeats = [resampler.push(tick) for tick in range(count)] + [resampler.finish(count)]
    return np.repeat(np.arange(count, dtype=np.int64), repeats[1:])


def as_rate(fps: float) -> Fraction:
    """`fps` as an exact fraction; 29.97 as typed stays 2997/100, 30000 / 1001 becomes 30000/1001.

    Raises:
        ValueError: `fps` is not a positive number.
    """
    if not 0 < fps < float("inf"):
        raise ValueError(f"A frame rate must be positive. Received: fps={fps!r}.")
    return Fraction(fps).limit_denominator(100_000)


class Resampler:
    """Brings frames with any times to a constant rate, one at a time, in whole-number arithmetic.

    Output frame j, at j / fps seconds after the first source frame, shows the source frame nearest in time (a
    tie goes to the earlier). How often a source frame is shown is known when the next one arrives, so
    `push` and `finish` answer for the frame pushed before.

    Args:
        fps: Wanted frame rate.
        tick_seconds: Length of one tick of the times given to `push` and `finish`.
    """

    def __init__(self, fps: float | Fraction, tick_seconds: Fraction) -> None:
        rate = as_rate(fps) * tick_seconds  # output frames a tick
        self._numerator, self._denominator = rate.numerator, rate.denominator
        self._previous: int | None = None
        self.emitted = 0

    def push(self, tick: int) -> int:
        """Takes the next source frame, `tick` ticks after the first; answers for the one before (0 at first)."""
        if self._previous is None:
            self._previous = tick
            return 0
        middle = (self._previous + tick) * self._numerator // (2 * self._denominator)
        self._previous = tick
        return self._advance_to(middle + 1)

    def finish(self, end_tick: int) -> int:
        """Ends the video, `end_tick` ticks after the first frame; answers for the last frame pushed."""
        length = (2 * end_tick * self._numerator + self._denominator) // (2 * self._denominator)
        return self._advance_to(max(length, 1))

    def _advance_to(self, count: int) -> int:
        repeats = max(count - self.emitted, 0)
        self.emitted += repeats
        return repeats


def _check_length(length: int) -> None:
    if length < 1:
        raise ValueError(f"A video must have at least one frame. Received: length={length!r}.")
