"""Decoded frames to pictures: scaled, in RGB, upright."""

from __future__ import annotations

import av
import numpy as np
from av.video.reformatter import VideoReformatter

# PyAV 17 starts threads for each small frame unless told otherwise: 140 instead of 80 us at 128x96.
_SCALE_OPTIONS = {"threads": 1} if int(av.__version__.split(".")[0]) >= 17 else {}


def scaled_size(width: int, height: int, short_side: int | None, enlarge: bool = True) -> tuple[int, int]:
    """(width, height) with the shorter side scaled to `short_side` and the other rounded down."""
    shorter = min(width, height)
    if short_side is None or shorter == short_side or (shorter < short_side and not enlarge):
        return width, height
    return width * short_side // shorter, height * short_side // shorter


def upright_picture(
    frame: av.VideoFrame, scaler: VideoReformatter, short_side: int | None, enlarge: bool = True
) -> np.ndarray:
    """A decoded frame as uint8 `(H, W, 3)`, RGB, scaled to a shorter side and turned as its file asks."""
    width, height = scaled_size(frame.width, frame.height, short_side, enlarge)
    # Bilinear in libswscale averages over the covered pixels when it scales down.
    scaled = scaler.reformat(frame, width, height, "rgb24", interpolation="BILINEAR", **_SCALE_OPTIONS)
    turns = quarter_turns(frame)
    picture = scaled.to_ndarray()
    return np.ascontiguousarray(np.rot90(picture, turns)) if turns else picture


def quarter_turns(frame: av.VideoFrame) -> int:
    """Counter-clockwise quarter turns that show the frame upright."""
    return round(frame.rotation / 90) % 4
