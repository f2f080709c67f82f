"""The page of a timeline in a real browser: lanes, seeking, keyboard, narrow screens, hostile names."""

import io
import re

import numpy as np
import pytest
from page_case import assert_self_contained, assert_valid_html, open_page
from PIL import Image
from timeline_case import LABELS, long_timeline, small_timeline, softmax_timeline

from kerasfast.data.video_writer import write_video
from kerasfast.explain.timelines.page import source_name, write_page
from kerasfast.explain.timelines.timeline import Segment, Timeline

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "</script><script>alert(3)</script>",
    "' onmouseover='alert(4)",
    "separator\u2028and\u2029more",
    "gpj.\u202eexe\u2066 reversed",
    "nul\0 and lone \ud800 surrogate",
    "&lt;b&gt; {{ 7 * 7 }} ${alert(5)}",
    "javascript:alert(6)",
    "很长的" * 400,
]


def grey_video(path, seconds=4):
    """Grey that brightens, 24 frames a second."""
    frames = (np.full((72, 96, 3), 40 + 2 * index, np.uint8) for index in range(24 * seconds))
    write_video(path, frames, 24)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A page beside its video, which has a name that an address has to escape."""
    folder = tmp_path_factory.mktemp("page")
    video = grey_video(folder / "kitchen #1?.mp4")
    write_page(small_timeline(), folder / "kitchen.html", video=video)
    return folder


@pytest.fixture
def opened(browser, folder):
    with open_page(browser, folder / "kitchen.html") as opened:
        wait_for_video(opened)
        yield opened


def wait_for_video(opened):
    opened.wait_for("document.getElementById('video').readyState >= 2")


def wait_for_time(opened, seconds):
    """Until the video has gone to a time, as exactly as its frames allow."""
    video = "document.getElementById('video')"
    opened.wait_for(f"!{video}.seeking && Math.abs({video}.currentTime - {seconds}) < 0.05")


def track(opened, label):
    return opened.page.get_by_role("slider", name=re.compile("^" + re.escape(label)))


def columns(opened, label, row):
    """Colours of a lane's canvas along a row, as (width, 4)."""
    pixels = (
        track(opened, label)
        .locator("canvas")
        .evaluate(
            """(canvas, row) => {
            const copy = new OffscreenCanvas(canvas.width, 1).getContext("2d");
            copy.drawImage(canvas, 0, -Math.floor(row * canvas.height));
            return [...copy.getImageData(0, 0, canvas.width, 1).data];
        }""",
            row,
        )
    )
    return np.array(pixels).reshape(-1, 4)


def click_at(opened, label, share):
    track(opened, label).scroll_into_view_if_needed()
    box = track(opened, label).bounding_box()
    opened.page.mouse.click(box["x"] + share * box["width"], box["y"] + 8)


def test_it_is_valid_and_stands_alone(folder, tmp_path):
    bare = write_page(
        small_timeline(ended="broke off after 96 frames", notes=("A note.",)), tmp_path / "bare.html", title="Ünïcode"
    )
    assert_valid_html(folder / "kitchen.html", bare)
    assert_self_contained(folder / "kitchen.html", limit_bytes=100_000)
    assert_self_contained(bare, limit_bytes=100_000)


def test_lanes(opened):
    lanes = opened.page.locator(".lane:visible")
    assert lanes.count() == 5 + 3 + 2
    assert lanes.locator(".lane-name bdi").all_inner_texts()[:2] == ["Opening a door", "Lifting a bag"]
    assert opened.page.locator("section.head h2 bdi").all_inner_texts() == ["action", "verb", "object"]
    assert opened.page.locator("h1").inner_text() == "kitchen.mp4"
    # The first lane is dark from 1 to 3 s, where the door opens: windows of which it is nearest to a middle.
    middle = columns(opened, "Opening a door", 0.3)
    width = len(middle)
    changes = np.flatnonzero((middle[1:] != middle[:-1]).any(axis=1)) + 1
    np.testing.assert_allclose(changes / width * 4, [1.25, 2.75], atol=0.03)
    inside, outside = middle[width // 2, :3], middle[10, :3]
    assert inside.sum() < 300 < 600 < outside.sum()
    # Beneath it the segment from 1 to 3 s, then the annotation from 1.2 to 2.8 s.
    for row, (start, end) in {0.75: (1.0, 3.0), 0.93: (1.2, 2.8)}.items():
        marked = np.flatnonzero(columns(opened, "Opening a door", row)[:, 3]) / width * 4
        np.testing.assert_allclose([marked[0], marked[-1]], [start, end], atol=0.03)
    # The threshold is a dashed line at half of the bars.
    dashes = {tuple(colour) for colour in columns(opened, "open", 13.4 / 40)[: width // 4]}
    assert len(dashes) == 2
    opened.assert_quiet()


def test_windows_of_unequal_length_leave_no_gap(browser, tmp_path):
    """The last one is shorter where the video ended inside of it."""
    scores = {"action": np.tile(np.array([0.9, 0.05, 0.05], np.float32), (4, 1))}
    timeline = softmax_timeline(scores=scores, ends=np.array([1.0, 2.0, 3.0, 3.4]), segments=(), seen=None)
    with open_page(browser, write_page(timeline, tmp_path / "page.html")) as opened:
        bars = columns(opened, "Lifting a bag", 0.4)
        assert len(bars) > 100 and (bars == bars[0]).all()


def test_a_softmax_head(browser, tmp_path):
    """Seen is the class that a window answers with; there is no threshold to draw or to name."""
    path = write_page(softmax_timeline(), tmp_path / "page.html")
    with open_page(browser, path) as opened:
        labels = ("Lifting a bag", "Opening a door", "Holding a cup")
        seen = []
        for window in range(4):
            click_at(opened, "Opening a door", (window + 0.5) / 4)
            said = [track(opened, label).get_attribute("aria-valuetext") for label in labels]
            seen.append([text.endswith(", seen") for text in said])
            assert all("seen" in text for text in said)
        assert seen == softmax_timeline().seen["action"].tolist()
        assert opened.page.locator(".now-row.above").count() == 0, "the last window is no action"
        click_at(opened, "Opening a door", 0.4)
        assert opened.page.locator(".now-row.above bdi").all_inner_texts() == ["Opening a door"]
        assert "threshold" not in opened.page.locator("#tip").inner_text()
        assert "threshold" not in opened.page.locator("#legend").inner_text()
        # One colour along the foot of the bars of each window: no dashes of a line at 0.
        foot = columns(opened, "Holding a cup", 25.5 / 33)[:, :3]
        assert len(np.unique(foot, axis=0)) <= 4
        opened.assert_quiet()


def test_notes_are_shown(browser, tmp_path):
    notes = ("Thresholds were fitted to whole videos.", "<b>3</b> windows were skipped.")
    with open_page(browser, write_page(small_timeline(notes=notes), tmp_path / "page.html"), width=400) as opened:
        assert opened.page.locator(".notes li:visible").all_inner_texts() == list(notes)
        assert "threshold" in opened.page.locator("#legend").inner_text()
        opened.assert_fits()


def test_a_click_seeks(opened):
    click_at(opened, "Opening a door", 0.6)
    wait_for_time(opened, 2.4)
    # The video shows the frame of that time: what the screen has in its middle, as no script may read its pixels.
    opened.page.wait_for_timeout(100)
    screen = Image.open(io.BytesIO(opened.page.locator("video").screenshot())).convert("L")
    assert abs(screen.getpixel((screen.width // 2, screen.height // 2)) - (40 + 2 * 57)) < 8
    assert opened.page.inner_text("#now-time") == "0:02.4"
    assert track(opened, "Opening a door").get_attribute("aria-valuetext") == "0:02.4, score 0.90, seen, annotated"
    # And the cursor stands where the click was.
    cursor = opened.page.locator(".head .cursor").first.bounding_box()
    box = track(opened, "Opening a door").bounding_box()
    assert abs(cursor["x"] - (box["x"] + 0.6 * box["width"])) < 2
    opened.assert_quiet()


def test_dragging_seeks(opened):
    track(opened, "turn").scroll_into_view_if_needed()
    box = track(opened, "turn").bounding_box()
    opened.page.mouse.move(box["x"] + 5, box["y"] + 5)
    opened.page.mouse.down()
    opened.page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + 90, steps=4)  # beside its lane, still held
    wait_for_time(opened, 1.2)
    opened.page.mouse.up()
    opened.page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + 5)
    opened.page.wait_for_timeout(50)
    wait_for_time(opened, 1.2)


def test_the_time_axis_seeks_too(opened):
    click_at(opened, "Time", 0.25)
    wait_for_time(opened, 1.0)
    assert opened.page.locator("#axis .tick").all_inner_texts()[:3] == ["0:00.0", "0:00.5", "0:01.0"]


def test_the_cursor_follows_the_playing_video(opened):
    assert opened.page.inner_text("#now-time") == "0:00.0"
    track(opened, "Opening a door").focus()
    opened.page.keyboard.press("Space")
    opened.wait_for("document.getElementById('video').currentTime > 1.6")
    opened.page.keyboard.press("Space")
    opened.wait_for("document.getElementById('video').paused")
    shown = float(opened.page.inner_text("#now-time").removeprefix("0:"))
    assert abs(shown - opened.page.evaluate("document.getElementById('video').currentTime")) < 0.3
    assert opened.page.locator(".now-row.above bdi").first.inner_text() == "Opening a door"


def test_keyboard(opened):
    """Tab reaches the video, the time, the filters, one lane and the segments, in this order; keys move in a lane."""
    reached = []
    for _ in range(40):
        opened.page.keyboard.press("Tab")
        reached.append(opened.focused())
        if reached[-1] == "button.go":
            break
    order = ["video#video", "div#axis.axis.track", "select#show", "input#find", "input#stretch", "button#zoom-in"]
    order += ["div.track", "summary", "button.go"]
    assert [name for name in dict.fromkeys(reached) if name in order] == order
    lane = track(opened, "Opening a door")
    lane.focus()
    assert opened.page.evaluate("document.scrollingElement.scrollHeight - innerHeight") > 100, "there is room to scroll"
    scrolled = opened.page.evaluate("scrollY")
    for key, seconds in [
        ("ArrowRight", 1.0),  # the middle of the second window
        ("ArrowRight", 1.5),
        ("ArrowLeft", 1.0),
        ("End", 4.0),
        ("ArrowLeft", 3.0),
        ("Home", 0.0),
        ("PageUp", 1.0),  # the segment
        ("PageUp", 1.2),  # the annotation
        ("PageDown", 1.0),
    ]:
        opened.page.keyboard.press(key)
        wait_for_time(opened, seconds)
    assert opened.page.locator("#tip").inner_text().startswith("Opening a door")
    assert opened.page.evaluate("scrollY") == scrolled, "keys that move the cursor do not scroll the page"
    opened.page.keyboard.press("Escape")
    assert opened.page.locator("#tip").is_hidden()
    opened.page.keyboard.press("ArrowDown")
    assert opened.page.evaluate("document.activeElement.getAttribute('aria-label')") == "Lifting a bag, action"
    opened.page.keyboard.press("ArrowUp")
    opened.page.keyboard.press("ArrowUp")
    assert opened.focused() == "div#axis.axis.track"
    opened.assert_quiet()


def test_segments_can_be_reached_without_the_lanes(opened):
    rows = opened.page.locator("#segments tr")
    assert [row.split("\n")[0].split("\t")[0] for row in rows.all_inner_texts()] == [
        "Opening a door action",
        "open verb",
        "Opening a door action, annotated",
        "Lifting a bag action",
    ]
    button = opened.page.get_by_role("button", name="Go to 0:02.0, Lifting a bag")
    button.focus()
    opened.page.keyboard.press("Enter")
    wait_for_time(opened, 2.0)


def test_the_tip_says_class_time_and_score(opened):
    click_at(opened, "Opening a door", 0.5)
    assert opened.page.locator("#tip").inner_text().split("\n") == [
        "Opening a door",
        "window 0:01.5 – 0:02.5",
        "score 0.90, threshold 0.50",
        "seen 0:01.0 – 0:03.0",
        "annotated 0:01.2 – 0:02.8",
    ]
    opened.page.mouse.move(5, 5)
    assert opened.page.locator("#tip").is_hidden()


def test_filters(opened):
    names = opened.page.locator(".lane:visible .lane-name bdi")
    opened.page.select_option("#show", "all")
    assert names.count() == 15
    opened.page.fill("#find", "A OPEN")
    assert names.all_inner_texts() == ["Opening a door"]
    assert opened.page.locator("#shown").inner_text() == "1 of 15 lanes"
    assert opened.page.locator("#segments tr").count() == 2
    opened.page.fill("#find", "no such class")
    assert names.count() == 0 and "No segment of these classes" in opened.page.inner_text("#segments-caption")
    opened.page.keyboard.press("Tab")
    opened.assert_quiet()


def test_what_is_annotated_is_always_shown(browser, tmp_path):
    truth = (Segment("action", 0, LABELS["action"][0], 1.0, 2.0),)
    path = write_page(small_timeline(truth=truth), tmp_path / "page.html")
    with open_page(browser, path) as opened:
        names = opened.page.locator(".lane:visible .lane-name bdi").all_inner_texts()
        assert len(names) == 11 and names[5] == "Doing thing 0"


def test_zoom(opened):
    for _ in range(2):
        opened.page.click("#zoom-in")
    ticks = opened.page.locator("#axis .tick").all_inner_texts()
    assert ticks[0] == "0:00.0" and ticks[-1] in ("0:00.9", "0:01.0", "")  # a second of the four
    # The first change of the lane, at 1.25 s, is out of view; turning the page shows it at a quarter.
    assert len(np.unique(columns(opened, "Opening a door", 0.3), axis=0)) == 1
    opened.page.locator("#pan").evaluate("e => { e.value = 333; e.dispatchEvent(new Event('input')) }")
    opened.page.wait_for_timeout(200)
    across = columns(opened, "Opening a door", 0.3)
    (change,) = np.flatnonzero((across[1:] != across[:-1]).any(axis=1)) / len(across)
    assert abs(change - 0.25) < 0.02
    opened.page.click("#zoom-all")
    assert opened.page.locator("#pan").is_hidden()


def test_scaling_to_peaks(opened):
    before = columns(opened, "turn", 0.05)
    opened.page.check("#stretch")
    opened.page.wait_for_timeout(200)
    after = columns(opened, "turn", 0.05)
    assert (before != after).any(), "the bars of a class of low scores reach the top"


def test_a_video_that_the_browser_cannot_play(browser, tmp_path):
    avi = grey_video(tmp_path / "kitchen.avi")
    path = write_page(small_timeline(ended="broke off after 96 frames"), tmp_path / "page.html", video=avi)
    with open_page(browser, path) as opened:
        opened.page.wait_for_selector("#no-video:visible")
        assert "kitchen.avi cannot be played here" in opened.page.inner_text("#no-video")
        assert opened.page.locator("video").is_hidden()
        assert "not seen to its end: broke off after 96 frames" in opened.page.inner_text("#ended")
        click_at(opened, "Opening a door", 0.5)
        assert opened.page.inner_text("#now-time") == "0:02.0"
        assert opened.page.locator(".now-row bdi").first.inner_text() == "Opening a door"
        opened.assert_quiet()
        # Its reader has a copy that the browser plays.
        opened.page.set_input_files("#open-video", grey_video(tmp_path / "copy.mp4"))
        wait_for_video(opened)
        wait_for_time(opened, 2.0)
        assert opened.page.locator("#no-video").is_hidden()


def test_a_page_without_video_and_without_windows(browser, tmp_path):
    nothing = {head: np.zeros((0, len(names)), np.float32) for head, names in LABELS.items()}
    empty = small_timeline(starts=np.zeros(0), ends=np.zeros(0), scores=nothing, segments=(), truth=())
    with open_page(browser, write_page(empty, tmp_path / "page.html")) as opened:
        opened.page.locator("#axis").focus()
        for key in ("ArrowRight", "End", "PageUp", "Space", "+", "-", "0", "ArrowDown"):
            opened.page.keyboard.press(key)
        assert "No class was seen in any window" in opened.page.inner_text("#segments-caption")
        opened.assert_quiet()
        opened.assert_fits()


def test_hostile_names_are_inert(browser, tmp_path):
    labels = {"action": HOSTILE, HOSTILE[0]: HOSTILE}
    scores = {head: np.full((7, len(HOSTILE)), 0.7, np.float32) for head in labels}
    thresholds = {head: np.full(len(HOSTILE), 0.5, np.float32) for head in labels}
    segments = tuple(Segment(head, k, name, 0.5, 2.0, 0.7) for head in labels for k, name in enumerate(HOSTILE))
    timeline = small_timeline(
        labels=labels, scores=scores, thresholds=thresholds, segments=segments, truth=segments,
        source="clips/" + HOSTILE[1], model=HOSTILE[2], ended=" ".join(HOSTILE[:-1]),
    )  # fmt: skip
    video = grey_video(tmp_path / '"><img src=x onerror=alert(7)> \u202egpj.mp4')
    path = write_page(timeline, tmp_path / "page.html", video=video, title="</title><script>alert(8)</script>")
    assert_valid_html(path)
    assert_self_contained(path)
    with open_page(browser, path, width=400) as opened:
        wait_for_video(opened)
        opened.page.select_option("#show", "all")
        lanes = opened.page.locator(".lane:visible")
        assert lanes.count() == 2 * len(HOSTILE)
        for number in range(2 * len(HOSTILE)):
            lane = lanes.nth(number).locator(".track")
            lane.scroll_into_view_if_needed()
            lane.hover(position={"x": 100, "y": 8})
            assert opened.page.locator("#tip").is_visible()
        assert opened.page.locator("script").count() == 2, "the data and the page's own"
        assert opened.page.locator("img, iframe, object, [onerror], [onmouseover]").count() == 0
        names = lanes.locator("bdi").all_inner_texts()
        assert HOSTILE[0] in names and "gpj.exe reversed" in names and "nul and lone ? surrogate" in names
        assert opened.page.title() == "</title><script>alert(8)</script>"
        opened.assert_fits()
        opened.assert_quiet()


@pytest.mark.parametrize("options", [{}, {"dark": True, "reduced_motion": "reduce", "has_touch": True}])
def test_a_narrow_screen(browser, folder, options):
    with open_page(browser, folder / "kitchen.html", width=400, height=800, **options) as opened:
        wait_for_video(opened)
        opened.assert_fits()
        for label, share in (("Opening a door", 0.5), ("bag", 0.75)):
            lane = track(opened, label)
            lane.scroll_into_view_if_needed()
            lane.focus()
            box, deck = lane.bounding_box(), opened.page.locator("#deck").bounding_box()
            assert box["y"] >= deck["y"] + deck["height"], "a lane with the focus is not behind the video"
            assert box["width"] > 350
            if options:
                opened.page.touchscreen.tap(box["x"] + share * box["width"], box["y"] + 8)
            else:
                click_at(opened, label, share)
            wait_for_time(opened, share * 4)
        for control in ("#show", "#find", "#stretch", "#zoom-in", "#zoom-out", "#zoom-all"):
            opened.page.locator(control).scroll_into_view_if_needed()
            assert opened.page.locator(control).bounding_box()["width"] > 10
        opened.page.click("#zoom-in")
        opened.page.wait_for_timeout(100)
        opened.assert_fits()
        opened.assert_quiet()


def test_the_dark_scheme_is_dark(browser, folder):
    look = "[document.body, document.querySelector('h1')].map(e => getComputedStyle(e))"
    colours = f"{look}.map((style, k) => k ? style.color : style.backgroundColor)"
    for dark in (False, True):
        with open_page(browser, folder / "kitchen.html", dark=dark) as opened:
            page, text = (sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in opened.page.evaluate(colours))
            assert (page < 100, text > 600) == (dark, dark)
            high = columns(opened, "Opening a door", 0.3)[:, :3].sum(axis=1)
            assert (high[len(high) // 2] > high[10]) == dark, "high scores stand out from the page"


@pytest.mark.parametrize(
    ("classes", "name"),
    [(160, "a class of this number: {}"), (160, "\U0001f373" * 290 + "{}"), (20_000, "a class of this number: {}")],
)
def test_the_largest_page_is_below_its_limit(tmp_path, classes, name):
    """As many windows, lanes and segments as a page can have, with times, scores and names of many digits."""
    windows = 10_000 if classes == 160 else 10
    scores = np.random.default_rng(0).beta(0.5, 5, (windows, classes)).astype(np.float32) / 2 + 0.01
    labels = [name.format(index) for index in range(classes)]
    starts = 86_400.123 + np.arange(windows) * 8.641
    segments = tuple(
        Segment("action", index % classes, labels[index % classes], starts[index % windows], 99_999.999, 0.1234)
        for index in range(12_000)
    )
    truth = tuple(Segment("action", one.index, one.label, one.start_seconds, one.end_seconds) for one in segments)
    timeline = Timeline(
        "long.mp4", "slowfast_r50_8x8", starts, starts + 8.642, {"action": scores}, {"action": labels},
        {"action": np.full(classes, 0.5123)}, segments, truth,
    )  # fmt: skip
    path = write_page(timeline, tmp_path / "page.html")
    assert 2.5e6 < path.stat().st_size < 3 * 2**20


def test_two_hours_are_small_and_can_be_gone_through(browser, tmp_path):
    path = write_page(long_timeline(), tmp_path / "long.html")
    assert_self_contained(path)  # below 3 MiB
    with open_page(browser, path) as opened:
        opened.page.select_option("#show", "all")
        assert opened.page.locator(".lane:visible").count() == 157
        assert opened.page.locator("#segments tr").count() == 100
        # Lanes out of view take no memory for their pictures.
        opened.wait_for("document.querySelector('.lane canvas').width > 500")
        widths = opened.page.evaluate("[...document.querySelectorAll('.lane canvas')].map(c => c.width)")
        assert sum(width > 300 for width in widths) < 40
        opened.page.locator(".track:visible").nth(3).focus()
        opened.page.evaluate(
            """() => {
                const key = { key: "ArrowRight", bubbles: true };
                for (let count = 0; count < 100; count++) {
                    document.activeElement.dispatchEvent(new KeyboardEvent("keydown", key));
                }
            }"""
        )
        assert opened.page.inner_text("#now-time") == "1:41.0"
        opened.page.click("#more-segments")
        assert opened.page.locator("#segments tr").count() == 200 and opened.focused() == "button.go"
        opened.assert_quiet()


@pytest.mark.parametrize(
    ("video", "address", "policy"),
    [
        (None, None, "media-src &#39;self&#39; file: blob:;"),
        ("https://u:secret@example.org/a b.mp4?x=1", "https://example.org/a%20b.mp4?x=1", "https://example.org;"),
        ("http://[x/a.mp4", "http://x/a.mp4", "http://x;"),
        ("rtsp://camera/1", None, "media-src &#39;self&#39; file: blob:;"),
        ("https://example.org;script-src *;/a.mp4", None, "media-src &#39;self&#39; file: blob:;"),
        ("javascript:alert(1)", "javascript%3Aalert%281%29", "blob:;"),
    ],
)
def test_addresses(tmp_path, monkeypatch, video, address, policy):
    monkeypatch.chdir(tmp_path)
    text = write_page(small_timeline(), tmp_path / "page.html", video=video).read_text("utf-8")
    found = re.search(r'<video id="video" src="([^"]*)"', text)
    assert (found[1] if found else None) == address
    assert policy in text and "secret" not in text
    assert ('preload="none"' in text) == bool(address and address.startswith("http"))


def test_a_video_in_another_folder(tmp_path):
    (tmp_path / "out").mkdir()
    path = write_page(small_timeline(), tmp_path / "out" / "page.html", video=tmp_path / "clips" / "ünï \udce9.mp4")
    assert 'src="../clips/%C3%BCn%C3%AF%20%E9.mp4"' in path.read_text("utf-8")


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("/home/someone/kitchen.mp4", "kitchen.mp4"),
        ("https://user:secret@example.org/clips/kitchen.mp4?token=1", "kitchen.mp4"),
        ("rtsp://user:secret@camera.local", "camera.local"),
        ("http://[x/a.mp4", "a.mp4"),
        ("/dev/video0", "video0"),
        ("0", "camera 0"),
    ],
)
def test_a_page_names_its_source_without_secrets(source, name):
    assert source_name(source) == name


def test_the_page_appears_whole_or_not_at_all(tmp_path):
    broken = small_timeline(scores={"action": np.full((7, 10), np.inf, np.float32)})
    with pytest.raises(ValueError, match="finite"):
        write_page(broken, tmp_path / "page.html")
    assert list(tmp_path.iterdir()) == []
