"""What the tables of a recipe share: errors that name the key."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any


def at_least(name: str, value: float, least: float) -> None:
    """Refuse a number below `least`.

    Raises:
        ValueError: Names the key.
    """
    if value < least:
        raise ValueError(f"{name} must be at least {least}. Received: {value}.")


def one_of(name: str, value: Any, choices: Collection[Any]) -> None:
    """Refuse a value that is none of `choices`.

    Raises:
        ValueError: Names the key.
    """
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}. Received: {value!r}.")
