"""`kerasfast port`: a local checkpoint into the cache, or into a file."""

import published
import pytest
from cli_case import refuses, run
from published import FILES, NAME, content, expect_weights, trained

import kerasfast as kf
from kerasfast import registry


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "NANO.pyth"
    path.write_bytes(content())
    return path


@pytest.fixture
def offline(cache_home, monkeypatch):
    """A zoo whose weights are published where nobody answers."""
    rows = published.index_with("http://nobody.invalid/NANO.pyth")
    monkeypatch.setattr(registry, "index", lambda: rows)
    return cache_home


def test_into_the_cache(monkeypatch, capfd, offline, file):
    code, out, _ = run(monkeypatch, capfd, "port", file, "--as", NAME)
    assert code == 0 and f"{offline / NAME}.weights.h5: 1.2 MB" in out and f'kerasfast.load("{NAME}")' in out
    expect_weights(kf.load(NAME), trained())  # without a network
    assert file.exists()


def test_the_cache_takes_the_published_file_only(monkeypatch, capfd, offline, file):
    rows = published.index_with("http://nobody.invalid/NANO.pyth", sha256="01234567")
    monkeypatch.setattr(registry, "index", lambda: rows)
    message = refuses(monkeypatch, capfd, "port", file, "--as", NAME)
    assert f"{file} is not the published checkpoint of {NAME}: its SHA-256 is" in message
    assert file.exists() and not offline.exists()


@pytest.mark.parametrize("name", [NAME, "slowfast_nano"])
def test_into_a_file(monkeypatch, capfd, offline, file, tmp_path, name):
    """Under the name of an architecture too, with as many classes as the checkpoint has."""
    out_file = tmp_path / "nano.weights.h5"
    code, out, _ = run(monkeypatch, capfd, "port", file, "--as", name, "--out", out_file)
    assert code == 0 and f'kerasfast.load("{name}", weights="{out_file}"' in out
    assert ('heads={"action": 7}' in out) == (name == "slowfast_nano")
    expect_weights(kf.load(name, weights=out_file, heads=published.KINETICS), trained())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["NANO.pyth", "nano.weights.h5"]


def test_the_form_of_a_library_is_named(monkeypatch, capfd, cache_home, tmp_path):
    """A .weights.h5 file does not tell that MMAction2 normalises otherwise; the line that loads it does."""
    file, out_file = tmp_path / "nano.pth", tmp_path / "nano.weights.h5"
    file.write_bytes(FILES["mmaction2"](trained("mmaction2")))
    _, out, _ = run(monkeypatch, capfd, "port", file, "--as", "slowfast_nano", "--out", out_file)
    line = out[out.index("kerasfast.load(") : out.rindex(")") + 1]
    loaded = eval(line, {"kerasfast": kf})
    expect_weights(loaded, trained("mmaction2"))
    assert loaded.variant == kf.load("slowfast_nano", weights=file, heads={"action": 7}, head_pool="global").variant
    assert loaded.variant.pixel_mean == (123.675, 116.28, 103.53)


def test_what_is_refused(monkeypatch, capfd, offline, file, tmp_path):
    assert "Give --out" in refuses(monkeypatch, capfd, "port", file, "--as", "slowfast_nano")
    assert "Give --out" in refuses(monkeypatch, capfd, "port", file, "--as", "slowfast_nano.miniature")
    for out in ("nano.h5", "none/nano.weights.h5"):
        message = refuses(monkeypatch, capfd, "port", file, "--as", NAME, "--out", tmp_path / out)
        assert ".weights.h5 file in a folder that exists" in message
    assert "does not fit the model" in refuses(
        monkeypatch, capfd, "port", file, "--as", "slow_nano", "--out", tmp_path / "a.weights.h5"
    )
    file.write_bytes(b"<html>")
    assert "it is a web page" in refuses(
        monkeypatch, capfd, "port", file, "--as", "slow_nano", "--out", tmp_path / "a.weights.h5"
    )
    assert "There is no weights file" in refuses(
        monkeypatch, capfd, "port", tmp_path / "none", "--as", NAME, "--out", tmp_path / "a.weights.h5"
    )
    assert "There is no checkpoint" in refuses(monkeypatch, capfd, "port", tmp_path / "none", "--as", NAME)
    assert [path.name for path in tmp_path.iterdir()] == ["NANO.pyth"]
