"""The folder of files that an evaluation leaves beside `metrics.json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from kerasfast.train.scoring.report import HeadReport
from kerasfast.train.scoring.submission import write_classify, write_localize
from kerasfast.train.scoring.tables import write_class_table, write_confusion_table


def write_files(
    folder: str | Path,
    reports: Mapping[str, HeadReport],
    names: Mapping[str, Sequence[str]],
    ids: Sequence[str],
    scores: Mapping[str, np.ndarray],
) -> None:
    """Write the tables and submission files of all heads.

    `classes-HEAD.csv` for every head; `confusion-HEAD.csv` and `.png` for softmax heads; for sigmoid heads
    `classify-HEAD.txt`, or `localize-HEAD.txt` where every frame has scores, in the formats of Charades.

    Args:
        folder: Folder to fill; made if it does not exist.
        reports: Figures by head.
        names: Class names by head.
        ids: Ids of the videos.
        scores: `(videos, classes)` or `(videos, frames, classes)` by head.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for head, report in reports.items():
        write_class_table(folder / f"classes-{head}.csv", report, names[head])
        if report.single is not None:
            from kerasfast.train.plots import confusion_matrix

            write_confusion_table(folder / f"confusion-{head}.csv", report.single.confusion, names[head])
            confusion_matrix(report.single.confusion, names[head], folder / f"confusion-{head}.png")
        elif scores[head].ndim == 3:
            write_localize(folder / f"localize-{head}.txt", ids, scores[head])
        else:
            write_classify(folder / f"classify-{head}.txt", ids, scores[head])
