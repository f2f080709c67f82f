"""`kerasfast.load` by name from a real server: fetched, ported once, cached, and made again where it was damaged."""

import hashlib
import json
import os
from pathlib import Path

import keras
import numpy as np
import pytest
from file_server import Answer
from published import FILES, NAME, PATH, READY, content, expect_weights, names_in, trained

import kerasfast as kf
from kerasfast import cache
from kerasfast.cache import CacheError, cache_folder
from kerasfast.checkpoints import CheckpointError


@pytest.fixture
def zoo(publish):
    """A zoo with the weights of slowfast_nano."""
    publish(content())


# --- the folder ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "folder"),
    [
        ({"KERASFAST_HOME": "/data/models", "XDG_CACHE_HOME": "/x"}, "/data/models/weights"),
        ({"KERASFAST_HOME": "~/models"}, "/home/me/models/weights"),
        ({"KERASFAST_HOME": "", "XDG_CACHE_HOME": "/x"}, "/x/kerasfast/weights"),
        ({"XDG_CACHE_HOME": "relative"}, "/home/me/.cache/kerasfast/weights"),
        ({}, "/home/me/.cache/kerasfast/weights"),
    ],
)
def test_where_the_cache_is(monkeypatch, variables, folder):
    for name in ("KERASFAST_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": "/home/me", **variables}.items():
        monkeypatch.setenv(name, value)
    assert cache_folder() == Path(folder)


def test_no_home_folder(monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    for name in ("KERASFAST_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(CacheError, match="Set the environment variable KERASFAST_HOME"):
        cache_folder()


# --- what works ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FILES)
def test_fetched_ported_and_cached(family, publish, file_server, cache_home, capsys):
    body = FILES[family](trained(family))
    digest = hashlib.sha256(body).hexdigest()
    publish(body, family=family, sha256=digest[:8].upper(), bytes=len(body))
    expect_weights(kf.load(NAME), trained(family))
    assert capsys.readouterr() == ("", "")  # no progress bar where there is no terminal
    assert len(file_server.requests) == 1 and names_in(cache_home) == READY
    card = json.loads((cache_home / f"{NAME}.json").read_text())
    assert card["sha256"] == hashlib.sha256((cache_home / f"{NAME}.weights.h5").read_bytes()).hexdigest()
    assert card["source"] == {"url": file_server.url(PATH), "sha256": digest, "bytes": len(body)}
    file_server.files.clear()
    expect_weights(kf.load(NAME), trained(family))
    assert len(file_server.requests) == 1


def test_the_cached_weights_serve_every_kind_of_load(zoo, file_server, cache_home):
    kf.load(NAME)
    tuned = kf.load(NAME, heads={"verb": 3}, dtype="mixed_bfloat16", bn="frozen")
    assert {name.rpartition("/")[0] for name in tuned.load_report.new} == {"head/verb"}
    expect_weights(kf.load("slowfast_nano", weights=NAME), trained())
    assert kf.load(NAME, features_only=True).load_report.new == ()
    assert kf.load(NAME, weights=False).load_report is None
    assert len(file_server.requests) == 1


def test_new_heads_do_not_depend_on_the_cache(zoo, cache_home):
    kernels = []
    for _ in range(2):  # the first call ports
        keras.utils.set_random_seed(7)
        loaded = kf.load(NAME, heads={"verb": 3})
        kernels.append(np.asarray(loaded.get_layer("head_verb").kernel.value))
    np.testing.assert_array_equal(*kernels)


def test_a_published_hash_may_be_whole(publish, cache_home):
    publish(content(), sha256=hashlib.sha256(content()).hexdigest())
    expect_weights(kf.load(NAME), trained())


def test_a_cut_transfer_is_resumed(zoo, file_server, cache_home):
    file_server.plan = [Answer(cut=500_000)]
    expect_weights(kf.load(NAME), trained())
    assert file_server.ranges() == [None, "bytes=500000-"]


def test_a_wrong_argument_is_noticed_before_anything_is_fetched(zoo, file_server, cache_home):
    with pytest.raises(ValueError, match="no field 'lateral_kernal'"):
        kf.load(NAME, lateral_kernal=3)
    assert file_server.requests == []


@pytest.mark.parametrize("enabled", [True, False])
def test_progress_follows_the_logging_of_keras(zoo, cache_home, monkeypatch, enabled):
    """`keras.config.disable_interactive_logging()` is the way to ask for silence."""
    asked = []
    real = cache.download
    monkeypatch.setattr(cache, "download", lambda *a, progress, **k: asked.append(progress) or real(*a, **k))
    monkeypatch.setattr(keras.config, "is_interactive_logging_enabled", lambda: enabled)
    kf.load(NAME)
    assert asked == [enabled]


# --- damage ----------------------------------------------------------------------------------------------------------


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


DAMAGED = {
    "a bit": lambda home: flip(home / f"{NAME}.weights.h5"),
    "truncated": lambda home: os.truncate(home / f"{NAME}.weights.h5", 1000),
    "card": lambda home: (home / f"{NAME}.json").write_text("[]"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged_weights_are_made_again_with_a_warning(case, zoo, file_server, cache_home):
    kf.load(NAME)
    DAMAGED[case](cache_home)
    with pytest.warns(UserWarning, match=rf"weights of slowfast_nano\.k400 in {cache_home} are damaged") as caught:
        expect_weights(kf.load(NAME), trained())
    told = [Path(warning.filename).name for warning in caught if warning.category is UserWarning]
    assert told == ["test_cache.py"]  # the line that called kerasfast.load
    assert len(file_server.requests) == 2 and names_in(cache_home) == READY


def change_card(cache_home, **fields):
    path = cache_home / f"{NAME}.json"
    card = json.loads(path.read_text())
    path.write_text(json.dumps({**card, **fields}))


STALE = {
    "no weights": lambda home: (home / f"{NAME}.weights.h5").unlink(),
    "no card": lambda home: (home / f"{NAME}.json").unlink(),
    "format": lambda home: change_card(home, format=cache.FORMAT + 1),
    "address": lambda home: change_card(home, source={"url": "http://elsewhere", "sha256": "0", "bytes": 1}),
}


@pytest.mark.parametrize("case", STALE)
def test_what_another_version_left_is_replaced(case, zoo, file_server, cache_home):
    kf.load(NAME)
    STALE[case](cache_home)
    expect_weights(kf.load(NAME), trained())  # a warning would be an error here
    assert len(file_server.requests) == 2


def test_another_published_hash_makes_the_weights_stale(publish, file_server, cache_home):
    publish(content())
    kf.load(NAME)
    publish(content(), sha256="01234567")
    with pytest.raises(CheckpointError, match="its SHA-256 is"):
        kf.load(NAME)
    publish(content(), sha256=hashlib.sha256(content()).hexdigest()[:8])
    kf.load(NAME)  # what was cached under this hash is still there
    assert len(file_server.requests) == 2


# --- disk and permissions --------------------------------------------------------------------------------------------


@pytest.fixture
def not_root(tmp_path):
    """Permissions do not bind root."""
    if os.geteuid() != 0:
        yield
        return
    closed = [(folder, mode) for folder in tmp_path.parents if not (mode := folder.stat().st_mode) & 0o001]
    for folder, mode in [*closed, (tmp_path, tmp_path.stat().st_mode)]:
        folder.chmod(mode | 0o011)
    os.seteuid(65534)
    yield
    os.seteuid(0)
    for folder, mode in closed:
        folder.chmod(mode)


def test_a_read_only_cache_that_holds_the_weights(zoo, cache_home, request):
    kf.load(NAME)
    cache_home.chmod(0o555)
    request.getfixturevalue("not_root")
    with pytest.raises(PermissionError):
        (cache_home / "probe").touch()
    expect_weights(kf.load(NAME), trained())


def test_a_read_only_cache_without_the_weights(zoo, file_server, cache_home, request):
    cache_home.mkdir(parents=True)
    cache_home.chmod(0o555)
    request.getfixturevalue("not_root")
    with pytest.raises(CacheError, match=rf"{cache_home} cannot be used \(Permission denied\).*KERASFAST_HOME"):
        kf.load(NAME)
    assert file_server.requests == []


def test_a_file_in_the_place_of_the_cache(zoo, cache_home):
    cache_home.parent.write_text("")
    with pytest.raises(CacheError, match=rf"{cache_home} cannot be used \(Not a directory\).*KERASFAST_HOME"):
        kf.load(NAME)


@pytest.mark.parametrize("file", ["NANO.pyth.part", "partial.weights.h5", "json.partial"])
def test_a_full_disk(zoo, cache_home, file):
    """Wherever it happens; what is complete is used by the next call."""
    cache_home.mkdir(parents=True)
    full = cache_home / f"{NAME}.{file}"
    full.symlink_to("/dev/full")
    with pytest.raises(CacheError, match=r"cannot be used \(No space left on device\).*on a disk with room"):
        kf.load(NAME)
    full.unlink(missing_ok=True)
    expect_weights(kf.load(NAME), trained())
