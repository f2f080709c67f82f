"""How often each class occurs in what a model trains on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kerasfast.data.records.read import read_manifest


@dataclass(frozen=True)
class ClassCounts:
    """Frequencies of the classes of one head.

    Args:
        positives: For each class, the rows that have it.
        rows: All rows.

    Raises:
        ValueError: No class, no row, or more positives than rows.
    """

    positives: tuple[int, ...]
    rows: int

    def __post_init__(self) -> None:
        if self.rows < 1 or not self.positives:
            raise ValueError(
                "Class frequencies need at least one row and one class. "
                f"Received: rows={self.rows}, positives={self.positives}. Count over the training split."
            )
        if not 0 <= min(self.positives) <= max(self.positives) <= self.rows:
            raise ValueError(
                f"A class has between 0 and rows={self.rows} positives. Received: positives from "
                f"{min(self.positives)} to {max(self.positives)}. Count rows and positives over the same split."
            )

    def odds(self) -> np.ndarray:
        """Positives for each negative, float64 `(classes,)`.

        A class without positives counts as having one, and one without negatives likewise, so that none is 0 or
        infinite.
        """
        present = np.clip(self.positives, 1, max(self.rows - 1, 1))
        return present / np.maximum(self.rows - present, 1)


def class_counts(records: str | Path, split: str = "train") -> dict[str, ClassCounts]:
    """Count the videos of each class in the manifest of records.

    A video counts for the union of its actions. A clip shows part of them, so that a class is rarer among clips; its
    frequency relative to other classes is about the same.

    Args:
        records: Folder that `build_records` wrote, or an address such as `s3://bucket/records`.
        split: Name of the split that the model trains on.

    Returns:
        For each head the counts of its classes, `rows` being the videos.

    Raises:
        DataError: The records are missing or damaged; names the file.
    """
    manifest = read_manifest(records, split)
    rows = len(manifest.videos)
    return {head: ClassCounts(tuple(counts), rows) for head, counts in manifest.class_counts.items()}
