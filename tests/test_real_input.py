"""The whole path on real clips and real class files, through the command line, with a full-size network."""

import json
import shutil

import pytest
from cli_case import run
from conftest import SHARED

VIDEOS = {  # id -> file, seconds, actions of Charades' classes (invented: what counts is that they pass through)
    "demo": ("demo.mp4", 10.0, "c000 0.00 4.00;c059 3.00 9.50"),
    "test": ("test.mp4", 10.0, "c097 1.00 12.00"),
    "structure": ("test_video_structuralize.mp4", 10.01, ""),
    "spatiotemporal": ("demo_spatiotemporal_det.mp4", 9.5, "c154 0.00 9.00"),
    "part": ("part_0.mp4", 1.07, "c113 0.00 1.00"),
    "avi": ("test.avi", 6.56, "c009 2.00 5.00;c009 5.50 6.50"),
}
RECIPE = """
[model]
name = "slowfast_r50_8x8"
heads = {verb = 33, object = 38, action = 157}
clip = {frames = 32, stride = 2, fps = 24.0}

[data]
crop_size = 112

[schedule]
learning_rate = 0.01

[training]
epochs = 1
batch_size = 2
steps_per_epoch = 2
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (SHARED / "videos").is_dir(), reason="needs the real clips in ../shared/videos"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("real")
    (folder / "videos").mkdir()
    lines = ["id,subject,scene,quality,relevance,verified,script,objects,descriptions,actions,length"]
    for name, (file, seconds, actions) in VIDEOS.items():
        source = SHARED / "videos" / file
        shutil.copy(source, folder / "videos" / f"{name}{source.suffix}")
        lines.append(f'{name},SUBJ,Kitchen,6,7,Yes,"A script, with a comma.",,,{actions},{seconds}')
    (folder / "clips.csv").write_text("\n".join(lines) + "\n", "utf-8")
    (folder / "recipe.toml").write_text(RECIPE, "utf-8")
    return folder


def test_from_real_clips_to_a_saved_model(folder, monkeypatch, capfd):
    def kerasfast(*arguments):
        code, out, err = run(monkeypatch, capfd, *arguments)
        assert code == 0, err
        return out

    records, trained = folder / "records", folder / "run"
    for split in ("train", "test"):
        options = ("--classes", SHARED / "charades", "--short-side", "128", "--split", split, "--clips", "2")
        kerasfast("records", "build", folder / "clips.csv", "--videos", folder / "videos", "--out", records, *options)
    recipe = folder / "recipe.toml"
    recipe.write_text(RECIPE.replace("crop_size = 112", "crop_size = 112\nshort_side = [112, 128]"), "utf-8")
    kerasfast("train", recipe, "--records", records, "--out", trained)
    out = kerasfast("evaluate", trained, "--records", records, "--clips", "2", "--crops", "1")
    assert "chance" in out
    metrics = json.loads((trained / "metrics.json").read_text("utf-8"))
    assert metrics["protocol"]["videos"] == len(VIDEOS)
    kerasfast("export", trained, folder / "serving" / "1")
    assert (folder / "serving" / "1" / "saved_model.pb").is_file()


@pytest.mark.parametrize("file", ["demo.mp4", "test.avi", "part_0.mp4"])
def test_the_small_network_reads_real_clips(file, monkeypatch, capfd):
    arguments = ("predict", SHARED / "videos" / file, "--model", "slowfast_nano.miniature", "--top", "3")
    code, out, err = run(monkeypatch, capfd, *arguments)
    assert code == 0, err
    assert file in out
