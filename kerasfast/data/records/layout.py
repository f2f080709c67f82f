"""Which stretches of a video are stored, and in which round of the training records. NumPy only.

Training. A video of L frames has L - span + 1 clips. Its starts are divided equally over n segments, each of
which holds the frames of all its clips, so neighbours overlap by one span. A uniform choice of a segment and
then of a start inside it is therefore uniform over the video. Round r holds one segment of every video:
segment `order[r % n]` in an order drawn for each video. Frames are stored at a stride s; a segment of a video
with fewer segments than rounds comes back in round r + n with its next phase: the frames start + phase,
start + phase + s, ..., so the rounds between them hold every clip.

Test. A record holds one test clip.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kerasfast.data.annotations import Segment
from kerasfast.data.clips import ClipSpec, test_starts


@dataclass(frozen=True)
class StoredClip:
    """A stretch of frames that is stored in one or more places.

    Args:
        indices: Frames stored, counted at the clip's rate, increasing.
        phase: Offset of the first frame from the start of its segment (0 for test clips).
        places: Rounds that hold it (training), or the index of the test clip, alone.
    """

    indices: tuple[int, ...]
    phase: int
    places: tuple[int, ...]


def segments_needed(length: int, clip: ClipSpec, segment_spans: float) -> int:
    """Segments of at most `segment_spans` spans that a video of `length` frames needs."""
    starts = max(length - clip.span, 0) + 1
    return math.ceil(starts / (int((segment_spans - 1) * clip.span) + 1))


def training_segments(
    length: int, clip: ClipSpec, stride: int, segment_spans: float, rounds: int, seed: tuple[int, ...]
) -> list[StoredClip]:
    """The stored segments of a training video.

    Args:
        length: Frames of the video at `clip.fps`.
        clip: The longest clip to be cut from them.
        stride: Distance of stored frames; divides `clip.stride`.
        segment_spans: Longest segment, in spans of the clip. A video that would need more segments than there
            are rounds gets `rounds` longer ones, so every clip is stored whatever the rounds.
        rounds: Number of rounds.
        seed: Seed of this video's order and phases.

    Returns:
        Distinct stretches with their rounds; together they are in each round exactly once.
    """
    starts = max(length - clip.span, 0) + 1
    count = min(segments_needed(length, clip, segment_spans), rounds)
    random = np.random.default_rng(seed)
    order = random.permutation(count)
    first_phases = random.integers(0, stride, count)
    places: dict[tuple[int, int], list[int]] = {}
    for place in range(rounds):
        segment = int(order[place % count])
        first, last = starts * segment // count, starts * (segment + 1) // count - 1
        phase = int(first_phases[segment] + place // count) % min(stride, last - first + 1)
        places.setdefault((segment, phase), []).append(place)
    stored = []
    for (segment, phase), rounds_of_it in places.items():
        first, last = starts * segment // count, starts * (segment + 1) // count - 1
        indices = _indices(first + phase, last + clip.span - 1, stride, length)
        stored.append(StoredClip(indices, phase, tuple(rounds_of_it)))
    return stored


def stored_test_clips(length: int, clip: ClipSpec, stride: int, clips: int) -> list[StoredClip]:
    """The test clips of a video of `length` frames, one stored stretch each."""
    return [
        StoredClip(_indices(int(start), int(start) + clip.span - 1, stride, length), 0, (number,))
        for number, start in enumerate(test_starts(length, clip, clips))
    ]


def labelled_frames(segment: Segment, fps: float) -> tuple[int, int]:
    """First and last frame that a timed action labels: those with start <= frame / fps <= end.

    The rule of PySlowFast's frame lists. The second number is below the first when no frame lies inside.
    """
    # The slack absorbs the rounding of decimal seconds, such as 0.7 * 30 = 20.999999999999996.
    return math.ceil(segment.start_seconds * fps - 1e-6), math.floor(segment.end_seconds * fps + 1e-6)


def _indices(first: int, last: int, stride: int, length: int) -> tuple[int, ...]:
    """Every stride-th frame from first to last; a stretch that runs out of the video ends with its last frame."""
    return tuple(np.unique(np.minimum(np.arange(first, last + 1, stride), length - 1)).tolist())
