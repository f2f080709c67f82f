"""Frames to video files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import av
import numpy as np

from kerasfast.data.clips import as_rate

_FORMATS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".avi": "avi"}


def write_video(
    path: str | Path, frames: Iterable[np.ndarray], fps: float, crf: int = 18, preset: str = "veryfast"
) -> None:
    """Writes an H.264 video (libx264, yuv420p); the same frames give the same bytes.

    Args:
        path: File to write: .mp4, .m4v, .mov, .mkv or .avi. It appears only once it is whole.
        frames: uint8 `(H, W, 3)`, RGB, all of one size, both sides even.
        fps: Frame rate.
        crf: Quality of libx264, 0 (lossless) to 51.
        preset: Speed of libx264, "ultrafast" to "veryslow".

    Raises:
        ValueError: No frame, or frames of another type, rank or size.
    """
    path = Path(path)
    if path.suffix.lower() not in _FORMATS:
        raise ValueError(f"A video is written as {', '.join(_FORMATS)}. Received: {path.name!r}.")
    partial = path.with_name(path.name + ".partial")
    try:
        with av.open(str(partial), "w", format=_FORMATS[path.suffix.lower()]) as container:
            # One thread: the bytes must not depend on the number of cores.
            options = {"crf": str(crf), "preset": preset, "threads": "1"}
            stream = container.add_stream("libx264", rate=as_rate(fps), options=options)
            stream.pix_fmt = "yuv420p"
            shape = None
            for frame in frames:
                if shape is None:
                    shape = _check_first(frame)
                    stream.height, stream.width = shape[:2]
                if frame.shape != shape or frame.dtype != np.uint8:
                    raise ValueError(f"All frames must be uint8 {shape}. Received: {frame.dtype} {frame.shape}.")
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
            if shape is None:
                raise ValueError(f"A video needs at least one frame. Received none for {path}.")
            container.mux(stream.encode())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _check_first(frame: np.ndarray) -> tuple[int, ...]:
    if frame.ndim != 3 or frame.shape[2] != 3 or frame.shape[0] % 2 or frame.shape[1] % 2 or not frame.size:
        raise ValueError(f"Frames must be (H, W, 3) with H and W even, as yuv420p needs. Received: {frame.shape}.")
    return frame.shape
