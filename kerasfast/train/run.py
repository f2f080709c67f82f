"""The model of a run folder, or of the zoo."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kerasfast.models.classifier import VideoClassifier

MODEL_FILE = "model.json"
WEIGHTS_FILE = "best.weights.h5"


def save_model_config(model: VideoClassifier, folder: str | Path) -> None:
    """Write what `load_model` needs beside the weights: architecture, heads and class names."""
    path = Path(folder) / MODEL_FILE
    path.write_text(json.dumps(model.get_config(), indent=1) + "\n", "utf-8")


def load_model(name_or_run: str | Path) -> VideoClassifier:
    """A trained model.

    Args:
        name_or_run: Folder of a run, or a name of the zoo.

    Raises:
        ValueError: It is neither.
        FileNotFoundError: The run has no weights yet.
    """
    from kerasfast.models.classifier import VideoClassifier
    from kerasfast.registry import load
    from kerasfast.weights import assign, read_weights

    folder = Path(name_or_run)
    if not folder.is_dir():
        return load(str(name_or_run))
    if not (folder / MODEL_FILE).is_file():
        raise FileNotFoundError(
            f"{folder} is not the folder of a run: it has no {MODEL_FILE}. Give a folder that `kerasfast train` made."
        )
    model = VideoClassifier.from_config(json.loads((folder / MODEL_FILE).read_text("utf-8")))
    weights = folder / WEIGHTS_FILE
    model.load_report = assign(model, read_weights(weights), source=str(weights), new_heads=False)
    return model
