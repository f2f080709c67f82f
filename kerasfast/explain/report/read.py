"""What the folder of a run holds, read into dataclasses; what is missing or damaged is said, and stops nothing."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from kerasfast.train.environment import ENVIRONMENT_FILE
from kerasfast.train.operating.points import POINTS_FILE, OperatingPoints
from kerasfast.train.plots import read_history
from kerasfast.train.run import MODEL_FILE, RECIPE_FILE, WEIGHTS_FILE, records_of
from kerasfast.train.scoring.scored_videos import ScoredVideos, scores_file

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

METRICS_FILE = "metrics.json"
HISTORY_FILE = "history.csv"
_Read = TypeVar("_Read")


@dataclass(frozen=True)
class Evaluation:
    """One evaluation of a run.

    Attributes:
        path: Its file.
        metrics: What the file holds, as `kerasfast.evaluate` returned it.
        scored: The videos behind the figures; None where the file beside it is missing or damaged.
    """

    path: Path
    metrics: Mapping[str, Any]
    scored: ScoredVideos | None

    @property
    def heads(self) -> Mapping[str, Mapping[str, Any]]:
        """Figures by head."""
        return self.metrics["heads"]

    @property
    def protocol(self) -> Mapping[str, Any]:
        """How the videos were scored."""
        return self.metrics["protocol"]


@dataclass(frozen=True)
class Run:
    """The folder of a run.

    Attributes:
        folder: The folder.
        recipe_text: `config.toml` as it is; None where there is none.
        recipe: The same, parsed.
        model: `model.json`; None where there is none.
        history: Columns of `history.csv`; None where there is none.
        evaluation: The evaluation that the report is on; None where there is none.
        others: Further evaluations, in order of their names.
        points: Operating points; None where there are none.
        environment: `environment.json`; None where there is none.
        trained: Whether there are weights.
        unfinished: Whether the training has not ended.
        problems: A sentence for each file that is there and cannot be read.
    """

    folder: Path
    recipe_text: str | None
    recipe: Mapping[str, Any] | None
    model: Mapping[str, Any] | None
    history: Mapping[str, np.ndarray] | None
    evaluation: Evaluation | None
    others: tuple[Evaluation, ...]
    points: OperatingPoints | None
    environment: Mapping[str, Any] | None
    trained: bool
    unfinished: bool
    problems: tuple[str, ...]

    @property
    def records(self) -> str | None:
        """The records that it was trained on, as its recipe names them."""
        return records_of(self.recipe_text) if self.recipe_text else None

    @property
    def activations(self) -> dict[str, str]:
        """`sigmoid` or `softmax` by head, of the evaluation or else of the model."""
        if self.evaluation is not None:
            return {head: "softmax" if "top1" in row else "sigmoid" for head, row in self.evaluation.heads.items()}
        heads = (self.model or {}).get("heads", {})
        return {head: row.get("activation", "sigmoid") for head, row in heads.items()}


def read_run(folder: str | Path, metrics: str | Path | None = None) -> Run:
    """Read the folder of a run.

    Args:
        folder: The folder.
        metrics: The evaluation to report on; None: `metrics.json`, or the first other one where there is none.

    Raises:
        FileNotFoundError: There is no such folder or evaluation, or the folder holds no file of a run.
        ValueError: The evaluation that was asked for cannot be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is no folder. Give the folder of a run.")
    found = sorted(path for path in folder.glob("metrics*.json") if path.name != METRICS_FILE)
    files = [folder / name for name in (RECIPE_FILE, MODEL_FILE, HISTORY_FILE, METRICS_FILE, WEIGHTS_FILE)]
    if not any(path.is_file() for path in [*files, *found]):
        raise FileNotFoundError(
            f"{folder} is not the folder of a run: it has none of {', '.join(path.name for path in files)}. Give a "
            "folder that `kerasfast train` made."
        )
    problems: list[str] = []

    def read(path: Path, reader: Callable[[Path], _Read]) -> _Read | None:
        if not path.is_file():
            return None
        try:
            return reader(path)
        except (ValueError, OSError) as error:
            problems.append(f"{path.name} cannot be read: {error}")
            return None

    if metrics is not None:
        chosen = _chosen(folder, metrics)
        evaluation = Evaluation(chosen, _metrics(chosen), read(scores_file(chosen), _scored))
    else:
        chosen = folder / METRICS_FILE if (folder / METRICS_FILE).is_file() else next(iter(found), None)
        evaluation = read(chosen, lambda path: Evaluation(path, _metrics(path), None)) if chosen else None
        if evaluation is not None:
            evaluation = Evaluation(evaluation.path, evaluation.metrics, read(scores_file(evaluation.path), _scored))
    rest = [path for path in [folder / METRICS_FILE, *found] if path.is_file() and path != chosen]
    others = [read(path, lambda path: Evaluation(path, _metrics(path), None)) for path in rest]
    recipe_text = read(folder / RECIPE_FILE, lambda path: path.read_text("utf-8"))
    return Run(
        folder=folder,
        recipe_text=recipe_text,
        recipe=read(folder / RECIPE_FILE, lambda path: tomllib.loads(path.read_text("utf-8"))),
        model=read(folder / MODEL_FILE, _object),
        history=read(folder / HISTORY_FILE, _history),
        evaluation=evaluation,
        others=tuple(one for one in others if one is not None),
        points=read(folder / POINTS_FILE, lambda path: OperatingPoints.load(path.parent)),
        environment=read(folder / ENVIRONMENT_FILE, _object),
        trained=(folder / WEIGHTS_FILE).is_file(),
        unfinished=(folder / "checkpoints").is_dir(),
        problems=tuple(dict.fromkeys(problems)),
    )


def _chosen(folder: Path, metrics: str | Path) -> Path:
    for path in (Path(metrics), folder / metrics):
        if path.is_file():
            return path
    there = ", ".join(sorted(path.name for path in folder.glob("metrics*.json"))) or "none"
    raise FileNotFoundError(f"{metrics} is no file. Give an evaluation of the run. It has: {there}.")


def _object(path: Path) -> dict[str, Any]:
    values = json.loads(path.read_text("utf-8"))
    if not isinstance(values, dict):
        raise ValueError(f"{path} holds no JSON object. Copy the run again.")
    return values


def _metrics(path: Path) -> dict[str, Any]:
    """A file of metrics, with the figures that every report needs."""
    values = _object(path)
    try:
        for row in values["heads"].values():
            _ = row["map"] + row["chance"], row["ap"].items(), row["skipped"], row["macro"]["f1"], row["micro"]["f1"]
        _ = values["overall_map"] + values["overall_chance"]
        _ = [values["protocol"][key] for key in ("name", "videos", "clips", "crops", "merge", "rule")]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} does not hold the figures of an evaluation ({error!r}). Run `kerasfast evaluate` again."
        ) from error
    return values


def _scored(path: Path) -> ScoredVideos:
    return ScoredVideos.load(path)


def _history(path: Path) -> dict[str, np.ndarray]:
    columns = read_history(path)
    if not {"epoch", "loss"} <= set(columns):
        raise ValueError(f"{path} lacks the columns epoch and loss. Copy the run again.")
    return columns
