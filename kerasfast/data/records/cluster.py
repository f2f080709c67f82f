"""Builds records on a cluster; Apache Beam is loaded when it is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kerasfast.data.annotations import Annotations, VideoRow
from kerasfast.data.labels import LabelSpace
from kerasfast.data.records.manifest import Manifest

if TYPE_CHECKING:
    from kerasfast.data.records.beam import BeamExecutor


def build_records_on_beam(
    annotations: Annotations | Iterable[VideoRow],
    videos: Mapping[str, str | Path],
    labels: LabelSpace,
    out: str | Path,
    *,
    pipeline_options: Any = None,
    **options: Any,
) -> Manifest:
    """Writes the records of one split as `build_records` does, the same byte for byte, on a runner of Apache Beam.

    A part of `part_videos` videos is the work of one machine at a time. The machines need kerasfast and the same
    versions of av and tensorflow as this one, and room on their disks for a part. This process plans the build, waits
    for its end and writes the manifest. If anything ends early, the same call goes on from the parts that are there;
    `build_records` and this function go on from each other's.

    Args:
        annotations: The videos to store, with their timed actions.
        videos: By id, an address such as `gs://bucket/46GP8.mp4`, of a video file; or the path of a file or folder of
            frames on a disk that all machines share under this path.
        labels: The classes of the annotations.
        out: An address, or a folder on such a disk.
        pipeline_options: A `PipelineOptions` of Beam, or a list of its flags, such as `["--runner=DataflowRunner",
            "--project=mine"]`; by default Beam's local runner. The runner counts the videos done as
            `kerasfast/videos`.
        **options: Of `build_records`. `rounds` must be given where videos have addresses and the annotations list no
            lengths, because planning fetches no video. `progress` is called at the beginning and the end.

    Returns:
        The manifest, as written to `manifest-<split>.json`.

    Raises:
        ImportError: Apache Beam is not installed.
        ValueError: An argument is out of its range, or Beam has no file system for an address.
        DataError: A video cannot be read. The other parts have been built; the message names the first bad video of
            every part that has one.
        OSError: The folder cannot be written, or the pipeline failed.
    """
    from kerasfast.data.records.build import build_records

    executor = beam_executor(pipeline_options)
    return build_records(annotations, videos, labels, out, executor=executor, **options)


def beam_executor(pipeline_options: Any = None) -> BeamExecutor:
    """The executor of `build_records_on_beam`.

    Args:
        pipeline_options: As there.

    Raises:
        ImportError: Apache Beam is not installed.
    """
    try:
        from kerasfast.data.records.beam import BeamExecutor
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "apache_beam":
            raise
        raise ImportError(
            "Building records on a cluster needs Apache Beam, which is not installed: pip install 'kerasfast[beam]'"
        ) from error
    if isinstance(pipeline_options, str) or (
        isinstance(pipeline_options, Sequence) and not all(flag.startswith("--") for flag in pipeline_options)
    ):
        raise ValueError(
            "pipeline_options must be a list of Beam's flags, each beginning with '--' and in one piece, such as "
            f"['--runner=DirectRunner']. Received: {pipeline_options!r}."
        )
    return BeamExecutor(pipeline_options)
