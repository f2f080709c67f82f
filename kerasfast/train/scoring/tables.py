"""Tables of an evaluation as CSV files: one row a class, and the confusion matrix."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from kerasfast.data.files import write_text
from kerasfast.train.scoring.report import HeadReport

COLUMNS = ("class", "positives", "ap", "chance", "precision", "recall", "f1", "threshold")


def write_class_table(path: str | Path, report: HeadReport, names: Sequence[str]) -> None:
    """Write one row a class: positives, AP, its chance level, precision, recall, F1 and threshold.

    A figure that is undefined is empty: all of a class without positives, the threshold of a softmax head.

    Args:
        path: CSV file to write.
        report: Figures of the head.
        names: Class names.
    """
    result, decisions, classes = report.result, report.decisions, len(names)
    limits = np.full(classes, np.nan) if report.thresholds is None else report.thresholds
    figures = (result.ap, result.class_chance, decisions.precision, decisions.recall, decisions.f1, limits)
    rows = (
        (names[c], int(result.positives[c]), *("" if np.isnan(values[c]) else float(values[c]) for values in figures))
        for c in range(classes)
    )
    _write_csv(Path(path), COLUMNS, rows)


def write_confusion_table(path: str | Path, confusion: np.ndarray, names: Sequence[str]) -> None:
    """Write a confusion matrix: one row a true class, one column a predicted class.

    Args:
        path: CSV file to write.
        confusion: `(classes, classes)` counts.
        names: Class names.
    """
    rows = ((name, *map(int, row)) for name, row in zip(names, confusion, strict=True))
    _write_csv(Path(path), ("true class", *names), rows)


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_text(path, text.getvalue())
