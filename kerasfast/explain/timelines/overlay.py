"""A timeline drawn on to its video: the highest classes of each head with their scores, window by window."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from kerasfast.data.clips import as_rate
from kerasfast.data.errors import DataError
from kerasfast.data.video import VideoInfo, frames, probe
from kerasfast.data.video_writer import write_video
from kerasfast.explain.pages.template import clock, plain_text
from kerasfast.explain.timelines.page_data import label_of, ordered_heads, threshold_of
from kerasfast.explain.timelines.timeline import Timeline

# Letters of a picture with fewer lines than this could not be read.
_SHORT_SIDE = 480
_PANEL = (16, 16, 20)
_PANEL_ALPHA = 0.72
_TEXT, _FAINT = (255, 255, 255), (176, 176, 186)
_TRACK, _SEEN, _UNSEEN = (48, 48, 56), (0, 104, 168), (92, 92, 102)
_TICK, _TRUTH = (255, 214, 102), (95, 211, 154)


def write_overlay(
    timeline: Timeline,
    video: str | Path,
    path: Path,
    *,
    top: int = 3,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Writes a copy of a video with the highest classes of each head along its lower edge.

    Each frame shows the window whose middle is the nearest: a bar for the score, blue where the class is seen, a
    tick where its threshold lies, if it has one, and a green dot where the annotations agree. The rate is the
    source's (the average of a variable one, with every frame at its time). Frames stand upright and in their
    proportions, as the file says. Those with a shorter side below 480 pixels are enlarged to that. A width or height
    that is odd then loses its last column or row of pixels, for the encoder takes even ones alone. There is no sound.
    Memory does not grow with the length.

    Args:
        timeline: Scores of the windows of `video`.
        video: The file that was seen.
        path: File to write: .mp4.
        top: Classes of each head, at least 1.
        progress: Called with frames written and frames announced by the file, which may say another number.

    Returns:
        `path`. Where the video breaks off, the overlay ends too.

    Raises:
        ValueError: Not one class to draw, or no window.
        DataError: The video is missing, or no frame of it can be decoded.
    """
    if top < 1 or not timeline.scores:
        raise ValueError(
            f"An overlay draws at least one class of one head. Received: top={top} of {len(timeline.scores)}."
        )
    if not len(timeline.starts):
        raise ValueError("An overlay needs scores of at least one window. Received: none.")
    info = probe(video)
    turns = timeline.turns
    rate = float(as_rate(info.fps))

    def drawn() -> Iterator[np.ndarray]:
        shown, panels, panel = -1, None, None
        for index, frame in enumerate(_until_it_breaks(video, info)):
            picture = _in_proportion(frame, info)
            nearest = int(np.searchsorted(turns, index / rate, side="right"))
            panels = panels or _Panels(timeline, top, picture.shape[1], picture.shape[0])
            if panel is None or nearest != shown:
                shown, panel = nearest, panels.draw(nearest)
            yield panel.over(picture)
            if progress is not None:
                progress(index + 1, max(info.frames, index + 1))

    path = Path(path)
    write_video(path, drawn(), info.fps)
    return path


def _until_it_breaks(video: str | Path, info: VideoInfo) -> Iterator[np.ndarray]:
    """Frames as far as they can be decoded; the first has to."""
    some = False
    try:
        for frame in frames(video, info.fps, max(min(info.width, info.height), _SHORT_SIDE)):
            some = True
            yield frame
    except DataError:
        if not some:
            raise


def _in_proportion(frame: np.ndarray, info: VideoInfo) -> np.ndarray:
    """A frame with square pixels, and with even sides, which yuv420p needs."""
    height, width = frame.shape[:2]
    aspect = 1 / info.pixel_aspect if info.rotation % 180 else info.pixel_aspect
    if abs(aspect - 1) < 0.01:
        return frame[: height // 2 * 2, : width // 2 * 2]
    # The side that is too short grows, so that no line is lost.
    size = (width * aspect, height) if aspect > 1 else (width, height / aspect)
    even = (round(size[0] / 2) * 2, round(size[1] / 2) * 2)
    return np.asarray(Image.fromarray(frame).resize(even, Image.Resampling.BILINEAR))


@dataclass(frozen=True)
class _Panel:
    """What is laid over the lower edge of every frame of a window."""

    colour: np.ndarray  # uint16 (h, W, 3), multiplied by its opacity, 0..255 * 255
    rest: np.ndarray  # uint16 (h, W, 1), how much of the frame shows through, 0..255

    def over(self, picture: np.ndarray) -> np.ndarray:
        """A copy of the picture with the panel on it; the same frame may come again."""
        picture = picture.copy()
        lower = picture[-len(self.colour) :]
        lower[:] = (lower * self.rest + self.colour) // 255
        return picture


@dataclass(frozen=True)
class _Layout:
    """Where the heads of a panel stand; pixels."""

    size: int  # of letters
    line: int  # from one row to the next
    rows: int  # classes of a head
    height: int
    places: tuple[tuple[int, int, int], ...]  # (left, top, right) of each head


class _Panels:
    """Draws the panels of a timeline."""

    def __init__(self, timeline: Timeline, top: int, width: int, height: int) -> None:
        self._timeline = timeline
        self._heads = ordered_heads(timeline)
        self._seen = {head: timeline.sees(head) for head in self._heads}
        self._width = width
        self._layout = self._lay_out(top, width, height)
        self._regular = _font("DejaVuSans.ttf", self._layout.size)
        self._bold = _font("DejaVuSans-Bold.ttf", self._layout.size)

    def draw(self, window: int) -> _Panel:
        """The panel of a window."""
        layout, timeline = self._layout, self._timeline
        image = Image.new("RGBA", (self._width, layout.height), (*_PANEL, round(255 * _PANEL_ALPHA)))
        draw = ImageDraw.Draw(image)
        times = f"{clock(timeline.starts[window])} – {clock(timeline.ends[window])}"
        for head, (left, top, right) in zip(self._heads, layout.places, strict=True):
            title = _cut(head, self._bold, right - left)
            draw.text((left, top), title, _FAINT, self._bold)
            if head == self._heads[0]:
                after = left + self._bold.getlength(title) + layout.size
                draw.text((after, top), _cut(times, self._regular, right - after), _FAINT, self._regular)
            highest = np.argsort(-timeline.scores[head][window], kind="stable")[: layout.rows]
            for row, index in enumerate(highest.tolist()):
                self._draw_class(draw, head, index, window, (left, top + (row + 1) * layout.line, right))
        pixels = np.asarray(image).astype(np.uint16)
        alpha = pixels[..., 3:]
        return _Panel(pixels[..., :3] * alpha, 255 - alpha)

    def _lay_out(self, top: int, width: int, height: int) -> _Layout:
        """Heads side by side, each as wide as its names ask for; in several rows where that is too narrow."""
        size = max(round(min(width, height) / 34), 13)
        line, margin, figures = round(size * 1.45), round(size * 0.8), round(size * 2.6)
        least = 10 * size  # pixels in which a name can be told
        wanted = [self._name_width(head, top, size) + figures for head in self._heads]
        columns = next(
            (
                columns
                for columns in range(len(wanted), 1, -1)
                if all(
                    sum(min(width_, least) for width_ in group) + margin * (len(group) + 1) <= width
                    for group in _groups(wanted, columns)
                )
            ),
            1,
        )
        groups = _groups(wanted, columns)
        # Many heads must not hide the picture: half of it stays free.
        rows = min(top, max((height // 2 - margin) // len(groups) // line - 1, 1))
        places = []
        for row, group in enumerate(groups):
            room = width - margin * (len(group) + 1)
            left, upper = margin, margin // 2 + row * (rows + 1) * line
            for share in _shares(group, room, least):
                places.append((left, upper, left + share))
                left += share + margin
        return _Layout(size, line, rows, min(margin + len(groups) * (rows + 1) * line, height), tuple(places))

    def _name_width(self, head: str, top: int, size: int) -> int:
        """Width of the longest name that is ever among the highest of a head."""
        scores = self._timeline.scores[head]
        count = min(top, scores.shape[1])
        ever = np.unique(np.argpartition(-scores, count - 1, axis=1)[:, :count])
        font = _font("DejaVuSans.ttf", size)
        names = (plain_text(label_of(self._timeline, head, index)) for index in ever.tolist())
        return round(max(font.getlength(name) for name in names) + 1.6 * size)

    def _draw_class(
        self, draw: ImageDraw.ImageDraw, head: str, index: int, window: int, place: tuple[int, int, int]
    ) -> None:
        """A class: its name on a bar that is as long as its score, and the score; `place` is (left, top, right)."""
        left, top, right = place
        font, size = self._regular, self._layout.size
        score = float(self._timeline.scores[head][window, index])
        threshold = threshold_of(self._timeline, head, index)
        seen = bool(self._seen[head][window, index])
        end, bottom = right - round(2.6 * size), top + self._layout.line - 3
        draw.rectangle((left, top, end, bottom), _TRACK)
        if (filled := round((end - left) * min(max(score, 0.0), 1.0))) > 0:
            draw.rectangle((left, top, left + filled, bottom), _SEEN if seen else _UNSEEN)
        if 0 <= threshold <= 1:
            tick = left + round((end - left) * threshold)
            draw.line((tick, bottom - round(0.35 * size), tick, bottom), _TICK, max(round(size / 8), 1))
        start = left + round(0.35 * size)
        name = _cut(label_of(self._timeline, head, index), font, end - start - 1.1 * size)
        draw.text((start, top), name, _TEXT, font)
        if self._is_true(head, index, window):
            dot = start + font.getlength(name) + 0.3 * size
            draw.ellipse((dot, top + 0.4 * size, dot + 0.5 * size, top + 0.9 * size), _TRUTH)
        figures = f"{score:.2f}"
        draw.text((right - font.getlength(figures), top), figures, _TEXT if seen else _FAINT, font)

    def _is_true(self, head: str, index: int, window: int) -> bool:
        middle = (self._timeline.starts[window] + self._timeline.ends[window]) / 2
        return any(
            (segment.head, segment.index) == (head, index) and segment.start_seconds <= middle <= segment.end_seconds
            for segment in self._timeline.truth
        )


def _groups(widths: list[int], columns: int) -> list[list[int]]:
    return [widths[start : start + columns] for start in range(0, len(widths), columns)]


def _shares(wanted: list[int], room: int, least: int) -> list[int]:
    """Widths that fill the room: what is wanted and some more, or as much of it as there is."""
    spare = room - sum(wanted)
    if spare >= 0:
        return [width + spare // len(wanted) for width in wanted]
    base = [min(width, least) for width in wanted]
    over, left = [width - low for width, low in zip(wanted, base, strict=True)], max(room - sum(base), 0)
    return [min(low + more * left // max(sum(over), 1), room) for low, more in zip(base, over, strict=True)]


@cache
def _font(name: str, size: int) -> ImageFont.FreeTypeFont:
    # Matplotlib brings this font everywhere. The basic layout needs no library of the system.
    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name
    return ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)


def _cut(text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    """Text on one line that is no wider than this, with an ellipsis where something is missing; empty without room."""
    text = plain_text(text)
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text.rstrip() + "…" if text else ""
