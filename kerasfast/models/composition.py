"""Heads whose classes are made of the classes of other heads, as an action of Charades is a verb and an object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

_SMALLEST = 1e-7  # probabilities are kept this far from 0 and 1, as the losses keep them


@keras.saving.register_keras_serializable("kerasfast")
class ComposedLogits(keras.layers.Layer):
    """Logits of a composed head: those of its own classifier, the residual, and those of its parts.

    `logits[c] = residual[c] + sum over parts of scale[part] * part_logits[part][parts[part][c]]`

    The scales are learned and start at 1: a rare class has a probability near 0, where a logit is a logarithm, so the
    sum of the parts' logits says that they are independent, and the residual learns what is not. One scale serves all
    classes of a part, so that it is known for combinations that no training video showed (`composed_scores`).

    Args:
        parts: For each part, the index of its class for each class of the composed head.
        **kwargs: Those of `keras.layers.Layer`.

    Input: `residual` `(..., classes)`, and `part_logits`, one tensor `(..., classes of the part)` for each part, in
        their order. Output shape: that of `residual`.
    """

    def __init__(self, parts: Mapping[str, Sequence[int]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.parts = {name: tuple(int(index) for index in indices) for name, indices in parts.items()}

    def build(self, residual_shape: Any, part_logits_shape: Any) -> None:
        # "kernel" is the name that weights files give the only variable of a layer.
        self.scales = self.add_weight(shape=(len(self.parts),), initializer="ones", name="kernel")

    def call(self, residual: Any, part_logits: Sequence[Any]) -> Any:
        result = residual
        for number, (indices, logits) in enumerate(zip(self.parts.values(), part_logits, strict=True)):
            result = result + self.scales[number] * ops.take(logits, np.asarray(indices, "int32"), axis=-1)
        return result

    def compute_output_shape(self, residual_shape: Any, part_logits_shape: Any) -> Any:
        return residual_shape

    def get_config(self) -> dict[str, Any]:
        parts = {name: list(indices) for name, indices in self.parts.items()}
        return {**super().get_config(), "parts": parts}


def check_parts(heads: Mapping[str, Any]) -> None:
    """Refuse parts that cannot be composed.

    Args:
        heads: `Head` rows by name.

    Raises:
        ValueError: A part that is no other head or is composed itself, heads that are not sigmoid, a wrong number of
            indices, or an index that is no class of the part.
    """
    for name, head in heads.items():
        for part, indices in (head.parts or {}).items():
            other = heads.get(part)
            if other is None or part == name or other.parts:
                plain = [key for key, row in heads.items() if key != name and not row.parts]
                raise ValueError(
                    f"The parts of head {name!r} must be heads that have no parts themselves "
                    f"({', '.join(plain) or 'there are none'}). Received: {part!r}."
                )
            if "softmax" in (head.activation, other.activation):
                raise ValueError(
                    f"A composed head and its parts must be sigmoid heads. Received: {name!r} of {part!r}, "
                    f"{head.activation} and {other.activation}."
                )
            if len(indices) != head.classes or not all(0 <= index < other.classes for index in indices):
                raise ValueError(
                    f"parts[{part!r}] of head {name!r} must hold a class of {part!r}, an index below {other.classes}, "
                    f"for each of its {head.classes} classes. Received: {len(indices)} indices, {min(indices)} to "
                    f"{max(indices)}."
                )


def composed_scores(
    scores: Mapping[str, np.ndarray], parts: Mapping[str, Sequence[int]], scales: Mapping[str, float] | None = None
) -> np.ndarray:
    """Scores of classes that no classifier knows, from those of their parts: of verbs and objects never seen together.

    Args:
        scores: Probabilities of each part, `(videos, classes of the part)`.
        parts: For each part, the index of its class for each of the new classes.
        scales: What a composed head has learned (`learned_scales`); None: the product of the probabilities, which is
            what independent heads say.

    Returns:
        float64 `(videos, new classes)` in [0, 1]. With scales they leave the residual at zero: they rank the videos of
        a class, and are not calibrated.
    """
    if scales is None:
        return np.prod([np.asarray(scores[part])[:, list(indices)] for part, indices in parts.items()], axis=0)
    logits = np.zeros(())
    for part, indices in parts.items():
        given = np.clip(np.asarray(scores[part], np.float64)[:, list(indices)], _SMALLEST, 1 - _SMALLEST)
        logits = logits + scales[part] * np.log(given / (1 - given))
    return 1 / (1 + np.exp(-logits))


def learned_scales(model: keras.Model, head: str) -> dict[str, float] | None:
    """The scale of each part of a composed head; None where the head has no parts.

    Args:
        model: The model.
        head: Name of the head.
    """
    for layer in model.layers:
        if isinstance(layer, ComposedLogits) and layer.name == f"head_{head}_parts":
            return dict(zip(layer.parts, map(float, ops.convert_to_numpy(layer.scales)), strict=True))
    return None
