"""Probabilities that mean what they say: temperature and isotonic calibration. NumPy and scikit-learn only.

Average precision is always that of the scores before calibration: a temperature keeps the order of a sigmoid head's
scores, but that of a softmax head changes the order over videos, and an isotonic map makes scores equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from kerasfast.train.operating.thresholds import MIN_POSITIVES, checked

Method = Literal["temperature", "isotonic"]
# Colder than 0.01 or hotter than 100 is a head whose scores are without fault on the data, or without use.
COLDEST, HOTTEST = 0.01, 100.0
_EPSILON = 1e-7  # as the losses clip


@dataclass(frozen=True)
class Temperature:
    """All logits of a head divided by one number (Guo et al. 2017, arXiv:1706.04599).

    Args:
        activation: `sigmoid` or `softmax`, that of the head.
        temperature: Above 1 where the head was too sure.
    """

    activation: str
    temperature: float

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """Calibrated probabilities, float64, of scores `(..., classes)`."""
        return _probabilities(
            _logits(np.asarray(scores, np.float64), self.activation), self.activation, self.temperature
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain types, for JSON."""
        return {"method": "temperature", "activation": self.activation, "temperature": self.temperature}


@dataclass(frozen=True)
class Isotonic:
    """A rising map a class, linear between knots (Zadrozny and Elkan 2002); rows of a softmax head then sum to 1.

    Args:
        activation: `sigmoid` or `softmax`, that of the head.
        pooled: Knots `(scores, probabilities)` of the map fitted to all classes together.
        classes: The same per class; `None` where the class has the pooled map.
    """

    activation: str
    pooled: tuple[tuple[float, ...], tuple[float, ...]]
    classes: tuple[tuple[tuple[float, ...], tuple[float, ...]] | None, ...]

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """Calibrated probabilities, float64, of scores `(..., classes)`."""
        scores = np.asarray(scores, np.float64)
        mapped = np.stack([np.interp(scores[..., c], *(k or self.pooled)) for c, k in enumerate(self.classes)], axis=-1)
        if self.activation == "sigmoid":
            return mapped
        total = mapped.sum(axis=-1, keepdims=True)
        return np.where(total > 0, mapped / np.where(total > 0, total, 1), 1 / len(self.classes))

    def to_dict(self) -> dict[str, Any]:
        """Plain types, for JSON."""
        knots = [None if k is None else {"x": [*k[0]], "y": [*k[1]]} for k in (self.pooled, *self.classes)]
        return {"method": "isotonic", "activation": self.activation, "pooled": knots[0], "classes": knots[1:]}


Calibration = Temperature | Isotonic


def calibration_from_dict(values: Mapping[str, Any]) -> Calibration:
    """The calibration that `to_dict` described."""
    if values["method"] == "temperature":
        return Temperature(values["activation"], float(values["temperature"]))
    pooled, *classes = [
        None if k is None else (tuple(map(float, k["x"])), tuple(map(float, k["y"])))
        for k in (values["pooled"], *values["classes"])
    ]
    if pooled is None:
        raise ValueError("an isotonic calibration needs its pooled map")
    return Isotonic(values["activation"], pooled, tuple(classes))


def fit_calibration(
    labels: np.ndarray,
    scores: np.ndarray,
    method: str = "temperature",
    *,
    activation: str = "sigmoid",
    min_positives: int = MIN_POSITIVES,
) -> Calibration:
    """Fit a calibration of one head to validation data.

    Args:
        labels: `(rows, classes)`, 0 or 1.
        scores: `(rows, classes)`, probabilities.
        method: `temperature`: the one of the least negative log likelihood, between 0.01 and 100. `isotonic`:
            scikit-learn's `IsotonicRegression`, which needs more data.
        activation: `sigmoid`: classes are calibrated as separate events. `softmax`: as one choice.
        min_positives: Positives that a class needs for an isotonic map of its own; others have the pooled one.

    Raises:
        ValueError: An unknown method, or labels and scores as `fit_thresholds` refuses them.
    """
    labels, scores = checked(labels, scores)
    if method not in get_args(Method):
        raise ValueError(f"method must be one of {get_args(Method)}. Received: method={method!r}.")
    if method == "temperature":
        return Temperature(activation, _best_temperature(labels, scores, activation))
    own = labels.sum(axis=0) >= min_positives
    return Isotonic(
        activation,
        _isotonic(labels.ravel(), scores.ravel()),
        tuple(_isotonic(labels[:, c], scores[:, c]) if own[c] else None for c in range(len(own))),
    )


@dataclass(frozen=True)
class Reliability:
    """What a reliability plot shows; each field has a value per bin, and bins divide 0 .. 1 equally.

    Args:
        count: Probabilities in the bin.
        confidence: Their sum.
        correct: How many of the events came true.
    """

    count: tuple[int, ...]
    confidence: tuple[float, ...]
    correct: tuple[int, ...]

    @property
    def error(self) -> float:
        """Expected calibration error: mean over all probabilities of |mean probability - share come true| of a bin."""
        return float(np.abs(np.subtract(self.confidence, self.correct)).sum() / max(sum(self.count), 1))


def reliability(labels: np.ndarray, scores: np.ndarray, activation: str = "sigmoid", bins: int = 10) -> Reliability:
    """Count how often probabilities come true.

    Args:
        labels: `(rows, classes)`, 0 or 1.
        scores: `(rows, classes)`, probabilities.
        activation: `sigmoid`: every class of every row is an event. `softmax`: that the most probable class of a
            row with a label is right.
        bins: Number of bins.
    """
    labels, scores = checked(labels, scores)
    if activation == "softmax":
        labelled = labels.any(axis=1)
        best = scores[labelled].argmax(axis=1)[:, None]
        labels, scores = (np.take_along_axis(values[labelled], best, axis=1) for values in (labels, scores))
    bin_of = np.minimum((scores.ravel() * bins).astype(int), bins - 1)
    count, confidence, correct = (
        np.bincount(bin_of, weights, minlength=bins) for weights in (None, scores.ravel(), labels.ravel())
    )
    return Reliability(tuple(count.tolist()), tuple(confidence.tolist()), tuple(correct.astype(int).tolist()))


def _logits(scores: np.ndarray, activation: str) -> np.ndarray:
    with np.errstate(divide="ignore"):  # a score may have rounded to 0 or 1
        return np.log(scores) - np.log1p(-scores) if activation == "sigmoid" else np.log(scores)


def _probabilities(logits: np.ndarray, activation: str, temperature: float) -> np.ndarray:
    z = logits / temperature
    if activation == "sigmoid":
        small = np.exp(-np.abs(z))
        return np.where(z >= 0, 1, small) / (1 + small)
    powers = np.exp(z - z.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def _best_temperature(labels: np.ndarray, scores: np.ndarray, activation: str) -> float:
    """By bisection: the likelihood is concave in 1 / temperature, so its slope changes its sign once."""
    logits = _logits(np.clip(scores, _EPSILON, 1 - _EPSILON), activation)
    weight = 1 if activation == "sigmoid" else labels.sum(axis=1, keepdims=True)

    def too_cold(temperature: float) -> bool:
        expected = weight * _probabilities(logits, activation, temperature)
        return bool(np.sum(logits * (expected - labels)) > 0)

    low, high = np.log(COLDEST), np.log(HOTTEST)
    for _ in range(40):  # halves a range of 9.2 to 1e-11
        middle = (low + high) / 2
        low, high = (middle, high) if too_cold(float(np.exp(middle))) else (low, middle)
    return float(np.exp((low + high) / 2))


def _isotonic(labels: np.ndarray, scores: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    from sklearn.isotonic import IsotonicRegression

    fitted = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(scores, labels)
    return tuple(fitted.X_thresholds_.tolist()), tuple(fitted.y_thresholds_.tolist())
