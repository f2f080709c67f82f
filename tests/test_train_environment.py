"""What a run says of the machine that it ran on."""

import json
import os

from kerasfast.train.environment import ENVIRONMENT_FILE, machine, write_environment


def test_the_environment_of_a_run_names_versions_and_machine(tmp_path):
    write_environment(tmp_path, seconds=1.5, steps=3)
    found = json.loads((tmp_path / ENVIRONMENT_FILE).read_text("utf-8"))
    assert found["seconds"] == 1.5 and found["steps"] == 3
    assert set(found["versions"]) >= {"python", "kerasfast", "keras", "tensorflow", "numpy"}
    assert found["machine"] == machine()


def test_the_machine_is_this_one():
    found = machine()
    assert 1 <= found["cores"] <= (os.cpu_count() or 1)
    assert found["memory_bytes"] > 2**28
    assert found["processor"] and found["architecture"] in os.uname().machine
    assert isinstance(found["accelerators"], list)
