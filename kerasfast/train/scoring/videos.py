"""Scores of the videos of a split: every view through the model, merged by video."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasfast.data.records.read import read_manifest
from kerasfast.train.scoring.forecast import Forecast, time_steps
from kerasfast.train.scoring.heads import chosen_heads
from kerasfast.train.scoring.same_views import SameViews
from kerasfast.train.views import ViewMerger, merge_rules

if TYPE_CHECKING:
    from kerasfast.models.classifier import VideoClassifier


def score_videos(
    model: VideoClassifier,
    records: str | Path,
    *,
    clips: int = 10,
    crops: int = 3,
    merge: str | Mapping[str, str] | None = None,
    split: str = "test",
    batch_size: int = 16,
    crop_size: int | None = None,
    heads: Sequence[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
    announce: Callable[[Forecast], None] | None = None,
) -> dict[str, np.ndarray]:
    """Merge the probabilities of all views of each video; arguments and errors as in `evaluate`.

    Returns:
        Per head float64 `(videos, classes)`, rows as in the manifest and in `kerasfast.data.video_labels`.
    """
    from kerasfast.data.pipeline.reading import named_damage
    from kerasfast.data.pipeline.testing import testing_views

    side = crop_size or model.variant.test_crop_size
    manifest = read_manifest(records, split)
    videos, views = len(manifest.videos), clips * crops
    scored = chosen_heads(model, heads)
    sizes = {name: head.classes for name, head in scored.items()}
    merger = ViewMerger(sizes, videos, views, merge_rules(model.heads, merge, scored))
    # Weights of Something-Something see frames of the whole video: clips of one differ if it has a frame for each.
    whole = model.sampling == "video"
    shortest = clips * model.clip.frames if whole else model.clip.span
    longer = np.array([clips > 1 and video["frames"] > shortest for video in manifest.videos])
    same_views = SameViews(sizes, longer, crops)
    batches = testing_views(
        records,
        model.clip,
        clips,
        crops,
        crop_size=side,
        short_side=side,
        strategy="uniform" if whole else "dense",
        split=split,
        batch_size=batch_size,
    )

    def scores_of(batch: Any) -> dict[str, np.ndarray]:
        given = model.predict_on_batch(batch[0])
        return {head: np.asarray(given[head]) for head in scored}

    done, total = 0, videos * views
    with named_damage(records, split):
        if announce is not None:
            announce(Forecast(views, videos, time_steps(scores_of, batches, -(-total // batch_size))))
        for batch in batches:
            scores, (frames, video, view) = scores_of(batch), map(np.asarray, batch)
            merger.add(scores, video, view)
            same_views.add(scores, frames, video, view)
            done += len(video)
            if progress is not None:
                progress(done, total)
    merged = merger.result()
    same_views.check()
    return merged
