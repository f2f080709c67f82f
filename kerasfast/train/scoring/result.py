"""What every evaluation says beside its figures: how it was made, by what, and how long it took."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasfast.data.files import write_json
from kerasfast.train.scoring.forecast import ScoringClock
from kerasfast.train.views import one_rule

if TYPE_CHECKING:
    from kerasfast.models.classifier import VideoClassifier


def described(
    metrics: Mapping[str, Any],
    model: VideoClassifier,
    *,
    name: str,
    clips: int,
    crops: int,
    merge: Mapping[str, str],
    videos: int,
    rule: str,
    crop_size: int | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Figures with the protocol behind them and the versions that computed them.

    Args:
        metrics: The figures.
        model: The model that was scored.
        name: Name of the protocol.
        clips: Clips of a video.
        crops: Crops of a clip.
        merge: How the views of a video became one score, by head.
        videos: Videos that were scored.
        rule: Rule of average precision.
        crop_size: Side of a view in pixels; None: the architecture's.
        **more: What else the protocol says.
    """
    spec = model.clip
    protocol = {
        "name": name,
        "clips": clips,
        "crops": crops,
        "merge": one_rule(merge),
        "videos": videos,
        "views": clips * crops,
        **more,
        "rule": rule,
        "clip": {"frames": spec.frames, "stride": spec.stride, "fps": spec.fps},
        "crop_size": crop_size or model.variant.test_crop_size,
        "model": model.name,
    }
    return {**metrics, "protocol": protocol, "versions": versions()}


def finished(metrics: Mapping[str, Any], clock: ScoringClock, begin: float, out: str | Path | None) -> dict[str, Any]:
    """Figures with the time that they took, written to a file where one is given.

    Args:
        metrics: What `described` gave.
        clock: The forecast and the time of the scoring.
        begin: `time.perf_counter()` at the start of the evaluation.
        out: File to write, or None; its folder is made.
    """
    result = {**metrics, **clock.to_dict(), "seconds": round(time.perf_counter() - begin, 2)}
    if out is not None:
        Path(out).parent.mkdir(parents=True, exist_ok=True)
        write_json(Path(out), result)
    return result


def versions() -> dict[str, str]:
    """What numbers may depend on: versions of Python and of the packages that compute."""
    import keras
    import sklearn
    import tensorflow as tf

    import kerasfast

    packages = {"kerasfast": kerasfast, "keras": keras, "tensorflow": tf, "numpy": np, "scikit-learn": sklearn}
    return {"python": platform.python_version(), **{key: module.__version__ for key, module in packages.items()}}
