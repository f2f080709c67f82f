"""Which loss each head gets. A model's total is the sum of its heads' means, weight 1 each."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import keras


def bce() -> keras.losses.Loss:
    """Return the binary crossentropy of sigmoid probabilities, mean over classes and batch.

    Keras clips the probabilities at `keras.config.epsilon()`, 1e-7 unless someone changed it, so that a
    saturated class costs 16.1 and not infinity.
    """
    return keras.losses.BinaryCrossentropy(name="bce")


def categorical() -> keras.losses.Loss:
    """Return the crossentropy of softmax probabilities against one-hot labels, mean over the batch."""
    return keras.losses.CategoricalCrossentropy(name="categorical")


# Name in a recipe -> (activation of the head that it fits, loss).
LOSSES: dict[str, tuple[str, Callable[[], keras.losses.Loss]]] = {
    "bce": ("sigmoid", bce),
    "categorical": ("softmax", categorical),
}
DEFAULTS = {"sigmoid": "bce", "softmax": "categorical"}


def head_losses(activations: Mapping[str, str], name: str | None = None) -> dict[str, keras.losses.Loss]:
    """Return one loss per head, in the form that `Model.compile(loss=...)` takes.

    Args:
        activations: Head name -> `"sigmoid"` or `"softmax"`.
        name: A key of `LOSSES` for the heads whose activation it fits; the others keep their default.

    Raises:
        ValueError: An unknown loss or activation, or a loss that fits none of the heads.
    """
    fits = None  # activation that the loss of `name` is for
    if name is not None:
        if name not in LOSSES:
            raise ValueError(f"loss must be one of {sorted(LOSSES)}. Received: {name!r}.")
        fits = LOSSES[name][0]
        if fits not in activations.values():
            raise ValueError(
                f"loss {name!r} is for {fits} heads. Received: heads {dict(activations)}. "
                "Leave the loss out to take each head's default."
            )
    losses = {}
    for head, activation in activations.items():
        if activation not in DEFAULTS:
            raise ValueError(
                f"No loss for head {head!r}: its activation must be one of {sorted(DEFAULTS)}. "
                f"Received: {activation!r}."
            )
        chosen = name if name is not None and activation == fits else DEFAULTS[activation]
        losses[head] = LOSSES[chosen][1]()
    return losses
