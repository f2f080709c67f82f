"""Which record comes when: an epoch as a list of places in files, worked out before anything is read. NumPy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kerasfast.data.errors import DataError
from kerasfast.data.records.manifest import Manifest


@dataclass(frozen=True, eq=False)
class RecordTable:
    """Where the records of a split lie.

    Args:
        shards: int64 `(places, videos)`, number of the shard in the manifest; a place is a round of the training
            layout or a clip of the test layout, a column is a video in the order of the manifest.
        offsets: int64 `(places, videos)`, byte of the shard at which the record begins.
    """

    shards: np.ndarray
    offsets: np.ndarray

    @property
    def places(self) -> int:
        """Rounds or test clips."""
        return len(self.shards)

    @property
    def videos(self) -> int:
        """Videos that were stored."""
        return self.shards.shape[1]

    @classmethod
    def of(cls, manifest: Manifest) -> RecordTable:
        """The table of a manifest.

        Raises:
            DataError: A record is missing from it.
        """
        columns = {video["index"]: column for column, video in enumerate(manifest.videos)}
        options = manifest.options
        shape = (options.clips if options.layout == "test" else options.rounds, len(columns))
        shards, offsets = np.full(shape, -1, np.int64), np.zeros(shape, np.int64)
        seen = np.zeros(shape[1], np.int64)  # the clips of a video stand in their order
        for number, shard in enumerate(manifest.shards):
            for video, offset in zip(shard.videos, shard.offsets, strict=True):
                column = columns[video]
                place = seen[column] if options.layout == "test" else shard.round
                shards[place, column], offsets[place, column] = number, offset
                seen[column] += 1
        if (missing := np.argwhere(shards < 0)).size:
            place, column = missing[0]
            raise DataError(
                f"The manifest of split {manifest.split!r} must list every record. Received: none of video "
                f"{manifest.videos[column]['id']!r} in place {place}. Build the records again."
            )
        return cls(shards, offsets)


class EpochOrder:
    """The videos of an epoch in their order; a function of the seed and the number of the epoch.

    Args:
        videos: Number of videos, and of draws in an epoch.
        seed: Seed of every epoch.
        weights: For each video how often it is drawn, in any unit; by default each comes once.
    """

    def __init__(self, videos: int, seed: int, weights: np.ndarray | None = None) -> None:
        self._videos, self._seed = videos, seed
        self._bounds = None if weights is None else np.cumsum(weights / weights.sum())

    def __call__(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """The order of an epoch.

        Returns:
            int64 `(videos,)` columns of the `RecordTable`, and for each how often it came before in this epoch.
        """
        random = np.random.default_rng((self._seed, epoch))
        if self._bounds is None:
            return random.permutation(self._videos), np.zeros(self._videos, np.int64)
        # One point in each of equal steps: a video comes as often as its weight says, rounded up or down.
        points = (np.arange(self._videos) + random.random()) / self._videos
        drawn = np.minimum(np.searchsorted(self._bounds, points, side="right"), self._videos - 1)
        turns = np.arange(self._videos) - np.searchsorted(drawn, drawn)
        shuffled = random.permutation(self._videos)
        return drawn[shuffled], turns[shuffled]


class EpochRows:
    """Which records an epoch reads, and where they lie.

    Args:
        manifest: The records.
        order: The order of the videos.
        seed: Seed of what is drawn beside the order.
        taken: Positions in the order that are read, int64.
    """

    def __init__(self, manifest: Manifest, order: EpochOrder, seed: int, taken: np.ndarray) -> None:
        self._table, self._order, self._seed, self._taken = RecordTable.of(manifest), order, seed, taken
        self._is_test = manifest.options.layout == "test"

    def __call__(self, epoch: int) -> np.ndarray:
        """The records of an epoch.

        Returns:
            int64 `(records, 4)`: shard, byte of it, epoch, position in the epoch. Epochs take the rounds in turn, and a
            video that comes again within one takes the next; of test clips one is drawn.
        """
        videos, turns = self._order(epoch)
        if self._is_test:
            places = np.random.default_rng((self._seed, epoch, 1)).integers(0, self._table.places, len(videos))
        else:
            places = (epoch + turns) % self._table.places
        at = places[self._taken], videos[self._taken]
        return as_rows(self._table.shards[at], self._table.offsets[at], np.int64(epoch), self._taken)


def as_rows(*columns: np.ndarray) -> np.ndarray:
    """int64 columns side by side, for one tensor of rows."""
    return np.stack(np.broadcast_arrays(*columns), axis=-1).astype(np.int64)


def class_balance(manifest: Manifest, head: str) -> np.ndarray:
    """Weights by which every class of a head is drawn alike, then every video of it (Kang et al. 2020, section 3.1).

    A video of several classes is drawn for each of them; videos without one count as a class of their own.

    Args:
        manifest: The records.
        head: Head whose classes are balanced.

    Returns:
        float64 `(videos,)`, positive.

    Raises:
        ValueError: The records have no such head.
    """
    labels = manifest.labels
    if head not in labels.heads:
        raise ValueError(f"balanced must be a head of the records: {', '.join(labels.heads)}. Received: {head!r}.")
    targets = np.stack([labels.targets(video["actions"])[head] for video in manifest.videos]).astype(np.float64)
    targets = np.column_stack([targets, targets.sum(axis=1) == 0])
    return (targets / np.maximum(targets.sum(axis=0), 1)).sum(axis=1)


def share_of_worker(batches: int, batch_size: int, worker: tuple[int, int]) -> np.ndarray:
    """Positions in an epoch that a worker takes: in every batch of all workers together, its part.

    Args:
        batches: Whole batches of an epoch.
        batch_size: Positions of a batch of all workers, a multiple of their number.
        worker: Number of this worker, counted from 0, and number of workers.

    Returns:
        int64 `(batches * batch_size / workers,)`.
    """
    index, count = worker
    return np.arange(batches * batch_size).reshape(batches, count, batch_size // count)[:, index].ravel()
