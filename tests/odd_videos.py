"""Videos as phones, cameras and broken copies make them, which the tests' own writer does not."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import pytest
from conftest import tiny_frame


def write_odd(
    path: Path,
    ticks: Sequence[int],
    *,
    rate: int = 24,
    size: tuple[int, int] = (64, 48),
    pix_fmt: str = "yuv420p",
    rotation: int = 0,
    aspect: Fraction = Fraction(1),
    codec: str = "libx264",
) -> Path:
    """A video of numbered frames, shown at `ticks`, `rate` of which make a second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        (stream.width, stream.height), stream.pix_fmt = size, pix_fmt
        stream.codec_context.sample_aspect_ratio = aspect
        if rotation:
            if not hasattr(stream, "set_display_rotation"):
                pytest.skip("this PyAV cannot write a rotation")
            stream.set_display_rotation(rotation)
        for index, tick in enumerate(ticks):
            frame = av.VideoFrame.from_ndarray(tiny_frame(index % 70, *size), "rgb24").reformat(format=pix_fmt)
            frame.pts, frame.time_base = tick, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def remux(source: Path, target: Path, hidden: int = 0, **options: str) -> Path:
    """Copies the packets of a video; an edit list of the mp4 hides the first `hidden` ticks."""
    with av.open(str(source)) as old, av.open(str(target), "w", options=options) as new:
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
    middle = (content.index(b"mdat") + content.index(b"moov")) // 2
    content[middle : middle + 60] = bytes(byte ^ 0x5A for byte in content[middle : middle + 60])
    target.write_bytes(content)
    return target
