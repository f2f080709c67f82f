"""Scores that come from outside: every video once, and in the order of the labels. NumPy only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

_SHOWN = 3  # ids in a message


def check_rows(
    scores: Mapping[str, np.ndarray], sizes: Mapping[str, int], videos: int, *inner: int
) -> dict[str, np.ndarray]:
    """Refuse scores that do not fit the videos or the heads.

    Args:
        scores: `(videos, classes)` by head; other heads may be there too.
        sizes: Classes of the heads that are scored.
        videos: Videos of the split.
        *inner: Axes between videos and classes, such as frames.

    Returns:
        The scores of these heads as arrays.

    Raises:
        ValueError: A head has no scores, or too few or too many rows or columns; names it.
    """
    found = {}
    for head, classes in sizes.items():
        if head not in scores:
            raise ValueError(f"scores must hold head {head!r}. Received: {', '.join(scores) or 'no head'}.")
        found[head] = np.asarray(scores[head])
        shape = found[head].shape
        if shape != (videos, *inner, classes):
            off = shape[0] - videos if shape[1:] == (*inner, classes) else 0
            problem = f": {abs(off)} {'missing' if off < 0 else 'doubled or of no video here'}" if off else ""
            raise ValueError(
                f"scores[{head!r}] must have one row for each of the {videos:,} videos, shape "
                f"{(videos, *inner, classes)}. Received: shape {shape}{problem}. Rows stand "
                "in the order of the videos; `align_rows` puts rows with ids into it."
            )
    return found


def align_rows(ids: Sequence[str], rows: np.ndarray, wanted: Sequence[str]) -> np.ndarray:
    """Bring rows into the order of the videos.

    Args:
        ids: The video of each row.
        rows: `(videos, ...)`.
        wanted: Ids of the videos in the order of the labels.

    Raises:
        ValueError: A row is missing, doubled or of an unknown video; names it.
    """
    if len(ids) != len(rows):
        raise ValueError(f"Every row needs an id. Received: {len(ids):,} ids for {len(rows):,} rows.")
    places: dict[str, int] = {}
    known = set(wanted)
    for place, name in enumerate(ids):
        if name not in known:
            raise ValueError(f"Row {place}: {name!r} is none of the {len(known):,} videos. Leave the row out.")
        if name in places:
            raise ValueError(f"Row {place}: video {name!r} has a row already, row {places[name]}. Keep one of the two.")
        places[name] = place
    if missing := [name for name in wanted if name not in places]:
        raise ValueError(f"{missing_text(missing, len(wanted))} has no row. Score every video once.")
    return np.asarray(rows)[[places[name] for name in wanted]]


def missing_text(missing: Sequence[str], videos: int) -> str:
    """The beginning of a sentence about videos without something."""
    if len(missing) == 1:
        return f"Video {missing[0]!r}"
    shown = ", ".join(map(repr, missing[:_SHOWN])) + (", ..." if len(missing) > _SHOWN else "")
    return f"Each of {len(missing):,} of {videos:,} videos ({shown})"
