"""Predicting whole videos, wall time and memory of each in a process of its own: benchmarks/predict.json.

    python tools/bench_predict.py --videos ../shared/videos

`kerasfast.predict` with windows side by side on every video of a folder, on one of them repeated to ten minutes, and on
1080p of one minute, ten minutes and two hours, which shows that memory does not grow with the length. The long ones are
made of repeated packets in out/predict. The 1080p has few frames a second, so that two hours are decoded in minutes:
memory depends on the size of a frame and of a window, not on the rate.

A wall time begins with a loaded model and holds the tracing of its graph, of which `first_window_seconds` is mostly
made. The real-time factor is seconds of video by second of that. `peak_mib` is the most memory that the process had
(VmHWM, Linux), `model_mib` what it had with the model loaded, before the first window.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from contest import ROOT, machine, script, versions
from data_memory import repeat

from kerasfast.data.video import probe
from kerasfast.data.video_writer import write_video
from kerasfast.explain import DEFAULT_MODEL
from kerasfast.explain.sources import find_sources

RESULT = ROOT / "benchmarks" / "predict.json"
REPEATED_MINUTES = 10
LARGE = (1080, 1920)
LARGE_FPS = 6  # frames a second


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=Path, default=ROOT.parent / "shared" / "videos")
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--minutes", type=int, nargs="+", default=[1, 10, 120], help="of 1080p")
    parser.add_argument("--work", type=Path, default=ROOT / "out" / "predict", help="folder of the long videos")
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--only", type=Path, help=argparse.SUPPRESS)  # the video of a child
    arguments = parser.parse_args()
    if arguments.only:
        print(json.dumps(measure(arguments.only, arguments.model)))
        return
    arguments.work.mkdir(parents=True, exist_ok=True)
    clips = [Path(str(clip)) for clip in find_sources(arguments.videos)]
    longest = max(clips, key=lambda clip: probe(clip).frames)
    repeated = arguments.work / f"{longest.stem}_{REPEATED_MINUTES}min.mp4"
    if not repeated.exists():
        repeat(longest, repeated, round(60 * REPEATED_MINUTES / probe(longest).duration_seconds))
    rows = {clip.name: child(clip, arguments.model) for clip in clips}
    rows[f"{longest.name}, repeated"] = child(repeated, arguments.model)
    large = {f"{n} min": child(large_video(arguments.work, n), arguments.model) for n in arguments.minutes}
    shortest, *_, last = large.values()
    result = {
        "model": arguments.model,
        "crops": 1,
        "videos": rows,
        "1080p": large,
        "1080p_growth_mib": round(last["peak_mib"] - shortest["peak_mib"], 1),
        "machine": machine(),
        "versions": versions("tensorflow", "keras", "numpy", "av"),
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


def child(video: Path, model: str) -> dict[str, Any]:
    """`measure` in a process of its own."""
    command = [*script("bench_predict.py"), "--only", str(video), "--model", model]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    row = json.loads(output.splitlines()[-1])
    print(f"{video.name}: {row}", flush=True)
    return row


def measure(video: Path, model: str) -> dict[str, Any]:
    """Predict on a video: time, windows and memory."""
    from kerasfast.data.memory import keep_freed_memory
    from kerasfast.explain.predict import predict
    from kerasfast.serving.turns import memory_mib
    from kerasfast.train.run import load_model

    keep_freed_memory()  # as the command line does
    network = load_model(model)
    before = memory_mib("VmRSS")
    firsts: list[float] = []
    begin = time.perf_counter()
    (timeline,) = predict(video, network, progress=lambda _: firsts or firsts.append(time.perf_counter() - begin))
    wall = time.perf_counter() - begin
    peak = memory_mib("VmHWM")
    if before is None or peak is None:
        sys.exit("Memory is read from /proc/self/status, which Linux has.")
    if timeline.ended is not None:
        sys.exit(f"{video} was not seen to its end: {timeline.ended}")
    info = probe(video)
    return {
        "size": f"{info.width}x{info.height}",
        "fps": round(info.fps, 2),
        "video_seconds": round(timeline.duration_seconds, 2),
        "windows": len(timeline.starts),
        "wall_seconds": round(wall, 2),
        "first_window_seconds": round(firsts[0], 2),
        "real_time_factor": round(timeline.duration_seconds / wall, 2),
        "model_mib": round(before, 1),
        "peak_mib": round(peak, 1),
    }


def large_video(work: Path, minutes: int) -> Path:
    """1080p of a texture that drifts, of so many minutes."""
    path = work / f"large_{minutes}min.mp4"
    minute = work / "large_1min.mp4"
    if not minute.exists():
        still = np.random.default_rng(0).integers(0, 256, (LARGE[0] // 8, LARGE[1] // 8, 3), np.uint8)
        still = still.repeat(8, axis=0).repeat(8, axis=1)
        frames = (np.roll(still, 8 * index, axis=1) for index in range(60 * LARGE_FPS))
        write_video(minute, frames, LARGE_FPS, crf=28, preset="ultrafast")
    if not path.exists():
        repeat(minute, path, minutes)
    return path


if __name__ == "__main__":
    main()
