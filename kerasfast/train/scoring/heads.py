"""Which heads are scored, and whether the data has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from kerasfast.data.errors import DataError

if TYPE_CHECKING:
    from kerasfast.models.classifier import VideoClassifier
    from kerasfast.models.heads import Head


def chosen_heads(model: VideoClassifier, names: Sequence[str] | None) -> dict[str, Head]:
    """The heads of a model by these names, or all of them.

    Raises:
        ValueError: The model has no such head.
    """
    unknown = set(names or ()) - set(model.heads)
    if unknown:
        raise ValueError(f"heads must be among {', '.join(model.heads)}. Received: {', '.join(sorted(unknown))}.")
    return {name: model.heads[name] for name in (names or model.heads)}


def check_heads(model: Mapping[str, int], records: Mapping[str, int], where: str) -> None:
    """Refuse heads that the records do not have, or have with another number of classes.

    Raises:
        ValueError: Names the head and both numbers.
    """
    for name, classes in model.items():
        if records.get(name) != classes:
            found = f"{records[name]} classes" if name in records else "no such head"
            raise ValueError(
                f"Head {name!r} of the model has {classes} classes; the records in {where} have {found} "
                f"({', '.join(f'{key}: {value}' for key, value in records.items())}). "
                "Build the model with heads that fit the records, or give the records of its data."
            )


def check_labelled(videos: int, counts: Mapping[str, Sequence[int]], heads: Sequence[str], where: str) -> None:
    """Refuse a split that nothing can be measured on, before its videos are scored.

    Args:
        videos: Videos of the split.
        counts: Videos with each class, by head, as a manifest lists them.
        heads: Heads that are scored.
        where: What holds the split, for the message.

    Raises:
        DataError: There is no video, or none with a label of a head.
    """
    if not videos:
        raise DataError(f"{where}: holds no video, so that nothing can be scored. Give a split with videos.")
    for head in heads:
        if not any(counts[head]):
            raise DataError(
                f"{where}: none of its {videos:,} videos has a label of head {head!r}; average precision needs one. "
                "Give a split with labels, or build the records from annotations that have them."
            )
