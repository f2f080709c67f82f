"""Write docs/scale.md: what the whole of Charades takes, from the rates in benchmarks/data.json.

python tools/render_scale.py          # writes
python tools/render_scale.py --check  # exit code 1 where docs/scale.md is behind
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markdown_table import table

from kerasfast.data.clips import ClipSpec
from kerasfast.data.records.layout import segments_needed

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "scale.md"

# Charades (Sigurdsson et al. 2016, arXiv:1604.01753): videos, and their mean length in seconds.
VIDEOS, MEAN_SECONDS, FPS = 9_848, 30.1, 24.0
CLIP = ClipSpec(frames=32, stride=2, fps=FPS)
PART_VIDEOS = 64  # videos of a shard, the default of build_records
# Multiply-adds of a training clip of slowfast_r50_8x8 at 224 pixels in 10^9; forward and backward are three times that,
# and each is two floating-point operations.
GIGA_MULTIPLY_ADDS = 50.31
SUSTAINED_TERAFLOPS = (10, 30, 100)
HOURS_WANTED = 1.0


def measured(result: Mapping[str, Any]) -> str:
    """The figures of the result file."""
    rates, build, read = result["rates"], result["build"], result["bytes"]
    rows = [
        ("training clips from records", f"{rates['records']['clips_per_second']:g} clips/s"),
        (
            "the same without `keep_freed_memory`",
            f"{rates['records_without_kept_memory']['clips_per_second']:g} clips/s",
        ),
        ("the same from mp4 with PyAV", f"{rates['mp4']['clips_per_second']:g} clips/s"),
        ("records against mp4", f"{rates['records_to_mp4']:g} times"),
        ("decoding the frames alone, from memory", f"{rates['bare_decode']['clips_per_second']:g} clips/s"),
        ("CPU seconds a clip, records", f"{rates['records']['cpu_seconds_per_clip']:g}"),
        ("bytes read for each clip, against those decoded", f"{read['ratio']:g} times"),
        ("building, per core", f"{build['threads']['times_real_time_per_core']:g} times real time"),
        ("a stored frame", f"{build['bytes_per_frame'] / 1e3:.1f} kB"),
    ]
    if "resume" in result:
        found = result["resume"]
        rows.append(("first batch of a training", f"{found['seconds_at_the_start']:g} s"))
        rows.append(("first batch in the middle of an epoch", f"{found['seconds_at_the_last_step']:g} s"))
    if "memory" in result:
        memory = result["memory"]
        peak = max(value for key, value in memory.items() if key.startswith("peak"))
        rows.append((f"peak while building from {memory['minutes']} minutes of {memory['size']}", f"{peak:,.0f} MiB"))
    if "soak" in result:
        soak = result["soak"]
        rows.append((f"growth over {soak['clips']:,} clips", f"{soak['growth_mib']:g} MiB"))
    return table(("what", "measured"), rows)


def plan(result: Mapping[str, Any]) -> str:
    """Charades at these rates."""
    seconds = VIDEOS * MEAN_SECONDS
    core_hours = seconds / result["build"]["threads"]["times_real_time_per_core"] / 3600
    frames = seconds * FPS
    # A segment holds every other frame of two spans and they overlap by one: each sampled frame about twice. With one
    # round every video is stored once, in segments as long as it is.
    stored = frames / 2
    gigabytes = stored * result["build"]["bytes_per_frame"] / 1e9
    rounds = segments_needed(round(MEAN_SECONDS * FPS), CLIP, 2.0)  # of a video of mean length, as in a build
    shards = math.ceil(VIDEOS / PART_VIDEOS)
    rows = [
        ("videos", f"{VIDEOS:,} of {MEAN_SECONDS:g} s, {seconds / 3600:,.0f} hours"),
        ("to build, on one core", f"{core_hours:,.1f} hours"),
        (f"Beam workers of one core to build in {HOURS_WANTED:g} hour", f"{math.ceil(core_hours / HOURS_WANTED)}"),
        ("bytes with one round", f"{gigabytes:,.0f} GB"),
        (f"bytes with the default rounds (about {rounds})", f"{2 * gigabytes:,.0f} GB"),
        ("shards", f"{shards} a round of {PART_VIDEOS} videos each"),
    ]
    return table(("Charades", "figure"), rows)


def feeding(result: Mapping[str, Any]) -> str:
    """Cores for GPUs of some speeds."""
    per_core = 1 / result["rates"]["records"]["cpu_seconds_per_clip"]
    rows = []
    for sustained in SUSTAINED_TERAFLOPS:
        clips = sustained * 1e12 / (GIGA_MULTIPLY_ADDS * 1e9 * 3 * 2)
        rows.append(
            (
                f"{sustained} TFLOP/s",
                f"{clips:,.0f}",
                *(f"{math.ceil(gpus * clips / per_core)}" for gpus in (1, 8)),
            )
        )
    return table(("sustained by a GPU", "clips/s", "cores for 1 GPU", "cores for 8"), rows)


def page(result: Mapping[str, Any]) -> str:
    """The whole page."""
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    return "\n".join(
        [
            "# Charades at full size, on paper",
            "",
            "Written by `tools/render_scale.py` from `benchmarks/data.json`, which `tools/bench_data.py` measured on"
            f" {result['machine']['cores']} cores ({versions}). Nobody has built the whole of Charades with it yet.",
            "",
            measured(result),
            "## Building",
            "",
            "The videos are taken to be of 340x256 pixels, as those that were measured; larger ones decode in"
            " proportion to their pixels.",
            "",
            plan(result),
            "## Feeding",
            "",
            f"A training clip of slowfast_r50_8x8 is {GIGA_MULTIPLY_ADDS:g} * 10^9 multiply-adds forward and three"
            " times that with its gradient. What a GPU sustains is an assumption; cores are those of the machine.",
            "",
            feeding(result),
        ]
    )


def main() -> None:
    rendered = page(json.loads((ROOT / "benchmarks" / "data.json").read_text("utf-8")))
    if "--check" in sys.argv:
        sys.exit(not PAGE.exists() or PAGE.read_text("utf-8") != rendered)
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(rendered, "utf-8")


if __name__ == "__main__":
    main()
