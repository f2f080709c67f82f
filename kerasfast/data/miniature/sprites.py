"""Objects of miniature Charades as small pictures with transparency. NumPy only.

A sprite is float32 (h, w, 4): red, green, blue (0..255) already multiplied by the transparency, and it (0..1).
"""

from __future__ import annotations

import numpy as np

from kerasfast.data.miniature.plan import OBJECTS
from kerasfast.data.miniature.subjects import Subject

_FINE = 2  # a sprite is drawn at this many times its size and averaged down
_OUTLINE = 0.11  # width of the outline where an object is 2 high
ROLL_STEPS = 32  # pictures of one turn of a texture period


class Sprites:
    """Pictures of one object of one subject at one size, drawn on demand and kept.

    Args:
        thing: Object, a name of `OBJECTS`.
        size: Height and width in pixels when neither grown nor squeezed.
        subject: Whose palette and texture it wears.
        phase: Where the texture stands at rest, in periods.

    Raises:
        ValueError: An unknown object.
    """

    def __init__(self, thing: str, size: int, subject: Subject, phase: float = 0.0) -> None:
        if thing not in OBJECTS:
            raise ValueError(f"An object is one of {', '.join(OBJECTS)}. Received: thing={thing!r}.")
        self._size = size
        self._subject = subject
        self._phase = phase
        axis = (np.arange(size * _FINE) + 0.5) / (size * _FINE) * 2 - 1
        x, y = np.meshgrid(axis, axis)
        depth = _depth(thing, x, y)[..., None]
        self._body, self._inside = depth > 0, depth > _OUTLINE
        amplitude, waves, offset = subject.waves
        # Place of each point on the texture: periods downwards (kept positive), and column.
        self._turn = 4 + y * subject.bands / 2 + amplitude * np.sin(np.pi * waves * x + offset)
        self._column = ((x + 1) / 2 * subject.texture.shape[1]).astype(int)
        self._kept: dict[tuple[int, ...], np.ndarray] = {}
        self._still: np.ndarray | None = None

    def resized(self, height: int, width: int) -> np.ndarray:
        """The object at rest, scaled to (height, width, 4)."""
        key = (height, width)
        if key not in self._kept:
            if self._still is None:
                self._still = self._draw(self._phase)
            rows, columns = (_averaging(self._size * _FINE, n) for n in key)
            self._kept[key] = np.einsum("ih,hwc,jw->ijc", rows, self._still, columns, optimize=True)
        return self._kept[key]

    def opened(self, gap: int) -> np.ndarray:
        """The object cut in two upright halves, `gap` pixels apart: (size, size + gap, 4)."""
        whole = self.resized(self._size, self._size)
        half = self._size // 2
        return np.concatenate([whole[:, :half], np.zeros((self._size, gap, 4), np.float32), whole[:, half:]], axis=1)

    def rolled(self, step: int) -> np.ndarray:
        """The object with its texture turned by `step` / `ROLL_STEPS` periods: (size, size, 4)."""
        key = (step % ROLL_STEPS,)
        if key not in self._kept:
            fine = self._draw(self._phase + key[0] / ROLL_STEPS)
            shape = (self._size, _FINE, self._size, _FINE, 4)
            self._kept[key] = fine.reshape(shape).mean(axis=(1, 3))
        return self._kept[key]

    def _draw(self, phase: float) -> np.ndarray:
        """The object at fine size. The texture has one period only, so `phase` 0 and 1 look alike."""
        texture = self._subject.texture
        row = ((self._turn - phase) * len(texture)).astype(int) % len(texture)
        picture = np.empty((*row.shape, 4), np.float32)
        picture[..., :3] = np.where(self._inside, texture[row, self._column], self._subject.outline)
        picture[..., 3] = 1
        return picture * self._body


def _averaging(fine: int, coarse: int) -> np.ndarray:
    """Matrix (coarse, fine) that averages `fine` samples down to `coarse` by overlapping length."""
    edges = np.linspace(0, fine, coarse + 1)
    low, high = edges[:-1, None], edges[1:, None]
    cell = np.arange(fine)
    overlap = np.clip(np.minimum(high, cell + 1) - np.maximum(low, cell), 0, None)
    return (overlap / overlap.sum(axis=1, keepdims=True)).astype(np.float32)


def _depth(thing: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """How far each point lies within the object, negative outside; coordinates -1..1."""
    radius = np.hypot(x, y)
    if thing == "disc":
        depth = 1 - radius
    elif thing == "square":
        depth = 0.9 - np.maximum(np.abs(x), np.abs(y))
    elif thing == "ring":
        depth = 0.32 - np.abs(radius - 0.68)
    elif thing == "cross":
        upright = np.minimum(0.36 - np.abs(x), 1 - np.abs(y))
        level = np.minimum(1 - np.abs(x), 0.36 - np.abs(y))
        depth = np.maximum(upright, level)
    elif thing == "triangle":
        depth = np.minimum(0.85 - y, (y + 1 - 1.85 * np.abs(x)) / np.hypot(1, 1.85))
    else:  # star: in each fifth of a turn, the distance to the line from the tip (radius 1) to the notch (0.5)
        angle = np.abs((np.arctan2(x, -y) + np.pi / 5) % (2 * np.pi / 5) - np.pi / 5)
        along, across = radius * np.cos(angle), radius * np.sin(angle)
        notch = 0.5 * np.array([np.cos(np.pi / 5), np.sin(np.pi / 5)])
        normal = np.array([notch[1], 1 - notch[0]]) / np.hypot(notch[1], 1 - notch[0])
        depth = normal[0] * (1 - along) - normal[1] * across
    return depth
