"""The graph check: a few activations of the reference, computed again without it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import keras
import numpy as np

from kerasfast.models.classifier import VideoClassifier, build
from kerasfast.models.heads import KINETICS400
from kerasfast.verify.certificates import SEED, Certificate, Sample, find_certificate
from kerasfast.weights import assign, canonical_weights

TOLERANCE = 1e-5  # times the largest value of a stage; a stem pool padded Keras' way shows as 5e-3
# Of the tiny clip, in pixels. Unequal, so that a swap of the axes shows; 80 is odd after four halvings, so that the
# padding of both even and odd sizes shows.
HEIGHT, WIDTH = 64, 80


def seeded_weights(shapes: Mapping[str, tuple[int, ...]], seed: int = SEED) -> dict[str, np.ndarray]:
    """Random weights of a size that keeps activations of order 1, drawn in the order of canonical names.

    Args:
        shapes: Canonical name -> shape.
        seed: Of NumPy's PCG64.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    arrays = {}
    for name in sorted(shapes):
        shape, leaf = shapes[name], name.rpartition("/")[2]
        if leaf == "kernel":
            fan_in = np.prod(shape[:-1])
            # A non-local block multiplies three convolutions of its input, so that larger ones would grow from block
            # to block, to 1e15 in slow_r50_4x16_nl.
            scale = 0.25 if "/nonlocal" in name else 0.5
            values = rng.standard_normal(shape) * scale * np.sqrt(2.0 / fan_in)
        elif leaf in ("gamma", "moving_variance"):
            values = rng.uniform(0.5, 1.5, shape)
        else:  # beta, bias, moving_mean
            values = rng.standard_normal(shape) * 0.1
        arrays[name] = values.astype("float32")
    return arrays


def tiny_clip(frames: int) -> np.ndarray:
    """One clip of noise: uint8 `(1, frames, HEIGHT, WIDTH, 3)`."""
    rng = np.random.Generator(np.random.PCG64(SEED))
    return rng.integers(0, 256, (1, frames, HEIGHT, WIDTH, 3), dtype=np.uint8)


def run(model: VideoClassifier, frames: np.ndarray) -> dict[str, np.ndarray]:
    """Every endpoint of a model on a clip, by name."""
    return keras.Model(model.input, dict(model.endpoints)).predict_on_batch(frames)


@dataclass(frozen=True)
class Stage:
    """One stage of a check.

    Attributes:
        name: Endpoint, such as `slow_res2`.
        certified: Largest relative difference to the reference when the certificate was made.
        found: Largest relative difference to the stored activations now.
    """

    name: str
    certified: float
    found: float

    @property
    def passed(self) -> bool:
        """Whether the difference is within `TOLERANCE`; what is not a number is not."""
        return self.found <= TOLERANCE


def check_graph(name: str, form: str | None = None) -> tuple[Certificate, tuple[Stage, ...]]:
    """Compute the activations of a certificate again.

    Args:
        name: As for `find_certificate`.
        form: As for `find_certificate`.

    Returns:
        The certificate, and every stage in the order of the graph.

    Raises:
        ValueError: There is no certificate, or the network has other weights than certified.
    """
    found = find_certificate(name, form)
    return found, compare_stages(found, seeded_model(found))


def seeded_model(found: Certificate) -> VideoClassifier:
    """The certified network with seeded weights."""
    model = build(found.variant, heads=KINETICS400)
    arrays = seeded_weights({key: tuple(w.shape) for key, w in canonical_weights(model).items()}, found.seed)
    assign(model, arrays, source="seeded weights", new_heads=False)
    return model


def compare_stages(found: Certificate, model: VideoClassifier) -> tuple[Stage, ...]:
    """Every stage of a network on the tiny clip against the activations of a certificate."""
    activations = run(model, tiny_clip(model.clip.frames))
    stages = []
    for stage, expected in found.activations.items():
        certified = max(differences[stage] for differences in found.differences.values())
        stages.append(Stage(stage, certified, expected.difference(Sample.of(activations[stage]))))
    return tuple(stages)
