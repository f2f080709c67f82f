import pytest
from conftest import SHARED, TINY_CLASSES

from kerasfast.data.annotations import Segment, find_videos, read_charades_csv
from kerasfast.data.errors import DataError
from kerasfast.data.labels import read_charades_classes

HEADER = "id,subject,actions,length\n"


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    folder = tmp_path_factory.mktemp("labels")
    for name, lines in TINY_CLASSES.items():
        (folder / name).write_text("\n".join(lines) + "\n")
    return read_charades_classes(folder)


@pytest.fixture
def read(tmp_path, labels):
    def read(text):
        path = tmp_path / "train.csv"
        path.write_bytes(text.encode())
        return read_charades_csv(path, labels)

    return read


def test_reads_quoted_fields_any_column_order_and_empty_actions(read):
    found = read(
        "length,script,id,extra,subject,actions\r\n"
        '10.5,"He sits, then ""sleeps"";\r\nand wakes",X1,,S1,c001 0.00 2.50;c004 1 10.5\r\n'
        "3,,X-2.b,,S2,\r\n"
    )
    first, second = found.rows
    assert (first.id, first.subject, first.length_seconds, first.line) == ("X1", "S1", 10.5, 2)
    assert first.segments == (Segment(1, 0.0, 2.5), Segment(4, 1.0, 10.5))
    assert (second.id, second.segments, second.actions, second.line) == ("X-2.b", (), (), 4)
    assert (found.report.videos, found.report.without_actions, found.report.segments) == (2, 1, 2)


def test_clips_late_ends_and_drops_what_has_no_length(read):
    found = read(HEADER + "A,S,c000 1 12;c001 11 12;c002 5 5;c003 6 4;c004 2 10;c000 0 1,10\n")
    (row,) = found.rows
    assert row.segments == (Segment(0, 1.0, 10.0), Segment(4, 2.0, 10.0), Segment(0, 0.0, 1.0))
    assert row.untimed == (1, 2, 3)
    assert row.actions == (0, 1, 2, 3, 4)
    report = found.report
    assert (report.segments, report.clipped_ends) == (6, 2)
    assert (report.late_starts, report.reversed_segments, report.dropped) == ((2,), (2, 2), (2, 2, 2))
    assert "3 reversed or empty segments dropped (lines 2, 2, 2)" in str(report)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("A,S,c005 0 1,9", r":2: unknown class 'c005'; expected c000 to c004"),
        ("A,S,x001 0 1,9", r":2: unknown class 'x001'"),
        ("A,S,c\u0661 0 1,9", r":2: unknown class"),
        ("A,S,c001 0,9", r":2: an action is 'class start end' in seconds.*Received: 'c001 0'"),
        ("A,S,c001 0 1;,9", r":2: an action is .*Received: ''"),
        ("A,S,c001 zero 1,9", r":2: start must be a number of seconds.*Received: 'zero'"),
        ("A,S,c001 0 nan,9", r":2: end must be a number of seconds.*Received: 'nan'"),
        ("A,S,c001 -1 1,9", r":2: start must be a number of seconds, 0 or more. Received: '-1'"),
        ("A,S,,inf", r":2: length must be a number of seconds"),
        ("A,S,,", r":2: length must be a number of seconds"),
        ("A,S,,0", r":2: length must be positive"),
        ("../A,S,,9", r":2: '../A' cannot be a video id"),
        (",S,,9", r":2: '' cannot be a video id"),
        ("A,S,9", r":2: 3 fields, but the header names 4"),
        ("A,S,,9\nB,S,,9\nA,S,,9", r":4: video 'A' is listed a second time, first on line 2"),
        ('A,S,"c001 0 1,9', r"cannot be read as a CSV file"),
    ],
)
def test_a_wrong_row_is_named(read, row, message):
    with pytest.raises(DataError, match=r"train\.csv" + (message if message[0] == ":" else ": " + message)):
        read(HEADER + row + "\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r":1: the header lacks id, subject, actions, length"),
        ("id,actions\nA,\n", r":1: the header lacks subject, length. Received: 'id,actions'"),
        ("id,id,subject,actions,length\n", r":1: the header names a column twice"),
        (HEADER, r": holds no video, only a header"),
    ],
)
def test_a_wrong_header_is_named(read, text, message):
    with pytest.raises(DataError, match=r"train\.csv" + message):
        read(text)


def test_files_that_are_no_text(tmp_path, labels):
    with pytest.raises(DataError, match=r"none\.csv: cannot be read as a CSV file"):
        read_charades_csv(tmp_path / "none.csv", labels)
    (tmp_path / "zip.csv").write_bytes(b"PK\x03\x04\xff\xfe")
    with pytest.raises(DataError, match=r"zip\.csv: cannot be read as a CSV file"):
        read_charades_csv(tmp_path / "zip.csv", labels)


def test_find_videos(read, tmp_path):
    rows = read(HEADER + "A,S,,9\nB.x,S,,9\n").rows
    folder = tmp_path / "videos"
    with pytest.raises(DataError, match="no such folder"):
        find_videos(rows, folder)
    folder.mkdir()
    (folder / "A.mp4").touch()
    (folder / "A.txt").touch()
    with pytest.raises(DataError, match=r"1 of 2 annotated videos have no file here \(B\.x\)"):
        find_videos(rows, folder)
    (folder / "B.x.AVI").touch()
    assert find_videos(rows, folder) == {"A": folder / "A.mp4", "B.x": folder / "B.x.AVI"}
    (folder / "A.mkv").touch()
    with pytest.raises(DataError, match=r"'A' has 2 files, A\.mkv and A\.mp4"):
        find_videos(rows, folder)


def test_missing_videos_can_be_left_to_the_build(read, tmp_path):
    rows = read(HEADER + "A,S,,9\nB,S,,9\n").rows
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "A.avi").touch()
    found = find_videos(rows, tmp_path / "videos", skip_missing=True)
    assert found == {"A": tmp_path / "videos" / "A.avi", "B": tmp_path / "videos" / "B.mp4"}


def test_a_long_list_of_missing_videos_is_cut(read, tmp_path):
    rows = read(HEADER + "".join(f"V{k},S,,9\n" for k in range(30))).rows
    (tmp_path / "videos").mkdir()
    with pytest.raises(DataError, match=r"V9, \.\.\. 20 more"):
        find_videos(rows, tmp_path / "videos")


@pytest.mark.skipif(not (SHARED / "charades").is_dir(), reason="the official Charades files are not here")
def test_official_charades():
    found = read_charades_csv(SHARED / "charades" / "Charades_v1_train.csv", read_charades_classes(SHARED / "charades"))
    report = found.report
    assert (report.videos, report.without_actions, report.segments) == (7985, 174, 49_809)
    assert report.clipped_ends == 14_596
    # The five that start too late are also among the seven reversed ones.
    assert (len(report.late_starts), len(report.reversed_segments), len(report.dropped)) == (5, 7, 7)
    assert sum(len(row.segments) for row in found.rows) == 49_802
    assert sum(len(row.actions) for row in found.rows) == 48_684  # 6.10 a video
    for row in found.rows:
        for segment in row.segments:
            assert 0 <= segment.start_seconds < segment.end_seconds <= row.length_seconds
