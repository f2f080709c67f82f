"""The zoo: its index against the table of architectures, names, and loading of weights."""

import dataclasses
import hashlib
import json

import keras
import numpy as np
import pytest
from model_case import random_clip, wake_up

from kerasfast import _data_folders, registry
from kerasfast.models.classifier import build
from kerasfast.models.heads import CHARADES, Head
from kerasfast.models.variants import VARIANTS, variant
from kerasfast.registry import entry, index, list_models, load
from kerasfast.weights import canonical_weights

HEADS = {"verb": 3, "action": Head(4, "softmax", ("run", "sit", "eat", "read"))}


def arrays(model):
    return {name: np.array(weight.value) for name, weight in canonical_weights(model).items()}


@pytest.fixture(scope="module")
def trained():
    """Stands for a trained slow_nano."""
    return wake_up(build("slow_nano", heads=HEADS))


@pytest.fixture(scope="module")
def zoo_files(trained, tmp_path_factory):
    """A zoo with one architecture and one row of weights, as `tools/publish_weights.py` leaves it."""
    folder = tmp_path_factory.mktemp("zoo")
    for name in ("weights", "labels", "cards"):
        (folder / name).mkdir()
    trained.save_weights(folder / "weights" / "slow_nano.tiny.weights.h5")
    (folder / "labels" / "tiny.txt").write_text("run\nsit\neat\nread\n")
    content = (folder / "weights" / "slow_nano.tiny.weights.h5").read_bytes()
    card = {"file": "weights/slow_nano.tiny.weights.h5", "sha256": hashlib.sha256(content).hexdigest()}
    (folder / "cards" / "slow_nano.tiny.json").write_text(json.dumps(card))
    (folder / "index.toml").write_text(
        """
        [[model]]
        name = "slow_nano"
        summary = "Slow"

        [[model]]
        name = "slow_nano.tiny"
        summary = "Slow, trained"
        card = "cards/slow_nano.tiny.json"
        overrides = {head_average = "logits"}

        [model.heads]
        verb = {classes = 3}
        action = {classes = 4, activation = "softmax", labels = "labels/tiny.txt"}
        """
    )
    return folder


@pytest.fixture
def zoo(zoo_files, monkeypatch):
    monkeypatch.setattr(registry, "zoo_dir", lambda: zoo_files)
    index.cache_clear()
    yield zoo_files
    index.cache_clear()


# --- the index of this repository ------------------------------------------------------------------------------------


def test_index_has_a_row_for_every_architecture():
    architectures = [name for name in index() if "." not in name]
    assert architectures == list(VARIANTS)
    for name in architectures:
        assert entry(name).variant == variant(name)
        assert entry(name).head_rows() is None and not entry(name).card


def test_weights_of_the_package_are_whole():
    """Every such row has labels for its heads, and a file that its card describes."""
    for name in (name for name, row in index().items() if row.card):
        row = entry(name)
        for head in row.head_rows().values():
            assert head.labels is not None and len(set(head.labels)) == head.classes
        path = registry.zoo_dir() / row.card["file"]
        assert hashlib.sha256(path.read_bytes()).hexdigest() == row.card["sha256"]
        assert path.stat().st_size < 2e6, f"{name}: the wheel carries these weights"
        assert row.card["metrics"]["protocol"] and row.card["origin"] and row.card["versions"]
        model = load(name)
        assert model.load_report.new == model.load_report.skipped == ()
        parameters = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
        assert parameters == row.card["parameters"]


def test_miniature_comes_with_the_package():
    assert list_models("*.miniature") == ["slowfast_nano.miniature"]


def test_summaries_differ():
    assert len({row.summary for row in index().values()}) == len(index())


# --- names -----------------------------------------------------------------------------------------------------------


def test_list_models_by_task_and_dataset():
    both = [name for name, row in index().items() if row.has_weights]
    single, multi = list_models(task="single_label"), list_models(task="multi_label")
    assert "slowfast_r50_8x8.k400" in single and "slowfast_nano.miniature" in multi
    assert sorted(single + multi) == sorted(both)
    assert list_models(dataset="miniature charades") == ["slowfast_nano.miniature"]
    charades = list_models(dataset="CHARADES")
    assert "slowfast_r50_16x8.charades_psf" in charades
    assert charades == list_models(dataset="Charades", task="multi_label")
    assert list_models("slowfast*", dataset="Charades") == [n for n in charades if n.startswith("slowfast")]
    assert list_models("slow_nano*", task="multi_label") == list_models(dataset="Charades", task="single_label") == []


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"task": "detection"}, "task must be one of single_label, multi_label. Received: 'detection'"),
        ({"dataset": "charade"}, "miniature Charades, Kinetics-400, .*: 'charade'. Did you mean 'charades'"),
        ({"dataset": ""}, "dataset must be one of miniature Charades, .*Received: ''"),
    ],
)
def test_unknown_filters_are_refused(filters, message):
    with pytest.raises(ValueError, match=message):
        list_models(**filters)


def test_list_models():
    assert list_models() == list(index())
    assert list_models("slow_r*_8x8") == ["slow_r50_8x8", "slow_r101_8x8"]
    assert list_models("slow_r50_?x[0-9]") == ["slow_r50_8x8"]
    assert list_models("[!s]*") == [name for name in index() if not name.startswith("s")]
    assert list_models("SLOW*") == [] == list_models("resnet*")


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("slowfast_r50_8x9", "slowfast_r50_8x8"),
        ("SlowFast_R50_4x16", "slowfast_r50_4x16"),
        ("slowfast-nano", "slowfast_nano"),
        ("fast_nano_", "fast_nano"),
    ],
)
def test_typo_gets_a_suggestion(name, nearest):
    with pytest.raises(ValueError, match=f"no model '{name}' in the zoo. Did you mean '{nearest}'.*list_models"):
        load(name)


def test_far_name_gets_no_suggestion():
    with pytest.raises(ValueError, match=r"no model 'resnet' in the zoo\. kerasfast\.list_models\(\) gives all names"):
        entry("resnet")


# --- loading ---------------------------------------------------------------------------------------------------------


def test_architecture_alone_is_random():
    model = load("slow_nano")
    assert model.load_report is None and dict(model.heads) == {"action": Head(400, "softmax")}
    assert model.variant == variant("slow_nano")
    model = load("slow_nano", heads=CHARADES, embedding=8, bn="frozen", dtype="mixed_bfloat16", dropout=0.1)
    assert {name: head.classes for name, head in model.heads.items()} == CHARADES
    assert model.get_layer("embed").units == 8 and model.get_layer("dropout").rate == 0.1
    assert model.get_layer("slow_stem_bn").policy == "frozen"
    assert model.get_layer("slow_stem_conv").compute_dtype == "bfloat16"


def test_variant_overrides():
    model = load("slowfast_nano", heads=HEADS, head_average="logits", lateral_kernel=3)
    assert model.variant == dataclasses.replace(variant("slowfast_nano"), head_average="logits", lateral_kernel=3)
    assert model.get_layer("lateral_stem_conv").kernel_size == (3, 1, 1)
    with pytest.raises(ValueError, match=r"no field 'lateral_kernal'\. Did you mean 'lateral_kernel'"):
        load("slowfast_nano", lateral_kernal=3)


def test_weights_of_the_name(zoo, trained):
    model = load("slow_nano.tiny")
    assert dict(model.heads) == {"verb": Head(3), "action": HEADS["action"]}
    assert model.variant.head_average == "logits"  # the overrides of the row
    assert model.load_report.loaded == tuple(canonical_weights(model))
    for name, array in arrays(trained).items():
        np.testing.assert_array_equal(arrays(model)[name], array)


def test_weights_false_keeps_the_heads_and_random_weights(zoo, trained):
    model = load("slow_nano.tiny", weights=False)
    assert model.load_report is None and list(model.heads) == ["verb", "action"]
    assert not np.array_equal(arrays(model)["slow/stem/conv/kernel"], arrays(trained)["slow/stem/conv/kernel"])


def test_weights_by_name_for_another_task(zoo, trained):
    model = load("slow_nano", weights="slow_nano.tiny", heads={"verb": 3, "object": 5}, embedding=8)
    report = model.load_report
    layers = {name.rpartition("/")[0] for name in report.new}
    assert layers == {"head/verb", "head/object", "embedding"}  # after an embedding every head has another input
    assert {name.rpartition("/")[0] for name in report.skipped} == {"head/verb", "head/action"}
    for name in report.loaded:
        np.testing.assert_array_equal(arrays(model)[name], arrays(trained)[name])
    assert len(report.loaded) == len(arrays(trained)) - 4


def test_weights_by_name_bring_their_heads(zoo):
    model = load("slow_nano", weights="slow_nano.tiny")
    assert list(model.heads) == ["verb", "action"] and model.load_report.new == ()


def test_new_heads_average_as_the_architecture_does(zoo):
    kept = load("slow_nano.tiny", heads={"verb": 3})
    assert kept.variant.head_average == "logits"
    for heads in ({"verb": 4}, {"other": 3}, {**HEADS, "other": 3}):
        assert load("slow_nano.tiny", heads=heads).variant.head_average == "probabilities"
    assert load("slow_nano.tiny", heads={"other": 3}, head_average="logits").variant.head_average == "logits"


def test_weights_of_another_entry_bring_what_their_shapes_do_not_tell(zoo):
    text = (zoo / "index.toml").read_text()
    more = "pixel_mean = [1.0, 2.0, 3.0], pixel_std = [4.0, 5.0, 6.0], clip = {fps = 12.0}, "
    try:
        (zoo / "index.toml").write_text(text.replace("overrides = {", f"overrides = {{{more}"))
        model = load("slow_nano", weights="slow_nano.tiny")
        assert model.variant.pixel_mean == (1.0, 2.0, 3.0) and model.variant.pixel_std == (4.0, 5.0, 6.0)
        assert model.variant.head_average == "logits" and model.clip.fps == 12.0
        assert load("slow_nano").variant == variant("slow_nano")
    finally:
        (zoo / "index.toml").write_text(text)


def test_new_blocks_of_another_architecture_may_be_new(zoo):
    model = load("slow_nano", weights="slow_nano.tiny", nonlocal_after=((3, 0),), heads=HEADS)
    assert {name.split("/")[2] for name in model.load_report.new} == {"nonlocal0"}


def test_features_of_weights_with_heads(zoo, trained):
    model = load("slow_nano.tiny", features_only=True)
    assert {name.rpartition("/")[0] for name in model.load_report.skipped} == {"head/verb", "head/action"}
    assert model.load_report.new == ()
    frames = random_clip(variant("slow_nano"), batch=1)
    np.testing.assert_array_equal(
        model(frames)["pooled"], keras.Model(trained.input, trained.endpoints["pooled"])(frames)
    )


def test_local_file(zoo, trained, tmp_path):
    path = tmp_path / "mine.weights.h5"
    trained.save_weights(path)
    for given in (path, str(path)):
        model = load("slow_nano", weights=given, heads=HEADS)
        assert model.load_report.new == ()
        for name, array in arrays(trained).items():
            np.testing.assert_array_equal(arrays(model)[name], array)


def test_local_file_without_heads_names_the_way_out(zoo, trained):
    path = zoo / "weights" / "slow_nano.tiny.weights.h5"
    with pytest.raises(ValueError, match=r"does not fit the model: head/action/kernel .*Pass heads=\.\.\. to train"):
        load("slow_nano", weights=path)


def test_weights_of_another_architecture_are_refused(zoo):
    with pytest.raises(ValueError, match=r"^slow_nano\.tiny does not fit the model: .*Load weights of the same archi"):
        load("slow_nano", weights="slow_nano.tiny", heads=HEADS, stage_channels=(64, 128, 192))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (True, "None, False, a name of the zoo or a path. Received: True"),
        ("slow_nano", "'slow_nano' is an architecture without weights. Names with weights of it: slow_nano.tiny"),
        ("slow_nano.tyny", "'slow_nano.tyny' is neither a name of the zoo nor a file. Did you mean 'slow_nano.tiny'"),
        ("weights", "'weights' is neither a name of the zoo nor a file"),
    ],
)
def test_wrong_weights_are_refused(zoo, weights, message):
    with pytest.raises(ValueError, match=message):
        load("slow_nano", weights=weights)


def test_missing_local_file(zoo, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"There is no weights file .*none\.weights\.h5"):
        load("slow_nano", weights=tmp_path / "none.weights.h5")


def test_damaged_and_missing_files_of_the_zoo(zoo):
    path = zoo / "weights" / "slow_nano.tiny.weights.h5"
    content = path.read_bytes()
    try:
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.raises(
            ValueError, match=r"weights of slow_nano\.tiny are damaged: .* has sha256 .* its card says "
        ):
            load("slow_nano.tiny")
        path.unlink()
        with pytest.raises(
            FileNotFoundError, match=r"weights of slow_nano\.tiny are missing: .*Install kerasfast again"
        ):
            load("slow_nano.tiny")
        load("slow_nano.tiny", weights=False)
    finally:
        path.write_bytes(content)


# --- data folders ----------------------------------------------------------------------------------------------------


def test_data_folders_of_a_checkout_a_wheel_and_neither(tmp_path, monkeypatch):
    package = tmp_path / "kerasfast"
    package.mkdir()
    monkeypatch.setattr(_data_folders, "_PACKAGE", package)
    with pytest.raises(FileNotFoundError, match=r"no index\.toml in .*_zoo or .*zoo\. Install kerasfast again"):
        _data_folders.zoo_dir()
    with pytest.raises(FileNotFoundError, match=r"no \*\.toml in .*_recipes or .*recipes"):
        _data_folders.recipes_dir()
    for folder, file, find in (
        ("zoo", "index.toml", _data_folders.zoo_dir),
        ("training/recipes", "a.toml", _data_folders.recipes_dir),
        ("kerasfast/_zoo", "index.toml", _data_folders.zoo_dir),
        ("kerasfast/_recipes", "a.toml", _data_folders.recipes_dir),
    ):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / file).write_text("")
        assert find() == tmp_path / folder


def test_the_shipped_weights_are_well_above_chance():
    figures = entry("slowfast_nano.miniature").card["metrics"]["action mAP"]
    assert figures["map"] >= 6 * figures["chance"]
