"""The subjects of miniature Charades: palette, surface texture and background family of each. NumPy only."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np

SCENES = ("Blinds", "Bokeh", "Bricks", "Patches", "Tiles", "Waves")
MARGIN = 6  # pixels around the frame that camera jitter may bring into view
HEADROOM = 10  # all colours keep this far from 0 and 255, for the noise


@dataclass(frozen=True)
class Subject:
    """How everything looks that a subject shows.

    Args:
        outline: Colour of an object's outline, RGB 0..255.
        texture: (96, 24, 3) one period of an object's surface over its whole width: a light and a dark band,
            speckled.
        bands: Periods of the texture that an object of full height shows.
        waves: (amplitude in periods, waves over the width, phase) of the bands' waviness.
        scene: Background family, a name of `SCENES`.
        scene_hues: Hues 0..1 of the background.
        scene_pitch: Size of the background's elements in pixels.
    """

    outline: np.ndarray
    texture: np.ndarray
    bands: float
    waves: tuple[float, float, float]
    scene: str
    scene_hues: tuple[float, float]
    scene_pitch: float


def make_subject(number: int, seed: int) -> Subject:
    """Subject `number` of the data set with `seed`; always the same one."""
    # 7: the third word keeps these streams apart from those of scripts and videos.
    rng = np.random.default_rng([seed, number, 7])
    hue = rng.uniform()
    light = _rgb(hue, rng.uniform(0.25, 0.6), rng.uniform(0.9, 1.0))
    dark = _rgb(hue + rng.uniform(0.25, 0.75), rng.uniform(0.6, 1.0), rng.uniform(0.2, 0.4))
    outline = _rgb(rng.uniform(), rng.uniform(0.0, 0.3), 1.0)  # stands out from every background, which is dim
    return Subject(
        outline=outline,
        texture=_texture(light, dark, rng),
        bands=rng.uniform(1.7, 2.2),
        waves=(rng.uniform(0.0, 0.12), rng.uniform(0.5, 1.5), rng.uniform(0, 2 * np.pi)),
        scene=str(rng.choice(SCENES)),
        scene_hues=(rng.uniform(), rng.uniform()),
        scene_pitch=rng.uniform(9, 22),
    )


def draw_background(subject: Subject, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """A cluttered still background with `MARGIN` pixels to spare on each side: uint8 (H + 12, W + 12, 3)."""
    y, x = np.mgrid[: height + 2 * MARGIN, : width + 2 * MARGIN].astype(np.float32)
    shade = _PATTERNS[subject.scene](x, y, subject.scene_pitch, rng)
    brightness = rng.uniform(0.25, 0.4) + 0.12 * shade
    brightness += 0.08 * (x / width - 0.5) * rng.uniform(-1, 1)
    first, second = (_rgb(hue, 0.35, 1.0) for hue in subject.scene_hues)
    blend = (0.5 + 0.5 * np.sin((x * rng.uniform(-1, 1) + y * rng.uniform(-1, 1)) / 20))[..., None]
    for _ in range(8):  # loose things standing about
        cx, cy = rng.uniform(0, width), rng.uniform(0, height)
        rx, ry = rng.uniform(3, 12, 2)
        power = rng.choice([1, 2, 6])
        inside = (np.abs(x - cx) / rx) ** power + (np.abs(y - cy) / ry) ** power < 1
        brightness[inside] += rng.uniform(-0.15, 0.15)
    picture = brightness[..., None] * (first * blend + second * (1 - blend))
    return np.clip(picture, HEADROOM, 255 - HEADROOM).astype(np.uint8)


def _texture(light: np.ndarray, dark: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    share = np.clip(0.5 + 1.2 * np.cos(2 * np.pi * np.arange(96) / 96), 0, 1)[:, None, None]
    speckle = np.repeat(rng.uniform(0.85, 1.1, (24, 24)), 4, axis=0)[..., None]
    return np.clip((share * light + (1 - share) * dark) * speckle, HEADROOM, 255 - HEADROOM).astype(np.float32)


def _rgb(hue: float, saturation: float, value: float) -> np.ndarray:
    colour = np.array(colorsys.hsv_to_rgb(float(hue) % 1, saturation, value), np.float32)
    return HEADROOM + colour * (255 - 2 * HEADROOM)


# Each pattern: (x, y, pitch in pixels, rng) -> shade -1..1 of x's shape.


def _blinds(x, y, pitch, rng):
    angle = rng.uniform(0, np.pi)
    return np.sign(np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / pitch))


def _bokeh(x, y, pitch, rng):
    shade = np.zeros_like(x)
    for _ in range(25):
        distance = np.hypot(x - rng.uniform(0, x.max()), y - rng.uniform(0, y.max()))
        shade += rng.uniform(-1, 1) * (distance < rng.uniform(0.3, 1.0) * pitch)
    return np.clip(shade, -1, 1)


def _bricks(x, y, pitch, rng):
    row = (y // (pitch / 2)).astype(int)
    column = ((x + row % 2 * pitch / 2) // pitch).astype(int)
    return rng.uniform(-1, 1, (64, 64))[row % 64, column % 64]


def _patches(x, y, pitch, rng):
    centres = rng.uniform(0, 1, (30, 2)) * (x.max(), y.max())
    nearest = np.argmin((x[..., None] - centres[:, 0]) ** 2 + (y[..., None] - centres[:, 1]) ** 2, axis=-1)
    return rng.uniform(-1, 1, 30)[nearest]


def _tiles(x, y, pitch, rng):
    return np.where((x // pitch + y // pitch) % 2 > 0, 1.0, -1.0) * rng.uniform(0.4, 1.0)


def _waves(x, y, pitch, rng):
    bend = np.sin(y * rng.uniform(0.5, 1.5) / pitch + rng.uniform(0, 6))
    return np.sin(x * 2 * np.pi / pitch + 2 * bend) * np.cos(y * 2 * np.pi / (2 * pitch))


_PATTERNS = {
    "Blinds": _blinds,
    "Bokeh": _bokeh,
    "Bricks": _bricks,
    "Patches": _patches,
    "Tiles": _tiles,
    "Waves": _waves,
}
