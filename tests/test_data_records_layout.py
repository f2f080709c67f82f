from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from kerasfast.data.annotations import Segment
from kerasfast.data.clips import ClipSpec, clip_indices, test_starts
from kerasfast.data.records.layout import labelled_frames, segments_needed, stored_test_clips, training_segments

CLIP = ClipSpec(4, 6, 24)  # span 19


def clip_starts(stored, clip):
    """Where a clip can begin in a stored stretch: all its frames are there."""
    held = set(stored.indices)
    return [start for start in stored.indices if held.issuperset(range(start, start + clip.span, clip.stride))]


def by_round(segments, rounds):
    placed = {place: segment for segment in segments for place in segment.places}
    assert sum(len(segment.places) for segment in segments) == len(placed)
    assert sorted(placed) == list(range(rounds))
    return [placed[place] for place in range(rounds)]


@pytest.mark.parametrize("length", [19, 20, 60, 101, 250])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_every_clip_comes_equally_often(length, stride):
    count = segments_needed(length, CLIP, 2.0)
    segments = training_segments(length, CLIP, stride, 2.0, rounds=count * stride * 2, seed=(0, 0))
    starts = Counter()
    for segment in by_round(segments, count * stride * 2):
        assert len(segment.indices) * stride <= 2 * CLIP.span + stride
        found = clip_starts(segment, CLIP)
        assert len(found) >= 1
        starts.update(found)
    assert set(starts) == set(range(length - CLIP.span + 1))
    # A segment of fewer starts than phases shows some of them again; all others come exactly twice.
    if (length - CLIP.span + 1) // count >= stride:
        assert set(starts.values()) == {2}


def test_neighbours_overlap_by_a_span():
    segments = sorted(training_segments(200, CLIP, 1, 2.0, 10, (0, 0)), key=lambda segment: segment.indices)
    assert len(segments) == 10
    for left, right in pairwise(segments):
        assert left.indices[-1] - right.indices[0] + 1 == CLIP.span - 1
    assert segments[0].indices[0] == 0
    assert segments[-1].indices[-1] == 199


def test_few_rounds_make_longer_segments():
    segments = training_segments(200, CLIP, 1, 2.0, 3, (0, 0))
    assert sorted(start for segment in segments for start in clip_starts(segment, CLIP)) == list(range(182))
    (whole,) = training_segments(200, CLIP, 1, 2.0, 1, (0, 0))
    assert whole.indices == tuple(range(200))


def test_a_short_video_is_stored_whole_in_each_round():
    segments = training_segments(7, CLIP, 3, 2.0, 5, (0, 0))
    assert [segment.indices for segment in segments] == [(0, 3, 6)]
    assert segments[0].places == (0, 1, 2, 3, 4)
    assert training_segments(8, CLIP, 3, 2.0, 1, (0, 0))[0].indices == (0, 3, 6, 7)
    assert training_segments(1, CLIP, 3, 2.0, 1, (0, 0))[0].indices == (0,)


def test_order_and_phase_depend_on_the_seed():
    def layout(*seed):
        return [(s.indices[0], s.phase) for s in by_round(training_segments(300, CLIP, 2, 2.0, 16, seed), 16)]

    assert layout(0, 1) == layout(0, 1)
    assert len({tuple(layout(0, video)) for video in range(5)}) == 5
    assert layout(0, 1) != layout(1, 1)


def test_segments_needed():
    assert segments_needed(19, CLIP, 2.0) == 1
    assert segments_needed(38, CLIP, 2.0) == 1  # 20 starts in a segment of two spans
    assert segments_needed(39, CLIP, 2.0) == 2
    assert segments_needed(5, CLIP, 1.0) == 1
    assert segments_needed(10_000, CLIP, 1e9) == 1


@pytest.mark.parametrize("length", [1, 7, 19, 26, 300])
def test_test_clips_hold_the_frames_of_the_reference(length):
    stored = stored_test_clips(length, CLIP, CLIP.stride, 10)
    assert [clip.places for clip in stored] == [(number,) for number in range(10)]
    for clip, start in zip(stored, test_starts(length, CLIP, 10), strict=True):
        assert list(clip.indices) == sorted(set(clip_indices(int(start), CLIP, length).tolist()))


@pytest.mark.parametrize(("start", "end"), [(0.0, 1.0), (0.7, 0.9), (0.71, 0.72), (2.3, 2.3001), (11.9, 21.2)])
@pytest.mark.parametrize("fps", [24.0, 30.0])
def test_labelled_frames_lie_inside_the_segment(start, end, fps):
    first, last = labelled_frames(Segment(0, start, end), fps)
    frames = np.arange(0, 700)
    inside = frames[(frames / fps >= start - 1e-9) & (frames / fps <= end + 1e-9)]
    assert list(range(first, last + 1)) == inside.tolist()
