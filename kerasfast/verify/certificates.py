"""The certificates of `zoo/parity`: their fields, and which one stands for a name."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kerasfast._data_folders import zoo_dir
from kerasfast.models.variants import VARIANTS, Variant, nearest, variant
from kerasfast.registry import Entry, entry, index

SEED = 0
VALUES = 16  # of each stage that a certificate holds
# Families whose networks are certified, the default of an architecture first.
FAMILIES = ("pytorchvideo", "pyslowfast", "mmaction2")
# Fields of a row that change neither the graph nor its numbers.
_NO_MATTER = {"name", "clip", "zero_init_residual", "crop_size", "test_crop_size", "short_side"}
_OF_TWO_PATHWAYS = {
    *("alpha", "slow_frames", "head_fusion"),
    *("lateral", "lateral_kernel", "lateral_ratio", "lateral_norm"),
}


@dataclass(frozen=True)
class Sample:
    """What a certificate holds of one activation.

    Attributes:
        shape: `(1, ...)`, channels last.
        mean: Of all values.
        largest: Largest absolute value.
        values: Those at `VALUES` seeded positions.
    """

    shape: tuple[int, ...]
    mean: float
    largest: float
    values: tuple[float, ...]

    @classmethod
    def of(cls, activation: np.ndarray) -> Sample:
        """The sample of an activation."""
        flat = np.asarray(activation, np.float64).reshape(-1)
        at = np.random.Generator(np.random.PCG64(SEED)).integers(0, flat.size, VALUES)
        return cls(activation.shape, float(flat.mean()), float(np.abs(flat).max()), tuple(flat[at].tolist()))

    def difference(self, other: Sample) -> float:
        """Largest difference to another sample, relative to this one's largest value; infinite for other shapes."""
        if self.shape != other.shape:
            return float("inf")
        pairs = zip((self.mean, self.largest, *self.values), (other.mean, other.largest, *other.values), strict=True)
        return float(np.max([abs(a - b) for a, b in pairs])) / self.largest  # what is not a number wins


@dataclass(frozen=True)
class Certificate:
    """What was proven of an architecture in the form that a library gives it, from `zoo/parity`.

    Attributes:
        architecture: Row of the table.
        form: `pytorchvideo`, `pyslowfast` or `mmaction2`; with more behind `_` where a library has two networks of this
            architecture, such as `pyslowfast_multigrid`.
        overrides: Fields of the row that make this form of it.
        reference: What it was compared with.
        names: Files with the literal names and shapes that the libraries' own networks have, which the names here were
            compared with; in `tests/parity/keys`.
        parameters: Trainable parameters of the reference, with 400 classes.
        moving_values: Moving means and variances of the reference.
        differences: Side of the crop in pixels -> stage -> largest difference, relative to the stage's largest value.
        activations: Stage -> what the reference computes on `tiny_clip` with `seeded_weights`.
        published_file: `not reached` as long as nobody has checked the published weights with `check_file`.
        seed: Of the weights.
        versions: Of the libraries.
        date: When it was made.
    """

    architecture: str
    form: str
    overrides: Mapping[str, Any]
    reference: str
    names: tuple[str, ...]
    parameters: int
    moving_values: int
    differences: Mapping[str, Mapping[str, float]]
    activations: Mapping[str, Sample] = field(repr=False)
    published_file: str = "not reached"
    seed: int = SEED
    versions: Mapping[str, str] = field(default_factory=dict)
    date: str = ""

    @property
    def variant(self) -> Variant:
        """The row in this form."""
        return variant(self.architecture, **self.overrides)

    @property
    def name(self) -> str:
        """Stem of its file."""
        return f"{self.architecture}.{self.form}"

    @classmethod
    def read(cls, path: Path) -> Certificate:
        """The certificate of a file."""
        row = json.loads(path.read_text("utf-8"))
        row["overrides"] = {key: tuple(v) if isinstance(v, list) else v for key, v in row["overrides"].items()}
        row["names"] = tuple(row["names"])
        row["activations"] = {
            stage: Sample(tuple(s["shape"]), s["mean"], s["largest"], tuple(s["values"]))
            for stage, s in row["activations"].items()
        }
        return cls(**row)


def parity_dir() -> Path:
    """The folder of the certificates."""
    return zoo_dir() / "parity"


def form_of(family: str) -> str:
    """The form of the networks whose weights a family of files holds; caffe2's are of PySlowFast's networks.

    >>> form_of("caffe2"), form_of("mmaction2")
    ('pyslowfast', 'mmaction2')
    """
    return "pyslowfast" if family == "caffe2" else family


def find_certificate(name: str, form: str | None = None) -> Certificate:
    """The certificate of a model.

    Args:
        name: An architecture, or a name of the zoo with published weights.
        form: Of an architecture, the form to take; by default that of the first of `FAMILIES` that is certified.

    Raises:
        ValueError: There is no such name or certificate, or none covers the network of these weights.
    """
    row = published_entry(name)
    if row:
        if form is not None:
            raise ValueError(f"form is for an architecture; {name} has one. Received: form={form!r}. Leave it out.")
        return _covering(row)
    if name not in VARIANTS:
        raise ValueError(f"There is no architecture {name!r}.{nearest(name, [*VARIANTS, *index()])}")
    certified = _paths(name)
    path = certified.get(form) if form else next((certified[f] for f in FAMILIES if f in certified), None)
    if path is None:
        raise ValueError(
            f"{name} has no parity certificate{f' of the form {form!r}' if form else ''}. Certified forms of it: "
            f"{', '.join(certified) or 'none, as no library publishes it'}."
        )
    return Certificate.read(path)


def published_entry(name: str) -> Entry | None:
    """The zoo's entry of a name with weights, `None` for an architecture.

    Raises:
        ValueError: There is no such name with weights, or its weights were made with kerasfast.
    """
    if "." not in name:
        return None
    row = entry(name)
    if row.source is None:
        raise ValueError(f"{name} was trained with kerasfast, so there is no published checkpoint to compare it with.")
    return row


def _paths(architecture: str) -> dict[str, Path]:
    """Form -> file."""
    paths = sorted(parity_dir().glob(f"{architecture}.*.json"))
    return {path.stem.partition(".")[2]: path for path in paths}


def _covering(row: Entry) -> Certificate:
    """The certificate whose graph is that of an entry."""
    family = form_of(row.source.family) if row.source else ""
    forms = {form: path for form, path in _paths(row.architecture).items() if form.partition("_")[0] == family}
    needed = graph_fields(row.variant)
    differing = []
    for form, path in forms.items():
        found = Certificate.read(path)
        proven = graph_fields(found.variant)
        other = [key for key in needed.keys() | proven.keys() if needed.get(key) != proven.get(key)]
        if not other:
            return found
        differing.append(f"{form} differs in {', '.join(sorted(other))}")
    raise ValueError(
        f"No parity certificate covers the network of {row.name}: "
        f"{'; '.join(differing) or f'{row.architecture} has none of {family}'}."
    )


def graph_fields(row: Variant) -> dict[str, Any]:
    """The fields of a row that say what its network computes, and its number of frames."""
    left_out = set(_NO_MATTER)
    if len(row.pathways) == 1:
        left_out |= _OF_TWO_PATHWAYS
    if row.head_pool == "global":
        left_out |= {"head_window", "head_average"}  # one position
    if not row.nonlocal_after:
        left_out |= {"nonlocal_instantiation", "nonlocal_pool"}
    fields = {each.name: getattr(row, each.name) for each in dataclasses.fields(Variant) if each.name not in left_out}
    return {**fields, "frames": row.clip.frames}
