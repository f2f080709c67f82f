"""What is taken from a published checkpoint, and files that are refused in its place."""

import numpy as np
import pytest
from checkpoint_files import torch_legacy, torch_zip, zip_bytes, zip_members
from checkpoint_names import pytorchvideo
from file_server import Answer, free_port
from published import FILES, NAME, PATH, content, expect_weights, names_in, torch_state, trained

import kerasfast as kf
from kerasfast.checkpoints import CheckpointError
from kerasfast.download import DownloadError

LOCAL = r'kerasfast\.load\("slowfast_nano\.k400", weights="path/to/NANO\.pyth"\)'


@pytest.fixture
def zoo(publish):
    """A zoo with the weights of slowfast_nano."""
    publish(content())


# --- what works ------------------------------------------------------------------------------------------------------


def test_the_state_of_the_optimizer_is_not_read(publish, cache_home):
    """Its bytes have a wrong checksum, so that reading them would raise."""
    state = torch_state(trained(), pytorchvideo)
    momentum = {0: torch_state(trained(), lambda name: f"momentum.{name}")}
    for number, tensor in enumerate(momentum[0].values()):
        tensor.args[0].key = f"m{number}"
    members = zip_members({"model_state": state, "optimizer_state": {"state": momentum}, "cfg": "TRAIN:\n"})
    wrong = {name: {"crc": 1} for name, _ in members if "/data/m" in name}
    assert len(wrong) == len(state)
    publish(zip_bytes(members, central=wrong))
    expect_weights(kf.load(NAME), trained())


def test_legacy_container(publish, cache_home):
    publish(torch_legacy({"model_state": torch_state(trained(), pytorchvideo)}))
    expect_weights(kf.load(NAME), trained())


# --- what is refused -------------------------------------------------------------------------------------------------


def poisoned(value):
    state = torch_state(trained(), pytorchvideo)
    storage = next(tensor.args[0] for name, tensor in state.items() if name.endswith("running_var"))
    storage.data = np.float32(value).tobytes() + storage.data[4:]
    return torch_zip({"model_state": state})


REFUSED = {  # how the file differs from the one that was published, and the reason that is given
    "web page": (lambda body: b"<!DOCTYPE html><html>Sign in</html>", "it is a web page, not the file"),
    "git-lfs": (lambda body: b"version https://git-lfs.github.com/spec/v1\noid", "it is a git-lfs pointer"),
    "gzip": (lambda body: b"\x1f\x8b\x08\x00" + body, "it is compressed with gzip"),
    "empty": (lambda body: b"", "it is empty"),
    "truncated": (lambda body: body[:-1000], "the download was cut off"),
    "NaN": (lambda body: poisoned(np.nan), "holds values that are not finite"),
    "variance": (lambda body: poisoned(-1), "holds a negative variance"),
    "incomplete": (
        lambda body: torch_zip({"model_state": dict(list(torch_state(trained(), pytorchvideo).items())[:-1])}),
        r"does not fit the model: head/action/",
    ),
    "family": (lambda body: FILES["pyslowfast"](trained()), "names of pyslowfast where pytorchvideo is expected"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_the_checkpoint_is_refused_and_deleted(case, publish, file_server, cache_home):
    change, reason = REFUSED[case]
    publish(change(content()))
    with pytest.raises(
        CheckpointError, match=rf"{reason}.* It came from {file_server.url(PATH)} and was deleted.*{LOCAL}"
    ):
        kf.load(NAME)
    assert names_in(cache_home) == {f"{NAME}.lock"}


def test_after_a_refusal_the_next_call_succeeds(publish, file_server, cache_home):
    publish(poisoned(np.nan))
    with pytest.raises(CheckpointError):
        kf.load(NAME)
    file_server.files[PATH] = content()
    expect_weights(kf.load(NAME), trained())


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"sha256": "01234567"}, r"NANO\.pyth is not the published .*k400: its SHA-256 is \w{64} where 01234567 is"),
        ({"bytes": 10**6}, r"it has [\d,]+ bytes where 1,000,000 are published"),
    ],
)
def test_another_file_than_the_published_one(publish, file_server, cache_home, options, reason):
    publish(content(), **options)
    with pytest.raises(CheckpointError, match=reason):
        kf.load(NAME)
    assert names_in(cache_home) == {f"{NAME}.lock"}


def test_a_web_page_of_another_length_is_called_so(publish, cache_home):
    publish(b"<html>Not here</html>", bytes=10**6, sha256="01234567")
    with pytest.raises(CheckpointError, match="it has 21 bytes where 1,000,000 are published; it is a web page"):
        kf.load(NAME)


@pytest.mark.parametrize("status", [403, 404, 500, 503])
def test_refusals_name_the_address_and_the_way_out(zoo, file_server, cache_home, status):
    file_server.usual = Answer(status)
    message = rf"^{file_server.url(PATH)} could not be fetched: the server answered {status}.*Fetch it els.*{LOCAL}"
    with pytest.raises(DownloadError, match=message) as caught:
        kf.load(NAME)
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("host", [f"127.0.0.1:{free_port()}", "no-such-host.invalid"], ids=["closed port", "no host"])
def test_offline(publish, cache_home, tmp_path, monkeypatch, host):
    monkeypatch.setenv("no_proxy", "*")
    publish(content(), url=f"http://{host}/NANO.pyth")
    with pytest.raises(DownloadError, match=rf"^http://{host}/NANO\.pyth could not be fetched: .*{LOCAL}"):
        kf.load(NAME)
    (tmp_path / "NANO.pyth").write_bytes(content())
    expect_weights(kf.load(NAME, weights=tmp_path / "NANO.pyth"), trained())
