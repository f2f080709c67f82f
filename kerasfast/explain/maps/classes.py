"""Heads and classes by name, as a person writes them."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kerasfast.models.heads import Head

_LISTED = 8  # names in a message; more would bury its point


def find_head(heads: Mapping[str, Head], wanted: str | None = None) -> str:
    """Name of the head that is meant.

    Args:
        heads: Those of the model.
        wanted: Its name; None: the only head, or `action` where there are several.

    Raises:
        ValueError: The model has no heads, none of that name, or several of which none is `action`.
    """
    if not heads:
        raise ValueError("The model returns features, which have no classes. Load it without features_only=True.")
    if wanted is None:
        wanted = next(iter(heads)) if len(heads) == 1 else "action"
    if wanted not in heads:
        near = difflib.get_close_matches(wanted, list(heads), n=1)
        raise ValueError(
            f"The model has no head {wanted!r}; its heads are {', '.join(heads)}. "
            + (f"Did you mean {near[0]!r}?" if near else "Give one of them.")
        )
    return wanted


def find_class(name: str, head: Head, wanted: str | int) -> int:
    """Index of the class that is meant.

    Args:
        name: Name of the head, for messages.
        head: The head, with the names of its classes.
        wanted: The class: its number from 0, its name in any case, or a part of the name that no other class has.

    Raises:
        ValueError: No class matches, with the nearest names; or several do, with a list of them.

    >>> from kerasfast.models.heads import Head
    >>> find_class("action", Head(2, labels=("Opening a door", "Closing a door")), "opening")
    0
    """
    labels = head.labels
    plain = None if labels is None else [_plain(label) for label in labels]
    if isinstance(wanted, str) and plain is not None:
        found = [index for index, label in enumerate(plain) if label == _plain(wanted)]
        if not found and not _is_number(wanted):
            found = [index for index, label in enumerate(plain) if _plain(wanted) in label]
        if len(found) == 1 and _plain(wanted):
            return found[0]
        if found:
            several = _several([f"{labels[index]!r} ({index})" for index in found])  # pyright: ignore[reportOptionalSubscript]
            raise ValueError(f"{len(found)} classes of {name!r} match {wanted!r}: {several}. Give one name or number.")
    if _is_number(wanted):
        if 0 <= int(wanted) < head.classes:
            return int(wanted)
        raise ValueError(f"The classes of {name!r} have the numbers 0 to {head.classes - 1}. Received: {wanted}.")
    if labels is None:
        raise ValueError(
            f"The head {name!r} has no class names. Received: {wanted!r}. Give a number from 0 to {head.classes - 1}."
        )
    raise ValueError(f"No class of {name!r} matches {wanted!r}. {_nearest(str(wanted), labels)}")


def _nearest(wanted: str, labels: Sequence[str]) -> str:
    """A sentence that suggests what may be meant."""
    plain = {_plain(label): label for label in labels}
    near = difflib.get_close_matches(_plain(wanted), list(plain), n=3, cutoff=0.5)
    if not near:  # no whole name is near: names that have one of its words, or nearly
        words = {word: label for label in reversed(labels) for word in _plain(label).split()}
        matches = [match for word in _plain(wanted).split() for match in difflib.get_close_matches(word, words, n=1)]
        near = list(dict.fromkeys(_plain(words[match]) for match in matches))[:3]
    if near:
        return f"Did you mean {' or '.join(repr(plain[label]) for label in near)}?"
    return f"There are {len(labels)} classes: {_several([repr(label) for label in labels])}."


def _several(names: Sequence[str]) -> str:
    rest = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {rest} more" if rest > 0 else "")


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()


def _is_number(wanted: str | int) -> bool:
    return isinstance(wanted, int) or wanted.strip().removeprefix("-").isdecimal()
