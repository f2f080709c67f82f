"""The doctor, after a build: a folder of records against its manifests."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from kerasfast.data.checks.findings import ClassCounts, Findings, Report, add_shared, count_classes
from kerasfast.data.errors import DataError
from kerasfast.data.records.folder import RecordFolder
from kerasfast.data.records.manifest import Manifest, Shard, class_counts
from kerasfast.data.records.read import check_shape, manifest_name, parse_manifest, shard_sha256, splits_in


def diagnose_records(
    folder: str | Path,
    split: str | None = None,
    *,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Looks for what is wrong with records, and lists all of it; reads every byte once.

    Args:
        folder: Folder that `build_records` wrote, or its address in a store.
        split: Split to look at; by default all in the folder.
        workers: Shards read at a time; by default as many as there are cores.
        progress: Called with (shards done, shards in all).

    Returns:
        The findings, with `checked` holding the number of splits, videos, records, shards and bytes.

    Raises:
        DataError: There is no such folder, or it holds no records of `split`, or none at all; or the store cannot be
            read.
    """
    opened = RecordFolder(folder)
    if not opened.exists():
        raise DataError(f"{folder}: no such folder. Give the folder that `kerasfast records build` wrote.")
    findings = Findings()
    unfinished = _unfinished(findings, opened, split)
    names = [name for name in splits_in(opened) if split in (None, name)]
    if not names and not unfinished:
        wanted = "manifest-*.json" if split is None else manifest_name(split)
        raise DataError(f"{folder}: holds no {wanted}. Build records with `kerasfast records build`.")
    manifests: dict[str, Manifest] = {}
    for name in names:
        try:
            manifests[name] = parse_manifest(opened, name)
        except DataError as error:
            findings.add("bad_manifest", name, str(error))
    counts: list[ClassCounts] = []
    for name, manifest in manifests.items():
        counts += _check_manifest(findings, name, manifest)
    _check_splits(findings, manifests)
    _check_shards(findings, opened, manifests, workers, progress)
    if split is None and not unfinished and len(manifests) == len(names):
        listed = {shard.name for manifest in manifests.values() for shard in manifest.shards}
        for name in opened.names("*.tfrecord"):
            if name not in listed:
                findings.add("unlisted", name)
    totals = {key: sum(m.counts.get(key, 0) for m in manifests.values()) for key in ("videos", "records", "bytes")}
    shards = sum(len(manifest.shards) for manifest in manifests.values())
    return Report({"splits": len(manifests), "shards": shards, **totals}, findings.sorted(), tuple(counts))


def _unfinished(findings: Findings, folder: RecordFolder, split: str | None) -> bool:
    """Notes builds that were ended; whether there are any."""
    found = [name.removeprefix(".build-") for name in folder.names(".build-*")]
    found = [name for name in found if split in (None, name)]
    for name in found:
        parts = len(RecordFolder(folder.path(f".build-{name}")).names("part-*.json"))
        findings.add("unfinished", name, f"{parts} parts are done")
    return bool(found)


def _check_manifest(findings: Findings, split: str, manifest: Manifest) -> list[ClassCounts]:
    """What a manifest says of its videos, and whether its numbers agree."""
    options, videos = manifest.options, manifest.videos
    times: dict[str, int] = {}
    for video in (*videos, *manifest.skipped):
        times[video["id"]] = times.get(video["id"], 0) + 1
    for name, number in times.items():
        if number > 1:
            findings.add("duplicate_id", f"{split}/{name}", f"{number} times")
    for video in manifest.skipped:
        findings.add("skipped", f"{split}/{video['id']}", video["reason"])
    for video in videos:
        if not video["actions"]:
            findings.add("no_labels", f"{split}/{video['id']}")
    places = options.clips if options.layout == "test" else options.rounds
    recounted = class_counts(manifest.labels, [video["actions"] for video in videos])
    expected: tuple[tuple[str, Any, Any], ...] = (
        ("videos", manifest.counts["videos"], len(videos)),
        ("records", manifest.counts["records"], sum(shard.records for shard in manifest.shards)),
        ("records, by videos", manifest.counts["records"], len(videos) * places),
        ("bytes", manifest.counts["bytes"], sum(shard.bytes for shard in manifest.shards)),
        ("distinct numbers of videos", len(videos), len({video["index"] for video in videos})),
        *((f"videos by {head}", manifest.class_counts.get(head), recounted[head]) for head in recounted),
    )
    for what, listed, found in expected:
        if listed != found:
            findings.add("wrong_counts", split, f"{what}: {listed} listed, {found} found")
    return count_classes(findings, split, manifest.labels.heads, recounted)


def _check_splits(findings: Findings, manifests: Mapping[str, Manifest]) -> None:
    """What splits say of each other."""

    def ids_by(key: str) -> dict[str, tuple[bool, dict[str, list[str]]]]:
        found: dict[str, tuple[bool, dict[str, list[str]]]] = {}
        for name, manifest in manifests.items():
            ids: dict[str, list[str]] = {}
            for video in manifest.videos:
                if key in video:
                    ids.setdefault(video[key], []).append(video["id"])
            found[name] = (manifest.options.layout == "train", ids)
        return found

    add_shared(findings, "shared_video", ids_by("id"))
    add_shared(findings, "shared_subject", ids_by("subject"))
    first = next(iter(manifests), "")
    for name, manifest in manifests.items():
        clip, reference = manifest.options.clip, manifests[first].options.clip
        if clip != reference:
            findings.add("other_clip", name, f"{clip}, but {first} {reference}")
        if manifest.labels != manifests[first].labels:
            findings.add("other_labels", name, f"{manifest.labels.sizes}, {first} {manifests[first].labels.sizes}")


def _check_shards(
    findings: Findings,
    folder: RecordFolder,
    manifests: Mapping[str, Manifest],
    workers: int | None,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Compares every shard with its manifest."""
    shards = [shard for manifest in manifests.values() for shard in manifest.shards]
    wrong: dict[str, tuple[str, str]] = {}
    with ThreadPoolExecutor(workers or os.cpu_count(), thread_name_prefix="doctor") as pool:
        futures = {pool.submit(_trouble, folder, shard): shard for shard in shards}
        try:
            for done, future in enumerate(as_completed(futures), 1):
                if (trouble := future.result()) is not None:
                    wrong[futures[future].name] = trouble
                if progress is not None:
                    progress(done, len(shards))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    for shard in shards:
        if shard.name in wrong:
            code, detail = wrong[shard.name]
            findings.add(code, shard.name, detail)


def _trouble(folder: RecordFolder, shard: Shard) -> tuple[str, str] | None:
    """Code and detail of what is wrong with a shard, None if it is as it was written."""
    if folder.size(shard.name) is None:
        return "missing_shard", ""
    try:
        check_shape(folder, shard)
        found = shard_sha256(folder, shard)
    except (DataError, OSError) as error:
        return "damaged_shard", str(error)
    if found != shard.sha256:
        return "damaged_shard", f"sha256 {found[:12]}..., the manifest lists {shard.sha256[:12]}..."
    return None
