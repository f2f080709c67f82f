"""Why a model gives a class its score: the clip, the maps of its pathways, and the scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kerasfast.data.clips import clip_indices, test_starts, whole_video_indices
from kerasfast.data.errors import DataError
from kerasfast.data.video import OpenVideo
from kerasfast.data.views import crops_of, readable_length
from kerasfast.decoding import class_names
from kerasfast.explain.maps.attention_maps import METHODS, attention_maps
from kerasfast.explain.maps.classes import find_class, find_head
from kerasfast.explain.sources import shown
from kerasfast.models.classifier import check_frames

if TYPE_CHECKING:
    from kerasfast.models.classifier import VideoClassifier

CLIPS = 10  # that are looked at for the best one, as in a test


@dataclass(frozen=True, eq=False)
class Explanation:
    """What speaks for a class in a clip.

    Attributes:
        model: Name of the model.
        source: The video, or None for frames at hand.
        method: How the maps were computed, a key of `METHODS`.
        head: Name of the head.
        index: The class, counted from 0.
        label: Its name; `class 17` where the head has no names.
        scores: Head name to the scores of the clip, `(classes,)` float32.
        frames: The clip as the model sees it, uint8 `(T, H, W, 3)`.
        times: When each frame is shown, in seconds after the first of the video, `(T,)`.
        maps: Pathway to `(T, H, W)` float32: the highest value is 1, and 0 is no evidence.
        ended: Where the video broke off and why, if clips behind that could not be looked at.
    """

    model: str
    source: str | None
    method: str
    head: str
    index: int
    label: str
    scores: Mapping[str, np.ndarray]
    frames: np.ndarray
    times: np.ndarray
    maps: Mapping[str, np.ndarray]
    ended: str | None = None

    @property
    def score(self) -> float:
        """Score of the class."""
        return float(self.scores[self.head][self.index])

    @property
    def title(self) -> str:
        """One line that says what is explained: `action "Opening a door" 0.93`."""
        return f'{self.head} "{self.label}" {self.score:.2f}'


def explain_clip(
    model: VideoClassifier,
    frames: np.ndarray,
    head: str | None = None,
    cls: str | int | None = None,
    *,
    method: str = "gradcam",
    times: np.ndarray | None = None,
    source: str | None = None,
) -> Explanation:
    """Where each pathway looks for a class, in the frames of one view.

    Args:
        model: A network with heads.
        frames: uint8 or float `(T, H, W, 3)`, RGB, 0..255, as the model takes them.
        head: Name of the head; None: the only one, or `action`.
        cls: The class: a name in any case, a part of it that no other has, or a number; None: that of highest score.
        method: `gradcam`, `gradcam++` or `saliency`, see `kerasfast.explain.maps.attention_maps`.
        times: Seconds of the frames; by default from 0 on, at the rate of `model.clip`.
        source: Name of the video.

    Raises:
        ValueError: An unknown head, class (suggests the nearest) or method, or frames that the model does not take.
        ImportError: tf-keras-vis is missing; says how to install it.
    """
    head = find_head(model.heads, head)
    index = None if cls is None else find_class(head, model.heads[head], cls)
    frames = np.asarray(frames)
    check_frames((1, *frames.shape), model.variant)
    scores = _scores(model, frames)
    index = int(scores[head].argmax()) if index is None else index
    return Explanation(
        model=model.name,
        source=source,
        method=method,
        head=head,
        index=index,
        label=class_names(model.heads[head])[index],
        scores=scores,
        frames=np.clip(np.round(frames), 0, 255).astype(np.uint8),
        times=np.arange(len(frames)) * model.clip.stride / model.clip.fps if times is None else times,
        maps=attention_maps(model, frames, head, index, method),
    )


def explain_video(
    model: VideoClassifier,
    video: str | Path,
    head: str | None = None,
    cls: str | int | None = None,
    *,
    method: str = "gradcam",
    at: float | None = None,
) -> Explanation:
    """Where each pathway looks for a class, in a clip of a video: the centre crop that predictions are made from.

    Args:
        model: A network with heads.
        video: A video file.
        head: Name of the head; None: the only one, or `action`.
        cls: The class, as in `explain_clip`.
        method: As in `explain_clip`.
        at: Seconds into the video at which the clip begins; None: of ten clips spread over the video that with the
            highest score of the class. A clip that reaches over the end repeats the last frame.

    Returns:
        The explanation. Where the video breaks off before the end of the clips, they are spread over what can be
        decoded, and `ended` says where that ends.

    Raises:
        DataError: Nothing of the file can be decoded; names it.
        ValueError: As `explain_clip`; or `at` lies outside of the video or behind the place where it breaks off, or is
            given for a model that sees a whole video in one view.
        ImportError: tf-keras-vis is missing; says how to install it.

    >>> from kerasfast.registry import load
    >>> explain_video(load("slowfast_nano.miniature"), "kitchen.mp4", "action", "opening a star").maps["fast"].shape
    ... # doctest: +SKIP
    (32, 64, 64)
    """
    if method not in METHODS:  # before a video is read for it
        raise ValueError(f"method must be one of {', '.join(METHODS)}. Received: method={method!r}.")
    head = find_head(model.heads, head)
    index = None if cls is None else find_class(head, model.heads[head], cls)
    views, ended = _views(model, Path(video), at)
    best = 0
    if len(views) > 1:
        scores = np.stack([_scores(model, frames)[head] for frames, _ in views])
        best = int((scores.max(axis=1) if index is None else scores[:, index]).argmax())
    frames, times = views[best]
    found = explain_clip(model, frames, head, index, method=method, times=times, source=Path(video).name)
    return replace(found, ended=ended)


def _views(
    model: VideoClassifier, video: Path, at: float | None
) -> tuple[list[tuple[np.ndarray, np.ndarray]], str | None]:
    """Frames and seconds of the clips to choose from, and where the video broke off before their end."""
    try:
        return _clips(model, video, at), None
    except DataError:
        length, error = readable_length(video, model.clip.fps)
        if not length or error is None:
            raise
        ended = shown(f"Broke off after {length / model.clip.fps:.1f} seconds. {error}")
        if at is not None and at * model.clip.fps > length - 1:
            raise ValueError(f"at must lie before the end of what can be decoded. Received: at={at}. {ended}") from None
        return _clips(model, video, at, length), ended


def _clips(
    model: VideoClassifier, video: Path, at: float | None, length: int | None = None
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Frames and seconds of the clips to choose from; frames behind the last of them are not decoded.

    `length` are the frames of a video whose end cannot be decoded; None: all that it announces.
    """
    clip, size = model.clip, model.variant.test_crop_size
    with OpenVideo(video) as pictures:
        length = pictures.announced_length(clip.fps) if length is None else length
        indices = [clip_indices(start, clip, length) for start in _starts(model, video, length, at)]
        if model.sampling == "video":
            indices = [whole_video_indices(length, clip.frames)]
        wanted = set(np.concatenate(indices).tolist())
        last, found = max(wanted), {}
        for number, frame in pictures.frames(clip.fps, size, wanted.__contains__):
            found[number] = frame
            if number == last:
                break
    last = max(found)  # the header may promise a frame more than there is
    clips = ([min(int(number), last) for number in numbers] for numbers in indices)
    return [
        (crops_of(np.stack([found[number] for number in numbers]), 1, size)[0], np.array(numbers) / clip.fps)
        for numbers in clips
    ]


def _starts(model: VideoClassifier, video: Path, length: int, at: float | None) -> list[int]:
    """First frames of the clips to choose from."""
    clip = model.clip
    if at is None:
        return test_starts(length, clip, CLIPS).tolist()
    if model.sampling == "video":
        raise ValueError(f"{model.name} sees frames of a whole video in one view. Received: at={at!r}. Leave it out.")
    if not 0 <= at * clip.fps <= length - 1:
        raise ValueError(f"at must lie within {video}, which lasts {length / clip.fps:.2f} seconds. Received: at={at}.")
    return [round(at * clip.fps)]


def _scores(model: VideoClassifier, frames: np.ndarray) -> dict[str, np.ndarray]:
    return {head: np.asarray(scores)[0] for head, scores in model.predict_on_batch(frames[None]).items()}
