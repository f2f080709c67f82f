"""What an import pulls in, and models on another backend than TensorFlow, in fresh interpreters."""

import json

import numpy as np
import numpy_reference as reference
import pytest
from fresh_python import run_python
from model_case import random_clip, wake_up

from kerasfast.models.classifier import build
from kerasfast.models.heads import Head
from kerasfast.models.variants import variant

# Put in front of a script: importing any of these packages, however deep, is an error.
BLOCK = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names!r}:
            raise ImportError(f"{{name}} must not be imported here")

sys.meta_path.insert(0, Blocked())
"""
HEAVY = ("tensorflow", "tensorflow_io", "tf_keras", "torch")
# Building a model takes keras, numpy and h5py.
NOT_FOR_MODELS = (*HEAVY, "av", "matplotlib", "typer")

LISTED = """
import importlib, json, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


@pytest.mark.parametrize(
    ("modules", "absent"),
    [
        (["kerasfast", "kerasfast.data"], {"keras", "numpy", "h5py", "av", *HEAVY}),
        (["kerasfast.data.clips", "kerasfast.data.annotations", "kerasfast.data.labels"], {"keras", "av", *HEAVY}),
        (["kerasfast.models.variants", "kerasfast.registry"], {"keras", *HEAVY}),
        (["kerasfast.cli.main"], {"torch"}),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, list) else "",
)
def test_imports_stay_light(modules, absent):
    loaded = set(json.loads(run_python(LISTED, *modules).splitlines()[-1]))
    assert "kerasfast" in loaded
    assert not loaded & absent, f"{modules} import {sorted(loaded & absent)}"


def test_public_names_load_on_first_use():
    script = """
    import sys
    import kerasfast as kf
    assert {"build", "load", "list_models", "CHARADES", "ClipSpec"} <= set(dir(kf)) == set(kf.__all__)
    assert kf.variant("slow_nano").clip == kf.ClipSpec(4, 8, 24.0)
    assert "keras" not in sys.modules
    try:
        kf.bild
    except AttributeError as error:
        print(error)
    """
    assert run_python(script).splitlines()[-1] == "module 'kerasfast' has no attribute 'bild'"


def test_every_public_name_exists():
    import kerasfast

    for name in kerasfast.__all__:
        assert getattr(kerasfast, name) is not None


# --- jax -------------------------------------------------------------------------------------------------------------

JAX = """
import keras
import numpy as np
import kerasfast
from kerasfast.models.layers import BatchNorm
from kerasfast.weights import assign, read_weights

folder = sys.argv[1]
assert keras.backend.backend() == "jax"
given = np.load(f"{folder}/given.npz")
model = kerasfast.build("slowfast_nano", heads={"verb": 3, "action": kerasfast.Head(4, "softmax")})
assign(model, read_weights(f"{folder}/model.weights.h5"), source="TensorFlow", new_heads=False)
results = {
    "call": model(given["frames"])["verb"],
    **model.predict(given["frames"], verbose=0),  # compiled: shapes have to be known there
    "wide": model.predict(given["wide"], verbose=0)["verb"],
}
norm = BatchNorm()
results["norm"] = norm(given["features"], training=True)
results["moving_mean"], results["moving_variance"] = norm.moving_mean, norm.moving_variance
np.savez(f"{folder}/results.npz", **{key: np.asarray(value) for key, value in results.items()})
assert kerasfast.load("fast_nano", weights=False).load_report is None
try:
    BatchNorm("sync")
except ValueError as error:
    print(error)
print(sorted({name.partition(".")[0] for name in sys.modules} & set(sys.argv[2:])))
"""


@pytest.fixture(scope="module")
def on_jax(tmp_path_factory):
    """The TensorFlow model, its inputs, and what a jax process without TensorFlow and torch printed and computed."""
    folder = tmp_path_factory.mktemp("jax")
    model = wake_up(build("slowfast_nano", heads={"verb": 3, "action": Head(4, "softmax")}))
    model.save_weights(folder / "model.weights.h5")
    given = {
        "frames": random_clip(model.variant, batch=1),
        "wide": random_clip(model.variant, batch=1, height=112, width=128),  # 7x8 positions: two windows
        "features": np.random.default_rng(0).normal(1, 2, (2, 2, 3, 2, 4)).astype("float32"),
    }
    np.savez(folder / "given.npz", **given)
    printed = run_python(
        BLOCK.format(names=NOT_FOR_MODELS) + JAX,
        folder,
        *NOT_FOR_MODELS,
        KERAS_BACKEND="jax",
        JAX_PLATFORMS="cpu",
        JAX_DISABLE_MOST_OPTIMIZATIONS="1",  # compiling the random initialisers is what takes the time
    )
    return model, given, printed.splitlines(), dict(np.load(folder / "results.npz"))


def test_jax_needs_neither_tensorflow_nor_torch(on_jax):
    _, _, printed, _ = on_jax
    assert printed[-1] == "[]"
    assert "'sync' needs the TensorFlow backend. Received: jax. Use bn='replica' or bn='frozen'" in printed[-2]


def test_jax_computes_the_same(on_jax):
    model, given, _, results = on_jax
    expected = {**model(given["frames"]), "wide": model(given["wide"])["verb"]}
    expected["call"] = expected["verb"]
    for name, value in expected.items():
        reference.assert_close(results[name], value)


# Fields that between them use every layer that the networks above lack.
OTHER_ROWS = {
    "slow_nano": {"block": "x3d", "head_widths": (24, 32), "nonlocal_after": ((3, 0),), "temporal_pool": 2},
    "slowfast_nano": {"fast_input": "half_resolution", "lateral": "time_to_channel_concat"},
    "fast_nano": {"fast_input": "time_difference"},
}

OTHER_JAX = """
import json
import keras
import numpy as np
import kerasfast
from kerasfast.weights import assign, read_weights

folder, rows = sys.argv[1], json.loads(sys.argv[2])
assert keras.backend.backend() == "jax"
for name, fields in rows.items():
    fields = {key: tuple(map(tuple, value)) if key == "nonlocal_after" else value for key, value in fields.items()}
    model = kerasfast.build(kerasfast.variant(name, **fields), heads={"verb": 3})
    assign(model, read_weights(f"{folder}/{name}.weights.h5"), source="TensorFlow", new_heads=False)
    frames = np.load(f"{folder}/{name}.npy")
    np.save(f"{folder}/{name}.verb.npy", model.predict(frames, verbose=0)["verb"])
"""


def test_jax_computes_the_same_in_every_layer(tmp_path):
    models, frames = {}, {}
    for name, fields in OTHER_ROWS.items():
        models[name] = wake_up(build(variant(name, **fields), heads={"verb": 3}))
        models[name].save_weights(tmp_path / f"{name}.weights.h5")
        frames[name] = random_clip(models[name].variant, 1, 64, 88)
        np.save(tmp_path / f"{name}.npy", frames[name])
    run_python(
        BLOCK.format(names=NOT_FOR_MODELS) + OTHER_JAX,
        tmp_path,
        json.dumps(OTHER_ROWS),
        KERAS_BACKEND="jax",
        JAX_PLATFORMS="cpu",
        JAX_DISABLE_MOST_OPTIMIZATIONS="1",
    )
    for name, model in models.items():
        reference.assert_close(np.load(tmp_path / f"{name}.verb.npy"), np.asarray(model(frames[name])["verb"]))


def test_batch_norm_on_jax_follows_torch(on_jax):
    _, given, _, results = on_jax
    norm = reference.BatchNorm(np.ones(4), np.zeros(4))
    reference.assert_close(results["norm"], norm(given["features"], training=True))
    reference.assert_close(results["moving_mean"], norm.mean)
    reference.assert_close(results["moving_variance"], norm.variance)
