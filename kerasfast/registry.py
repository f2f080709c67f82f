"""The zoo: `index.toml` as rows, and one call that turns a name into a model."""

from __future__ import annotations

import dataclasses
import fnmatch
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib  # type: ignore[no-redef]

from kerasfast._data_folders import zoo_dir
from kerasfast.models.classifier import VideoClassifier, build
from kerasfast.models.heads import Head
from kerasfast.models.variants import Variant, nearest, variant
from kerasfast.weights import assign, read_weights


@dataclass(frozen=True)
class Entry:
    """A row of the zoo: an architecture alone, or with weights (`architecture.tag`).

    Attributes:
        name: `slowfast_nano`, or with a weights tag `slowfast_nano.miniature`.
        summary: What it is, in one line.
        overrides: Fields of the variant that these weights need.
        heads: Heads that come with the weights, by name: `classes`, `activation` and the file of the `labels`.
        file: Weights file inside the zoo, or empty for random weights.
        sha256: Of that file.
        dataset: What it was trained on.
        metrics: Published scores, each with its protocol.
        origin: The command or the publication that made the weights.
        license: Licence of the weights.
    """

    name: str
    summary: str
    overrides: Mapping[str, Any] = field(default_factory=dict)
    heads: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    file: str = ""
    sha256: str = ""
    dataset: str = ""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    origin: str = ""
    license: str = ""

    @property
    def architecture(self) -> str:
        """The part of the name that says which network it is."""
        return self.name.partition(".")[0]

    @property
    def variant(self) -> Variant:
        """The row of the table, with the overrides of these weights."""
        return variant(self.architecture, **self.overrides)

    def head_rows(self) -> dict[str, Head] | None:
        """The heads with their class names, or `None` for an architecture alone."""
        if not self.heads:
            return None
        rows = {}
        for name, values in self.heads.items():
            labels = None
            if "labels" in values:
                labels = tuple((zoo_dir() / values["labels"]).read_text("utf-8").splitlines())
            rows[name] = Head(values["classes"], values.get("activation", "sigmoid"), labels)
        return rows


@cache
def index() -> Mapping[str, Entry]:
    """Every entry of the zoo by name, in the order of `index.toml`."""
    with (zoo_dir() / "index.toml").open("rb") as file:
        rows = tomllib.load(file)["model"]
    return {row["name"]: Entry(**row) for row in rows}


def list_models(pattern: str = "*") -> list[str]:
    """Names of the zoo that match a shell pattern, in the order of the index.

    >>> list_models("*nano.*")
    ['slowfast_nano.miniature']
    """
    return [name for name in index() if fnmatch.fnmatchcase(name, pattern)]


def entry(name: str) -> Entry:
    """The row of a name.

    Raises:
        ValueError: There is no such name; the message suggests the nearest.
    """
    rows = index()
    if name not in rows:
        raise ValueError(
            f"There is no model {name!r} in the zoo.{nearest(name, rows)} kerasfast.list_models() gives all names."
        )
    return rows[name]


def load(
    name: str,
    *,
    heads: Mapping[str, int | Head] | None = None,
    weights: str | Path | bool | None = None,
    embedding: int | None = None,
    dropout: float = 0.5,
    bn: str = "replica",
    dtype: Any = None,
    features_only: bool = False,
    **variant_overrides: Any,
) -> VideoClassifier:
    """A model of the zoo, with its weights.

    Args:
        name: `architecture.weights`, such as `slowfast_nano.miniature`; the architecture alone has random weights.
        heads: Heads by name, an int meaning that many sigmoid classes; by default those of the weights.
            A head that the weights lack starts random.
        weights: `None` takes those of the name, `False` random ones; else a name of the zoo or the path of a
            `.weights.h5` file.
        embedding: Width of a layer between pooling and heads, or `None`.
        dropout: Rate of dropout on the pooled features.
        bn: Batch-norm policy: `replica`, `sync` or `frozen`.
        dtype: Keras dtype policy, or `None` for the global one.
        features_only: Return features instead of scores.
        **variant_overrides: Fields of the variant to replace.

    Returns:
        The model; `model.load_report` says what came from the weights (`None` where they are random).

    Raises:
        ValueError: An unknown name (the nearest is suggested), or weights that do not fit.
        FileNotFoundError: The weights file is missing.

    >>> model = load("slowfast_nano.miniature")
    >>> sorted(model.heads)
    ['action', 'object', 'verb']
    """
    row = entry(name)
    source, path, source_heads = _source(row, weights)
    model = build(
        dataclasses.replace(row.variant, **variant_overrides) if variant_overrides else row.variant,
        heads=source_heads if heads is None else heads,
        embedding=embedding,
        dropout=dropout,
        bn=bn,
        dtype=dtype,
        features_only=features_only,
    )
    model.load_report = None
    if path is not None:
        new_heads = heads is not None or features_only
        model.load_report = assign(model, read_weights(path), source=source, new_heads=new_heads)
    return model


def _source(row: Entry, weights: str | Path | bool | None) -> tuple[str, Path | None, dict[str, Head] | None]:
    """Title and path of the weights, and the heads that come with them."""
    if weights is True:
        raise ValueError("weights must be None, False, a name of the zoo or a path. Received: True.")
    if weights is None or weights is False:
        path = _checked_file(row) if weights is None and row.file else None
        return row.name, path, row.head_rows()
    if str(weights) in index():
        other = entry(str(weights))
        if not other.file:
            raise ValueError(
                f"weights={other.name!r} is an architecture without weights. "
                f"Names with weights: {', '.join(n for n, e in index().items() if e.file)}."
            )
        return other.name, _checked_file(other), other.head_rows() or row.head_rows()
    path = Path(weights)
    if not path.exists() and not path.suffix:
        raise ValueError(
            f"weights={str(weights)!r} is neither a name of the zoo nor a file.{nearest(str(weights), index())}"
        )
    return str(path), path, row.head_rows()


def _checked_file(row: Entry) -> Path:
    path = zoo_dir() / row.file
    if not path.is_file():
        raise FileNotFoundError(f"The weights of {row.name} are missing: {path}. Install kerasfast again.")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if row.sha256 and digest != row.sha256:
        raise ValueError(
            f"The weights of {row.name} are damaged: {path} has sha256 {digest}, the zoo says {row.sha256}. "
            "Install kerasfast again."
        )
    return path
