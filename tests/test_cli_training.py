"""`kerasfast train`, `evaluate` and `export`, on one tiny run."""

import json
import shutil
from pathlib import Path

import pytest
from cli_case import refuses, run

RECIPE = """
[model]
name = "slow_nano"
heads = {heads}
clip = {frames = 4, stride = 4, fps = 24.0}

[data]
short_side = [64, 72]
flip = false

[schedule]
learning_rate = 0.01

[training]
epochs = 1
batch_size = 2
steps_per_epoch = 2

[evaluation]
clips = 2
crops = 1
"""


@pytest.fixture(scope="module")
def tiny_run(records_folder, tmp_path_factory):
    """A run folder that `kerasfast train` made."""
    from kerasfast.data.records.read import read_manifest

    folder = tmp_path_factory.mktemp("runs")
    sizes = read_manifest(records_folder, "train").labels.sizes
    heads = "{" + ", ".join(f"{name} = {size}" for name, size in sizes.items()) + "}"
    recipe = folder / "tiny.toml"
    recipe.write_text(RECIPE.replace("{heads}", heads), "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        from kerasfast.cli.main import main

        patch.setattr(
            "sys.argv",
            ["kerasfast", "train", str(recipe), "--records", str(records_folder), "--out", str(folder / "a")],
        )
        with pytest.raises(SystemExit) as ended:
            main()
            raise SystemExit(0)
    assert not ended.value.code
    return folder / "a"


def test_train_leaves_the_files_of_a_run(tiny_run):
    for name in ("config.toml", "history.csv", "best.weights.h5", "model.json", "curves.png"):
        assert (tiny_run / name).stat().st_size > 0, name


def test_train_refuses_a_finished_run(monkeypatch, capfd, tiny_run, records_folder):
    arguments = ("train", tiny_run / "config.toml", "--records", records_folder, "--out", tiny_run)
    assert str(tiny_run) in refuses(monkeypatch, capfd, *arguments)


def test_train_goes_on_with_an_unfinished_run(monkeypatch, capfd, tiny_run, records_folder, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "checkpoints").mkdir()  # of a run that was killed before its first checkpoint
    arguments = ("train", tiny_run / "config.toml", "--records", records_folder, "--out", folder)
    code, out, err = run(monkeypatch, capfd, *arguments, "--checkpoint-steps", "1")
    assert code == 0, err
    assert "2 steps in" in out and not (folder / "checkpoints").exists()
    assert "checkpoint_steps = 1" in (folder / "config.toml").read_text("utf-8")


def test_train_suggests_a_recipe(monkeypatch, capfd, tmp_path):
    arguments = ("train", "miniature_slowfast_nan", "--records", tmp_path, "--out", tmp_path / "a")
    assert "miniature_slowfast_nano" in refuses(monkeypatch, capfd, *arguments)


def test_evaluate_prints_map_beside_chance(monkeypatch, capfd, tiny_run, records_folder):
    arguments = ("evaluate", tiny_run, "--records", records_folder, "--clips", "2", "--crops", "1")
    code, out, err = run(monkeypatch, capfd, *arguments)
    assert code == 0, err
    metrics = json.loads((tiny_run / "metrics.json").read_text("utf-8"))
    assert metrics["protocol"]["clips"] == 2
    for head, values in metrics["heads"].items():
        assert head in out
        assert f"{values['map']:.3f}" in out
        assert f"{values['chance']:.3f}" in out


def test_evaluate_follows_the_recipe_and_keeps_splits_apart(monkeypatch, capfd, tiny_run, records_folder):
    arguments = ("evaluate", tiny_run, "--records", records_folder, "--head", "verb")
    code, _, err = run(monkeypatch, capfd, *arguments)
    assert code == 0, err
    metrics = json.loads((tiny_run / "metrics.json").read_text("utf-8"))
    assert list(metrics["heads"]) == ["verb"]
    assert (metrics["protocol"]["clips"], metrics["protocol"]["crops"]) == (2, 1)  # of the recipe
    before = (tiny_run / "metrics.json").read_bytes()
    assert "novel" in refuses(monkeypatch, capfd, *arguments, "--split", "novel")  # the records have no such split
    assert (tiny_run / "metrics.json").read_bytes() == before


def test_a_flipped_bit_ends_a_training_in_one_sentence(monkeypatch, capfd, tiny_run, records_folder, tmp_path):
    copy = Path(shutil.copytree(records_folder, tmp_path / "records"))
    for shard in copy.glob("train-*.tfrecord"):
        content = bytearray(shard.read_bytes())
        content[len(content) // 2] ^= 1
        shard.write_bytes(content)
    arguments = ("train", tiny_run / "config.toml", "--records", copy, "--out", tmp_path / "run")
    assert "content differs from its manifest" in refuses(monkeypatch, capfd, *arguments)


def test_evaluate_needs_records(monkeypatch, capfd, tiny_run, tmp_path):
    assert str(tmp_path) in refuses(monkeypatch, capfd, "evaluate", tiny_run, "--records", tmp_path)


def test_export_writes_a_saved_model(monkeypatch, capfd, tiny_run, tmp_path):
    target = tmp_path / "serving" / "tiny" / "1"
    options = ("--precision", "bfloat16", "--signatures", "jpeg_frames, views", "--merge", "mean", "--config")
    code, out, err = run(monkeypatch, capfd, "export", tiny_run, target, *options)
    assert code == 0, err
    assert "signatures jpeg_frames, views; bfloat16" in out and "to it in float32" in out
    card = json.loads((target / "assets.extra" / "card.json").read_text("utf-8"))
    assert list(card["signatures"]) == ["jpeg_frames", "views"] and card["precision"] == "bfloat16"
    assert {head["merge"] for head in card["heads"].values()} == {"mean"}
    assert "/models/tiny" in (tmp_path / "serving" / "models.config").read_text("utf-8")
    refuses(monkeypatch, capfd, "export", tiny_run, target)
    refuses(monkeypatch, capfd, "export", tiny_run, tmp_path / "b" / "newest", "--config")
    refuses(monkeypatch, capfd, "export", tiny_run, tmp_path / "b" / "1", "--signatures", "view")
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("flag", [[], ["--winograd"], ["--no-winograd"]])
def test_export_with_and_without_winograd(monkeypatch, capfd, tiny_run, tmp_path, flag):
    convolutions = []

    def few(network, side):
        convolutions.append(side)
        return network, 3

    monkeypatch.setattr("kerasfast.serving.saved_model.with_winograd", few)
    options = ("--signatures", "serving_default", *flag)
    code, out, err = run(monkeypatch, capfd, "export", tiny_run, tmp_path / "1", *options)
    assert code == 0, err
    used = flag != ["--no-winograd"]
    assert ("3 convolutions by Winograd" in " ".join(out.split())) == used == bool(convolutions)
    card = json.loads((tmp_path / "1" / "assets.extra" / "card.json").read_text("utf-8"))
    assert card["winograd"] == (3 if used else 0)


def test_export_refuses_winograd_in_other_types(monkeypatch, capfd, tiny_run, tmp_path):
    arguments = ("export", tiny_run, tmp_path / "1", "--winograd")
    message = refuses(monkeypatch, capfd, *arguments, "--precision", "bfloat16")
    assert "computes in float32 alone. Received: winograd=True, precision='bfloat16'" in message
    assert "--winograd belong to a SavedModel" in refuses(monkeypatch, capfd, *arguments, "--format", "onnx")


def test_export_writes_other_formats(monkeypatch, capfd, tiny_run, tmp_path):
    pytest.importorskip("onnxruntime", reason="needs kerasfast[onnx]")
    pytest.importorskip("tf2onnx", reason="needs kerasfast[onnx]")
    code, out, err = run(monkeypatch, capfd, "export", tiny_run, tmp_path / "a", "--format", "onnx")
    assert code == 0, err
    assert "onnx, float32" in out and (tmp_path / "a" / "model.onnx").is_file()


def test_export_refuses_int8_where_there_is_none(monkeypatch, capfd, tiny_run, tmp_path):
    message = refuses(monkeypatch, capfd, "export", tiny_run, tmp_path / "a", "--int8")
    assert "--format openvino or --format litert" in message
    message = refuses(monkeypatch, capfd, "export", tiny_run, tmp_path / "a", "--format", "litert", "--int8")
    assert "int8 needs calibration clips" in message
    message = refuses(monkeypatch, capfd, "export", tiny_run, tmp_path / "a", "--format", "onnx", "--merge", "max")
    assert "belong to a SavedModel" in message
