"""From scores to the names of classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from kerasfast.models.classifier import VideoClassifier
    from kerasfast.models.heads import Head


def class_names(head: Head) -> tuple[str, ...]:
    """A name for every class of a head; `class 17` where it has no labels."""
    return head.labels or tuple(f"class {index}" for index in range(head.classes))


@dataclass(frozen=True)
class Prediction:
    """One class of a head, for one clip or video.

    Attributes:
        index: The class, counted from 0.
        label: Its name; `class 17` where the head has no names.
        score: Its score.
    """

    index: int
    label: str
    score: float


def decode(
    model: VideoClassifier, scores: Mapping[str, Any] | Any, top: int = 5
) -> dict[str, list[list[Prediction]]] | dict[str, list[Prediction]]:
    """The classes with the highest scores, by name.

    Args:
        model: The model that gave the scores; the names are those of its heads.
        scores: `(batch, classes)` by head, as `model.predict` returns them, or `(classes,)` by head, as for a video.
            Of a model with one head the array alone does.
        top: Classes to return; of a head with fewer all.

    Returns:
        For each head of `scores` a list of `Prediction` for each clip, the highest score first (of equal scores the
        lower index); for scores `(classes,)` one such list.

    Raises:
        ValueError: A head that the model lacks, scores of another width or number of clips than they should have, or
            that are NaN, or `top` below 1.

    >>> from kerasfast.registry import load
    >>> model = load("slowfast_nano.miniature")
    >>> frames = np.zeros((1, 32, 64, 64, 3), "uint8")
    >>> predictions = decode(model, model.predict(frames, verbose=0), top=3)
    >>> {head: len(clips[0]) for head, clips in predictions.items()}
    {'verb': 3, 'object': 3, 'action': 3}
    >>> best = predictions["object"][0][0]
    >>> model.heads["object"].labels[best.index] == best.label
    True
    """
    if isinstance(top, bool) or not isinstance(top, (int, np.integer)) or top < 1:
        raise ValueError(f"top must be an int of at least 1. Received: top={top!r}.")
    if not model.heads:
        raise ValueError(f"{model.name} returns features, which have no classes. Load it without features_only=True.")
    if not isinstance(scores, Mapping):
        if len(model.heads) != 1:
            raise ValueError(
                f"{model.name} has the heads {', '.join(model.heads)}; give scores by head, as model.predict returns "
                "them. Received: an array."
            )
        scores = {next(iter(model.heads)): scores}
    arrays = {name: _checked(name, values, model.heads) for name, values in scores.items()}
    if len({array.shape[:-1] for array in arrays.values()}) > 1:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise ValueError(f"Every head needs scores of the same clips. Received: {shapes}.")
    return {name: _best(array, model.heads[name], top) for name, array in arrays.items()}


def _checked(name: str, values: Any, heads: Mapping[str, Head]) -> np.ndarray:
    if name not in heads:
        raise ValueError(f"The model has the heads {', '.join(heads)}. Received: scores of {name!r}.")
    array = np.asarray(values)
    classes = heads[name].classes
    if array.ndim not in (1, 2) or array.shape[-1] != classes:
        raise ValueError(
            f"Scores of {name!r} must have shape (batch, {classes}) or ({classes},). Received: {array.shape}."
        )
    if array.dtype.kind not in "fiu":
        raise ValueError(f"Scores of {name!r} must be numbers. Received: an array of {array.dtype}.")
    if np.isnan(array).any():
        raise ValueError(
            f"Scores of {name!r} hold NaN, which has no rank. Look at the frames and at the weights of the model."
        )
    return array


def _best(array: np.ndarray, head: Head, top: int) -> Any:
    if array.ndim == 2:
        return [_best(row, head, top) for row in array]
    order = np.argsort(-array.astype(np.float64), kind="stable")[:top]
    names = class_names(head)
    return [Prediction(int(index), names[index], float(array[index])) for index in order]
