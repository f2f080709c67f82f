"""One pass over the pictures of a video, whatever it is stored in: repeat, choose, scale."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from kerasfast.data.errors import DataError

# PyAV 17 starts threads for each small frame unless told otherwise: 140 instead of 80 us at 128x96.
_SCALE_OPTIONS = {"threads": 1} if int(av.__version__.split(".")[0]) >= 17 else {}


class PictureSource(ABC):
    """The pictures of a video for one pass; a context manager.

    Args:
        path: The video.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.length = 0  # frames so far; after the pass the frames of the video
        self.size = (0, 0)  # (height, width) of the frames, once the first has come
        self._scaler = VideoReformatter()  # one for the video: a new one sets up its filter again for each frame

    def __enter__(self) -> PictureSource:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:  # noqa: B027  (nothing to close unless a source says so)
        """Let go of files."""

    @abstractmethod
    def announced_length(self, fps: float) -> int:
        """Frames at `fps` as far as one can tell without the pass, at least 1; the pass may find another number."""

    @abstractmethod
    def _repeats(self, fps: float | None) -> Iterator[tuple[Any, int]]:
        """Every picture as it is stored, with the number of times it is shown at `fps`."""

    @abstractmethod
    def _render(self, stored: Any, short_side: int | None, enlarge: bool) -> tuple[Any, tuple[int, int]]:
        """What `frames` yields for a stored picture, and its (height, width)."""

    def frames(
        self,
        fps: float | None = None,
        short_side: int | None = None,
        wanted: Callable[[int], bool] | None = None,
        enlarge: bool = True,
    ) -> Iterator[tuple[int, Any]]:
        """The pass: (index, frame) at `fps`, frames uint8 `(H, W, 3)`, RGB.

        Args:
            fps: Constant rate to bring the frames to (each shows the nearest stored frame, a tie goes to the
                earlier); by default every stored frame as it is.
            short_side: Pixels of the shorter side, the other side rounded down; by default the stored size.
            wanted: Which indices to yield; the others are not scaled or copied.
            enlarge: Whether a smaller video is scaled up to `short_side`.

        Raises:
            DataError: The video is truncated or damaged, or changes its size.
        """
        if short_side is not None and short_side < 1:
            raise ValueError(f"short_side must be positive. Received: short_side={short_side!r}.")
        for stored, repeats in self._repeats(fps):
            picture = None
            for index in range(self.length, self.length + repeats):
                if wanted is None or wanted(index):
                    if picture is None:
                        picture, size = self._render(stored, short_side, enlarge)
                        self._check_size(size, index)
                    yield index, picture
            self.length += repeats

    def _check_size(self, size: tuple[int, int], index: int) -> None:
        if self.size not in ((0, 0), size):
            raise DataError(
                f"{self.path}: frame {index} has {size[1]}x{size[0]} pixels, those before it {self.size[1]}x"
                f"{self.size[0]}. Encode the video again in one size, or leave it out."
            )
        self.size = size

    def _scaled(self, frame: av.VideoFrame, short_side: int | None, enlarge: bool) -> np.ndarray:
        """A decoded frame as uint8 `(H, W, 3)`, scaled and turned upright."""
        width, height = scaled_size(frame.width, frame.height, short_side, enlarge)
        # Bilinear in libswscale averages over the covered pixels when it scales down.
        try:
            scaled = self._scaler.reformat(frame, width, height, "rgb24", interpolation="BILINEAR", **_SCALE_OPTIONS)
        except (av.FFmpegError, ValueError) as error:
            raise DataError(
                f"{self.path}: a frame of {frame.width}x{frame.height} {frame.format.name} cannot be scaled ({error}). "
                "Encode the video again, or leave it out."
            ) from error
        turns = quarter_turns(frame)
        picture = scaled.to_ndarray()
        return np.ascontiguousarray(np.rot90(picture, turns)) if turns else picture


class ArrayPictures(PictureSource):
    """Frames at hand, as one pass over a video; they are taken to have the rate that the pass asks for.

    Args:
        frames: uint8 `(N, H, W, 3)`, RGB, at least one frame and no empty one.

    Raises:
        ValueError: Another type or shape.
    """

    def __init__(self, frames: np.ndarray) -> None:
        super().__init__(Path("frames"))
        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or not frames.size:
            raise ValueError(
                "The frames of a video must be uint8 (N, H, W, 3), RGB, at least one. "
                f"Received: {frames.dtype} {frames.shape}."
            )
        self._frames = frames

    def announced_length(self, fps: float) -> int:
        """Frames of the array."""
        return len(self._frames)

    def _repeats(self, fps: float | None) -> Iterator[tuple[np.ndarray, int]]:
        return ((frame, 1) for frame in self._frames)

    def _render(self, stored: np.ndarray, short_side: int | None, enlarge: bool) -> tuple[np.ndarray, tuple[int, int]]:
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(stored), "rgb24")
        picture = self._scaled(frame, short_side, enlarge)
        return picture, picture.shape[:2]


# From RGB to Y, Cb, Cr as JPEG files hold them (JFIF 1.02, page 3), exactly: libswscale's conversion darkens by two
# levels.
_YCBCR = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], np.float32)
_GREY = np.array([0, 128, 128], np.float32)


def encode_jpeg(frame: np.ndarray) -> bytes:
    """A JPEG file of a frame, without TensorFlow: FFmpeg's encoder at its finest, colours at full resolution.

    On real video at 256 pixels a frame takes 17 to 24 kB, what libjpeg makes at quality 90, and is off by 2 levels
    (root mean square) where that is off by 2 to 3. 4 ms a frame.

    Args:
        frame: uint8 `(H, W, 3)`, RGB.
    """
    planes = np.clip(np.rint(frame.astype(np.float32) @ _YCBCR.T + _GREY), 0, 255).astype(np.uint8).transpose(2, 0, 1)
    context = av.CodecContext.create("mjpeg", "w")
    context.height, context.width = frame.shape[:2]
    context.pix_fmt, context.time_base, context.thread_count = "yuvj444p", Fraction(1, 25), 1
    context.options = {"qmin": "2", "qmax": "2"}
    packets = context.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(planes), "yuvj444p"))
    return b"".join(bytes(packet) for packet in packets)


class JpegDecoder:
    """Decodes single JPEG files; FFmpeg's decoder, told to refuse what it would otherwise patch up."""

    def __init__(self) -> None:
        self._context = av.CodecContext.create("mjpeg", "r")
        self._context.thread_count = 1
        self._context.options = {"err_detect": "explode"}

    def __call__(self, jpeg: bytes) -> av.VideoFrame:
        """The picture.

        Raises:
            ValueError: It is truncated, damaged or no JPEG.
        """
        try:
            (frame,) = self._context.decode(av.Packet(jpeg))
        except (av.FFmpegError, ValueError) as error:
            raise ValueError(f"not a whole JPEG picture: {error}") from error
        return frame


def scaled_size(width: int, height: int, short_side: int | None, enlarge: bool = True) -> tuple[int, int]:
    """(width, height) with the shorter side scaled to `short_side` and the other rounded down."""
    shorter = min(width, height)
    if short_side is None or shorter == short_side or (shorter < short_side and not enlarge):
        return width, height
    return width * short_side // shorter, height * short_side // shorter


def quarter_turns(frame: av.VideoFrame) -> int:
    """Counter-clockwise quarter turns that show the frame upright."""
    return round(frame.rotation / 90) % 4
