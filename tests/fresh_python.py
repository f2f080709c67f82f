"""A second interpreter, for what only a fresh one can show: what an import pulls in, other backends, other devices."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]


def run_python(script, *arguments, cwd=None, **environment):
    """Standard output of a script run by a fresh interpreter; the test fails with its errors if it fails.

    Args:
        script: Python source; it sees `arguments` in `sys.argv[1:]`.
        *arguments: Turned into strings.
        cwd: Working folder; that of the caller by default.
        **environment: Variables to set for it.
    """
    process = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert process.returncode == 0, f"exit code {process.returncode}\n{process.stdout}\n{process.stderr}"
    return process.stdout
