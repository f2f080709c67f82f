"""Who does what and when in each video of miniature Charades: the scripts, before anything is drawn. NumPy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kerasfast.data.miniature.plan import ACTIONS, FPS, NOVEL_ACTIONS, TAIL_RATIO, Action, tail_weights

# Subjects of the splits: ranges that do not meet, so no palette, texture or background is in two of them.
SUBJECTS = {
    "train": range(0, 120),
    "test": range(200, 240),
    "novel": range(300, 320),
    "kinetics_train": range(400, 460),
    "kinetics_test": range(500, 520),
}
_ID_LETTER = {"train": "T", "test": "E", "novel": "N", "kinetics_train": "K", "kinetics_test": "L"}

# Share of the videos that hold 2, 3, 4, 5 actions, and seconds that such a video may last.
_ACTIONS_PER_VIDEO = {2: 0.58, 3: 0.27, 4: 0.10, 5: 0.05}
_SECONDS = {1: (4.0, 5.0), 2: (4.0, 6.0), 3: (4.5, 7.5), 4: (6.0, 9.0), 5: (7.0, 10.0)}
_ACTION_SECONDS = (2.0, 4.0)
_HEIGHT = 96
_WIDTHS = (96, 112, 128)
_WIDTH_SHARES = (0.5, 0.3, 0.2)


@dataclass(frozen=True)
class Part:
    """One action of a video: frames [start, end) at 24 frames a second, at a place given in pixels of the video."""

    action: Action
    number: int
    start: int
    end: int
    x: int
    y: int


@dataclass(frozen=True)
class Script:
    """One video: what `kerasfast.data.miniature.render.render` draws and what the CSV says of it."""

    id: str
    split: str
    index: int
    subject: int
    frames: int
    width: int
    height: int
    parts: tuple[Part, ...]


def classes_of(split: str) -> tuple[Action, ...]:
    """The actions that the numbers of a split mean: the 40 classes, and for `novel` the six pairs after them."""
    return ACTIONS + NOVEL_ACTIONS if split == "novel" else ACTIONS


def write_scripts(split: str, videos: int, seed: int) -> list[Script]:
    """Scripts of one split.

    Args:
        split: `train`, `test`, `novel`, `kinetics_train` or `kinetics_test`.
        videos: How many.
        seed: The data set's seed; the same seed gives the same scripts.

    Raises:
        ValueError: An unknown split or a negative number of videos.
    """
    if split not in SUBJECTS or videos < 0:
        raise ValueError(
            f"A split is one of {', '.join(SUBJECTS)} and has no fewer than 0 videos. Received: split={split!r}, "
            f"videos={videos}."
        )
    rng = np.random.default_rng([seed, list(SUBJECTS).index(split)])
    if split.startswith("kinetics"):
        sizes = np.ones(videos, int)
        weights = np.ones(len(ACTIONS))
    elif split == "novel":
        sizes = rng.permutation(np.repeat([2, 3], _shares(videos, np.array([0.7, 0.3]))))
        weights = np.concatenate([np.zeros(len(ACTIONS)), np.ones(len(NOVEL_ACTIONS))])
    else:
        counts = _shares(videos, np.array(list(_ACTIONS_PER_VIDEO.values())))
        sizes = rng.permutation(np.repeat(list(_ACTIONS_PER_VIDEO), counts))
        # The test split has a flatter tail (the square root): each class needs positives enough to be scored.
        weights = tail_weights() if split == "train" else tail_weights(TAIL_RATIO**0.5)
    deals = _deal(sizes, weights, rng)
    return [_script(split, index, numbers, rng) for index, numbers in enumerate(deals)]


def _shares(total: int, weights: np.ndarray) -> np.ndarray:
    """Split `total` in whole numbers proportional to `weights`, at least 1 for each positive weight if they suffice."""
    wanted = weights > 0
    floor = wanted.astype(int) if total >= wanted.sum() else np.zeros(len(weights), int)
    exact = floor + (total - floor.sum()) * weights / weights.sum()
    counts = np.floor(exact).astype(int)
    rest = total - counts.sum()
    counts[np.argsort(counts - exact, kind="stable")[:rest]] += 1
    return counts


def _deal(sizes: np.ndarray, weights: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """Deal class numbers to videos of the given numbers of actions, no number twice in a video."""
    numbers = rng.permutation(np.repeat(np.arange(len(weights)), _shares(int(sizes.sum()), weights)))
    video = np.repeat(np.arange(len(sizes)), sizes)
    members: list[list[int]] = [list(numbers[video == v]) for v in range(len(sizes))]
    for v, mine in enumerate(members):
        for place in range(len(mine)):
            while mine.count(mine[place]) > 1:
                w = int(rng.integers(len(members)))
                other = members[w]
                there = int(rng.integers(len(other)))
                if w != v and other[there] not in mine and mine[place] not in other:
                    mine[place], other[there] = other[there], mine[place]
    return [rng.permutation(mine) for mine in members]


def _script(split: str, index: int, numbers: np.ndarray, rng: np.random.Generator) -> Script:
    low, high = _SECONDS[len(numbers)]
    # Whole quarters of a second, so that the length in the CSV, two decimals, is exact.
    frames = int(rng.integers(round(low * 4), round(high * 4) + 1)) * FPS // 4
    width = int(rng.choice(_WIDTHS, p=_WIDTH_SHARES))
    subject = int(rng.choice(SUBJECTS[split]))
    spans = _spans(frames, len(numbers), rng) if len(numbers) > 1 else [(0, frames)]
    parts: list[Part] = []
    # Four places, near enough to the middle of a wide video that square crops seldom lose them.
    reach = 22 + (width - _HEIGHT) // 6
    slots = [(width // 2 + side * reach, y) for y in (26, 70) for side in (-1, 1)]
    used: list[int] = []
    for number, (start, end) in zip(numbers, spans, strict=True):
        taken = {slot for slot, part in zip(used, parts, strict=True) if part.start < end and start < part.end}
        free = [slot for slot in range(len(slots)) if slot not in taken] or list(range(len(slots)))
        used.append(int(rng.choice(free)))
        x, y = np.array(slots[used[-1]], int) + rng.integers(-4, 5, 2)
        parts.append(Part(classes_of(split)[number], int(number), start, end, int(x), int(y)))
    letter = _ID_LETTER[split]
    return Script(f"{letter}{index:04d}", split, index, subject, frames, width, _HEIGHT, tuple(parts))


def _spans(frames: int, count: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Start and end frame of each action: in turn over the video, long enough to overlap."""
    spans = []
    for place in range(count):
        length = min(round(rng.uniform(*_ACTION_SECONDS) * FPS), frames)
        share = np.clip((place + rng.uniform(-0.3, 0.3)) / (count - 1), 0, 1)
        start = round(share * (frames - length))
        spans.append((start, start + length))
    return spans
