"""The recipes of published numbers: what they state, what they compute, and that their short versions run."""

import dataclasses
import shlex

import keras
import numpy as np
import pytest
import train_records
from typer.main import get_command

from kerasfast.cli.main import app
from kerasfast.data.annotations import Segment, VideoRow
from kerasfast.data.clips import ClipSpec
from kerasfast.data.labels import LabelSpace
from kerasfast.data.records.build import build_records
from kerasfast.data.video_writer import write_video
from kerasfast.models.variants import variant
from kerasfast.registry import entry, list_models
from kerasfast.train.fit import build_model, train
from kerasfast.train.recipes import recipe as recipes
from kerasfast.train.recipes.training import Optimizer

# Keras saves weights through an __array__ without NumPy 2's copy argument.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

NAMES = [name for name in recipes.list() if not name.startswith("miniature_")]

# In percent, as the sources print them.
CHARADES = {
    "charades_slowfast_r50_16x8": 38.9,
    "charades_slowfast_r50_16x8_multigrid": 38.6,
    "charades_slowfast_r50_8x8": 37.24,
    "charades_slow_r50_8x8": 34.72,
    "charades_slow_r101_16x8": 39.0,
    "charades_slowfast_r101_16x8": 42.1,
    "charades_slowfast_r101_16x8_nl": 42.5,
    "charades_slowfast_r101_16x8_nl_k600": 45.2,
}
THREE_HEADS = {
    "charades_threehead_scratch": (22.3, 16.6, 7.7),
    "charades_threehead_transfer": (38.5, 31.8, 17.7),
}
KINETICS = {
    "kinetics_slow_r50_4x16": (72.7, 90.3),
    "kinetics_slow_r50_8x8": (74.8, 91.6),
    "kinetics_slowfast_r50_4x16": (75.6, 92.1),
    "kinetics_slowfast_r50_8x8": (77.0, 92.6),
    "kinetics_slowfast_r101_8x8": (77.9, 93.27),
    "kinetics_slowfast_r101_50_50_8x8": (77.9, 93.2),
    "kinetics_slowfast_r101_50_50_16x8": (78.9, 93.5),
    "kinetics_slowfast_r101_50_50_16x8_nl": (79.8, 93.9),
    "kinetics600_slowfast_r50_4x16": (78.8, 94.0),
    "kinetics600_slowfast_r50_8x8": (79.9, 94.5),
    "kinetics600_slowfast_r101_50_50_8x8": (80.4, 94.8),
    "kinetics600_slowfast_r101_50_50_16x8": (81.1, 95.1),
    "kinetics600_slowfast_r101_50_50_16x8_nl": (81.8, 95.1),
}
UNPUBLISHED = {"kinetics_slowfast_r50_8x8_nl", "kinetics_slowfast_r50_16x8_from_8x8"}

# Recipe -> the entry of the zoo that was trained so.
IN_THE_ZOO = {
    "charades_slowfast_r50_16x8": "slowfast_r50_16x8.charades_psf",
    "charades_slowfast_r50_16x8_multigrid": "slowfast_r50_16x8.charades_psf_multigrid",
    "charades_slowfast_r50_8x8": "slowfast_r50_8x8.charades",
    "charades_slow_r50_8x8": "slow_r50_8x8.charades",
    "kinetics_slow_r50_4x16": "slow_r50_4x16.k400_psf",
    "kinetics_slow_r50_8x8": "slow_r50_8x8.k400_psf",
    "kinetics_slowfast_r50_8x8": "slowfast_r50_8x8.k400_psf",
    "kinetics_slowfast_r101_8x8": "slowfast_r101_8x8.k400",
}


def row_of(recipe):
    """The network of a recipe as a row of the table of architectures."""
    fields = dict(recipe.model.variant)
    if recipe.model.clip is not None:
        fields["clip"] = ClipSpec(**dataclasses.asdict(recipe.model.clip))
    return variant(recipe.model.name, **fields)


# === What they state ===


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_states_how_it_runs_and_where_its_number_comes_from(name):
    published = recipes.load(name).published
    assert published is not None and published.hardware and published.protocol
    assert "https://" in published.source
    heads = recipes.load(name).model.heads
    assert {key.rpartition("_")[0] for key in published.metrics} <= set(heads)
    assert bool(published.metrics) != (name in UNPUBLISHED)


def test_every_recipe_has_its_published_number():
    found = {name: recipes.load(name).published.metrics for name in NAMES}
    percent = {name: {key: round(100 * value, 2) for key, value in values.items()} for name, values in found.items()}
    expected = {name: {"action_map": value} for name, value in CHARADES.items()}
    expected |= {
        name: dict(zip(("verb_map", "object_map", "action_map"), values, strict=True))
        for name, values in THREE_HEADS.items()
    }
    expected |= {
        name: dict(zip(("action_top1", "action_top5"), values, strict=True)) for name, values in KINETICS.items()
    }
    assert percent == expected | {name: {} for name in UNPUBLISHED}


@pytest.mark.parametrize("name", IN_THE_ZOO)
def test_a_recipe_agrees_with_the_zoo(name):
    recipe, row = recipes.load(name), entry(IN_THE_ZOO[name])
    metric = row.metrics[0]
    figures = {"action_map": metric.map, "action_top1": metric.top1, "action_top5": metric.top5}
    assert {key: round(100 * value, 2) for key, value in recipe.published.metrics.items()} == {
        key: value for key, value in figures.items() if value is not None
    }
    network = row_of(recipe)
    assert network.name == row.architecture and network.clip == row.variant.clip
    assert network.head_pool == row.variant.head_pool
    assert recipe.data.short_side == row.variant.short_side
    protocol = recipe.evaluation
    assert (protocol.clips, protocol.crops, protocol.merge) == (metric.clips, metric.crops, metric.merge)
    assert protocol.crop_size == row.variant.test_crop_size


def commands(recipe):
    """Words of each `kerasfast` line, without that one."""
    lines = recipe.published.command.replace("\\\n", " ").splitlines()
    return [shlex.split(line)[1:] for line in lines if line.strip().startswith("kerasfast ")]


def parsed(words):
    """Names and options of a command line, parsed as the command line tool does."""
    command = get_command(app)
    while hasattr(command, "commands"):
        command, words = command.commands[words[0]], words[1:]
    return command.name, command.make_context(command.name, words).params


@pytest.mark.parametrize("name", NAMES)
def test_the_commands_build_train_and_evaluate(name):
    recipe = recipes.load(name)
    lines = [parsed(words) for words in commands(recipe)]
    build, (train_name, trained), (evaluate_name, evaluated) = lines[:-2], lines[-2], lines[-1]
    assert (train_name, trained["recipe"], str(trained["folder"])) == ("train", name, f"runs/{name}")
    assert (evaluate_name, evaluated["model"]) == ("evaluate", f"runs/{name}")
    assert trained["records"] == evaluated["records"] == f"records/{name}"
    for command, options in build:
        assert command == "build" and options["model"] == recipe.model.name
        assert options["out_folder"] == trained["records"]
        assert options["fps"] == row_of(recipe).clip.fps
        stored = options["short_side"] or variant(recipe.model.name).short_side[1]
        assert options["frames"] is not None or stored == recipe.data.short_side[1]  # frames keep their own size
    splits = {recipe.data.train_split, recipe.data.validation_split, recipe.evaluation.split} - {None}
    assert all(split in recipe.published.command for split in splits)


@pytest.mark.parametrize("name", NAMES)
def test_the_network_and_its_start_exist(name):
    recipe = recipes.load(name)
    row, weights = row_of(recipe), recipe.model.weights
    plain = variant(recipe.model.name)
    assert (row.clip.frames, row.clip.stride) == (plain.clip.frames, plain.clip.stride)
    if weights is None:
        assert "." not in recipe.model.name  # from scratch
    elif weights.endswith(".h5"):  # of a run of another recipe
        run, other = weights.split("/")[:2]
        assert run == "runs" and other in NAMES
        origin = row_of(recipes.load(other))
        assert (origin.slow, origin.fast, origin.lateral_kernel) == (row.slow, row.fast, row.lateral_kernel)
    else:
        assert weights in list_models() and entry(weights).has_weights
        origin = entry(weights).variant
        assert (origin.slow, origin.fast, origin.lateral_kernel) == (row.slow, row.fast, row.lateral_kernel)
    activation = "softmax" if name.startswith("kinetics") else "sigmoid"
    assert all(table.activation == activation for table in recipe.model.head_tables.values())


# === What they compute ===


@pytest.mark.parametrize("name", ["charades_slowfast_r50_16x8", "charades_threehead_transfer"])
def test_rates_of_pyslowfast_on_charades(name):
    """`steps_with_relative_lrs` of the configuration, by hand, for 7,811 videos in whole batches of 16."""
    recipe = recipes.load(name)
    steps = 7_811 // recipe.training.batch_size
    assert steps == 488
    assert recipe.training.whole_epochs(steps) * steps == 27_816  # 57 epochs
    rate = recipe.compile_args(steps_per_epoch=steps)["optimizer"]._learning_rate
    middle_of_warmup = 1e-4 + (0.0375 - 1e-4) * 2 / 4
    expected = {
        0: 1e-4,
        2 * 488: middle_of_warmup,
        4 * 488: 0.0375,
        41 * 488 - 1: 0.0375,
        41 * 488: 0.00375,
        49 * 488 - 1: 0.00375,
        49 * 488: 0.000375,
        27_815: 0.000375,
    }
    np.testing.assert_allclose([float(rate(step)) for step in expected], list(expected.values()), rtol=1e-5)


def test_optimizer_and_clips_of_pyslowfast_on_charades():
    recipe = recipes.load("charades_slowfast_r50_16x8")
    assert recipe.optimizer == Optimizer("sgd", momentum=0.9, nesterov=True, weight_decay=1e-4)
    assert (recipe.data.crop_size, recipe.data.short_side, recipe.data.flip) == (224, (256, 340), True)
    assert (recipe.model.bn, recipe.model.dropout, recipe.training.precise_bn_batches) == ("sync", 0.5, 200)
    network = row_of(recipe)
    assert (network.clip.frames, network.clip.stride, network.clip.fps) == (64, 2, 24.0)
    assert (network.alpha, network.beta, network.lateral_kernel, network.lateral_ratio) == (4, 1 / 8, 7, 2)


def test_multigrid_changes_the_grid_and_the_pooling_alone():
    plain, grid = (recipes.load(f"charades_slowfast_r50_16x8{tag}") for tag in ("", "_multigrid"))
    assert (grid.multigrid.long_cycle, grid.multigrid.short_cycle, grid.multigrid.epoch_factor) == (True, True, 1.5)
    assert grid.model == dataclasses.replace(plain.model, variant={"head_pool": "global"})
    for table in ("data", "optimizer", "schedule", "training", "evaluation"):
        assert getattr(grid, table) == getattr(plain, table)


@pytest.mark.parametrize("name", [name for name in CHARADES if "_r101_" in name])
def test_the_paper_takes_24_000_iterations_on_charades(name):
    recipe = recipes.load(name)
    steps = (7_811 - 591) // recipe.training.batch_size  # without the videos held out for validation
    assert recipe.training.batch_size == 16 and recipe.schedule.name == "plateau"
    assert recipe.training.whole_epochs(steps) * steps == pytest.approx(24_000, rel=0.01)
    assert recipe.schedule.learning_rate == (0.02 if name.endswith("k600") else 0.0375)
    assert recipe.data.validation_split == "validation"


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("kinetics")])
def test_lengths_and_rates_of_the_paper_on_kinetics(name):
    recipe = recipes.load(name)
    of_600 = name.startswith("kinetics600")
    network = row_of(recipe)
    slow_frames = network.clip.frames // (network.alpha if network.fast else 1)
    epochs = (256 if slow_frames <= 4 else 196) * (2 if of_600 else 1)
    assert recipe.training.epochs == (epochs // 2 if slow_frames == 16 else epochs)
    assert (recipe.schedule.learning_rate, recipe.schedule.base_batch_size) == (0.8 if of_600 else 1.6, 1024)
    # Stated in iterations of 1,024 clips out of 240k videos (K600: 392k), and so in epochs at any other batch.
    videos = 392_000 if of_600 else 240_000
    assert recipe.schedule.warmup_epochs * videos / 1024 == pytest.approx(8_000, rel=0.01)
    if name not in IN_THE_ZOO:
        assert recipe.data.short_side == ((256, 340) if "r101" in name else (256, 320))
    assert {table.classes for table in recipe.model.head_tables.values()} == {600 if of_600 else 400}
    assert recipe.training.batch_size == 8 * 8 and recipe.model.bn == "replica"


def test_60k_iterations_of_the_paper_on_kinetics():
    recipe = recipes.load("kinetics_slowfast_r50_4x16").override(training={"batch_size": 1024})
    steps = 240_000 // 1024
    assert recipe.training.whole_epochs(steps) * steps == pytest.approx(60_000, rel=0.01)


# === That they run ===


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_short_version_builds_and_compiles(name):
    recipe = recipes.load(name).smoked()
    tables = recipe.model.head_tables
    model = build_model(recipe, labels_of(recipe))
    assert model.load_report is None  # random weights
    model.compile(**recipe.compile_args(steps_per_epoch=2))
    side = recipe.data.crop_size
    scores = model.compute_output_spec(keras.KerasTensor((2, model.clip.frames, side, side, 3)))
    assert {head: score.shape for head, score in scores.items()} == {
        head: (2, table.classes) for head, table in tables.items()
    }


def labels_of(recipe):
    """Labels with as many classes as the heads; action i of Charades is of verb i and object i, modulo their number."""
    tables = recipe.model.head_tables
    names = {head: tuple(f"{head} {i}" for i in range(table.classes)) for head, table in tables.items()}
    if len(tables) == 1:
        return LabelSpace(names, recipe.model.activations)
    return LabelSpace.charades(
        heads=names,
        action_verb=tuple(i % len(names["verb"]) for i in range(len(names["action"]))),
        action_object=tuple(i % len(names["object"]) for i in range(len(names["action"]))),
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["charades_threehead_transfer", "kinetics_slow_r50_4x16"])
def test_the_short_version_runs_on_records(name, tmp_path):
    recipe = recipes.load(name)
    rows, files = [], {}
    for i in range(4):
        files[f"v{i}"] = tmp_path / f"v{i}.mp4"
        write_video(files[f"v{i}"], train_records.video(i % 3, i) * 2, 24)  # 3.5 s; a clip spans 2.7
        rows.append(VideoRow(f"v{i}", "S0", 3.5, (Segment(i, 0.0, 3.5),), i + 2))
    records = tmp_path / "records"
    build_records(rows, files, labels_of(recipe), records, clip=row_of(recipe).clip, split="train", short_side=64)
    result = train(name, records, tmp_path / "run", smoke=True, verbose=0)
    assert result.steps == 2 and np.isfinite(result.history["loss"][0])
    assert (tmp_path / "run" / "best.weights.h5").is_file()
