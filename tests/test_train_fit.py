"""Whole runs on tiny records of real mp4 files."""

import csv
import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
import train_records

from kerasfast.train.callbacks import TrainingDivergedError
from kerasfast.train.fit import build_model, train
from kerasfast.train.fitting.checkpoint_files import CheckpointFolder
from kerasfast.train.fitting.datasets import datasets
from kerasfast.train.recipes.recipe import Recipe, load
from kerasfast.train.recipes.sections import Model
from kerasfast.train.recipes.training import Schedule, Training
from kerasfast.train.run import load_model

ROOT = Path(__file__).parents[1]
# Keras saves weights through an __array__ without NumPy 2's copy argument.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

RECIPE = Recipe(
    Model("slow_nano", dict(train_records.HEADS), dropout=0.0),
    Schedule(0.003, "constant"),
    Training(epochs=2, batch_size=4),
    name="tiny",
).override(data={"flip": False}, optimizer={"name": "adamw"}, evaluation={"clips": 3, "crops": 1})


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fit")
    train_records.make(folder, "train", 12)
    return train_records.make(folder, "test", 6, seed=1)


@pytest.fixture(scope="module")
def run(records, tmp_path_factory):
    return train(RECIPE.override(training={"epochs": 8}), records, tmp_path_factory.mktemp("run"), verbose=0)


def history(folder):
    with (folder / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_leaves_its_files_and_learns(run):
    names = {"best.weights.h5", "config.toml", "curves.png", "environment.json", "history.csv", "model.json"}
    assert {path.name for path in run.folder.iterdir()} == names
    rows = history(run.folder)
    assert list(rows[0]) == ["epoch", "action_loss", "loss", "object_loss", "verb_loss", "learning_rate", "seconds"]
    assert len(rows) == 8 and run.steps == 24
    losses = [float(row["loss"]) for row in rows]
    assert losses[-1] < 0.7 * losses[0]
    assert losses == pytest.approx(run.history["loss"])
    heads = sum(float(rows[-1][f"{head}_loss"]) for head in train_records.HEADS)
    assert losses[-1] == pytest.approx(heads, rel=1e-4)


def test_the_run_is_read_back_with_its_recipe_labels_and_weights(run):
    assert load(run.folder / "config.toml") == run.recipe
    model = load_model(run.folder)
    assert model.heads["action"].labels == train_records.LABELS.heads["action"]
    frames = np.random.default_rng(0).integers(0, 255, (1, 4, 64, 64, 3), dtype=np.uint8)
    ours, theirs = (m.predict(frames, verbose=0) for m in (model, run.model))
    for head in ours:
        np.testing.assert_array_equal(ours[head], theirs[head])


def test_the_same_seed_gives_the_same_run(run, records, tmp_path):
    again = train(RECIPE, records, tmp_path / "run", verbose=0, epochs=1)
    assert again.history["loss"][0] == pytest.approx(run.history["loss"][0], rel=1e-4)


def test_each_epoch_of_fit_is_the_next_epoch_of_the_records(records):
    # A new pass over the data is the next epoch, and Keras makes more iterators than it uses.
    seen = []

    def note(total):
        seen.append(float(total))
        return total

    def noted(clips):
        def look(frames, labels):
            total = tf.reduce_sum(tf.cast(frames, tf.float32))
            return tf.numpy_function(note, [total], tf.float32), labels["action"]

        return clips.map(look, num_parallel_calls=1)

    model = build_model(RECIPE, train_records.LABELS)
    expected_clips, _ = datasets(RECIPE, records, model)
    for _ in range(3):
        for _ in noted(expected_clips):
            pass
    expected, seen[:] = list(seen), []
    flat = keras.Sequential([keras.Input(()), keras.layers.Reshape((1,)), keras.layers.Dense(3)])
    flat.compile(loss="mse")
    clips, _ = datasets(RECIPE, records, model)
    clips = noted(clips).map(lambda total, labels: (tf.ensure_shape(tf.fill([4], total / 1e9), [4]), labels))
    flat.fit(clips, epochs=3, verbose=0, shuffle=False)
    assert seen == expected
    assert len(set(seen[:3]) & set(seen[3:6])) == 0


def test_validation_is_in_the_history_and_another_seed_gives_another_run(run, records, tmp_path):
    recipe = RECIPE.override(data={"validation_split": "train"}, training={"seed": 1, "epochs": 1})
    other = train(recipe, records, tmp_path / "run", verbose=0)
    assert {"val_loss", "val_action_loss"} <= set(history(other.folder)[0])
    # The sum over the heads may come out alike by chance, all of them cannot.
    losses = [{key: made.history[key][0] for key in made.history if key.endswith("loss")} for made in (run, other)]
    shared = set(losses[0]) & set(losses[1])
    assert {"loss", "action_loss"} < shared
    assert any(losses[1][key] != pytest.approx(losses[0][key], rel=1e-3) for key in shared)


def test_a_run_is_not_overwritten_by_accident(run, records):
    with pytest.raises(ValueError, match=r"holds a run already"):
        train(RECIPE, records, run.folder, verbose=0)


@pytest.fixture(scope="module")
def unfinished(records, tmp_path_factory):
    """A run that was stopped in its second epoch, with a checkpoint after each step."""

    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if self.model.optimizer.iterations == 5:
                raise KeyboardInterrupt

    folder = tmp_path_factory.mktemp("unfinished")
    with pytest.raises(KeyboardInterrupt):
        train(RECIPE, records, folder, verbose=0, checkpoint_steps=1, callbacks=[Stop()])
    return folder


def test_an_unfinished_run_goes_on_and_says_so(unfinished, records, tmp_path, capsys):
    folder = shutil.copytree(unfinished, tmp_path / "run")
    assert {path.name for path in (folder / "checkpoints").iterdir()} == {"step-000000003.npz", "step-000000004.npz"}
    result = train(RECIPE, records, folder, verbose=2)
    assert f"{folder} holds an unfinished run. Going on from epoch 2, step 5." in capsys.readouterr().out
    assert (result.resumed, result.steps) == (4, 6)
    assert [row["epoch"] for row in history(folder)] == ["1", "2"] and len(result.history["loss"]) == 2
    assert not (folder / "checkpoints").exists()
    with pytest.raises(ValueError, match=r"holds a run already"):
        train(RECIPE, records, folder, verbose=0)


def test_a_damaged_checkpoint_gives_way_to_the_one_before(unfinished, records, tmp_path):
    folder = shutil.copytree(unfinished, tmp_path / "run")
    newest = folder / "checkpoints" / "step-000000004.npz"
    newest.write_bytes(newest.read_bytes()[:10_000])
    with pytest.warns(
        UserWarning, match=r"newest checkpoint is damaged .* goes on from the one before, step-000000003"
    ):
        assert train(RECIPE, records, folder, verbose=0).resumed == 3


def test_an_unfinished_run_may_be_begun_anew(unfinished, records, tmp_path):
    folder = shutil.copytree(unfinished, tmp_path / "run")
    wrong = {"optimizer": {"rates": {"slow_res9": 0.1}}}
    with pytest.raises(ValueError, match=r"rates must name layers"):
        train(RECIPE.override(**wrong), records, folder, verbose=0, overwrite=True)
    kept = {path.name for path in unfinished.rglob("*")}
    assert {path.name for path in folder.rglob("*")} == kept  # what is wrong shows before anything is replaced
    recipe = RECIPE.override(training={"epochs": 1, "batch_size": 12})
    assert train(recipe, records, folder, verbose=0, overwrite=True).resumed == 0
    assert [row["epoch"] for row in history(folder)] == ["1"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schedule": {"learning_rate": 0.5}}, r"another recipe: schedule\.learning_rate was 0\.003, now it is 0\.5"),
        ({"model": {"heads": {"verb": None}}}, r"another recipe: model\.heads\.verb was 2, now it is None"),
    ],
)
def test_an_unfinished_run_of_another_recipe_is_refused(unfinished, records, change, message):
    before = {path: path.read_bytes() for path in unfinished.rglob("*") if path.is_file()}
    with pytest.raises(ValueError, match=message):
        train(RECIPE.override(**change), records, unfinished, verbose=0)
    assert before == {path: path.read_bytes() for path in unfinished.rglob("*") if path.is_file()}


def test_a_checkpoint_of_another_model_is_refused(unfinished, records, tmp_path):
    folder = shutil.copytree(unfinished, tmp_path / "run")
    found = CheckpointFolder(folder / "checkpoints").latest()
    at = next(i for i, name in enumerate(found.names) if name.endswith("head_action/kernel"))
    found.arrays[at] = found.arrays[at][:, :2]
    CheckpointFolder(folder / "checkpoints").write(found)
    with pytest.raises(
        ValueError, match=r"step-000000004.npz is of another model.*head_action/kernel \(\d+, 2\) there"
    ):
        train(RECIPE, records, folder, verbose=0)


def test_a_full_disk_ends_the_run_in_one_sentence(records, tmp_path):
    class Full(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if self.model.optimizer.iterations == 2:
                (tmp_path / "checkpoints" / "step-000000002.npz.partial").symlink_to("/dev/full")

    with pytest.raises(
        OSError, match=r"step-000000002\.npz: the checkpoint cannot be written \(.*No space left on dev"
    ):
        train(RECIPE, records, tmp_path, verbose=0, epochs=1, checkpoint_steps=1, callbacks=[Full()])
    assert CheckpointFolder(tmp_path / "checkpoints").latest().position.step == 1


def test_an_empty_validation_is_refused(records, tmp_path):
    folder = shutil.copytree(records, tmp_path / "records")
    manifest = json.loads((folder / "manifest-test.json").read_text())
    (folder / "manifest-test.json").write_text(json.dumps(manifest | {"videos": [], "shards": []}))
    recipe = RECIPE.override(data={"validation_split": "test"})
    with pytest.raises(ValueError, match=r"split 'test': holds no video"):
        train(recipe, folder, tmp_path / "run", verbose=0)


def test_records_of_other_clips_are_refused(records, tmp_path):
    clip = {"frames": 32, "stride": 4, "fps": 24.0}
    with pytest.raises(
        ValueError, match=r"manifest-train\.json: holds .*clips of up to 32 frames.*Received: 32 frames"
    ):
        train(RECIPE.override(model={"clip": clip}), records, tmp_path / "run", verbose=0)
    assert not (tmp_path / "run").exists()


def test_the_best_map_of_the_validation_under_a_strategy(records, tmp_path):
    recipe = RECIPE.override(
        data={"validation_split": "test"}, training={"best": "map", "epochs": 1, "steps_per_epoch": 1}
    )
    strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    run = train(recipe, records, tmp_path / "run", verbose=0, strategy=strategy)
    (row,) = history(run.folder)
    maps = [float(row[f"val_{head}_clip_map"]) for head in train_records.HEADS]
    assert float(row["val_clip_map"]) == pytest.approx(np.mean(maps), nan_ok=True)
    assert run.model.distribute_strategy is strategy


def test_tensorboard_gets_its_logs(records, tmp_path):
    pytest.importorskip("tensorboard")
    train(RECIPE, records, tmp_path / "run", verbose=0, epochs=1, tensorboard=True)
    assert list((tmp_path / "run" / "tensorboard" / "train").glob("events.out.*"))


def test_tensorboard_without_its_package_says_what_to_install(records, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(ValueError, match=r"need the package tensorboard\. Run: pip install tensorboard"):
        train(RECIPE, records, tmp_path / "run", verbose=0, tensorboard=True)
    assert not (tmp_path / "run").exists()


def test_one_head_of_the_records_may_be_trained(records):
    recipe = dataclasses.replace(RECIPE, model=Model("slow_nano", {"action": 3}))
    model = build_model(recipe, train_records.LABELS)
    clips, validation = datasets(recipe, records, model)
    frames, labels = next(iter(clips))
    assert set(labels) == {"action"} and validation is None
    assert frames.shape == (4, 4, 64, 64, 3)


@pytest.mark.parametrize(
    "change, message",
    [
        (
            {"model": {"heads": {"action": 157}}},
            r"Head 'action' of the model has 157 classes; the records in .* 3 classes",
        ),
        (
            {"model": {"heads": {"scene": 3}}},
            r"Head 'scene' of the model has 3 classes; the records in .* no such head",
        ),
        ({"training": {"batch_size": 13}}, r"batch_size must be in 1 \.\. 12, the clips of an epoch of split 'train'"),
        ({"data": {"train_split": "trian"}}, r"manifest-trian\.json: no such file"),
        ({"model": {"name": "slowfast_nono"}}, r"no model 'slowfast_nono'.*slowfast_nano"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(records, tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        train(RECIPE.override(**change), records, tmp_path / "run", verbose=0)
    assert not (tmp_path / "run").exists()


def test_a_diverging_run_stops_and_keeps_no_broken_weights(records, tmp_path):
    recipe = RECIPE.override(optimizer={"name": "sgd"}, schedule={"learning_rate": 1e30})
    with pytest.raises(TrainingDivergedError, match=r"at step \d \(epoch 1, batch \d of it\), learning rate 1e\+30"):
        train(recipe, records, tmp_path / "run", verbose=0)
    assert not (tmp_path / "run" / "best.weights.h5").exists()


def test_the_scripts_train_and_score(records, tmp_path):
    recipe = RECIPE.override(smoke={"training": {"epochs": 1, "steps_per_epoch": 1, "batch_size": 2}})
    (tmp_path / "mine.toml").write_text(recipe.to_toml())

    def script(name, *arguments):
        command = [sys.executable, ROOT / "training" / name, *arguments, "--records", records]
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)

    done = script("train.py", tmp_path / "mine.toml", "--out", tmp_path / "run", "--smoke")
    assert done.returncode == 0, done.stderr
    assert "1 steps in" in done.stdout
    as_run = load(tmp_path / "run" / "config.toml")
    assert as_run.training.batch_size == 2 and as_run.smoke == {}
    done = script("score.py", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["protocol"]["views"] == 3 and "action" in done.stdout
    done = script("train.py", "no_such_recipe", "--out", tmp_path / "other")
    assert done.returncode == 2 and "There is no recipe 'no_such_recipe'" in done.stderr
    assert "Traceback" not in done.stderr
