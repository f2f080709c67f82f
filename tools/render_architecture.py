"""Draw docs/architecture/*.svg: both pathways of a network, from its row in the table of architectures.

python tools/render_architecture.py          # writes
python tools/render_architecture.py --check  # exit code 1 where a drawing is behind

Shapes are those of the network that the row builds.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from math import log2
from pathlib import Path
from typing import Any

import keras
import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle

from kerasfast.models.backbone import backbone, stage_label
from kerasfast.models.fusion import fuse
from kerasfast.models.layers import LayerOptions
from kerasfast.models.variants import Variant, variant

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "architecture"
DRAWN = ("slowfast_r50_8x8", "slowfast_nano")
# Okabe and Ito's palette, which colour-blind readers can tell apart.
_COLOURS = {"slow": "#0072B2", "fast": "#D55E00", "lateral": "#009E73"}
_BASE = {"slow": 3.15, "fast": 0.35}  # where the boxes of a pathway stand
_TITLES = {"slow": "Slow pathway", "fast": "Fast pathway"}


@dataclass(frozen=True)
class Map:
    """Features of a pathway after a stage.

    Args:
        frames: Frames of the pathway.
        side: Height and width in pixels.
        channels: Channels.
        kernel: What its convolutions see of time, such as "3 frames"; empty for the input.
    """

    frames: int
    side: int
    channels: int
    kernel: str = ""


@dataclass(frozen=True)
class Column:
    """A stage of the network.

    Args:
        name: `input`, `stem`, `res2`, ...
        maps: Features by pathway.
        lateral: Channels that the Slow pathway takes over from the Fast one after it; 0 for none.
    """

    name: str
    maps: Mapping[str, Map]
    lateral: int = 0


def columns(row: Variant) -> list[Column]:
    """The stages of a network with two pathways, at the size of its training crops."""
    options = LayerOptions("replica", None)
    found = backbone(keras.Input((row.clip.frames, row.crop_size, row.crop_size, 3)), row, options)
    inputs = {"slow": row.clip.frames // row.alpha, "fast": row.clip.frames}
    stages = [Column("input", {path: Map(frames, row.crop_size, 3) for path, frames in inputs.items()})]
    for index in range(-1, row.num_stages):
        label = stage_label(index)
        tensors = {path: found[f"{path}_{label}"] for path in row.pathways}
        maps = {
            path: Map(tensor.shape[1], tensor.shape[2], tensor.shape[4], _kernel(row, path, index))
            for path, tensor in tensors.items()
        }
        lateral = 0
        if index < row.num_stages - 1:
            slow, fast = (keras.Input(tensors[path].shape[1:]) for path in ("slow", "fast"))
            lateral = fuse(slow, fast, row, name=f"{label}_drawn", options=options).shape[-1] - slow.shape[-1]
        stages.append(Column(label, maps, lateral))
    return stages


def _kernel(row: Variant, path: str, index: int) -> str:
    """Temporal length of a stage's convolutions, and its blocks."""
    pathway = getattr(row, path)
    if index < 0:
        return _frames(pathway.stem_kernel)
    blocks = pathway.depths[index]
    lengths = sorted({pathway.temporal_kernel(index, block) for block in range(blocks)})
    return f"{blocks} block{'s' * (blocks > 1)}, {' or '.join(map(str, [*lengths[:-1], _frames(lengths[-1])]))}"


def _frames(number: int) -> str:
    return f"{number} frame{'s' * (number > 1)}"


def draw(row: Variant, heads: str = "heads") -> Figure:
    """Both pathways of a row, input on the left: the bars in a box are its frames, its height its channels."""
    stages = columns(row)
    figure = Figure(figsize=(1.45 * len(stages) + 2.4, 5.2))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-1.25, len(stages) + 0.55), ylim=(-0.75, 6.2))
    axes.axis("off")
    for number, stage in enumerate(stages):
        _draw_stage(axes, number, stage)
        if number:
            for path, before in stages[number - 1].maps.items():
                height = min(_height(before), _height(stage.maps[path])) / 2
                _arrow(axes, (number - 0.66, _BASE[path] + height), (number - 0.36, _BASE[path] + height), "black")
    top = max(_BASE["slow"] + _height(stages[-1].maps["slow"]) / 2, 0)
    _draw_head(axes, len(stages) - 0.3, stages[-1], top, heads)
    for path, title in _TITLES.items():
        text = f"{title}\n{stages[0].maps[path].frames} of\n{row.clip.frames} frames"
        axes.text(-1.2, _BASE[path] + 0.55, text, color=_COLOURS[path], weight="bold", fontsize=12, va="center")
    clip = f"clips {row.clip.frames} x {row.clip.stride} at {row.clip.fps:g} fps"
    axes.text(-1.2, 5.95, row.name, fontsize=15, weight="bold", va="center")
    facts = f"alpha {row.alpha}, beta 1/{1 / row.beta:g}, {clip}, crops of {row.crop_size}, lateral {row.lateral}"
    axes.text(-1.2, 5.6, facts, fontsize=11, va="center")
    return figure


def _height(map_: Map) -> float:
    return 0.17 * log2(map_.channels)


def _draw_stage(axes: Axes, number: int, stage: Column) -> None:
    for path, map_ in stage.maps.items():
        base, height, colour = _BASE[path], _height(map_), _COLOURS[path]
        axes.add_patch(Rectangle((number - 0.34, base), 0.66, height, facecolor=colour, alpha=0.16, lw=0))
        axes.add_patch(Rectangle((number - 0.34, base), 0.66, height, fill=False, edgecolor=colour, lw=1.4))
        for frame in range(map_.frames):
            x = number - 0.34 + 0.66 * (frame + 0.5) / map_.frames
            axes.plot((x, x), (base + 0.05, base + height - 0.05), color=colour, lw=max(0.5, 9 / map_.frames))
        shape = f"{map_.frames} x {map_.side}² x {map_.channels}"
        axes.text(number, base - 0.14, shape, ha="center", va="top", fontsize=10)
        if map_.kernel:
            axes.text(number, base - 0.36, map_.kernel, ha="center", va="top", fontsize=8, color="#555555")
        axes.text(number, base + height + 0.08, stage.name, ha="center", va="bottom", fontsize=11, color=colour)
    if stage.lateral:
        start = _BASE["fast"] + _height(stage.maps["fast"]) + 0.34
        _arrow(axes, (number + 0.4, start - 0.2), (number + 0.46, _BASE["slow"] - 0.02), _COLOURS["lateral"])
        axes.text(number + 0.48, start + 0.2, f"+ {stage.lateral}", color=_COLOURS["lateral"], fontsize=10, va="center")


def _draw_head(axes: Axes, x: float, last: Column, top: float, heads: str) -> None:
    pooled = sum(map_.channels for map_ in last.maps.values())
    bottom = _BASE["fast"] + _height(last.maps["fast"]) / 2
    middle = (top + bottom) / 2
    for y in (top, bottom):
        _arrow(axes, (x - 0.36, y), (x + 0.03, middle + (0.3 if y == top else -0.3)), "black")
    axes.text(x + 0.05, middle, f"pool,\n{pooled} features,\n{heads}", fontsize=11, va="center", linespacing=1.5)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], colour: str) -> None:
    axes.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=11, color=colour, lw=1.3))


def save(figure: Figure, path: Path) -> None:
    """Write SVG with the same bytes for the same drawing, its words as text."""
    with matplotlib.rc_context({"svg.hashsalt": path.stem, "svg.fonttype": "none"}):
        figure.savefig(path, metadata={"Date": None})
    path.write_text("".join(line.rstrip() + "\n" for line in path.read_text("utf-8").splitlines()), "utf-8")


def words(path: Path) -> list[str]:
    """What stands in a drawing; the rest of the file differs between releases of matplotlib."""
    return re.findall(r"<(?:text|tspan)[^>]*>([^<]+)</", path.read_text("utf-8"))


def is_current(name: str) -> bool:
    """Whether the drawing of a row says what the row says."""
    path = FOLDER / f"{name}.svg"
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder) / path.name
        save(draw(variant(name)), fresh)
        return path.is_file() and words(path) == words(fresh)


def main(arguments: list[str] | Any = None) -> None:
    if "--check" in (sys.argv if arguments is None else arguments):
        sys.exit(not all(map(is_current, DRAWN)))
    FOLDER.mkdir(exist_ok=True)
    for name in DRAWN:
        save(draw(variant(name)), FOLDER / f"{name}.svg")


if __name__ == "__main__":
    main()
