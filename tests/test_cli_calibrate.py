"""`kerasfast calibrate`, and what `predict` and `export` make of it."""

import json

import keras
import numpy as np
import pytest
import train_records
from cli_case import refuses, run

from kerasfast.data.video_writer import write_video
from kerasfast.models.classifier import build
from kerasfast.train.operating.points import OperatingPoints
from kerasfast.train.run import WEIGHTS_FILE, load_model, save_model_config

RECIPE = """
[model]
name = "slow_nano"
heads = {verb = 2, object = 2, action = 3}

[schedule]
learning_rate = 0.01

[training]
epochs = 1
batch_size = 2

[evaluation]
clips = 2
crops = 1
"""


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    return train_records.make(tmp_path_factory.mktemp("calibrate"), "val", 4, clips=2)


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("video") / "rise.mp4"
    write_video(path, train_records.video(0, 99), 24)
    return path


@pytest.fixture
def a_run(tmp_path):
    """The folder of a run whose recipe tests on 2 clips x 1 crop."""
    folder = tmp_path / "run"
    folder.mkdir()
    keras.utils.set_random_seed(0)
    model = build("slow_nano", heads=train_records.LABELS.head_fields())
    save_model_config(model, folder)
    model.save_weights(folder / WEIGHTS_FILE)
    (folder / "config.toml").write_text(RECIPE, "utf-8")
    return folder


def test_calibrate_writes_points_that_predict_and_export_follow(monkeypatch, capfd, a_run, records, video):
    code, out, err = run(monkeypatch, capfd, "calibrate", a_run, "--records", records, "--min-positives", "2")
    assert code == 0, err
    assert (a_run / "reliability.png").stat().st_size > 10_000
    points = OperatingPoints.of_run(a_run, load_model(a_run))
    assert points.protocol == {"split": "val", "videos": 4, "clips": 2, "crops": 1, "merge": "max", "crop_size": 64}
    for name, head in points.heads.items():
        assert name in out
        for key in ("macro_f1_at_half", "macro_f1", "macro_f1_held_out"):
            assert f"{head.validation[key]:.3f}" in out
    words = " ".join(out.split())
    # Of four videos the second and the third have an action of their own.
    assert "action: 2 classes have fewer than 2 positives" in words and "fall red, rise green" in words
    assert "tests on" not in words

    code, out, err = run(monkeypatch, capfd, "predict", video, "--model", a_run)
    assert code == 0, err
    assert "fitted to whole videos of 2 clips x 1 crops" in " ".join(out.split())
    code, out, err = run(monkeypatch, capfd, "predict", video, "--model", a_run, "--views", "2x1")
    assert code == 0, err
    assert "2 clips x 1 crops" in out and "answer" in out and "fitted on" not in out
    code, out, err = run(monkeypatch, capfd, "predict", video, "--model", a_run, "--views", "1x3")
    assert "were fitted on 2 clips x 1 crops a video" in out
    code, out, err = run(monkeypatch, capfd, "predict", video, "--model", a_run, "--every", "1")
    assert code == 0, err
    assert "the operating points are of whole videos" in out

    arguments = ("evaluate", a_run, "--records", records, "--split", "val", "--fitted")
    code, out, err = run(monkeypatch, capfd, *arguments)
    assert code == 0, err
    metrics = json.loads((a_run / "metrics-val-fitted.json").read_text("utf-8"))
    assert "their F1 is too good" in " ".join(out.split())
    assert metrics["protocol"]["thresholds"]["fitted_to"] == points.protocol
    for name, head in points.heads.items():  # the videos that they were fitted to
        assert metrics["heads"][name]["macro"]["f1"] == pytest.approx(head.validation["macro_f1"])
    assert "another choice of clips" in refuses(monkeypatch, capfd, *arguments, "--clips", "1")
    assert "another choice of quick" in refuses(monkeypatch, capfd, *arguments, "--quick")

    code, out, err = run(monkeypatch, capfd, "export", a_run, a_run / "1")
    assert code == 0, err
    assert "operating points" in " ".join(out.split())
    assert OperatingPoints.load(a_run / "1" / "assets.extra") == points


def test_predict_says_no_action(monkeypatch, capfd, a_run, records, video):
    options = ("--calibration", "isotonic", "--no-action-below", "1")
    code, _, err = run(monkeypatch, capfd, "calibrate", a_run, "--records", records, *options)
    assert code == 0, err
    values = json.loads((a_run / "operating_points.json").read_text("utf-8"))
    values["heads"]["verb"]["calibration"] = None  # no score is 1
    (a_run / "operating_points.json").write_text(json.dumps(values), "utf-8")
    code, out, err = run(monkeypatch, capfd, "predict", video, "--model", a_run, "--views", "2x1")
    assert code == 0, err
    assert "no action" in next(line for line in out.splitlines()[::-1] if "verb" in line)


def test_points_of_other_weights_are_refused_until_they_are_fitted_again(monkeypatch, capfd, a_run, records, video):
    arguments = ("calibrate", a_run, "--records", records, "--calibration", "none")
    assert run(monkeypatch, capfd, *arguments)[0] == 0
    model = load_model(a_run)
    bias = model.get_layer("head_verb").bias
    bias.assign(np.asarray(bias) + 1)
    model.save_weights(a_run / WEIGHTS_FILE)
    for command in (("predict", video, "--model", a_run), ("export", a_run, a_run / "1")):
        assert "belong to the weights that they were fitted for" in refuses(monkeypatch, capfd, *command)
    assert run(monkeypatch, capfd, *arguments)[0] == 0
    assert run(monkeypatch, capfd, "predict", video, "--model", a_run)[0] == 0


def test_a_split_that_is_tested_too_is_named(monkeypatch, capfd, a_run, records):
    (a_run / "config.toml").write_text(RECIPE + 'split = "val"\n', "utf-8")
    code, out, err = run(monkeypatch, capfd, "calibrate", a_run, "--records", records)
    assert code == 0, err
    assert "The recipe tests on 'val' too" in " ".join(out.split())


def test_calibrate_refuses_what_it_cannot_use(monkeypatch, capfd, a_run, records):
    arguments = ("--records", records)
    assert "Run: kerasfast calibrate" in refuses(monkeypatch, capfd, "evaluate", a_run, *arguments, "--fitted")
    assert "is no folder" in refuses(monkeypatch, capfd, "calibrate", "slowfast_nano.miniature", *arguments)
    assert "nowhere" in refuses(monkeypatch, capfd, "calibrate", a_run, *arguments, "--split", "nowhere")
    assert not (a_run / "operating_points.json").exists()
