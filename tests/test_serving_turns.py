"""Real processes that take turns."""

import sys
import time
from pathlib import Path

import pytest

from kerasfast.serving.turns import Runner, TooSlowError, TurnError, memory_mib

COUNTER = """
import sys, time
from kerasfast.serving.turns import take_turns

calls = []

def prepare():
    print("a greeting on standard output")
    def run():
        calls.append(bytearray(int(sys.argv[1]) << 20) if not calls else 0)
        time.sleep(0.02)
        if len(calls) > 4:
            raise SystemExit("no more")
    return run, {"answer": 42}

take_turns(prepare)
"""


def runner(script, *arguments, **options):
    return Runner([sys.executable, "-c", script, *map(str, arguments)], **options)


def test_turns():
    with runner(COUNTER, 64) as counter:
        ready = counter.ready()
        assert ready["facts"] == {"answer": 42}
        assert ready["first_seconds"] >= 0.02
        if sys.platform == "linux":  # the first run took 64 MiB
            assert 60 < ready["peak_mib"] - ready["resting_mib"] < 80
        seconds = counter.turn(3)["seconds"]
        assert len(seconds) == 3
        assert min(seconds) >= 0.02
        with pytest.raises(TurnError, match=r"ended with exit code 1\. It wrote: no more"):
            counter.turn()
        with pytest.raises(TurnError, match="ended before its turn"):
            counter.turn()


def test_a_process_that_fails_to_prepare():
    with runner("raise ValueError('no such kernel')") as broken, pytest.raises(TurnError, match="no such kernel"):
        broken.ready()


def test_the_time_limit():
    with (
        runner("import time; time.sleep(60)", timeout=0.2) as slow,
        pytest.raises(TooSlowError, match=r"no answer within 0\.2 s"),
    ):
        slow.ready()


def test_the_limit_of_the_first_run():
    with runner(COUNTER, 1) as counter, pytest.raises(TooSlowError, match=r"no answer within 0\.01 s"):
        counter.ready(limit=0.01)


def test_the_end_of_the_block_ends_the_process():
    with runner(COUNTER, 1) as counter:
        counter.ready()
    assert counter.process.poll() == 0


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's count of memory is Linux'")
def test_an_idle_process_takes_no_time():
    with runner(COUNTER, 1) as counter:
        counter.ready()

        def ticks():
            stat = Path(f"/proc/{counter.process.pid}/stat").read_text()
            return sum(map(int, stat.rpartition(")")[2].split()[11:13]))

        before = ticks()
        time.sleep(0.3)
        assert ticks() - before <= 2
        assert memory_mib("VmHWM") >= memory_mib("VmRSS") > 1
