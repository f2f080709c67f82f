"""Which frames of a video a clip takes. NumPy only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ClipSpec:
    """The frames that a network sees: `frames` frames, every `stride`-th, counted at `fps` frames a second.

    Args:
        frames: Frames of a clip (T).
        stride: Distance between two sampled frames, in frames at `fps`.
        fps: Frame rate at which `stride` counts: 30 for Kinetics, 24 for Charades.

    Raises:
        ValueError: A value is not positive.
    """

    frames: int
    stride: int
    fps: float = 30.0

    def __post_init__(self) -> None:
        for field in ("frames", "stride", "fps"):
            if not getattr(self, field) > 0:
                raise ValueError(
                    f"ClipSpec.{field} must be positive. Received: {field}={getattr(self, field)!r}. "
                    "Give the clip as ClipSpec(frames=32, stride=2, fps=30)."
                )

    @property
    def span(self) -> int:
        """Frames at `fps` from the first sampled frame to the last, both included."""
        return (self.frames - 1) * self.stride + 1

    @property
    def seconds(self) -> float:
        """Seconds that the span covers."""
        return self.span / self.fps
