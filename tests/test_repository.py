"""The shape of the repository: who imports whom, how long a module may be, and that every module has its test."""

import ast
import functools
import sys
from pathlib import Path

import pytest

import kerasfast

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "kerasfast"
MODULES = sorted(PACKAGE.rglob("*.py"))

# Data flows one way: a layer imports itself and what stands before it.
LAYERS = (
    *("_lazy", "_data_folders", "data", "models", "decoding", "checkpoints", "weights", "zoo_index", "download"),
    *("porting", "cache", "registry", "verify", "train", "serving", "explain", "cli"),
)

# Module -> the only ones that may import it, as file names or folders.
IMPORTERS = {
    "av": (
        "data/containers.py",
        "data/live_video.py",
        "data/pictures.py",
        "data/video.py",
        "data/checks/one_video.py",
        "data/video_writer.py",
    ),
    "filelock": ("cache.py",),
    "grpc": ("serving/grpc_service.py",),
    "h5py": ("weights.py",),
    "matplotlib": ("train/plots.py", "explain/", "cli/"),
    "rich": ("download.py", "cli/"),
    "sklearn": ("train/",),
    "tf_keras_vis": ("explain/",),
    "torch": (),
    "torchvision": (),
    "pytorchvideo": (),
    "apache_beam": ("data/records/beam.py", "data/records/beam_store.py"),
    "tensorflow_io": (),
    "tensorflow_serving": ("serving/grpc_service.py",),
    "typer": ("cli/",),
    # models: the fused batch norm and replicas alone, so that everything else there runs on any backend of Keras.
    "tensorflow": (
        "models/layers.py",
        "models/replicas.py",
        "data/records/jpeg.py",
        "data/pipeline/",
        "data/records/executor.py",
        "data/records/store.py",
        "data/records/parts.py",
        "data/records/schema.py",
        "data/records/build.py",
        "train/",
        "serving/",
        "explain/",
        "cli/",
    ),
    "keras": ("models/", "weights.py", "porting.py", "cache.py", "verify/", "train/", "serving/", "explain/", "cli/"),
}

# Modules whose test has another name than tests/test_<package>_<module>.py: parts that are tested through the module
# made of them.
TESTED_BY = {
    "_data_folders.py": "test_registry.py",
    "_lazy.py": "test_data_package.py",
    "checkpoints/entries.py": "test_checkpoints_reader.py",
    "checkpoints/errors.py": "test_checkpoints_hostile.py",
    "checkpoints/inert.py": "test_checkpoints_hostile.py",
    "checkpoints/machine.py": "test_checkpoints_pickles.py",
    "checkpoints/names.py": "test_checkpoints_canonical.py",
    "checkpoints/stream.py": "test_checkpoints_pickles.py",
    "checkpoints/torch_files.py": "test_checkpoints_reader.py",
    "checkpoints/zip_members.py": "test_checkpoints_hostile.py",
    "cli/check_sources.py": "test_cli_check.py",
    "cli/predict_forms.py": "test_cli_predict.py",
    "cli/predict_run.py": "test_cli_predict.py",
    "cli/sources.py": "test_cli_predict.py",
    "cli/predict_tables.py": "test_cli_predict.py",
    "cli/serving.py": "test_cli_training.py",
    "data/records/state.py": "test_data_records_build.py",
    "data/containers.py": "test_data_video.py",
    "data/csv_rows.py": "test_data_annotations.py",
    "data/errors.py": "test_data_annotations.py",
    "data/records/jpeg.py": "test_data_pipeline_transforms.py",
    "data/files.py": "test_data_records_build.py",
    "data/live_video.py": "test_data_stream.py",
    "data/records/assemble.py": "test_data_records_build.py",
    "data/records/manifest.py": "test_data_records_build.py",
    "data/records/cluster.py": "test_data_records_beam.py",
    "data/records/output.py": "test_data_records_beam.py",
    "data/records/beam_store.py": "test_data_records_beam.py",
    "data/miniature/files.py": "test_data_miniature_generate.py",
    "data/miniature/plan.py": "test_data_miniature_scripts.py",
    "data/miniature/render.py": "test_data_miniature_controls.py",
    "data/miniature/sprites.py": "test_data_miniature_scripts.py",
    "data/miniature/subjects.py": "test_data_miniature_scripts.py",
    "data/pictures.py": "test_data_video.py",
    "data/records/read.py": "test_data_records_build.py",
    "data/records/parts.py": "test_data_records_build.py",
    "data/records/plan.py": "test_data_records_build.py",
    "data/records/schema.py": "test_data_records_build.py",
    "data/records/store.py": "test_data_records_folder.py",
    "data/sources.py": "test_data_frames.py",
    "data/video_writer.py": "test_data_video.py",
    "data/pipeline/augment_ops.py": "test_data_pipeline_rand_augment.py",
    "data/pipeline/reading.py": "test_data_pipeline_training.py",
    "data/pipeline/windows.py": "test_data_pipeline_training.py",
    "explain/timelines/watch.py": "test_explain_predict.py",
    "explain/timelines/whole.py": "test_explain_predict.py",
    "explain/report/dataset.py": "test_explain_report_page.py",
    "explain/report/picture.py": "test_explain_report_figures.py",
    "explain/report/sections.py": "test_explain_report_page.py",
    "models/row.py": "test_models_variants.py",
    "serving/card.py": "test_serving_saved_model.py",
    "serving/errors.py": "test_serving_rest.py",
    "serving/formats/litert_file.py": "test_serving_formats_export.py",
    "serving/formats/network.py": "test_serving_formats_export.py",
    "serving/formats/onnx_file.py": "test_serving_formats_export.py",
    "serving/formats/openvino_files.py": "test_serving_formats_export.py",
    "serving/formats/packages.py": "test_serving_formats_export.py",
    "serving/packing.py": "test_serving_client.py",
    "serving/new_folder.py": "test_serving_saved_model.py",
    "train/callbacks.py": "test_train_recipes_recipe.py",
    "train/recipes/sections.py": "test_train_recipes_recipe.py",
    "train/scoring/files.py": "test_train_scoring_report.py",
    "train/scoring/heads.py": "test_train_evaluate.py",
    "train/scoring/result.py": "test_train_evaluate.py",
    "train/scoring/tables.py": "test_train_scoring_report.py",
    "train/scoring/videos.py": "test_train_evaluate.py",
    "train/optimizers/compiling.py": "test_train_recipes_recipe.py",
    "train/fitting/loop.py": "test_train_fitting_stages.py",
    "train/recipes/checks.py": "test_train_recipes_recipe.py",
    "train/recipes/training.py": "test_train_recipes_recipe.py",
    "train/recipes/toml_tables.py": "test_train_recipes_recipe.py",
}


def label(path):
    return path.relative_to(PACKAGE).as_posix()


@functools.cache
def nodes_of(path):
    return tuple(ast.walk(ast.parse(path.read_text("utf-8"))))


def imports_of(path):
    """Dotted names that a module imports anywhere in it, type checking included; `from a import b` gives `a.b`."""
    for node in nodes_of(path):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{label(path)}: imports are absolute here"
            for alias in node.names:
                yield f"{node.module}.{alias.name}"


def layer_of(dotted):
    """Index in LAYERS of `kerasfast.<layer>...`; a public name such as `kerasfast.load` counts where it is defined."""
    name = dotted.split(".")[1]
    if name in kerasfast._PUBLIC:
        name = kerasfast._PUBLIC[name].partition(":")[0].partition(".")[0]
    return LAYERS.index(name)


def layering_violations(path):
    own = LAYERS.index(label(path).partition("/")[0].removesuffix(".py"))
    for dotted in imports_of(path):
        if dotted in ("kerasfast", "kerasfast.__version__"):
            continue
        if dotted.partition(".")[0] == "kerasfast" and layer_of(dotted) > own:
            yield f"{label(path)} imports {dotted}, which stands after it"
    # `import kerasfast` is for its version; through its public names a module could reach any layer.
    for node in nodes_of(path):
        of_package = isinstance(node, ast.Attribute) and ast.unparse(node.value) == "kerasfast"
        if of_package and node.attr != "__version__":
            yield f"{label(path)} uses kerasfast.{node.attr}; import it from its module"


def test_layering():
    modules = [path for path in MODULES if path != PACKAGE / "__init__.py"]
    assert {label(path).partition("/")[0].removesuffix(".py") for path in modules} <= set(LAYERS)
    assert [found for path in modules for found in layering_violations(path)] == []


@pytest.mark.parametrize(
    ("line", "refused"),
    [
        ("from kerasfast.train.losses import x", True),
        ("import kerasfast.cli.main", True),
        ("from kerasfast import load", True),
        ("from kerasfast import train", True),
        ("def f():\n    from kerasfast.registry import load", True),
        ("import kerasfast\nkerasfast.load('x')", True),
        ("import kerasfast\nprint(kerasfast.__version__)", False),
        ("from kerasfast import __version__", False),
        ("from kerasfast.models.heads import Head", False),
        ("from kerasfast import ClipSpec, build", False),
        ("import keras, numpy", False),
    ],
)
def test_layering_is_seen(line, refused, tmp_path, monkeypatch):
    """The check above finds what it is for, in a module of `models`."""
    monkeypatch.setitem(globals(), "PACKAGE", tmp_path)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "some.py").write_text(line + "\n")
    assert bool(list(layering_violations(tmp_path / "models" / "some.py"))) == refused


@pytest.mark.parametrize("package", IMPORTERS)
def test_importers(package):
    allowed = IMPORTERS[package]
    found = [
        label(path)
        for path in MODULES
        if any(name.partition(".")[0] == package for name in imports_of(path))
        and not any(label(path) == name or (name.endswith("/") and label(path).startswith(name)) for name in allowed)
    ]
    assert found == []


def test_numpy_alone():
    """Which frames a clip takes, what annotations say and what labels mean can be used without a framework."""
    for name in ("clips", "annotations", "csv_rows", "folder", "listing", "labels", "errors"):
        foreign = {dotted.partition(".")[0] for dotted in imports_of(PACKAGE / "data" / f"{name}.py")}
        assert foreign - set(sys.stdlib_module_names) - {"kerasfast"} <= {"numpy"}, name


def test_the_client_needs_no_framework_for_rest():
    """Only the gRPC side may bring TensorFlow; that the whole client starts without it is tested with it."""
    for name in ("client", "connections", "errors", "packing", "rest", "retries", "served_card"):
        foreign = {dotted.partition(".")[0] for dotted in imports_of(PACKAGE / "serving" / f"{name}.py")}
        assert foreign - set(sys.stdlib_module_names) - {"kerasfast"} <= {"numpy"}, name


def test_checkpoints_stand_alone():
    """Files of other frameworks are read with NumPy, and without Python's own unpickler."""
    for path in (PACKAGE / "checkpoints").glob("*.py"):
        names = set(imports_of(path))
        assert {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names) <= {"kerasfast", "numpy"}, path
        assert {".".join(name.split(".")[:2]) for name in names if name.startswith("kerasfast.")} <= {
            "kerasfast.checkpoints"
        }, path
        assert not {name.partition(".")[0] for name in names} & {"pickle", "marshal", "shelve", "zipfile", "importlib"}


def test_modules_are_short():
    folders = [PACKAGE, ROOT / "tools", ROOT / "training"]
    lengths = {
        path.relative_to(ROOT).as_posix(): len(path.read_text("utf-8").splitlines())
        for folder in folders
        for path in folder.rglob("*.py")
    }
    assert {name: lines for name, lines in lengths.items() if lines > 300} == {}


def test_every_module_has_its_test():
    tests = {path.name for path in (ROOT / "tests").glob("test_*.py")}
    modules = [label(path) for path in MODULES if path.name != "__init__.py"]
    expected = {name: TESTED_BY.get(name, "test_" + name.replace("/", "_")) for name in modules}
    assert {name: test for name, test in expected.items() if test not in tests} == {}
    assert set(TESTED_BY) <= set(modules), "TESTED_BY names a module that is gone"


def find_tests(path):
    """Names of the tests that a file defines, in classes too."""
    tree = ast.parse(path.read_text("utf-8"))
    return [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]


def test_every_test_file_is_collected(request):
    """pytest passes over a file of another name, and a file in which it finds nothing, without a word."""
    assert request.config.getini("testpaths") == ["tests"]
    assert request.config.getini("python_files") == ["test_*.py", "*_test.py"]
    folder = ROOT / "tests"
    for path in folder.rglob("*.py"):
        holds_tests = bool(find_tests(path))
        assert holds_tests == path.name.startswith("test_"), f"{path.relative_to(ROOT)}"
        assert "collect_ignore" not in path.read_text("utf-8") or path == Path(__file__).resolve()


def test_tests_have_no_twins():
    """Two files of one name in different folders shadow each other in pytest's default import mode."""
    names = [path.name for path in (ROOT / "tests").rglob("*.py")]
    assert sorted(names) == sorted(set(names))
