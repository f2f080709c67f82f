"""What cannot be written is refused before the work, and the look at it leaves nothing behind."""

import os
from pathlib import Path

import pytest

from kerasfast.cli.output_files import check_outputs


def test_nothing_is_left_behind(tmp_path):
    check_outputs([tmp_path / "a" / "b" / "c.json", tmp_path / "d.json"], force=False)
    assert list(tmp_path.iterdir()) == []


def test_what_exists_needs_force(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("mine")
    with pytest.raises(ValueError, match=r"a\.json exists\. Give another folder with --out DIR, or --force"):
        check_outputs([path], force=False)
    check_outputs([path], force=True)
    assert path.read_text() == "mine"
    path.unlink()
    path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="exists"):
        check_outputs([path], force=False)


def test_a_folder_in_the_place_of_a_file(tmp_path):
    (tmp_path / "a.json").mkdir()
    for force in (False, True):
        with pytest.raises(ValueError, match=r"a\.json is a folder, and a file of that name"):
            check_outputs([tmp_path / "a.json"], force)


def test_a_file_in_the_place_of_a_folder(tmp_path):
    (tmp_path / "file").write_text("x")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ValueError, match=r"takes no files \(.+\)\. Give another folder: --out DIR\."):
            check_outputs([folder / "a.json"], force=True)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that takes no files, whoever asks")
def test_a_folder_that_takes_no_files():
    with pytest.raises(ValueError, match="/proc takes no files"):
        check_outputs([Path("/proc/a.json")], force=False)
    assert not os.path.lexists("/proc/a.json")
