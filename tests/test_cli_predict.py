"""`kerasfast predict`: what it prints and writes, where, and what it refuses."""

import csv
import dataclasses
import functools
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import av
import keras
import numpy as np
import pytest
import strange_videos
from cli_case import refuses, run
from conftest import tiny_frame
from serving_case import VERBS
from serving_server import rest_server
from test_explain_timelines_text_forms import cues

from kerasfast.cli.predict import parse_views
from kerasfast.cli.predict_forms import ENDINGS, file_names
from kerasfast.cli.predict_tables import show_timeline
from kerasfast.data.clips import ClipSpec
from kerasfast.data.miniature.generate import generate
from kerasfast.explain import DEFAULT_MODEL
from kerasfast.explain.timelines import watch as watch_module
from kerasfast.explain.timelines.text_forms import write_form
from kerasfast.explain.timelines.timeline import Segment, Timeline
from kerasfast.models.classifier import build
from kerasfast.models.heads import Head
from kerasfast.models.variants import variant
from kerasfast.train.run import WEIGHTS_FILE, load_model, save_model_config

LABELS = ("hold", "put", "turn")


@pytest.fixture(scope="module")
def a_run(tmp_path_factory):
    """The folder of a run, of random weights."""
    folder = tmp_path_factory.mktemp("runs") / "a"
    folder.mkdir()
    keras.utils.set_random_seed(0)
    heads = {"verb": Head(3, labels=LABELS), "object": Head(4), "action": Head(2, "softmax")}
    model = build(variant("slow_nano", clip=ClipSpec(4, 4, 24.0)), heads=heads)
    save_model_config(model, folder)
    model.save_weights(folder / WEIGHTS_FILE)
    return folder


@pytest.fixture(autouse=True)
def loaded_once(monkeypatch):
    """A model is loaded and traced once, not for each command."""
    monkeypatch.setattr("kerasfast.train.run.load_model", load_once)


load_once = functools.cache(load_model)


@pytest.fixture
def video(charades_folder):
    """72 frames at 24 a second; a clip of the model spans 13, so five lie side by side and one is padded."""
    return charades_folder / "videos" / "b2.mp4"


@pytest.fixture
def predicts(monkeypatch, capfd, a_run):
    """Runs `kerasfast predict` with the model; checks the exit code."""

    def predicts(*arguments, code=0):
        found, out, err = run(monkeypatch, capfd, "predict", "--model", a_run, *arguments)
        assert found == code, err
        assert "Traceback" not in err
        return out, " ".join(err.split())

    return predicts


@pytest.fixture
def says_no(monkeypatch, capfd, a_run):
    """The sentence with which `kerasfast predict` refuses."""
    return lambda *arguments: refuses(monkeypatch, capfd, "predict", *arguments, "--model", a_run)


# Tables


def test_it_names_the_classes(predicts, a_run, video):
    out, _ = predicts(video, "--views", "2x3", "--top", "2")
    assert sum(label in out for label in LABELS) == 2
    assert "b2.mp4" in out and "2 clips x 3 crops" in out


def test_the_default_model_needs_no_network(monkeypatch, capfd, video):
    code, out, err = run(monkeypatch, capfd, "predict", video, "--views", "1x1", "--top", "1")
    assert code == 0, err
    assert any(label in out for label in load_model(DEFAULT_MODEL).heads["verb"].labels)
    assert "knows generated videos alone" in err


def test_it_tells_what_is_seen_and_when(predicts, video):
    """Windows of 13 frames lie side by side; with a threshold of 0 every class is seen from the start to the end."""
    out, _ = predicts(video, "--top", "2", "--threshold", "0")
    assert "b2.mp4" in out and out.partition("action")[0].count("0:00.0 - 0:03.0") == 4  # of verbs and objects
    assert sum(label in out for label in LABELS) == 2
    assert "0:0" not in predicts(video, "--top", "2", "--threshold", "1")[0].partition("action")[0]


def test_many_stretches_are_counted(capsys):
    segments = tuple(Segment("verb", 0, "hold", 2.0 * k, 2.0 * k + 1, 0.9) for k in range(7))
    scores = {"verb": np.array([[0.9, 0.1], [0.2, 0.1]], np.float32)}
    edges = np.array([0.0, 2.0])
    thresholds = {"verb": np.full(2, 0.5)}
    found = Timeline("a", "m", edges, edges + 1, scores, {"verb": ("hold", "[red]put")}, thresholds, segments)
    show_timeline(dataclasses.replace(found, ended="Broke off.", notes=("Some [b]note[/b].",)), "[i]a.mp4", 5)
    out = " ".join(capsys.readouterr().out.split())
    assert "and 3 more" in out and "0:06.0 - 0:07.0" in out and "0:08.0" not in out
    assert all(text in out for text in ("[red]put", "[i]a.mp4", "Broke off.", "Some [b]note[/b]."))


def test_it_prints_a_row_a_window(predicts, video):
    out, _ = predicts(video, "--every", "0.5", "--top", "1")
    starts = [line.split()[0] for line in out.splitlines() if line.startswith("0:0")]
    assert starts == [f"0:0{second / 2:.1f}" for second in range(6)]
    assert "0:02.5 - 0:03.0" in out
    assert out.count("verb") == out.count("object") == out.count("action") == 6


def test_what_is_no_file_comes_as_rows(predicts, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = subprocess.Popen(["sh", "-c", f"cat '{broadcast(tmp_path / 'a.ts', 30)}' > '{pipe}'"])
    out, _ = predicts(pipe)
    assert writer.wait() == 0
    assert out.count("verb") == 3


def test_several_videos_have_their_names(predicts, charades_folder):
    out, _ = predicts(charades_folder / "videos", "--views", "1x1", "--top", "1")
    assert [f"{name}.mp4" in out for name in ("a1", "b2", "c3", "d4", "e5", "f6", "g7", "h8")] == [True] * 8


def test_a_hostile_name_prints_as_text(predicts, video, tmp_path):
    hostile = tmp_path / "[red]\x1b[2J\nname.mp4"
    hostile.write_bytes(video.read_bytes())
    out, _ = predicts(hostile, "--views", "1x1")
    assert "[red]\\x1b[2J\\nname.mp4" in out and "\x1b" not in out


# Forms


def test_json_is_all_of_standard_output(predicts, video):
    out, err = predicts(video, "--json", "--threshold", "0")
    values = json.loads(out)
    assert values["source"] == str(video) and values["duration_seconds"] == 3.0
    assert [one["label"] for one in values["segments"] if one["head"] == "verb"] == list(LABELS)
    assert "windows" not in values and len(values["best"]["verb"]) == 3
    assert "wrote" not in err
    out, _ = predicts(video, "--json", "--scores", "--top", "1", "--every", "1")
    values = json.loads(out)
    assert values["windows"]["start_seconds"] == [0, 1, 2] and len(values["windows"]["scores"]["object"][0]) == 4
    assert len(values["best"]["verb"]) == 1


def test_csv_and_subtitles_on_standard_output(predicts, video):
    out, _ = predicts(video, "--csv", "--threshold", "0")
    rows = list(csv.DictReader(out.splitlines()))
    assert {row["label"] for row in rows if row["head"] == "verb"} == set(LABELS)
    out, _ = predicts(video, "--srt", "--threshold", "0")
    found = cues(out)
    assert found[0][0] == 0 and found[-1][1] == 3000
    assert found[0][2][0].startswith("verb: ")


def test_one_answer_about_the_whole_video(predicts, video):
    out, _ = predicts(video, "--json", "--scores", "--views", "2x1")
    values = json.loads(out)
    assert values["windows"]["end_seconds"] == [3.0] and "2 clips x 1 crops" in values["notes"][0]


def test_files_are_named_after_the_videos(predicts, charades_folder, tmp_path):
    out, err = predicts(charades_folder / "videos" / "*[12].mp4", "--json", "--srt", "--out", tmp_path / "seen" / "new")
    assert out == ""
    names = {"a1.json", "a1.srt", "b2.json", "b2.srt"}
    assert {path.name for path in (tmp_path / "seen" / "new").iterdir()} == names
    assert err.count("wrote") == 4
    assert json.loads((tmp_path / "seen" / "new" / "a1.json").read_text())["source"].endswith("a1.mp4")


def test_nothing_is_written_over_unless_forced(predicts, says_no, video, tmp_path):
    (tmp_path / "b2.json").write_text("mine")
    options = (video, "--json", "--csv", "--out", tmp_path)
    message = says_no(*options)
    assert f"{tmp_path / 'b2.json'} exists. Give another folder with --out DIR, or --force to write over it" in message
    assert (tmp_path / "b2.json").read_text() == "mine" and not (tmp_path / "b2.csv").exists()
    predicts(*options, "--force")
    assert json.loads((tmp_path / "b2.json").read_text())["model"]
    (tmp_path / "dangling").mkdir()
    (tmp_path / "dangling" / "b2.json").symlink_to(tmp_path / "nowhere")
    assert "exists" in says_no(video, "--json", "--out", tmp_path / "dangling")


def test_a_video_is_never_written_over(says_no, video, tmp_path):
    folder = tmp_path / "videos"
    folder.mkdir()
    for name in ("a.mp4", "a.overlay.mp4"):
        (folder / name).write_bytes(video.read_bytes())
    message = says_no(*folder.iterdir(), "--overlay", "--out", folder, "--force")
    assert "a.overlay.mp4 is one of the videos" in message


def test_out_is_a_folder(says_no, video, tmp_path):
    (tmp_path / "file").write_text("x")
    assert "--out must be a folder" in says_no(video, "--json", "--out", tmp_path / "file")


def test_what_cannot_be_written_is_refused_before_the_model_is_loaded(says_no, video, tmp_path, monkeypatch):
    monkeypatch.setattr("kerasfast.train.run.load_model", lambda *_: pytest.fail("a model was loaded"))
    (tmp_path / "file").write_text("x")
    assert "takes no files" in says_no(video, "--json", "--out", tmp_path / "file" / "seen")
    (tmp_path / "b2.json").mkdir()
    assert "b2.json is a folder" in says_no(video, "--json", "--out", tmp_path, "--force")


def test_a_file_that_cannot_be_written_does_not_end_the_other_videos(predicts, video, tmp_path, monkeypatch):
    real = write_form

    def failing(timeline, path, form, **options):
        if path.name == "a1.json":
            raise OSError(28, "No space left on device", str(path))
        return real(timeline, path, form, **options)

    monkeypatch.setattr("kerasfast.cli.predict_forms.write_form", failing)
    _, err = predicts(video.with_name("a1.mp4"), video, "--json", "--out", tmp_path, code=1)
    assert [path.name for path in tmp_path.iterdir()] == ["b2.json"]
    assert "1 of 2 failed" in err and "No space left on device" in err
    assert f"a1.mp4: failed; not written: {tmp_path / 'a1.json'}" in err


def test_names_that_meet(tmp_path):
    same = [tmp_path / "a" / "clip.mp4", tmp_path / "b" / "clip.mp4", tmp_path / "b" / "Clip.avi", "rtsp://x/clip.mp4"]
    names = file_names(same)
    assert names[0] == "clip" and len({name.casefold() for name in names}) == 4
    assert all(name.lower().startswith("clip-") and len(name) == 13 for name in names[1:])
    assert names == file_names(same)
    # A video that is named as another would be after the rule above.
    trap = [*same[:2], tmp_path / f"{names[1]}.mp4"]
    assert len(set(file_names(trap))) == 3


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("../../etc/passwd.mp4", "passwd"),
        ("--force.mp4", "force"),
        (".hidden.mp4", "hidden"),
        ("a\nb<c>:d.mp4", "a_nb_c_d"),
        ("????.mp4", "video"),
        ("küche 2.mp4", "küche_2"),
        ("\U0001f600" * 80 + "x.mp4", "x"),
        ("ü" * 200 + ".mp4", "ü" * 48),
        (0, "video0"),
        ("rtsp://me:secret@10.0.0.7:554", "10.0.0.7_554"),
        ("https://a.example/?v=%2F..%2Fx", "a.example"),
        ("https://a.example/%2e%2e%2fx.mp4", "x"),
    ],
)
def test_names_are_safe(name, safe):
    (found,) = file_names([name if isinstance(name, int) or "://" in name else Path(name)])
    assert found == safe
    assert len((found + max(ENDINGS.values(), key=len) + ".partial").encode()) <= 255


@pytest.mark.parametrize("form", ["timeline", "overlay"])
def test_a_page_and_an_overlay(predicts, video, tmp_path, form):
    _, err = predicts(video, f"--{form}", "--threshold", "0", "--out", tmp_path)
    path = tmp_path / f"b2{ENDINGS[form]}"
    assert f"wrote {path}" in err
    if form == "timeline":
        text = path.read_text("utf-8")
        assert text.lstrip().lower().startswith("<!doctype html>") and "hold" in text
    else:
        with av.open(str(path)) as container:
            assert sum(1 for _ in container.decode(video=0)) >= 71


def test_annotations_are_marked(predicts, says_no, tmp_path):
    """On generated miniature Charades, which the model was trained on another part of."""
    generate(tmp_path / "mini", 1, 1, processes=1)
    annotations = tmp_path / "mini" / "Miniature_v1_test.csv"
    (row,) = csv.DictReader(annotations.read_text().splitlines())
    video = tmp_path / "mini" / "videos" / f"{row['id']}.mp4"
    listed = [line.split() for line in row["actions"].split(";")]
    model = ("--model", "slowfast_nano.miniature", "--truth", annotations, "--out", tmp_path / "seen")
    _, err = predicts(video, "--json", "--timeline", *model)
    assert "has nothing about" not in err and "no class of the model" not in err
    values = json.loads((tmp_path / "seen" / f"{row['id']}.json").read_text())
    actions = [one for one in values["truth"] if one["head"] == "action"]
    assert {one["index"] for one in actions} == {int(number[1:]) for number, _, _ in listed}
    assert min(one["start_seconds"] for one in actions) == min(float(start) for _, start, _ in listed)
    assert {one["head"] for one in values["truth"]} == {"verb", "object", "action"}
    page = (tmp_path / "seen" / f"{row['id']}.html").read_text("utf-8")
    (data,) = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', page, re.DOTALL)
    assert len(json.loads(data)["truth"]) == len(values["truth"]) > 0
    _, err = predicts(next(path for path in video.parent.iterdir() if path != video), "--json", *model)
    assert f"{annotations} has nothing about" in err
    assert "--truth marks annotations. Give it with --json" in says_no(video, "--csv", "--truth", annotations)
    assert "none.csv: cannot be read" in says_no(video, "--json", "--truth", tmp_path / "none.csv")


# What fails


def broadcast(path, frames):
    """A transport stream, which can be read from a pipe."""
    with av.open(str(path), "w", format="mpegts") as container:
        stream = container.add_stream("libx264", rate=24, options={"g": "10", "bf": "0", "crf": "4"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(tiny_frame(index % 70, 64, 48), "rgb24")))
        container.mux(stream.encode())
    return path


def test_a_bad_video_does_not_end_the_others(predicts, video, tmp_path):
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"\x00\x00\x00\x18ftypmp42 and then nothing of use")
    empty = tmp_path / "empty"
    empty.mkdir()
    arguments = (bad, video, tmp_path / "none.mp4", empty, "--json", "--out", tmp_path / "seen")
    _, err = predicts(*arguments, code=1)
    assert [path.name for path in (tmp_path / "seen").iterdir()] == ["b2.json"]
    assert "3 of 4 failed" in err
    for reason in ("bad.mp4: cannot be opened", "none.mp4: no such file", "empty: holds no video"):
        assert reason in err


def test_no_password_is_printed(monkeypatch, capfd, a_run, video, tmp_path):
    address = "http://u:secret@127.0.0.1:1/x.mp4"
    for options in (("--every", "1"), ("--json",), ("--views", "2x1"), ()):
        code, out, err = run(monkeypatch, capfd, "predict", address, *options, "--model", a_run)
        assert code == 2 and "127.0.0.1:1/x.mp4" in err and "secret" not in out + err
    asked = ("predict", address, video, "--json", "--out", tmp_path, "--model", a_run)
    code, out, err = run(monkeypatch, capfd, *asked)
    assert code == 1 and "127.0.0.1:1/x.mp4" in err and "secret" not in out + err


def test_nothing_but_bad_videos(says_no, tmp_path):
    message = says_no(tmp_path / "a.mp4", tmp_path / "b.mp4", "--json")
    assert "a.mp4: no such file" in message and "b.mp4: no such file" in message


@pytest.mark.parametrize("content", [None, b"", b"\x00\x00\x00\x18ftypmp42 and then nothing of use"])
def test_it_refuses_what_is_no_video(content, says_no, tmp_path):
    video = tmp_path / "clip.mp4"
    if content is not None:
        video.write_bytes(content)
    for options in ((), ("--every", "1"), ("--json",)):
        assert "clip.mp4" in says_no(video, *options)


def test_a_broken_video_is_predicted_as_far_as_it_goes(predicts, video, tmp_path):
    fast = strange_videos.remux(video, tmp_path / "fast.mp4", movflags="faststart")
    broken = strange_videos.cut(fast, tmp_path / "broken.mp4", 0.7)
    out, _ = predicts(broken, "--views", "2x1")
    assert "verb" in out and "truncated" in " ".join(out.split())
    out, _ = predicts(broken, "--every", "0.5")
    assert "0:00.5" in out and "Broke off after" in out
    out, err = predicts(broken, "--json")
    assert json.loads(out)["ended"].startswith("Broke off after")
    assert "broken.mp4: Broke off after" in err and "What was seen until then is written." in err


def test_options_that_do_not_go_together(says_no, video, tmp_path):
    assert "Give one" in says_no(video, "--every", "1", "--views", "3x1")
    assert "--live and --all are about windows" in says_no(video, "--live", "--views", "3x1")
    assert "--views 10x1" in says_no(video, "--crops", "1", "--views", "3x1")
    assert "crops must be 1 or 3" in says_no(video, "--crops", "0", "--every", "1")
    assert "every must be a number" in says_no(video, "--every", "0")
    assert "of what is no file rows of scores come" in says_no("987", "--threshold", "0.5")
    for scores in (("--every", "1"), ("--views", "3x1")):
        assert "--threshold says what is seen" in says_no(video, "--threshold", "0.5", *scores)
    assert "--out and --force go with what is written" in says_no(video, "--out", tmp_path)
    assert "--scores goes with --json" in says_no(video, "--csv", "--scores")
    assert "Leave one out" in says_no(video, "--timeline", "--views", "3x1")
    assert "Standard output takes one text of one video" in says_no(video, "--json", "--csv")
    assert "Standard output takes one text of one video" in says_no(video, video.with_name("a1.mp4"), "--json")
    assert "Is the camera there" in says_no("/dev/video987", "--every", "1")
    assert "Is the camera there" in says_no("987")
    assert "--overlay draws on the video again and needs a file" in says_no("987", "--overlay")
    assert "is no file, and views" in says_no("987", "--json", "--views", "2x1")


@pytest.mark.parametrize("text", ["10", "10x", "x3", "10x2", "0x3", "10x3x1", "ten x three", "-1x3"])
def test_views_say_their_rule(says_no, video, text):
    assert "--views is CLIPSxCROPS with 1 or 3 crops, such as 10x3" in says_no(video, f"--views={text}")


def test_views():
    assert parse_views("10x3") == (10, 3) and parse_views(" 4X1 ") == (4, 1)


def test_a_camera_is_a_number_unless_a_file_has_that_name(predicts, video, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "0").write_bytes(video.read_bytes())
    assert json.loads(predicts("0", "--json")[0])["source"] == "0"


def test_it_asks_a_server(monkeypatch, capfd, served, charades_folder, tmp_path):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    _, folder = served
    video = charades_folder / "videos" / "b2.mp4"
    with rest_server({"tiny": folder}) as (host, _):
        asked = ("predict", video, "--host", host, "--model", "tiny", "--card", folder)
        code, out, err = run(monkeypatch, capfd, *asked, "--views", "2x1", "--top", "1")
        assert code == 0, err
        assert any(label in out for label in VERBS) and "class " in out and "b2.mp4, by tiny on" in out
        code, out, err = run(monkeypatch, capfd, *asked, tmp_path, video.with_name("a1.mp4"))
        assert code == 1 and "b2.mp4, by" in out and "a1.mp4, by" in out and "holds no video" in err
        asked = ("predict", video, "--host", host, "--model", "other", "--card", folder)
        assert "answers NOT_FOUND to model 'other'" in refuses(monkeypatch, capfd, *asked)
    assert "UNAVAILABLE" in refuses(monkeypatch, capfd, *asked)
    both = ("--host", host, "--card", folder)
    for options in (("--host", host), ("--card", folder), (*both, "--every", "1"), (*both, "--json")):
        message = refuses(monkeypatch, capfd, "predict", video, "--model", "tiny", *options)
        assert "--host asks a server about a whole video and goes with --card" in message


# Ctrl-C


def interrupt_after(monkeypatch, windows):
    """Ctrl-C arrives while the model is at the window after so many."""
    score, calls = watch_module.score_window, []

    def scoring(*arguments):
        if len(calls) == windows:
            raise KeyboardInterrupt
        calls.append(None)
        return score(*arguments)

    monkeypatch.setattr(watch_module, "score_window", scoring)


def test_what_was_seen_before_an_interrupt_is_written(predicts, charades_folder, tmp_path, monkeypatch):
    interrupt_after(monkeypatch, 6)  # a1 has 4 windows
    videos = [charades_folder / "videos" / f"{name}.mp4" for name in ("a1", "b2", "c3")]
    _, err = predicts(*videos, "--json", "--csv", "--every", "0.5", "--out", tmp_path, code=130)
    assert {path.name for path in tmp_path.iterdir()} == {"a1.json", "a1.csv", "b2.json", "b2.csv"}
    values = json.loads((tmp_path / "b2.json").read_text())
    assert values["ended"] == "Interrupted after 1.0 seconds."
    assert values["duration_seconds"] == pytest.approx(0.5 + 13 / 24, abs=1e-3)
    assert json.loads((tmp_path / "a1.json").read_text())["ended"] is None
    assert "Interrupted. 1 of 3 videos are done." in err


def test_what_was_seen_before_an_interrupt_is_shown(predicts, video, monkeypatch):
    interrupt_after(monkeypatch, 2)
    out, err = predicts(video, "--threshold", "0", code=130)
    assert "0:00.0 - 0:01.1" in out and "Interrupted after 1.1 seconds." in out
    assert "Interrupted. 0 of 1 videos are done." in err


def test_what_failed_before_an_interrupt_is_said(predicts, video, tmp_path, monkeypatch):
    interrupt_after(monkeypatch, 1)
    _, err = predicts(tmp_path / "none.mp4", video, code=130)
    assert "1 of 1 failed" in err and "none.mp4: no such file" in err and "Interrupted. 0 of 2" not in err


def test_an_interrupt_leaves_the_overlay_out(predicts, video, tmp_path, monkeypatch):
    interrupt_after(monkeypatch, 2)
    _, err = predicts(video, "--json", "--overlay", "--every", "0.5", "--out", tmp_path, code=130)
    assert [path.name for path in tmp_path.iterdir()] == ["b2.json"]
    assert "What was seen until then is written, without the overlay." in err


def test_an_interrupt_while_the_overlay_is_drawn_says_what_is_missing(predicts, video, tmp_path, monkeypatch):
    def interrupted(*arguments, progress, **options):
        progress(1, 72)
        raise KeyboardInterrupt

    monkeypatch.setattr("kerasfast.explain.timelines.overlay.write_overlay", interrupted)
    _, err = predicts(video, "--json", "--timeline", "--overlay", "--out", tmp_path, code=130)
    assert {path.name for path in tmp_path.iterdir()} == {"b2.json", "b2.html"}
    assert f"wrote {tmp_path / 'b2.json'}" in err and f"wrote {tmp_path / 'b2.html'}" in err
    assert f"b2.mp4: interrupted; not written: {tmp_path / 'b2.overlay.mp4'}" in err
    assert "Interrupted. 0 of 1 videos are done." in err


def test_an_interrupt_before_anything_was_seen(predicts, video, tmp_path, monkeypatch):
    interrupt_after(monkeypatch, 0)
    _, err = predicts(video, "--json", "--out", tmp_path / "x", code=130)
    assert "interrupted before its first window; nothing was seen" in err
    assert not (tmp_path / "x").exists()


def test_ctrl_c_on_a_silent_source(tmp_path, a_run):
    """The signal itself, in a process of its own that waits for frames which do not come."""
    content = broadcast(tmp_path / "camera.ts", 1500).read_bytes()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    command = [sys.executable, "-m", "kerasfast.cli.main", "predict", pipe, "--model", a_run]
    command += ["--json", "--srt", "--threshold", "0", "--every", "5", "--out", tmp_path / "seen"]
    # A job in the background ignores the signal, and so do the processes that it starts, unless it is handled here.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    finally:
        signal.signal(signal.SIGINT, before)
    delivered, gone = threading.Event(), threading.Event()

    def camera():
        with pipe.open("wb") as file:
            file.write(content)
            file.flush()
            delivered.set()
            gone.wait(120)

    thread = threading.Thread(target=camera, daemon=True)
    thread.start()
    try:
        assert delivered.wait(120)  # more than a pipe holds, so that most of it was taken
        time.sleep(3)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        gone.set()
        thread.join()
    assert process.returncode == 130, err
    assert "Traceback" not in err and out == ""
    assert "Interrupted after" in err and "is written" in err
    values = json.loads((tmp_path / "seen" / "pipe.json").read_text())
    assert values["ended"].startswith("Interrupted after") and values["duration_seconds"] > 20
    assert cues((tmp_path / "seen" / "pipe.srt").read_text())[-1][1] == round(1000 * values["duration_seconds"])


def test_rows_say_where_an_interrupt_came(predicts, video, monkeypatch):
    interrupt_after(monkeypatch, 2)
    out, err = predicts(video, "--every", "0.5", code=130)
    assert out.count("verb") == 2 and "Interrupted. 0 of 1 videos are done." in err
