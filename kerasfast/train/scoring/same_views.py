"""Finds a pipeline that shows a model the same view of a video again and again."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

# Float32 sums of one clip differ by their place in a batch; scores of two clips differ by far more.
_TOLERANCE = 1e-6


class SameViews:
    """Watches whether the clips of a video get different scores.

    Ten views that are one and the same still give a mAP, only that of one view, and no figure tells. The same scores
    for all clips are right where the clips are the same: where the video is not longer than a clip, or stands still.
    Crops are not compared, since those of a square picture are the same.

    Args:
        sizes: Classes per head.
        longer: Whether each video is longer than a clip, so that its clips begin at different frames, `(videos,)`.
        crops: Crops of a clip; view index = crops * clip + crop.
    """

    def __init__(self, sizes: Mapping[str, int], longer: np.ndarray, crops: int) -> None:
        self.longer, self.crops = np.asarray(longer, bool), crops
        videos = len(self.longer)
        self.moving = np.zeros(videos, bool)
        self.low = {head: np.full((videos, size), np.inf, np.float32) for head, size in sizes.items()}
        self.high = {head: np.full((videos, size), -np.inf, np.float32) for head, size in sizes.items()}

    def add(self, scores: Mapping[str, np.ndarray], frames: np.ndarray, video: np.ndarray, view: np.ndarray) -> None:
        """Take in a batch.

        Args:
            scores: `(batch, classes)` per head.
            frames: `(batch, T, H, W, 3)`.
            video: Index of the video of each row, `(batch,)`.
            view: Index of the view of each row, `(batch,)`.
        """
        rows = np.flatnonzero(np.asarray(view) % self.crops == 0)  # the first crop of each clip
        for row in rows:
            self.moving[video[row]] |= bool((frames[row, 0] != frames[row, -1]).any())
        for head in self.low:
            values = np.asarray(scores[head])[rows]
            np.minimum.at(self.low[head], video[rows], values)
            np.maximum.at(self.high[head], video[rows], values)

    def check(self) -> None:
        """Refuse scores of clips that do not differ.

        Scores that are the same for all videos pass: the model ignores its input then, which is another fault with a
        message of its own.

        Raises:
            ValueError: More than half of the videos that move and are longer than a clip have the same scores in all
                clips.
        """
        watched = self.longer & self.moving
        same = watched.copy()
        for head, low in self.low.items():
            same &= (self.high[head] - low <= _TOLERANCE * np.abs(self.high[head])).all(axis=1)
        all_alike = all((high == high[:1]).all() for high in self.high.values())
        if same.sum() * 2 > watched.sum() and not (len(same) > 1 and all_alike):
            raise ValueError(
                f"The clips of a video must be different views of it. Received: the same scores for all clips of "
                f"{int(same.sum()):,} of the {int(watched.sum()):,} videos that move and are longer than a clip, the "
                f"first is video {int(np.flatnonzero(same)[0])}. One view is shown again and again: build the records "
                "again, and check what stands between them and the model."
            )
