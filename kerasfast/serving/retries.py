"""When a question is asked again that found no server, or a server that cannot answer yet."""

from __future__ import annotations

import itertools

RETRIES = 3
# gRPC makes five attempts at most, whatever it is told (MaxAttempts in its proposal A6).
MOST_RETRIES = 4
FIRST_SECONDS, GROWTH = 0.5, 2.0
# Of each pause, as gRPC has it, so that clients of one server do not come back all at once.
JITTER = 0.8, 1.2


def pauses(retries: int, timeout: float) -> list[float]:
    """Seconds before each further attempt: 0.5, 1, 2 and 4, as far as they end before the time limit.

    Args:
        retries: The most further attempts, 0 to 4.
        timeout: Seconds for all attempts together.

    Raises:
        ValueError: Another number of retries.
    """
    if retries not in range(MOST_RETRIES + 1):
        raise ValueError(f"retries must be a number from 0 to {MOST_RETRIES}. Received: {retries!r}.")
    seconds = [FIRST_SECONDS * GROWTH**number for number in range(retries)]
    # One that ended later would turn "no server" into "no answer in time".
    ends = itertools.accumulate(seconds)
    return [pause for pause, end in zip(seconds, ends, strict=True) if end * JITTER[1] < timeout]
