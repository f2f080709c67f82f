"""A script of miniature Charades becomes frames. NumPy only."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from kerasfast.data.miniature.plan import FPS
from kerasfast.data.miniature.scripts import SUBJECTS, Part, Script
from kerasfast.data.miniature.sprites import ROLL_STEPS, Sprites
from kerasfast.data.miniature.subjects import HEADROOM, MARGIN, Subject, draw_background, make_subject

_FADE_FRAMES = 4  # an object comes and goes within this many frames
_OBJECT_PIXELS = (27, 34)
_SLOW_HERTZ = (0.4, 0.6)  # of the verbs that the Slow pathway sees; below half its 2.2 frames a second
# Turns a second of the rolling verbs: a mean for each action, and a wandering about it that forgets within a quarter of
# a second. Both wide, so that over 8, 10 or 11 frames, the spacings of Slow frames, the texture turns by an amount that
# is uniform modulo one period, and by independent amounts from one spacing to the next.
_ROLL_HERTZ = (3.0, 6.0)
_ROLL_WANDER_HERTZ = 1.4
_ROLL_WANDER_SECONDS = 0.25
_ROLL_LIMITS_HERTZ = (1.5, 8.0)
_NOISE_LEVELS = 3.0  # standard deviation of the camera noise


def render(script: Script, seed: int) -> np.ndarray:
    """The video of a script: uint8 (frames, height, width, 3), RGB at 24 frames a second."""
    rng, subject, background, jitter = _set_scene(script, seed)
    video = np.empty((script.frames, script.height, script.width, 3), np.uint8)
    for frame, (dy, dx) in zip(video, MARGIN - jitter, strict=True):
        frame[:] = background[dy : dy + script.height, dx : dx + script.width]
    for part in script.parts:
        for moment, sprite, y, x, strength in _play(part, subject, jitter, rng):
            _paste(video[moment], sprite, y, x, strength)
    return _add_noise(video, rng)


def object_masks(script: Script, seed: int) -> np.ndarray:
    """Where the object of each action is in the video of a script: the truth for maps of what a network looks at.

    Args:
        script: The video.
        seed: The data set's seed.

    Returns:
        float32 `(actions, frames, height, width)`: the share of each pixel that the object covers, were it alone in
        the video; 0 in frames outside of the action's segment. An object that fades counts as fully there.
    """
    rng, subject, _, jitter = _set_scene(script, seed)
    masks = np.zeros((len(script.parts), script.frames, script.height, script.width, 3), np.float32)
    for mask, part in zip(masks, script.parts, strict=True):
        for moment, sprite, y, x, _ in _play(part, subject, jitter, rng):
            _paste(mask[moment], np.repeat(sprite[..., 3:], 4, axis=-1), y, x, 1.0)
    return masks[..., 0]


def rolling_turns(frames: int, rng: np.random.Generator) -> np.ndarray:
    """Periods that a texture has turned upwards at each frame: (frames,), starting anywhere in 0..1.

    Run backwards, the same process rolls downwards: it is reversible, so only the order of frames tells the direction.
    """
    forget = np.exp(-1 / (FPS * _ROLL_WANDER_SECONDS))
    kicks = rng.normal(0, _ROLL_WANDER_HERTZ, frames)
    wander = np.empty(frames)
    state = kicks[0]
    for index, kick in enumerate(kicks):
        state = kick if index == 0 else forget * state + np.sqrt(1 - forget**2) * kick
        wander[index] = state
    speed = np.clip(rng.uniform(*_ROLL_HERTZ) + wander, *_ROLL_LIMITS_HERTZ)
    return rng.uniform() + np.cumsum(speed) / FPS


def _camera_jitter(frames: int, rng: np.random.Generator) -> np.ndarray:
    """Whole pixels (frames, 2) that the scene stands off its place: a step now and then, never beyond 2."""
    steps = rng.choice([-1, 0, 1], (frames, 2), p=[0.08, 0.84, 0.08])
    place = np.cumsum(steps, axis=0) + rng.integers(-2, 3, 2)
    return 2 - np.abs((place + 2) % 8 - 4)  # folded back at the borders


def _set_scene(script: Script, seed: int) -> tuple[np.random.Generator, Subject, np.ndarray, np.ndarray]:
    """The generator of the video's random numbers, the subject, its background, and the camera's jitter."""
    rng = np.random.default_rng([seed, list(SUBJECTS).index(script.split), script.index, 11])
    subject = make_subject(script.subject, seed)
    background = draw_background(subject, script.height, script.width, rng)
    return rng, subject, background, _camera_jitter(script.frames, rng)


def _play(
    part: Part, subject: Subject, jitter: np.ndarray, rng: np.random.Generator
) -> Iterator[tuple[int, np.ndarray, int, int, float]]:
    """One action: for each frame of its segment the frame's number, the sprite, its centre y, x and its strength."""
    size = int(rng.integers(_OBJECT_PIXELS[0], _OBJECT_PIXELS[1] + 1))
    sprites = Sprites(part.action.object_name, size, subject, phase=rng.uniform())
    length = part.end - part.start
    cycles = np.arange(length) / FPS * rng.uniform(*_SLOW_HERTZ) + rng.uniform()
    wave = np.sin(2 * np.pi * cycles)  # the slow to and fro of all verbs but the rolling ones
    turns = rolling_turns(length, rng)  # drawn for all verbs alike, so that the verb changes nothing else
    verb = part.action.verb_name
    for step in range(length):
        moment = part.start + step
        strength = min(1.0, (step + 1) / _FADE_FRAMES, (length - step) / _FADE_FRAMES)
        y, x = part.y + jitter[moment, 0], part.x + jitter[moment, 1]
        sway = wave[step]
        if verb == "fade":
            sprite = sprites.resized(size, size)
            strength *= 0.55 + 0.45 * sway
        elif verb == "grow":
            scaled = round(size * (0.9 + 0.4 * sway))
            sprite = sprites.resized(scaled, scaled)
        elif verb == "lift":
            sprite = sprites.resized(size, size)
            y += round(14 * sway)
        elif verb == "open":
            sprite = sprites.opened(round(9 + 9 * sway))
        elif verb == "slide":
            sprite = sprites.resized(size, size)
            x += round(16 * sway)
        elif verb == "squeeze":
            sprite = sprites.resized(round(size * (1 - 0.45 * sway)), round(size * (1 + 0.45 * sway)))
        else:
            direction = 1 if verb == "rolldown" else -1
            sprite = sprites.rolled(round(direction * turns[step] * ROLL_STEPS))
        yield moment, sprite, y, x, strength


def _paste(frame: np.ndarray, sprite: np.ndarray, y: int, x: int, strength: float) -> None:
    """Lay a sprite over a frame (in place), its centre at (y, x); what sticks out is cut off."""
    top, left = y - sprite.shape[0] // 2, x - sprite.shape[1] // 2
    cut_top, cut_left = max(-top, 0), max(-left, 0)
    seen = sprite[cut_top : max(frame.shape[0] - top, 0), cut_left : max(frame.shape[1] - left, 0)]
    height, width = seen.shape[:2]
    place = frame[top + cut_top : top + cut_top + height, left + cut_left : left + cut_left + width]
    place[:] = place * (1 - strength * seen[..., 3:]) + strength * seen[..., :3]


def _add_noise(video: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Grey noise (in place), another piece of one large sheet for each frame: as good as fresh and far faster."""
    frames, height, width, _ = video.shape
    noise = np.clip(np.rint(rng.normal(0, _NOISE_LEVELS, (height + 64, width + 64, 1))), -HEADROOM, HEADROOM)
    # Added modulo 256, where -1 is 255; nothing wraps since all colours keep HEADROOM from 0 and 255.
    sheet = noise.astype(np.int8).view(np.uint8)
    for frame, (y, x) in zip(video, rng.integers(0, 64, (frames, 2)), strict=True):
        frame += sheet[y : y + height, x : x + width]
    return video
