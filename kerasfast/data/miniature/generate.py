"""Generates the miniature data set: videos of every split, and their annotations."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from kerasfast.data.errors import DataError
from kerasfast.data.miniature.files import PREFIX, remove_annotations, write_annotations
from kerasfast.data.miniature.plan import FPS, motion_pairs
from kerasfast.data.miniature.render import render
from kerasfast.data.miniature.scripts import Script, write_scripts
from kerasfast.data.video_writer import write_video

# "ultrafast" writes no B-frames and predicts little: fast, and poor in traces of motion in a single frame.
_PRESET = "ultrafast"
_CRF = 20
# To be raised when the same seed gives other files.
VERSION = 2
_BATCH_VIDEOS = 10  # one errand of a worker process


def split_sizes(train_videos: int = 1200, test_videos: int | None = None) -> dict[str, int]:
    """Videos of each split: by default 1200 train, 400 test, 60 novel, 400 and 100 of the single-label `kinetics`.

    Args:
        train_videos: Videos to train on; the other splits follow in proportion, and none is empty.
        test_videos: Videos to test on, a third of the former by default.

    Raises:
        ValueError: Fewer than one video.
    """
    test_videos = max(train_videos // 3, 1) if test_videos is None else test_videos
    if train_videos < 1 or test_videos < 1:
        raise ValueError(
            "Miniature Charades needs at least one video to train and one to test. "
            f"Received: train_videos={train_videos}, test_videos={test_videos}."
        )
    return {
        "train": train_videos,
        "test": test_videos,
        "novel": max(train_videos // 20, 1),
        "kinetics_train": max(train_videos // 3, 1),
        "kinetics_test": max(train_videos // 12, 1),
    }


def motion_actions() -> tuple[int, ...]:
    """Numbers of the eight actions of the motion-only pairs, which the Slow pathway alone cannot tell apart."""
    return tuple(sorted(number for pair in motion_pairs() for number in pair))


def generate(
    out: str | Path,
    train_videos: int = 1200,
    test_videos: int | None = None,
    seed: int = 0,
    processes: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write the data set: videos of 96x96 to 128x96 pixels, 24 frames a second, 4 to 10 seconds.

    Files, in the formats of Charades: `out/videos/<id>.mp4`, `out/Miniature_v1_{train,test,novel,kinetics_train,
    kinetics_test}.csv`, and `out/Miniature_v1_{classes,verbclasses,objectclasses,mapping}.txt`. The classes of the
    novel split are in `out/novel`. The annotations are written last, and those of the training split last of all: a
    folder that has them is complete.

    Args:
        out: Folder to write; created, or filled anew if it holds a miniature.
        train_videos: Videos of the training split.
        test_videos: Videos of the test split, a third of `train_videos` by default. For the other splits see
            `split_sizes`.
        seed: The same seed gives the same files, byte for byte, whatever `processes`. 0 to 9 are for development;
            published tables use 100 and up.
        processes: Worker processes; 1 works in this one. With more, a script that calls this function needs the
            usual `if __name__ == "__main__":`.
        progress: Called with (videos done, videos in all).

    Raises:
        ValueError: A number out of range.
        DataError: `out` holds other files.
    """
    if seed < 0 or processes < 1:
        raise ValueError(f"seed >= 0 and processes >= 1 are needed. Received: seed={seed}, processes={processes}.")
    scripts = {
        split: write_scripts(split, videos, seed) for split, videos in split_sizes(train_videos, test_videos).items()
    }
    everything = [script for videos in scripts.values() for script in videos]
    videos = _prepare(Path(out), settings(train_videos, test_videos, seed))
    batches = [everything[at : at + _BATCH_VIDEOS] for at in range(0, len(everything), _BATCH_VIDEOS)]
    done = 0
    with _results(batches, videos, seed, processes) as results:
        for count in results:
            done += count
            if progress is not None:
                progress(done, len(everything))
    wanted = {f"{script.id}.mp4" for script in everything}
    for path in videos.iterdir():
        if path.name not in wanted:  # of an earlier, larger run
            path.unlink()
    write_annotations(Path(out), scripts, seed)


def settings(train_videos: int = 1200, test_videos: int | None = None, seed: int = 0) -> str:
    """What `Miniature_v1_generated.txt` says of a data set: two of one text are equal."""
    sizes = ", ".join(f"{videos} {split}" for split, videos in split_sizes(train_videos, test_videos).items())
    return f"Miniature Charades, version {VERSION}, seed {seed}: {sizes} videos.\n"


def is_generated(folder: str | Path, expected: str) -> bool:
    """Whether a folder holds the whole data set of these `settings`."""
    mark = Path(folder) / f"{PREFIX}_generated.txt"
    complete = (Path(folder) / f"{PREFIX}_train.csv").is_file()
    return complete and mark.is_file() and expected in mark.read_text("utf-8")


def _prepare(out: Path, described: str) -> Path:
    """Make the folder ready; the folder of its videos."""
    mark = out / f"{PREFIX}_generated.txt"
    if out.exists() and not (out.is_dir() and (mark.exists() or not any(out.iterdir()))):
        raise DataError(f"{out} exists and is not a folder of miniature Charades. Give a new or empty folder.")
    remove_annotations(out)
    videos = out / "videos"
    videos.mkdir(parents=True, exist_ok=True)
    mark.write_text(f"Written by kerasfast records miniature, which may replace everything here.\n{described}", "utf-8")
    return videos


@contextmanager
def _results(batches: list[list[Script]], videos: Path, seed: int, processes: int) -> Iterator[Iterator[int]]:
    """Number of videos of each batch as it is done."""
    if processes == 1 or len(batches) == 1:
        yield (_write_batch(batch, videos, seed) for batch in batches)
        return
    # Spawned and not forked: the caller may run TensorFlow's threads, which do not survive a fork.
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        futures = [pool.submit(_write_batch, batch, videos, seed) for batch in batches]
        try:
            yield (future.result() for future in as_completed(futures))
        finally:
            pool.shutdown(cancel_futures=True)


def encode(path: str | Path, frames: np.ndarray) -> None:
    """Write the frames of one video, uint8 (T, H, W, 3), as the mp4 files of the data set are written."""
    write_video(path, frames, FPS, crf=_CRF, preset=_PRESET)


def _write_batch(batch: list[Script], videos: Path, seed: int) -> int:
    for script in batch:
        encode(videos / f"{script.id}.mp4", render(script, seed))
    return len(batch)
