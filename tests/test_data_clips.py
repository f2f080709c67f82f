import numpy as np
import pytest

from kerasfast.data import clips
from kerasfast.data.clips import ClipSpec, Resampler, clip_indices, kinetics_indices, resample_indices


def nearest_frames(times, fps, length):
    """For each output frame the nearest source frame by exhaustive search, ties to the earlier."""
    return [int(np.argmin(np.round(np.abs(np.array(times) - j / fps), 9))) for j in range(length)]


def test_span_and_seconds():
    clip = ClipSpec(frames=32, stride=2, fps=24.0)
    assert clip.span == 63
    assert clip.seconds == 63 / 24


@pytest.mark.parametrize("field", [{"frames": 0}, {"stride": -1}, {"fps": 0.0}, {"frames": 8.5}])
def test_clip_spec_names_the_bad_field(field):
    name = next(iter(field))
    with pytest.raises(ValueError, match=rf"ClipSpec\.{name} must be positive.*Received: {name}="):
        ClipSpec(**{"frames": 8, "stride": 2} | field)


def test_clip_indices_are_every_stride_th_frame():
    assert clip_indices(5, ClipSpec(4, 3), length=100).tolist() == [5, 8, 11, 14]


def test_clip_indices_repeat_the_last_frame_of_a_short_video():
    assert clip_indices(0, ClipSpec(6, 2), length=7).tolist() == [0, 2, 4, 6, 6, 6]
    assert clip_indices(-3, ClipSpec(4, 2), length=9).tolist() == [0, 0, 1, 3]


def test_test_starts_follow_the_formula():
    clip = ClipSpec(64, 2, 24)  # span 127; room 720 - 127 = 593, a step of 65.89
    assert clips.test_starts(720, clip, 10).tolist() == [0, 66, 132, 198, 264, 329, 395, 461, 527, 593]
    assert clips.test_starts(720, clip, 1).tolist() == [296]
    assert clips.test_starts(100, clip, 3).tolist() == [0, 0, 0]


def test_test_starts_end_with_the_video():
    clip = ClipSpec(8, 2)
    for length in range(1, 60):
        starts = clips.test_starts(length, clip, 10)
        assert starts[0] == 0
        assert starts[-1] == max(length - clip.span, 0)
        assert (np.diff(starts) >= 0).all()


def test_kinetics_indices_span_frames_times_stride():
    # At 30 fps a 32 x 2 clip covers 64 frames, 0 .. 63: trunc(linspace(0, 63, 32)).
    found = kinetics_indices(0, ClipSpec(32, 2), source_fps=30, length=300)
    assert found[:4].tolist() == [0, 2, 4, 6]
    assert found[-3:].tolist() == [58, 60, 63]
    # At 15 fps half as many: linspace(10, 41, 32) is every frame.
    assert kinetics_indices(10, ClipSpec(32, 2), 15, 300).tolist() == list(range(10, 42))
    assert kinetics_indices(290, ClipSpec(4, 8), 30, 300).tolist() == [290, 299, 299, 299]


@pytest.mark.parametrize("length", [0, -1])
def test_a_video_has_a_frame(length):
    for call in (
        lambda: clip_indices(0, ClipSpec(4, 2), length),
        lambda: clips.test_starts(length, ClipSpec(4, 2)),
        lambda: kinetics_indices(0, ClipSpec(4, 2), 30, length),
        lambda: resample_indices(30, length, 24),
    ):
        with pytest.raises(ValueError, match="at least one frame"):
            call()


@pytest.mark.parametrize(
    ("source", "fps"), [(30, 24), (24, 24), (25, 24), (6, 24), (30000 / 1001, 24), (24, 30), (59, 7)]
)
def test_resampling_shows_the_nearest_frame(source, fps):
    count = 83
    found = resample_indices(source, count, fps)
    assert len(found) == round(count / source * fps)
    assert found.tolist() == nearest_frames(np.arange(count) / source, fps, len(found))


def test_resampling_tie_goes_to_the_earlier_frame():
    # 30 -> 24: output 2 lies at source 2.5, output 6 at 7.5.
    assert resample_indices(30, 10, 24).tolist() == [0, 1, 2, 4, 5, 6, 7, 9]


def test_resampler_follows_uneven_times():
    ticks, end, fps = [0, 400, 900, 1000, 2500], 3000, 10
    resampler = Resampler(fps, clips.Fraction(1, 1000))
    repeats = [*[resampler.push(tick) for tick in ticks][1:], resampler.finish(end)]
    found = np.repeat(np.arange(len(ticks)), repeats)
    assert len(found) == 30
    assert found.tolist() == nearest_frames(np.array(ticks) / 1000, fps, 30)


def test_a_single_frame_is_shown_at_least_once():
    assert resample_indices(30, 1, 1).tolist() == [0]
