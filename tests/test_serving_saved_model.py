import json
import os
import subprocess

import keras
import numpy as np
import pytest
import tensorflow as tf
from fresh_python import run_python
from model_case import random_clip
from serving_case import VERBS, centre_views, jpeg_clips, largest_difference, small_variant, spread_model
from tensorflow.core.protobuf import saved_model_pb2

import kerasfast as kf
from kerasfast.serving import saved_model
from kerasfast.train.operating.calibration import Temperature
from kerasfast.train.operating.points import HeadPoint, OperatingPoints, weights_sha256

REQUESTS = {"one": (1, 64, 64), "three": (3, 80, 96)}

# Answers every request of a folder in both ways in which SavedModels are run, with nothing but TensorFlow.
SERVER = """
    import sys

    for name in ("kerasfast", "keras", "tf_keras", "av", "h5py"):
        sys.modules[name] = None  # importing it raises ImportError
    import numpy as np
    import tensorflow as tf

    model, folder = sys.argv[1:]
    requests = np.load(f"{folder}/requests.npz", allow_pickle=True)

    def signature_of(name):
        return {"jpeg": "jpeg_frames", "view": "views", "feat": "features"}.get(name[:4], "serving_default")

    loaded = tf.saved_model.load(model)
    answers = {}
    for name in requests:
        frames = requests[name]
        frames = tf.constant(frames.tolist() if frames.dtype == object else frames)
        for head, scores in loaded.signatures[signature_of(name)](frames=frames).items():
            answers[f"python/{name}/{head}"] = scores.numpy()

    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        graph = tf.compat.v1.saved_model.load(session, ["serve"], model)
        for name in requests:
            signature = graph.signature_def[signature_of(name)]
            fetches = {head: tensor.name for head, tensor in signature.outputs.items()}
            got = session.run(fetches, {signature.inputs["frames"].name: requests[name]})
            answers.update({f"session/{name}/{head}": scores for head, scores in got.items()})
    np.savez(f"{folder}/answers.npz", **answers)
"""


@pytest.fixture(scope="module")
def model():
    return spread_model("slowfast_nano")


@pytest.fixture(scope="module")
def report(model, tmp_path_factory):
    return kf.export(model, tmp_path_factory.mktemp("serving") / "slowfast" / "1")


@pytest.fixture
def small_model():
    return spread_model(small_variant())


def contents(folder):
    return {file.relative_to(folder): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.fixture(scope="module")
def answers(model, report, tmp_path_factory):
    folder = tmp_path_factory.mktemp("requests")
    requests = {name: random_clip(model.variant, *size) for name, size in REQUESTS.items()}
    requests["jpeg_wide"] = jpeg_clips(2, model.clip.frames, 72, 100)
    requests["jpeg_tall"] = jpeg_clips(1, model.clip.frames, 150, 90)
    requests["views"] = random_clip(model.variant, 4, 64, 64).reshape(2, 2, -1, 64, 64, 3)
    requests["features"] = random_clip(model.variant, 1, 64, 80)
    np.savez(folder / "requests.npz", **requests)
    run_python(SERVER, report.path, folder, cwd=folder, PYTHONPATH="")
    return requests, dict(np.load(folder / "answers.npz"))


def answer_to(answers, way, name):
    prefix = f"{way}/{name}/"
    return {key.removeprefix(prefix): value for key, value in answers.items() if key.startswith(prefix)}


@pytest.mark.parametrize("way", ["python", "session"])
def test_tensorflow_alone_merges_views_and_gives_features(model, answers, way):
    requests, found = answers
    views = [model(requests["views"][:, view]) for view in range(2)]
    expected = {
        "verb": np.maximum(*(np.asarray(scores["verb"]) for scores in views)),
        "action": np.mean([np.asarray(scores["action"]) for scores in views], axis=0),
    }
    assert largest_difference(answer_to(found, way, "views"), expected) <= 1e-5
    pooled = keras.Model(model.input, model.endpoints["pooled"])(requests["features"])
    assert largest_difference(answer_to(found, way, "features"), {"pooled": pooled}) <= 1e-5 * np.max(pooled)


@pytest.mark.parametrize("way", ["python", "session"])
@pytest.mark.parametrize("name", [*REQUESTS, "jpeg_wide", "jpeg_tall"])
def test_tensorflow_alone_gives_the_scores_of_the_python_model(model, answers, way, name):
    requests, found = answers
    scores, frames = answer_to(found, way, name), requests[name]
    if name.startswith("jpeg"):
        frames = centre_views(frames, model.variant.test_crop_size)
    expected = model(frames)
    assert largest_difference(scores, expected) <= 1e-5
    assert all(value.dtype == np.float32 for value in scores.values())
    assert np.ptp(expected["verb"]) > 0.2, "scores that are all alike would agree with anything"


def test_a_session_refuses_other_frames_with_the_same_words(report):
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        graph = tf.compat.v1.saved_model.load(session, ["serve"], str(report.path))
        for name, frames in (
            ("serving_default", np.zeros((1, 31, 64, 64, 3), np.uint8)),
            ("jpeg_frames", [[b"x"] * 31]),
        ):
            signature = graph.signature_def[name]
            fetches = {head: tensor.name for head, tensor in signature.outputs.items()}
            with pytest.raises(tf.errors.InvalidArgumentError, match=r"slowfast_nano takes .*shape \(batch, 32"):
                session.run(fetches, {signature.inputs["frames"].name: frames})


def test_the_report_says_what_was_written(report):
    assert report.signatures == ("serving_default", "jpeg_frames", "views", "features")
    assert report.precision == "float32" and report.folded == 29
    assert report.bytes == sum(len(file) for file in contents(report.path).values())
    assert 0 <= report.largest_difference <= 1e-5 and report.seconds > 0
    assert report.float32_difference == report.largest_difference and "in float32" not in str(report)
    for part in ("serving_default, jpeg_frames, views, features", "29 batch norms folded", str(report.path)):
        assert part in str(report)


def test_only_the_model_is_left_in_the_parent_folder(report):
    assert [entry.name for entry in report.path.parent.iterdir()] == ["1"]
    assert report.path.stat().st_mode & 0o777 == 0o777 & ~_umask()


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_class_names_and_clip_lie_beside_the_graph(report, model):
    extra = report.path / "assets.extra"
    assert (extra / "labels" / "verb.txt").read_text("utf-8").splitlines() == list(VERBS)
    assert [file.name for file in (extra / "labels").iterdir()] == ["verb.txt"]
    card = json.loads((extra / "card.json").read_text("utf-8"))
    outputs = {
        "verb": {"dtype": "float32", "axes": ["batch", 4]},
        "action": {"dtype": "float32", "axes": ["batch", 7]},
    }
    shapes = {name: value["inputs"]["frames"] for name, value in card["signatures"].items()}
    assert shapes == {
        "serving_default": {"dtype": "uint8", "axes": ["batch", 32, "H", "W", 3]},
        "jpeg_frames": {"dtype": "string", "axes": ["batch", 32]},
        "views": {"dtype": "uint8", "axes": ["batch", "views", 32, "H", "W", 3]},
        "features": {"dtype": "uint8", "axes": ["batch", 32, "H", "W", 3]},
    }
    answers = {name: value["outputs"] for name, value in card.pop("signatures").items()}
    assert answers.pop("features") == {"pooled": {"dtype": "float32", "axes": ["batch", 320]}}
    assert answers == dict.fromkeys(("serving_default", "jpeg_frames", "views"), outputs)
    assert card == {
        "model": "slowfast_nano",
        "clip": {"frames": 32, "stride": 1, "fps": 24.0},
        "sampling": "clip",
        "crop_size": 64,
        "heads": {
            "verb": {"classes": 4, "activation": "sigmoid", "merge": "max", "labels": "labels/verb.txt"},
            "action": {"classes": 7, "activation": "softmax", "merge": "mean"},
        },
        "precision": "float32",
        "winograd": 0,
        "kerasfast": kf.__version__,
    }


ANSWERS = """
    import json
    import sys

    for name in ("kerasfast", "keras", "tensorflow"):
        sys.modules[name] = None  # importing it raises ImportError
    extra, scores = sys.argv[1], json.loads(sys.argv[2])
    with open(f"{extra}/card.json", encoding="utf-8") as file:
        card = json.load(file)
    with open(f"{extra}/{card['operating_points']}", encoding="utf-8") as file:
        head = json.load(file)["heads"]["verb"]
    classes = zip(head["labels"], scores, head["thresholds"], strict=True)
    print(json.dumps([label for label, score, threshold in classes if score >= threshold]))
"""


def test_operating_points_are_exported_with_the_model(small_model, tmp_path):
    head = HeadPoint("sigmoid", (0.1, 0.7, 0.3, 0.9), Temperature("sigmoid", 2.0), labels=VERBS)
    protocol = {"split": "val", "videos": 9, "clips": 10, "crops": 3, "merge": "max"}
    points = OperatingPoints({"verb": head}, weights_sha256(small_model), protocol, {})
    extra = kf.export(small_model, tmp_path / "1", operating_points=points).path / "assets.extra"
    assert OperatingPoints.load(extra) == points
    scores = [0.2, 0.6, 0.3, 0.8]
    expected = {one.label for one in points.decide({"verb": np.array(scores)})["verb"].classes}
    assert set(json.loads(run_python(ANSWERS, extra, json.dumps(scores)))) == expected == {VERBS[0], VERBS[2]}


def test_operating_points_of_other_weights_are_refused(small_model, tmp_path):
    points = OperatingPoints({"verb": HeadPoint("sigmoid", (0.5,) * 4)}, "0" * 64, {}, {})
    with pytest.raises(ValueError, match="belong to the weights that they were fitted for"):
        kf.export(small_model, tmp_path / "a" / "1", operating_points=points)
    assert list(tmp_path.iterdir()) == []


def test_a_trained_model_is_exported_without_its_optimizer_and_left_as_it_is(small_model, tmp_path):
    small_model.compile("adam", loss={"verb": "binary_crossentropy", "action": "categorical_crossentropy"})
    small_model.optimizer.build(small_model.trainable_variables)
    before = small_model.get_weights()
    report = kf.export(small_model, tmp_path / "1")
    for old, new in zip(before, small_model.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)
    assert report.largest_difference <= 1e-5
    stored = [shape for _, shape in tf.train.list_variables(str(report.path / "variables" / "variables")) if shape]
    # One kernel for each convolution and head, one bias for each folded batch norm and head.
    layers = [layer for layer in small_model.layers if isinstance(layer, (keras.layers.Conv3D, keras.layers.Dense))]
    assert len(layers) > 5 and len(stored) == 2 * len(layers)
    assert sum(np.prod(shape) for shape in stored) < small_model.count_params()


def test_a_bfloat16_model_is_served_in_float32(tmp_path):
    model = spread_model(small_variant(), dtype="mixed_bfloat16")
    report = kf.export(model, tmp_path / "1")
    exact = spread_model(small_variant())
    exact.set_weights(model.get_weights())
    frames = random_clip(model.variant)
    scores = tf.saved_model.load(str(report.path)).signatures["serving_default"](frames=tf.constant(frames))
    assert largest_difference(scores, exact(frames)) <= 1e-5
    assert largest_difference(model(frames), exact(frames)) > 1e-4, "these numbers would not show a bfloat16 export"
    assert report.largest_difference <= 1e-5


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_a_bfloat16_export_stores_and_computes_its_convolutions_in_bfloat16(policy, tmp_path):
    model = spread_model(small_variant(), dtype=policy)
    report = kf.export(model, tmp_path / "1", precision="bfloat16", signatures=["serving_default"])
    loaded = tf.saved_model.load(str(report.path))
    stored = {variable.name: variable.dtype for variable in loaded.weights}
    heads = [f"head_{name}/{part}:0" for name in model.heads for part in ("kernel", "bias")]
    assert sorted(name for name, dtype in stored.items() if dtype == tf.float32) == sorted(heads)
    assert {dtype for name, dtype in stored.items() if name not in heads} == {tf.bfloat16}
    exact = spread_model(small_variant())
    frames = random_clip(model.variant)
    scores = loaded.signatures["serving_default"](frames=tf.constant(frames))
    assert all(values.dtype == tf.float32 for values in scores.values())
    assert 1e-4 < largest_difference(scores, exact(frames)) <= 0.03
    assert 1e-5 < report.largest_difference <= 0.03 and 1e-5 < report.float32_difference <= 0.03
    assert f"{report.float32_difference:.1e} to it in float32" in str(report)
    card = json.loads((report.path / "assets.extra" / "card.json").read_text("utf-8"))
    assert card["precision"] == "bfloat16"


def test_a_bfloat16_export_casts_no_weights_when_it_is_asked(tmp_path):
    model = spread_model(small_variant())
    report = kf.export(model, tmp_path / "1", precision="bfloat16", signatures=["serving_default"])
    saved = saved_model_pb2.SavedModel.FromString((report.path / "saved_model.pb").read_bytes())
    nodes = [node for function in saved.meta_graphs[0].graph_def.library.function for node in function.node_def]
    read = {node.name for node in nodes if node.op == "ReadVariableOp"}
    casts = [node for node in nodes if node.op == "Cast"]
    assert len(read) > 10 and casts
    assert [node.name for node in casts if node.input[0].partition(":")[0] in read] == []


def test_only_the_signatures_that_were_asked_for_are_written(small_model, tmp_path):
    report = kf.export(small_model, tmp_path / "1", signatures=("features", "views"))
    assert report.signatures == ("features", "views")
    assert set(tf.saved_model.load(str(report.path)).signatures) == {"features", "views"}
    for names in ("views", [], ["views", "views"], ["serving_default", "jpegs"]):
        with pytest.raises(ValueError, match="signatures must be some of serving_default, jpeg_frames, views"):
            kf.export(small_model, tmp_path / "2", signatures=names)


def test_views_are_merged_by_the_rule_that_was_asked_for(small_model, tmp_path):
    report = kf.export(small_model, tmp_path / "1", signatures=["views"], merge="mean")
    views = random_clip(small_model.variant, 3)[None]
    expected = {name: np.mean(values, axis=0, keepdims=True) for name, values in small_model.predict(views[0]).items()}
    found = tf.saved_model.load(str(report.path)).signatures["views"](frames=tf.constant(views))
    assert largest_difference(found, expected) <= 1e-5
    card = json.loads((report.path / "assets.extra" / "card.json").read_text("utf-8"))
    assert [head["merge"] for head in card["heads"].values()] == ["mean", "mean"]
    with pytest.raises(ValueError, match=r"merge must be 'max' or 'mean'\. Received: 'median'"):
        kf.export(small_model, tmp_path / "2", merge="median")


@pytest.mark.parametrize("fitted", ["mean", {"verb": "mean"}])
def test_views_are_merged_as_the_operating_points_were_fitted(small_model, tmp_path, fitted):
    points = OperatingPoints(
        {"verb": HeadPoint("sigmoid", (0.5,) * 4)}, weights_sha256(small_model), {"merge": fitted}, {}
    )
    with pytest.raises(ValueError, match="merged as they were when the operating points were fitted"):
        kf.export(small_model, tmp_path / "1", merge="max", operating_points=points)
    report = kf.export(small_model, tmp_path / "1", signatures=["views"], operating_points=points)
    card = json.loads((report.path / "assets.extra" / "card.json").read_text("utf-8"))
    assert {name: head["merge"] for name, head in card["heads"].items()} == {"verb": "mean", "action": "mean"}


def test_sides_and_embedding_of_the_row_are_served(tmp_path):
    model = spread_model(small_variant(test_crop_size=80), embedding=16, bn="frozen")
    report = kf.export(model, tmp_path / "1")
    files = jpeg_clips(1, model.clip.frames, 90, 90)
    scores = tf.saved_model.load(str(report.path)).signatures["jpeg_frames"](frames=tf.constant(files.tolist()))
    assert largest_difference(scores, model(centre_views(files, 80))) <= 1e-5
    frames = random_clip(model.variant)
    features = tf.saved_model.load(str(report.path)).signatures["features"](frames=tf.constant(frames))
    expected = keras.Model(model.input, {name: model.endpoints[name] for name in ("pooled", "embedding")})(frames)
    assert largest_difference(features, expected) <= 1e-5 * np.max(expected["pooled"])


def test_what_exists_is_refused_and_left_untouched(small_model, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "saved_model.pb").write_bytes(b"served since Tuesday")
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_bytes(b"notes")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    before = contents(tmp_path)
    for name in ("folder", "empty", "file", "link"):
        with pytest.raises(ValueError, match=rf"never replaces.*{name}'.*exists. Give a new path"):
            kf.export(small_model, tmp_path / name)
    assert contents(tmp_path) == before
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["empty", "file", "folder", "link"]


def test_a_folder_that_appears_meanwhile_is_left_untouched(small_model, tmp_path, monkeypatch):
    def save_late(*_, **__):
        (tmp_path / "1").mkdir()
        (tmp_path / "1" / "saved_model.pb").write_bytes(b"from another export")

    monkeypatch.setattr(saved_model, "write_warmup", save_late)
    with pytest.raises(ValueError, match="never replaces"):
        kf.export(small_model, tmp_path / "1")
    assert contents(tmp_path) == {(tmp_path / "1" / "saved_model.pb").relative_to(tmp_path): b"from another export"}


def test_a_failed_export_leaves_nothing(small_model, tmp_path, monkeypatch):
    def full_disk(_, folder, **__):
        (tmp_path / "a" / "keep").write_bytes(b"")
        with tf.io.gfile.GFile(f"{folder}.txt", "w") as file:
            file.write("half a model")
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")

    (tmp_path / "a").mkdir()
    monkeypatch.setattr(tf.saved_model, "save", full_disk)
    with pytest.raises(OSError, match=r"could not be written.*No space left on device.*MB free; make room"):
        kf.export(small_model, tmp_path / "a" / "b" / "c" / "1")
    assert list(tmp_path.rglob("*")) == [tmp_path / "a", tmp_path / "a" / "keep"]


def test_a_full_disk_leaves_what_was_there(small_model, small_disk):
    (small_disk / "1").mkdir()
    (small_disk / "1" / "saved_model.pb").write_bytes(b"served since Tuesday")
    before = contents(small_disk)
    with pytest.raises(OSError, match=r"export to .*/2 could not be written, and nothing was left there"):
        kf.export(spread_model("slowfast_nano"), small_disk / "2")
    assert contents(small_disk) == before
    assert [entry.name for entry in small_disk.iterdir()] == ["1"]


def test_a_read_only_folder_is_refused(small_model, small_disk):
    (small_disk / "1").mkdir()
    remount = ["mount", "-o", "remount,ro", str(small_disk)]
    subprocess.run(remount, check=True)
    with pytest.raises(ValueError, match=r"folder that can be written. Received: path=.*/2'; .*[Rr]ead-only"):
        kf.export(small_model, small_disk / "2")
    assert [entry.name for entry in small_disk.iterdir()] == ["1"]


def test_weights_that_give_no_numbers_are_not_exported(small_model, tmp_path):
    kernel = small_model.get_layer("head_verb").kernel
    kernel.assign(np.full(kernel.shape, np.nan))
    with pytest.raises(ValueError, match="Check that the weights are finite"):
        kf.export(small_model, tmp_path / "a" / "1")
    assert list(tmp_path.iterdir()) == []


def test_bad_arguments_are_refused_before_anything_is_written(small_model, tmp_path):
    target = tmp_path / "1"
    with pytest.raises(ValueError, match=r"precision must be one of float32, bfloat16. Received: precision='float16'"):
        kf.export(small_model, target, precision="float16")
    with pytest.raises(ValueError, match=r"model of kerasfast.load .* Received: keras"):
        kf.export(keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]), target)
    with pytest.raises(ValueError, match="features_only"):
        kf.export(kf.build(small_variant(), features_only=True), target)
    with pytest.raises(ValueError, match=r"local folder. Received: path='gs://bucket/1'"):
        kf.export(small_model, "gs://bucket/1")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ValueError, match="folder that can be written"):
        kf.export(small_model, tmp_path / "file" / "1")
    for label in ("two\nlines", ""):
        model = kf.build(small_variant(), heads={"action": kf.Head(1, labels=(label,))})
        with pytest.raises(ValueError, match="Class names are written one a line"):
            kf.export(model, target)
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
