"""What the benchmarks' figures mean: ratios, shares of the multiplication rate, where overhead ends, what was asked."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Result = Mapping[str, Any]
WITHIN = 0.2  # of the asymptote: from there on overhead has ended
OURS = "kerasfast_float32"


@dataclass(frozen=True)
class Figure:
    """A figure that was asked for.

    Attributes:
        name: What it is.
        asked: What it has to reach.
        found: What was measured, or why there is nothing.
        holds: Whether it does; `None` where it was not measured.
    """

    name: str
    asked: str
    found: str
    holds: bool | None

    @property
    def verdict(self) -> str:
        """A word."""
        return {True: "holds", False: "missed", None: "not measured"}[self.holds]


@dataclass(frozen=True)
class Ratio:
    """How many times the time of one contender another takes; a lower bound where the other was cut off."""

    value: float
    at_least: bool = False

    def __str__(self) -> str:
        return f"{'over ' if self.at_least else ''}{self.value:.2f}"


def ratio(contenders: Result, numerator: str | None, denominator: str | None) -> Ratio | None:
    """Time of one contender over that of another: the median over the turns that both had.

    Args:
        contenders: Results by name.
        numerator: A name, or `None` where there is none.
        denominator: Likewise.
    """
    if numerator is None or denominator is None or "turns" not in contenders.get(denominator, {}):
        return None
    above, below = contenders.get(numerator, {}), contenders[denominator]
    if "turns" in above:
        return Ratio(statistics.median(one / other for one, other in zip(above["turns"], below["turns"], strict=False)))
    if "longer_than_seconds" in above:
        return Ratio(above["longer_than_seconds"] / below["median_seconds"], at_least=True)
    return None


def best(contenders: Result, family: str, precision: str) -> str | None:
    """The fastest of a family in a precision; of those that were cut off any; `None` where nothing is known."""
    own = {
        name: found
        for name, found in contenders.items()
        if found["family"] == family and found["precision"] == precision
    }
    measured = {name: found["median_seconds"] for name, found in own.items() if "median_seconds" in found}
    if measured:
        return min(measured, key=measured.__getitem__)
    return next((name for name, found in own.items() if "longer_than_seconds" in found), None)


def multiplication_rate(matmul: Result, precision: str) -> float | None:
    """The machine's best, in 10^9 multiply-adds a second."""
    rates = [
        found["giga_per_second"]
        for name, found in matmul.items()
        if name.endswith(precision) and "giga_per_second" in found
    ]
    return max(rates, default=None)


def share(model: Result, name: str) -> float | None:
    """Part of the multiplication rate, in the precision that it computes in, that a contender reaches."""
    found = model["contenders"].get(name, {})
    if "median_seconds" not in found:
        return None
    rate = multiplication_rate(model["matmul"], found.get("computed", found["precision"]))
    return None if rate is None else model["giga_multiply_adds"] / found["median_seconds"] / rate


def share_left(model: Result) -> float:
    """Part of the direct multiply-adds that Winograd's algorithm leaves the exported float32 network."""
    return model.get("winograd_giga_multiply_adds", model["giga_multiply_adds"]) / model["giga_multiply_adds"]


def times_at_full_rate(model: Result, own: str, other: str | None) -> float | None:
    """How many times faster a contender would be than another if it did nothing but multiply, at the machine's rate.

    Of an export by Winograd's algorithm those multiplications count that it still does.
    """
    part, found = share(model, own), ratio(model["contenders"], other, own)
    if part is None or found is None:
        return None
    if own == OURS:
        part *= share_left(model)
    return found.value / part


def overhead_end(points: Iterable[tuple[float, float]], within: float = WITHIN) -> float | None:
    """The 10^9 multiply-adds from which on a call takes about as long as its arithmetic.

    The asymptote is the lowest time for a multiply-add of the three largest calls. From the point that is returned on,
    every larger call is within the share of it.

    Args:
        points: (10^9 multiply-adds, seconds) of calls.
        within: Share above the asymptote that still counts as reached.

    Returns:
        Multiply-adds of that call, or `None` where the largest call alone is that near.
    """
    ordered = sorted(points)
    costs = [seconds / giga for giga, seconds in ordered]
    asymptote = min(costs[-3:])
    near = [cost <= asymptote * (1 + within) for cost in costs]
    first = len(near) - next((index for index, one in enumerate(reversed(near)) if not one), len(near))
    return ordered[first][0] if first < len(ordered) - 1 else None


def single_calls(points: Iterable[Mapping[str, Any]]) -> list[tuple[float, float]]:
    """(10^9 multiply-adds, seconds) of the points of a growth that compute all at once.

    Views do not: the signature computes one after the other, so that each has the overhead of a call of its own size.
    """
    return [(point["giga_multiply_adds"], point["seconds"]) for point in points if point["axis"] != "views"]


def fixed_seconds(points: Sequence[tuple[float, float]]) -> float:
    """Seconds of a call that are there whatever it computes: the constant of time = a + b * multiply-adds.

    The fit weighs relative errors, or the largest call would decide alone; it is never below 0.
    """
    weights = [1 / seconds**2 for _, seconds in points]
    total = math.fsum(weights)
    mean_x = math.fsum(w * giga for w, (giga, _) in zip(weights, points, strict=True)) / total
    mean_y = math.fsum(w * seconds for w, (_, seconds) in zip(weights, points, strict=True)) / total
    spread = math.fsum(w * (giga - mean_x) ** 2 for w, (giga, _) in zip(weights, points, strict=True))
    together = math.fsum(w * (giga - mean_x) * (s - mean_y) for w, (giga, s) in zip(weights, points, strict=True))
    return max(0.0, mean_y - together / spread * mean_x)


def inference_figures(main: Result, scores: Result | None) -> list[Figure]:
    """What was asked of a view."""
    contenders = main["contenders"]

    def faster(name: str, own: str, other: str | None, least: float) -> Figure:
        found = ratio(contenders, other, own)
        asked = "faster" if least == 1 else f"at least {least:g} times faster"
        reached = None if found is None or (found.at_least and found.value < least) else found.value >= least
        text = _why(contenders, own, other) if found is None else f"{found} times"
        if reached is False and (ceiling := times_at_full_rate(main, own, other)) is not None:
            text += f"; at the whole multiplication rate it would be {ceiling:.2f}"
        return Figure(name, asked, text, reached)

    def slower(name: str, own: str, other: str | None, most: float) -> Figure:
        found = ratio(contenders, own, other)
        # Where the other was cut off, its time is known to be longer than that.
        if found is None and (bound := ratio(contenders, other, own)) is not None:
            found, holds = Ratio(1 / bound.value), 1 / bound.value <= most or None
            return Figure(name, f"at most {most:g} times its time", f"below {found} times", holds)
        holds = None if found is None else found.value <= most
        text = _why(contenders, own, other) if found is None else f"{found} times"
        if found is not None and "computed" in contenders[other or own]:
            text += f", which computes in {contenders[other or own]['computed']} here"
        return Figure(name, f"at most {most:g} times its time", text, holds)

    float32, bfloat16 = OURS, "kerasfast_bfloat16"
    figures = [
        faster("float32 against PyTorch eager", float32, "torch_eager", 2.2),
        faster("float32 against PyTorch's best float32 mode", float32, best(contenders, "torch", "float32"), 1.4),
        slower("float32 against OpenVINO float32", float32, best(contenders, "openvino", "float32"), 1.10),
        faster("bfloat16 against PyTorch's best bfloat16 mode", bfloat16, best(contenders, "torch", "bfloat16"), 1),
        slower("bfloat16 against OpenVINO bfloat16", bfloat16, best(contenders, "openvino", "bfloat16"), 1.15),
    ]
    # What Winograd's algorithm leaves out is no multiplication; the share is that of the export without it.
    plain = "kerasfast_float32_plain" if "kerasfast_float32_plain" in contenders else float32
    for precision, name, least in (("float32", plain, 0.85), ("bfloat16", bfloat16, 0.80)):
        part = share(main, name)
        text = _why(contenders, name, name) if part is None else f"{100 * part:.0f} %"
        if part is not None and name != f"kerasfast_{precision}" and (whole := share(main, float32)) is not None:
            text += f" with winograd=False; {100 * whole:.0f} % of direct multiply-adds with Winograd's algorithm"
        holds = None if part is None else part >= least
        figures.append(Figure(f"{precision}, share of the multiplication rate", f"at least {least:.0%}", text, holds))
    for key, name, most in (
        ("largest_difference", "bfloat16 scores, largest probability difference", 0.03),
        ("largest_map_change", "bfloat16 scores, mAP change", 0.005),
    ):
        value = (scores or {}).get(key)
        text = (scores or {}).get("skipped", "no run") if value is None else f"{value:.4f}"
        figures.append(Figure(name, f"at most {most:g}", text, None if value is None else value <= most))
    return figures


def training_figures(contenders: Result) -> list[Figure]:
    """What was asked of a training step."""
    figures = []
    for precision, least in (("float32", 1.2), ("bfloat16", 1.5)):
        own = f"kerasfast_{precision}"
        found = ratio(contenders, "torch_float32", own)
        text = _why(contenders, own, "torch_float32") if found is None else f"{found} times"
        holds = None if found is None else found.value >= least
        name = f"training step in {precision} against PyTorch float32"
        figures.append(Figure(name, f"at least {least:g} times faster", text, holds))
    own, other = (contenders.get(name, {}).get("step_mib") for name in ("kerasfast_float32", "torch_float32"))
    part = None if own is None or other is None else own / other
    text = "not known" if part is None else f"{part:.2f} times"
    name = "peak memory of that step in float32 against PyTorch"
    figures.append(Figure(name, "at most 1.05 times", text, None if part is None else part <= 1.05))
    return figures


def _why(contenders: Result, *names: str | None) -> str:
    """Why there is no figure."""
    for name in names:
        found = contenders.get(name or "", {"skipped": "no such contender ran"})
        if "skipped" in found:
            return found["skipped"]
    return "not known"
