"""`kerasfast evaluate`: protocols, files, localisation."""

import json

import keras
import numpy as np
import pytest
from cli_case import refuses, run
from matplotlib import image
from rich.console import Console

from kerasfast.cli.evaluate import metrics_table
from kerasfast.data.annotations import read_charades_csv
from kerasfast.data.clips import ClipSpec
from kerasfast.data.labels import read_charades_classes
from kerasfast.data.video import OpenVideo
from kerasfast.models.classifier import build
from kerasfast.models.variants import variant
from kerasfast.train.run import WEIGHTS_FILE, save_model_config


@pytest.fixture(scope="module")
def run_folder(records_folder, tmp_path_factory):
    """The folder of a run without a recipe."""
    from kerasfast.data.records.read import read_manifest

    keras.utils.set_random_seed(0)
    sizes = read_manifest(records_folder, "test").labels.sizes
    model = build(variant("slow_nano", clip=ClipSpec(4, 4, 24.0)), heads=sizes)
    folder = tmp_path_factory.mktemp("run")
    save_model_config(model, folder)
    model.save_weights(folder / WEIGHTS_FILE)
    return folder


def test_quick_shows_3_views_and_leaves_the_full_result_alone(monkeypatch, capfd, run_folder, records_folder, tmp_path):
    arguments = ("evaluate", run_folder, "--records", records_folder, "--quick", "--files", tmp_path / "files")
    code, out, err = run(monkeypatch, capfd, *arguments)
    assert code == 0, err
    assert "3 views x 3 videos: about" in err
    assert "(quick)" in out and "Classes without" not in out
    metrics = json.loads((run_folder / "metrics-quick.json").read_text("utf-8"))
    assert metrics["protocol"]["name"] == "quick" and metrics["protocol"]["views"] == 3
    assert not (run_folder / "metrics.json").exists()
    assert (tmp_path / "files" / "classify-action.txt").is_file()
    assert "'quick' is 3 clips x 1 crops" in refuses(monkeypatch, capfd, *arguments, "--clips", "2")


def test_localize_reads_video_files(monkeypatch, capfd, run_folder, charades_folder):
    annotations = charades_folder / "Tiny_v1_test.csv"
    arguments = ("evaluate", run_folder, "--localize", "--videos", charades_folder / "videos")
    code, out, err = run(monkeypatch, capfd, *arguments, "--annotations", annotations, "--head", "action")
    assert code == 0, err
    assert "25 views x 3 videos: about" in err and "(localize)" in out
    metrics = json.loads((run_folder / "metrics-localize.json").read_text("utf-8"))
    assert list(metrics["heads"]) == ["action"]
    assert f"{metrics['heads']['action']['map']:.3f}" in out


def test_localize_reads_folders_of_frames(monkeypatch, capfd, run_folder, charades_folder, tmp_path):
    """In the layout of Charades' archive: <id>/<id>-000001.jpg."""
    annotations = charades_folder / "Tiny_v1_test.csv"
    rows = read_charades_csv(annotations, read_charades_classes(charades_folder)).rows
    for row in rows:
        (tmp_path / "frames" / row.id).mkdir(parents=True)
        with OpenVideo(charades_folder / "videos" / f"{row.id}.mp4") as video:
            for index, frame in video.frames(24.0, 64):
                name = tmp_path / "frames" / row.id / f"{row.id}-{index + 1:06d}.jpg"
                image.imsave(name, np.asarray(frame))
    arguments = ("evaluate", run_folder, "--localize", "--annotations", annotations)
    frames = ("--frames", tmp_path / "frames", "--out", tmp_path / "frames.json")
    code, _, err = run(monkeypatch, capfd, *arguments, *frames)
    assert code == 0, err
    assert json.loads((tmp_path / "frames.json").read_text("utf-8"))["protocol"]["videos"] == len(rows)
    assert "Expected names such as e5" in refuses(
        monkeypatch, capfd, *arguments, "--frames", charades_folder / "videos", "--out", tmp_path / "x.json"
    )
    both = ("--frames", tmp_path, "--videos", tmp_path)
    assert "either --videos DIR or --frames DIR" in refuses(monkeypatch, capfd, *arguments, *both)


def test_records_or_videos(monkeypatch, capfd, run_folder, records_folder, tmp_path):
    arguments = ("evaluate", run_folder)
    assert "Give --records DIR" in refuses(monkeypatch, capfd, *arguments)
    assert "go with --localize" in refuses(
        monkeypatch, capfd, *arguments, "--records", records_folder, "--videos", tmp_path
    )
    message = refuses(monkeypatch, capfd, *arguments, "--localize")
    assert "Give --annotations CSV and either --videos DIR or --frames DIR" in message
    files = ("--videos", tmp_path, "--annotations", tmp_path / "a.csv")
    message = refuses(monkeypatch, capfd, *arguments, "--localize", *files, "--clips", "3", "--quick")
    assert "Received: --clips, --quick. Leave them out" in message


def test_the_table_shows_accuracy_and_what_was_left_out(capsys):
    sigmoid = {"map": 0.31, "chance": 0.062, "macro": {"f1": 0.2}, "skipped": ["a", "b"]}
    softmax = {"map": 0.5, "chance": 0.25, "macro": {"f1": 0.4}, "skipped": [], "top1": 0.61, "top5": 0.87}
    protocol = {"videos": 9, "clips": 10, "crops": 3, "merge": "max", "name": "full"}
    heads = {"verb": sigmoid | {"interval": {"low": 0.28, "high": 0.34}}, "action": softmax}
    overall = {"overall_map": 0.405, "overall_chance": 0.15}
    Console(width=100).print(metrics_table({"protocol": protocol, "heads": heads, **overall}))
    out = capsys.readouterr().out
    shown = ("0.310", "0.280-0.340", "5.0", "0.200", "0.610", "0.870", "in no mean: verb 2", "(full)")
    assert [text for text in shown if text not in out] == []
