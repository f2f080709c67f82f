"""ONNX, OpenVINO and LiteRT; a runtime that is not installed skips its tests."""

import importlib.util
import json
import sys

import keras
import numpy as np
import pytest
from fresh_python import run_python
from model_case import random_clip, tiny_variant
from serving_case import VERBS, largest_difference, spread_model

import kerasfast as kf
from kerasfast.serving import export_format, load_format
from kerasfast.serving.formats import export as export_module
from kerasfast.serving.formats import onnx_file

PACKAGES = {
    "onnx": ("tf2onnx", "onnx", "onnxruntime"),
    "openvino": ("openvino",),
    "litert": ("ai_edge_litert",),
    "openvino int8": ("openvino", "nncf"),
}


def of(name):
    """A test's parameter: the format, or what is missing for it."""
    missing = [package for package in PACKAGES[name] if importlib.util.find_spec(package) is None]
    reason = f"needs {', '.join(missing)}: pip install 'kerasfast[{name.split()[0]}]'"
    return pytest.param(name.split()[0], marks=pytest.mark.skipif(bool(missing), reason=reason))


EVERY = [of("onnx"), of("openvino"), of("litert")]


@pytest.fixture(scope="module")
def model():
    return spread_model(tiny_variant(test_crop_size=64))


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    """Report by format, each written once."""
    folder, reports = tmp_path_factory.mktemp("formats"), {}

    def export(format):
        if format not in reports:
            reports[format] = export_format(model, folder / format, format)
        return reports[format]

    return export


@pytest.mark.parametrize("format", EVERY)
def test_the_runtime_gives_the_scores_of_the_model(model, exported, format):
    run = load_format(exported(format).path, threads=1)
    frames = random_clip(model.variant, 3, seed=1)
    found = run(frames)
    assert largest_difference(found, model(frames)) <= 1e-5
    assert all(values.dtype == np.float32 for values in found.values())
    assert np.ptp(found["verb"]) > 0.2, "scores that are all alike would agree with anything"
    assert largest_difference(run(frames[:1]), model(frames[:1])) <= 1e-5


@pytest.mark.parametrize("format", EVERY[:2])
def test_height_and_width_are_open(model, exported, format):
    frames = random_clip(model.variant, 1, 72, 96)
    assert largest_difference(load_format(exported(format).path)(frames), model(frames)) <= 1e-5


@pytest.mark.parametrize("format", EVERY)
def test_the_report_and_the_card(model, exported, format):
    report = exported(format)
    assert (report.format, report.precision) == (format, "float32")
    assert report.folded > 0 and report.seconds > 0 and 0 <= report.largest_difference <= 1e-5
    assert f"{format}, float32, " in str(report)
    card = json.loads((report.path / "card.json").read_text("utf-8"))
    names = {file.name for file in report.path.iterdir()}
    assert names == {"card.json", "labels", *card["files"]}
    assert report.bytes == sum((report.path / name).stat().st_size for name in card["files"])
    side = 64 if format == "litert" else "H"
    assert card["inputs"]["frames"]["axes"][:3] == ["batch", 8, side]
    assert card["outputs"]["action"] == {"dtype": "float32", "axes": ["batch", 7]}
    assert (report.path / "labels" / "verb.txt").read_text("utf-8").splitlines() == list(VERBS)


# Each runtime as its own documents show it, without kerasfast, Keras and TensorFlow.
ALONE = {
    "onnx": """
        session = __import__("onnxruntime").InferenceSession(f"{folder}/model.onnx")
        assert [(i.name, i.type, i.shape) for i in session.get_inputs()] == [
            ("frames", "tensor(uint8)", ["batch", 8, "H", "W", 3])
        ]
        action = session.run(["action"], {"frames": frames})[0]
    """,
    "openvino": """
        action = __import__("openvino").compile_model(f"{folder}/model.xml", "CPU")(frames)["action"]
    """,
    "litert": """
        from ai_edge_litert.interpreter import Interpreter
        action = Interpreter(f"{folder}/model.tflite").get_signature_runner()(frames=frames)["action"]
    """,
}


@pytest.mark.parametrize("format", EVERY)
def test_the_runtime_needs_nothing_else(model, exported, format, tmp_path):
    frames = random_clip(model.variant, 2)
    np.save(tmp_path / "frames.npy", frames)
    start = """
        import sys
        for name in ("kerasfast", "keras", "tensorflow"):
            sys.modules[name] = None  # importing it raises ImportError
        import numpy as np
        folder, work = sys.argv[1:]
        frames = np.load(f"{work}/frames.npy")
    """
    run_python(start + ALONE[format] + "    np.save(f'{work}/action.npy', action)\n", exported(format).path, tmp_path)
    np.testing.assert_allclose(np.load(tmp_path / "action.npy"), model(frames)["action"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("format", [of("openvino int8"), of("litert")])
def test_int8(model, exported, format, tmp_path):
    clips = random_clip(model.variant, 4, seed=5)
    report = export_format(model, tmp_path / "int8", format, quantize="int8", calibration=clips)
    assert report.precision == "int8" and "int8" in str(report)
    found = load_format(report.path)(clips)
    assert largest_difference(found, model(clips)) == pytest.approx(report.largest_difference, abs=1e-3)
    assert 1e-5 < report.largest_difference < 0.1, "equal scores would not be those of 8 bits"
    convolutions = sum(isinstance(layer, keras.layers.Conv3D) for layer in model.layers)
    # LiteRT's converter leaves the first one of the Slow pathway, which begins with a choice of frames, as it is.
    assert int8_kernels(format, report.path) >= convolutions - 1
    assert int8_kernels(format, exported(format).path) == 0


def int8_kernels(format, folder):
    """How many kernels of 8 bits a file holds."""
    if format == "openvino":
        return (folder / "model.xml").read_text("utf-8").count('element_type="i8"')
    from ai_edge_litert.interpreter import Interpreter

    tensors = Interpreter(f"{folder}/model.tflite").get_tensor_details()
    return sum(tensor["dtype"] == np.int8 and tensor["name"].endswith("/convolution") for tensor in tensors)


def test_a_bfloat16_model_is_written_in_float32(model, exported):
    format = next((param.values[0] for param in EVERY if not param.marks[0].args[0]), None)
    if format is None:
        pytest.skip("no runtime is installed")
    half = spread_model(tiny_variant(test_crop_size=64), dtype="mixed_bfloat16")
    half.set_weights(model.get_weights())
    report = export_format(half, exported(format).path.parent / "half", format)
    frames = random_clip(model.variant)
    assert largest_difference(load_format(report.path)(frames), model(frames)) <= 1e-5


def test_unknown_and_unfit_arguments(model, tmp_path):
    clips = random_clip(model.variant)
    for fields, words in [
        ({"format": "coreml"}, r"format must be one of onnx, openvino, litert.*'coreml'"),
        ({"format": "saved_model"}, r"SavedModels are written by kerasfast\.export"),
        ({"format": "onnx", "quantize": "int4"}, "quantize must be None or 'int8'.*'int4'"),
        ({"format": "onnx", "quantize": "int8", "calibration": clips}, "int8 is written for openvino and litert"),
        ({"format": "litert", "quantize": "int8"}, "int8 needs calibration clips"),
        ({"format": "litert", "calibration": clips}, "nothing else takes any"),
    ]:
        with pytest.raises(ValueError, match=words):
            export_format(model, tmp_path / "a", **fields)
    with pytest.raises(ValueError, match=r"network in it is model\.onnx.*Leave the suffix out"):
        export_format(model, tmp_path / "nano.onnx", "onnx")
    with pytest.raises(ValueError, match="takes a folder that export_format wrote"):
        load_format(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_unfit_models_and_paths(model, tmp_path):
    features = kf.build(tiny_variant(), features_only=True)
    with pytest.raises(ValueError, match="a model with heads"):
        export_format(features, tmp_path / "a", "onnx")
    with pytest.raises(ValueError, match=r"a model of kerasfast\.load or kerasfast\.build"):
        export_format(keras.Sequential(), tmp_path / "a", "onnx")
    (tmp_path / "there").mkdir()
    with pytest.raises(ValueError, match=r"never replaces.*there'"):
        export_format(model, tmp_path / "there", "onnx")
    assert [entry.name for entry in tmp_path.iterdir()] == ["there"]


@pytest.mark.parametrize("package", sorted({name for names in PACKAGES.values() for name in names}))
def test_a_missing_package_is_named_before_any_work(model, tmp_path, monkeypatch, package):
    name = next(key for key, names in PACKAGES.items() if package in names)
    format, *int8 = name.split()
    for other in PACKAGES[name]:  # whatever is installed here
        monkeypatch.setitem(sys.modules, other, None if other == package else sys)
        monkeypatch.setitem(sys.modules, f"{other}.interpreter", None if other == package else sys)
    options = {"quantize": "int8", "calibration": random_clip(model.variant)} if int8 else {}
    with pytest.raises(ValueError, match=rf"needs the package {package}, .*pip install 'kerasfast\[{format}\]'"):
        export_format(model, tmp_path / "a", format, **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("format", EVERY[:1])
def test_another_network_is_refused_and_nothing_is_left(model, tmp_path, monkeypatch, format):
    other = spread_model(tiny_variant(test_crop_size=64))
    other.get_layer("head_verb").bias.assign_add([0.01] * 4)
    traced = export_module.traced_network
    monkeypatch.setattr(export_module, "traced_network", lambda _, **options: traced(other, **options))
    with pytest.raises(ValueError, match=r"within 0\.0001 of the largest.*nothing was written"):
        export_format(model, tmp_path / "new" / "a", format)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("format", EVERY[:1])
def test_a_full_disk_leaves_nothing(model, tmp_path, monkeypatch, format):
    def full(_, folder, __):
        (folder / "model.onnx").write_bytes(b"half a network")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(onnx_file, "write", full)
    with pytest.raises(OSError, match="nothing was left there"):
        export_format(model, tmp_path / "a", format)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("format", EVERY)
def test_a_published_network(format, tmp_path):
    """SlowFast R50 8x8 on one clip of 256x256, as it is served."""
    large = spread_model(kf.variant("slowfast_r50_8x8"))
    report = export_format(large, tmp_path / format, format)
    print(report)
    assert report.folded > 100 and report.bytes > 100e6
    frames = random_clip(large.variant, 1, 256, 256, seed=2)
    found = load_format(report.path)(frames)
    assert largest_difference(found, large(frames)) <= 1e-4
    assert np.ptp(found["verb"]) > 0.2, "scores that are all alike would agree with anything"
