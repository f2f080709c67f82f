import hashlib
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from conftest import TINY_VIDEOS, frame_numbers

from kerasfast.data import sources
from kerasfast.data.annotations import find_videos, read_charades_csv
from kerasfast.data.clips import ClipSpec, test_starts
from kerasfast.data.errors import DataError
from kerasfast.data.labels import read_charades_classes
from kerasfast.data.records import parts, plan
from kerasfast.data.records.build import build_records
from kerasfast.data.records.layout import StoredClip
from kerasfast.data.records.read import check_records, read_manifest
from kerasfast.data.records.state import BuiltDifferentlyError


@pytest.fixture(scope="module")
def tiny(charades_folder):
    """(annotations, videos, labels) of the training split."""
    labels = read_charades_classes(charades_folder)
    annotations = read_charades_csv(charades_folder / "Tiny_v1_train.csv", labels)
    return annotations, find_videos(annotations.rows, charades_folder / "videos"), labels


@pytest.fixture
def copy(records_folder, tmp_path):
    """A copy of the records that may be damaged."""
    return Path(shutil.copytree(records_folder, tmp_path / "copy"))


def build(tiny, out, clip, **options):
    return build_records(*tiny, out, clip=clip, **{"short_side": 48, "part_videos": 2, "rounds": 4} | options)


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def examples(folder, manifest, number=0):
    """Every SequenceExample of a round, with the numbers of its frames."""
    for path in manifest.round_files(folder)[number]:
        for record in tf.data.TFRecordDataset(path):
            example = tf.train.SequenceExample.FromString(record.numpy())
            jpegs = [f.bytes_list.value[0] for f in example.feature_lists.feature_list["image/encoded"].feature]
            yield example.context.feature, np.stack([tf.io.decode_jpeg(jpeg).numpy() for jpeg in jpegs])


def test_manifest_tells_what_was_stored(records_folder, tiny, tiny_clip):
    manifest = read_manifest(records_folder, "train")
    assert manifest.options.clip == tiny_clip
    assert manifest.labels == tiny[2]
    assert [video["id"] for video in manifest.videos] == ["a1", "b2", "c3", "d4", "f6"]
    assert [video["frames"] for video in manifest.videos] == [48, 72, 36, 36, 12]
    assert manifest.videos[4]["actions"] == [0, 4]  # the reversed segment labels the video all the same
    assert manifest.class_counts["action"] == [2, 1, 1, 2, 2]
    assert manifest.class_counts["verb"] == [3, 1, 4]
    assert manifest.counts["records"] == 5 * 4
    assert manifest.counts["without_actions"] == 1
    assert manifest.skipped == ()
    names = [f"train-round{r:02d}-{part:05d}-of-00003.tfrecord" for r in range(4) for part in range(3)]
    assert [shard.name for shard in manifest.shards] == names
    for shard in manifest.shards:
        content = (records_folder / shard.name).read_bytes()
        assert (shard.bytes, shard.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert manifest.counts["bytes"] == sum(shard.bytes for shard in manifest.shards)
    assert check_records(records_folder) == [read_manifest(records_folder, "test"), manifest]


def test_rounds_follow_the_mean_length(tiny, tmp_path, tiny_clip, monkeypatch):
    # Segments of two spans have 16 starts; 48, 72, 36, 36 and 12 frames have 34, 58, 22, 22 and 1: 3 + 4 + 2 + 2 + 1.
    assert build(tiny, tmp_path / "mean", tiny_clip, rounds=None).options.rounds == 3
    monkeypatch.setattr(plan, "_MOST_ROUNDS", 2)
    assert build(tiny, tmp_path / "most", tiny_clip, rounds=None).options.rounds == 2


def test_records_hold_the_frames_that_they_name(records_folder, tiny):
    manifest = read_manifest(records_folder, "train")
    rows = tiny[0].rows
    stored_frames = 0
    for number in range(4):
        seen = []
        for context, frames in examples(records_folder, manifest, number):
            index = context["video/index"].int64_list.value[0]
            name = context["video/id"].bytes_list.value[0].decode()
            assert rows[index].id == name
            seen.append(name)
            start = context["clip/start_frame"].int64_list.value[0]
            length = context["video/length_frames"].int64_list.value[0]
            wanted = np.unique(np.minimum(start + 2 * np.arange(len(frames)), length - 1))
            if TINY_VIDEOS[name][3] == 24:
                assert frame_numbers(frames).tolist() == wanted.tolist()
            assert context["clip/index"].int64_list.value[0] == number
            assert context["clip/frames"].int64_list.value[0] == len(frames)
            assert context["clip/stride"].int64_list.value[0] == 2
            assert context["clip/fps"].float_list.value[0] == 24
            size = [context[f"image/{side}"].int64_list.value[0] for side in ("height", "width")]
            assert list(frames.shape[1:3]) == size
            assert min(size) == 48
            # The labels of these frames, with their times.
            first, last = start / 24, wanted[-1] / 24
            expected = [s for s in rows[index].segments if s.start_seconds <= last and s.end_seconds >= first]
            assert list(context["clip/label/index"].int64_list.value) == [s.action for s in expected]
            for key, seconds in (("start", "start_seconds"), ("end", "end_seconds")):
                found = list(context[f"clip/label/{key}"].float_list.value)
                assert found == pytest.approx([getattr(s, seconds) for s in expected])
            stored_frames += len(frames)
        assert sorted(seen) == ["a1", "b2", "c3", "d4", "f6"]
    assert manifest.counts["stored_frames"] == stored_frames


def test_test_records_hold_one_clip_each_in_the_order_of_the_rows(records_folder, tiny_clip):
    manifest = read_manifest(records_folder, "test")
    assert manifest.options.clips == 10
    found = list(examples(records_folder, manifest))
    assert [context["video/id"].bytes_list.value[0] for context, _ in found] == [b"e5"] * 10 + [b"g7"] * 10 + [
        b"h8"
    ] * 10
    assert [context["clip/index"].int64_list.value[0] for context, _ in found] == list(range(10)) * 3
    for context, frames in found[10:]:
        length = context["video/length_frames"].int64_list.value[0]
        start = test_starts(length, tiny_clip, 10)[context["clip/index"].int64_list.value[0]]
        assert frame_numbers(frames).tolist() == list(range(start, start + 15, 2))


def test_other_rates_are_resampled(records_folder):
    for context, frames in examples(records_folder, read_manifest(records_folder, "test")):
        if context["video/id"].bytes_list.value[0] == b"e5":  # 12 frames a second, each shown twice at 24
            start = context["clip/start_frame"].int64_list.value[0]
            # Output j lies at source j / 2; ties go to the earlier frame.
            assert frame_numbers(frames).tolist() == [math.ceil(j / 2 - 0.5) for j in range(start, start + 15, 2)]


def test_each_video_is_decoded_once(tiny, tmp_path, tiny_clip, monkeypatch):
    opened = []

    class Spy(sources.OpenVideo):
        def __init__(self, path, threads=0):
            opened.append(path.stem)
            super().__init__(path, threads)

    monkeypatch.setattr(sources, "OpenVideo", Spy)
    build(tiny, tmp_path, tiny_clip, split="test")
    assert sorted(opened) == ["a1", "b2", "c3", "d4", "f6"]


def test_a_wrong_length_in_the_header_is_found(tiny, tmp_path, tiny_clip, monkeypatch):
    build(tiny, tmp_path / "right", tiny_clip)
    announced = sources.OpenVideo.announced_length
    monkeypatch.setattr(sources.OpenVideo, "announced_length", lambda self, fps: announced(self, fps) + 1)
    manifest = build(tiny, tmp_path / "wrong", tiny_clip, rounds=4)
    assert [video["frames"] for video in manifest.videos] == [48, 72, 36, 36, 12]
    right = contents(tmp_path / "right")
    assert {name: content for name, content in contents(tmp_path / "wrong").items() if "tfrecord" in name} == {
        name: content for name, content in right.items() if "tfrecord" in name
    }


@pytest.mark.parametrize("workers", [1, 3])
def test_the_same_build_gives_the_same_bytes(tiny, records_folder, tmp_path, tiny_clip, workers):
    build(tiny, tmp_path, tiny_clip, quality=95, workers=workers)
    expected = {name: content for name, content in contents(records_folder).items() if "test" not in name}
    assert contents(tmp_path) == expected


def test_smaller_videos_keep_their_size(tiny, tmp_path, tiny_clip):
    manifest = build(tiny, tmp_path, tiny_clip, short_side=64, rounds=1)
    sizes = {c["video/id"].bytes_list.value[0].decode(): f.shape[1:3] for c, f in examples(tmp_path, manifest)}
    assert sizes == {"a1": (48, 64), "b2": (64, 85), "c3": (60, 80), "d4": (85, 64), "f6": (48, 64)}


def test_progress_counts_videos(tiny, tmp_path, tiny_clip):
    calls = []
    build(tiny, tmp_path, tiny_clip, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(done, 5) for done in range(1, 6)]
    calls.clear()
    build(tiny, tmp_path, tiny_clip, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(5, 5)]


def bad_copy(tiny, tmp_path, name="c3"):
    """The videos with one of them cut short."""
    annotations, videos, labels = tiny
    path = tmp_path / f"{name}.mp4"
    path.write_bytes(videos[name].read_bytes()[:900])
    return annotations, videos | {name: path}, labels


def test_a_bad_video_ends_the_build(tiny, tmp_path, tiny_clip):
    with pytest.raises(DataError, match=r"c3\.mp4: cannot be opened as a video"):
        build(bad_copy(tiny, tmp_path), tmp_path / "out", tiny_clip, rounds=1)
    assert not list((tmp_path / "out").glob("*.partial"))
    with pytest.raises(DataError, match=r"manifest-train\.json: no such file"):
        read_manifest(tmp_path / "out", "train")


def test_skip_bad_lists_what_it_left_out(tiny, tmp_path, tiny_clip):
    bad = bad_copy(tiny, tmp_path)
    out = tmp_path / "out"
    with pytest.raises(DataError, match="c3"):
        build(bad, out, tiny_clip, rounds=2)
    manifest = build(bad, out, tiny_clip, rounds=2, skip_bad=True)
    assert [video["id"] for video in manifest.videos] == ["a1", "b2", "d4", "f6"]
    assert [video["index"] for video in manifest.videos] == [0, 1, 3, 4]
    (skipped,) = manifest.skipped
    assert (skipped["index"], skipped["id"]) == (2, "c3")
    assert "c3.mp4: cannot be opened as a video" in skipped["reason"]
    assert check_records(out) == [manifest]
    for number in range(manifest.options.rounds):
        assert len(list(examples(out, manifest, number))) == 4
    with pytest.raises(DataError, match="built without 1 unreadable videos"):
        build(bad, out, tiny_clip, rounds=2)


def test_a_video_that_breaks_off_leaves_no_record(tiny, tmp_path, tiny_clip):
    annotations, videos, labels = tiny
    content = bytearray(videos["b2"].read_bytes())
    end = content.index(b"moov")
    for position in range(end * 3 // 4, end * 3 // 4 + 30):
        content[position] ^= 0x5A
    (tmp_path / "b2.mp4").write_bytes(content)
    bad = annotations, videos | {"b2": tmp_path / "b2.mp4"}, labels
    manifest = build(bad, tmp_path / "out", tiny_clip, skip_bad=True)
    assert [video["id"] for video in manifest.skipped] == ["b2"]
    for number in range(manifest.options.rounds):
        found = [c["video/id"].bytes_list.value[0] for c, _ in examples(tmp_path / "out", manifest, number)]
        assert sorted(found) == [b"a1", b"c3", b"d4", b"f6"]


def test_no_readable_video_at_all(tiny, tmp_path, tiny_clip):
    annotations, videos, labels = tiny
    (tmp_path / "x.mp4").touch()
    with pytest.raises(DataError, match=r"none of the 5 videos could be read, the first: .*x\.mp4: is empty"):
        build(
            (annotations, dict.fromkeys(videos, tmp_path / "x.mp4"), labels), tmp_path / "o", tiny_clip, skip_bad=True
        )


def test_other_options_are_refused(tiny, tmp_path, tiny_clip):
    build(tiny, tmp_path, tiny_clip)
    with pytest.raises(DataError, match=r"built differently here \(quality 90 there, 80 now\)"):
        build(tiny, tmp_path, tiny_clip, quality=80)
    with pytest.raises(DataError, match=r"clip ClipSpec.*there, ClipSpec.*now"):
        build(tiny, tmp_path, ClipSpec(6, 2, 24))
    annotations, videos, labels = tiny
    with pytest.raises(DataError, match="other videos, annotations or labels"):
        build((annotations.rows[:4], videos, labels), tmp_path, tiny_clip, rounds=4)


def test_other_options_are_refused_by_an_unfinished_build(tiny, tmp_path, tiny_clip):
    with pytest.raises(DataError, match="c3"):
        build(bad_copy(tiny, tmp_path), tmp_path / "out", tiny_clip, rounds=1)
    with pytest.raises(DataError, match=r"\.build-train: .*\(quality 90 there, 80 now\)"):
        build(bad_copy(tiny, tmp_path), tmp_path / "out", tiny_clip, rounds=1, quality=80)


@pytest.mark.parametrize(
    "options",
    [
        {"split": "a/b"},
        {"layout": "round"},
        {"short_side": 8},
        {"quality": 101},
        {"stride": 3},
        {"segment_spans": 0.5},
        {"segment_spans": math.inf},
        {"rounds": 0},
        {"clips": 0},
        {"part_videos": 0},
        {"workers": 0},
        {"seed": -1},
    ],
)
def test_options_out_of_range_are_named(tiny, tmp_path, tiny_clip, options):
    ((name, value),) = options.items()
    with pytest.raises(ValueError, match=rf"{name} must be .* Received: {name}={value!r}"):
        build(tiny, tmp_path / "out", tiny_clip, **options)
    assert not (tmp_path / "out").exists()


def test_rows_without_a_file_are_named(tiny, tmp_path, tiny_clip):
    annotations, videos, labels = tiny
    with pytest.raises(ValueError, match="Received none for 1 rows, the first is 'a1'"):
        build((annotations, {k: v for k, v in videos.items() if k != "a1"}, labels), tmp_path, tiny_clip)
    with pytest.raises(ValueError, match="at least one video"):
        build(((), videos, labels), tmp_path, tiny_clip)


BUILD = """
import sys
from kerasfast.data.records import build as records
from kerasfast.data.annotations import find_videos, read_charades_csv
from kerasfast.data.clips import ClipSpec
from kerasfast.data.labels import read_charades_classes

source, out, pause = sys.argv[1:]
labels = read_charades_classes(source)
annotations = read_charades_csv(source + "/Tiny_v1_train.csv", labels)
videos = find_videos(annotations.rows, source + "/videos")


def progress(done, total):
    print(done, flush=True)
    if done == int(pause):
        sys.stdin.read()


records.build_records(
    annotations, videos, labels, out, clip=ClipSpec(8, 2, 24.0), short_side=48, part_videos=2, rounds=4, workers=1,
    quality=95, progress=progress,
)
"""


@pytest.mark.parametrize("videos_done", [1, 4])
def test_a_killed_build_goes_on(charades_folder, records_folder, tiny, tiny_clip, tmp_path, videos_done):
    out = tmp_path / "out"
    command = [sys.executable, "-c", BUILD, str(charades_folder), str(out), str(videos_done)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        for line in process.stdout:
            if int(line) == videos_done:
                break
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    # Parts of two videos, of which the last is not finished: what bears its final name is whole, the rest is
    # *.partial, and there is no manifest.
    expected = contents(records_folder)
    whole = {name: content for name, content in contents(out).items() if not name.endswith(".partial")}
    assert len(whole) == (videos_done - 1) // 2 * 4
    assert whole.items() <= expected.items()
    assert len(list(out.glob("*.partial"))) == 4
    with pytest.raises(DataError, match="The build of split 'train' has not ended"):
        read_manifest(out, "train")
    times = {name: (out / name).stat().st_mtime_ns for name in whole}
    build(tiny, out, tiny_clip, quality=95)
    assert contents(out) == {name: content for name, content in expected.items() if "test" not in name}
    assert {path.name for path in out.iterdir()} == set(contents(out))
    assert times == {name: (out / name).stat().st_mtime_ns for name in whole}  # not written again


def test_missing_and_foreign_folders(tmp_path, records_folder):
    with pytest.raises(DataError, match="Give the folder that"):
        read_manifest(tmp_path / "none", "train")
    with pytest.raises(DataError, match="holds no records"):
        read_manifest(tmp_path, "train")
    with pytest.raises(DataError, match=r"holds no manifest"):
        check_records(tmp_path)
    with pytest.raises(DataError, match="holds the splits test, train; give one of them"):
        read_manifest(records_folder, "novel")


def test_a_damaged_manifest(copy):
    path = copy / "manifest-train.json"
    text = path.read_text()
    for broken in (text[:300], "[]", '{"format": "kerasfast-records-3"}', text.replace('"quality"', '"qualty"')):
        path.write_text(broken)
        with pytest.raises(DataError, match=r"manifest-train\.json: is no manifest of records"):
            read_manifest(copy, "train")
    path.write_text(json.dumps(json.loads(text) | {"format": "kerasfast-records-9"}))
    with pytest.raises(DataError, match="has the format 'kerasfast-records-9', this version reads"):
        read_manifest(copy, "train")


def test_a_build_over_another_format_says_what_to_delete(copy, tiny, tiny_clip):
    path = copy / "manifest-train.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": "kerasfast-records-2"}))
    with pytest.raises(
        BuiltDifferentlyError, match=r"manifest-train.json: has the format.*delete it and the files train-\*"
    ):
        build(tiny, copy, tiny_clip, quality=95)


def test_a_shard_that_is_not_as_it_was(copy):
    path = copy / "train-round01-00000-of-00003.tfrecord"
    content = path.read_bytes()

    def refused(new, text):
        path.write_bytes(new)
        with pytest.raises(DataError, match=rf"{path.name}: {text}"):
            read_manifest(copy, "train")

    refused(content[:-100], "truncated: .* bytes, the manifest lists")
    refused(b"", "truncated: 0 bytes")
    refused(content + b"more", "a foreign file: ")
    refused(b"\0" * len(content), r"is not the TFRecord file of the manifest, whose last record begins at")
    refused(bytes(range(256)) * (len(content) // 256) + b"x" * (len(content) % 256), "is not the TFRecord file")
    path.unlink()
    with pytest.raises(DataError, match="no such file, but the manifest lists it"):
        read_manifest(copy, "train")
    # The same size and shape, another content: only the checksum tells.
    changed = bytearray(content)
    changed[len(content) // 2] ^= 1
    path.write_bytes(changed)
    read_manifest(copy, "train")
    with pytest.raises(DataError, match=r"content differs from its manifest \(sha256\)"):
        check_records(copy, "train")
    assert check_records(copy, "test")


def test_model_garden_reads_the_records(records_folder):
    # The features that the decoder of tf.models' video classification asks for.
    manifest = read_manifest(records_folder, "test")
    record = next(iter(tf.data.TFRecordDataset(manifest.round_files(records_folder)[0])))
    context, lists = tf.io.parse_single_sequence_example(
        record,
        context_features={"clip/label/index": tf.io.VarLenFeature(tf.int64)},
        sequence_features={"image/encoded": tf.io.FixedLenSequenceFeature((), tf.string)},
    )
    assert tf.sparse.to_dense(context["clip/label/index"]).dtype == tf.int64
    assert tf.io.decode_jpeg(lists["image/encoded"][0]).shape == (48, 48, 3)


def test_collect_holds_one_stretch_at_most():
    stretches = [StoredClip(tuple(range(start, start + 20, 2)), 0, (0,)) for start in (0, 10, 12, 40)]
    held = []
    frames = ((index, b"%d" % index) for index in range(100))
    for stored, jpegs in parts.collect(stretches, frames):
        held.append(stored.indices[0])
        assert jpegs == [b"%d" % index for index in stored.indices]
    assert held == [0, 10, 12, 40]
    # A stretch that the video ends in does not come.
    short = ((index, b"") for index in range(25))
    assert [stored.indices[0] for stored, _ in parts.collect(stretches, short)] == [0]


LONG_VIDEO = """
import sys
from kerasfast.data.annotations import Segment, VideoRow
from kerasfast.data.clips import ClipSpec
from kerasfast.data.labels import LabelSpace
from kerasfast.data.records.build import build_records

video, out, split = sys.argv[1:]
labels = LabelSpace.charades({"verb": ("v",), "object": ("o",), "action": ("c",)}, (0,), (0,))
rows = [VideoRow("long", "s", 600.0, (Segment(0, 1.0, 300.0),), 2)]
manifest = build_records(rows, {"long": video}, labels, out, clip=ClipSpec(64, 2, 24.0), split=split, short_side=256)
# Not ru_maxrss: that of a child begins with what its parent, here all of pytest, held when it was started.
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(manifest.counts["records"], peak // 1024)
"""


@pytest.mark.slow
def test_a_long_video_fits_in_memory(tmp_path):
    from kerasfast.data.video_writer import write_video

    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8).repeat(4, 0).repeat(4, 1)
    frames = (np.roll(noise, 3 * index, axis=1) for index in range(600 * 24))
    write_video(tmp_path / "long.mp4", frames, 24, crf=28, preset="ultrafast")
    for split in ("train", "test"):
        began = time.monotonic()
        command = [sys.executable, "-c", LONG_VIDEO, str(tmp_path / "long.mp4"), str(tmp_path / "out"), split]
        result = subprocess.run(command, capture_output=True, text=True, check=True)
        records, megabytes = map(int, result.stdout.split())
        print(f"{split}: {records} records, {megabytes} MiB at most, {time.monotonic() - began:.0f} s")
        assert megabytes < 1024
