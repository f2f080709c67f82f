"""Files in the formats that the official code of Charades reads: one line a video, or 25 lines a video.

`Charades_v1_classify.m` reads "id score_0 ... score_156", `Charades_v1_localize.m` "id frame score_0 ... score_156"
with frames from 1 to 25. Both give what is missing the score -inf; the readers here refuse it instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from kerasfast.data.errors import DataError
from kerasfast.data.files import write_text
from kerasfast.train.scoring.rows import missing_text

FRAMES = 25  # frames of a video in the localisation task


def write_classify(path: str | Path, ids: Sequence[str], scores: np.ndarray) -> None:
    """Write scores of whole videos.

    Args:
        path: File to write.
        ids: Ids of the videos.
        scores: `(videos, classes)`; written so that reading gives back the same numbers.

    Raises:
        ValueError: Ids that repeat or hold spaces, another number of rows, or scores that are not numbers.
    """
    _write(path, ids, np.asarray(scores)[:, np.newaxis], numbered=False)


def write_localize(path: str | Path, ids: Sequence[str], scores: np.ndarray) -> None:
    """Write scores of the frames of videos; arguments and errors as for `write_classify`.

    Args:
        path: File to write.
        ids: Ids of the videos.
        scores: `(videos, frames, classes)`.
    """
    _write(path, ids, np.asarray(scores), numbered=True)


def read_classify(path: str | Path, ids: Sequence[str], classes: int = 157) -> np.ndarray:
    """Read scores of whole videos, and refuse what is missing, doubled or unknown.

    Args:
        path: A file that `write_classify` wrote, or another program in this format; spaces or tabs part the fields.
        ids: The videos, in the order of the result.
        classes: Scores of a line.

    Returns:
        float64 `(videos, classes)`.

    Raises:
        DataError: The file cannot be read, or breaks the format; names the line, the video and what to do.
    """
    return _read(path, ids, classes, frames=None)[:, 0]


def read_localize(path: str | Path, ids: Sequence[str], classes: int = 157, frames: int = FRAMES) -> np.ndarray:
    """Read scores of the frames of videos; arguments and errors as for `read_classify`.

    Args:
        path: A file that `write_localize` wrote, or another program in this format.
        ids: The videos, in the order of the result.
        classes: Scores of a line.
        frames: Frames of a video, numbered from 1.

    Returns:
        float64 `(videos, frames, classes)`.
    """
    return _read(path, ids, classes, frames)


def _write(path: str | Path, ids: Sequence[str], scores: np.ndarray, numbered: bool) -> None:
    if scores.ndim != 3 or len(ids) != len(scores):
        raise ValueError(f"Every video needs its scores. Received: {len(ids)} ids, scores of shape {scores.shape}.")
    if len(set(ids)) != len(ids) or any(len(name.split()) != 1 for name in ids):
        raise ValueError("The ids of a submission must be distinct words. Received: ids that repeat or hold spaces.")
    if not np.isfinite(scores).all():
        row = int(np.argwhere(~np.isfinite(scores))[0][0])
        raise ValueError(f"scores must be numbers. Received: {ids[row]!r} with NaN or infinity. Score the video again.")
    lines = []
    for name, frames in zip(ids, scores.astype(np.float64).tolist(), strict=True):
        for number, values in enumerate(frames, start=1):
            head = f"{name} {number}" if numbered else name
            lines.append(f"{head} {' '.join(map(repr, values))}\n")
    write_text(Path(path), "".join(lines))


def _read(path: str | Path, ids: Sequence[str], classes: int, frames: int | None) -> np.ndarray:
    count = frames or 1
    rows = {name: row for row, name in enumerate(ids)}
    scores = np.empty((len(rows), count, classes))
    lines = np.zeros((len(rows), count), int)  # where each row was read, 0 for not yet
    for line, fields in _lines(Path(path)):
        where, name = f"{path}:{line}", fields[0]
        if name not in rows:
            raise DataError(f"{where}: {name!r} is none of the {len(rows):,} videos. Delete the line.")
        number = 1 if frames is None else _frame(fields[1:2], count, where)
        values = fields[1:] if frames is None else fields[2:]
        at = rows[name], number - 1
        if lines[at]:
            shown = f"video {name!r}" if frames is None else f"frame {number} of video {name!r}"
            raise DataError(f"{where}: {shown} has a line already, line {lines[at]}. Keep one of the two.")
        lines[at], scores[at] = line, _numbers(values, classes, where)
    if not lines.all():
        lacking = [name for name, row in rows.items() if not lines[row].all()]
        if frames is not None and lines[rows[lacking[0]]].any():
            number = int(np.flatnonzero(lines[rows[lacking[0]]] == 0)[0]) + 1
            raise DataError(f"{path}: frame {number} of video {lacking[0]!r} has no line. Score every frame once.")
        raise DataError(f"{path}: {missing_text(lacking, len(rows))} has no line. Score every video once.")
    return scores


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Number and fields of each line that is not empty."""
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                if fields := line.split():
                    yield number, fields
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as text ({error}). Give a file of one line a row.") from error


def _frame(fields: list[str], frames: int, where: str) -> int:
    text = fields[0] if fields else ""
    if not text.isdecimal() or not 1 <= int(text) <= frames:
        raise DataError(f"{where}: the second field must be a frame from 1 to {frames}. Received: {text!r}.")
    return int(text)


def _numbers(values: list[str], classes: int, where: str) -> np.ndarray:
    if len(values) != classes:
        raise DataError(f"{where}: {len(values)} scores, expected {classes}. Give one for each class.")
    try:
        numbers = np.array(values, np.float64)
    except ValueError as error:
        raise DataError(f"{where}: a score is no number ({error}). Write it as 0.25 or 2.5e-1.") from error
    if not np.isfinite(numbers).all():
        place = int(np.flatnonzero(~np.isfinite(numbers))[0])
        raise DataError(f"{where}: the score of class {place} is {values[place]}. Score the video again.")
    return numbers
