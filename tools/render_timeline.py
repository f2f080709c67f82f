"""Draw docs/predict/timeline.png: the timeline page of generated videos, as a browser shows it.

python tools/render_timeline.py

Three videos of the miniature data set, one after the other, are what `slowfast_nano.miniature` looks at; their scripts
are the annotations. It needs Chromium, and the packages of `kerasfast[dev]`.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

import kerasfast as kf
from kerasfast.data.miniature.generate import encode
from kerasfast.data.miniature.plan import FPS
from kerasfast.data.miniature.render import render
from kerasfast.data.miniature.scripts import Script, write_scripts

PICTURE = Path(__file__).resolve().parent.parent / "docs" / "predict" / "timeline.png"
SEED = 2  # the weights were trained on videos of another
VIDEOS = (7, 0, 4)  # of the 20 scripts of that seed; all of 96 x 96 pixels
WIDTH, HEIGHT = 1280, 960  # pixels of the window
SHOWN_HEIGHT = 924  # of them, so that no lane is cut through
SHOWN_SECONDS = 3.0  # at which the player stands


def scripts() -> list[Script]:
    """What happens in the videos."""
    written = write_scripts("test", 20, SEED)
    return [written[number] for number in VIDEOS]


def annotations(chosen: list[Script], labels: dict[str, tuple[str, ...]]) -> tuple[kf.explain.Segment, ...]:
    """What happens and when in the videos joined: the actions, their verbs and their objects."""
    found, before = [], 0
    for script in chosen:
        for part in script.parts:
            numbers = {"action": part.number, "verb": part.action.verb, "object": part.action.object}
            start, end = ((before + frame) / FPS for frame in (part.start, part.end))
            found += [
                kf.explain.Segment(head, number, labels[head][number], start, end) for head, number in numbers.items()
            ]
        before += script.frames
    return tuple(found)


def write_page(folder: Path) -> Path:
    """Generate the video, look at it, and write its page beside it."""
    chosen = scripts()
    video = folder / "kitchen.mp4"
    encode(video, np.concatenate([render(script, SEED) for script in chosen]))
    (timeline,) = kf.predict(video, "slowfast_nano.miniature", every=0.25, top=4)
    timeline = replace(timeline, source=video.name, truth=annotations(chosen, dict(timeline.labels)))
    return kf.explain.write_page(timeline, folder / "kitchen.html", video=video)


def photograph(page: Path, picture: Path) -> None:
    """Open a page, put its player at a moment, and write what the window shows."""
    from playwright.sync_api import sync_playwright

    executable = shutil.which("chromium") or shutil.which("google-chrome")
    if executable is None:
        raise FileNotFoundError("The picture needs chromium or google-chrome. Received: neither.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        opened = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        opened.set_default_timeout(180_000)
        opened.goto(page.resolve().as_uri())
        # The frame is there before the picture is taken; the page's policy forbids Playwright's own waiting for it.
        opened.evaluate(
            """seconds => new Promise(done => {
                const video = document.querySelector("video");
                const seek = () => {
                    video.addEventListener("seeked", () => setTimeout(done, 500), {once: true});
                    video.currentTime = seconds;
                };
                video.readyState ? seek() : video.addEventListener("loadedmetadata", seek, {once: true});
            })""",
            SHOWN_SECONDS,
        )
        opened.screenshot(path=str(picture), clip={"x": 0, "y": 0, "width": WIDTH, "height": SHOWN_HEIGHT})
        browser.close()


def main() -> None:
    """Write the picture."""
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        photograph(write_page(Path(folder)), PICTURE)
    print(f"{PICTURE}: {PICTURE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
