"""The views of a video: clips that are spread over it, and crops of each. Without TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from kerasfast.data.clips import ClipSpec, clip_indices, test_starts, whole_video_indices
from kerasfast.data.errors import DataError
from kerasfast.data.pictures import ArrayPictures, PictureSource
from kerasfast.data.video import OpenVideo

CROPS = 3  # left, centre, right of a landscape frame; top, centre, bottom of a portrait one
CENTRE = 1


def check_crops(crops: int) -> None:
    """Refuses a number of crops that there is no rule for.

    Raises:
        ValueError: Neither 1 nor 3.
    """
    if crops not in (1, CROPS):
        raise ValueError(f"crops must be 1 or {CROPS}. Received: crops={crops}.")


def crops_of(frames: np.ndarray, crops: int, size: int) -> np.ndarray:
    """Square crops of a clip, as `kerasfast.data.pipeline.transforms.crop_position` cuts them in a graph.

    Args:
        frames: `(T, H, W, 3)`, both sides at least `size`.
        crops: 3 (left, centre, right of frames that are at least as wide as high; top, centre, bottom) or 1 (centre).
        size: Side of a crop in pixels.

    Returns:
        `(crops, T, size, size, 3)`.

    Raises:
        ValueError: `crops` is neither 1 nor 3.
    """
    check_crops(crops)
    height, width = frames.shape[1:3]
    views = []
    for position in (CENTRE,) if crops == 1 else range(CROPS):
        top = _offset(height - size, position if height > width else CENTRE)
        left = _offset(width - size, position if width >= height else CENTRE)
        views.append(frames[:, top : top + size, left : left + size])
    return np.stack(views)


def scaled_clips(
    video: str | Path | np.ndarray,
    clip: ClipSpec,
    clips: int,
    short_side: int,
    *,
    whole: bool = False,
    length: int | None = None,
) -> Iterator[np.ndarray]:
    """Clips spread evenly over a video; only the sampled frames are kept in memory.

    Args:
        video: A video file, or its frames at `clip.fps`, uint8 `(N, H, W, 3)`.
        clip: The clip; a video that is shorter repeats its last frame.
        clips: How many.
        short_side: Pixels of the shorter side of what is yielded.
        whole: One view of frames of the whole video instead, whatever `clips` and the stride of `clip` say.
        length: Frames at `clip.fps` to spread the clips over, of a video whose end cannot be decoded; nothing after
            them is read. None: all that the video announces.

    Yields:
        uint8 `(T, h, w, 3)`.

    Raises:
        DataError: The file cannot be decoded; names it.
        ValueError: `clips` is out of range.
    """
    with _opened(video) as pictures:
        spread = pictures.announced_length(clip.fps) if length is None else length
        if whole:
            indices = [whole_video_indices(spread, clip.frames)]
        else:
            indices = [clip_indices(start, clip, spread) for start in test_starts(spread, clip, clips)]
        wanted = set(np.concatenate(indices).tolist())
        found = pictures.frames(clip.fps, short_side, wanted.__contains__)
        frames = dict(found if length is None else islice(found, len(wanted)))
    last = max(frames)  # the header may promise a frame more than there is
    for at in indices:
        yield np.stack([frames[min(int(index), last)] for index in at])


def readable_length(path: str | Path, fps: float) -> tuple[int, DataError | None]:
    """Frames of a video file at `fps` up to where it breaks off, by decoding it.

    Returns:
        The frames, and the error that ended the pass; none where the file is whole. The last frame before an error is
        not counted: what would follow says how long it is shown.

    Raises:
        DataError: The file cannot be opened.
    """
    with OpenVideo(path) as video:
        try:
            for _ in video.frames(fps, wanted=lambda _: False):
                pass
        except DataError as error:
            return video.length, error
        return video.length, None


def _opened(video: str | Path | np.ndarray) -> PictureSource:
    return ArrayPictures(video) if isinstance(video, np.ndarray) else OpenVideo(video)


def _offset(room: int, position: int) -> int:
    return (0, (room + 1) // 2, room)[position]
