"""Submission files in the official formats: the same numbers come back, and nothing is filled in."""

import numpy as np
import pytest

from kerasfast.data.errors import DataError
from kerasfast.train.scoring.submission import read_classify, read_localize, write_classify, write_localize

IDS = ["46GP8", "N11GT", "0IH69"]


@pytest.fixture
def scores():
    return np.random.default_rng(0).random((3, 4)) * [1, 1e-3, 1e-9, 1]


def test_classify_holds_a_line_a_video(tmp_path, scores):
    path = tmp_path / "classify.txt"
    write_classify(path, IDS, scores)
    lines = path.read_text().splitlines()
    assert [line.split(" ")[0] for line in lines] == IDS and all(len(line.split(" ")) == 5 for line in lines)
    np.testing.assert_array_equal(read_classify(path, IDS, classes=4), scores)
    np.testing.assert_array_equal(read_classify(path, IDS[::-1], classes=4), scores[::-1])


def test_localize_holds_25_numbered_lines_a_video(tmp_path):
    path = tmp_path / "localize.txt"
    scores = np.random.default_rng(0).random((3, 25, 4)).astype("float32")
    write_localize(path, IDS, scores)
    fields = [line.split() for line in path.read_text().splitlines()]
    assert [(name, int(number)) for name, number, *_ in fields] == [(i, j) for i in IDS for j in range(1, 26)]
    np.testing.assert_array_equal(read_localize(path, IDS, classes=4), scores)


def test_tabs_and_empty_lines_are_read(tmp_path):
    path = tmp_path / "classify.txt"
    path.write_text("b\t0.5\t1e-3\t\n\na 1 0 \n")
    assert read_classify(path, ["a", "b"], classes=2).tolist() == [[1, 0], [0.5, 1e-3]]


@pytest.mark.parametrize(
    "text, message",
    [
        ("a 1 2\n", r"file.txt: Video 'b' has no line. Score every video once"),
        ("", r"file.txt: Each of 2 of 2 videos \('a', 'b'\) has no line"),
        ("a 1 2\nb 1 2\n\na 3 4\n", r"file.txt:4: video 'a' has a line already, line 1"),
        ("a 1 2\nc 1 2\n", r"file.txt:2: 'c' is none of the 2 videos"),
        ("a 1 2\nb 1\n", r"file.txt:2: 1 scores, expected 2"),
        ("a 1 2\nb 1 x\n", r"file.txt:2: a score is no number"),
        ("a 1 2\nb 1 nan\n", r"file.txt:2: the score of class 1 is nan"),
        ("a 1 2\nb -inf 1\n", r"file.txt:2: the score of class 0 is -inf"),
    ],
)
def test_classify_is_read_strictly(tmp_path, text, message):
    path = tmp_path / "file.txt"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_classify(path, ["a", "b"], classes=2)


@pytest.mark.parametrize(
    "text, message",
    [
        ("a 1 9\na 2 9\nb 1 9\n", r"file.txt: frame 2 of video 'b' has no line"),
        ("a 1 9\na 2 9\n", r"file.txt: Video 'b' has no line"),
        ("a 1 9\na 1 9\n", r"file.txt:2: frame 1 of video 'a' has a line already, line 1"),
        ("a 0 9\n", r"file.txt:1: the second field must be a frame from 1 to 2. Received: '0'"),
        ("a 3 9\n", r"Received: '3'"),
        ("a\n", r"Received: ''"),
        ("a 1\n", r"file.txt:1: 0 scores, expected 1"),
    ],
)
def test_localize_is_read_strictly(tmp_path, text, message):
    path = tmp_path / "file.txt"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_localize(path, ["a", "b"], classes=1, frames=2)


def test_a_missing_or_binary_file_is_one_sentence(tmp_path):
    (tmp_path / "file").write_bytes(b"\xff\xfe\x00")
    for name in ("file", "none"):
        with pytest.raises(DataError, match=f"{name}: cannot be read as text"):
            read_classify(tmp_path / name, IDS)


@pytest.mark.parametrize(
    "ids, change, message",
    [
        (IDS[:2], 0, r"2 ids, scores of shape"),
        (["a", "a", "b"], 0, "ids that repeat or hold spaces"),
        (["a", "b c", "d"], 0, "ids that repeat or hold spaces"),
        (IDS, np.nan, "'46GP8' with NaN"),
    ],
)
def test_what_could_not_be_read_back_is_not_written(tmp_path, scores, ids, change, message):
    with pytest.raises(ValueError, match=message):
        write_classify(tmp_path / "file.txt", ids, scores + change)
    assert not (tmp_path / "file.txt").exists()
