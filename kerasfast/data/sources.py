"""What a video can be stored in, told apart by its path: a video file or a folder of frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kerasfast.data.errors import DataError
from kerasfast.data.frames import ARCHIVE_FPS, OpenFrames, frame_files
from kerasfast.data.pictures import PictureSource
from kerasfast.data.video import OpenVideo


def open_source(
    path: str | Path, *, frames_fps: float = ARCHIVE_FPS, threads: int = 0, keep_jpeg: bool = False
) -> PictureSource:
    """Opens a video for one pass.

    Args:
        path: A video file, or a folder of numbered JPEG frames.
        frames_fps: Frame rate of a folder of frames.
        threads: Threads of a video's decoder, 0 for as many as there are cores.
        keep_jpeg: Let a folder of frames yield files as they are where they need no scaling.

    Raises:
        DataError: The path is missing, is no video, or frames are missing.
    """
    path = Path(path)
    if path.is_dir():
        return OpenFrames(path, frames_fps, keep_jpeg=keep_jpeg)
    return OpenVideo(path, threads)


def fingerprint(path: Path, frames_fps: float) -> list[Any]:
    """What tells a video from another version of it without reading it through: name and size, and of a folder the
    number of its frames, the sizes of the first and the last, and the frame rate.
    """
    if not path.is_dir():
        return [path.name, path.stat().st_size if path.exists() else None]
    try:
        files = frame_files(path)
    except DataError:
        return [path.name, "damaged", frames_fps]
    return [path.name, len(files), files[0].stat().st_size, files[-1].stat().st_size, frames_fps]
