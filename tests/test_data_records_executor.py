"""Builds by processes: the files of a build by threads, whatever ends in between."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kerasfast.data.annotations import find_videos, read_charades_csv
from kerasfast.data.errors import DataError
from kerasfast.data.labels import read_charades_classes
from kerasfast.data.records.build import build_records

OPTIONS = {"short_side": 48, "quality": 95, "part_videos": 2, "rounds": 4, "processes": 2}


@pytest.fixture
def build(charades_folder, tiny_clip):
    labels = read_charades_classes(charades_folder)
    rows = read_charades_csv(charades_folder / "Tiny_v1_train.csv", labels).rows
    videos = find_videos(rows, charades_folder / "videos")

    def build(out, replaced=None, **options):
        return build_records(rows, videos | (replaced or {}), labels, out, clip=tiny_clip, **OPTIONS | options)

    return build


def contents(folder):
    """Files of the train split and its manifest."""
    files = {path.name: path.read_bytes() for path in folder.glob("train-*")}
    return files, json.loads((folder / "manifest-train.json").read_text())


def test_the_files_are_those_of_threads(build, records_folder, tmp_path):
    done = []
    manifest = build(tmp_path, progress=lambda *counts: done.append(counts))
    assert contents(tmp_path) == contents(records_folder)
    assert {path.name for path in tmp_path.iterdir()} == {shard.name for shard in manifest.shards} | {
        "manifest-train.json"
    }
    assert done[-1] == (5, 5)


def test_a_bad_video(build, tmp_path):
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    bad = {"d4": tmp_path / "bad.mp4"}
    with pytest.raises(DataError, match=r"bad\.mp4: cannot be opened as a video"):
        build(tmp_path / "out", bad)
    assert not list((tmp_path / "out").glob("*.partial"))
    assert not (tmp_path / "out" / "manifest-train.json").exists()
    manifest = build(tmp_path / "out", bad, skip_bad=True, processes=1)
    assert [video["id"] for video in manifest.skipped] == ["d4"]
    assert len(manifest.videos) == 4


KILLED = """
import multiprocessing, os, signal, sys
from pathlib import Path
from kerasfast.data.annotations import find_videos, read_charades_csv
from kerasfast.data.clips import ClipSpec
from kerasfast.data.labels import read_charades_classes
from kerasfast.data.records.build import build_records

def kill(done, total):
    if done:
        print(*(process.pid for process in multiprocessing.active_children()), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    labels = read_charades_classes(folder)
    rows = read_charades_csv(folder / "Tiny_v1_train.csv", labels).rows
    videos = find_videos(rows, folder / "videos")
    options = {"short_side": 48, "quality": 95, "part_videos": 2, "rounds": 4, "processes": 2}
    build_records(rows, videos, labels, sys.argv[2], clip=ClipSpec(8, 2, 24.0), progress=kill, **options)
"""


def test_a_killed_build_takes_its_processes_with_it_and_goes_on(build, charades_folder, records_folder, tmp_path):
    (tmp_path / "build.py").write_text(KILLED)
    out = tmp_path / "out"
    command = [sys.executable, str(tmp_path / "build.py"), str(charades_folder), str(out)]
    process = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.returncode == -signal.SIGKILL
    children = [int(pid) for pid in process.stdout.split()]
    assert len(children) == 2
    deadline = time.monotonic() + 30
    while any(is_alive(child) for child in children):
        assert time.monotonic() < deadline, "processes of a killed build live on"
        time.sleep(0.05)
    assert not (out / "manifest-train.json").exists()
    # Whole shards of a part that was not noted any more are written again.
    noted = [json.loads(path.read_text()) for path in (out / ".build-train").glob("part-*.json")]
    names = [shard["name"] for summary in noted for shard in summary["shards"]]
    finished = {name: (out / name).stat().st_mtime_ns for name in names}
    assert finished
    build(out, processes=1)  # threads go on from what processes left
    assert contents(out) == contents(records_folder)
    after = {path.name: path.stat().st_mtime_ns for path in out.glob("train-*.tfrecord")}
    assert finished.items() <= after.items()  # not written again


def is_alive(pid):
    """Whether there is such a process that has not ended: one nobody waits for stays as a zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
