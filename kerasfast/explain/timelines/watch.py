"""A video looked at window by window, and what was seen so far at any time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kerasfast.data.errors import DataError
from kerasfast.decoding import class_names
from kerasfast.explain.sources import Source, is_camera, shown
from kerasfast.explain.timelines.segments import check_numbers, decisions, find_segments, seen_classes
from kerasfast.explain.timelines.timeline import Timeline
from kerasfast.train.predict import score_window, windows_of

if TYPE_CHECKING:
    from kerasfast.models.classifier import VideoClassifier
    from kerasfast.train.operating.points import OperatingPoints

TIMEOUT_SECONDS = 30.0  # without a sign of an address, pipe or camera


@dataclass(frozen=True, eq=False)
class WindowScores:
    """Scores of a window, without its pictures.

    Attributes:
        index: Number of the window, from 0; where some were skipped, the next has a higher number.
        start_seconds: When it begins, after the first frame of the video.
        end_seconds: When it ends.
        scores: Head name to `(classes,)` float32.
        damaged: Frames left out so far because they arrived damaged.
    """

    index: int
    start_seconds: float
    end_seconds: float
    scores: dict[str, np.ndarray]
    damaged: int = 0


class Watch:
    """A video, as it is looked at; iterating scores one window after the other.

    The iteration ends where the video does. If it breaks off, `ended` says where and why, unless nothing at all could
    be decoded. `timeline` may be asked for at any time: also after an iteration that was left early, as by Ctrl-C.

    Args:
        source: A file, pipe, address or camera.
        model: The model.
        points: Its operating points.
        every: Seconds from the start of a window to that of the next; None: its length.
        crops: Crops of a window, 1 or 3.
        threshold: As in `kerasfast.explain.timelines.segments.decisions`.
        live: Skip windows that the model is too slow for; None: for cameras alone.
        timeout: Seconds to wait for an address, pipe or camera that gives nothing; None: for ever.
        keep: Keep the scores of all windows for `timeline`, 1 kB a window at 228 classes; without, a source without end
            takes no memory.

    Raises:
        DataError: The source cannot be opened; in the iteration, nothing of it can be decoded.
        ValueError: An argument is out of its range; in the iteration, a score is NaN.
    """

    def __init__(
        self,
        source: Source,
        model: VideoClassifier,
        *,
        points: OperatingPoints | None = None,
        every: float | None = None,
        crops: int = 1,
        threshold: float | Mapping[str, float] | None = None,
        live: bool | None = None,
        timeout: float | None = TIMEOUT_SECONDS,
        keep: bool = True,
    ) -> None:
        self.ended: str | None = None
        self.windows = self.skipped = self.damaged = 0
        self.seconds = 0.0  # of the video that were looked at
        self._source, self._model, self._crops, self._keep = source, model, crops, keep
        self._live = is_camera(source) if live is None else live
        self._rules = decisions(model.heads, points, threshold)
        fitted = points is not None and any(rule is points.heads.get(head) for head, rule in self._rules.items())
        self._protocol = points.protocol if points is not None and fitted else None
        self._rows: list[tuple[float, float, tuple[np.ndarray, ...]]] = []
        self._windows = windows_of(model, source, every=every, crops=crops, live=live, ahead=True, timeout=timeout)

    def __iter__(self) -> Iterator[WindowScores]:
        try:
            for window in self._windows:
                scores = score_window(self._model, window.frames, self._crops)
                found = WindowScores(window.index, window.start_seconds, window.end_seconds, scores, window.damaged)
                del window  # its pictures go before the next ones come
                self._add(found)
                yield found
        except DataError as error:
            if not self.windows:
                raise
            self.ended = shown(f"Broke off after {self.seconds:.1f} seconds. {error}")
        if self._live and self.ended is None:
            self.ended = f"The live source gave nothing more after {self.seconds:.1f} seconds."

    def close(self) -> None:
        """Let go of the source, which the iteration does at its end."""
        close = getattr(self._windows, "close", None)
        if close is not None:
            close()

    def interrupt(self) -> None:
        """Note that the iteration was left early."""
        self.ended = f"Interrupted after {self.seconds:.1f} seconds."

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences that belong beside the result."""
        notes = []
        if self._protocol is not None:
            notes.append(
                f"Thresholds are the operating points of the run, fitted to whole videos of {self._protocol['clips']} "
                f"clips x {self._protocol['crops']} crops: the merged score of many views is not that of one window. "
                "Ask for one answer from these views, or give a threshold."
            )
        if self.skipped:
            notes.append(f"{_counted(self.skipped, 'window')} skipped to keep up with the source.")
        if self.damaged:
            notes.append(f"{_counted(self.damaged, 'damaged frame')} left out.")
        return tuple(notes)

    def timeline(self, top: int | None = None) -> Timeline:
        """What was seen so far.

        Args:
            top: Keep the segments of so many classes of each head; None: of all.
        """
        heads = self._model.heads
        starts, ends = (np.array([row[k] for row in self._rows], np.float64) for k in (0, 1))
        scores = {
            name: np.array([row[2][k] for row in self._rows], np.float32).reshape(-1, head.classes)
            for k, (name, head) in enumerate(heads.items())
        }
        labels = {name: class_names(head) for name, head in heads.items()}
        return Timeline(
            source=shown(self._source),
            model=self._model.name,
            starts=starts,
            ends=ends,
            scores=scores,
            labels=labels,
            thresholds={name: np.asarray(rule.thresholds, np.float64) for name, rule in self._rules.items()},
            segments=find_segments(starts, ends, scores, self._rules, labels, top),
            ended=self.ended,
            notes=self.notes,
            seen=seen_classes(scores, self._rules),
        )

    def _add(self, found: WindowScores) -> None:
        check_numbers(found.scores, self._model.name, f" at {found.start_seconds:.1f} seconds")
        if self._keep:  # in one step, so that an interrupt leaves whole rows
            row = tuple(np.asarray(found.scores[head], np.float32) for head in self._model.heads)
            self._rows.append((found.start_seconds, found.end_seconds, row))
        self.skipped = found.index - self.windows
        self.windows += 1
        self.damaged, self.seconds = found.damaged, found.end_seconds


def _counted(number: int, thing: str) -> str:
    return f"1 {thing} was" if number == 1 else f"{number} {thing}s were"
