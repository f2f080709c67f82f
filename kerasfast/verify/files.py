"""The file check: a published checkpoint against the network that is said to be its own."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kerasfast.models.classifier import build
from kerasfast.models.heads import KINETICS400, Head
from kerasfast.registry import Source
from kerasfast.verify.certificates import find_certificate, form_of, published_entry
from kerasfast.verify.graph import run, tiny_clip
from kerasfast.weights import assign, read_weights, shapes_of


@dataclass(frozen=True)
class FileCheck:
    """What was found in a published file.

    Attributes:
        path: The file.
        sha256: Of the whole file, in hex.
        published_sha256: What is published of it; empty where nothing is.
        family: Library whose names it holds.
        weights: Arrays that the network took, which are all of the file's.
        classes: Classes of its head.
        logits: The first logits of `tiny_clip`.
    """

    path: Path
    sha256: str
    published_sha256: str
    family: str
    weights: int
    classes: int
    logits: tuple[float, ...]


def check_file(name: str, path: str | Path, *, logits: int = 5) -> FileCheck:
    """Check a published checkpoint: its hash, its family, every name and shape, and that its numbers are finite.

    Args:
        name: The name of the zoo whose file it is, or an architecture, which then takes the form of the file's family.
        path: The file.
        logits: How many to return.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: It is no checkpoint, or damaged.
        ValueError: It is another file than published, of another family or network, or gives no finite numbers.
    """
    path = Path(path)
    row = published_entry(name)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}. Give the path of the published checkpoint.")
    digest = _sha256(path)
    if row:
        _check_published(row.source, path, digest)
    weights = read_weights(path)
    family = getattr(weights, "family", "kerasfast")
    if row and family != row.source.family:
        raise ValueError(
            f"{path} holds names of {family}, where {name} is published with those of {row.source.family}."
        )
    if family == "kerasfast":
        raise ValueError(f"{path} was saved by kerasfast. Give a checkpoint as its library publishes it.")
    classes = shapes_of(weights).get("head/action/bias", (0,))[0]
    if row:
        model = build(row.variant, heads=row.head_rows())
    else:
        heads = {"action": Head(classes, "softmax")} if classes else KINETICS400
        model = build(find_certificate(name, form_of(family)).variant, heads=heads)
    report = assign(model, weights, source=str(path), new_heads=False)
    activations = run(model, tiny_clip(model.clip.frames))
    broken = [stage for stage, values in activations.items() if not np.isfinite(values).all()]
    if broken:
        raise ValueError(f"{path} gives values that are not finite at {', '.join(broken)}. Do not use it.")
    first = activations[f"{next(iter(model.heads))}_logits"][0, :logits].tolist()
    published = row.source.sha256 if row else ""
    return FileCheck(path, digest, published, family, len(report.loaded), classes, tuple(first))


def _check_published(source: Source, path: Path, digest: str) -> None:
    size = path.stat().st_size
    if source.bytes not in (None, size):
        raise ValueError(f"{path} has {size} bytes, published were {source.bytes}. Fetch it again from {source.url}.")
    if not digest.startswith(source.sha256):
        raise ValueError(f"{path} has sha256 {digest}, published is {source.sha256}. Fetch it again from {source.url}.")


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
