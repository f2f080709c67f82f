"""Plots of matplotlib as SVG pictures that a page carries inside."""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass

from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.figure import Figure

from kerasfast.explain.pages.template import plain_text

# A picture of 4 inches, 384 pixels, is legible on a telephone of 400, and three stand beside each other on a desk.
WIDTH, HEIGHT = 4.0, 3.0
_RC = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.fontsize": 8,
    "legend.frameon": False,
    # Text stays text, a tenth of the size of outlines, and shows scripts that the font of matplotlib lacks.
    "svg.fonttype": "none",
    "svg.hashsalt": "kerasfast",  # the same figures give the same file
    "text.parse_math": False,  # a class may be called "$5 bill"
}


@dataclass(frozen=True)
class Picture:
    """A plot for a page.

    Attributes:
        address: `data:` address of the SVG.
        alt: What it shows, in words.
        width: In CSS pixels.
        height: In CSS pixels.
    """

    address: Markup
    alt: str
    width: int
    height: int


def draw(paint: Callable[[Figure], None], alt: str, width: float = WIDTH, height: float = HEIGHT) -> Picture:
    """Let a function draw on a figure of so many inches, and make a picture of it."""
    with rc_context(_RC), warnings.catch_warnings():
        # The browser has fonts for what matplotlib's lacks.
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        figure = Figure(figsize=(width, height), layout="constrained")
        paint(figure)
        file = io.BytesIO()
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    address = f"data:image/svg+xml;base64,{base64.b64encode(file.getvalue()).decode()}"
    return Picture(Markup(address), plain_text(alt), round(width * 96), round(height * 96))


def short(name: str, limit: int = 30) -> str:
    """A class name as a plot has room for it."""
    return plain_text(name, limit)
