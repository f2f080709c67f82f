"""A video of any length, or without end, as clips that slide over it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent import futures
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Literal

import numpy as np

from kerasfast.data.clips import ClipSpec
from kerasfast.data.errors import DataError
from kerasfast.data.live_video import StreamedVideo, may_fall_silent
from kerasfast.data.words import shown


@dataclass(frozen=True, eq=False)
class Window:
    """A clip of a stream.

    Args:
        index: Number of the window, from 0. Where one was dropped, the next has a number more.
        start_seconds: When it begins, after the first frame of the source.
        end_seconds: When it ends; of a padded window, when the source does.
        frames: uint8 `(T, S, S, 3)`, RGB.
        repeated: Frames at the end that repeat the last frame of the source, because it ended inside the window.
        damaged: Frames of the source left out so far because they arrived damaged.
    """

    index: int
    start_seconds: float
    end_seconds: float
    frames: np.ndarray
    repeated: int = 0
    damaged: int = 0


def stream(
    source: str | Path | int,
    clip: ClipSpec,
    *,
    step: int | None = None,
    short_side: int | None = None,
    crop_size: int | None = 256,
    last: Literal["pad", "drop"] = "pad",
    live: bool | None = None,
    ahead: bool = False,
    format: str | None = None,
    options: Mapping[str, str] | None = None,
    timeout: float | None = None,
    threads: int = 0,
) -> Iterator[Window]:
    """Cuts a video into clips that slide over it, as it is decoded: the memory is that of a window or two.

    Frames are brought to the rate of the clip by their times, as everywhere here; each is decoded and scaled once, in
    however many windows it comes. Window k begins at frame k * step.

    A source that is not `live` is never hurried: while the caller works, the writer of a pipe waits. A `live` one is
    read by a thread of its own, and the caller always gets the newest whole window; those that grew old meanwhile are
    dropped, so that an answer is late by one window at most, however slow the caller. That thread ends with the
    iteration, or with the next frame after it. So does that of a source which is read `ahead`: it decodes the next
    window while the caller works on the present one, and no frame after it.

    Of a source that breaks off, what was decoded comes first, by the rule of `last`, and the error after it.

    Files, pipes, HTTP and FFmpeg's virtual devices are tested. Cameras and RTSP take the same path through FFmpeg but
    could not be tried: there was none at hand.

    Args:
        source: A video file, a named pipe, "/dev/stdin", an address that FFmpeg reads ("rtsp://...", "http://..."), or
            a camera ("/dev/video0", or its number on Linux). Damaged frames are an error in a file; in any other source
            they are left out and counted.
        clip: The frames of a window.
        step: Frames at `clip.fps` from one window to the next; by default the clip's span, so that windows lie side by
            side.
        short_side: Pixels of the shorter side before the crop; by default `crop_size`.
        crop_size: Side of the square cut from the middle of the scaled frame; None yields whole frames.
        last: What to do with frames at the end that fill no window: "pad" makes a window of them that repeats the last
            frame, "drop" leaves them out.
        live: Drop windows that the caller is too slow for; by default for cameras alone.
        ahead: Decode the next window in a thread of its own; two windows are held then, the caller's and the next.
            Let go of a window before you ask for the next, or there are three.
        format: FFmpeg's name of the input format or device, for a source that does not tell ("avfoundation", "dshow").
        options: FFmpeg's options of the input, such as {"framerate": "30", "video_size": "640x480"} of a camera.
        timeout: Seconds to wait for a source that gives nothing, a file aside, before it counts as lost; by default for
            ever. A pipe or camera is then read by a thread of its own, which a wait without end would hold up.
        threads: Threads of the decoder, 0 for as many as there are cores.

    Returns:
        An iterator over `Window`s, which closes the source at its end; its `close()` does so before.

    Raises:
        ValueError: An argument is out of its range.
        DataError: The source cannot be opened; during the iteration, a file is damaged or a source breaks off.

    >>> windows = stream("testsrc=duration=2:size=96x64:rate=24", ClipSpec(8, 2, 24), crop_size=64, format="lavfi")
    >>> [(window.start_seconds, window.frames.shape) for window in windows][:2]
    [(0.0, (8, 64, 64, 3)), (0.625, (8, 64, 64, 3))]
    """
    step = clip.span if step is None else step
    rules = {
        "step": (step, step >= 1, "at least 1 frame"),
        "crop_size": (crop_size, crop_size is None or crop_size >= 1, "at least 1 pixel"),
        "last": (last, last in ("pad", "drop"), "'pad' or 'drop'"),
    }
    for name, (value, right, rule) in rules.items():
        if not right:
            raise ValueError(f"{name} must be {rule}. Received: {name}={value!r}.")
    short_side = crop_size if short_side is None else short_side
    if short_side is not None and short_side < (crop_size or 1):
        raise ValueError(
            f"The shorter side must be at least the crop. Received: crop_size={crop_size!r}, short_side={short_side!r}."
        )
    silent = timeout if may_fall_silent(source, format) else None  # FFmpeg itself keeps the time of an address
    arguments = {"format": format, "options": options, "timeout": timeout, "threads": threads}
    video = _opened(partial(StreamedVideo, source, low_delay=bool(live), **arguments), str(source), silent)
    cuts = _Cuts(video, clip, step, short_side, crop_size, pad=last == "pad")
    newest = video.is_camera if live is None else live
    if newest or ahead or silent is not None:
        return _threaded(cuts, newest, silent)
    return (cut.window() for cut in cuts)


@dataclass(frozen=True, eq=False)
class _Cut:
    """A window whose frames still lie apart, shared with its neighbours."""

    index: int
    start_seconds: float
    end_seconds: float
    frames: list[np.ndarray]
    repeated: int
    damaged: int
    name: str

    def window(self) -> Window:
        if len({frame.shape for frame in self.frames}) > 1:
            raise DataError(f"{self.name}: the size of the frames changes. Give a crop_size, which makes them alike.")
        frames = np.stack(self.frames)
        return Window(self.index, self.start_seconds, self.end_seconds, frames, self.repeated, self.damaged)


class _Cuts:
    """The pass over a source, and an event that ends it early."""

    def __init__(
        self, video: StreamedVideo, clip: ClipSpec, step: int, short_side: int | None, crop_size: int | None, pad: bool
    ) -> None:
        self._video, self._clip, self._step, self._pad = video, clip, step, pad
        self._short_side, self._crop_size = short_side, crop_size
        self.stopped = threading.Event()

    def check_silence(self, since: float, limit: float | None) -> float | None:
        """Seconds that are left to wait for the source, `limit` after it gave something or `since`; None: for ever.

        Raises:
            DataError: None are left.
        """
        if limit is None:
            return None
        left = max(since, self._video.heard) + limit - time.monotonic()
        if left <= 0:
            raise _silence(str(self._video.path), limit)
        return left

    def __iter__(self) -> Iterator[_Cut]:
        clip, step = self._clip, self._step
        # Window k samples frame k * step + stride * i, so the remainders of stride * i tell which frames to keep.
        remainders = {clip.stride * i % step for i in range(clip.frames)}
        held: dict[int, np.ndarray] = {}
        index = start = 0
        whole = cropped = np.empty(0)
        broken: DataError | None = None
        with self._video as video:
            frames = video.frames(clip.fps, self._short_side, lambda frame: frame % step in remainders)
            try:
                for frame, picture in takewhile(lambda _: not self.stopped.is_set(), frames):
                    if picture is not whole:
                        whole, cropped = picture, _centre(picture, self._crop_size)
                    held[frame] = cropped
                    if frame == start + clip.span - 1:
                        yield self._cut(index, start, start + clip.span, held)
                        index, start = index + 1, start + step
                        held = {kept: held[kept] for kept in held if kept >= start}
            except DataError as error:
                broken = error
            seen = start - step + clip.span if index else 0
            if self._pad and not self.stopped.is_set() and max(start, seen) < video.length:
                # The frame at which a video breaks off may be of another size than those before it.
                last = held[max(held)] if broken else _centre(video.last_frame(self._short_side), self._crop_size)
                held |= {frame: last for frame in range(start, start + clip.span, clip.stride) if frame >= video.length}
                yield self._cut(index, start, video.length, held)
        if broken is not None:
            raise broken

    def _cut(self, index: int, start: int, end: int, held: dict[int, np.ndarray]) -> _Cut:
        clip = self._clip
        wanted = range(start, start + clip.span, clip.stride)
        return _Cut(
            index=index,
            start_seconds=start / clip.fps,
            end_seconds=end / clip.fps,
            frames=[held[frame] for frame in wanted],
            repeated=sum(frame >= end for frame in wanted),
            damaged=self._video.damaged,
            name=str(self._video.path),
        )


def _opened(open_video: Callable[[], StreamedVideo], name: str, limit: float | None) -> StreamedVideo:
    """Opens a source; in a thread where the wait has a limit, for to open a pipe is to wait for its writer."""
    if limit is None:
        return open_video()
    done: futures.Future[StreamedVideo] = futures.Future()

    def work() -> None:
        try:
            done.set_result(open_video())
        except BaseException as error:  # raised again where the caller can see it
            done.set_exception(error)

    threading.Thread(target=work, name="open", daemon=True).start()
    finished = False
    try:
        finished = bool(futures.wait([done], limit).done)
    finally:
        if not finished:  # it may open yet, with nobody to close it
            done.add_done_callback(lambda late: None if late.exception() else late.result().close())
    if not finished:
        raise _silence(name, limit)
    return done.result()


def _silence(name: str, limit: float) -> DataError:
    return DataError(f"{shown(name)}: gave nothing for {limit:g} s. Is its writer, or the camera, still there?")


def _threaded(cuts: _Cuts, newest: bool, silent: float | None) -> Iterator[Window]:
    """Reads in a thread: the newest window whenever one is asked for, or every window, of which one is read ahead."""
    changed = threading.Condition()
    latest: list[_Cut] = []
    ended: list[BaseException | None] = []  # the error that ended the thread, or None

    def read() -> None:
        error = None
        try:
            for cut in cuts:
                with changed:
                    latest[:] = [cut]
                    del cut  # its frames are let go as soon as the caller has copied them
                    changed.notify_all()
                    if not newest:
                        changed.wait_for(lambda: not latest or cuts.stopped.is_set())
        except BaseException as raised:  # raised again where the caller can see it
            error = raised
        with changed:
            ended.append(error)
            changed.notify_all()

    # A daemon: a read from a camera or pipe that gives nothing more cannot be interrupted.
    threading.Thread(target=read, name="stream", daemon=True).start()
    try:
        while True:
            with changed:
                since = time.monotonic()
                while not (latest or ended):
                    changed.wait(cuts.check_silence(since, silent))
                # Copied while the thread waits: its frames and the copy are two windows already.
                window = [cut.window() for cut in latest]
                latest.clear()
                changed.notify_all()
            if window:
                yield window.pop()  # and kept here no longer
            elif ended[0] is not None:
                raise ended[0]
            else:
                return
    finally:
        with changed:
            cuts.stopped.set()
            changed.notify_all()


def _centre(picture: np.ndarray, crop_size: int | None) -> np.ndarray:
    """The middle of a picture `(H, W, 3)`, by the rule of `transforms.crop_position`; a copy, so the rest is let go."""
    if crop_size is None:
        return picture
    top, left = ((side - crop_size + 1) // 2 for side in picture.shape[:2])
    return picture[top : top + crop_size, left : left + crop_size].copy()
