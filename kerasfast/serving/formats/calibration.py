"""Clips that int8 is calibrated with: they show how large every feature gets."""

from __future__ import annotations

import os

import numpy as np

from kerasfast.models.classifier import VideoClassifier

CLIPS = 64


def calibration_clips(
    model: VideoClassifier,
    source: str | os.PathLike[str] | np.ndarray,
    side: int | None = None,
    *,
    split: str = "train",
    most: int = CLIPS,
) -> np.ndarray:
    """Clips as the model sees them in testing, one of each of so many videos.

    Args:
        model: The model, which says how long and how large a clip is.
        source: Records with a split to learn from, or clips at hand: uint8 `(N, T, H, W, 3)`.
        side: Height and width that clips at hand must have; None: any.
        split: Split of the records; one to test on would make the test flatter the result.
        most: Take no more than this many.

    Returns:
        uint8 `(N, T, side, side, 3)`, of the testing size where they come from records.

    Raises:
        ValueError: Clips of another length, dtype or kind, or none.
        DataError: Records that are missing, damaged or of other clips.
    """
    if not isinstance(source, (str, os.PathLike)):
        return _checked(model, np.asarray(source), side)[:most]
    from kerasfast.data.pipeline.training import VALIDATION, training_clips

    size = model.variant.test_crop_size
    strategy = "uniform" if model.sampling == "video" else "dense"
    clips = training_clips(
        os.fspath(source),
        model.clip,
        1,
        crop_size=size,
        short_side=(size, size),
        split=split,
        strategy=strategy,
        **VALIDATION,
    )
    return np.concatenate([frames.numpy() for frames, _ in clips.take(most)])


def _checked(model: VideoClassifier, clips: np.ndarray, side: int | None) -> np.ndarray:
    size = "H, W" if side is None else f"{side}, {side}"
    wanted = (model.clip.frames, side, side, 3)
    fits = clips.dtype == np.uint8 and clips.ndim == 5 and len(clips) > 0
    if not fits or any(rule not in (None, given) for rule, given in zip(wanted, clips.shape[1:], strict=True)):
        raise ValueError(
            f"Calibration takes the folder of records, or clips as uint8 (N, {model.clip.frames}, {size}, 3). "
            f"Received: {clips.dtype} of shape {clips.shape}."
        )
    return clips
