"""The zoo: `index.toml` as rows, and one call that turns a name into a model."""

from __future__ import annotations

import dataclasses
import fnmatch
import functools
import hashlib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kerasfast._data_folders import zoo_dir
from kerasfast.models.variants import Variant, nearest, override, variant
from kerasfast.zoo_index import TASKS, family_overrides, read_index, same_networks
from kerasfast.zoo_index import Entry as Entry
from kerasfast.zoo_index import Source as Source

if TYPE_CHECKING:  # listing the zoo needs no Keras
    from kerasfast.models.classifier import VideoClassifier
    from kerasfast.models.heads import Head

# Fields of a network that weights were trained with and that their shapes do not tell.
_OF_WEIGHTS = (
    *("pixel_mean", "pixel_std", "slow_frames", "lateral_norm", "first_shortcut_norm"),
    *("head_pool", "head_average"),
)


@cache
def index() -> Mapping[str, Entry]:
    """Every entry of the zoo by name, in the order of `index.toml`."""
    return read_index(zoo_dir())


def list_models(pattern: str = "*", *, task: str | None = None, dataset: str | None = None) -> list[str]:
    """Names of the zoo, in the order of the index.

    Args:
        pattern: Shell pattern that a name must match.
        task: `single_label` (softmax: one class a video) or `multi_label` (sigmoid: any number of them); by default
            all, architectures without weights too.
        dataset: Dataset that the weights were trained on, such as `Kinetics-400`, in any case of letters.

    Raises:
        ValueError: There is no such task, or the zoo has no weights of such a dataset.

    >>> list_models("*nano.*")
    ['slowfast_nano.miniature']
    >>> list_models("slow_r50*", dataset="charades")
    ['slow_r50_8x8.charades']
    """
    rows = index()
    if task is not None and task not in TASKS:
        raise ValueError(f"task must be one of {', '.join(TASKS)}. Received: {task!r}.")
    known = {row.dataset.casefold(): row.dataset for row in rows.values() if row.dataset}
    if dataset is not None and dataset.casefold() not in known:
        raise ValueError(
            f"dataset must be one of {', '.join(known.values())}. Received: {dataset!r}."
            f"{nearest(dataset.casefold(), known)}"
        )
    return [
        name
        for name, row in rows.items()
        if fnmatch.fnmatchcase(name, pattern)
        and (task is None or row.task == task)
        and (dataset is None or row.dataset.casefold() == dataset.casefold())
    ]


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
    recompute: bool = False,
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
            A head that the weights lack starts random, and pools and averages as the architecture alone does.
        weights: `None` takes those of the name, `False` random ones; else a name of the zoo, or the path of a
            `.weights.h5` file or of a PyTorch checkpoint (PyTorchVideo, PySlowFast, caffe2, MMAction2). The
            normalisation and the quirks of a name's or a checkpoint's library come along.
        embedding: Width of a layer between pooling and heads, or `None`.
        dropout: Rate of dropout on the pooled features.
        bn: Batch-norm policy: `replica`, `sync` or `frozen`.
        recompute: In training, keep the inputs of the stages alone and compute the rest again for the gradient: less
            memory, and about a third more time.
        dtype: Keras dtype policy, or `None` for the global one.
        features_only: Return features instead of scores.
        **variant_overrides: Fields of the variant to replace.

    Returns:
        The model; `model.load_report` says what came from the weights (`None` where they are random), and
        `model.sampling` whether a view is a `clip` or the whole `video` (Something-Something).

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
    from kerasfast.models.heads import KINETICS400, as_heads
    from kerasfast.weights import build_filled, read_weights

    row = entry(name)
    origin = index().get(str(weights), row)
    published = as_heads(origin.head_rows() or row.head_rows() or KINETICS400)
    keeps_heads = heads is None or all(_alike(published.get(key), head) for key, head in as_heads(heads).items())
    network = _network(row, weights, keeps_heads=keeps_heads)
    network = override(network, **variant_overrides)
    source, path, source_heads = _source(row, weights)
    make = functools.partial(
        build,
        network,
        heads=source_heads if heads is None else heads,
        embedding=embedding,
        dropout=dropout,
        bn=bn,
        recompute=recompute,
        dtype=dtype,
        features_only=features_only,
    )
    if path is None:
        model, report = make(), None
    else:
        new_heads = heads is not None or features_only
        new_blocks = origin.architecture != row.architecture
        model, report = build_filled(
            make, read_weights(path), source=source, new_heads=new_heads, new_blocks=new_blocks
        )
    model.load_report = report
    model.sampling = origin.sampling if keeps_heads else "clip"
    return model


def _network(row: Entry, weights: str | Path | bool | None, *, keeps_heads: bool) -> Variant:
    """The row of the table in the form that the weights were trained in.

    Args:
        row: The entry of the name.
        weights: As in `load`; a file tells its library by the names in it.
        keeps_heads: Whether only heads of the weights are wanted; new ones pool and average as the row does.

    Raises:
        ValueError: A checkpoint of another library than the entry's.
    """
    plain = variant(row.architecture)
    form = row.variant
    if str(weights) in index():
        origin = entry(str(weights)).variant
        rate = dataclasses.replace(form.clip, fps=origin.clip.fps)
        form = override(form, clip=rate, **{name: getattr(origin, name) for name in _OF_WEIGHTS})
    elif isinstance(weights, (str, Path)) and Path(weights).is_file():
        form = override(form, **form_of_file(row, Path(weights)))
    if keeps_heads:
        return form
    return override(form, head_pool=plain.head_pool, head_average=plain.head_average)


def form_of_file(row: Entry, path: Path) -> dict[str, Any]:
    """The fields of a row that a checkpoint file needs: those of the first entry of its library and architecture.

    Args:
        row: The entry that it is to fill.
        path: A checkpoint of PyTorch, or a `.weights.h5` file, which needs none.

    Raises:
        CheckpointError: It is neither.
        ValueError: It is of another library than the entry's.
    """
    from kerasfast.weights import read_weights

    family = getattr(read_weights(path), "family", None)
    if family is None:
        return {}
    if row.source is not None:
        if not same_networks(family, row.source.family):
            raise ValueError(
                f"{path} has the names of {family}, and {row.name} is the network of {row.source.family}, which "
                f"differs in its statistics or layers. Load it into {row.architecture!r} or into an entry of {family}."
            )
        return {}
    for other in index().values():
        if other.architecture == row.architecture and other.source and same_networks(other.source.family, family):
            return {name: getattr(other.variant, name) for name in other.overrides if name != "clip"}
    return family_overrides(zoo_dir(), family)


def _alike(published: Head | None, head: Head) -> bool:
    return published is not None and (published.classes, published.activation) == (head.classes, head.activation)


def _source(row: Entry, weights: str | Path | bool | None) -> tuple[str, Path | None, dict[str, Head] | None]:
    """Title and path of the weights, and the heads that come with them."""
    if weights is True:
        raise ValueError("weights must be None, False, a name of the zoo or a path. Received: True.")
    if weights is None or weights is False:
        path = _weights_file(row) if weights is None and row.has_weights else None
        return row.name, path, row.head_rows()
    if str(weights) in index():
        other = entry(str(weights))
        if not other.has_weights:
            tagged = [name for name, row in index().items() if row.has_weights and row.architecture == other.name]
            raise ValueError(
                f"weights={other.name!r} is an architecture without weights. "
                f"Names with weights of it: {', '.join(tagged) or 'none'}."
            )
        return other.name, _weights_file(other), other.head_rows() or row.head_rows()
    path = Path(weights)
    # `slowfast_nano.miniatur` is a misspelt name, not a file of type .miniatur.
    if not path.exists() and path.suffix != ".h5":
        raise ValueError(
            f"weights={str(weights)!r} is neither a name of the zoo nor a file.{nearest(str(weights), index())}"
        )
    return str(path), path, row.head_rows()


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
