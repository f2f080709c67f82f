"""The zoo: `index.toml` as rows, and one call that turns a name into a model."""

from __future__ import annotations

import fnmatch
import functools
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib  # type: ignore[no-redef]

from kerasfast._data_folders import zoo_dir
from kerasfast.models.variants import Variant, nearest, override, variant

if TYPE_CHECKING:  # listing the zoo needs no Keras
    from kerasfast.models.classifier import VideoClassifier
    from kerasfast.models.heads import Head


@dataclass(frozen=True)
class Source:
    """A published checkpoint of another library, which is fetched and ported when it is first asked for.

    Attributes:
        url: Where it is published.
        family: Library whose names and conventions it follows: `pytorchvideo`, `pyslowfast`, `caffe2` or `mmaction2`.
        sha256: What is published of the file's SHA-256, in hex from its start (MMAction2: 8 digits); empty where
            nothing is.
        bytes: Size of the file where it is published, else `None`.
    """

    url: str
    family: str
    sha256: str = ""
    bytes: int | None = None


@dataclass(frozen=True)
class Entry:
    """A row of the zoo: an architecture alone, or with weights (`architecture.tag`).

    Attributes:
        name: `slowfast_nano`, or with a weights tag `slowfast_nano.miniature`.
        summary: What it is, in one line.
        overrides: Fields of the variant that these weights need.
        heads: Heads that come with the weights, by name: `classes`, `activation` and the file of the `labels`.
        dataset: What it was trained on.
        license: Licence of the weights, as published.
        source: The published checkpoint, or `None` for an architecture alone and for weights that ship with kerasfast.
        card: What the script that published the weights wrote: `file`, `sha256`, `parameters`, `origin` (the
            command that made them), `metrics` with their protocol, `versions`. Empty for random weights.
    """

    name: str
    summary: str
    overrides: Mapping[str, Any] = field(default_factory=dict)
    heads: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    dataset: str = ""
    license: str = ""
    source: Source | None = None
    card: Mapping[str, Any] = field(default_factory=dict)

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
        from kerasfast.models.heads import Head

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
    for row in rows:
        if "source" in row:
            row["source"] = Source(**row["source"])
        if "card" in row:
            row["card"] = json.loads((zoo_dir() / row["card"]).read_text("utf-8"))
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

    Weights that another library published are fetched and ported when they are first asked for, and come from the
    cache afterwards (`KERASFAST_HOME`, by default `~/.cache/kerasfast`); their checkpoint is deleted once it is ported.
    A terminal shows a progress bar unless `keras.config.disable_interactive_logging()` was called.

    Args:
        name: `architecture.weights`, such as `slowfast_nano.miniature`; the architecture alone has random weights.
        heads: Heads by name, an int meaning that many sigmoid classes; by default those of the weights.
            A head that the weights lack starts random.
        weights: `None` takes those of the name, `False` random ones; else a name of the zoo or the path of a
            `.weights.h5` file or of a PyTorch checkpoint (PyTorchVideo, PySlowFast, caffe2, MMAction2).
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
        DownloadError: Published weights cannot be fetched; the message says how to load a local file.
        CacheError: The cache folder cannot be written.

    >>> model = load("slowfast_nano.miniature")
    >>> sorted(model.heads)
    ['action', 'object', 'verb']
    """
    from kerasfast.models.classifier import build
    from kerasfast.weights import build_filled, read_weights

    row = entry(name)
    network = override(row.variant, **variant_overrides)
    source, path, source_heads = _source(row, weights)
    make = functools.partial(
        build,
        network,
        heads=source_heads if heads is None else heads,
        embedding=embedding,
        dropout=dropout,
        bn=bn,
        dtype=dtype,
        features_only=features_only,
    )
    if path is None:
        model, report = make(), None
    else:
        new_heads = heads is not None or features_only
        model, report = build_filled(make, read_weights(path), source=source, new_heads=new_heads)
    model.load_report = report
    return model


def _source(row: Entry, weights: str | Path | bool | None) -> tuple[str, Path | None, dict[str, Head] | None]:
    """Title and path of the weights, and the heads that come with them."""
    if weights is True:
        raise ValueError("weights must be None, False, a name of the zoo or a path. Received: True.")
    if weights is None or weights is False:
        path = _weights_file(row) if weights is None and has_weights(row) else None
        return row.name, path, row.head_rows()
    if str(weights) in index():
        other = entry(str(weights))
        if not has_weights(other):
            raise ValueError(
                f"weights={other.name!r} is an architecture without weights. "
                f"Names with weights: {', '.join(n for n, e in index().items() if has_weights(e))}."
            )
        return other.name, _weights_file(other), other.head_rows() or row.head_rows()
    path = Path(weights)
    # `slowfast_nano.miniatur` is a misspelt name, not a file of type .miniatur.
    if not path.exists() and path.suffix != ".h5":
        raise ValueError(
            f"weights={str(weights)!r} is neither a name of the zoo nor a file.{nearest(str(weights), index())}"
        )
    return str(path), path, row.head_rows()


def has_weights(row: Entry) -> bool:
    """Whether there are trained weights, in the package or to be fetched."""
    return bool(row.card) or row.source is not None


def published_network(row: Entry) -> Callable[[], VideoClassifier]:
    """Builds the network that the published weights of an entry fill completely."""
    from kerasfast.models.classifier import build

    return functools.partial(build, row.variant, heads=row.head_rows(), dtype="float32")


def _weights_file(row: Entry) -> Path:
    """The weights of an entry: from the cache, fetched if need be, or those that come with the package."""
    if row.source is not None:
        from kerasfast.cache import fetched

        return fetched(row.name, row.source, published_network(row))
    path = zoo_dir() / row.card["file"]
    if not path.is_file():
        raise FileNotFoundError(f"The weights of {row.name} are missing: {path}. Install kerasfast again.")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != row.card["sha256"]:
        raise ValueError(
            f"The weights of {row.name} are damaged: {path} has sha256 {digest}, its card says {row.card['sha256']}. "
            "Install kerasfast again."
        )
    return path
