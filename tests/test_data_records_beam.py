"""Records built on Beam's local runner: into a folder, and into stores that Beam alone reaches."""

import os
import signal
import subprocess
import sys

import pytest
from apache_beam.runners.portability.prism_runner import PrismRunner
from beam_stores import Pail
from cli_case import refuses, run

from kerasfast.data.annotations import VideoRow, find_videos, read_charades_csv
from kerasfast.data.clips import ClipSpec
from kerasfast.data.errors import DataError
from kerasfast.data.labels import LabelSpace, read_charades_classes
from kerasfast.data.listing import read_list
from kerasfast.data.records import beam as on_beam
from kerasfast.data.records.beam_store import StoreFolder
from kerasfast.data.records.build import build_records
from kerasfast.data.records.cluster import build_records_on_beam
from kerasfast.data.records.parts import PartBuilder
from kerasfast.data.records.read import check_records, read_manifest

LOCAL = ["--runner=DirectRunner"]
OPTIONS = {"clip": ClipSpec(8, 2, 24.0), "short_side": 48, "part_videos": 2, "rounds": 4, "quality": 95}


@pytest.fixture(autouse=True)
def no_prism(monkeypatch):
    """Beam's local runner would download a program, if it could, and falls back on the one that it brings."""

    def refuse(*_):
        raise RuntimeError("not here")

    monkeypatch.setattr(PrismRunner, "run_pipeline", refuse)


@pytest.fixture
def stores(tmp_path, monkeypatch):
    """The folder that is behind `pail://` and `dfs://`."""
    monkeypatch.setattr(Pail, "root", tmp_path / "stores", raising=False)
    Pail.root.mkdir()
    return Pail.root


@pytest.fixture(scope="module")
def tiny(charades_folder):
    """By split, (annotations, videos, labels)."""
    labels = read_charades_classes(charades_folder)
    found = {split: read_charades_csv(charades_folder / f"Tiny_v1_{split}.csv", labels) for split in ("train", "test")}
    return {
        split: (listed, find_videos(listed.rows, charades_folder / "videos"), labels) for split, listed in found.items()
    }


def contents(folder, split="train"):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if split in path.name}


def upload(videos, folder):
    folder.mkdir(parents=True)
    for path in videos.values():
        (folder / path.name).write_bytes(path.read_bytes())


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_same_bytes_as_without(tiny, records_folder, tmp_path, split):
    calls = []
    out = tmp_path / "new" / "out [1]"
    manifest = build_records_on_beam(
        *tiny[split],
        out,
        pipeline_options=[*LOCAL, "--direct_num_workers=2", "--direct_running_mode=multi_threading"],
        split=split,
        progress=lambda *done: calls.append(done),
        **OPTIONS,
    )
    assert contents(out, "") == contents(records_folder, split)
    assert manifest == read_manifest(records_folder, split)
    videos = len(manifest.videos)
    assert calls == [(videos, videos)]
    # A second call finds them.
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    assert build_records_on_beam(*tiny[split], out, split=split, **OPTIONS) == manifest
    assert before == {path: path.stat().st_mtime_ns for path in out.iterdir()}


@pytest.mark.parametrize("scheme", ["pail", "dfs"])
def test_from_a_store_into_a_store(tiny, records_folder, stores, scheme):
    annotations, videos, labels = tiny["train"]
    upload(videos, stores / "in" / "[videos]")
    addresses = {name: f"{scheme}://in/[videos]/{path.name}" for name, path in videos.items()}
    out = f"{scheme}://out/records"
    for _ in range(2):
        manifest = build_records_on_beam(annotations, addresses, labels, out, pipeline_options=LOCAL, **OPTIONS)
        assert manifest == read_manifest(records_folder, "train")
        assert contents(stores / "out" / "records", "") == contents(records_folder)
    with pytest.raises(DataError, match=r"manifest-train.json: split 'train' was built differently .*quality 95 there"):
        build_records_on_beam(annotations, addresses, labels, out, pipeline_options=LOCAL, **OPTIONS | {"quality": 9})
    (shard,) = (stores / "out" / "records").glob("train-round01-00001*")
    shard.write_bytes(b"")
    with pytest.raises(DataError, match=rf"{out}/{shard.name}: truncated: 0 bytes"):
        build_records_on_beam(annotations, addresses, labels, out, pipeline_options=LOCAL, **OPTIONS)


KILLED = """
import shutil
import sys
from kerasfast.data.annotations import find_videos, read_charades_csv
from kerasfast.data.clips import ClipSpec
from kerasfast.data.labels import read_charades_classes
from kerasfast.data.records.cluster import build_records_on_beam
from kerasfast.data.records.output import OutputFolder

source, out = sys.argv[1:]
labels = read_charades_classes(source)
annotations = read_charades_csv(source + "/Tiny_v1_train.csv", labels)
videos = find_videos(annotations.rows, source + "/videos")
whole, taken = OutputFolder.take, []


def take(self, file, name):
    if len(taken) == 5:
        shutil.move(file, self.path(self.partial(name)))
        print("half", flush=True)
        sys.stdin.read()
    taken.append(name)
    whole(self, file, name)


OutputFolder.take = take
build_records_on_beam(
    annotations, videos, labels, out, clip=ClipSpec(8, 2, 24.0), short_side=48, part_videos=2, rounds=4, quality=95,
    pipeline_options=["--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner"],
)
"""


@pytest.mark.parametrize("build", [build_records_on_beam, build_records])
def test_a_killed_build_goes_on(tiny, charades_folder, records_folder, tmp_path, build):
    out = tmp_path / "out"
    (tmp_path / "work").mkdir()
    command = [sys.executable, "-c", KILLED, str(charades_folder), str(out)]
    environment = os.environ | {"TMPDIR": str(tmp_path / "work")}
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout.readline() == "half\n"
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    # Of a part of four shards that is noted and one of which a shard is whole and a shard is not.
    assert len(list(out.glob("*.partial"))) == 1
    whole = {path: path.stat().st_mtime_ns for path in out.glob("*.tfrecord")}
    assert len(whole) == 5
    with pytest.raises(DataError, match="The build of split 'train' has not ended"):
        read_manifest(out, "train")
    noted = {path.name[len("part-") : -len(".json")] for path in (out / ".build-train").glob("part-*.json")}
    assert len(noted) == 1
    calls = []
    build(*tiny["train"], out, progress=lambda done, _: calls.append(done), **OPTIONS)
    assert calls[0] in (1, 2)  # the videos of the finished part, of which one has a single video
    assert contents(out, "") == contents(records_folder)
    kept = {path for path in whole if path.stat().st_mtime_ns == whole[path]}
    assert kept == {path for path in whole if path.name.partition("-of-")[0][-5:] in noted}


def test_a_build_that_threads_began_is_finished(tiny, records_folder, tmp_path, monkeypatch):
    def stop(done, _):
        if done >= 3:  # the worker may begin the next part before the build hears of the error
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_records(*tiny["train"], tmp_path, workers=1, progress=stop, **OPTIONS)
    assert len(list(tmp_path.glob("*.tfrecord"))) == 4
    (tmp_path / "train-round00-00001-of-00003.tfrecord.partial").touch()  # as if it had been killed
    built = []
    build = PartBuilder.build
    monkeypatch.setattr(PartBuilder, "build", lambda self, part, *rest: built.append(part) or build(self, part, *rest))
    build_records_on_beam(*tiny["train"], tmp_path, pipeline_options=LOCAL, **OPTIONS)
    assert sorted(built) == [1, 2]
    assert contents(tmp_path, "") == contents(records_folder)


@pytest.mark.parametrize("root", ["folder", "pail://records"])
def test_a_machine_that_fails(tiny, records_folder, tmp_path, stores, monkeypatch, root):
    build = PartBuilder.build

    def fail(self, part, *rest):
        summary = build(self, part, *rest)
        if part == 1:
            raise OSError("No space left on device")
        return summary

    out = tmp_path / root if root == "folder" else root
    monkeypatch.setattr(PartBuilder, "build", fail)
    message = r": the build has ended \(the Beam pipeline failed, OSError: No space left on device\); .*goes on"
    with pytest.raises(OSError, match=message):
        build_records_on_beam(*tiny["train"], out, pipeline_options=LOCAL, **OPTIONS)
    monkeypatch.setattr(PartBuilder, "build", build)
    build_records_on_beam(*tiny["train"], out, pipeline_options=LOCAL, **OPTIONS)
    assert contents(out if root == "folder" else stores / "records", "") == contents(records_folder)


def test_a_store_that_fails_half_way_shows_nothing(stores):
    def fail(_):
        raise OSError("gone")

    for scheme in ("pail", "dfs"):
        folder = StoreFolder(f"{scheme}://{scheme}")
        folder.make()
        folder.write("a.json", "1")
        folder.write("a.json", "2")
        with pytest.raises(OSError, match="gone"):
            folder._put("a.json", fail)
        assert folder.names("*") == ["a.json"]
        assert folder.read("a.json") == "2"
        assert folder.exists() and not folder.inner("b").exists()
        folder.delete()
        assert not folder.exists()


def test_workers_with_other_versions_are_refused(tiny, tmp_path, monkeypatch):
    versions = iter([{"av": "14"}, {"av": "15"}])
    monkeypatch.setattr(on_beam, "package_versions", lambda: next(versions))
    with pytest.raises(OSError, match=r"a worker has \{'av': '15'\}, the build was begun with \{'av': '14'\}"):
        build_records_on_beam(*tiny["test"], tmp_path, split="test", pipeline_options=LOCAL, **OPTIONS)


def bad_copies(videos, folder, *names):
    """The videos with some of them cut short."""
    folder.mkdir()
    bad = {name: folder / f"{name}.mp4" for name in names}
    for name, path in bad.items():
        path.write_bytes(videos[name].read_bytes()[:900])
    return videos | bad


def test_bad_videos_are_named(tiny, tmp_path):
    annotations, videos, labels = tiny["train"]
    bad = bad_copies(videos, tmp_path / "bad", "c3", "f6")
    out = tmp_path / "out"
    with pytest.raises(DataError) as raised:
        build_records_on_beam(annotations, bad, labels, out, pipeline_options=LOCAL, **OPTIONS | {"part_videos": 1})
    for name in ("c3", "f6"):
        assert f"{bad[name]}: cannot be opened as a video" in str(raised.value)
    # The others are there, and nothing that is not whole.
    shards = [path for path in out.iterdir() if path.name != ".build-train"]
    assert len(shards) == 3 * 4 and all(path.suffix == ".tfrecord" for path in shards)
    with pytest.raises(DataError, match="has not ended"):
        read_manifest(out, "train")


def test_skip_bad_lists_what_was_left_out(tiny, tmp_path, monkeypatch):
    annotations, videos, labels = tiny["train"]
    monkeypatch.chdir(tmp_path)
    bad_copies(videos, tmp_path / "bad", "b2", "c3")
    given = videos | {"b2": "bad/b2.mp4", "c3": tmp_path / "none.mp4"}
    build_records(annotations, given, labels, "without", skip_bad=True, **OPTIONS)
    manifest = build_records_on_beam(
        annotations, given, labels, "out", skip_bad=True, pipeline_options=LOCAL, **OPTIONS
    )
    assert [video["id"] for video in manifest.skipped] == ["b2", "c3"]
    assert manifest.skipped[0]["reason"].startswith("bad/b2.mp4: cannot be opened as a video")
    assert manifest.skipped[1]["reason"].startswith(f"{tmp_path}/none.mp4: no such file")
    assert contents(tmp_path / "out", "") == contents(tmp_path / "without", "")
    assert check_records("out") == [manifest]


def test_bad_videos_in_a_store(tiny, tmp_path, stores):
    annotations, videos, labels = tiny["train"]
    upload(bad_copies(videos, tmp_path / "bad", "d4"), stores / "in")
    (stores / "in" / "a1.mp4").unlink()
    addresses = {name: f"pail://in/{path.name}" for name, path in videos.items()}
    with pytest.raises(DataError, match=r"pail://in/a1\.mp4: no such file"):
        build_records_on_beam(annotations, addresses, labels, tmp_path / "out", pipeline_options=LOCAL, **OPTIONS)
    assert not (tmp_path / "out").exists()
    manifest = build_records_on_beam(
        annotations, addresses, labels, tmp_path / "out", skip_bad=True, pipeline_options=LOCAL, **OPTIONS
    )
    assert [video["id"] for video in manifest.skipped] == ["a1", "d4"]
    reasons = [video["reason"] for video in manifest.skipped]
    assert reasons[0].startswith("pail://in/a1.mp4: no such file")
    assert reasons[1].startswith("pail://in/d4.mp4: cannot be opened as a video")
    assert check_records(tmp_path / "out") == [manifest]


def test_rounds_of_a_store_follow_the_listed_lengths(tiny, tmp_path, stores):
    annotations, videos, labels = tiny["train"]
    upload(videos, stores / "in")
    addresses = {name: f"pail://in/{path.name}" for name, path in videos.items()}
    options = OPTIONS | {"rounds": None}
    out = tmp_path / "out"
    # As by the headers (see the test of build): 3 + 4 + 2 + 2 + 1 segments.
    manifest = build_records_on_beam(annotations, addresses, labels, out, pipeline_options=LOCAL, **options)
    assert manifest.options.rounds == 3
    rows = [VideoRow(row.id, row.subject, None, row.segments, row.line) for row in annotations.rows]
    with pytest.raises(ValueError, match=r"rounds must be given where .* no length of pail://in/a1\.mp4"):
        build_records_on_beam(rows, addresses, labels, tmp_path / "other", pipeline_options=LOCAL, **options)


def test_addresses_need_beam_and_no_wildcards(tiny, tmp_path, stores):
    annotations, videos, labels = tiny["train"]
    with pytest.raises(DataError, match=r"gs://b: records are built in a folder of this machine, but for .*--beam"):
        build_records(annotations, videos, labels, "gs://b", **OPTIONS)
    addresses = dict.fromkeys(videos, "gs://b/x.mp4")
    with pytest.raises(ValueError, match=r"videos must be files of this machine. Received: 'gs://b/x.mp4'.*--beam"):
        build_records(annotations, addresses, labels, tmp_path, **OPTIONS)
    for out, message in (("pail://b/*", r"without '\*'"), ("bucket://b", "Unable to get filesystem")):
        with pytest.raises(ValueError, match=message):
            build_records_on_beam(annotations, videos, labels, out, **OPTIONS)
    with pytest.raises(ValueError, match=r"pipeline_options must be a list of Beam's flags.* 'DirectRunner'"):
        build_records_on_beam(annotations, videos, labels, tmp_path, pipeline_options="DirectRunner", **OPTIONS)


@pytest.fixture
def no_beam(monkeypatch):
    """An environment without apache-beam."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "apache_beam"]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("beam", "store"):
        monkeypatch.delitem(sys.modules, f"kerasfast.data.records.{name}")
    monkeypatch.setitem(sys.modules, "apache_beam", None)


def test_without_beam(tiny, tmp_path, no_beam, monkeypatch, capfd, charades_folder):
    needed = r"needs Apache Beam, which is not installed: pip install 'kerasfast\[beam\]'"
    with pytest.raises(ImportError, match=needed):
        build_records_on_beam(*tiny["train"], tmp_path, **OPTIONS)
    source = ("records", "build", charades_folder / "Tiny_v1_train.csv", "--videos", charades_folder / "videos")
    message = refuses(monkeypatch, capfd, *source, "--out", tmp_path, "--beam", "--runner=DirectRunner")
    assert "pip install 'kerasfast[beam]'" in message


def test_the_command_line(tiny, charades_folder, tmp_path, stores, monkeypatch, capfd):
    upload(tiny["train"][1], stores / "in")
    options = ("--model", "slowfast_nano", "--rounds", "2")
    source = ("records", "build", charades_folder / "Tiny_v1_train.csv", *options)
    beam = ("--beam", "--runner=DirectRunner --direct_num_workers=1")
    results = [
        run(monkeypatch, capfd, *source, "--out", out, "--videos", videos, *more)
        for out, videos, more in (
            (tmp_path / "without", charades_folder / "videos", ()),
            (tmp_path / "out", charades_folder / "videos", beam),
            ("pail://out", "pail://in/", beam),
        )
    ]
    assert [code for code, _, _ in results] == [0, 0, 0], results
    assert contents(tmp_path / "out", "") == contents(tmp_path / "without", "") == contents(stores / "out", "")
    (stores / "in" / "c3.mp4").unlink()
    command = (*source, "--out", "pail://other", "--videos", "pail://in", *beam)
    message = refuses(monkeypatch, capfd, *command)
    assert "pail://in: 1 of 5 annotated videos have no file here (c3)" in message
    code, out, err = run(monkeypatch, capfd, *command, "--skip-bad")
    assert code == 0, err
    assert "skipped c3: pail://in/c3.mp4: no such file" in " ".join(out.split())
    assert "--beam" in refuses(monkeypatch, capfd, *source, "--out", "s3://b", "--videos", charades_folder / "videos")


def test_a_list_of_videos_in_a_store(tmp_path, stores, tiny):
    upload(tiny["train"][1], stores / "in" / "deep")
    (tmp_path / "list.csv").write_text("path,label,start,end\ndeep/a1.mp4,run,0.5,\ndeep/b2.mp4,sit,,\n")
    found = read_list(tmp_path / "list.csv", root="dfs://in/")
    assert found.videos == {f"deep/{name}.mp4": f"dfs://in/deep/{name}.mp4" for name in ("a1", "b2")}
    assert isinstance(found.labels, LabelSpace)
    manifest = build_records_on_beam(
        found, found.videos, found.labels, tmp_path / "out", pipeline_options=LOCAL, **OPTIONS
    )
    assert [video["actions"] for video in manifest.videos] == [[0], [1]]
    assert check_records(tmp_path / "out") == [manifest]
