"""Maps as heat over the frames: as one picture, and as a video."""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib import colormaps, font_manager
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont

from kerasfast.data.files import write_whole
from kerasfast.data.video_writer import write_video
from kerasfast.explain.maps.attention_maps import METHODS

if TYPE_CHECKING:
    from kerasfast.explain.maps.explanation import Explanation

_COLOURS = "plasma"  # even steps of brightness, which colour-blind readers see too
_SMALLEST_PANEL = 256  # pixels; smaller frames are enlarged for the video
_TEXT = 16  # pixels
_MARGIN = 8
_LONGEST_TITLE = 160  # characters of head, class and score


def heat(frames: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """Maps in colour over frames in grey: the hotter a place, the less the frame shines through.

    Args:
        frames: uint8 `(..., H, W, 3)`.
        maps: `(..., H, W)`, 0..1.

    Returns:
        uint8 `(..., H, W, 3)`.
    """
    grey = frames @ np.array([0.299, 0.587, 0.114], np.float32)
    colour = np.asarray(colormaps[_COLOURS](maps))[..., :3] * 255
    cover = 0.8 * np.sqrt(maps)[..., None]
    return np.round(colour * cover + grey[..., None] * (1 - cover)).astype(np.uint8)


def contact_sheet(explanation: Explanation, path: str | Path, columns: int = 8) -> None:
    """Draw frames of the clip in time order, and below them the map of each pathway.

    Args:
        explanation: What to draw.
        path: PNG to write; it appears only once it is whole.
        columns: Frames to show, spread over the clip; all of a shorter clip.

    Raises:
        ValueError: `columns` is below 1.
    """
    if columns < 1:
        raise ValueError(f"columns must be at least 1. Received: columns={columns!r}.")
    length, height, width = explanation.frames.shape[:3]
    shown = np.unique(np.round(np.linspace(0, length - 1, columns)).astype(int))
    rows = {"frames": explanation.frames[shown]}
    for pathway, maps in explanation.maps.items():
        rows[pathway_name(pathway, maps)] = heat(explanation.frames[shown], maps[shown])
    side = 1.6
    size = (side * len(shown) + 1.4, side * height / width * len(rows) + 1.1)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(len(rows), len(shown), squeeze=False)
    for (name, pictures), line in zip(rows.items(), grid, strict=True):
        for picture, axes in zip(pictures, line, strict=True):
            axes.imshow(picture, interpolation="lanczos")
            axes.set(xticks=[], yticks=[])
        line[0].set_ylabel(name, fontsize=10)
    for axes, number in zip(grid[0], shown, strict=True):
        axes.set_title(f"{explanation.times[number]:.2f} s", fontsize=9)
    scale = figure.colorbar(
        _scale(), ax=grid[1:].ravel().tolist(), label="evidence (1 is the highest)", ticks=[0, 0.5, 1], pad=0.01
    )
    scale.ax.tick_params(labelsize=8)
    heading = textwrap.fill(_heading(explanation), round(size[0] * 10))
    # A class may be named "$5": that is no formula.
    figure.suptitle(heading, x=0.01, ha="left", fontsize=11, parse_math=False)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # it draws a box then
        write_whole(Path(path), lambda partial: figure.savefig(partial, dpi=120, format="png"))


def heat_video(explanation: Explanation, path: str | Path, speed: float = 0.5) -> None:
    """Write the clip and the map of each pathway side by side, with the class and its score above.

    Args:
        explanation: What to draw.
        path: mp4 to write.
        speed: Seconds of the clip in a second of the video; a clip lasts a second or two.

    Raises:
        ValueError: `speed` is not positive.
    """
    if not speed > 0:
        raise ValueError(f"speed must be above 0. Received: speed={speed!r}.")
    step = float(np.diff(explanation.times).mean()) if len(explanation.times) > 1 else 1.0
    # The times of a clip at the end of a video stand still, where its last frame repeats.
    rate = min(max(speed / step, 1.0), 60.0) if step > 0 else 10.0
    write_video(path, _pictures(explanation), round(rate, 2))


def pathway_name(pathway: str, maps: np.ndarray) -> str:
    """What a row or panel is called."""
    return f"{pathway} pathway" if maps.any() else f"{pathway} pathway:\nno evidence"


def _heading(explanation: Explanation) -> str:
    source = f", {explanation.source}" if explanation.source else ""
    title = textwrap.shorten(explanation.title, _LONGEST_TITLE, placeholder="...")
    return f"{METHODS[explanation.method]} for {title}   ({explanation.model}{source})"


def _scale():
    from matplotlib.cm import ScalarMappable

    return ScalarMappable(cmap=_COLOURS)


def _pictures(explanation: Explanation) -> Iterator[np.ndarray]:
    """The frames of the video, uint8 `(H, W, 3)` with even sides."""
    _, height, width = explanation.frames.shape[:3]
    factor = -(-_SMALLEST_PANEL // min(height, width))
    panel = (width * factor, height * factor)
    names = ["frames", *(pathway_name(*item).replace("\n", " ") for item in explanation.maps.items())]
    total = len(names) * (panel[0] + _MARGIN) - _MARGIN
    font = ImageFont.truetype(font_manager.findfont("DejaVu Sans"), _TEXT)
    heading = _wrapped(_heading(explanation), font, total - 2 * _MARGIN)
    top = (len(heading) + 1) * (_TEXT + 6) + 2 * _MARGIN
    size = tuple(side + side % 2 for side in (total, top + panel[1]))
    for number, (frame, seconds) in enumerate(zip(explanation.frames, explanation.times, strict=True)):
        picture = Image.new("RGB", size, "white")
        draw = ImageDraw.Draw(picture)
        for line, text in enumerate(heading):
            draw.text((_MARGIN, _MARGIN + line * (_TEXT + 6)), text, "black", font)
        heated = [heat(frame, maps[number]) for maps in explanation.maps.values()]
        for place, (name, one) in enumerate(zip(names, [frame, *heated], strict=True)):
            left = place * (panel[0] + _MARGIN)
            name = f"{seconds:.2f} s" if place == 0 else name
            draw.text((left + _MARGIN, top - _TEXT - 8), name, "#444444", font)
            picture.paste(Image.fromarray(one).resize(panel, Image.Resampling.BICUBIC), (left, top))
        yield np.asarray(picture)


def _wrapped(text: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """Lines of a text that are at most `width` pixels wide; a longer word stands alone and is cut off."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
