"""What miniature Charades is about: 8 verbs x 6 objects, and which of the 48 pairs are classes. NumPy only.

Two verbs, `rolldown` and `rollup`, turn the surface of an object like a drum, too fast for the Slow pathway: time
reversal maps one onto the other, so neither a frame nor a set of frames can tell them apart. They meet on four objects,
the four motion-only pairs. Left and right would do as well, but a horizontal flip, the usual augmentation, would swap
them. All other verbs are slow enough to be seen in every eighth frame at 24 frames a second.

The verbs `fade` to `squeeze` each leave out one object, another one each, for the novel test: 6 x 5 + 4 x 2 + 2 = 40
classes, 6 novel pairs, and 2 pairs unused because using them would make a fifth and a sixth motion-only pair.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FPS = 24
VERBS = ("fade", "grow", "lift", "open", "rolldown", "rollup", "slide", "squeeze")
OBJECTS = ("cross", "disc", "ring", "square", "star", "triangle")

# '#': an action class; 'n': a novel pair; '.': never used. Columns in the order of OBJECTS.
GRID = {
    "fade": "####n#",
    "grow": "n#####",
    "lift": "#####n",
    "open": "#n####",
    "rolldown": "##.###",
    "rollup": ".#####",
    "slide": "##n###",
    "squeeze": "###n##",
}

_SENTENCES = {
    "fade": "Fading a {}",
    "grow": "Growing a {}",
    "lift": "Lifting a {}",
    "open": "Opening a {}",
    "rolldown": "Rolling a {} downwards",
    "rollup": "Rolling a {} upwards",
    "slide": "Sliding a {}",
    "squeeze": "Squeezing a {}",
}

# Most to least frequent action of the training split; a little above the 20 : 1 that is promised.
TAIL_RATIO = 24.0


@dataclass(frozen=True)
class Action:
    """A pair of a verb and an object, by their numbers in `VERBS` and `OBJECTS`."""

    verb: int
    object: int

    @property
    def verb_name(self) -> str:
        """Such as `slide`."""
        return VERBS[self.verb]

    @property
    def object_name(self) -> str:
        """Such as `star`."""
        return OBJECTS[self.object]

    @property
    def name(self) -> str:
        """Such as `Sliding a star`."""
        return _SENTENCES[self.verb_name].format(self.object_name)


def _cells(mark: str) -> tuple[Action, ...]:
    # By object first, as Charades numbers its classes.
    return tuple(
        Action(verb, thing)
        for thing in range(len(OBJECTS))
        for verb, verb_name in enumerate(VERBS)
        if GRID[verb_name][thing] == mark
    )


ACTIONS = _cells("#")
NOVEL_ACTIONS = _cells("n")


def motion_pairs() -> tuple[tuple[int, int], ...]:
    """The pairs of class numbers (rolldown, rollup) on one object that differ by nothing but fast motion."""
    number = {(action.verb_name, action.object): index for index, action in enumerate(ACTIONS)}
    return tuple(
        (number["rolldown", thing], number["rollup", thing])
        for thing in range(len(OBJECTS))
        if ("rolldown", thing) in number and ("rollup", thing) in number
    )


def tail_weights(ratio: float = TAIL_RATIO) -> np.ndarray:
    """Relative frequency of each action: (40,), geometric from `ratio` down to 1.

    The order is a fixed shuffle. The two actions of a motion-only pair have equal weights, since otherwise the prior
    would tell what the picture must not, and stand in the upper half, so that scores on them speak of motion and not
    of rarity.
    """
    count = len(ACTIONS)
    steps = ratio ** (1 - np.arange(count) / (count - 1))
    weights = np.zeros(count)
    free_ranks = list(range(count))
    for pair, first in zip(motion_pairs(), (1, 6, 11, 16), strict=True):
        weights[list(pair)] = np.sqrt(steps[first] * steps[first + 1])
        free_ranks.remove(first)
        free_ranks.remove(first + 1)
    others = np.flatnonzero(weights == 0)
    # 2357: any constant does; this one puts no verb or object wholly into the tail.
    weights[np.random.default_rng(2357).permutation(others)] = steps[free_ranks]
    return weights
