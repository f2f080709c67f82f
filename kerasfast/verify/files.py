"""The file check: a published checkpoint against the network that is said to be its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kerasfast.checkpoints import read, to_canonical
from kerasfast.data.files import file_sha256
from kerasfast.models.classifier import build
from kerasfast.models.heads import KINETICS400, Head
from kerasfast.porting import check_published
from kerasfast.verify.certificates import find_certificate, form_of, published_entry
from kerasfast.verify.graph import run, tiny_clip
from kerasfast.weights import assign


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
        CheckpointError: It is no checkpoint, or damaged, or another one than published.
        ValueError: It is of another network, or gives no finite numbers.
    """
    path = Path(path)
    row = published_entry(name)
    source = row.source if row else None
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}. Give the path of the published checkpoint.")
    if source:
        check_published(path, source, name)
    weights = to_canonical(read(path))
    classes = weights.shapes.get("head/action/bias", (0,))[0]
    if row:
        model = build(row.variant, heads=row.head_rows())
    else:
        heads = {"action": Head(classes, "softmax")} if classes else KINETICS400
        model = build(find_certificate(name, form_of(weights.family)).variant, heads=heads)
    report = assign(model, weights, source=str(path), new_heads=False)
    activations = run(model, tiny_clip(model.clip.frames))
    broken = [stage for stage, values in activations.items() if not np.isfinite(values).all()]
    if broken:
        raise ValueError(f"{path} gives values that are not finite at {', '.join(broken)}. Do not use it.")
    first = activations[f"{next(iter(model.heads))}_logits"][0, :logits].tolist()
    published = source.sha256 if source else ""
    return FileCheck(path, file_sha256(path), published, weights.family, len(report.loaded), classes, tuple(first))
