"""What a client needs to know of a served model, in files beside its graph; TensorFlow Serving leaves them alone."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kerasfast import __version__
from kerasfast.models.classifier import VideoClassifier
from kerasfast.serving.signatures import request_shape
from kerasfast.train.operating.points import POINTS_FILE, OperatingPoints

CARD_FILE = "card.json"


def check_labels(model: VideoClassifier) -> None:
    """Refuse class names that a file with one a line cannot hold.

    Raises:
        ValueError: An empty name, or one with a line break.
    """
    for name, head in model.heads.items():
        if head.labels and any(len(label.splitlines()) != 1 for label in head.labels):
            raise ValueError(
                f"Class names are written one a line, so none may be empty or hold a line break. Received: head "
                f"{name!r} with such a label; rename it."
            )


def write_card(
    folder: Path,
    model: VideoClassifier,
    *,
    precision: str,
    functions: Mapping[str, Any],
    rules: Mapping[str, str],
    points: OperatingPoints | None,
    winograd: int = 0,
) -> None:
    """Write `card.json`, `labels/<head>.txt` for heads with class names, and operating points where there are any.

    Args:
        folder: `assets.extra` of a SavedModel, which exists.
        model: The model.
        precision: Of the served network.
        functions: Its signatures: the traced functions by name.
        rules: How the signature `views` merges, by head.
        points: Operating points of the model.
        winograd: How many of its convolutions compute by Winograd's algorithm.
    """
    heads = {}
    for name, head in model.heads.items():
        heads[name] = {"classes": head.classes, "activation": head.activation, "merge": rules[name]}
        if head.labels is not None:
            heads[name]["labels"] = f"labels/{name}.txt"
            (folder / "labels").mkdir(exist_ok=True)
            (folder / "labels" / f"{name}.txt").write_text("".join(f"{label}\n" for label in head.labels), "utf-8")
    card = {
        "model": model.variant.name,
        "clip": dataclasses.asdict(model.clip),
        "sampling": model.sampling,
        "crop_size": model.variant.test_crop_size,
        "heads": heads,
        "signatures": {name: _signature(name, function, model) for name, function in functions.items()},
        "precision": precision,
        "winograd": winograd,
        "kerasfast": __version__,
    }
    if points is not None:
        points.save(folder)
        card["operating_points"] = POINTS_FILE
    (folder / CARD_FILE).write_text(json.dumps(card, indent=2) + "\n", "utf-8")


def _signature(name: str, function: Any, model: VideoClassifier) -> dict[str, Any]:
    """Dtype and axes of each input and output; an axis of any size has its name in place of a number."""
    frames = request_shape(name, model.variant)
    outputs = {
        key: {"dtype": spec.dtype.name, "axes": ["batch", *spec.shape[1:]]}
        for key, spec in function.structured_outputs.items()
    }
    return {"inputs": {"frames": {"dtype": frames.dtype, "axes": list(frames.axes)}}, "outputs": outputs}
