"""Files, folders, patterns, addresses and cameras."""

import os
from pathlib import Path

import pytest

from kerasfast.data.errors import DataError
from kerasfast.explain.sources import find_sources, is_camera, is_file, shown, title


@pytest.fixture
def folder(tmp_path):
    """A tree of files, of which four are videos."""
    for name in ("b.mp4", "a.MKV", "notes.txt", "._b.mp4", "deep/er/c.webm", "deep/d.avi", ".trash/e.mp4", "x/f.h264"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path


def names(folder, found):
    return [path.relative_to(folder).as_posix() for path in found]


def test_a_folder_gives_its_videos_at_any_depth(folder):
    assert names(folder, find_sources(folder)) == ["a.MKV", "b.mp4", "deep/d.avi", "deep/er/c.webm"]
    assert find_sources(str(folder)) == find_sources(folder)


def test_a_link_in_a_circle_does_not_hang(folder):
    (folder / "deep" / "again").symlink_to(folder, target_is_directory=True)
    assert len(find_sources(folder)) == 4


def test_patterns(folder):
    assert names(folder, find_sources(f"{folder}/*.mp4")) == ["b.mp4"]
    assert names(folder, find_sources(f"{folder}/*")) == ["a.MKV", "b.mp4", "deep/d.avi", "deep/er/c.webm"]
    assert names(folder, find_sources(f"{folder}/**/*.avi")) == ["deep/d.avi"]
    # An ending of the pattern's own says what is meant.
    assert names(folder, find_sources(f"{folder}/x/*.h264")) == ["x/f.h264"]
    assert names(folder, find_sources(f"{folder}/[ab].*")) == ["a.MKV", "b.mp4"]


def test_overlays_are_no_videos_unless_they_are_named(folder):
    overlay = folder / "deep" / "d.overlay.mp4"
    overlay.write_bytes(b"x")
    assert overlay not in find_sources([folder, f"{folder}/deep/*", f"{folder}/**/*.mp4", f"{folder}/d*"])
    assert find_sources(overlay) == find_sources(f"{folder}/deep/*.overlay.mp4") == [overlay]
    with pytest.raises(DataError, match="matches no video"):
        find_sources(f"{folder}/deep/*.mp4")


def test_a_file_whose_name_is_a_pattern(folder):
    path = folder / "what[1]?.mp4"
    path.write_bytes(b"x")
    assert find_sources(str(path)) == [path]


def test_each_video_once_in_the_order_given(folder, monkeypatch):
    monkeypatch.chdir(folder)
    found = find_sources(["deep", "b.mp4", folder / "b.mp4", folder, 0, 0, "rtsp://door/1", "rtsp://door/1"])
    assert found == [
        *(Path("deep/d.avi"), Path("deep/er/c.webm"), Path("b.mp4"), folder / "a.MKV"),
        *(0, "rtsp://door/1"),
    ]


def test_addresses_and_cameras_are_left_as_they_are():
    found = find_sources(["https://a.example/v.mp4?x=*", 2, "/dev/video97"])
    assert found == ["https://a.example/v.mp4?x=*", 2, "/dev/video97"]
    assert [is_camera(source) for source in found] == [False, True, True]
    assert not any(map(is_file, found))


def test_a_pipe_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (found,) = find_sources(tmp_path / "pipe")
    assert found == tmp_path / "pipe" and not is_file(found)


def test_what_names_no_video(folder, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DataError, match=r"empty: holds no video\. Expected files that end in \.mp4, \.avi"):
        find_sources(empty)
    with pytest.raises(DataError, match=r"none\.mp4: no such file"):
        find_sources([folder, folder / "none.mp4"])
    for pattern in ("none*.mp4", "*.txt/*", "notes*"):
        with pytest.raises(DataError, match="matches no video"):
            find_sources(f"{folder}/{pattern}")
    with pytest.raises(ValueError, match=r"At least one video is needed.*Received: none"):
        find_sources([])


@pytest.mark.parametrize("wrong", [True, -1, 1.5, None, b"a.mp4"])
def test_what_is_no_source(wrong):
    with pytest.raises(ValueError, match=r"A video is a file, folder, pattern or address"):
        find_sources([wrong])


@pytest.mark.parametrize("name", ["", "a\0b"])
def test_no_name(name):
    with pytest.raises(ValueError, match="A video needs the name of a file"):
        find_sources(name)


def test_names_for_terminals_and_files():
    assert shown(Path("a\x1b[31m\n\udcff.mp4")) == "a\\x1b[31m\\n\\udcff.mp4"
    assert shown(3) == "/dev/video3" and title(3) == "video3"
    assert title(Path("/x/küche.mp4")) == "küche.mp4"
    assert title("https://a.example/b/day%20one.mp4?token=secret") == "day one.mp4"
    assert shown("Lost rtsp://me:p@ss@door/1 at 3 s.") == "Lost rtsp://door/1 at 3 s."
    assert title("rtsp://me:secret@door:554") == "door:554"
    assert title("rtsp://door:554") == "door:554"
    assert title("/dev/video0") == "video0"
