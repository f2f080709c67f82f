"""SlowFast video networks for Keras 3: load, fine-tune, evaluate and serve.

Importing this package imports neither TensorFlow nor torch; each public name loads its module on first use.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from kerasfast._lazy import lazy_names

# TensorFlow chooses the kernels of its CPU operations when it is imported. Without this variable it takes those of
# oneDNN only on processors with AVX-512 VNNI, AVX-VNNI or AMX; on one with AVX2 alone a training step of slowfast_nano
# takes five times as long without them (tools/bench_kernels.py). Whoever sets it keeps it.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

__version__ = "0.1.0.dev0"

_PUBLIC = {
    "CHARADES": "models.heads:CHARADES",
    "ClipSpec": "data.clips:ClipSpec",
    "Head": "models.heads:Head",
    "build": "models.classifier:build",
    "checkpoints": "checkpoints",
    "data": "data",
    "decode": "decoding:decode",
    "embed": "explain.features.embed:embed",
    "evaluate": "train.evaluate:evaluate",
    "explain": "explain",
    "export": "serving.saved_model:export",
    "list_models": "registry:list_models",
    "load": "registry:load",
    "predict": "explain.predict:predict",
    "recipes": "train.recipes.recipe",
    "serving": "serving",
    "variant": "models.variants:variant",
    "verify": "verify",
}
__all__ = [*_PUBLIC, "__version__"]

__getattr__, __dir__ = lazy_names(__name__, _PUBLIC)

if TYPE_CHECKING:
    import kerasfast.train.recipes.recipe as recipes  # noqa: F401
    from kerasfast import checkpoints as checkpoints
    from kerasfast import data as data
    from kerasfast import explain as explain
    from kerasfast import serving as serving
    from kerasfast import verify as verify
    from kerasfast.data.clips import ClipSpec as ClipSpec
    from kerasfast.decoding import decode as decode
    from kerasfast.explain.features.embed import embed as embed
    from kerasfast.explain.predict import predict as predict
    from kerasfast.models.classifier import build as build
    from kerasfast.models.heads import CHARADES as CHARADES
    from kerasfast.models.heads import Head as Head
    from kerasfast.models.variants import variant as variant
    from kerasfast.registry import list_models as list_models
    from kerasfast.registry import load as load
    from kerasfast.serving.saved_model import export as export
    from kerasfast.train.evaluate import evaluate as evaluate
