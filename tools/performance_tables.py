"""Tables of docs/performance.md, from results of the benchmarks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markdown_table import table
from performance_figures import (
    OURS,
    Figure,
    fixed_seconds,
    multiplication_rate,
    overhead_end,
    ratio,
    share,
    share_left,
    single_calls,
)

Result = Mapping[str, Any]
_AXES = {
    "frames": "frames of a clip",
    "side": "side in pixels",
    "batch": "clips of a batch",
    "views": "views of a video",
}


def figures_table(figures: list[Figure]) -> str:
    """What was asked and what was found."""
    return table(("figure", "asked", "found", ""), [(one.name, one.asked, one.found, one.verdict) for one in figures])


def contenders_table(model: Result) -> str:
    """Time of a view, fastest first; who was left out, with the reason."""
    contenders = model["contenders"]
    rows, left_out = [], []
    for name, found in sorted(contenders.items(), key=lambda item: item[1].get("median_seconds", float("inf"))):
        if "median_seconds" not in found:
            bound = found.get("longer_than_seconds")
            over = "" if bound is None else f"over {bound:g} s"
            left_out.append((found["title"], found["precision"], over, "", "" if over else found["skipped"]))
            continue
        against, part = ratio(contenders, name, OURS), share(model, name)
        rows.append(
            (
                found["title"],
                found["precision"] + (f", computed in {found['computed']}" if "computed" in found else ""),
                _time(found["median_seconds"]),
                "" if against is None else f"{against}",
                "" if part is None else f"{100 * part:.0f} %",
            )
        )
    header = (
        "contender",
        "precision",
        "median",
        "times that of kerasfast float32",
        "direct multiply-adds, of the rate",
    )
    return table(header, [*rows, *left_out])


def winograd_text(model: Result) -> str:
    """What Winograd's algorithm leaves of the multiplications, and how fast those are done."""
    direct, left = model["giga_multiply_adds"], share_left(model)
    part = share(model, OURS)
    rate = "" if part is None else f", which it does at {100 * part * left:.0f} % of the multiplication rate"
    return (
        f"The last column counts the multiply-adds of direct convolutions. By Winograd's algorithm the exported"
        f" float32 network has {left * direct:.2f} of the {direct:.2f} * 10^9 left{rate}.\n"
    )


def rates_line(model: Result) -> str:
    """The machine's rates of multiplication."""
    parts = []
    for precision in ("float32", "bfloat16"):
        rate = multiplication_rate(model["matmul"], precision)
        own = [
            f"{name.removesuffix('_' + precision)} {found['giga_per_second']:.1f}"
            for name, found in model["matmul"].items()
            if name.endswith(precision) and "giga_per_second" in found
        ]
        parts.append(f"{precision}: {'not known' if rate is None else f'{rate:.1f}'} ({', '.join(own)})")
    return (
        f"The multiplication rate, in 10^9 multiply-adds a second, is the best of several sizes of matrices in each"
        f" library, measured in the same run: {'; '.join(parts)}."
    )


def growth_tables(growth: Result) -> str:
    """A table for each network: every call, and where overhead ends."""
    parts = []
    for name, points in growth.items():
        rows = [
            (
                f"{_AXES[point['axis']]}: {point['value']}",
                f"{point['giga_multiply_adds']:.2f}",
                _time(point["seconds"]),
                f"{1e3 * point['seconds'] / point['giga_multiply_adds']:.1f}",
            )
            for point in points
        ]
        pairs = single_calls(points)
        end = overhead_end(pairs)
        where = "is reached by the largest calls alone" if end is None else f"is at {end:.2f} * 10^9 multiply-adds"
        parts += [
            f"### `{name}`",
            "",
            f"The point where overhead ends {where}; a call has {_time(fixed_seconds(pairs))} that are there whatever"
            " it computes.",
            "",
            table(("what grows", "10^9 multiply-adds", "median", "ms for 10^9"), rows),
        ]
    return "\n".join(parts)


def training_table(model: Result) -> str:
    """Time and memory of a step."""
    contenders, rows = model["contenders"], []
    for name, found in contenders.items():
        if "median_seconds" not in found:
            bound = found.get("longer_than_seconds")
            rows.append(
                (found["title"], found["precision"], f"over {bound:g} s" if bound else found["skipped"], "", "")
            )
            continue
        against = ratio(contenders, "torch_float32", name)
        memory = found.get("step_mib")
        rows.append(
            (
                found["title"],
                found["precision"],
                _time(found["median_seconds"]),
                "" if against is None else f"{against}",
                "not known" if memory is None else f"{memory:,.0f} MiB",
            )
        )
    return table(("contender", "precision", "median", "times faster than PyTorch float32", "peak memory"), rows)


def scores_text(scores: Result) -> str:
    """What bfloat16 does to the scores of the nano."""
    if "skipped" in scores:
        return f"Not measured: {scores['skipped']}\n"
    pairs = ((head, value, scores["map"]["bfloat16"][head]) for head, value in scores["map"]["float32"].items())
    rows = [(head, f"{exact:.4f}", f"{short:.4f}", f"{short - exact:+.4f}") for head, exact, short in pairs]
    return (
        f"`{scores['model']}` on {scores['videos']} test videos of miniature Charades, {scores['clips']} clips x 1"
        f" crop: the largest difference of a probability of {scores['views']:,} views is"
        f" {scores['largest_difference']:.4f}.\n\n" + table(("head", "mAP float32", "mAP bfloat16", "change"), rows)
    )


def kernels_table(kernels: Result) -> str:
    """What oneDNN's kernels are worth."""
    rows = [
        (work, _time(row["seconds_off"]), _time(row["seconds_on"]), f"{row['off_to_on']:.2f}")
        for work, row in kernels["work"].items()
    ]
    return table((f"{kernels['model']}, {kernels['batch']} clips", "off", "on", "off / on"), rows)


def winograd_table(winograd: Result) -> str:
    """Where Winograd's algorithm pays."""
    rows = [
        (
            f"{'3x1x1' if row['over_time'] else '1x3x3'}, {' x '.join(map(str, row['input']))} to {row['filters']}",
            _time(row["seconds_direct"]),
            _time(row["seconds_winograd"]),
            f"{row['share']:.2f}",
            f"{row['estimated_share']:.2f}",
            "yes" if row["used"] else "",
        )
        for row in winograd["convolutions"]
    ]
    header = ("convolution, T x H x W x channels to filters", "direct", "Winograd", "share", "estimated", "used")
    return table(header, rows)


def gpu_table(gpu: Result) -> str:
    """The networks on a GPU."""
    rows = [
        (
            run["model"],
            run["work"],
            found["title"],
            _time(found["median_seconds"]) if "median_seconds" in found else found["skipped"],
            f"{run['batch'] / found['median_seconds']:.1f}" if "median_seconds" in found else "",
        )
        for run in gpu["runs"]
        for found in run["contenders"].values()
    ]
    return table(("network", "work", "contender", "median", "clips/s"), rows)


def machine_text(result: Result) -> str:
    """What was measured on."""
    of, packages = result["machine"], result["versions"]
    hardware = {True: "with", False: "without", None: "perhaps with"}[of["bfloat16_arithmetic"]]
    settings = "".join(f", {name}={value}" for name, value in of["environment"].items())
    listed = ", ".join(f"{name} {version}" for name, version in packages.items())
    flags = ", ".join(of["flags"])
    return f"{of['cores']} cores of {of['processor']} ({flags}; {hardware} bfloat16 arithmetic){settings}; {listed}."


def _time(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1e3 * seconds:.3g} ms"
