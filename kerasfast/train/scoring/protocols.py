"""The named protocols of a test: how many clips and crops of a video are shown."""

from __future__ import annotations

# Name -> (clips, crops). "full" is that of SlowFast's tables; "quick" shows a tenth of it, for a look on the way.
PROTOCOLS = {"full": (10, 3), "quick": (3, 1)}


def choose_views(protocol: str | None, clips: int | None, crops: int | None) -> tuple[str, int, int]:
    """The name, clips and crops of a test.

    Args:
        protocol: A name; None: the one that has the given numbers.
        clips: Clips of a video; None: those of the protocol, or of `full` without one.
        crops: Crops of a clip; None: as for `clips`.

    Returns:
        The protocol's name, or `custom` for numbers that no protocol has, and both numbers.

    Raises:
        ValueError: An unknown protocol, or numbers beside it that it does not have.
    """
    if protocol is not None and protocol not in PROTOCOLS:
        raise ValueError(f"protocol must be one of {', '.join(PROTOCOLS)}. Received: protocol={protocol!r}.")
    usual = PROTOCOLS[protocol or "full"]
    chosen = (usual[0] if clips is None else clips, usual[1] if crops is None else crops)
    if protocol is not None and chosen != usual:
        raise ValueError(
            f"protocol={protocol!r} is {usual[0]} clips x {usual[1]} crops. Received: {chosen[0]} clips x {chosen[1]} "
            "crops beside it. Give the protocol or the numbers."
        )
    return next((name for name, numbers in PROTOCOLS.items() if numbers == chosen), "custom"), *chosen
