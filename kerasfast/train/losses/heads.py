"""Which loss each head gets. A model's total is the sum of its heads' means, weight 1 each."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import keras

from kerasfast.models.variants import nearest
from kerasfast.train.losses.counts import ClassCounts
from kerasfast.train.losses.distribution_balanced import DistributionBalanced
from kerasfast.train.losses.focusing import Asymmetric, Focal
from kerasfast.train.losses.masking import PartialLabelMasking, RatioUpdates
from kerasfast.train.losses.weighted import ClassBalanced, WeightedBinaryCrossentropy


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
LOSSES: dict[str, tuple[str, Callable[..., keras.losses.Loss]]] = {
    "bce": ("sigmoid", bce),
    "weighted_bce": ("sigmoid", WeightedBinaryCrossentropy),
    "focal": ("sigmoid", Focal),
    "asymmetric": ("sigmoid", Asymmetric),
    "class_balanced": ("sigmoid", ClassBalanced),
    "distribution_balanced": ("sigmoid", DistributionBalanced),
    "partial_label_masking": ("sigmoid", PartialLabelMasking),
    "categorical": ("softmax", categorical),
}
DEFAULTS = {"sigmoid": "bce", "softmax": "categorical"}

_COUNTS = ("positives", "rows")
_COMMON = ("name", "reduction")  # arguments that are not a recipe's to choose


def head_losses(
    activations: Mapping[str, str],
    name: str | None = None,
    *,
    options: Mapping[str, Any] | None = None,
    counts: Mapping[str, ClassCounts] | None = None,
) -> dict[str, keras.losses.Loss]:
    """Return one loss per head, in the form that `Model.compile(loss=...)` takes.

    Args:
        activations: Head name -> `"sigmoid"` or `"softmax"`.
        name: A key of `LOSSES` for the heads whose activation it fits; the others keep their default.
        options: Arguments of that loss; the others keep its paper's values.
        counts: Head name -> frequencies of its classes, from `class_counts`; for losses that depend on them.

    Raises:
        ValueError: An unknown loss, option or activation, a loss that fits none of the heads, or one that needs
            the frequencies of a head that `counts` lacks.
    """
    fits = None  # activation that the loss of `name` is for
    if name is not None:
        if name not in LOSSES:
            raise ValueError(f"loss must be one of {sorted(LOSSES)}.{nearest(name, LOSSES)} Received: {name!r}.")
        fits = LOSSES[name][0]
        if fits not in activations.values():
            raise ValueError(
                f"loss {name!r} is for {fits} heads. Received: heads {dict(activations)}. "
                "Leave the loss out to take each head's default."
            )
    _check_options(name, options or {})
    losses = {}
    for head, activation in activations.items():
        if activation not in DEFAULTS:
            raise ValueError(
                f"No loss for head {head!r}: its activation must be one of {sorted(DEFAULTS)}. "
                f"Received: {activation!r}."
            )
        if name is None or activation != fits:
            losses[head] = LOSSES[DEFAULTS[activation]][1]()
        else:
            losses[head] = LOSSES[name][1](**_frequencies(name, head, counts or {}), **(options or {}))
    return losses


def needs_counts(name: str | None) -> bool:
    """Whether a loss of `LOSSES` depends on the frequencies of the classes."""
    return name is not None and "positives" in _arguments(name)


def loss_callbacks(name: str | None) -> list[keras.callbacks.Callback]:
    """Return the callbacks of `Model.fit` that a loss of `LOSSES` needs."""
    return [RatioUpdates()] if name == "partial_label_masking" else []


def _arguments(name: str) -> list[str]:
    return list(inspect.signature(LOSSES[name][1]).parameters) if name in LOSSES else []


def _check_options(name: str | None, options: Mapping[str, Any]) -> None:
    """Refuse options that the loss does not have."""
    if name is None and options:
        raise ValueError(f"options belong to a named loss. Received: {sorted(options)} and no name.")
    known = [key for key in _arguments(name) if key not in _COUNTS + _COMMON] if name else []
    for option in options:
        if option not in known:
            raise ValueError(
                f"loss {name!r} has {'the options ' + ', '.join(known) if known else 'no options'}."
                f"{nearest(option, known)} Received: {option!r}."
            )


def _frequencies(name: str, head: str, counts: Mapping[str, ClassCounts]) -> dict[str, Any]:
    """The arguments of a loss that say how frequent the classes of a head are; none if it does not depend on them."""
    if not needs_counts(name):
        return {}
    if head not in counts:
        raise ValueError(
            f"loss {name!r} needs the class frequencies of head {head!r}. Received: those of {sorted(counts)}. "
            "Give records to count, counts=class_counts(records, split), or take a loss without class frequencies."
        )
    return {"positives": counts[head].positives, "rows": counts[head].rows}
