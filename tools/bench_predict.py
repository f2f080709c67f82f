"""Predicting whole videos, wall time and memory of each in a process of its own: benchmarks/predict.json.

    python tools/bench_predict.py --videos ../shared/videos

`kerasfast.predict` with windows side by side on every video of a folder, on one of them repeated to ten minutes, and on
1080p of one minute, ten minutes and two hours, which shows that memory does not grow with the length. The long ones are
made of repeated packets in out/predict. The 1080p has few frames a second, so that two hours are decoded in minutes:
memory depends on the size of a frame and of a window, not on the rate.

A wall time begins with a loaded model and holds the tracing of its graph, of which `first_window_seconds` is mostly
made. The real-time factor is seconds of video by second of that, and once more without the first window. `cpu_seconds`
are those of all threads, and `load_before` is what the machine computed (processes, over a minute) before, which makes
a wall time longer. `peak_mib` is the most memory that the process had (VmHWM, Linux), `model_mib` what it had with the
model loaded, before the first window.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from contest import ROOT, machine, script, versions

from kerasfast.data.files import write_json
from kerasfast.data.video import probe
from kerasfast.data.video_writer import write_video
from kerasfast.explain import DEFAULT_MODEL
from kerasfast.explain.sources import find_sources

RESULT = ROOT / "benchmarks" / "predict.json"
REPEATED_MINUTES = 10
LARGE = (1080, 1920)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=Path, default=ROOT.parent / "shared" / "videos")
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--minutes", type=int, nargs="+", default=[1, 10, 120], help="of 1080p")
    parser.add_argument("--fps", type=int, default=6, help="frames a second of the 1080p")
    parser.add_argument("--work", type=Path, default=ROOT / "out" / "predict", help="folder of the long videos")
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--only", type=Path, help=argparse.SUPPRESS)  # the video of a child
    arguments = parser.parse_args()
    if arguments.only:
        print(json.dumps(measure(arguments.only, arguments.model)))
        return
    from data_memory import repeat  # brings TensorFlow's data pipeline, which a child that is measured does without

    arguments.work.mkdir(parents=True, exist_ok=True)
    clips = [Path(str(clip)) for clip in find_sources(arguments.videos)]
    longest = max(clips, key=lambda clip: probe(clip).frames)
    repeated = arguments.work / f"{longest.stem}_{REPEATED_MINUTES}min.mp4"
    if not repeated.exists():
        repeat(longest, repeated, round(60 * REPEATED_MINUTES / probe(longest).duration_seconds))
    rows: dict[str, Any] = {}
    large: dict[str, Any] = {}
    jobs = [(rows, clip.name, clip) for clip in clips]
    jobs += [(rows, f"{longest.name}, repeated", repeated)]
    jobs += [(large, f"{n} min", large_video(arguments.work, n, arguments.fps)) for n in arguments.minutes]
    for table, name, video in jobs:
        table[name] = child(video, arguments.model)
    peaks = [row["peak_mib"] for row in large.values()]
    result = {
        "model": arguments.model,
        "crops": 1,
        "videos": rows,
        "1080p": large,
        "1080p_growth_mib": round(peaks[-1] - peaks[0], 1),
        "machine": machine(),
        "versions": versions("tensorflow", "keras", "numpy", "av"),
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    write_json(arguments.out, result)
    print(arguments.out)


def child(video: Path, model: str) -> dict[str, Any]:
    """`measure` in a process of its own."""
    load = round(os.getloadavg()[0], 1)
    command = [*script("bench_predict.py"), "--only", str(video), "--model", model]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    row = {**json.loads(output.splitlines()[-1]), "load_before": load}
    print(f"{video.name}: {row}", flush=True)
    return row


def measure(video: Path, model: str) -> dict[str, Any]:
    """Predict on a video: time, windows and memory."""
    from kerasfast.explain.predict import predict
    from kerasfast.serving.turns import memory_mib
    from kerasfast.train.run import load_model

    network = load_model(model)
    before = memory_mib("VmRSS")
    firsts: list[tuple[float, float]] = []  # wall seconds and seconds of video at the end of the first window
    begin, computed = time.perf_counter(), time.process_time()
    (timeline,) = predict(
        video, network, progress=lambda at: firsts or firsts.append((time.perf_counter() - begin, at))
    )
    wall, computed = time.perf_counter() - begin, time.process_time() - computed
    peak = memory_mib("VmHWM")
    if before is None or peak is None:
        sys.exit("Memory is read from /proc/self/status, which Linux has.")
    if timeline.ended is not None:
        sys.exit(f"{video} was not seen to its end: {timeline.ended}")
    info = probe(video)
    first, seen = firsts[0]
    later = timeline.duration_seconds - seen
    return {
        "size": f"{info.width}x{info.height}",
        "fps": round(info.fps, 2),
        "video_seconds": round(timeline.duration_seconds, 2),
        "windows": len(timeline.starts),
        "wall_seconds": round(wall, 2),
        "cpu_seconds": round(computed, 2),
        "first_window_seconds": round(first, 2),
        "real_time_factor": round(timeline.duration_seconds / wall, 2),
        "real_time_factor_after_first": round(later / (wall - first), 2) if later else None,
        "model_mib": round(before, 1),
        "peak_mib": round(peak, 1),
    }


def large_video(work: Path, minutes: int, fps: int) -> Path:
    """1080p of a texture that drifts, of so many minutes."""
    from data_memory import repeat

    path = work / f"large_{fps}fps_{minutes}min.mp4"
    minute = work / f"large_{fps}fps_1min.mp4"
    if not minute.exists():
        still = np.random.default_rng(0).integers(0, 256, (LARGE[0] // 8, LARGE[1] // 8, 3), np.uint8)
        still = still.repeat(8, axis=0).repeat(8, axis=1)
        frames = (np.roll(still, 8 * index, axis=1) for index in range(60 * fps))
        write_video(minute, frames, fps, crf=28, preset="ultrafast")
    if not path.exists():
        repeat(minute, path, minutes)
    return path


if __name__ == "__main__":
    main()
