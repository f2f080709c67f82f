"""The model of a run folder, or of the zoo."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kerasfast.models.classifier import VideoClassifier

MODEL_FILE = "model.json"
WEIGHTS_FILE = "best.weights.h5"
RECIPE_FILE = "config.toml"
_RECORDS_LINE = "# The recipe as run, on the records in "


def recipe_heading(records: str | Path, versions: Mapping[str, str]) -> str:
    """The two lines of comment above the recipe in the folder of a run: its records and the versions that ran it."""
    used = ", ".join(f"{name} {version}" for name, version in versions.items())
    place = " ".join(str(records).splitlines())  # no comment goes on after a line break
    return f"{_RECORDS_LINE}{place}.\n# {used}\n"


def records_of(recipe: str) -> str | None:
    """The records that `recipe_heading` named in the text of a run's recipe; None where it has no such line."""
    first = recipe.partition("\n")[0]
    return first.removeprefix(_RECORDS_LINE).removesuffix(".") if first.startswith(_RECORDS_LINE) else None


def save_model_config(model: VideoClassifier, folder: str | Path) -> None:
    """Write what `load_model` needs beside the weights: architecture, heads and class names."""
    path = Path(folder) / MODEL_FILE
    path.write_text(json.dumps(model.get_config(), indent=1) + "\n", "utf-8")


def load_model(name_or_run: str | Path) -> VideoClassifier:
    """A trained model.

    Args:
        name_or_run: Folder of a run, or a name of the zoo.

    Raises:
        ValueError: It is neither, or an architecture without trained weights.
        FileNotFoundError: There is no such run, or it has no weights yet.
    """
    from kerasfast.models.classifier import VideoClassifier
    from kerasfast.registry import load
    from kerasfast.weights import assign, read_weights

    folder = Path(name_or_run)
    if not folder.is_dir():
        if len(folder.parts) > 1:
            raise FileNotFoundError(f"{folder} is no folder. Give the folder of a run, or a name of the zoo.")
        model = load(str(name_or_run))
        if model.load_report is None:
            raise ValueError(
                f"A model with trained weights is needed. Received: {name_or_run!r}, an architecture without. Give the "
                "folder of a run, or a name that `kerasfast list` shows with weights."
            )
        return model
    if not (folder / MODEL_FILE).is_file():
        raise FileNotFoundError(
            f"{folder} is not the folder of a run: it has no {MODEL_FILE}. Give a folder that `kerasfast train` made."
        )
    try:
        model = VideoClassifier.from_config(json.loads((folder / MODEL_FILE).read_text("utf-8")))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{folder / MODEL_FILE} does not describe a model of kerasfast ({error}). Copy the run again."
        ) from error
    weights = folder / WEIGHTS_FILE
    model.load_report = assign(model, read_weights(weights), source=str(weights), new_heads=False)
    return model


def evaluation_protocol(name_or_run: str | Path) -> dict[str, Any]:
    """Keyword arguments of `kerasfast.evaluate` by the recipe of a run; none for a name of the zoo."""
    from kerasfast.train.recipes.recipe import load

    recipe = Path(name_or_run) / RECIPE_FILE
    return load(recipe).evaluation_args() if recipe.is_file() else {}
