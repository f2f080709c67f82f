"""`kerasfast explain`: what it writes, and what it says of mistakes."""

import sys

import pytest
import strange_videos
from cli_case import refuses, run
from PIL import Image

from kerasfast.data.miniature.generate import encode
from kerasfast.data.miniature.render import render
from kerasfast.data.miniature.scripts import write_scripts
from kerasfast.data.video import probe

MODEL = ("--model", "slowfast_nano.miniature")


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("video") / "kitchen.mp4"
    encode(path, render(write_scripts("test", 20, 2)[3], 2))
    return path


def test_a_sheet_and_a_video_are_written_and_not_replaced(monkeypatch, capfd, video, tmp_path):
    arguments = ("explain", video, *MODEL, "--class", "opening a STAR", "--at", "1", "--out", tmp_path / "new" / "maps")
    code, out, err = run(monkeypatch, capfd, *arguments)
    assert code == 0, err
    assert 'Grad-CAM for action "Opening a star" 0.' in " ".join(out.split())
    for pathway in ("slow", "fast"):
        (line,) = [line for line in out.splitlines() if pathway in line]
        assert " s, " in line and "% from the left" in line
    sheet, film = sorted((tmp_path / "new" / "maps").iterdir(), key=lambda path: path.suffix, reverse=True)
    assert (sheet.suffix, film.suffix) == (".png", ".mp4")
    assert sheet.stem == f"kitchen-action-{sheet.stem.split('-')[2]}-gradcam"
    assert film.name == f"{sheet.stem}.overlay.mp4"  # which predict leaves out of a folder
    with Image.open(sheet) as picture:
        assert picture.width > 1000
    assert probe(film).frames == 32
    before = sheet.read_bytes()
    sheet.write_bytes(b"mine")
    assert "exists. Give another folder with --out DIR, or --force" in refuses(monkeypatch, capfd, *arguments)
    assert sheet.read_bytes() == b"mine"
    # Before the network runs.
    with monkeypatch.context() as patched:
        patched.setattr(
            "kerasfast.explain.maps.explanation.explain_video", lambda *_, **__: pytest.fail("it was asked")
        )
        assert "exists" in refuses(patched, capfd, *arguments)
    (tmp_path / "file").write_text("x")
    assert "takes no files" in refuses(monkeypatch, capfd, *arguments[:-1], tmp_path / "file" / "new")
    code, _, err = run(monkeypatch, capfd, *arguments, "--force")
    assert code == 0, err
    assert sheet.read_bytes() == before


def test_without_a_class_the_best_one_is_explained(monkeypatch, capfd, video, tmp_path):
    code, out, err = run(
        monkeypatch, capfd, "explain", video, *MODEL, "--head", "object", "--method", "saliency", "--out", tmp_path
    )
    assert code == 0, err
    assert 'Saliency for object "' in out
    assert len(list(tmp_path.glob("kitchen-object-*-saliency.*"))) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--class", "openning a stair"), "No class of 'action' matches 'openning a stair'. Did you mean 'Opening a"),
        (("--class", "a star"), "classes of 'action' match 'a star': "),
        (("--class", "40"), "have the numbers 0 to 39. Received: 40."),
        (("--head", "verbs"), "no head 'verbs'; its heads are verb, object, action. Did you mean 'verb'?"),
        (("--method", "lime"), "method must be one of gradcam, gradcam++, saliency."),
        (("--at", "3600"), "kitchen.mp4, which lasts"),
    ],
)
def test_mistakes_are_one_sentence(options, message, monkeypatch, capfd, video, tmp_path):
    assert message in refuses(monkeypatch, capfd, "explain", video, *MODEL, *options, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_where_a_video_breaks_off_is_said(monkeypatch, capfd, video, tmp_path):
    fast = strange_videos.remux(video, tmp_path / "fast.mp4", movflags="faststart")
    cut = strange_videos.cut(fast, tmp_path / "cut.mp4", 0.7)
    code, out, err = run(monkeypatch, capfd, "explain", cut, *MODEL, "--out", tmp_path)
    assert code == 0, err
    assert "Broke off after" in out and len(list(tmp_path.glob("cut-action-*-gradcam.*"))) == 2


def test_a_file_that_is_no_video_is_named(monkeypatch, capfd, tmp_path):
    text = tmp_path / "notes.mp4"
    text.write_text("no video")
    assert "notes.mp4" in refuses(monkeypatch, capfd, "explain", text, *MODEL)


def test_without_tf_keras_vis_one_is_told_how_to_install_it(monkeypatch, capfd, video):
    monkeypatch.setitem(sys.modules, "tf_keras_vis.gradcam", None)
    assert "pip install 'kerasfast[explain]'" in refuses(monkeypatch, capfd, "explain", video, *MODEL)
