"""`kerasfast embed`: the files that it writes, of one video and of many, some of them broken."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from cli_case import refuses, run

import kerasfast as kf
from kerasfast.data.video_writer import write_video
from kerasfast.explain.features import embed as embed_module

MODEL = ("--model", "slowfast_nano.miniature")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two videos, and below them one more."""
    folder = tmp_path_factory.mktemp("videos")
    (folder / "more").mkdir()
    rng = np.random.default_rng(0)
    for name, frames in (("a.mp4", 70), ("b.mp4", 40), ("more/c.mp4", 33)):
        write_video(folder / name, np.repeat(rng.integers(0, 256, (1, 64, 64, 3), dtype=np.uint8), frames, 0), 24)
    return folder


def test_features_of_a_folder(monkeypatch, capfd, folder, tmp_path):
    arguments = ("embed", folder, *MODEL, "--out", tmp_path / "features")
    code, out, err = run(monkeypatch, capfd, *arguments)
    assert code == 0, err
    assert "320 numbers a window" in out
    table = pq.read_table(tmp_path / "features" / "features.parquet")
    with np.load(tmp_path / "features" / "features.npz") as arrays:
        assert arrays["features"].shape == (7, 320)
        names = arrays["videos"].tolist()
        assert names == table["video"].to_pylist()
        assert names == [str(folder / name) for name in ("a.mp4",) * 3 + ("b.mp4",) * 2 + ("more/c.mp4",) * 2]
        found = kf.embed(kf.load("slowfast_nano.miniature"), folder / "b.mp4")
        np.testing.assert_allclose(arrays["features"][3:5], found.features, atol=1e-5)
        np.testing.assert_allclose(arrays["starts"][:3], [0, 32 / 24, 64 / 24])
    message = refuses(monkeypatch, capfd, *arguments)
    assert "features.npz exists. Give another folder with --out DIR, or --force" in message
    code, _, err = run(monkeypatch, capfd, "embed", folder / "a.mp4", *MODEL, *arguments[-2:], "--force", "--every", 2)
    assert code == 0, err
    assert len(pq.read_table(tmp_path / "features" / "features.parquet")) == 2


def test_a_broken_video_among_others_is_named_and_left_out(monkeypatch, capfd, folder, tmp_path):
    (tmp_path / "bad.mp4").write_text("no video")
    videos = (tmp_path / "bad.mp4", folder / "b.mp4")
    code, out, err = run(monkeypatch, capfd, "embed", *videos, *MODEL, "--out", tmp_path)
    assert code == 1
    assert "1 of 2 failed:" in err and "bad.mp4" in err and "bad.mp4" not in out
    assert len(pq.read_table(tmp_path / "features.parquet")) == 2
    message = refuses(monkeypatch, capfd, "embed", videos[0], *MODEL, "--out", tmp_path / "none")
    assert "bad.mp4" in message
    assert not (tmp_path / "none").exists()


def test_what_cannot_be_written_is_refused_before_the_model_is_loaded(monkeypatch, capfd, folder, tmp_path):
    monkeypatch.setattr("kerasfast.train.run.load_model", lambda *_: pytest.fail("a model was loaded"))
    (tmp_path / "features.parquet").mkdir()
    (tmp_path / "file").write_text("x")
    asked = ("embed", folder, *MODEL, "--force", "--out")
    assert "features.parquet is a folder" in refuses(monkeypatch, capfd, *asked, tmp_path)
    assert "takes no files" in refuses(monkeypatch, capfd, *asked, tmp_path / "file" / "new")


def test_no_password_is_printed(monkeypatch, capfd, folder, tmp_path):
    address = "http://u:secret@127.0.0.1:1/x.mp4"
    for videos, expected in (((address,), 2), ((address, folder / "b.mp4"), 1)):
        code, out, err = run(monkeypatch, capfd, "embed", *videos, *MODEL, "--out", tmp_path)
        assert code == expected and "127.0.0.1:1/x.mp4" in err and "secret" not in out + err
    code, out, err = run(monkeypatch, capfd, "explain", address, *MODEL, "--out", tmp_path)
    assert code == 2 and "127.0.0.1:1/x.mp4" in err and "secret" not in out + err


def test_ctrl_c_writes_what_there_is_and_says_so(monkeypatch, capfd, folder, tmp_path):
    real, calls = embed_module.embed, []

    def interrupted(model, source, **options):
        calls.append(source)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(model, source, **options)

    monkeypatch.setattr(embed_module, "embed", interrupted)
    code, _, err = run(monkeypatch, capfd, "embed", folder, *MODEL, "--out", tmp_path)
    assert code == 130
    assert "Interrupted: 1 of 3 videos are in the files." in " ".join(err.split())
    assert set(pq.read_table(tmp_path / "features.parquet")["video"].to_pylist()) == {str(folder / "a.mp4")}


def test_mistakes_are_one_sentence(monkeypatch, capfd, folder, tmp_path):
    assert "no such file" in refuses(monkeypatch, capfd, "embed", tmp_path / "missing.mp4", *MODEL)
    out = ("--out", tmp_path / "out")
    assert "every must be" in refuses(monkeypatch, capfd, "embed", folder, *MODEL, "--every", "0", *out)
    assert not (tmp_path / "out").exists()
