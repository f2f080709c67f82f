"""A folder of numbered JPEG frames in place of a video file, as in the frame archive of Charades.

A frame that needs no scaling goes into the records as the bytes that it is. At 318x240 that takes 0.025 ms of a core
instead of 1.2 to decode and encode it again, which at quality 90 would change the pixels by 1.9 levels (root mean
square) and save nothing: 18.2 kB a frame either way. The header and the end of such a file are checked, not what lies
between.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from kerasfast.data.clips import Resampler, as_rate
from kerasfast.data.csv_rows import shortened
from kerasfast.data.errors import DataError
from kerasfast.data.pictures import JpegDecoder, PictureSource, scaled_size

ARCHIVE_FPS = 24.0  # of Charades' archive
# Any name, its number and an ending of annotations.FRAME_SUFFIXES; a hidden file begins with a dot.
_FRAME = re.compile(r"(?!\.)(.*?)(\d+)\.jpe?g", re.DOTALL | re.IGNORECASE)
# A start-of-frame segment holds the size; C4, C8 and CC are other tables (ITU-T T.81, table B.1).
_START_OF_FRAME = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_END_OF_IMAGE = b"\xff\xd9"


class OpenFrames(PictureSource):
    """The frames `<folder>/<any name><number>.jpg`, numbered from 1 (or 0) without a gap, for one pass.

    Only the files of wanted frames are read.

    Args:
        path: The folder.
        fps: Frame rate at which the frames were taken.
        keep_jpeg: Yield the bytes of a file, as they are, where the frame needs no scaling, instead of its picture.

    Raises:
        DataError: The folder is missing, holds no frames, or frames are missing from it.
    """

    def __init__(self, path: str | Path, fps: float = ARCHIVE_FPS, *, keep_jpeg: bool = False) -> None:
        super().__init__(Path(path))
        self._fps, self._keep_jpeg = as_rate(fps), keep_jpeg
        self._files = frame_files(self.path)
        self._decode = JpegDecoder()

    def __enter__(self) -> OpenFrames:
        return self

    def announced_length(self, fps: float) -> int:
        """Frames at `fps`, at least 1."""
        return max(math.floor(len(self._files) / self._fps * as_rate(fps) + Fraction(1, 2)), 1)

    def _repeats(self, fps: float | None) -> Iterator[tuple[Path, int]]:
        if fps is None:
            yield from ((file, 1) for file in self._files)
            return
        resampler = Resampler(fps, 1 / self._fps)
        resampler.push(0)
        for tick, file in enumerate(self._files, 1):
            last = tick == len(self._files)
            yield file, resampler.finish(tick) if last else resampler.push(tick)

    def _render(
        self, stored: Path, short_side: int | None, enlarge: bool
    ) -> tuple[np.ndarray | bytes, tuple[int, int]]:
        try:
            jpeg = stored.read_bytes()
            if not jpeg.rstrip(b"\0").endswith(_END_OF_IMAGE):
                raise ValueError("truncated" if jpeg else "empty")
            height, width = jpeg_size(jpeg)
            if self._keep_jpeg and scaled_size(width, height, short_side, enlarge) == (width, height):
                return jpeg, (height, width)
            picture = self._scaled(self._decode(jpeg), short_side, enlarge)
        except (OSError, ValueError) as error:
            raise DataError(
                f"{stored}: cannot be read as a JPEG frame ({error}). Unpack the archive again, or leave the video out."
            ) from error
        return picture, picture.shape[:2]


def frame_files(folder: Path) -> list[Path]:
    """The frames of a folder by their numbers.

    Raises:
        DataError: No frames, frames of several videos, or numbers that are missing or come twice.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder. Give a folder of JPEG frames, such as 46GP8/46GP8-000001.jpg.")
    try:
        files = sorted(path.name for path in folder.iterdir())
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror}). Allow it, or leave the video out.") from error
    numbered: dict[int, str] = {}
    names: set[str] = set()
    for found in filter(None, map(_FRAME.fullmatch, files)):
        names.add(found[1])
        if (number := int(found[2])) in numbered:
            raise DataError(f"{folder}: frame {number} is there twice, {numbered[number]} and {found[0]}.")
        numbered[number] = found[0]
    if not numbered:
        raise DataError(f"{folder}: holds no frame such as {folder.name}-000001.jpg. Give a folder of JPEG frames.")
    if len(names) > 1:
        raise DataError(
            f"{folder}: holds frames of {len(names)} videos ({shortened(sorted(names))}). Give each its own folder."
        )
    first, last = min(1, *numbered), max(numbered)
    if missing := last - first + 1 - len(numbered):
        # Not all of them: a date in place of a number would make a list without end.
        example = next(number for number in range(first, last) if number not in numbered)
        raise DataError(
            f"{folder}: {missing:,} frames before number {last:,} are missing, the first is number {example:,}. "
            "Unpack the archive again, or leave the video out."
        )
    return [folder / numbered[number] for number in sorted(numbered)]


def jpeg_size(jpeg: bytes) -> tuple[int, int]:
    """(height, width) by the header of a JPEG file, without decoding it.

    Raises:
        ValueError: It is no JPEG file, or ends inside its header.
    """
    position = 2
    while jpeg[:2] == b"\xff\xd8" and jpeg[position : position + 1] == b"\xff":
        kind = jpeg[position + 1] if position + 1 < len(jpeg) else 0
        if kind in _START_OF_FRAME and position + 9 <= len(jpeg):
            height, width = (int.from_bytes(jpeg[position + k : position + k + 2], "big") for k in (5, 7))
            if height and width:
                return height, width
            break
        # A fill byte stands alone; every other segment says how long it is.
        position += 1 if kind == 0xFF else 2 + int.from_bytes(jpeg[position + 2 : position + 4], "big")
    raise ValueError("not a JPEG file, or without a size in its header")
