"""Training and evaluation. Each name loads its module on first use.

`evaluate` is not among them: the module of that name would take its place (`kerasfast.evaluate` is the function).
"""

from __future__ import annotations

from kerasfast._lazy import lazy_names

_PUBLIC = {
    "MeanAveragePrecision": "scoring.keras_metric:MeanAveragePrecision",
    "OperatingPoints": "operating.points:OperatingPoints",
    "Recipe": "recipes.recipe:Recipe",
    "Result": "metrics:Result",
    "TrainResult": "fit:TrainResult",
    "TrainingDivergedError": "callbacks:TrainingDivergedError",
    "clip_features": "long_range:clip_features",
    "fit_clip_attention": "long_range:fit_clip_attention",
    "fit_operating_points": "operating.calibrate:fit_operating_points",
    "fit_thresholds": "operating.thresholds:fit_thresholds",
    "mean_average_precision": "metrics:mean_average_precision",
    "score_videos": "evaluate:score_videos",
    "shuffled_control": "metrics:shuffled_control",
    "train": "fit:train",
}
__all__ = sorted(_PUBLIC)
__getattr__, __dir__ = lazy_names(__name__, _PUBLIC)
