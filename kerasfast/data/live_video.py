"""Video that is not a plain file, opened like one: cameras, pipes and network streams."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import av
import numpy as np

from kerasfast.data.containers import first_video_stream
from kerasfast.data.errors import DataError
from kerasfast.data.video import OpenVideo
from kerasfast.data.words import shown

_CAMERA = re.compile(r"/dev/video\d+")


def is_camera(source: str | Path | int) -> bool:
    """Whether this is a camera: a number, or a device such as "/dev/video0"."""
    return isinstance(source, int) or bool(_CAMERA.fullmatch(str(source)))


class StreamedVideo(OpenVideo):
    """A video for one pass, wherever it comes from; a context manager.

    A plain file is read as `OpenVideo` reads it: a damaged one is refused. From any other source damaged frames are
    left out and counted, because a receiver that joins a broadcast, or loses a packet of it, has to go on.

    Args:
        source: A file, a named pipe, an address such as "rtsp://..." or "http://...", a camera ("/dev/video0" or its
            number on Linux), or what FFmpeg calls the source if `format` says how to read it.
        format: FFmpeg's name of the input format or device; by default told from the source.
        options: FFmpeg's options of the input, such as {"framerate": "30", "video_size": "640x480"} of a camera.
        timeout: Seconds to wait for a network source, to open it and at each read; by default for ever.
        threads: Threads of the decoder, 0 for as many as there are cores.
        low_delay: Decode frame by frame, as is done for cameras: decoding several at a time holds some of them back.

    Raises:
        DataError: The source cannot be opened, or holds no video.
        ValueError: A camera by number where there is no /dev/video, or an unknown format.
    """

    def __init__(
        self,
        source: str | Path | int,
        *,
        format: str | None = None,
        options: Mapping[str, str] | None = None,
        timeout: float | None = None,
        threads: int = 0,
        low_delay: bool = False,
    ) -> None:
        name = f"/dev/video{source}" if isinstance(source, int) else str(source)
        self.is_camera = is_camera(source)
        self.damaged = 0  # frames left out so far
        self.heard = time.monotonic()  # when it last gave something
        if isinstance(source, int) and not sys.platform.startswith("linux"):
            raise ValueError(
                f"A camera has a number on Linux alone. Received: {source!r}. Give the name of the device and FFmpeg's "
                "format for it: stream('0', clip, format='avfoundation') on macOS, "
                "stream('video=NAME', clip, format='dshow') on Windows."
            )
        self._format = format or ("v4l2" if self.is_camera else None)
        self._options, self._timeout = dict(options or {}), timeout
        self._last: av.VideoFrame | None = None
        self._is_file = self._format is None and "://" not in name and not _is_pipe(name)
        self._name = name
        super().__init__(name, threads)
        self.path = shown(name)  # for messages, which others read
        if low_delay or self.is_camera:
            self._stream.thread_type = "SLICE"

    def last_frame(self, short_side: int | None = None) -> np.ndarray:
        """After the pass, its last frame; `short_side` as in `frames`."""
        if self._last is None:
            raise self._no_picture()
        return self._render(self._last, short_side, enlarge=True)[0]

    def _open(self) -> tuple[av.container.InputContainer, av.video.stream.VideoStream]:
        if self._is_file and not self._options:
            return super()._open()
        try:
            container = av.open(
                self._name,
                format=self._format,
                options=self._options,
                timeout=self._timeout,
                metadata_errors="replace",
            )
        except (av.FFmpegError, OSError) as error:
            hint = "Is the camera there, and free?" if self.is_camera else "Check the address, the format and options."
            raise DataError(f"{shown(self._name)}: cannot be opened as a video ({error.strerror}). {hint}") from error
        return container, first_video_stream(container, shown(self._name))

    def _pictures(self) -> Iterator[av.VideoFrame]:
        if self._is_file:
            yield from super()._pictures()
            return
        for packet in self._container.demux(self._stream):
            self.heard = time.monotonic()
            try:
                pictures = packet.decode()
            except av.InvalidDataError:
                self.damaged += 1
                continue
            for picture in pictures:
                if picture.is_corrupt:
                    self.damaged += 1
                else:
                    yield picture

    def _repeats(self, fps: float | None) -> Iterator[tuple[av.VideoFrame, int]]:
        for frame, repeats in super()._repeats(fps):
            self._last = frame
            yield frame, repeats

    def _check_size(self, size: tuple[int, int], index: int) -> None:
        if self._is_file:
            super()._check_size(size, index)

    def _broken(self, count: int, error: av.FFmpegError | OSError) -> DataError:
        if self._is_file:
            return super()._broken(count, error)
        return DataError(
            f"{shown(self._name)}: broke off after {count} frames ({error.strerror}). Open it again to go on."
        )


def may_fall_silent(source: str | Path | int, format: str | None = None) -> bool:
    """Whether this is a pipe or a device, which FFmpeg waits for without limit; of an address it takes a timeout."""
    name = str(source)
    return "://" not in name and (isinstance(source, int) or format is not None or _is_pipe(name))


def _is_pipe(name: str) -> bool:
    """Whether this is a named pipe or a character device such as /dev/stdin, which can be read once alone."""
    path = Path(name)
    return path.is_fifo() or path.is_char_device() or path.is_socket()
