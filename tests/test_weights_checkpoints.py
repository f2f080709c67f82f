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
    """A woken model, the fields of its variant, and a file of its weights."""
    model = published.trained(request.param)
    path = tmp_path / "checkpoint.pyth"
    path.write_bytes(published.FILES[request.param](model))
    return model, published.overrides(request.param), path


def test_a_checkpoint_gives_the_scores_of_its_model(saved):
    model, fields, path = saved
    loaded = kf.load("slowfast_nano", heads=KINETICS, weights=path, **fields)
    assert loaded.load_report.new == loaded.load_report.skipped == ()
    clip = random_clip(model.variant)
    np.testing.assert_array_equal(loaded(clip)["action"], model(clip)["action"])


def test_other_heads_start_random_when_asked_for(saved):
    _, fields, path = saved
    loaded = kf.load("slowfast_nano", heads={"verb": 3}, weights=path, **fields)
    assert {name.rpartition("/")[0] for name in loaded.load_report.new} == {"head/verb"}
    with pytest.raises(ValueError, match=r"head/action/kernel \(file: \(\d+, 7\), model: \(\d+, 400\)\)"):
        kf.load("slowfast_nano", weights=path, **fields)


def test_another_architecture_is_refused(saved):
    path = saved[2]
    with pytest.raises(ValueError, match="does not fit the model"):
        kf.load("slow_nano", heads=KINETICS, weights=path)


def test_what_is_no_checkpoint_is_refused(tmp_path):
    path = tmp_path / "page.pyth"
    path.write_bytes(b"<html>Not found</html>")
    with pytest.raises(CheckpointError, match=r"page\.pyth cannot be used as a checkpoint: it is a web page"):
        kf.load("slow_nano", weights=path)
