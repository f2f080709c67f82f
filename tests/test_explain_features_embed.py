"""Features of the windows of a video: that they are the model's, of those frames, to the end or where it breaks off."""

import numpy as np
import pytest

import kerasfast as kf
from kerasfast.data.errors import DataError
from kerasfast.data.video import read_video
from kerasfast.data.video_writer import write_video
from kerasfast.explain.features import embed as module


@pytest.fixture(scope="module")
def model():
    return kf.build("slow_nano", heads={"action": 5})


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("video") / "noise.mp4"
    rng = np.random.default_rng(0)
    # A few frames, slowly changing, so that the file is small and frames differ.
    still = rng.integers(0, 256, (4, 64, 96, 3)).astype(float)
    share = np.linspace(0, 3, 130)
    frames = (still[int(at)] * (1 - at % 1) + still[min(int(at) + 1, 3)] * (at % 1) for at in share)
    write_video(path, (frame.astype(np.uint8) for frame in frames), 24)
    return path


def test_features_are_those_of_the_frames_of_each_window(model, video):
    found = kf.embed(model, video, every=1)
    np.testing.assert_allclose(found.starts, [0, 1, 2, 3, 4, 5])
    np.testing.assert_allclose(found.ends, [*(np.arange(5) + 25 / 24), 130 / 24])
    assert found.features.shape == (6, 256) and found.features.dtype == np.float32
    assert (found.model, found.endpoint, found.source) == ("slow_nano", "pooled", str(video))
    assert found.ended is None
    frames = read_video(video, fps=24)[:, :, 16:80]
    of_model = kf.build("slow_nano", heads={"action": 5}, features_only=True)
    of_model.set_weights(model.get_weights()[: len(of_model.get_weights())])
    for row, first in zip(found.features, range(0, 130, 24), strict=True):
        clip = frames[np.minimum(first + 8 * np.arange(4), 129)]
        np.testing.assert_allclose(row, of_model(clip[None])["pooled"][0], rtol=1e-4, atol=1e-4)


def test_windows_lie_side_by_side_unless_told(model, video):
    found = kf.embed(model, video)
    np.testing.assert_allclose(found.starts[1:], found.ends[:-1])
    assert len(found.starts) == 6


def test_a_model_with_an_embedding_gives_that(video):
    model = kf.build("slow_nano", heads={"action": 5}, embedding=12)
    found = kf.embed(model, video)
    assert found.endpoint == "embedding" and found.features.shape == (6, 12)


def test_both_pathways_of_the_large_network_make_2304_numbers():
    model = kf.build("slowfast_r50_8x8")
    network, endpoint = module._network(model)
    assert (network.output_shape, endpoint) == ((None, 2304), "pooled")


def test_a_model_of_whole_videos_gives_one_window(video):
    model = kf.build("slow_nano", heads={"action": 5})
    model.sampling = "video"
    found = kf.embed(model, video)
    assert found.features.shape == (1, 256)
    assert (found.starts[0], found.ends[0]) == (0, pytest.approx(130 / 24))


def test_what_was_decoded_before_a_video_breaks_off_is_kept(model, video, tmp_path):
    cut = tmp_path / "cut.mkv"
    write_video(cut, read_video(video), 24)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size * 2 // 3])
    found = kf.embed(model, cut)
    assert found.ended.startswith(f"Broke off after {found.ends[-1]:.1f} seconds. ") and "cut.mkv" in found.ended
    assert not found.interrupted
    assert 2 <= len(found.features) < 6
    np.testing.assert_allclose(found.features[0], kf.embed(model, video).features[0], rtol=0.2, atol=0.5)
    with pytest.raises(DataError, match=r"nothing\.mp4"):
        kf.embed(model, tmp_path / "nothing.mp4")


def test_ctrl_c_keeps_what_there_is_where_asked(model, video):
    def interrupt(seconds):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kf.embed(model, video, progress=interrupt)
    found = kf.embed(model, video, progress=interrupt, keep_interrupted=True)
    assert (len(found.features), found.interrupted) == (module.BATCH, True)
    assert found.ended == f"Interrupted after {found.ends[-1]:.1f} seconds."


def test_progress_is_told_in_seconds_of_the_video(model, video):
    told = []
    found = kf.embed(model, video, progress=told.append)
    assert told == [found.ends[3], found.ends[5]]


@pytest.mark.parametrize("every", [0, -1, float("nan"), float("inf")])
def test_a_step_of_no_length_is_refused(model, video, every):
    with pytest.raises(ValueError, match="every must be a number of seconds above 0"):
        kf.embed(model, video, every=every)
