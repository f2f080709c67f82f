"""Weights under canonical names: read from files, assigned strictly, with a report of what came from where."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from kerasfast.checkpoints import read, to_canonical
from kerasfast.models.layers import zero_convolutions

# slow_res2_block0_conv_a -> slow/res2/block0/conv_a; slow_stem_bn -> slow/stem/bn; head_verb -> head/verb
_STAGE = re.compile(r"(slow|fast|lateral)_(stem|res\d+)_(?:((?:block|nonlocal)\d+)_)?(\w+)")
_HEAD = re.compile(r"head_(\w+)")
# Keras stores a layer's variables in the order of creation; the number of them tells the kind of layer.
_LEAVES = {
    1: ("kernel",),
    2: ("kernel", "bias"),
    4: ("gamma", "beta", "moving_mean", "moving_variance"),
}
# What may be new when weights come from another task: heads (not the layers that X3D has before them), embedding and
# non-local blocks.
_MAY_BE_NEW = re.compile(r"head/(?!(?:conv5|bn5|lin5)/)|embedding/|.*/nonlocal\d+/")
_NEW_BLOCKS = re.compile(r".*/nonlocal\d+/")


@dataclass(frozen=True)
class LoadReport:
    """What loading did, as canonical names.

    Attributes:
        loaded: Weights taken from the source.
        new: Weights of the model that the source lacks; they keep their random values.
        skipped: Weights of the source that the model lacks or has in another shape.
    """

    loaded: tuple[str, ...]
    new: tuple[str, ...]
    skipped: tuple[str, ...]

    def __str__(self) -> str:
        parts = [f"loaded {len(self.loaded)} weights"]
        for title, names in (("new", self.new), ("skipped", self.skipped)):
            parts.append(f"{title}: {', '.join(names) if names else 'none'}")
        return "; ".join(parts)


def canonical_name(layer_name: str) -> str | None:
    """The canonical name of a layer with weights, or `None` where it has none.

    It is pathway, stage, block and layer. A network with a single pathway, X3D too, has it under `slow` (`fast` where
    it is the Fast one); X3D's layers before its heads are `head/conv5`, `head/bn5` and `head/lin5`.

    >>> canonical_name("slow_res2_block0_conv_a")
    'slow/res2/block0/conv_a'
    >>> canonical_name("slow_res4_nonlocal3_theta"), canonical_name("slow_res2_block0_se_fc1")
    ('slow/res4/nonlocal3/theta', 'slow/res2/block0/se_fc1')
    """
    if match := _STAGE.fullmatch(layer_name):
        return "/".join(part for part in match.groups() if part)
    if match := _HEAD.fullmatch(layer_name):
        return f"head/{match[1]}"
    return "embedding" if layer_name == "embed" else None


def canonical_weights(model: keras.Model) -> dict[str, Any]:
    """The variables of a model by canonical name, such as `slow/stem/conv/kernel`, in graph order."""
    found = {}
    for layer in model.layers:
        name = canonical_name(layer.name)
        if name is not None:
            found.update({f"{name}/{variable.name}": variable for variable in layer.variables})
    return found


class SavedWeights(Mapping[str, np.ndarray]):
    """The arrays of a `.weights.h5` file of a kerasfast model by canonical name; each is read when it is asked for.

    Args:
        path: The file.

    Attributes:
        shapes: Name -> shape, known without reading an array.

    Raises:
        ValueError: It is not of a kerasfast model, or damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._places: dict[str, str] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        with self._open() as file:
            self._stat = _identity(path)
            file.visititems(self._visit)
        if not self._places:
            raise ValueError(
                f"{path} holds no weights of a kerasfast model. Give a file written by model.save_weights."
            )

    def __getitem__(self, name: str) -> np.ndarray:
        place = self._places[name]
        with self._open() as file:
            if _identity(self._path) != self._stat:
                raise ValueError("it has changed since it was opened")
            return np.asarray(file[place])

    def __contains__(self, name: object) -> bool:
        return name in self._places  # the method of Mapping would read the array

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    @contextmanager
    def _open(self) -> Iterator[h5py.File]:
        try:
            with h5py.File(self._path) as file:
                yield file
        except (OSError, KeyError, RuntimeError, TypeError, ValueError, MemoryError) as error:
            raise ValueError(f"{self._path} is damaged: {error}. Copy or save it again.") from error

    def _visit(self, place: str, group: Any) -> None:
        # Groups are numbered by layer class; the layer's own name is an attribute of its variables.
        layer = canonical_name(str(group.attrs.get("name", "")))
        if not isinstance(group, h5py.Group) or layer is None or len(group) not in _LEAVES:
            return
        for index, leaf in enumerate(_LEAVES[len(group)]):
            name, key = f"{layer}/{leaf}", str(index)
            if name in self._places:
                raise ValueError(f"it holds {layer} twice")
            # HDF5 can link into other files; weights come from the file that was named.
            if not isinstance(group.get(key, getlink=True), h5py.HardLink) or not isinstance(group[key], h5py.Dataset):
                raise ValueError(f"variable {key} of {layer} is no array")
            self._places[name] = f"{place}/{key}"
            self.shapes[name] = group[key].shape


def _identity(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


def read_weights(path: str | Path) -> Mapping[str, np.ndarray]:
    """Arrays of a weights file by canonical name, each read when it is asked for.

    Args:
        path: A file written by `model.save_weights` of a kerasfast model, or a checkpoint of PyTorchVideo, PySlowFast,
            caffe2 or MMAction2, told apart by their first bytes.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: It is no HDF5 file, and no checkpoint of these libraries either.
        ValueError: It is an HDF5 file, but not of a kerasfast model.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no weights file {path}. Give the path of a .weights.h5 file or a checkpoint."
        )
    return SavedWeights(path) if h5py.is_hdf5(path) else to_canonical(read(path))


def assign(model: keras.Model, arrays: Mapping[str, np.ndarray], *, source: str, new_heads: bool) -> LoadReport:
    """Put arrays into a model, accounting for every name on both sides.

    Nothing is assigned before all is checked. For that, what is read lazily is read twice, and held once;
    `build_filled` reads it once.

    Args:
        model: The model to fill.
        arrays: Values by canonical name.
        source: Where they come from, for messages.
        new_heads: Whether heads, embedding and non-local blocks of the model may keep random values (where the
            source lacks them or has other shapes), and those of the source may go unused.

    Raises:
        ValueError: A name or shape on either side that nothing explains, or values that are no weights.
    """
    targets = canonical_weights(model)
    report = _match(targets, arrays, source=source, new_heads=new_heads)
    for name in report.loaded:
        _check_values(name, arrays[name], source)
    for name in report.loaded:
        targets[name].assign(arrays[name])
    return report


def build_filled(
    build: Callable[[], keras.Model],
    arrays: Mapping[str, np.ndarray],
    *,
    source: str,
    new_heads: bool,
    new_blocks: bool = False,
) -> tuple[keras.Model, LoadReport]:
    """A new model with these weights.

    Each array is read once, checked and assigned, and what will be assigned is not drawn at random before. A value that
    is no weight may turn up when others are assigned already: then nobody gets the model.

    Args:
        build: Builds the model.
        arrays: As in `assign`.
        source: As in `assign`.
        new_heads: As in `assign`.
        new_blocks: Whether non-local blocks of the model may be new without that.

    Raises:
        ValueError: A name or shape on either side that nothing explains, or values that are no weights.
    """
    # What may stay new has to be random; all else is assigned, or raises.
    given = {_layer(name) for name in arrays if not _MAY_BE_NEW.match(name)}
    with zero_convolutions(lambda layer: canonical_name(layer) in given):
        model = build()
    targets = canonical_weights(model)
    report = _match(targets, arrays, source=source, new_heads=new_heads, new_blocks=new_blocks)
    for name in report.loaded:
        array = arrays[name]
        _check_values(name, array, source)
        targets[name].assign(array)
    return model, report


def _match(
    targets: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
    *,
    source: str,
    new_heads: bool,
    new_blocks: bool = False,
) -> LoadReport:
    """What will be loaded, or an error with what nothing explains."""
    shapes = shapes_of(arrays)
    misfits = {_layer(name) for name in targets if shapes.get(name) != tuple(targets[name].shape)}
    loaded = {name: None for name in targets if _layer(name) not in misfits}  # a layer loads whole or not at all
    new = [name for name in targets if name not in loaded]
    skipped = [name for name in arrays if name not in loaded]
    explained = _MAY_BE_NEW if new_heads else _NEW_BLOCKS if new_blocks else None
    unexplained = [name for name in (*new, *skipped) if not (explained and explained.match(name))]
    if unexplained:
        raise ValueError(_mismatch(unexplained, targets, shapes, source))
    return LoadReport(tuple(loaded), tuple(new), tuple(skipped))


def shapes_of(arrays: Mapping[str, np.ndarray]) -> Mapping[str, tuple[int, ...]]:
    """Shapes by name, without reading the arrays where the mapping knows them."""
    known = getattr(arrays, "shapes", None)
    return {name: array.shape for name, array in arrays.items()} if known is None else known


def _layer(name: str) -> str:
    return name.rpartition("/")[0]


def _mismatch(
    names: Iterable[str], targets: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]], source: str
) -> str:
    def describe(name: str) -> str:
        has = f"{shapes[name]}" if name in shapes else "nothing"
        wants = f"{tuple(targets[name].shape)}" if name in targets else "nothing"
        return f"{name} (file: {has}, model: {wants})"

    names = list(dict.fromkeys(names))
    shown = "; ".join(describe(name) for name in names[:8])
    more = f"; and {len(names) - 8} more" if len(names) > 8 else ""
    heads_only = all(name.startswith("head/") for name in names)
    fix = (
        "Pass heads=... to train new heads on these weights."
        if heads_only
        else "Load weights of the same architecture, with the same overrides."
    )
    return f"{source} does not fit the model: {shown}{more}. {fix}"


def _check_values(name: str, array: np.ndarray, source: str) -> None:
    if array.dtype.kind not in "fiu":
        raise ValueError(f"{source} holds values that are not numbers in {name}. Take another copy of the file.")
    if not np.isfinite(array).all():
        raise ValueError(f"{source} holds values that are not finite in {name}. Take another copy of the file.")
    if name.endswith("moving_variance") and (array < 0).any():
        raise ValueError(f"{source} holds a negative variance in {name}. Take another copy of the file.")
