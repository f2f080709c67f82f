"""The numbers behind the claims about Charades, on scores whose answer is known."""

from types import SimpleNamespace

import charades_claims
import numpy as np
import pytest
from bench_charades import timed

from kerasfast.data.labels import LabelSpace
from kerasfast.train.metrics import mean_average_precision


def test_novel_actions_are_composed_clip_by_clip():
    """Verb and object are seen in one clip, or in two that have nothing to do with each other."""
    # Pairs: 0 is known, 1 and 2 are new.
    implied = {"verb": np.array([0, 0, 1]), "object": np.array([0, 1, 1])}
    data = SimpleNamespace(
        labels=LabelSpace({"verb": ("run", "sit"), "object": ("cat", "dog"), "action": ("run cat",)}),
        novel_labels=SimpleNamespace(implied=implied),
    )
    low, high = 0.1, 0.9
    # Video 0 shows the new pair 1 (run, dog) in its first clip; video 1 shows run and dog in different clips.
    # Video 2 shows the new pair 2 (sit, dog), video 3 nothing.
    none = [low, low]
    verb = np.array([[[high, low], none], [[high, low], none], [[low, high], none], [none, none]])
    object_ = np.array([[[low, high], none], [none, [low, high]], [[low, high], none], [none, none]])
    labels = {
        "verb": np.array([[1, 0], [1, 0], [0, 1], [0, 0]]),
        "object": np.array([[0, 1], [0, 1], [0, 1], [0, 0]]),
        "action": np.array([[1, 0], [0, 0], [0, 1], [0, 0]]),
    }
    found = charades_claims._novel(
        labels, {"novel_verb": verb, "novel_object": object_}, data, {"verb": 1.0, "object": 1.0}
    )
    assert found["novel_action"]["map"] == 1.0
    # Merged before they are composed, both videos would look the same.
    merged = verb.max(axis=1)[:, 0] * object_.max(axis=1)[:, 1]
    assert merged[0] == merged[1]


def test_fitted_thresholds_leave_the_map_and_chance_names_everything(monkeypatch):
    generator = np.random.default_rng(0)
    labels = {split: (generator.random((60, 4)) < 0.3).astype("float32") for split in ("val", "test")}
    scores = {
        f"{split}_action": (0.2 * generator.random((60, 1, 4)) + 0.1 * rows[:, None]) for split, rows in labels.items()
    }
    monkeypatch.setattr(charades_claims, "video_labels", lambda _, split: {"action": labels[split]})
    found = charades_claims._thresholds(labels["test"], SimpleNamespace(charades="records"), scores)
    assert found["macro_f1"]["0.5"] == 0.0 < found["macro_f1"]["chance"] < found["macro_f1"]["fitted"]
    share = labels["test"].mean(axis=0)
    assert found["macro_f1"]["chance"] == pytest.approx(np.mean(2 * share / (1 + share)), abs=1e-4)
    assert found["map"] == round(mean_average_precision(labels["test"], scores["test_action"][:, 0]).map, 4)


def test_what_a_block_took_adds_up_where_it_fails_too(tmp_path):
    path = tmp_path / "seconds.json"
    path.write_text('{"all": 100.0, "cpu": 50.0}', "utf-8")
    with pytest.raises(KeyError), timed(path):
        raise KeyError
    assert path.read_text("utf-8").startswith('{"all": 100.')
