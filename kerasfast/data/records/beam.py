"""Builds the parts of records on a cluster, through Apache Beam.

The pipeline carries numbers of parts alone. What a part is made of lies beside the records, in the notes of the build:
runners limit the size of a pipeline (Dataflow to 20 MB), and the rows of Kinetics are more than that.
"""

from __future__ import annotations

import functools
import json
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems
from apache_beam.metrics import Metrics
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineState

from kerasfast.data.annotations import Segment, VideoRow
from kerasfast.data.errors import DataError
from kerasfast.data.records.assemble import package_versions
from kerasfast.data.records.beam_store import StoreFolder, fetch, stored_bytes
from kerasfast.data.records.executor import Executor, Job
from kerasfast.data.records.folder import is_address
from kerasfast.data.records.output import OutputFolder
from kerasfast.data.records.parts import PartBuilder
from kerasfast.data.records.plan import Source

_WRITERS = 16  # of small files, each of which costs a few round trips


class BuildPart(beam.DoFn):
    """Builds the part of a number and notes it, or why it cannot be built; gives the number of a part that is there.

    A video that cannot be read is noted, not raised: runners try an error again, and end the other parts for it.

    Args:
        job: The parts.
    """

    def __init__(self, job: Job) -> None:
        self._folder, self._split, self._state, self._skip_bad = job.folder, job.split, job.state, job.skip_bad
        self._options, self._parts = job.plan.options, len(job.plan.parts)
        # Of this process: a worker may run elsewhere.
        self._base, self._versions = Path.cwd(), package_versions()

    def setup(self) -> None:
        """Traces the encoder, which cannot be sent from one machine to another.

        Raises:
            OSError: This machine would write other bytes than the rest.
        """
        if (here := package_versions()) != self._versions:
            raise OSError(f"a worker has {here}, the build was begun with {self._versions}: install the same")
        self._builder = PartBuilder(
            self._folder,
            self._split,
            self._options,
            self._parts,
            self._skip_bad,
            done=Metrics.counter("kerasfast", "videos").inc,
            fetched=functools.partial(fetch, base=self._base),
        )

    def process(self, number: int) -> Iterator[int]:
        """Builds the part; one that another attempt of the runner has finished is left alone."""
        if self._state.finished_part(number) is None:
            try:
                with tempfile.TemporaryDirectory(prefix="kerasfast-") as work:
                    summary = self._builder.build(number, _read_sources(self._state.notes, number), Path(work))
            except DataError as error:
                self._state.fail_part(number, str(error))
                return
            self._state.finish_part(number, summary)
        yield number


class BuildRecords(beam.PTransform):
    """From the beginning of a pipeline to the numbers of the parts that have been built.

    Args:
        job: The parts.
    """

    def __init__(self, job: Job) -> None:
        super().__init__()
        self._job = job

    def expand(self, input_or_inputs: Any) -> Any:
        """One element a part, each free to go to another machine."""
        return input_or_inputs | beam.Create(self._job.todo) | beam.Reshuffle() | beam.ParDo(BuildPart(self._job))


class BeamExecutor(Executor):
    """A runner of Beam.

    Args:
        pipeline_options: Its options, or its flags, such as `["--runner=DataflowRunner", "--project=mine"]`.
    """

    def __init__(self, pipeline_options: PipelineOptions | Sequence[str] | None = None) -> None:
        flags = pipeline_options or []  # None would be the flags of this process
        self._options = flags if isinstance(flags, PipelineOptions) else PipelineOptions(list(flags))
        FileSystems.set_options(self._options)

    def folder(self, root: str | Path) -> OutputFolder:
        """A folder in a store, or on a disk that all machines share."""
        return StoreFolder(str(root)) if is_address(root) else OutputFolder(Path(root).absolute(), shared=True)

    def stored_bytes(self, addresses: Sequence[str]) -> Mapping[str, int | None]:
        """Sizes of videos, None for one that is missing."""
        return stored_bytes(addresses)

    def build(self, job: Job, done: Callable[[int], None]) -> None:
        """Runs the pipeline to its end; see `Executor.build`."""
        with ThreadPoolExecutor(_WRITERS) as pool:
            list(pool.map(lambda number: _write_sources(job.state.notes, number, job.plan.parts[number]), job.todo))
        pipeline = beam.Pipeline(options=self._options)
        _ = pipeline | "BuildRecords" >> BuildRecords(job)
        try:
            result = pipeline.run()
            state = result.wait_until_finish() or result.state
        except Exception as error:  # runners raise what they like
            reason = re.sub(r" \[while running '.*?'\]", "", str(error).strip().rpartition("\n")[2])
            raise OSError(f"the Beam pipeline failed, {type(error).__name__}: {reason}") from error
        if state != PipelineState.DONE:
            raise OSError(f"the Beam pipeline ended as {state}; its runner knows why")
        if failures := job.state.failures():
            more = f" And {len(failures) - 1} more: {' '.join(failures[1:])}" if failures[1:] else ""
            raise DataError(failures[0] + more)
        done(sum(len(job.plan.parts[number]) for number in job.todo))


def _write_sources(notes: OutputFolder, number: int, sources: Sequence[Source]) -> None:
    values = [asdict(source) | {"path": str(source.path)} for source in sources]
    notes.write(_sources_name(number), json.dumps(values))


def _read_sources(notes: OutputFolder, number: int) -> list[Source]:
    if (text := notes.read(_sources_name(number))) is None:
        raise OSError(f"{notes.path(_sources_name(number))}: not there. Machines must see one folder under one path.")
    return [_source(values) for values in json.loads(text)]


def _source(values: dict[str, Any]) -> Source:
    row = values["row"]
    segments = tuple(Segment(**segment) for segment in row["segments"])
    path = values["path"] if is_address(values["path"]) else Path(values["path"])
    row = VideoRow(**row | {"segments": segments, "untimed": tuple(row["untimed"])})
    return Source(**values | {"row": row, "path": path})


def _sources_name(number: int) -> str:
    return f"sources-{number:05d}.json"
