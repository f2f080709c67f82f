"""Downloads from a real HTTP server: cuts, resumption, changed files, refusals, and what is left in the folder."""

import os
import pty
import signal
import subprocess
import sys
import threading
import time
import urllib.error

import numpy as np
import pytest
from file_server import Answer, free_port, serve

from kerasfast import download as module
from kerasfast.download import DownloadError, download

CONTENT = np.random.default_rng(0).bytes(300_000)
OTHER = np.random.default_rng(1).bytes(300_000)
PATH = "/zoo/weights.pyth"


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(module, "WAIT_SECONDS", (0.0,) * 5)
    with serve({PATH: CONTENT}) as running:
        yield running


@pytest.fixture
def file(tmp_path):
    return tmp_path / "weights"


def left_in(file):
    return sorted(path.name for path in file.parent.iterdir())


def start_interrupted(server, file, at=100_000):
    """A part of so many bytes, as a process that was killed leaves it."""
    server.plan = [Answer(cut=at), Answer(404)]
    with pytest.raises(DownloadError):
        download(server.url(PATH), file)
    server.requests.clear()
    part = file.with_name("weights.part")
    assert part.read_bytes() == CONTENT[:at]
    return part


# --- what works ------------------------------------------------------------------------------------------------------


def test_a_file(server, file):
    download(server.url(PATH), file, size=len(CONTENT))
    assert file.read_bytes() == CONTENT and left_in(file) == ["weights"]
    ((path, headers),) = server.requests
    assert path == PATH and headers["User-Agent"].startswith("kerasfast/") and "Range" not in headers
    assert headers["Accept-Encoding"] == "identity"  # a compressed transfer could not be resumed


def test_a_file_on_disk(tmp_path, file):
    (tmp_path / "source").write_bytes(CONTENT)
    download((tmp_path / "source").as_uri(), file)
    assert file.read_bytes() == CONTENT and left_in(file) == ["source", "weights"]


def test_length_unknown(server, file):
    server.usual = Answer(headers={"Content-Length": None})
    download(server.url(PATH), file)
    assert file.read_bytes() == CONTENT


def test_redirections(server, file):
    server.plan = [Answer(302, headers={"Location": "/b"}), Answer(307, headers={"Location": server.url(PATH)})]
    download(server.url("/a"), file)
    assert file.read_bytes() == CONTENT and [path for path, _ in server.requests] == ["/a", "/b", PATH]


# --- cuts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reset", [False, True])
def test_a_cut_transfer_goes_on_where_it_ended(server, file, reset):
    server.plan = [Answer(cut=100_000, reset=reset), Answer(cut=50_000, reset=reset)]
    download(server.url(PATH), file)
    assert file.read_bytes() == CONTENT and left_in(file) == ["weights"]
    first, *rest = server.ranges()
    starts = [int(value.removeprefix("bytes=").removesuffix("-")) for value in rest]
    assert first is None and len(starts) == 2 and starts == sorted(starts)
    if not reset:  # a reset may overtake bytes that were sent
        assert starts == [100_000, 150_000]
    assert all(headers["If-Range"] == '"one"' for _, headers in server.requests[1:])


def test_a_part_of_an_earlier_process_is_resumed(server, file):
    start_interrupted(server, file)
    download(server.url(PATH), file)
    assert file.read_bytes() == CONTENT and server.ranges() == ["bytes=100000-"]


def test_a_whole_part_needs_no_transfer(server, file):
    part = start_interrupted(server, file)
    part.write_bytes(CONTENT)
    download(server.url(PATH), file)
    assert file.read_bytes() == CONTENT and server.ranges() == ["bytes=300000-"]


def test_a_redirected_file_is_resumed(server, file):
    server.plan = [Answer(302, headers={"Location": PATH}), Answer(cut=1000), Answer(302, headers={"Location": PATH})]
    download(server.url("/old"), file)
    assert file.read_bytes() == CONTENT and server.ranges() == [None, None, "bytes=1000-", "bytes=1000-"]


def test_a_killed_process_leaves_a_part_that_is_resumed(server, file):
    hold = threading.Event()
    server.plan = [Answer(cut=200_000, hold=hold)]
    script = (
        "import sys, pathlib; from kerasfast.download import download; download(sys.argv[1], pathlib.Path(sys.argv[2]))"
    )
    process = subprocess.Popen([sys.executable, "-c", script, server.url(PATH), str(file)])
    part = file.with_name("weights.part")
    for _ in range(3000):
        if part.is_file() and part.stat().st_size > 100_000:
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    hold.set()
    have = part.stat().st_size
    assert 100_000 < have <= 200_000
    download(server.url(PATH), file)
    assert file.read_bytes() == CONTENT and server.ranges() == [None, f"bytes={have}-"]


# --- what must not be put together -----------------------------------------------------------------------------------


def test_a_file_that_changed_is_fetched_anew(server, file):
    start_interrupted(server, file)
    server.files[PATH], server.validators = OTHER, {"ETag": '"two"'}
    download(server.url(PATH), file)
    assert file.read_bytes() == OTHER and server.ranges() == ["bytes=100000-"]


def test_a_file_that_changed_between_two_attempts(server, file):
    def change(_):
        server.files[PATH], server.validators = OTHER, {"ETag": '"two"'}

    server.plan = [Answer(cut=1000)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.time, "sleep", change)
        download(server.url(PATH), file)
    assert file.read_bytes() == OTHER


@pytest.mark.parametrize("validators", [{"ETag": '"two"'}, {"Last-Modified": "Tue, 02 Jan 2024 00:00:00 GMT"}])
def test_a_server_that_ignores_the_condition_is_noticed(server, file, validators):
    """It answers with the rest of another file."""
    server.validators = {next(iter(validators)): "Mon, 01 Jan 2024 00:00:00 GMT" if "ETag" not in validators else '"1"'}
    start_interrupted(server, file)
    server.files[PATH], server.validators, server.plan = OTHER, validators, [Answer(ignore_condition=True)]
    download(server.url(PATH), file)
    assert file.read_bytes() == OTHER and server.ranges() == ["bytes=100000-", None]


@pytest.mark.parametrize("content_range", ["bytes 0-299999/300000", "bytes 100000-299998/299999", "bytes", None])
def test_another_range_than_the_one_asked_for(server, file, content_range):
    start_interrupted(server, file)
    server.plan = [Answer(headers={"Content-Range": content_range})]
    download(server.url(PATH), file)
    assert file.read_bytes() == CONTENT and server.ranges() == ["bytes=100000-", None]


def test_a_part_larger_than_the_file(server, file):
    start_interrupted(server, file).write_bytes(CONTENT + b"more")
    download(server.url(PATH), file)
    assert file.read_bytes() == CONTENT and server.ranges() == ["bytes=300004-", None]


def test_a_server_without_ranges(server, file):
    server.usual = Answer(ignore_range=True)
    server.plan = [Answer(cut=100_000)]
    download(server.url(PATH), file)
    assert file.read_bytes() == CONTENT


@pytest.mark.parametrize("validators", [{}, {"ETag": 'W/"weak"'}])
def test_without_a_strong_validator_nothing_is_resumed(server, file, validators):
    server.validators = validators
    server.plan = [Answer(cut=100_000)]
    download(server.url(PATH), file)
    assert file.read_bytes() == CONTENT and server.ranges() == [None, None]


def test_a_part_of_another_address(server, file):
    start_interrupted(server, file)
    server.files["/other"] = OTHER
    download(server.url("/other"), file)
    assert file.read_bytes() == OTHER and server.ranges() == [None]


WRONG_STATES = [None, b"", b"{", b"[]", b'{"url": 1}', b"\xff", b'{"url": "URL", "validator": 1, "total": 300000}']
WRONG_STATES += [b'{"url": "URL", "validator": "\\"one\\"", "total": "many"}']


@pytest.mark.parametrize("state", WRONG_STATES)
def test_a_part_of_unknown_origin(server, file, state):
    start_interrupted(server, file)
    path = file.with_name("weights.part.json")
    path.unlink() if state is None else path.write_bytes(state.replace(b"URL", server.url(PATH).encode()))
    download(server.url(PATH), file)
    assert file.read_bytes() == CONTENT and server.ranges() == [None]


# --- answers that may change -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [500, 503, 429])
def test_an_answer_that_may_change_is_asked_again(server, file, status):
    server.plan = [Answer(status), Answer(status)]
    download(server.url(PATH), file)
    assert file.read_bytes() == CONTENT and len(server.requests) == 3


def test_attempts_are_bounded_and_wait_longer_each_time(server, file, monkeypatch):
    waits = []
    monkeypatch.setattr(module, "WAIT_SECONDS", (1, 2, 4))
    monkeypatch.setattr(module.time, "sleep", waits.append)
    server.usual = Answer(502)
    with pytest.raises(DownloadError, match="could not be fetched: the server answered 502 Bad Gateway"):
        download(server.url(PATH), file)
    assert waits == [1, 2, 4] and len(server.requests) == 4


def test_cut_every_time(server, file):
    server.usual = Answer(cut=10_000)
    with pytest.raises(DownloadError, match=r"the connection ended after 60,000 of 300,000 bytes"):
        download(server.url(PATH), file)
    assert len(server.requests) == 6
    assert left_in(file) == ["weights.part", "weights.part.json"]  # for the next call to resume


def test_a_server_that_stops_sending(server, file, monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT_SECONDS", 0.2)
    hold = threading.Event()
    server.plan = [Answer(cut=100_000, hold=hold)]
    download(server.url(PATH), file)
    hold.set()
    assert file.read_bytes() == CONTENT and server.ranges() == [None, "bytes=100000-"]


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "reason"), [(403, "Forbidden"), (404, "Not Found"), (410, "Gone")])
def test_refused_at_once(server, file, status, reason):
    server.usual = Answer(status)
    message = rf"^{server.url(PATH)} could not be fetched: the server answered {status} {reason}\. Do this instead\.$"
    with pytest.raises(DownloadError, match=message) as caught:
        download(server.url(PATH), file, advice="Do this instead.")
    assert isinstance(caught.value, OSError) and isinstance(caught.value.__cause__, urllib.error.HTTPError)
    assert len(server.requests) == 1 and left_in(file) == []


@pytest.mark.parametrize("host", [f"127.0.0.1:{free_port()}", "no-such-host.invalid"], ids=["closed port", "no host"])
def test_offline_is_said_at_once(file, host, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(module.time, "sleep", lambda _: pytest.fail("there is nothing to wait for"))
    with pytest.raises(
        DownloadError, match=rf"^http://{host}/x could not be fetched: the server cannot be reached \("
    ) as caught:
        download(f"http://{host}/x", file)
    assert isinstance(caught.value.__cause__, urllib.error.URLError)


def test_a_connection_that_is_lost_for_good(server, file, monkeypatch):
    """After a cut the server may come back, so being offline is not believed at once."""
    server.plan = [Answer(cut=1000)]
    waits = []

    def stop(seconds):
        if not waits:
            server.shutdown()
            server.server_close()
        waits.append(seconds)

    monkeypatch.setattr(module.time, "sleep", stop)
    with pytest.raises(DownloadError, match="the server cannot be reached"):
        download(server.url(PATH), file)
    assert len(waits) == 5


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/x", "data:,x", "weights.pyth", ""])
def test_other_schemes(file, url):
    with pytest.raises(DownloadError, match="its scheme is none of https, http, file"):
        download(url, file)


@pytest.mark.parametrize("location", ["file:///etc/hostname", "ftp://127.0.0.1/x", "/loop", "http://[", "data:,x"])
def test_redirected_to_where_it_may_not_be(server, file, location):
    server.usual = Answer(302, headers={"Location": location})
    with pytest.raises(DownloadError, match=r"not allowed|not valid|unknown url type|cannot be reached"):
        download(server.url("/loop"), file)
    assert len(server.requests) <= 11 and not file.exists()


def test_https_is_not_left():
    handler = module._Redirects()
    request = urllib.request.Request("https://a/b")
    assert handler.redirect_request(request, _Closed(), 302, "", {}, "https://c/d").full_url == "https://c/d"
    with pytest.raises(urllib.error.HTTPError):
        handler.redirect_request(request, _Closed(), 302, "", {}, "http://c/d")


class _Closed:
    def close(self):
        pass


def test_a_missing_file_on_disk(tmp_path, file):
    with pytest.raises(DownloadError, match=r"could not be fetched: .*No such file"):
        download((tmp_path / "none").as_uri(), file)


@pytest.mark.parametrize("length", [None, "300000", "99999999999999999999999", "many", "-1"])
def test_no_more_than_the_published_size_is_taken(server, file, length):
    server.usual = Answer(headers={"Content-Length": length})
    with pytest.raises(DownloadError, match="it has more than the 1,000 bytes that it should have"):
        download(server.url(PATH), file, size=1000)
    assert left_in(file) == []


def test_an_announced_length_is_not_allocated(server, file):
    server.usual = Answer(headers={"Content-Length": str(10**14)}, ignore_range=True)
    with pytest.raises(DownloadError, match="ended after 300,000 of 100,000,000,000,000 bytes"):
        download(server.url(PATH), file)
    assert file.with_name("weights.part").stat().st_blocks * 512 < 1 << 20


# --- checks and the disk ---------------------------------------------------------------------------------------------


def test_a_file_that_does_not_pass_is_deleted(server, file):
    def refuse(part):
        assert part.read_bytes() == CONTENT and not file.exists()
        raise ValueError("not this one")

    with pytest.raises(ValueError, match="not this one"):
        download(server.url(PATH), file, check=refuse)
    assert left_in(file) == []
    download(server.url(PATH), file, check=lambda part: None)
    assert file.read_bytes() == CONTENT


def test_a_check_that_breaks_off_keeps_the_part(server, file):
    with pytest.raises(KeyboardInterrupt):
        download(server.url(PATH), file, check=lambda part: (_ for _ in ()).throw(KeyboardInterrupt))
    assert left_in(file) == ["weights.part", "weights.part.json"]


def test_a_full_disk(server, file):
    file.with_name("weights.part").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device") as caught:
        download(server.url(PATH), file)
    assert not isinstance(caught.value, DownloadError) and len(server.requests) == 1


# --- progress --------------------------------------------------------------------------------------------------------


def shown_on_a_terminal(monkeypatch, **options):
    """What `download` writes where standard error is a terminal."""
    master, slave = pty.openpty()
    with os.fdopen(slave, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        monkeypatch.setenv("TERM", "xterm")
        download(**options)
        monkeypatch.undo()
        terminal.write("END")
        terminal.flush()
        text = b""
        while not text.endswith(b"END"):
            text += os.read(master, 65536)
    os.close(master)
    return text.decode()


def test_progress_on_a_terminal(server, file, monkeypatch):
    text = shown_on_a_terminal(monkeypatch, url=server.url(PATH), path=file, title="slowfast_nano.k400")
    assert "slowfast_nano.k400" in text and "300.0/300.0 kB" in text and "left" in text and "/s" in text


def test_no_progress_when_not_asked_for(server, file, monkeypatch):
    assert shown_on_a_terminal(monkeypatch, url=server.url(PATH), path=file, progress=False) == "END"


def test_no_progress_without_a_terminal(server, file, capfd):
    download(server.url(PATH), file)
    assert capfd.readouterr() == ("", "")
