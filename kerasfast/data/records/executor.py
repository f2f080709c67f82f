"""Where the parts of a build are made: in threads of this process, in other processes, or elsewhere (see `beam`)."""

from __future__ import annotations

import multiprocessing
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

from kerasfast.data.records.manifest import Options
from kerasfast.data.records.output import OutputFolder
from kerasfast.data.records.parts import PartBuilder
from kerasfast.data.records.plan import Plan, Source
from kerasfast.data.records.state import BuildState


@dataclass(frozen=True)
class Job:
    """The parts of a plan that are to be built.

    Args:
        folder: Where the shards go.
        split: Name of the split.
        plan: The whole build.
        todo: Numbers of the parts that are not there yet.
        state: Where each finished part is noted.
        skip_bad: Leave out a video that cannot be read instead of raising.
    """

    folder: OutputFolder
    split: str
    plan: Plan
    todo: tuple[int, ...]
    state: BuildState
    skip_bad: bool


class Executor(ABC):
    """Builds parts, and reaches what they are made of and go to."""

    @abstractmethod
    def folder(self, root: str | Path) -> OutputFolder:
        """The folder at a path or address."""

    @abstractmethod
    def stored_bytes(self, addresses: Sequence[str]) -> Mapping[str, int | None]:
        """Sizes of videos that lie in a store, None for one that is missing."""

    @abstractmethod
    def build(self, job: Job, done: Callable[[int], None]) -> None:
        """Builds parts and notes each in the state of the build.

        Args:
            job: The parts.
            done: Called with a number of videos when so many more are done.

        Raises:
            DataError: A video cannot be read, without `skip_bad`.
            OSError: A shard cannot be written, or a machine failed.
        """


class ThreadExecutor(Executor):
    """Threads of this process.

    Args:
        workers: How many.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers

    def folder(self, root: str | Path) -> OutputFolder:
        """A folder of this machine."""
        return OutputFolder(root)

    def stored_bytes(self, addresses: Sequence[str]) -> Mapping[str, int | None]:
        """Refuses addresses: each video would be fetched twice, to be planned and to be decoded."""
        raise ValueError(
            f"videos must be files of this machine. Received: {addresses[0]!r}. Videos of a store are read by "
            "`kerasfast records build --beam ...` and kerasfast.data.build_records_on_beam."
        )

    def build(self, job: Job, done: Callable[[int], None]) -> None:
        """Builds parts side by side; the first error ends all."""
        stop, work = threading.Event(), Path(job.folder.root)
        parts, options = job.plan.parts, job.plan.options
        builder = PartBuilder(job.folder, job.split, options, len(parts), job.skip_bad, lambda: done(1), stop)

        def build(number: int) -> None:
            job.state.finish_part(number, builder.build(number, parts[number], work))

        with ThreadPoolExecutor(self._workers, thread_name_prefix="records") as pool:
            futures = [pool.submit(build, number) for number in job.todo]
            try:
                for future in as_completed(futures):
                    future.result()
            except BaseException:
                stop.set()
                pool.shutdown(cancel_futures=True)
                raise


class ProcessExecutor(ThreadExecutor):
    """Processes of this machine with a core each, for more cores than the threads of one process keep busy.

    They are started anew and import TensorFlow, some seconds and 0.5 GB each, so a script that builds this way has to
    stand behind `if __name__ == "__main__":`.
    """

    def build(self, job: Job, done: Callable[[int], None]) -> None:
        """Builds parts side by side; the first error ends all."""
        parts, options = job.plan.parts, job.plan.options
        context = multiprocessing.get_context("spawn")
        stop = context.Event()
        with ProcessPoolExecutor(
            self._workers, mp_context=context, initializer=_begin_process, initargs=(stop,)
        ) as pool:
            common = job.folder, job.split, options, len(parts), job.skip_bad
            futures = {pool.submit(_build_part, *common, number, parts[number]): number for number in job.todo}
            try:
                for future in as_completed(futures):
                    number = futures[future]
                    job.state.finish_part(number, future.result())
                    done(len(parts[number]))
            except BrokenProcessPool as error:
                raise OSError("a process that decodes was killed, perhaps for its memory") from error
            except BaseException:
                stop.set()
                pool.shutdown(cancel_futures=True)
                raise


# Set in the process that began the build when the work is to end early.
_stop: Any = None


def _begin_process(stop: Any) -> None:
    global _stop
    _stop = stop
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    # A process whose parent was killed would wait for work for ever, or write beside the build that goes on.
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)


def _build_part(
    folder: OutputFolder, split: str, options: Options, parts: int, skip_bad: bool, number: int, sources: list[Source]
) -> dict[str, Any]:
    builder = PartBuilder(folder, split, options, parts, skip_bad, lambda: None, _stop)
    return builder.build(number, sources, Path(folder.root))
