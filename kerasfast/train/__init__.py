"""Training and evaluation. Each name loads its module on first use.

`evaluate` is not among them: the module of that name would take its place (`kerasfast.evaluate` is the function).
"""

from __future__ import annotations

import importlib
from typing import Any

_MODULES = {
    "MeanAveragePrecision": "scoring.keras_metric",
    "OperatingPoints": "operating.points",
    "Recipe": "recipes.recipe",
    "Result": "metrics",
    "TrainResult": "fit",
    "TrainingDivergedError": "callbacks",
    "clip_features": "long_range",
    "fit_clip_attention": "long_range",
    "fit_operating_points": "operating.calibrate",
    "fit_thresholds": "operating.thresholds",
    "mean_average_precision": "metrics",
    "score_videos": "evaluate",
    "shuffled_control": "metrics",
    "train": "fit",
}
__all__ = sorted(_MODULES)


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
