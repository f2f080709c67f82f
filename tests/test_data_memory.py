import subprocess
import sys

import pytest

# Writes to 32 MB again and again, and prints the page faults of a round once the process has settled.
FAULTS = """
import resource, sys
from kerasfast.data.memory import keep_freed_memory
kept = sys.argv[1] == "kept" and keep_freed_memory()
def work():
    for _ in range(8):
        data = [bytearray(4 << 20) for _ in range(8)]
        del data
work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
work()
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def run(mode, **environment):
    command = [sys.executable, "-c", FAULTS, mode]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    kept, faults = result.stdout.split()
    return kept == "True", int(faults)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's mallopt")
def test_freed_memory_is_used_again():
    path = {"PYTHONPATH": ":".join(filter(None, sys.path))}
    kept, few = run("kept", **path)
    if not kept:
        pytest.skip("the C library is not glibc")
    _, many = run("as it is", **path)
    assert few < many / 10
    # What the environment says stays.
    assert run("kept", MALLOC_TRIM_THRESHOLD_="131072", **path)[0] is False
