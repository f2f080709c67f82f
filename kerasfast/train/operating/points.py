"""What a model answers: thresholds, calibration and "no action" per head, in a file beside the weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasfast.data.files import write_json
from kerasfast.decoding import Prediction
from kerasfast.train.operating.calibration import Calibration, Reliability, calibration_from_dict

if TYPE_CHECKING:
    from kerasfast.models.classifier import VideoClassifier

POINTS_FILE = "operating_points.json"
FORMAT = "kerasfast-operating-points-1"
NO_ACTION = "no action"
# Of the protocol, what `kerasfast.evaluate` and `kerasfast.train.predict.predict_video` take: how scores were made.
VIEW_KEYS = ("clips", "crops", "merge", "crop_size")


@dataclass(frozen=True)
class Answer:
    """What a head says of one clip or video.

    Attributes:
        classes: The classes that it sees, the most probable first, each with its calibrated probability. None: the
            answer is "no action".
    """

    classes: tuple[Prediction, ...]

    @property
    def no_action(self) -> bool:
        """Whether the head sees none of its classes."""
        return not self.classes

    def __str__(self) -> str:
        return ", ".join(f"{one.label} {one.score:.2f}" for one in self.classes) or NO_ACTION


@dataclass(frozen=True)
class HeadPoint:
    """The operating point of one head.

    A sigmoid head answers with every class whose score reaches its threshold, a softmax head with its highest. The
    answer is "no action" where no class is left, or where the highest calibrated probability is below
    `no_action_below`. Thresholds are compared with scores before calibration, so that no calibration changes an answer.

    Args:
        activation: `sigmoid` or `softmax`.
        thresholds: A score per class; 0 for softmax.
        calibration: From scores to probabilities; none: scores are taken for probabilities.
        no_action_below: Lowest probability of the best class of an answer.
        labels: Class names; none: classes have numbers.
        break_even: Classes with too few positives to fit F1 on (`kerasfast.train.operating.thresholds`).
        without_positives: Classes without positives, which have the threshold that all classes would share.
        validation: Figures on the videos that all this was fitted to, for JSON.
        reliability: Before calibration and after, the latter on held-out folds; none: not measured.
    """

    activation: str
    thresholds: tuple[float, ...]
    calibration: Calibration | None = None
    no_action_below: float = 0.0
    labels: tuple[str, ...] | None = None
    break_even: tuple[int, ...] = ()
    without_positives: tuple[int, ...] = ()
    validation: Mapping[str, Any] | None = None
    reliability: tuple[Reliability, Reliability] | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.no_action_below <= 1:
            raise ValueError(f"no_action_below must be a probability. Received: {self.no_action_below!r}.")

    def probabilities(self, scores: np.ndarray) -> np.ndarray:
        """Calibrated probabilities of scores `(..., classes)`."""
        return np.asarray(scores, np.float64) if self.calibration is None else self.calibration(scores)

    def decide(self, scores: np.ndarray) -> np.ndarray:
        """Which classes are in the answer, bool, of scores `(..., classes)`; a row of False is "no action"."""
        scores = np.asarray(scores, np.float64)
        if self.activation == "softmax":
            chosen = np.arange(scores.shape[-1]) == scores.argmax(axis=-1)[..., None]
        else:
            chosen = scores >= np.asarray(self.thresholds)
        return chosen & (self.probabilities(scores).max(axis=-1, keepdims=True) >= self.no_action_below)

    def to_dict(self) -> dict[str, Any]:
        """Plain types, for JSON."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        values["calibration"] = None if self.calibration is None else self.calibration.to_dict()
        values["reliability"] = None if self.reliability is None else [vars(one) for one in self.reliability]
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> HeadPoint:
        """The operating point that `to_dict` described, or JSON of that."""
        read: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
        }
        if (calibration := values["calibration"]) is not None:
            read["calibration"] = calibration_from_dict(calibration)
        if (pair := values["reliability"]) is not None:
            before, after = (Reliability(**{key: tuple(bins) for key, bins in one.items()}) for one in pair)
            read["reliability"] = before, after
        return cls(**read)


@dataclass(frozen=True)
class OperatingPoints:
    """What a model answers, head by head; `kerasfast.export` takes them along.

    `kerasfast.train.operating.calibrate` fits them. They belong to scores that were made by `protocol`: the
    highest of 30 views is higher than that of one.

    Args:
        heads: Head name to operating point.
        weights_sha256: `weights_sha256` of the model that they were fitted for.
        protocol: How the scores were made and of which data: `split`, `videos`, `clips`, `crops`, `merge`, `crop_size`.
        versions: Of the packages that computed them.
    """

    heads: Mapping[str, HeadPoint]
    weights_sha256: str
    protocol: Mapping[str, Any]
    versions: Mapping[str, str]

    def decide(self, scores: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """Answers to scores.

        Args:
            scores: `(batch, classes)` by head, as `model.predict` or `score_videos` gives them, or `(classes,)` by
                head, as of `predict_video`.

        Returns:
            For each head of `scores` a list of `Answer`, one a row; for scores `(classes,)` one `Answer`.

        Raises:
            ValueError: A head that was not fitted, scores of another width, or that are NaN.
        """
        return {name: self._answers(name, np.asarray(values)) for name, values in scores.items()}

    def check(self, model: VideoClassifier) -> None:
        """Refuse a model that they were not fitted for.

        Raises:
            ValueError: Other heads, or other weights.
        """
        for name, point in self.heads.items():
            head = model.heads.get(name)
            if head is None or (head.classes, head.activation) != (len(point.thresholds), point.activation):
                has = f"{head.classes} ({head.activation})" if head else "no such head"
                raise ValueError(
                    f"Operating points of head {name!r} are for {len(point.thresholds)} classes ({point.activation}). "
                    f"Received: a model with {has}. Fit them for this model: `kerasfast calibrate`."
                )
        if (found := weights_sha256(model)) != self.weights_sha256:
            raise ValueError(
                f"Operating points belong to the weights that they were fitted for (sha256 "
                f"{self.weights_sha256[:12]}...). Received: a model with others ({found[:12]}...). "
                "Fit them again: `kerasfast calibrate`, or remove them."
            )

    def save(self, folder: str | Path) -> Path:
        """Write `operating_points.json` into a folder; the file appears whole."""
        path = Path(folder) / POINTS_FILE
        heads = {name: point.to_dict() for name, point in self.heads.items()}
        write_json(path, {"format": FORMAT, **vars(self), "heads": heads})
        return path

    @classmethod
    def load(cls, folder: str | Path) -> OperatingPoints:
        """Read `operating_points.json` of a folder.

        Raises:
            FileNotFoundError: There is none.
            ValueError: The file does not describe operating points.
        """
        path = Path(folder) / POINTS_FILE
        if not path.is_file():
            raise FileNotFoundError(f"{folder} has no {POINTS_FILE}. Fit operating points: `kerasfast calibrate`.")
        try:
            values = json.loads(path.read_text("utf-8"))
            if (found := values.pop("format")) != FORMAT:
                raise ValueError(f"its format is {found!r}, not {FORMAT!r}")
            heads = {name: HeadPoint.from_dict(head) for name, head in values.pop("heads").items()}
            return cls(heads, **values)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"{path} does not describe operating points ({error}). Run `kerasfast calibrate` again."
            ) from error

    @classmethod
    def of_run(cls, name_or_run: str | Path, model: VideoClassifier) -> OperatingPoints | None:
        """Those beside the weights of a run, none where there are none.

        Args:
            name_or_run: What `kerasfast.train.run.load_model` took; a name of the zoo has none.
            model: What it gave.

        Raises:
            ValueError: The file is damaged, or was fitted for other heads or weights than the run has now.
        """
        if not (Path(name_or_run) / POINTS_FILE).is_file():
            return None
        points = cls.load(name_or_run)
        points.check(model)
        return points

    def _answers(self, name: str, scores: np.ndarray) -> Any:
        if name not in self.heads:
            raise ValueError(f"Operating points are of the heads {', '.join(self.heads)}. Received: {name!r}.")
        point = self.heads[name]
        classes = len(point.thresholds)
        if scores.ndim not in (1, 2) or scores.shape[-1] != classes:
            raise ValueError(
                f"Scores of {name!r} must have shape (batch, {classes}) or ({classes},). Received: {scores.shape}."
            )
        if np.isnan(scores).any():
            raise ValueError(f"Scores of {name!r} hold NaN, of which nothing can be said. Look at the model's weights.")
        rows = zip(np.atleast_2d(point.decide(scores)), np.atleast_2d(point.probabilities(scores)), strict=True)
        answers = [Answer(_predictions(chosen, found, point.labels)) for chosen, found in rows]
        return answers if scores.ndim == 2 else answers[0]


def weights_sha256(model: VideoClassifier) -> str:
    """The sha256 of the shapes and values of a model's weights, whatever file they came from."""
    import keras

    digest = hashlib.sha256()
    for weight in model.weights:
        values = np.ascontiguousarray(keras.ops.convert_to_numpy(weight))
        digest.update(f"{values.dtype} {values.shape}".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()


def _predictions(chosen: np.ndarray, probabilities: np.ndarray, labels: Sequence[str] | None) -> tuple[Prediction, ...]:
    order: list[int] = np.argsort(-probabilities, kind="stable").tolist()
    return tuple(
        Prediction(c, labels[c] if labels else f"class {c}", float(probabilities[c])) for c in order if chosen[c]
    )
