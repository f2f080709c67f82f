"""Weights from the files of four libraries through `kerasfast.load`: scores are those of the model that was saved."""

import numpy as np
import published
import pytest
from model_case import random_clip
from published import KINETICS

import kerasfast as kf
from kerasfast.checkpoints import CheckpointError


@pytest.fixture(params=published.FILES)
def saved(request, tmp_path):
    """A woken model in the form of a library, and a file of its weights."""
    model = published.trained(request.param)
    path = tmp_path / "checkpoint.pyth"
    path.write_bytes(published.FILES[request.param](model))
    return model, path


def test_a_checkpoint_gives_the_scores_of_its_model(saved):
    """The library's normalisation and quirks come with its names."""
    model, path = saved
    loaded = kf.load("slowfast_nano", heads=KINETICS, weights=path)
    assert loaded.load_report.new == loaded.load_report.skipped == ()
    clip = random_clip(model.variant)
    np.testing.assert_array_equal(loaded(clip)["action"], model(clip)["action"])


def test_other_heads_start_random_when_asked_for(saved):
    model, path = saved
    loaded = kf.load("slowfast_nano", heads={"verb": 3}, weights=path)
    assert {name.rpartition("/")[0] for name in loaded.load_report.new} == {"head/verb"}
    assert loaded.variant.pixel_mean == model.variant.pixel_mean
    with pytest.raises(ValueError, match=r"head/action/kernel \(file: \(\d+, 7\), model: \(\d+, 400\)\)"):
        kf.load("slowfast_nano", weights=path)


def test_a_file_of_another_library_is_refused_by_a_published_entry(tmp_path, monkeypatch):
    path = tmp_path / "checkpoint.pth"
    path.write_bytes(published.FILES["mmaction2"](published.trained("mmaction2")))
    rows = published.index_with("http://127.0.0.1/NANO.pyth")
    monkeypatch.setattr("kerasfast.registry.index", lambda: rows)
    with pytest.raises(ValueError, match=r"has the names of mmaction2.* is the network of pytorchvideo"):
        kf.load(published.NAME, weights=path)


def test_another_architecture_is_refused(saved):
    path = saved[1]
    with pytest.raises(ValueError, match="does not fit the model"):
        kf.load("slow_nano", heads=KINETICS, weights=path)


def test_what_is_no_checkpoint_is_refused(tmp_path):
    path = tmp_path / "page.pyth"
    path.write_bytes(b"<html>Not found</html>")
    with pytest.raises(CheckpointError, match=r"page\.pyth cannot be used as a checkpoint: it is a web page"):
        kf.load("slow_nano", weights=path)
