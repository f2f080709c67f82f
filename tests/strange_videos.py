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
    aspect: Fraction = Fraction(1),
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
        aspect: Width of a pixel by its height.
    """
    with av.open(str(path), "w") as container:
        options = {"crf": "10"} | ({"x265-params": "log-level=none"} if codec == "libx265" else {})
        stream = container.add_stream(codec, rate=ticks_a_second, options=options)
        (stream.width, stream.height), stream.pix_fmt = size, pix_fmt
        stream.codec_context.time_base = Fraction(1, ticks_a_second)
        stream.codec_context.sample_aspect_ratio = aspect
        if rotation and not hasattr(stream, "set_display_rotation"):
            pytest.skip("this PyAV cannot write a rotation")
        if rotation:
            stream.set_display_rotation(rotation)
        for index, tick in enumerate(ticks):
            frame = av.VideoFrame.from_ndarray(tiny_frame(2 * index % 78, *size), "rgb24").reformat(format=pix_fmt)
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


def remux(source: Path, target: Path, title: str | None = None, hidden: int = 0, **options: str) -> Path:
    """Copies the packets of a video into another container.

    Args:
        source: The video.
        target: The copy; its ending names the container.
        title: Title of the copy.
        hidden: Ticks at the start that an edit list of an mp4 hides, as where a phone trimmed a video.
        options: FFmpeg's options of the container.
    """
    if hidden:
        options |= {"avoid_negative_ts": "disabled", "use_editlist": "1"}
    with av.open(str(source)) as old, av.open(str(target), "w", options=options) as new:
        if title:
            new.metadata["title"] = title
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(old.streams.video[0]):
            if packet.dts is not None:
                packet.pts -= hidden
                packet.dts -= hidden
                packet.stream = stream
                new.mux(packet)
    return target


def cut(source: Path, target: Path, share: float) -> Path:
    """Writes the first part of a file."""
    content = source.read_bytes()
    target.write_bytes(content[: int(len(content) * share)])
    return target


def damage(source: Path, target: Path) -> Path:
    """Copies an mp4 with a few wrong bytes in the middle of its pictures."""
    content = bytearray(source.read_bytes())
    middle = (content.index(b"mdat") + 4 + content.index(b"moov")) // 2
    content[middle : middle + 60] = bytes(byte ^ 0x5A for byte in content[middle : middle + 60])
    target.write_bytes(content)
    return target
