"""Videos as cameras and converters make them and the tests' own writer does not."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from conftest import tiny_frame


def write(
    path: Path,
    ticks: list[int],
    size: tuple[int, int] = (64, 48),
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    rotation: int = 0,
    ticks_a_second: int = 24,
) -> Path:
    """A video of every other `tiny_frame` picture, so that their greys lie apart; the pictures are shown at `ticks`.

    Args:
        path: File to write; its ending names the container.
        ticks: When each frame is shown.
        size: (width, height).
        codec: Encoder.
        pix_fmt: Pixel format; "yuv420p10le" has 10 bits, "yuv444p" takes odd sizes.
        rotation: Counter-clockwise degrees that a player has to turn the picture.
        ticks_a_second: Unit of `ticks`.
    """
    with av.open(str(path), "w") as container:
        options = {"crf": "10"} | ({"x265-params": "log-level=none"} if codec == "libx265" else {})
        stream = container.add_stream(codec, rate=ticks_a_second, options=options)
        (stream.width, stream.height), stream.pix_fmt = size, pix_fmt
        stream.codec_context.time_base = Fraction(1, ticks_a_second)
        if rotation and not hasattr(stream, "set_display_rotation"):
            pytest.skip("this PyAV cannot write a rotation")
        if rotation:
            stream.set_display_rotation(rotation)
        for index, tick in enumerate(ticks):
            frame = av.VideoFrame.from_ndarray(tiny_frame(2 * index, *size), "rgb24").reformat(format=pix_fmt)
            frame.pts, frame.time_base = tick, Fraction(1, ticks_a_second)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_two_sizes(path: Path, first: tuple[int, int], second: tuple[int, int]) -> Path:
    """A bare H.264 stream of ten frames (width, height) `first` and ten `second`."""
    parts = [write(path.with_name(f"part{k}.h264"), list(range(10)), size) for k, size in enumerate((first, second))]
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    for part in parts:
        part.unlink()
    return path


def nearest(ticks: list[int], ticks_a_second: int, fps: int, length: int) -> list[int]:
    """Frames nearest in time to those of a constant rate; ties go to the earlier frame."""
    times = np.asarray(ticks) * fps
    return [int(np.argmin(np.abs(times - index * ticks_a_second))) for index in range(length)]
