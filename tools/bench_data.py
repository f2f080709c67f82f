"""Feeding a network from records and from mp4 files, building records, and a soak: benchmarks/data.json.

    python tools/bench_data.py --videos ../shared/videos --work out/bench_data [--only rates ...]

The clips are 32 frames at stride 2, cut and scaled to 224 pixels from 340x256 frames, with short-side jitter from 256
to 320 and flips. The contenders take turns, each in a process of its own, with the same augmentation: records, which
`kerasfast.data.training_clips` reads, and mp4 files, in which a `tf.data` pipeline seeks and decodes each clip by PyAV.
Beside them stands what decoding the frames alone takes, which nothing that reads JPEG can pass.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import itertools
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tensorflow as tf
from data_memory import CLIP, LABELS, memory, soak
from mp4_clips import mp4_clips

from kerasfast.data.annotations import Segment, VideoRow
from kerasfast.data.memory import keep_freed_memory
from kerasfast.data.pipeline.training import training_clips
from kerasfast.data.records.build import build_records
from kerasfast.data.records.manifest import Manifest
from kerasfast.data.records.read import read_manifest
from kerasfast.data.records.schema import parse_record
from kerasfast.data.video import probe

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "benchmarks" / "data.json"
SOURCES = ("demo.mp4", "test.mp4")  # both 340x256 at 28 and 30 frames a second, 10 s
CROP, SHORT_SIDE, BATCH = 224, (256, 320), 8
COPIES = 32  # of each file, so that an epoch has batches enough


def rows(videos: Path, work: Path) -> tuple[list[VideoRow], dict[str, Path]]:
    """Each source several times under names of its own."""
    folder = work / "videos"
    folder.mkdir(parents=True, exist_ok=True)
    listed, files = [], {}
    for number, name in itertools.product(range(COPIES), SOURCES):
        key = f"{Path(name).stem}{number:02d}"
        files[key] = folder / f"{key}.mp4"
        if not files[key].exists():
            files[key].symlink_to((videos / name).resolve())
        seconds = probe(files[key]).duration_seconds
        listed.append(VideoRow(key, "S", seconds, (Segment(0, 0.0, seconds),), len(listed) + 2))
    return listed, files


def build(videos: Path, work: Path) -> dict[str, Any]:
    """Seconds and CPU seconds of building with threads and with processes, against the seconds of video."""
    listed, files = rows(videos, work)
    seconds, cores = sum(row.length_seconds for row in listed), os.cpu_count() or 1
    result: dict[str, Any] = {"video_seconds": round(seconds, 1)}
    for way, options in (("processes", {"processes": cores}), ("threads", {"workers": cores})):
        out = work / ("records" if way == "threads" else f"records-{way}")
        shutil.rmtree(out, ignore_errors=True)
        wall, cpu = time.perf_counter(), _cpu_seconds()
        manifest = build_records(listed, files, LABELS, out, clip=CLIP, short_side=256, part_videos=8, **options)
        wall, cpu = time.perf_counter() - wall, _cpu_seconds() - cpu
        result[way] = {
            "wall_seconds": round(wall, 1),
            "cpu_seconds": round(cpu, 1),
            "times_real_time_per_core": round(seconds / cpu, 2),
        }
    return result | {
        "stored_frames": manifest.counts["stored_frames"],
        "bytes_per_frame": round(manifest.counts["bytes"] / manifest.counts["stored_frames"]),
        "bytes_per_video_second": round(manifest.counts["bytes"] / seconds),
    }


def measure(batches: Iterator[Any], seconds: float) -> tuple[float, float]:
    """Clips a second, and CPU seconds a clip, over about `seconds`."""
    count, begin, cpu = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - begin < seconds:
        next(batches)
        count += BATCH
    return count / (time.perf_counter() - begin), (time.process_time() - cpu) / count


def bare_decode(work: Path) -> tf.data.Dataset:
    """Nothing but decoding the frames of a clip, as many and as large a part of each, from memory: the ceiling."""
    stored = next(
        iter(tf.data.TFRecordDataset(read_manifest(work / "records", "train").round_files(work / "records")[0]))
    )
    jpegs = parse_record(stored).jpegs[: CLIP.frames]
    side = round(CROP * 256 / statistics.mean(SHORT_SIDE))
    box = tf.constant([(256 - side) // 2, (340 - side) // 2, side, side])
    clips = tf.data.Dataset.from_tensors(tf.ensure_shape(jpegs, (CLIP.frames,))).repeat()
    clips = clips.map(
        lambda frames: tf.stack(
            [tf.image.decode_and_crop_jpeg(frame, box, channels=3) for frame in tf.unstack(frames)]
        ),
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    return clips.batch(BATCH).prefetch(tf.data.AUTOTUNE)


def from_records(work: Path, **options: Any) -> tf.data.Dataset:
    """The pipeline that is measured."""
    return training_clips(work / "records", CLIP, BATCH, crop_size=CROP, short_side=SHORT_SIDE, seed=0, **options)


CONTENDERS: dict[str, Callable[[Path], tf.data.Dataset]] = {
    "records": lambda work: from_records(work).repeat(),
    "records_without_kept_memory": lambda work: from_records(work).repeat(),
    "mp4": lambda work: mp4_clips(sorted((work / "videos").iterdir()), CLIP, BATCH, CROP, SHORT_SIDE, seed=0),
    "bare_decode": bare_decode,
}


def rate_of(name: str, work: Path, seconds: float) -> list[float]:
    """A turn of a contender, in a process of its own; all but one keep the memory that they free."""
    if name != "records_without_kept_memory":
        keep_freed_memory()
    batches = iter(CONTENDERS[name](work))
    measure(batches, seconds / 4)  # buffers filled, thread pools tuned
    return list(measure(batches, seconds))


def rates(work: Path, rounds: int, seconds: float) -> dict[str, Any]:
    """The contenders in turn."""
    found: dict[str, list[list[float]]] = {name: [] for name in CONTENDERS}
    for _ in range(rounds):
        for name, values in found.items():
            values.append(json.loads(_child(name, work, seconds)))
    result: dict[str, Any] = {
        name: {
            "clips_per_second": round(statistics.median(rate for rate, _ in values), 1),
            "cpu_seconds_per_clip": round(statistics.median(cpu for _, cpu in values), 4),
            "all": [round(rate, 1) for rate, _ in values],
        }
        for name, values in found.items()
    }
    for other in list(CONTENDERS)[1:]:
        pairs = zip(found["records"], found[other], strict=True)
        result[f"records_to_{other}"] = round(statistics.median(own[0] / its[0] for own, its in pairs), 2)
    return result


def bytes_read(work: Path) -> dict[str, float]:
    """What the process reads for each clip, by the kernel's count, against the frames that are decoded."""
    manifest: Manifest = read_manifest(work / "records", "train")
    dataset = from_records(work)
    list(dataset)  # whatever is read once is read now
    before, clips = _characters_read(), 0
    for frames, _ in dataset.repeat(manifest.options.rounds):
        clips += len(frames)
    read = (_characters_read() - before) / clips
    decoded = manifest.counts["bytes"] / manifest.counts["stored_frames"] * CLIP.frames
    return {
        "clips": clips,
        "read_per_clip": round(read),
        "decoded_per_clip": round(decoded),
        "ratio": round(read / decoded, 2),
    }


def resume(work: Path, times: int = 5) -> dict[str, float]:
    """Seconds to the first batch at the start, and at the last step of a later epoch; and to read up to it instead."""
    last = int(from_records(work).cardinality()) - 1

    def first_batch(**options: Any) -> float:
        begin = time.perf_counter()
        next(iter(from_records(work, **options)))
        return time.perf_counter() - begin

    def read_on() -> float:
        begin = time.perf_counter()
        next(iter(from_records(work, first_epoch=3).skip(last)))
        return time.perf_counter() - begin

    measured = [(first_batch(), first_batch(first_epoch=3, first_step=last), read_on()) for _ in range(times)]
    names = ("seconds_at_the_start", "seconds_at_the_last_step", "seconds_by_reading_on")
    medians = (round(statistics.median(values), 3) for values in zip(*measured, strict=True))
    return {"steps": last + 1, **dict(zip(names, medians, strict=True))}


def _cpu_seconds() -> float:
    """Of this process and those that it has waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _child(*arguments: object) -> str:
    """The last line that a process of its own prints."""
    command = [sys.executable, __file__, "--child", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]


def _characters_read() -> int:
    """Bytes that this process has read so far, from the page cache too."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("rchar")).split()[1])


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        name, work, seconds = sys.argv[2:]
        return print(json.dumps(rate_of(name, Path(work), float(seconds))))
    parts = ("build", "rates", "bytes", "resume", "memory", "soak")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=Path, default=ROOT.parent / "shared" / "videos")
    parser.add_argument("--work", type=Path, default=ROOT / "out" / "bench_data")
    parser.add_argument("--only", nargs="+", choices=parts, default=parts)
    parser.add_argument("--rounds", type=int, default=5, help="turns of each contender")
    parser.add_argument("--seconds", type=float, default=12.0, help="of a turn")
    parser.add_argument("--minutes", type=int, default=10, help="length of the long video")
    arguments = parser.parse_args()
    work = arguments.work.absolute()
    work.mkdir(parents=True, exist_ok=True)
    result = json.loads(RESULT.read_text("utf-8")) if RESULT.is_file() else {}
    steps: dict[str, Callable[[], dict[str, Any]]] = {
        "build": lambda: build(arguments.videos, work),
        "rates": lambda: rates(work, arguments.rounds, arguments.seconds),
        "bytes": lambda: bytes_read(work),
        "resume": lambda: resume(work),
        "memory": lambda: memory(work, arguments.minutes),
        "soak": lambda: soak(work),
    }
    for part in arguments.only:
        result[part] = steps[part]()
        print(part, json.dumps(result[part]), flush=True)
        result["machine"] = {"cores": os.cpu_count(), "architecture": platform.machine()}
        result["versions"] = {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in ("tensorflow", "av", "numpy")},
        }
        RESULT.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    return None


if __name__ == "__main__":
    main()
