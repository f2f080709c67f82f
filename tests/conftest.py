"""Shared fixtures: a small dataset in the format of Charades, of real mp4 files, and records built from it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import kerasfast  # noqa: F401 - turns on oneDNN's kernels, whichever test imports TensorFlow first

SHARED = Path(__file__).parents[2] / "shared"

# id -> (width, height, frames, fps). Among them a portrait video, other rates than 24, and one (f6) that is
# shorter than a clip of 8 frames at stride 2.
TINY_VIDEOS = {
    "a1": (64, 48, 48, 24),
    "b2": (96, 72, 72, 24),
    "c3": (80, 60, 45, 30),
    "d4": (72, 96, 36, 24),
    "e5": (64, 64, 24, 12),
    "f6": (64, 48, 12, 24),
    "g7": (96, 72, 60, 24),
    "h8": (64, 48, 40, 24),
}
TINY_CLASSES = {
    "Tiny_v1_verbclasses.txt": ["v000 hold", "v001 put", "v002 turn"],
    "Tiny_v1_objectclasses.txt": ["o000 None", "o001 bag", "o002 door", "o003 light"],
    "Tiny_v1_classes.txt": [
        "c000 Holding a bag",
        "c001 Putting a bag somewhere",
        "c002 Holding a door",
        "c003 Turning around",
        "c004 Turning on a light",
    ],
    "Tiny_v1_mapping.txt": ["c000 o001 v000", "c001 o001 v001", "c002 o002 v000", "c003 o000 v002", "c004 o003 v002"],
}
TINY_ROWS = {
    "Tiny_v1_train.csv": [
        'a1,S1,"Holds a bag, then turns.",c000 0.00 0.90;c003 1.00 2.00,2.00',
        "b2,S1,Opens a door.,c002 0.50 2.80;c001 2.00 3.40;c004 0.00 0.30,3.00",
        "c3,S2,Nothing.,,1.50",
        "d4,S2,Turns.,c003 0.20 1.10,1.50",
        "f6,S3,Light.,c004 0.00 0.50;c000 0.30 0.20,0.50",
    ],
    "Tiny_v1_test.csv": [
        "e5,S4,Holds.,c000 0.10 1.00;c002 0.50 2.00,2.00",
        "g7,S4,Puts and turns.,c001 0.00 1.50;c003 1.00 2.50;c004 2.00 2.50,2.50",
        "h8,S5,Turns.,c003 0.00 1.00,1.67",
    ],
}


def tiny_frame(index: int, width: int, height: int) -> np.ndarray:
    """Grey that tells the frame's number (20 + 3 * number), with a red patch in the top left eighth."""
    frame = np.full((height, width, 3), 20 + 3 * index, np.uint8)
    frame[: height // 8, : width // 8] = (255, 0, 0)
    return frame


def frame_numbers(frames: np.ndarray) -> np.ndarray:
    """The numbers of frames (..., H, W, 3) drawn by `tiny_frame`, by the grey of their lower half."""
    grey = frames[..., frames.shape[-3] // 2 :, :, :].astype(float).mean(axis=(-3, -2, -1))
    return np.round((grey - 19) / 3).astype(int)  # decoding and scaling darken by 0 to 2 levels


@pytest.fixture(scope="session")
def charades_folder(tmp_path_factory) -> Path:
    """A folder of class files and `Tiny_v1_train.csv`, `Tiny_v1_test.csv`, with their videos in `videos/`."""
    from kerasfast.data.video_writer import write_video

    folder = tmp_path_factory.mktemp("charades")
    (folder / "videos").mkdir()
    for name, (width, height, frames, fps) in TINY_VIDEOS.items():
        pictures = (tiny_frame(index, width, height) for index in range(frames))
        write_video(folder / "videos" / f"{name}.mp4", pictures, fps, crf=10)
    for name, lines in TINY_CLASSES.items():
        (folder / name).write_text("\n".join(lines) + "\n")
    for name, lines in TINY_ROWS.items():
        (folder / name).write_text("id,subject,script,actions,length\n" + "\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="session")
def tiny_clip():
    """The clip of `records_folder`: 8 frames at stride 2, 24 frames a second."""
    from kerasfast.data.clips import ClipSpec

    return ClipSpec(frames=8, stride=2, fps=24.0)


@pytest.fixture(scope="session")
def records_folder(charades_folder, tiny_clip, tmp_path_factory) -> Path:
    """Records of `charades_folder`: the splits train (3 shards a round) and test (10 clips a video)."""
    from kerasfast.data.annotations import find_videos, read_charades_csv
    from kerasfast.data.labels import read_charades_classes
    from kerasfast.data.records.build import build_records

    out = tmp_path_factory.mktemp("records")
    labels = read_charades_classes(charades_folder)
    for split in ("train", "test"):
        annotations = read_charades_csv(charades_folder / f"Tiny_v1_{split}.csv", labels)
        videos = find_videos(annotations.rows, charades_folder / "videos")
        stored = {"short_side": 48, "quality": 95, "part_videos": 2, "rounds": 4}
        build_records(annotations, videos, labels, out, clip=tiny_clip, split=split, **stored)
    return out


@pytest.fixture(scope="session")
def served(tmp_path_factory):
    """A small model, and the folder of its versions, of which 1 is exported."""
    from serving_case import small_variant, spread_model

    from kerasfast.serving.saved_model import export

    model, folder = spread_model(small_variant()), tmp_path_factory.mktemp("serving") / "tiny"
    export(model, folder / "1")
    return model, folder


@pytest.fixture
def cache_home(tmp_path, monkeypatch) -> Path:
    """The folder of cached weights, which does not exist yet."""
    monkeypatch.setenv("KERASFAST_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "weights"


@pytest.fixture
def file_server(monkeypatch):
    """A running server, and downloads that do not wait between their attempts."""
    from file_server import serve

    from kerasfast import download

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(download, "WAIT_SECONDS", (0.0,) * 3)
    with serve() as server:
        yield server


@pytest.fixture
def publish(file_server, monkeypatch):
    """A function that serves a file and lets the zoo say that it is the checkpoint of `published.NAME`."""
    import published

    from kerasfast import registry

    def publish(body, url="", **options):
        file_server.files[published.PATH] = body
        rows = published.index_with(url or file_server.url(published.PATH), **options)
        monkeypatch.setattr(registry, "index", lambda: rows)

    return publish


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 300 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(folder)]
    if sys.platform != "linux" or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root on Linux")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium, for one file of tests: while it runs, no other test could start an event loop."""
    from page_case import launch_browser

    with launch_browser() as browser:
        yield browser


def pytest_terminal_summary(terminalreporter):
    """Lists the differences that the tests of parity found, in whichever process."""
    reports = (report for kind in ("passed", "failed") for report in terminalreporter.getreports(kind))
    lines = [value for report in reports for name, value in report.user_properties if name == "parity"]
    if lines:
        terminalreporter.section("largest differences")
    for line in sorted(lines):
        terminalreporter.write_line(line)
