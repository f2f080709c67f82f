"""The cache under processes that are killed or load at the same time."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from file_server import Answer
from fresh_python import run_python
from published import NAME, PATH, READY, content, expect_weights, names_in, trained

import kerasfast as kf


@pytest.fixture
def zoo(publish):
    """A zoo with the weights of slowfast_nano."""
    publish(content())


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


def test_a_lock_file_without_a_process_does_not_block(zoo, cache_home):
    cache_home.mkdir(parents=True)
    (cache_home / f"{NAME}.lock").write_text("12345")
    expect_weights(kf.load(NAME), trained())


def test_what_a_process_left_that_was_killed_after_porting_goes(zoo, cache_home):
    kf.load(NAME)
    (cache_home / f"{NAME}.NANO.pyth").write_bytes(content())
    kf.load(NAME)
    assert names_in(cache_home) == READY


def test_a_process_killed_while_it_ports(zoo, file_server, cache_home):
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
        run_python(dies + LOADS, file_server.url(PATH), PYTHONPATH=TESTS)
    assert names_in(cache_home) == {f"{NAME}.lock", f"{NAME}.NANO.pyth", f"{NAME}.partial.weights.h5"}
    file_server.files.clear()
    expect_weights(kf.load(NAME), trained())
    assert len(file_server.requests) == 1 and names_in(cache_home) == READY


def test_a_left_over_checkpoint_that_is_damaged(zoo, file_server, cache_home):
    cache_home.mkdir(parents=True)
    (cache_home / f"{NAME}.NANO.pyth").write_bytes(content()[:1000])
    expect_weights(kf.load(NAME), trained())
    assert len(file_server.requests) == 1 and names_in(cache_home) == READY


def test_two_processes_at_once(zoo, file_server, cache_home, tmp_path):
    """The file_server stops in the middle until the second process waits for the first, which then goes on alone."""
    hold = threading.Event()
    file_server.plan = [Answer(cut=400_000, hold=hold)]
    logs = [tmp_path / "first", tmp_path / "second"]
    processes = []
    for log in logs:
        with log.open("w") as file:
            command = [sys.executable, "-c", LOADS, file_server.url(PATH)]
            environment = {**os.environ, "PYTHONPATH": TESTS, "TF_CPP_MIN_LOG_LEVEL": "3"}
            processes.append(subprocess.Popen(command, env=environment, stdout=file, stderr=subprocess.STDOUT))
    waiting = f"Waiting for another process that makes {cache_home / NAME}.weights.h5"
    deadline = time.monotonic() + 240
    while not any(waiting in log.read_text() for log in logs) and time.monotonic() < deadline:
        time.sleep(0.05)
    hold.set()
    assert [process.wait(240) for process in processes] == [0, 0], "\n".join(log.read_text() for log in logs)
    assert sorted(waiting in log.read_text() for log in logs) == [False, True]
    assert file_server.ranges() == [None, "bytes=400000-"] and names_in(cache_home) == READY
