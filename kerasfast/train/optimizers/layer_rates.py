"""Factors of the learning rate for layers, by the beginning of their names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kerasfast.models.heads import HEAD_LAYERS
from kerasfast.models.variants import nearest

# Key for the network before embedding and heads, and what the paths of its variables begin with: pathways, lateral
# connections, and the layers around X3D's pooling, which come with its published weights.
BACKBONE = "backbone"
_BACKBONE_PATHS = ("slow_", "fast_", "lateral_", *(f"head_{layer}/" for layer in HEAD_LAYERS))


def rate_of(path: str, rates: Mapping[str, float]) -> float:
    """The factor of the learning rate of a variable.

    Args:
        path: `Variable.path`, which begins with the name of the layer: `slow_res2_block0_conv_a/kernel`.
        rates: Factors by what the path begins with; the longest key that fits counts, where none does the factor is 1.
            `backbone` stands for all layers before embedding and heads, and counts as the shortest key.

    >>> rates = {"backbone": 0.1, "slow_res5": 0.5}
    >>> [rate_of(f"{layer}/kernel", rates) for layer in ("fast_stem_conv", "slow_res5_block0_conv_a", "head_verb")]
    [0.1, 0.5, 1.0]
    """
    fitting = [key for key in rates if _fits(path, key)]
    return rates[max(fitting, key=lambda key: 0 if key == BACKBONE else len(key))] if fitting else 1.0


def check_rates(rates: Mapping[str, float], paths: Sequence[str]) -> None:
    """Refuse a key that fits none of the variables.

    Args:
        rates: As for `rate_of`.
        paths: `Variable.path` of everything that is trained.

    Raises:
        ValueError: Names the key and the layers that there are.
    """
    for key in rates:
        if not any(_fits(path, key) for path in paths):
            # A network has hundreds of layers: slow_res2_block0_conv_a is told as slow_res2.
            beginnings = dict.fromkeys("_".join(path.split("/")[0].split("_")[:2]) for path in paths)
            raise ValueError(
                "optimizer.rates must name layers that are trained, by the beginning of their names. "
                f"Received: {key!r}, which fits none.{nearest(key, [*beginnings, BACKBONE])} "
                f"There are: {', '.join(beginnings)}; {BACKBONE!r} stands for all before embedding and heads."
            )


def _fits(path: str, key: str) -> bool:
    return path.startswith(_BACKBONE_PATHS if key == BACKBONE else key)
