"""JSON, CSV and subtitles of a timeline, read back by others' rules."""

import csv
import io
import json
import re

import numpy as np
import pytest

from kerasfast.explain.timelines.text_forms import CSV_COLUMNS, FORMAT, to_csv, to_json, to_srt, write_form
from kerasfast.explain.timelines.timeline import Segment, Timeline

CUE = re.compile(r"(\d+)\n(\d\d):(\d\d):(\d\d),(\d{3}) --> (\d\d):(\d\d):(\d\d),(\d{3})\n((?:[^\n]+\n?)+)")
HOSTILE = ["a\nb", "x --> y", "--->", "<script>alert(1)</script>", "\r\n1\r\n00:00:00,000 --> 00:00:01,000\r\nfake"]
HOSTILE += ["{\\an8}up", 'quote " and, comma', "nul\0and\x1besc", "line\u2028separator\x85next", "="]


def segment(label, start, end, score=0.5, head="verb", index=0):
    return Segment(head, index, label, start, end, score)


def timeline(*segments, **fields):
    return Timeline(
        source="a.mp4",
        model="nano",
        starts=np.array([0.0, 1.5]),
        ends=np.array([2.0, 3.5]),
        scores={"verb": np.array([[0.25, 0.5], [0.75, 0.125]], np.float32)},
        labels={"verb": ("hold", "put")},
        thresholds={"verb": np.array([0.5, 0.6])},
        segments=segments,
        **fields,
    )


def cues(text):
    """Start, end (milliseconds) and lines of each subtitle; every line of the file must belong to one."""
    found = []
    for number, block in enumerate(text.split("\n\n") if text else [], start=1):
        match = CUE.fullmatch(block)
        assert match, block
        assert int(match[1]) == number
        start, end = (
            3_600_000 * int(h) + 60_000 * int(m) + 1000 * int(s) + int(ms)
            for h, m, s, ms in (match.groups()[1:5], match.groups()[5:9])
        )
        assert int(match[3]) < 60 and int(match[4]) < 60 and start < end
        assert not found or found[-1][1] <= start
        found.append((start, end, match[10].splitlines()))
    return found


def test_json_says_all_of_it():
    made = timeline(segment("hold", 1.5, 3.5, 0.75), ended="Broke off.", notes=("One note.",))
    assert json.loads(to_json(made, top=1, windows=True)) == {
        "format": FORMAT,
        "source": "a.mp4",
        "model": "nano",
        "duration_seconds": 3.5,
        "ended": "Broke off.",
        "notes": ["One note."],
        "heads": {"verb": {"labels": ["hold", "put"], "thresholds": [0.5, 0.6]}},
        "best": {"verb": [{"index": 0, "label": "hold", "score": 0.75}]},
        "segments": [
            {"head": "verb", "index": 0, "label": "hold", "start_seconds": 1.5, "end_seconds": 3.5, "score": 0.75}
        ],
        "truth": [],
        "windows": {
            "start_seconds": [0.0, 1.5],
            "end_seconds": [2.0, 3.5],
            "scores": {"verb": [[0.25, 0.5], [0.75, 0.125]]},
        },
    }
    short = json.loads(to_json(made))
    assert "windows" not in short and len(short["best"]["verb"]) == 2
    truth = timeline(truth=(segment("hold", 0, 1, None),))
    assert json.loads(to_json(truth))["truth"][0]["score"] is None


def test_json_documents_each_of_its_fields():
    for field in json.loads(to_json(timeline(), windows=True)):
        assert f"`{field}`" in to_json.__doc__, field


def test_csv_has_a_row_a_segment():
    made = timeline(*(segment(label, at, at + 1.25) for at, label in enumerate(HOSTILE)))
    rows = list(csv.DictReader(io.StringIO(to_csv(made), newline="")))
    assert tuple(rows[0]) == CSV_COLUMNS
    assert [row["label"] for row in rows] == HOSTILE
    assert [float(row["end_seconds"]) - float(row["start_seconds"]) for row in rows] == [1.25] * len(HOSTILE)
    assert to_csv(timeline()) == ",".join(CSV_COLUMNS) + "\n"


def test_subtitles_change_where_a_class_begins_or_ends():
    made = timeline(
        segment("hold", 0, 4, 0.6),
        segment("put", 2, 6, 0.9, index=1),
        segment("bag", 3, 3661.5, head="object"),
        segment("turn", 4000, 4001),
    )
    assert cues(to_srt(made)) == [
        (0, 2000, ["verb: hold"]),
        (2000, 3000, ["verb: put, hold"]),
        (3000, 4000, ["verb: put, hold", "object: bag"]),
        (4000, 6000, ["verb: put", "object: bag"]),
        (6000, 3_661_500, ["object: bag"]),
        (4_000_000, 4_001_000, ["verb: turn"]),
    ]
    assert "\n01:01:01,500\n" not in to_srt(made) and "--> 01:01:01,500\n" in to_srt(made)
    assert to_srt(timeline()) == ""


def test_subtitles_of_the_best_classes():
    made = timeline(
        *(segment(f"class {c}", 0, 2, c / 10, index=c) for c in range(5)), segment("bag", 0, 1, 0.1, "object")
    )
    assert cues(to_srt(made, top=2))[0][2] == ["verb: class 4, class 3", "object: bag"]


@pytest.mark.parametrize("label", HOSTILE)
def test_a_label_cannot_break_subtitles(label):
    text = to_srt(timeline(segment(label, 0, 1), segment("after", 2, 3)))
    (first, second) = cues(text)
    assert first[:2] == (0, 1000) and second == (2000, 3000, ["verb: after"])
    assert len(first[2]) == 1 and "-->" not in first[2][0]
    assert text.count("-->") == 2
    assert not re.search(r"<[a-zA-Z/!]|\{\\", text)
    assert all(character == "\n" or character.isprintable() for character in text)


def test_subtitles_shorter_than_their_clock_are_left_out():
    assert cues(to_srt(timeline(segment("a", 0, 0.0004), segment("b", 1, 2)))) == [(1000, 2000, ["verb: b"])]


def test_many_segments_take_a_moment():
    many = [segment(f"class {c}", t, t + 3.5, index=c) for t in range(0, 7200, 2) for c in range(3)]
    assert len(cues(to_srt(timeline(*many)))) > 3600


def test_files_appear_whole(tmp_path):
    path = write_form(timeline(segment("hüte", 0, 1)), tmp_path / "a.srt", "srt")
    assert path.read_text("utf-8") == "1\n00:00:00,000 --> 00:00:01,000\nverb: hüte\n"
    bad = timeline(segment("hold", 0, float("nan")))
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_form(bad, tmp_path / "b.json", "json")
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.srt"]
    with pytest.raises(ValueError, match=r"written as json, csv, srt\. Received: 'xml'"):
        write_form(bad, tmp_path / "b.xml", "xml")
