"""The scores and labels behind the figures of `metrics.json`, in `metrics.npz` beside it. NumPy only."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class ScoredVideos:
    """Every video of a split with what a model said of it and what it was labelled.

    Args:
        ids: Of the videos.
        classes: Class names by head.
        scores: `(videos, classes)` by head, merged over the views of a video.
        labels: uint8 `(videos, classes)` by head, 0 or 1.
        implied: For each head that another implies, the index of its class for each class of that one, as in
            `kerasfast.data.labels.LabelSpace`.

    Raises:
        ValueError: The arrays do not fit together.
    """

    ids: tuple[str, ...]
    classes: Mapping[str, tuple[str, ...]]
    scores: Mapping[str, np.ndarray]
    labels: Mapping[str, np.ndarray]
    implied: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for head, names in self.classes.items():
            shape = (len(self.ids), len(names))
            if self.scores[head].shape != shape or self.labels[head].shape != shape:
                raise ValueError(
                    f"Scores and labels of {head!r} must have the shape {shape}, videos and classes. Received: "
                    f"{self.scores[head].shape} and {self.labels[head].shape}."
                )

    def save(self, path: str | Path) -> None:
        """Write a compressed `.npz`, which appears only once it is whole.

        It holds `ids`, by head `classes/HEAD`, `scores/HEAD` and `labels/HEAD`, and `implied/HEAD` where a head is.
        """
        path = Path(path)
        arrays = {"ids": np.array(self.ids, str)}
        for head, names in self.classes.items():
            arrays[f"classes/{head}"] = np.array(names, str)
            arrays[f"scores/{head}"] = self.scores[head]
            arrays[f"labels/{head}"] = self.labels[head].astype(np.uint8)
        arrays |= {f"implied/{head}": np.array(index, np.int64) for head, index in self.implied.items()}
        partial = path.with_name(path.name + ".partial")
        try:
            with partial.open("wb") as file:
                np.savez_compressed(file, **arrays)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: str | Path) -> ScoredVideos:
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: The file is damaged or of something else.
        """
        try:
            with Path(path).open("rb") as opened:  # np.load leaves a damaged file open
                arrays = dict(np.load(opened, allow_pickle=False))
            heads = [name.removeprefix("classes/") for name in arrays if name.startswith("classes/")]
            implied = {name.removeprefix("implied/"): name for name in arrays if name.startswith("implied/")}
            if not heads:
                raise KeyError("classes/HEAD")
            return cls(
                ids=tuple(arrays["ids"].tolist()),
                classes={head: tuple(arrays[f"classes/{head}"].tolist()) for head in heads},
                scores={head: arrays[f"scores/{head}"] for head in heads},
                labels={head: arrays[f"labels/{head}"] for head in heads},
                implied={head: tuple(arrays[name].tolist()) for head, name in implied.items()},
            )
        except FileNotFoundError:
            raise
        except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise ValueError(
                f"{path} does not hold scored videos ({error}). Run `kerasfast evaluate` again."
            ) from error


def scores_file(metrics: str | Path) -> Path:
    """The file of scored videos beside a file of metrics: `metrics.npz` beside `metrics.json`."""
    return Path(metrics).with_suffix(".npz")


def implied_classes(
    implied: Mapping[str, Sequence[int]], annotated: Sequence[str], heads: Mapping[str, int]
) -> dict[str, tuple[int, ...]]:
    """What heads imply each other, if all that it takes are scored.

    Args:
        implied: `LabelSpace.implied`.
        annotated: `LabelSpace.annotated`.
        heads: Heads that are scored, with their classes.
    """
    if not set(annotated) <= set(heads):
        return {}
    return {head: tuple(map(int, index)) for head, index in implied.items() if head in heads}
