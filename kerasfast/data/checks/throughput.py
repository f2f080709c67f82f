"""Whether a model waits for its input: rates, and what they mean. Standard library alone."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

# Below this, measured on an idle machine, the input keeps up without reserve: anything else on the cores slows it down.
RESERVE = 1.25


@dataclass(frozen=True)
class Throughput:
    """Rates measured on one machine, in clips a second.

    Args:
        input_per_second: The input pipeline alone.
        model_per_second: Training steps alone, on a batch in memory.
        together_per_second: Training steps fed by the pipeline.
        model: Name of the model.
        batch_size: Clips a step.
        seconds: How long each was measured.
        cores: CPU cores at hand.
        accelerator: Whether the model computes elsewhere, so that the cores are the input's alone.
        crop_size: Side of the training crops in pixels.
        stored_short_side: Shorter side of the stored frames in pixels.
        wanted_short_side: Largest shorter side that training scales to.
        stored_stride: Distance of stored frames.
        clip_stride: Distance of the frames of a clip.
    """

    input_per_second: float
    model_per_second: float
    together_per_second: float
    model: str
    batch_size: int
    seconds: float
    cores: int
    accelerator: bool
    crop_size: int
    stored_short_side: int
    wanted_short_side: int
    stored_stride: int
    clip_stride: int

    @property
    def ratio(self) -> float:
        """What the input gives for each clip that the model takes."""
        return self.input_per_second / self.model_per_second

    @property
    def input_bound(self) -> bool:
        """Whether the input gives less than the model takes."""
        return self.ratio < 1

    @property
    def cores_needed(self) -> int:
        """Cores that would feed the model with some reserve, as rates grow with cores."""
        return math.ceil(self.cores * RESERVE / self.ratio)

    def verdict(self) -> str:
        """In a sentence, whether training will wait."""
        rates = (
            f"the records give {self.input_per_second:.3g} clips/s, {self.model} takes {self.model_per_second:.3g}, "
            f"and {self.together_per_second:.3g} when fed by them"
        )
        if self.input_bound:
            wait = 100 * (1 - self.ratio)
            return f"Input-bound by {1 / self.ratio:.1f}x: {rates}. It waits {wait:.0f} % of its time."
        reserve = "but without reserve" if self.ratio < RESERVE else "with reserve"
        return f"Not input-bound, {reserve}: {rates}."

    def advice(self) -> list[str]:
        """What to do, most useful first; empty where nothing needs doing."""
        advice = []
        if self.ratio < RESERVE:
            advice.append(
                f"Give the input {self.cores_needed} cores like these {self.cores}: rates grow with them, and more "
                "workers can share the records."
            )
            if self.stored_short_side > self.wanted_short_side:
                advice.append(
                    f"Build with --short-side {self.wanted_short_side}: frames are stored with "
                    f"{self.stored_short_side} pixels, and training scales them down."
                )
            if self.clip_stride % self.stored_stride == 0 and self.clip_stride > self.stored_stride:
                advice.append(
                    f"Build at stride {self.clip_stride}: of the frames stored at stride {self.stored_stride} a clip "
                    f"reads 1 in {self.clip_stride // self.stored_stride}."
                )
            advice.append("Put the records on a local disk if they are not: a rate is that of its slowest part.")
        if not self.accelerator:
            share = 100 * self.together_per_second / self.model_per_second
            advice.append(
                f"Model and input share these {self.cores} cores: training runs at {share:.0f} % of the model's own "
                "rate. With an accelerator the cores are the input's alone: measure again there."
            )
        return advice

    def to_dict(self) -> dict[str, Any]:
        """The rates and the verdict in plain types."""
        return {
            **asdict(self),
            "ratio": self.ratio,
            "input_bound": self.input_bound,
            "verdict": self.verdict(),
            "advice": self.advice(),
        }


def rate_of(step: Callable[[], int], seconds: float, clock: Callable[[], float] = time.perf_counter) -> float:
    """How many clips a second a step works off.

    Args:
        step: Does one step and returns its number of clips. The first call, which may build a graph, is not counted.
        seconds: Time after which no further step is begun; one is counted at least.
        clock: Seconds, increasing.
    """
    step()
    clips, began = 0, clock()
    while True:
        clips += step()
        if (elapsed := clock() - began) >= seconds:
            return clips / elapsed


def repeated(batches: Iterable[Sequence[Any]]) -> Callable[[], Any]:
    """A function that returns the next batch, pass after pass."""
    passes = iter(batches)

    def following() -> Any:
        nonlocal passes
        batch = next(passes, None)
        if batch is None:
            passes = iter(batches)
            batch = next(passes)
        return batch

    return following
