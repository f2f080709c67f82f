"""Progress bars and a quiet start of TensorFlow."""

import os
import subprocess
import sys

from kerasfast.cli.console import example, progress


def test_progress_takes_done_and_total(capfd):
    with progress("Counting") as report:
        for done in range(1, 4):
            report(done, 3)
    assert "3/3" in capfd.readouterr().err


def test_example_is_one_line():
    assert example("kerasfast list").startswith("Example:")


def test_tensorflow_starts_without_greetings():
    code = "import sys, kerasfast.cli.console as c; c.start_tensorflow(); print('done', file=sys.stderr)"
    environment = {key: value for key, value in os.environ.items() if key != "TF_CPP_MIN_LOG_LEVEL"}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert ran.stderr.splitlines() == ["done"]
