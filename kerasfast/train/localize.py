"""The localisation task of Charades: scores of clips around 25 frames of every video, and their frame-level mAP."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasfast.data.annotations import VideoRow
from kerasfast.data.clips import clip_indices
from kerasfast.data.labels import LabelSpace
from kerasfast.data.pictures import PictureSource
from kerasfast.data.sources import open_source
from kerasfast.data.views import check_crops, crops_of
from kerasfast.train.scoring.decisions import head_thresholds
from kerasfast.train.scoring.files import write_files
from kerasfast.train.scoring.forecast import Forecast, ScoringClock, time_steps
from kerasfast.train.scoring.heads import check_heads, check_labelled, chosen_heads
from kerasfast.train.scoring.localization import FRAMES, frame_labels, frame_times
from kerasfast.train.scoring.report import report_heads, summary
from kerasfast.train.scoring.result import described, finished
from kerasfast.train.scoring.rows import check_rows
from kerasfast.train.scoring.same_views import SameViews
from kerasfast.train.views import merge_rules

if TYPE_CHECKING:
    from kerasfast.models.classifier import VideoClassifier


def localize(
    model: VideoClassifier,
    rows: Sequence[VideoRow],
    videos: Mapping[str, Path | str],
    labels: LabelSpace,
    *,
    crops: int = 1,
    heads: Sequence[str] | None = None,
    batch_size: int = 16,
    thresholds: float | Mapping[str, Any] = 0.5,
    resamples: int = 0,
    scores: Mapping[str, np.ndarray] | None = None,
    out: str | Path | None = None,
    files: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    announce: Callable[[Forecast], None] | None = None,
) -> dict[str, Any]:
    """Score a model on the frames of videos, by the rule of `Charades_v1_localize.m`.

    Clips are read from the video files: records in the layout of a test hold the ten clips of the other task.

    Args:
        model: A model of clips whose scored heads are among those of `labels`.
        rows: Annotated videos with their lengths, as `read_charades_csv` gives them.
        videos: Video file, or folder of frames, of each by id.
        labels: The classes.
        crops: Crops of a clip: 1 (centre) or 3, merged by the rule of each head.
        heads: Heads to score; None: all.
        batch_size: Views of a step.
        thresholds: As in `kerasfast.evaluate`.
        resamples: As in `kerasfast.evaluate`; none by default, since there are 25 times as many rows.
        scores: What `score_frames` gave, so that nothing is scored twice.
        out: File to write the result to.
        files: Folder to write tables and submission files to.
        progress: Called after each video with the videos done and the videos in all.
        announce: Called once, before the videos are scored, with a forecast of the time that they will take.

    Returns:
        As `kerasfast.evaluate`; the rows behind every figure are frames.

    Raises:
        ValueError: As in `kerasfast.evaluate`, or a model whose views are whole videos.
        DataError: A video cannot be decoded; names it. Or no video has a label.
    """
    begin = time.perf_counter()
    scored = chosen_heads(model, heads)
    sizes = {name: head.classes for name, head in scored.items()}
    check_heads(sizes, labels.sizes, "the annotations")
    targets = frame_labels(rows, labels) if rows else {}
    counts = {head: target.any(axis=1).sum(axis=0).tolist() for head, target in targets.items()}
    check_labelled(len(rows), counts, list(scored), "The annotations")
    head_thresholds(thresholds, sizes)
    clock = ScoringClock(announce)
    if scores is None:
        scores = score_frames(
            model,
            rows,
            videos,
            crops=crops,
            heads=heads,
            batch_size=batch_size,
            progress=progress,
            announce=clock.start,
        )
        clock.stop()
    scores = check_rows(scores, sizes, len(rows), FRAMES)
    reports = report_heads(
        targets,
        scores,
        softmax={name: head.activation == "softmax" for name, head in scored.items()},
        rule="charades_localize",
        thresholds=thresholds,
        resamples=resamples,
    )
    metrics = summary(reports, labels.heads)
    metrics = described(
        metrics,
        model,
        name="localize",
        clips=FRAMES,
        crops=crops,
        merge=merge_rules(scored),
        videos=len(rows),
        rule="charades_localize",
    )
    if files is not None:
        write_files(files, reports, labels.heads, [row.id for row in rows], scores)
    return finished(metrics, clock, begin, out)


def score_frames(
    model: VideoClassifier,
    rows: Sequence[VideoRow],
    videos: Mapping[str, Path | str],
    *,
    crops: int = 1,
    heads: Sequence[str] | None = None,
    batch_size: int = 16,
    progress: Callable[[int, int], None] | None = None,
    announce: Callable[[Forecast], None] | None = None,
) -> dict[str, np.ndarray]:
    """Scores of the clips that are centred on the frames; arguments and errors as in `localize`.

    A clip that reaches past the video repeats its first or last frame.

    Returns:
        Per head float64 `(videos, 25, classes)`.
    """
    check_crops(crops)
    if model.sampling == "video":
        raise ValueError(
            f"Localisation needs a model that sees clips. Received: {model.name}, whose weights see frames of a whole "
            "video in one view."
        )
    scored = chosen_heads(model, heads)
    rules = merge_rules(scored)
    sizes = {name: head.classes for name, head in scored.items()}
    found = {head: np.empty((len(rows), FRAMES, size)) for head, size in sizes.items()}
    longer = np.array([(row.length_seconds or 0) > model.clip.seconds for row in rows])
    same_views = SameViews(sizes, longer, crops)

    def score(number: int) -> None:
        """Fill in the scores of one video."""
        views: dict[str, list[np.ndarray]] = {head: [] for head in scored}
        place = 0
        for frames in _batches(model, rows[number], videos[rows[number].id], crops, batch_size):
            given = model.predict_on_batch(frames)
            scores = {head: np.asarray(given[head], np.float64) for head in scored}
            view = np.arange(place, place := place + len(frames))
            same_views.add(scores, frames, np.full(len(view), number), view)
            for head, values in scores.items():
                views[head].append(values)
        for head, values in views.items():
            crops_of = np.concatenate(values).reshape(FRAMES, crops, -1)
            found[head][number] = crops_of.max(axis=1) if rules[head] == "max" else crops_of.mean(axis=1)
            if np.isnan(found[head][number]).any():
                raise ValueError(
                    f"Scores must be numbers. Received: NaN from head {head!r} for video {rows[number].id!r}. The "
                    "weights have diverged or are not those of this model."
                )

    if announce is not None:
        announce(Forecast(FRAMES * crops, len(rows), time_steps(score, range(len(rows)), len(rows), limit=2)))
    for number in range(len(rows)):
        score(number)
        if progress is not None:
            progress(number + 1, len(rows))
    same_views.check()
    return found


def centred_starts(length_seconds: float, clip: Any, frames: int = FRAMES) -> np.ndarray:
    """First frames, counted at `clip.fps`, of the clips whose middle is at each moment; may lie before the video.

    Args:
        length_seconds: Length of the video.
        clip: The `ClipSpec`.
        frames: Moments of a video.
    """
    return np.rint(frame_times(length_seconds, frames) * clip.fps).astype(np.int64) - clip.span // 2


def _batches(
    model: VideoClassifier, row: VideoRow, path: Path | str, crops: int, batch_size: int
) -> Iterator[np.ndarray]:
    """Views of one video, uint8 `(batch, T, S, S, 3)`: the crops of the first moment, of the second, and so on."""
    waiting: list[np.ndarray] = []
    with open_source(path) as video:
        for frames in _clips(model, row, video):
            waiting += list(crops_of(frames, crops, model.variant.test_crop_size))
            while len(waiting) >= batch_size:
                yield np.stack(waiting[:batch_size])
                del waiting[:batch_size]
    if waiting:
        yield np.stack(waiting)


def _clips(model: VideoClassifier, row: VideoRow, video: PictureSource) -> Iterator[Any]:
    """The scaled clips in time order, uint8 `(T, H, W, 3)`; only frames that a clip still needs are kept."""
    clip = model.clip
    length = video.announced_length(clip.fps)
    starts = centred_starts(row.length_seconds or length / clip.fps, clip)
    wanted = [clip_indices(int(start), clip, length) for start in starts]
    kept: dict[int, Any] = {}
    done, last = 0, 0
    needed = set(np.concatenate(wanted).tolist())
    for index, frame in video.frames(clip.fps, model.variant.test_crop_size, needed.__contains__):
        kept[index] = frame
        last = index
        while done < len(wanted) and wanted[done][-1] <= index:
            yield np.stack([kept[int(at)] for at in wanted[done]])
            done += 1
            if done < len(wanted):
                kept = {at: picture for at, picture in kept.items() if at >= wanted[done][0]}
    for at in wanted[done:]:  # the header may promise a frame more than there is
        yield np.stack([kept[min(int(place), last)] for place in at])
