"""The picture of docs/predict: what it is made of, and that the pages show it."""

import render_timeline
from documentation import ROOT
from PIL import Image

from kerasfast.data.miniature.plan import ACTIONS, OBJECTS, VERBS


def test_annotations_follow_the_videos():
    chosen = render_timeline.scripts()
    assert {(script.width, script.height) for script in chosen} == {(96, 96)}  # or they could not be joined
    labels = {"action": tuple(action.name for action in ACTIONS), "verb": VERBS, "object": OBJECTS}
    found = render_timeline.annotations(chosen, labels)
    assert len(found) == 3 * sum(len(script.parts) for script in chosen)
    second = chosen[1].parts[0]
    segment = found[3 * len(chosen[0].parts)]
    assert (segment.head, segment.index, segment.score) == ("action", second.number, None)
    assert segment.start_seconds == (chosen[0].frames + second.start) / 24
    assert segment.end_seconds <= sum(script.frames for script in chosen) / 24


def test_the_picture_is_small_and_shown():
    path = render_timeline.PICTURE
    assert path.stat().st_size < 200_000
    with Image.open(path) as picture:
        assert picture.size == (render_timeline.WIDTH, render_timeline.SHOWN_HEIGHT)
    for page, address in {"README.md": "docs/predict/timeline.png", "docs/predict.md": "predict/timeline.png"}.items():
        assert f"]({address})" in (ROOT / page).read_text("utf-8")
