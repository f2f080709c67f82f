"""The scores and labels behind the figures of an evaluation."""

import numpy as np
import pytest
from report_case import scored_videos

from kerasfast.train.scoring.scored_videos import ScoredVideos, implied_classes, scores_file


def test_what_is_saved_comes_back(tmp_path):
    scored = scored_videos()
    path = tmp_path / "metrics.npz"
    scored.save(path)
    again = ScoredVideos.load(path)
    assert (again.ids, again.classes, again.implied) == (scored.ids, scored.classes, scored.implied)
    for head in scored.classes:
        np.testing.assert_array_equal(again.scores[head], scored.scores[head], strict=True)
        np.testing.assert_array_equal(again.labels[head], scored.labels[head])
        assert again.labels[head].dtype == np.uint8
    assert [file.name for file in tmp_path.iterdir()] == ["metrics.npz"]


def test_the_file_stands_beside_the_figures(tmp_path):
    assert scores_file(tmp_path / "metrics-quick.json") == tmp_path / "metrics-quick.npz"


def test_rows_that_do_not_fit_are_refused():
    scored = scored_videos()
    with pytest.raises(ValueError, match=r"'action' must have the shape \(59, 8\).*Received: \(60, 8\)"):
        ScoredVideos(scored.ids[1:], {"action": scored.classes["action"]}, scored.scores, scored.labels)


@pytest.mark.parametrize("damage", ["cut", "text", "other", "pickle"])
def test_a_damaged_file_is_one_sentence(damage, tmp_path):
    path = tmp_path / "metrics.npz"
    scored_videos().save(path)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:500])
    elif damage == "text":
        path.write_text("scores")
    elif damage == "other":
        np.savez(path, test_action=np.zeros((3, 4)))  # such as tools/bench_charades.py leaves
    else:
        np.savez(path, ids=np.array([{}], object), **{"classes/a": np.array(["x"])})
    with pytest.raises(ValueError, match=r"metrics\.npz does not hold scored videos .*Run `kerasfast evaluate` again"):
        ScoredVideos.load(path)


def test_a_missing_file_is_said_to_be_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        ScoredVideos.load(tmp_path / "metrics.npz")


def test_what_a_head_implies_needs_that_head():
    implied = {"verb": (0, 1), "object": (0, 0)}
    assert implied_classes(implied, ("action",), {"action": 2, "verb": 2}) == {"verb": (0, 1)}
    assert implied_classes(implied, ("action",), {"verb": 2, "object": 1}) == {}
