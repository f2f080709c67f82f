"""Memory of the data pipeline: the peak of a build from a long video, and a soak; parts of bench_data.py."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np

from kerasfast.data.annotations import Segment, VideoRow
from kerasfast.data.clips import ClipSpec
from kerasfast.data.labels import LabelSpace
from kerasfast.data.memory import keep_freed_memory
from kerasfast.data.pipeline.training import training_clips
from kerasfast.data.records.build import build_records
from kerasfast.data.video import probe
from kerasfast.data.video_writer import write_video

CLIP = ClipSpec(frames=32, stride=2, fps=30.0)
LABELS = LabelSpace({"action": ("act",)})
SOAK_CLIPS, SOAK_WARM = 200_000, 5_000


def memory(work: Path, minutes: int) -> dict[str, Any]:
    """Peak memory of building records from a long 1080p video, in a process of its own."""
    path = work / f"long{minutes}.mp4"
    if not path.exists():
        still = np.random.default_rng(0).integers(0, 256, (1080, 1920, 3), np.uint8) // 4 + 96
        short = work / "short.mp4"
        write_video(short, (np.roll(still, 8 * index, axis=1) for index in range(30 * 20)), 30, crf=35)
        repeat(short, path, minutes * 3)
    peaks = {}
    for layout in ("train", "test"):
        out = work / f"records-long-{layout}"
        shutil.rmtree(out, ignore_errors=True)
        peaks[f"peak_mib_{layout}"] = round(float(_child(layout, path, out)), 1)
    return {"minutes": minutes, "size": "1920x1080", **peaks}


def repeat(source: Path, path: Path, times: int) -> None:
    """A video that shows another several times, made of its packets."""
    partial = path.with_suffix(".partial.mp4")
    with av.open(str(source)) as read, av.open(str(partial), "w") as written:
        stream = read.streams.video[0]
        copied = written.add_stream_from_template(stream)
        for number in range(times):
            read.seek(0)
            for packet in read.demux(stream):
                if packet.dts is None:  # the end
                    continue
                packet.pts += number * stream.duration
                packet.dts += number * stream.duration
                packet.stream = copied
                written.mux(packet)
    partial.replace(path)


def _child(*arguments: object) -> str:
    """The last line that a process of its own prints."""
    command = [sys.executable, __file__, *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]


def _build_one(layout: str, path: Path, out: Path) -> None:
    seconds = probe(path).duration_seconds
    row = VideoRow("long", "S", seconds, (Segment(0, 0.0, seconds),), 2)
    build_records([row], {"long": path}, LABELS, out, clip=CLIP, split=layout, layout=layout, short_side=256, workers=1)
    print(_status("VmHWM"))


def soak(work: Path) -> dict[str, Any]:
    """Resident memory over many clips of a small set, which is read again and again."""
    folder = work / "soak"
    folder.mkdir(parents=True, exist_ok=True)
    clip = ClipSpec(frames=4, stride=2, fps=24.0)
    listed, files = [], {}
    rng = np.random.default_rng(0)
    for number in range(64):
        key = f"v{number:02d}"
        files[key] = folder / f"{key}.mp4"
        if not files[key].exists():
            write_video(files[key], (rng.integers(0, 256, (48, 64, 3), np.uint8) for _ in range(24)), 24)
        listed.append(VideoRow(key, "S", 1.0, (Segment(0, 0.0, 1.0),), number + 2))
    build_records(listed, files, LABELS, folder / "records", clip=clip, short_side=48, part_videos=8)
    keep_freed_memory()
    clips = training_clips(folder / "records", clip, 32, crop_size=32, short_side=(36, 48)).repeat()
    seen, start, points = 0, 0.0, []
    for frames, _ in clips:
        seen += len(frames)
        if seen % 1024 < 32 and seen >= SOAK_WARM:
            points.append(_status("VmRSS"))
            start = start or points[0]
        if seen >= SOAK_CLIPS:
            break
    return {
        "clips": seen,
        "mib_after_warm_up": round(start, 1),
        "growth_mib": round(points[-1] - start, 1),
        "largest_growth_mib": round(max(points) - start, 1),
    }


def _status(key: str) -> float:
    """A figure of /proc/self/status in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(key)).split()[1]) / 1024


if __name__ == "__main__":
    _build_one(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
