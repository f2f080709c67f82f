"""`kerasfast.load` by name from a real server: fetched, checked, ported once, cached, and healed."""

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import keras
import numpy as np
import published
import pytest
from checkpoint_files import torch_legacy, torch_zip, zip_bytes, zip_members
from checkpoint_names import pytorchvideo
from file_server import Answer, free_port, serve
from fresh_python import run_python
from published import FILES, NAME, torch_state

import kerasfast as kf
from kerasfast import cache, download, registry
from kerasfast.cache import CacheError, cache_folder
from kerasfast.checkpoints import CheckpointError
from kerasfast.download import DownloadError
from kerasfast.weights import canonical_weights

PATH = "/zoo/NANO.pyth"
LOCAL = r'kerasfast\.load\("slowfast_nano\.k400", weights="path/to/NANO\.pyth"\)'


@pytest.fixture(scope="module")
def model():
    return published.trained()


@pytest.fixture(scope="module")
def content(model):
    return FILES["pytorchvideo"](model)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The folder of cached weights."""
    monkeypatch.setenv("KERASFAST_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "weights"


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(download, "WAIT_SECONDS", (0.0,) * 3)
    with serve() as running:
        yield running


@pytest.fixture
def publish(server, content, monkeypatch):
    """Serves a file and lets the zoo name it."""

    def publish(body=content, url="", **options):
        server.files[PATH] = body
        rows = published.index_with(url or server.url(PATH), **options)
        monkeypatch.setattr(registry, "index", lambda: rows)

    return publish


@pytest.fixture
def zoo(publish):
    publish()


def names_in(home):
    return {path.name for path in home.iterdir()}


READY = {f"{NAME}.weights.h5", f"{NAME}.json", f"{NAME}.lock"}


def expect_weights(loaded, model):
    assert loaded.load_report.new == loaded.load_report.skipped == ()
    expected = canonical_weights(model)
    for name, weight in canonical_weights(loaded).items():
        np.testing.assert_array_equal(np.asarray(weight.value), np.asarray(expected[name].value), err_msg=name)


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
def test_fetched_ported_and_cached(family, publish, server, home, capfd):
    model = published.trained(family)
    body = FILES[family](model)
    digest = hashlib.sha256(body).hexdigest()
    publish(body, family=family, sha256=digest[:8].upper(), bytes=len(body))
    expect_weights(kf.load(NAME), model)
    assert capfd.readouterr() == ("", "")  # no progress bar where there is no terminal
    assert len(server.requests) == 1 and names_in(home) == READY
    card = json.loads((home / f"{NAME}.json").read_text())
    assert card["sha256"] == hashlib.sha256((home / f"{NAME}.weights.h5").read_bytes()).hexdigest()
    assert card["source"] == {"url": server.url(PATH), "sha256": digest, "bytes": len(body)}
    server.files.clear()
    expect_weights(kf.load(NAME), model)
    assert len(server.requests) == 1


def test_the_cached_weights_serve_every_kind_of_load(zoo, server, home, model):
    kf.load(NAME)
    tuned = kf.load(NAME, heads={"verb": 3}, dtype="mixed_bfloat16", bn="frozen")
    assert {name.rpartition("/")[0] for name in tuned.load_report.new} == {"head/verb"}
    expect_weights(kf.load("slowfast_nano", weights=NAME), model)
    assert kf.load(NAME, features_only=True).load_report.new == ()
    assert kf.load(NAME, weights=False).load_report is None
    assert len(server.requests) == 1


def test_new_heads_do_not_depend_on_the_cache(zoo, home):
    kernels = []
    for _ in range(2):  # the first call ports
        keras.utils.set_random_seed(7)
        loaded = kf.load(NAME, heads={"verb": 3})
        kernels.append(np.asarray(loaded.get_layer("head_verb").kernel.value))
    np.testing.assert_array_equal(*kernels)


def test_a_published_hash_may_be_whole(publish, content, home, model):
    publish(sha256=hashlib.sha256(content).hexdigest())
    expect_weights(kf.load(NAME), model)


def test_a_cut_transfer_is_resumed(zoo, server, content, home, model):
    server.plan = [Answer(cut=500_000)]
    expect_weights(kf.load(NAME), model)
    assert server.ranges() == [None, "bytes=500000-"]


def test_the_state_of_the_optimizer_is_not_read(publish, model, home):
    """Its bytes have a wrong checksum, so that reading them would raise."""
    state = torch_state(model, pytorchvideo)
    momentum = {0: torch_state(model, lambda name: f"momentum.{name}")}
    for number, tensor in enumerate(momentum[0].values()):
        tensor.args[0].key = f"m{number}"
    members = zip_members({"model_state": state, "optimizer_state": {"state": momentum}, "cfg": "TRAIN:\n"})
    wrong = {name: {"crc": 1} for name, _ in members if "/data/m" in name}
    assert len(wrong) == len(state)
    publish(zip_bytes(members, central=wrong))
    expect_weights(kf.load(NAME), model)


def test_legacy_container(publish, model, home):
    publish(torch_legacy({"model_state": torch_state(model, pytorchvideo)}))
    expect_weights(kf.load(NAME), model)


def test_a_wrong_argument_is_noticed_before_anything_is_fetched(zoo, server, home):
    with pytest.raises(ValueError, match="no field 'lateral_kernal'"):
        kf.load(NAME, lateral_kernal=3)
    assert server.requests == []


@pytest.mark.parametrize("enabled", [True, False])
def test_progress_follows_the_logging_of_keras(zoo, home, monkeypatch, enabled):
    """`keras.config.disable_interactive_logging()` is the way to ask for silence."""
    asked = []
    real = cache.download
    monkeypatch.setattr(cache, "download", lambda *a, progress, **k: asked.append(progress) or real(*a, **k))
    monkeypatch.setattr(keras.config, "is_interactive_logging_enabled", lambda: enabled)
    kf.load(NAME)
    assert asked == [enabled]


# --- what is refused -------------------------------------------------------------------------------------------------


def poisoned(model, value):
    state = torch_state(model, pytorchvideo)
    storage = next(tensor.args[0] for name, tensor in state.items() if name.endswith("running_var"))
    storage.data = np.float32(value).tobytes() + storage.data[4:]
    return torch_zip({"model_state": state})


REFUSED = {  # how the file differs from the one that was published, and the reason that is given
    "web page": (lambda body, _: b"<!DOCTYPE html><html>Sign in</html>", "it is a web page, not the file"),
    "git-lfs": (lambda body, _: b"version https://git-lfs.github.com/spec/v1\noid", "it is a git-lfs pointer"),
    "gzip": (lambda body, _: b"\x1f\x8b\x08\x00" + body, "it is compressed with gzip"),
    "empty": (lambda body, _: b"", "it is empty"),
    "truncated": (lambda body, _: body[:-1000], "the download was cut off"),
    "NaN": (lambda _, model: poisoned(model, np.nan), "holds values that are not finite"),
    "variance": (lambda _, model: poisoned(model, -1), "holds a negative variance"),
    "incomplete": (
        lambda _, model: torch_zip({"model_state": dict(list(torch_state(model, pytorchvideo).items())[:-1])}),
        r"does not fit the model: head/action/",
    ),
    "family": (lambda _, model: FILES["pyslowfast"](model), "names of pyslowfast where pytorchvideo is expected"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_the_checkpoint_is_refused_and_deleted(case, publish, server, content, home, model):
    change, reason = REFUSED[case]
    publish(change(content, model))
    with pytest.raises(CheckpointError, match=rf"{reason}.* It came from {server.url(PATH)} and was deleted.*{LOCAL}"):
        kf.load(NAME)
    assert names_in(home) == {f"{NAME}.lock"}


def test_after_a_refusal_the_next_call_succeeds(publish, server, content, home, model):
    publish(poisoned(model, np.nan))
    with pytest.raises(CheckpointError):
        kf.load(NAME)
    server.files[PATH] = content
    expect_weights(kf.load(NAME), model)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"sha256": "01234567"}, r"NANO\.pyth is not the published .*k400: its SHA-256 is \w{64} where 01234567 is"),
        ({"bytes": 10**6}, r"it has [\d,]+ bytes where 1,000,000 are published"),
    ],
)
def test_another_file_than_the_published_one(publish, server, home, options, reason):
    publish(**options)
    with pytest.raises(CheckpointError, match=reason):
        kf.load(NAME)
    assert names_in(home) == {f"{NAME}.lock"}


def test_a_web_page_of_another_length_is_called_so(publish, home):
    publish(b"<html>Not here</html>", bytes=10**6, sha256="01234567")
    with pytest.raises(CheckpointError, match="it has 21 bytes where 1,000,000 are published; it is a web page"):
        kf.load(NAME)


@pytest.mark.parametrize("status", [403, 404, 500, 503])
def test_refusals_name_the_address_and_the_way_out(zoo, server, home, status):
    server.usual = Answer(status)
    message = rf"^{server.url(PATH)} could not be fetched: the server answered {status}.*Fetch it elsewhere.*{LOCAL}"
    with pytest.raises(DownloadError, match=message) as caught:
        kf.load(NAME)
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("host", [f"127.0.0.1:{free_port()}", "no-such-host.invalid"])
def test_offline(publish, content, home, model, tmp_path, monkeypatch, host):
    monkeypatch.setenv("no_proxy", "*")
    publish(url=f"http://{host}/NANO.pyth")
    with pytest.raises(DownloadError, match=rf"^http://{host}/NANO\.pyth could not be fetched: .*{LOCAL}"):
        kf.load(NAME)
    (tmp_path / "NANO.pyth").write_bytes(content)
    expect_weights(kf.load(NAME, weights=tmp_path / "NANO.pyth"), model)


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
def test_damaged_weights_are_made_again_with_a_warning(case, zoo, server, home, model):
    kf.load(NAME)
    DAMAGED[case](home)
    with pytest.warns(UserWarning, match=rf"weights of slowfast_nano\.k400 in {home} are damaged") as caught:
        expect_weights(kf.load(NAME), model)
    told = [Path(warning.filename).name for warning in caught if warning.category is UserWarning]
    assert told == ["test_cache.py"]  # the line that called kerasfast.load
    assert len(server.requests) == 2 and names_in(home) == READY


def change_card(home, **fields):
    path = home / f"{NAME}.json"
    card = json.loads(path.read_text())
    path.write_text(json.dumps({**card, **fields}))


STALE = {
    "no weights": lambda home: (home / f"{NAME}.weights.h5").unlink(),
    "no card": lambda home: (home / f"{NAME}.json").unlink(),
    "format": lambda home: change_card(home, format=cache.FORMAT + 1),
    "address": lambda home: change_card(home, source={"url": "http://elsewhere", "sha256": "0", "bytes": 1}),
}


@pytest.mark.parametrize("case", STALE)
def test_what_another_version_left_is_replaced(case, zoo, server, home, model):
    kf.load(NAME)
    STALE[case](home)
    expect_weights(kf.load(NAME), model)  # a warning would be an error here
    assert len(server.requests) == 2


def test_another_published_hash_makes_the_weights_stale(publish, content, server, home):
    publish()
    kf.load(NAME)
    publish(sha256="01234567")
    with pytest.raises(CheckpointError, match="its SHA-256 is"):
        kf.load(NAME)
    publish(sha256=hashlib.sha256(content).hexdigest()[:8])
    kf.load(NAME)  # what was cached under this hash is still there
    assert len(server.requests) == 2


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


def test_a_read_only_cache_that_holds_the_weights(zoo, home, model, request):
    kf.load(NAME)
    home.chmod(0o555)
    request.getfixturevalue("not_root")
    with pytest.raises(PermissionError):
        (home / "probe").touch()
    expect_weights(kf.load(NAME), model)


def test_a_read_only_cache_without_the_weights(zoo, server, home, request):
    home.mkdir(parents=True)
    home.chmod(0o555)
    request.getfixturevalue("not_root")
    with pytest.raises(CacheError, match=rf"{home} cannot be used \(Permission denied\).*KERASFAST_HOME"):
        kf.load(NAME)
    assert server.requests == []


def test_a_file_in_the_place_of_the_cache(zoo, home):
    home.parent.write_text("")
    with pytest.raises(CacheError, match=rf"{home} cannot be used \(Not a directory\).*KERASFAST_HOME"):
        kf.load(NAME)


@pytest.mark.parametrize("file", ["NANO.pyth.part", "partial.weights.h5", "json.partial"])
def test_a_full_disk(zoo, home, file, model):
    """Wherever it happens; what is complete is used by the next call."""
    home.mkdir(parents=True)
    full = home / f"{NAME}.{file}"
    full.symlink_to("/dev/full")
    with pytest.raises(CacheError, match=r"cannot be used \(No space left on device\).*on a disk with room"):
        kf.load(NAME)
    full.unlink(missing_ok=True)
    expect_weights(kf.load(NAME), model)


# --- processes -------------------------------------------------------------------------------------------------------

LOADS = f"""
import sys
import published
rows = published.index_with(sys.argv[1])
import kerasfast as kf
from kerasfast import registry
registry.index = lambda: rows
model = kf.load("{NAME}")
assert model.load_report.new == model.load_report.skipped == ()
print(len(model.load_report.loaded))
"""
TESTS = str(Path(__file__).parent)


def test_a_lock_file_without_a_process_does_not_block(zoo, home, model):
    home.mkdir(parents=True)
    (home / f"{NAME}.lock").write_text("12345")
    expect_weights(kf.load(NAME), model)


def test_a_process_killed_while_it_ports(zoo, server, home, model):
    """It leaves the checkpoint and half of the weights; the next needs no network."""
    dies = """
import os, signal
from kerasfast.models.classifier import VideoClassifier

def save(self, path):
    open(path, "wb").write(bytes(10_000))
    os.kill(os.getpid(), signal.SIGKILL)

VideoClassifier.save_weights = save
"""
    with pytest.raises(AssertionError, match="exit code -9"):
        run_python(dies + LOADS, server.url(PATH), PYTHONPATH=TESTS)
    assert names_in(home) == {f"{NAME}.lock", f"{NAME}.NANO.pyth", f"{NAME}.partial.weights.h5"}
    server.files.clear()
    expect_weights(kf.load(NAME), model)
    assert len(server.requests) == 1 and names_in(home) == READY


def test_a_left_over_checkpoint_that_is_damaged(zoo, server, content, home, model):
    home.mkdir(parents=True)
    (home / f"{NAME}.NANO.pyth").write_bytes(content[:1000])
    expect_weights(kf.load(NAME), model)
    assert len(server.requests) == 1 and names_in(home) == READY


def test_two_processes_at_once(zoo, server, home, tmp_path):
    """The server stops in the middle until the second process waits for the first, which then goes on alone."""
    hold = threading.Event()
    server.plan = [Answer(cut=400_000, hold=hold)]
    logs = [tmp_path / "first", tmp_path / "second"]
    processes = []
    for log in logs:
        with log.open("w") as file:
            command = [sys.executable, "-c", LOADS, server.url(PATH)]
            environment = {**os.environ, "PYTHONPATH": TESTS, "TF_CPP_MIN_LOG_LEVEL": "3"}
            processes.append(subprocess.Popen(command, env=environment, stdout=file, stderr=subprocess.STDOUT))
    waiting = f"Waiting for another process that makes {home / NAME}.weights.h5"
    deadline = time.monotonic() + 240
    while not any(waiting in log.read_text() for log in logs) and time.monotonic() < deadline:
        time.sleep(0.05)
    hold.set()
    assert [process.wait(240) for process in processes] == [0, 0], "\n".join(log.read_text() for log in logs)
    assert sorted(waiting in log.read_text() for log in logs) == [False, True]
    assert server.ranges() == [None, "bytes=400000-"] and names_in(home) == READY
