"""The rows of `zoo/index.toml`, with what a library's checkpoints and a dataset's have in common merged into them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib  # type: ignore[no-redef]

from kerasfast.models.variants import Variant, nearest, override, variant

if TYPE_CHECKING:  # listing the zoo needs no Keras
    from kerasfast.models.heads import Head

INDEX = "index.toml"
FAMILIES = ("pytorchvideo", "pyslowfast", "caffe2", "mmaction2")
SAMPLINGS = ("clip", "video")  # what a view is: see `Entry.sampling`
TASKS = ("single_label", "multi_label")


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

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise ValueError(f"family must be one of {', '.join(FAMILIES)}. Received: {self.family!r}.")


@dataclass(frozen=True)
class Metric:
    """A published result on the validation split, with the protocol that gave it.

    Attributes:
        clips: Clips of a video, spread evenly over it.
        crops: Crops of a clip: 3 (along the longer side) or 1.
        crop_size: Height and width of a crop, in pixels.
        short_side: Short side of a frame before it is cropped, in pixels.
        merge: How the views of a video become one score: `mean` or `max`.
        top1: Top-1 accuracy in percent, or `None`.
        top5: Top-5 accuracy in percent, or `None`.
        map: Mean average precision in percent, or `None`.
        gflops: Multiply-adds of one view in 1e9, as published, or `None`.
    """

    clips: int
    crops: int
    crop_size: int
    short_side: int
    merge: str
    top1: float | None = None
    top5: float | None = None
    map: float | None = None
    gflops: float | None = None


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
        sampling: `clip` where a view is a clip as the variant's `clip` says; `video` where it is the middle frames of
            as many equal parts of the whole video (Something-Something), however long that is.
        source: The published checkpoint, or `None` for an architecture alone and for weights that ship with kerasfast.
        page: Where the library publishes its figures.
        metrics: Published results, the usual protocol first.
        card: What the script that published the weights wrote: `file`, `sha256`, `parameters`, `origin` (the
            command that made them), `metrics` with their protocol, `versions`. Empty for random weights and for those
            of other libraries.
        folder: The folder of the zoo, which the files of the labels are relative to.
    """

    name: str
    summary: str
    overrides: Mapping[str, Any] = field(default_factory=dict)
    heads: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    dataset: str = ""
    license: str = ""
    sampling: str = "clip"
    source: Source | None = None
    page: str = ""
    metrics: tuple[Metric, ...] = ()
    card: Mapping[str, Any] = field(default_factory=dict)
    folder: Path = field(default=Path(), repr=False)

    def __post_init__(self) -> None:
        if self.sampling not in SAMPLINGS:
            raise ValueError(f"sampling must be one of {', '.join(SAMPLINGS)}. Received: {self.sampling!r}.")

    @property
    def architecture(self) -> str:
        """The part of the name that says which network it is."""
        return self.name.partition(".")[0]

    @property
    def variant(self) -> Variant:
        """The row of the table, with the overrides of these weights."""
        return _variant(self.architecture, self.overrides)

    @property
    def has_weights(self) -> bool:
        """Whether there are trained weights, in the package or to be fetched."""
        return bool(self.card) or self.source is not None

    @property
    def task(self) -> str:
        """`single_label` (softmax), `multi_label` where a head has sigmoid scores; empty for an architecture alone."""
        if not self.heads:
            return ""
        sigmoid = any(head.get("activation", "sigmoid") == "sigmoid" for head in self.heads.values())
        return "multi_label" if sigmoid else "single_label"

    def head_rows(self) -> dict[str, Head] | None:
        """The heads with their class names, or `None` for an architecture alone."""
        from kerasfast.models.heads import Head

        if not self.heads:
            return None
        rows = {}
        for name, values in self.heads.items():
            labels = None
            if "labels" in values:
                labels = tuple((self.folder / values["labels"]).read_text("utf-8").splitlines())
            rows[name] = Head(values["classes"], values.get("activation", "sigmoid"), labels)
        return rows


@dataclass(frozen=True)
class _Family:
    """What the rows of a library's checkpoints have in common."""

    license: str = ""
    page: str = ""
    overrides: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Dataset:
    """What the rows of weights trained on a dataset have in common; `protocol` has fields of `Metric`."""

    heads: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    overrides: Mapping[str, Any] = field(default_factory=dict)
    sampling: str = "clip"
    protocol: Mapping[str, Any] = field(default_factory=dict)


def same_networks(family: str, other: str) -> bool:
    """Whether checkpoints of both families hold the same networks; caffe2's are PySlowFast's.

    >>> same_networks("caffe2", "pyslowfast"), same_networks("pyslowfast", "mmaction2")
    (True, False)
    """
    return family == other or {family, other} == {"pyslowfast", "caffe2"}


def family_overrides(folder: Path, family: str) -> dict[str, Any]:
    """The fields of a row that every checkpoint of a library needs, by the `[family]` tables of the index."""
    with (folder / INDEX).open("rb") as file:
        fields = tomllib.load(file).get("family", {}).get(family, {}).get("overrides", {})
    return {key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()}


def read_index(folder: Path) -> dict[str, Entry]:
    """Every entry of a zoo by name, in the order of its `index.toml`.

    A row inherits the fields of `[family.<family of its source>]` and of `[dataset.<its dataset>]`; its own stand over
    the family's, the family's over the dataset's. In `overrides`, `clip` holds the fields of the clip that differ.

    Raises:
        ValueError: A key that a table does not have, a missing one, or a value that cannot be; names the row.
    """
    path = folder / INDEX
    with path.open("rb") as file:
        tables = tomllib.load(file)
    _check_keys(tables, ("family", "dataset", "model"), str(path))
    common = {
        kind: {name: _make(make, table, f"{path}: {kind} {name!r}") for name, table in tables.get(kind, {}).items()}
        for kind, make in (("family", _Family), ("dataset", _Dataset))
    }
    entries: dict[str, Entry] = {}
    for row in tables["model"]:
        where = f"{path}: model {row.get('name', len(entries))!r}"
        entry = _entry(row, common, folder, where)
        if entry.name in entries:
            raise ValueError(f"{where}: there is a row of that name already. Choose another tag.")
        entries[entry.name] = entry
    return entries


def _entry(row: Mapping[str, Any], common: Mapping[str, Mapping[str, Any]], folder: Path, where: str) -> Entry:
    _check_keys(row, [field.name for field in dataclasses.fields(Entry) if field.name != "folder"], where)
    source = _make(Source, row["source"], where) if "source" in row else None
    family = common["family"].get(source.family, _Family()) if source else _Family()
    dataset = common["dataset"].get(row.get("dataset", ""), _Dataset())
    values = {
        "license": family.license,
        "page": family.page,
        "heads": dataset.heads,
        "sampling": dataset.sampling,
        **row,
        "source": source,
        "overrides": {**dataset.overrides, **family.overrides, **row.get("overrides", {})},
        "card": json.loads((folder / row["card"]).read_text("utf-8")) if "card" in row else {},
        "metrics": (),
        "folder": folder,
    }
    entry = _make(Entry, values, where)
    try:
        protocol = {"crop_size": entry.variant.test_crop_size, **dataset.protocol}
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    metrics = ({**protocol, **metric} for metric in row.get("metrics", ()))
    metrics = ({"short_side": metric["crop_size"], **metric} for metric in metrics)
    return dataclasses.replace(entry, metrics=tuple(_make(Metric, metric, f"{where}, metrics") for metric in metrics))


def _variant(architecture: str, overrides: Mapping[str, Any]) -> Variant:
    """A row of the table with fields as TOML has them: lists for tuples, and for the clip the fields that differ."""
    row = variant(architecture)
    fields: dict[str, Any] = {}
    for key, value in overrides.items():
        if key == "clip":
            _check_keys(value, [field.name for field in dataclasses.fields(row.clip)], "overrides.clip")
            value = dataclasses.replace(row.clip, **value)
        fields[key] = tuple(value) if isinstance(value, list) else value
    return override(row, **fields)


def _make(kind: Any, table: Mapping[str, Any], where: str) -> Any:
    """An instance of a dataclass whose fields are the keys of `table`."""
    fields = {field.name: field for field in dataclasses.fields(kind)}
    _check_keys(table, fields, where)
    for name, row in fields.items():
        required = row.default is dataclasses.MISSING and row.default_factory is dataclasses.MISSING
        if required and name not in table:
            raise ValueError(f"{where}: key {name!r} is missing.")
    try:
        return kind(**table)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def _check_keys(table: Mapping[str, Any], keys: Iterable[str], where: str) -> None:
    keys = list(keys)
    for key in table:
        if key not in keys:
            raise ValueError(f"{where}: unknown key {key!r}.{nearest(key, keys)} Keys: {', '.join(keys)}.")
