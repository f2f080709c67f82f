import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from kerasfast.data import from_folder, sources
from kerasfast.data.clips import ClipSpec
from kerasfast.data.errors import DataError
from kerasfast.data.records.read import check_records
from kerasfast.data.records.state import BuiltDifferentlyError
from kerasfast.data.video_writer import write_video
from kerasfast.models.heads import Head, as_heads

README = Path(__file__).resolve().parents[1] / "README.md"
CLASSES = ("jump rope", "wave", "öffnen")
CLIP = ClipSpec(4, 8, 24.0)


def write(path, colour, seed):
    """40 frames of 96x72: a square of one of three colours on noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    frames = random.integers(0, 60, (40, 72, 96, 3), np.uint8)
    frames[:, 20:50, 30:60, colour] = 250
    write_video(path, frames, 24, preset="ultrafast")


@pytest.fixture(scope="module")
def clips_folder(tmp_path_factory):
    """clips/<class>/clip <number>.mp4: three classes of five videos."""
    root = tmp_path_factory.mktemp("own") / "clips"
    for colour, name in enumerate(CLASSES):
        for number in range(5):
            write(root / name / f"clip {number}.mp4", colour, 10 * colour + number)
    return root


@pytest.fixture
def copy(clips_folder, tmp_path):
    return Path(shutil.copytree(clips_folder, tmp_path / "clips"))


@pytest.fixture(scope="module")
def data(clips_folder, tmp_path_factory):
    return from_folder(clips_folder, CLIP, tmp_path_factory.mktemp("records"), crop_size=64)


def readme_example():
    section = README.read_text("utf-8").partition("## Your own videos in ten lines\n")[2]
    return re.search(r"```python\n(.*?)```", section, re.DOTALL)[1]


def test_the_example_of_the_readme(clips_folder, tmp_path, monkeypatch, capsys):
    example = readme_example()
    assert len(example.split("\n")) <= 11  # ten lines and the end of the last
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clips").symlink_to(clips_folder)
    names = {}
    exec(example, names)
    assert "train: 12 videos of 3 classes (jump rope 4, wave 4, öffnen 4)" in capsys.readouterr().out
    assert names["model"].heads == {"action": Head(3, "softmax", CLASSES)}
    history = names["model"].history.history
    assert history["loss"][-1] < history["loss"][0]
    assert len(history["val_accuracy"]) == 5
    assert list(names["metrics"]["heads"]["action"]["ap"]) == list(CLASSES)
    assert names["metrics"]["protocol"]["merge"] == "mean"


def test_clips_and_targets(data):
    assert str(data) == (
        "train: 12 videos of 3 classes (jump rope 4, wave 4, öffnen 4)\n"
        "val: 3 videos of 3 classes (jump rope 1, wave 1, öffnen 1)"
    )
    assert as_heads(data.heads) == {"action": Head(3, "softmax", CLASSES)}
    assert data.manifests["train"].options.short_side == 73
    frames, targets = next(iter(data.train(batch_size=4)))
    assert frames.shape == (4, 4, 64, 64, 3)
    for picture, target in zip(frames.numpy(), targets["action"].numpy(), strict=True):
        assert target.sum() == 1
        assert picture.max(axis=(0, 1, 2)).argmax() == target.argmax()  # the colour of the square is the class
    batches = list(data.validation(batch_size=2))
    assert [len(frames) for frames, _ in batches] == [2, 1]
    assert np.sum([target["action"].numpy().sum(axis=0) for _, target in batches], axis=0).tolist() == [1, 1, 1]
    assert data.train(batch_size=2, crop_size=32, short_side=(32, 40)).element_spec[0].shape == (2, 4, 32, 32, 3)


def test_a_recipe_trains_on_it(data, tmp_path):
    from kerasfast.train.fit import train
    from kerasfast.train.recipes.recipe import Recipe
    from kerasfast.train.recipes.sections import Data, HeadTable, Model
    from kerasfast.train.recipes.training import Schedule, Training

    recipe = Recipe(
        Model("slow_nano", {"action": HeadTable(3, "softmax")}, dropout=0.0),
        Schedule(0.01, "constant"),
        Training(epochs=1, batch_size=6),
        Data(validation_split="val"),
    )
    result = train(recipe, data.records, tmp_path / "run", verbose=0)
    assert result.model.heads["action"].labels == CLASSES
    assert np.isfinite([result.history["loss"], result.history["val_loss"]]).all()
    # From scratch every class is as likely: the loss is that of a categorical crossentropy.
    assert result.history["val_loss"][0] == pytest.approx(np.log(3), abs=0.3)


def test_records_are_built_once(data, clips_folder, monkeypatch):
    before = {path.name: path.stat().st_mtime_ns for path in data.records.iterdir()}
    monkeypatch.setattr(sources, "open_source", None)  # no video is opened
    monkeypatch.setattr("kerasfast.data.records.plan.open_source", None)
    again = from_folder(clips_folder, CLIP, data.records, crop_size=64)
    assert again == data
    assert {path.name: path.stat().st_mtime_ns for path in data.records.iterdir()} == before


def test_records_of_other_files_are_noticed(copy, tmp_path):
    first = from_folder(copy, CLIP, tmp_path / "records", crop_size=64)
    write(copy / "wave" / "clip new.mp4", 1, 99)
    message = r"records.manifest-\w+\.json: split '\w+' was built differently here \(other videos.*with rebuild=True"
    with pytest.raises(BuiltDifferentlyError, match=message):
        from_folder(copy, CLIP, tmp_path / "records", crop_size=64)
    assert check_records(tmp_path / "records")  # still there
    again = from_folder(copy, CLIP, tmp_path / "records", crop_size=64, rebuild=True)
    assert again.manifests != first.manifests
    assert again.manifests == from_folder(copy, CLIP, tmp_path / "other", crop_size=64).manifests
    names = [{path.name for path in (tmp_path / folder).iterdir()} for folder in ("records", "other")]
    assert names[0] == names[1]
    with pytest.raises(BuiltDifferentlyError, match="quality 90 there, 80 now"):
        from_folder(copy, CLIP, tmp_path / "records", crop_size=64, quality=80)


def test_an_unfinished_build_of_other_files_is_replaced(copy, tmp_path):
    bad = copy / "wave" / "clip 0.mp4"
    content = bad.read_bytes()
    bad.write_bytes(content[:500])
    with pytest.raises(DataError, match=r"clip 0\.mp4: cannot be opened"):
        from_folder(copy, CLIP, tmp_path / "records", crop_size=64, rounds=1)
    bad.write_bytes(content)
    with pytest.raises(BuiltDifferentlyError, match=r"\.build-\w+.*rebuild=True"):
        from_folder(copy, CLIP, tmp_path / "records", crop_size=64, rounds=1)
    data = from_folder(copy, CLIP, tmp_path / "records", crop_size=64, rounds=1, rebuild=True)
    assert check_records(data.records)
    assert not list(data.records.glob(".build*"))


def test_folders_of_splits_and_what_was_left_out(copy, tmp_path):
    root = tmp_path / "divided"
    shutil.copytree(copy, root / "train")
    for split, name in (("val", "wave"), ("test", "öffnen")):
        write(root / split / name / "a.mp4", 1, 5)
    (root / "train" / "wave" / "notes.txt").touch()
    (root / "train" / "wave" / "clip 0.mp4").write_bytes(b"no video")
    calls = []
    data = from_folder(
        root, CLIP, tmp_path / "r", crop_size=64, skip_bad=True, progress=lambda *counts: calls.append(counts)
    )
    assert list(data.manifests) == ["train", "val", "test"]
    assert calls[-3:] == [(15, 15), (1, 1), (1, 1)]
    assert data.manifests["test"].videos[0]["actions"] == [2]
    assert [video["id"] for video in data.skipped["train"]] == ["wave/clip 0.mp4"]
    lines = str(data).splitlines()
    assert "1 left out that are no videos (wave/notes.txt)" in lines[0]
    assert lines[1].startswith("  skipped wave/clip 0.mp4: ")
    assert lines[2] == "val: 1 videos of 3 classes (jump rope 0, wave 1, öffnen 0)"


def test_no_validation(copy, tmp_path):
    data = from_folder(copy, CLIP, tmp_path / "r", crop_size=64, validation=0)
    assert list(data.manifests) == ["train"]
    with pytest.raises(ValueError, match="has no validation videos"):
        data.validation()
    with pytest.raises(ValueError, match=r"crop_size must be at least 1 pixel. Received: 0"):
        from_folder(copy, CLIP, tmp_path / "r", crop_size=0)
    with pytest.raises(DataError, match="none: no such folder"):
        from_folder(copy / "none", CLIP, tmp_path / "r")
