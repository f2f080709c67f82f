"""Timelines for tests of what is made of them."""

import numpy as np

from kerasfast.explain.timelines.timeline import Segment, Timeline

LABELS = {
    "action": [*(f"Doing thing {number}" for number in range(8)), "Opening a door", "Lifting a bag"],
    "verb": ["lift", "open", "turn"],
    "object": ["bag", "door"],
}
# The two classes of `small_timeline` that stand out, and how: a step, and a rise that ends in it.
DOOR, BAG = 8, 9


def small_timeline(**fields) -> Timeline:
    """Seven windows of 1 s over 4 s, in which a door opens from 1 to 3 s and a bag is lifted ever more.

    Args:
        fields: Fields of the timeline in place of these.
    """
    starts = np.arange(7) * 0.5
    scores = {
        head: np.tile(np.linspace(0.02, 0.05, len(names), dtype=np.float32), (7, 1)) for head, names in LABELS.items()
    }
    scores["action"][2:5, DOOR] = 0.9
    scores["action"][:, BAG] = np.linspace(0.1, 0.7, 7)
    scores["verb"][2:5, 1] = 0.8
    thresholds = {head: np.full(len(names), 0.5, np.float32) for head, names in LABELS.items()}
    segments = (
        Segment("action", DOOR, "Opening a door", 1.0, 3.0, 0.9),
        Segment("action", BAG, "Lifting a bag", 2.0, 4.0, 0.7),
        Segment("verb", 1, "open", 1.0, 3.0, 0.8),
    )
    truth = (Segment("action", DOOR, "Opening a door", 1.2, 2.8),)
    values = {"scores": scores, "labels": LABELS, "thresholds": thresholds, "segments": segments, "truth": truth}
    values |= {"source": "clips/kitchen.mp4", "model": "slow_nano", "starts": starts, "ends": starts + 1}
    return Timeline(**values | fields)


def softmax_timeline(**fields) -> Timeline:
    """Four windows of 1 s in which a head answers with its highest class, and with none in the last.

    In the second window the door, class 1, is the highest with as little as 0.4; in the last the cup reaches 0.45 and
    is below the least of an answer.
    """
    scores = np.array([[0.7, 0.2, 0.1], [0.3, 0.4, 0.3], [0.1, 0.8, 0.1], [0.3, 0.25, 0.45]], np.float32)
    names = ["Lifting a bag", "Opening a door", "Holding a cup"]
    seen = np.array([[1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 0]], bool)
    segments = (
        Segment("action", 0, names[0], 0.0, 1.0, 0.7),
        Segment("action", 1, names[1], 1.0, 3.0, 0.8),
    )
    starts = np.arange(4.0)
    values = {"scores": {"action": scores}, "labels": {"action": names}, "thresholds": {"action": np.zeros(3)}}
    values |= {"segments": segments, "source": "clips/kitchen.mp4", "model": "slow_nano", "starts": starts}
    values |= {"ends": starts + 1, "seen": {"action": seen}}
    return Timeline(**values | fields)


def long_timeline(seconds: int = 7200, classes: int = 157) -> Timeline:
    """A window a second, scores that nothing compresses, and a segment in each minute of every tenth class."""
    rng = np.random.default_rng(0)
    scores = rng.beta(0.5, 5, (seconds, classes)).astype(np.float32)
    labels = [f"Doing something of a long name with thing {number}" for number in range(classes)]
    segments = tuple(
        Segment("action", index, labels[index], float(start), float(start + 20), 0.9)
        for index in range(0, classes, 10)
        for start in range(index, seconds - 20, 60)
    )
    starts = np.arange(seconds, dtype=float)
    return Timeline(
        "long.mp4",
        "slowfast_r50_8x8",
        starts,
        starts + 2,
        {"action": scores},
        {"action": labels},
        {"action": np.full(classes, 0.5, np.float32)},
        segments,
    )
