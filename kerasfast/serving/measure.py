"""How fast a model is on this machine, as a server would run it, and in which precision."""

from __future__ import annotations

import math
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kerasfast.serving.processor import (
    available_cores,
    bfloat16_arithmetic,
    bfloat16_has_kernels,
    on_gpu,
    onednn_is_on,
)
from kerasfast.serving.turns import Runner, take_turns

if TYPE_CHECKING:
    from collections.abc import Callable

    from kerasfast.models.classifier import VideoClassifier
    from kerasfast.serving.saved_model import ExportReport

# A gain below this is no reason to leave float32, or to give up what Winograd's algorithm gains.
WORTH = 1.1
DIRECT = "float32, winograd=False"
_FEWEST_CALLS = 5
_TURN_SECONDS = 0.3  # calls of a fast model are counted together, so that handing over takes no part in a turn


@dataclass(frozen=True)
class Speed:
    """Measured calls of one precision.

    Attributes:
        precision: In which the convolutions compute.
        clips_per_second: Of the median call.
        median_seconds: Of a call, which takes a batch.
        p90_seconds: Nine calls in ten took at most that.
        peak_mib: Most memory of the process that answered, the batch included; `None` where the system does not tell.
        calls: How many were measured.
    """

    precision: str
    clips_per_second: float
    median_seconds: float
    p90_seconds: float
    peak_mib: float | None
    calls: int

    @classmethod
    def of(cls, precision: str, batch_size: int, seconds: Sequence[float], peak_mib: float | None) -> Speed:
        """Summary of the seconds of calls."""
        median = statistics.median(seconds)
        nine_in_ten = sorted(seconds)[math.ceil(0.9 * len(seconds)) - 1]
        return cls(precision, batch_size / median, median, nine_in_ten, peak_mib, len(seconds))


@dataclass(frozen=True)
class Measurement:
    """What `measure` found.

    Attributes:
        model: Name of the model.
        frames: Shape of a batch, `(batch, T, H, W, 3)`.
        speeds: One for each precision.
        cores: CPU cores at hand.
        gpu: Whether TensorFlow computes on a GPU.
        onednn: Whether TensorFlow has oneDNN's kernels on; `None` on another processor than x86.
        bfloat16_arithmetic: Whether the processor multiplies bfloat16; `None` where the system does not tell.
        left_out: Precisions that were not measured, since TensorFlow has no kernels for them here.
        largest_difference: Largest difference of a probability between the precisions, on a clip of noise; `None` with
            random weights or a single precision.
        direct: Of float32 with `winograd=False`, where the default has convolutions by Winograd's algorithm.
    """

    model: str
    frames: tuple[int, ...]
    speeds: tuple[Speed, ...]
    cores: int
    gpu: bool
    onednn: bool | None
    bfloat16_arithmetic: bool | None
    left_out: tuple[str, ...] = ()
    largest_difference: float | None = None
    direct: Speed | None = None

    @property
    def best(self) -> Speed:
        """The precision to use: the fastest, but float32 unless another is faster by a tenth."""
        fastest = max(self.speeds, key=lambda speed: speed.clips_per_second)
        exact = next((speed for speed in self.speeds if speed.precision == "float32"), fastest)
        return fastest if fastest.clips_per_second >= WORTH * exact.clips_per_second else exact

    def advice(self) -> list[str]:
        """Which precision to use and why, and what slows the machine down."""
        advice = [self._choice()] if len(self.speeds) > 1 else []
        if self.direct is not None:
            advice.append(self._winograd(self.direct))
        if self.left_out:
            names = ", ".join(self.left_out)
            advice.append(
                f"Use float32: TensorFlow has no kernels for {names} on this processor and computes it many times "
                f"slower, so it was left out. Ask for it by name to measure it all the same."
            )
        if self.onednn is False and not self.gpu:
            advice.append(
                "TensorFlow's oneDNN kernels are off, which can cost most of its speed on this processor: "
                "TF_ENABLE_ONEDNN_OPTS=0 is set, or TensorFlow was imported before kerasfast. Set "
                "TF_ENABLE_ONEDNN_OPTS=1 for every process that runs the model, servers too."
            )
        return advice

    def _choice(self) -> str:
        best = self.best
        others = ", ".join(
            f"{speed.median_seconds / best.median_seconds:.2f} times the time in {speed.precision}"
            for speed in self.speeds
            if speed is not best
        )
        if best.precision != "float32":
            cost = ""
            if self.largest_difference is not None:
                cost = f"; on a clip of noise no probability differs by more than {self.largest_difference:.1g}"
            return f"Use {best.precision}: a call takes {others}{cost}. Compare the scores on videos of yours."
        why = "a smaller type does not pay here"
        if self.bfloat16_arithmetic is False and not self.gpu:
            why = "this processor has no bfloat16 arithmetic"
        return f"Use float32: a call takes {others}; {why}."

    def _winograd(self, direct: Speed) -> str:
        default = next(speed for speed in self.speeds if speed.precision == "float32")
        gain = direct.median_seconds / default.median_seconds
        if gain * WORTH <= 1:
            return f"Export with winograd=False (--no-winograd): in float32 that is {1 / gain:.2f} times as fast here."
        return (
            f"In float32 Winograd's algorithm is {gain:.2f} times as fast as direct convolutions; winograd=False "
            "(--no-winograd) exports them, for a smaller file."
        )

    def to_dict(self) -> dict[str, Any]:
        """The figures and the advice in plain types."""
        return {**asdict(self), "use": self.best.precision, "advice": self.advice()}


def measure(
    model: VideoClassifier,
    *,
    precisions: Sequence[str] | None = None,
    batch_size: int = 1,
    crop_size: int | None = None,
    seconds: float = 10.0,
) -> Measurement:
    """Export a model and measure calls of its `serving_default` signature.

    Each precision, and float32 without Winograd's algorithm where that makes a difference, answers in a process of its
    own that holds nothing but TensorFlow and the exported model, as a server does; they take turns, so that a busy
    moment of the machine hits all alike. The first call, which prepares the graph, is not counted.

    Args:
        model: A model of `kerasfast.load` or `kerasfast.build`; its weights play no part in its speed.
        precisions: Those to measure; by default all that `kerasfast.export` knows, but bfloat16 not on a processor
            that TensorFlow has no such kernels for, where a call takes minutes.
        batch_size: Clips of a call.
        crop_size: Side of the frames in pixels; the architecture's for testing by default.
        seconds: About how long each precision is measured; five calls at least, unless they take four times as long.

    Raises:
        ValueError: An argument out of its range, or a model that cannot be exported.
        TurnError: A process that answers calls has ended, as where memory is short.
    """
    from kerasfast.models.classifier import SMALLEST_SIDE
    from kerasfast.serving.saved_model import PRECISIONS, export

    left_out = set() if precisions is not None or on_gpu() or bfloat16_has_kernels() is not False else {"bfloat16"}
    chosen = tuple(name for name in PRECISIONS if name not in left_out) if precisions is None else tuple(precisions)
    if not chosen or not set(chosen) <= set(PRECISIONS):
        raise ValueError(f"precisions must be among {', '.join(PRECISIONS)}. Received: {', '.join(chosen) or 'none'}.")
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1. Received: {batch_size}.")
    side = model.variant.test_crop_size if crop_size is None else crop_size
    if side < SMALLEST_SIDE:
        raise ValueError(f"crop_size must be at least {SMALLEST_SIDE} pixels. Received: {side}.")
    if not seconds > 0:
        raise ValueError(f"seconds must be above 0. Received: {seconds}.")
    shape = (batch_size, model.clip.frames, side, side, 3)
    with tempfile.TemporaryDirectory(prefix="kerasfast-bench-") as folder, ExitStack() as stack:
        runners, ready = {}, {}

        def start(name: str, **options: Any) -> ExportReport:
            path = Path(folder) / name / "1"
            report = export(model, path, signatures=("serving_default",), **options)
            command = [sys.executable, "-m", "kerasfast.serving.measure", str(path), *map(str, shape)]
            # Two processes share a GPU only where the first does not take all of its memory.
            runner = Runner(command, environment={"TF_FORCE_GPU_ALLOW_GROWTH": "true"})
            runners[name] = stack.enter_context(runner)
            ready[name] = runner.ready()
            return report

        for precision in chosen:
            if start(precision, precision=precision).winograd:
                start(DIRECT, winograd=False)
        taken, peaks = _calls(runners, ready, seconds)
    facts = ready[chosen[0]]["facts"]
    difference = None
    if len(chosen) > 1 and getattr(model, "load_report", None) is not None:
        difference = _largest_difference([ready[name]["facts"]["scores"] for name in chosen])
    speeds = {name: Speed.of(name, batch_size, seconds, peaks[name]) for name, seconds in taken.items()}
    return Measurement(
        model=model.name,
        frames=shape,
        speeds=tuple(speeds[name] for name in chosen),
        cores=available_cores(),
        gpu=facts["gpu"],
        onednn=facts["onednn"],
        bfloat16_arithmetic=bfloat16_arithmetic(),
        left_out=tuple(sorted(left_out)),
        largest_difference=difference,
        direct=speeds.get(DIRECT),
    )


def _calls(
    runners: dict[str, Runner], ready: dict[str, Any], seconds: float
) -> tuple[dict[str, list[float]], dict[str, float | None]]:
    """Seconds of the calls of each, and its peak memory."""
    taken: dict[str, list[float]] = {name: [] for name in runners}
    peaks: dict[str, float | None] = {name: answer["peak_mib"] for name, answer in ready.items()}
    repeats = {name: max(1, int(_TURN_SECONDS / answer["first_seconds"])) for name, answer in ready.items()}
    waiting = list(runners)
    while waiting:
        for name in waiting:
            answer = runners[name].turn(repeats[name])
            taken[name] += answer["seconds"]
            peaks[name] = answer["peak_mib"]
        waiting = [name for name in waiting if not _enough(taken[name], seconds)]
    return taken, peaks


def _enough(taken: Sequence[float], seconds: float) -> bool:
    return sum(taken) >= seconds and (len(taken) >= _FEWEST_CALLS or sum(taken) >= 4 * seconds)


def _largest_difference(scores: Sequence[dict[str, list[float]]]) -> float:
    first, *others = scores
    return max(
        abs(value - its)
        for other in others
        for head in first
        for value, its in zip(first[head], other[head], strict=True)
    )


def _served(path: str, shape: tuple[int, ...]) -> tuple[Callable[[], object], dict[str, Any]]:
    """A call of an exported model with a batch of noise, and what is to be known of its process."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import numpy as np
    import tensorflow as tf

    frames = tf.constant(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))
    function = tf.saved_model.load(path).signatures["serving_default"]

    def run() -> dict[str, Any]:
        return {head: scores.numpy() for head, scores in function(frames=frames).items()}

    facts = {
        "gpu": on_gpu(),
        "onednn": onednn_is_on(),
        "scores": {head: scores[0].tolist() for head, scores in run().items()},
    }
    return run, facts


if __name__ == "__main__":
    take_turns(lambda: _served(sys.argv[1], tuple(map(int, sys.argv[2:]))))
