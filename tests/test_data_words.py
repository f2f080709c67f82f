"""Names and times of videos in messages."""

import pytest

from kerasfast.data.words import clock, shown


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (0, "/dev/video0"),
        ("rtsp://me:secret@10.0.0.7:554/x", "rtsp://10.0.0.7:554/x"),
        ("no http://u:secret@a.example/x.mp4, nor rtsp://u:secret@b", "no http://a.example/x.mp4, nor rtsp://b"),
        ("http:/u:secret@a.example/x.mp4", "http:/a.example/x.mp4"),  # by way of a Path
        ("C:/me@home/x.mp4", "C:/me@home/x.mp4"),
        ("a@b.mp4", "a@b.mp4"),
        ("a\nb\x1b[2J", "a\\nb\\x1b[2J"),
    ],
)
def test_words(source, words):
    assert shown(source) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0:00.0"), (4.25, "0:04.2"), (59.96, "1:00.0"), (750, "12:30.0"), (3900, "1:05:00.0"), (-1e-9, "0:00.0")],
)
def test_times(seconds, words):
    assert clock(seconds) == words
