"""Opens what video comes in; PyAV's side of `video`."""

from __future__ import annotations

from pathlib import Path

import av

from kerasfast.data.errors import DataError
from kerasfast.data.words import shown


def open_file(path: Path) -> tuple[av.container.InputContainer, av.video.stream.VideoStream]:
    """Opens a video file and finds its stream of moving pictures.

    Raises:
        DataError: There is no such file, or it is no video; names it.
    """
    if path.is_dir():
        raise DataError(f"{shown(path)}: is a folder. Give a video file.")
    if not path.exists():
        raise DataError(f"{shown(path)}: no such file. Check the path of the video.")
    if path.stat().st_size == 0:
        raise DataError(f"{path}: is empty. Copy or download the video again.")
    try:
        # Absolute, because FFmpeg takes "a:b.mp4" for a protocol; a title in Latin-1 is no reason to refuse.
        container = av.open(str(path.absolute()), metadata_errors="replace")
    except (av.FFmpegError, OSError) as error:
        raise DataError(
            f"{path}: cannot be opened as a video ({error.strerror}): not a video file, or truncated. "
            "Copy or download it again."
        ) from error
    return container, first_video_stream(container, path)


def first_video_stream(container: av.container.InputContainer, name: str | Path) -> av.video.stream.VideoStream:
    """The first stream of moving pictures; closes a container without one.

    Raises:
        DataError: There is none; the message begins with `name`.
    """
    for stream in container.streams.video:
        # A cover picture of an audio file is a video stream too.
        if not stream.disposition & stream.disposition.attached_pic:
            return stream
    kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
    container.close()
    raise DataError(f"{name}: holds no video stream (it holds {kinds}). Give a file with moving pictures.")
