"""Contact sheets and videos of made-up maps: heat is where the map is, and no text breaks them."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from kerasfast.data.video import probe, read_video
from kerasfast.explain.maps.explanation import Explanation
from kerasfast.explain.maps.heat import contact_sheet, heat, heat_video


def explanation(label="Opening a star", height=64, width=80, frames=16, **fields):
    """Grey frames; the slow map is a spot that moves to the right, the fast one has no evidence."""
    maps = np.zeros((frames, height, width), np.float32)
    for number in range(frames):
        left = number * (width - 16) // frames
        maps[number, 24:40, left : left + 16] = 1
    values = {
        "model": "slowfast_nano.miniature",
        "source": "kitchen.mp4",
        "method": "gradcam",
        "head": "action",
        "index": 1,
        "label": label,
        "scores": {"action": np.array([0.1, 0.93], np.float32)},
        "frames": np.full((frames, height, width, 3), 90, np.uint8),
        "times": np.arange(frames) / 24,
        "maps": {"slow": maps, "fast": np.zeros_like(maps)},
    }
    return Explanation(**{**values, **fields})


def test_heat_is_where_the_map_is():
    frames = np.full((2, 8, 8, 3), 90, np.uint8)
    maps = np.zeros((2, 8, 8), np.float32)
    maps[1, 2:4, 2:4] = 1
    hot = heat(frames, maps)
    assert hot.dtype == np.uint8 and hot.shape == frames.shape
    changed = (hot != 90).any(axis=-1)
    np.testing.assert_array_equal(changed, maps > 0)


def test_a_contact_sheet_has_a_row_a_pathway_and_a_column_a_frame(tmp_path):
    contact_sheet(explanation(), tmp_path / "sheet.png", columns=4)
    with Image.open(tmp_path / "sheet.png") as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    assert 700 < pixels.shape[1] < 1200 and 400 < pixels.shape[0] < 900
    # Heat is yellow and orange; nothing else in the sheet but the scale at its right has colour.
    coloured = (pixels.max(axis=-1) - pixels.min(axis=-1) > 100)[:, : int(pixels.shape[1] * 0.87)]
    columns = np.flatnonzero(coloured.any(axis=0))
    assert 1 + (np.diff(columns) > 1).sum() == 4
    rows = np.flatnonzero(coloured.any(axis=1))
    assert (np.diff(rows) == 1).all()  # the pathway without evidence has none


def test_a_sheet_that_cannot_be_finished_leaves_what_was_there(tmp_path, monkeypatch):
    sheet = tmp_path / "sheet.png"
    sheet.write_bytes(b"mine")

    def breaks_off(figure, path, **options):
        path.write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(Figure, "savefig", breaks_off)
    with pytest.raises(OSError, match="No space left"):
        contact_sheet(explanation(), sheet)
    assert sheet.read_bytes() == b"mine"
    assert list(tmp_path.iterdir()) == [sheet]


@pytest.mark.parametrize("label", ["$x_{", "<script>alert(1)</script>", "ドアを開ける", "a " * 200, "", "line\nbreak"])
def test_any_label_is_text(label, tmp_path):
    contact_sheet(explanation(label), tmp_path / "sheet.png", columns=3)
    heat_video(explanation(label, frames=4), tmp_path / "film.mp4")
    assert probe(tmp_path / "film.mp4").frames == 4


def test_a_video_shows_frames_and_maps_side_by_side(tmp_path):
    found = explanation()
    heat_video(found, tmp_path / "film.mp4")
    info = probe(tmp_path / "film.mp4")
    assert (info.frames, info.fps) == (16, 12)  # half the speed of 24 frames a second
    assert info.width == 3 * 320 + 2 * 8  # small frames are enlarged
    film = read_video(tmp_path / "film.mp4").astype(int)
    top = info.height - 256
    warm = film[:, top:, :, 0] - film[:, top:, :, 2] > 60
    frames, slow, fast = warm[:, :, :320], warm[:, :, 328:648], warm[:, :, 656:]
    assert not frames.any() and not fast.any()
    for number, spot in enumerate(slow):
        columns = np.flatnonzero(spot.any(axis=0))
        left = number * 64 // 16 * 4
        assert abs(columns[0] - left) <= 8 and abs(columns[-1] - (left + 64)) <= 8


def test_large_frames_keep_their_size_and_stand_still_times_their_video(tmp_path):
    heat_video(explanation(height=258, width=301, frames=2, times=np.zeros(2)), tmp_path / "film.mp4")
    info = probe(tmp_path / "film.mp4")
    assert info.width == 3 * 301 + 2 * 8 + 1  # even, as the encoder needs


def test_numbers_out_of_range_are_refused(tmp_path):
    with pytest.raises(ValueError, match="columns must be at least 1"):
        contact_sheet(explanation(), tmp_path / "sheet.png", columns=0)
    with pytest.raises(ValueError, match="speed must be above 0"):
        heat_video(explanation(), tmp_path / "film.mp4", speed=0)
