"""The manifest of a build whose parts are all there."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from typing import Any

from kerasfast.data.errors import DataError
from kerasfast.data.labels import LabelSpace
from kerasfast.data.records.manifest import Manifest, Shard, class_counts
from kerasfast.data.records.plan import Plan


def assemble_manifest(
    out: str, split: str, plan: Plan, labels: LabelSpace, summaries: Sequence[dict[str, Any]]
) -> Manifest:
    """Puts together what the parts say of themselves, in whatever order they were built.

    Args:
        out: Folder or address of the records, for messages.
        split: Name of the split.
        plan: The build.
        labels: Its classes.
        summaries: Of each part, what `PartBuilder.build` returned.

    Raises:
        DataError: No video could be read at all.
    """
    videos = sorted((v for s in summaries for v in s["videos"]), key=lambda video: video["index"])
    skipped = sorted((v for s in summaries for v in s["skipped"]), key=lambda video: video["index"])
    if not videos:
        raise DataError(f"{out}: none of the {len(skipped)} videos could be read, the first: {skipped[0]['reason']}")
    shards = sorted(
        (Shard.from_dict(values) for s in summaries for values in s["shards"]), key=lambda shard: shard.name
    )
    return Manifest(
        split=split,
        options=plan.options,
        labels=labels,
        videos=tuple(videos),
        skipped=tuple(skipped),
        counts={
            "videos": len(videos),
            "without_actions": sum(not video["actions"] for video in videos),
            "records": sum(shard.records for shard in shards),
            "stored_frames": sum(summary["stored_frames"] for summary in summaries),
            "bytes": sum(shard.bytes for shard in shards),
        },
        class_counts=class_counts(labels, [video["actions"] for video in videos]),
        shards=tuple(shards),
        fingerprint=plan.fingerprint,
        versions=package_versions(),
    )


def package_versions() -> dict[str, str]:
    """Versions of the packages that the bytes of the records depend on: they decode and encode."""
    return {name: importlib.metadata.version(name) for name in ("av", "tensorflow")}
