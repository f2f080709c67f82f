"""Arrays of any family under canonical names, in the layouts of Keras, each checked when it is read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType

import numpy as np

from kerasfast.checkpoints.errors import DISTRUST, Malformed, naming, quoted
from kerasfast.checkpoints.names import HEAD, MMACTION2, canonical_names

# Matrices of ours, of which some families make 1x1x1 convolutions: the second is X3D's layer before its head.
_DENSE = (HEAD, "head/lin5")


class CanonicalWeights(Mapping[str, np.ndarray]):
    """Weights by canonical name, turned to the layouts of Keras when they are read.

    Args:
        arrays: A `Checkpoint`, or any mapping from a family's names to arrays.

    Attributes:
        family: `pytorchvideo`, `pyslowfast`, `caffe2` or `mmaction2`.
        shapes: Canonical name -> shape as Keras has it; of a `Checkpoint` known without reading an array.

    Raises:
        CheckpointError: The names are of no family, or a shape is none that a weight of that name can have.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self._arrays = arrays
        self._source = getattr(arrays, "path", "this mapping")
        known = getattr(arrays, "shapes", None) or {key: array.shape for key, array in arrays.items()}
        with naming(self._source):
            family, self._keys = canonical_names(arrays)
            self.family = family.name
            found = {name: _keras_shape(name, self._key(name), known[key]) for name, key in self._keys.items()}
            self._swapped = self._fast_columns(found) if family is MMACTION2 else 0
            if family is MMACTION2:
                # Its non-local blocks have no bias before the batch norm, which is a bias of zero.
                for name in [name for name in found if re.fullmatch(r".*/nonlocal\d+/out/kernel", name)]:
                    found.setdefault(f"{name.removesuffix('kernel')}bias", found[name][-1:])
        self.shapes: Mapping[str, tuple[int, ...]] = MappingProxyType(found)

    def __getitem__(self, name: str) -> np.ndarray:
        if name in self.shapes and name not in self._keys:
            return np.zeros(self.shapes[name], np.float32)
        key = self._keys[name]
        array = self._arrays[key]
        with naming(self._source):
            return self._to_keras(name, array)

    def __contains__(self, name: object) -> bool:
        return name in self.shapes  # the method of Mapping would read the array

    def __iter__(self) -> Iterator[str]:
        return iter(self.shapes)

    def __len__(self) -> int:
        return len(self.shapes)

    def __repr__(self) -> str:
        return f"CanonicalWeights({self.family}, {len(self)} weights)"

    def _key(self, name: str) -> str:
        return quoted(self._keys[name])

    def _fast_columns(self, shapes: Mapping[str, tuple[int, ...]]) -> int:
        """Channels of the Fast pathway, which MMAction2's head has in front; 0 for a network without it."""
        last = max((name for name in shapes if re.fullmatch(r"fast/res\d/block0/bn_c/gamma", name)), default=None)
        kernel = f"{HEAD}/kernel"
        if last is None or kernel not in shapes:
            return 0
        fast = shapes[last][0]
        if shapes[kernel][0] <= fast:
            raise Malformed(
                f"its head takes {shapes[kernel][0]} features where its Fast pathway alone has {fast}", DISTRUST
            )
        return fast

    def _to_keras(self, name: str, array: np.ndarray) -> np.ndarray:
        if array.dtype.kind != "f":
            raise Malformed(f"{self._key(name)} holds {array.dtype} numbers instead of floating-point ones", DISTRUST)
        with np.errstate(over="ignore"):  # what overflows float32 is infinite and refused below
            array = array.astype(np.float32, copy=False)
        if not np.isfinite(array).all():
            raise Malformed(f"{self._key(name)} holds values that are not finite")
        if name.endswith("/moving_variance") and (array < 0).any():
            raise Malformed(f"{self._key(name)} holds a negative variance")
        array = array.reshape(_padded(name, array.shape))
        if name == f"{HEAD}/kernel" and self._swapped:
            array = np.concatenate([array[:, self._swapped :], array[:, : self._swapped]], axis=1)
        axes = {5: (2, 3, 4, 1, 0), 2: (1, 0)}.get(array.ndim, (0,))
        return np.ascontiguousarray(array.transpose(axes))


def to_canonical(arrays: Mapping[str, np.ndarray]) -> CanonicalWeights:
    """Weights of PyTorchVideo, PySlowFast, caffe2 or MMAction2 under the names and in the layouts of kerasfast.

    Convolutions come as `(T, H, W, in, out)`, those of the head as `(in, out)`; everything as float32. The head is
    called `action`. MMAction2 puts the features of the Fast pathway first; its head is turned to [slow, fast].

    Args:
        arrays: What `read` returns, or any mapping from a family's names to arrays.

    Returns:
        A mapping that reads, checks and turns each weight when it is asked for. Reading one whose values are not
        finite, or a negative variance, raises `CheckpointError`.

    Raises:
        CheckpointError: The names are of no family, or a shape is none that a weight of that name can have.
    """
    return CanonicalWeights(arrays)


def _axes(name: str) -> int:
    """Axes of a weight in Keras, and in torch but for axes of 1 at the end."""
    module, _, leaf = name.rpartition("/")
    if leaf != "kernel":
        return 1
    return 2 if module in _DENSE else 5


def _padded(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """A torch shape with as many axes as the weight has here.

    caffe2 writes 1x1x1 convolutions as matrices, X3D of PyTorchVideo and PySlowFast a matrix as such a convolution; a
    split batch norm has axes of 1 at its end.
    """
    axes = _axes(name)
    while len(shape) > axes and shape[-1] == 1:
        shape = shape[:-1]
    return (*shape, 1, 1, 1) if axes == 5 and len(shape) == 2 else shape


def _keras_shape(name: str, key: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    padded = _padded(name, shape)
    if len(padded) != _axes(name) or 0 in padded:
        raise Malformed(
            f"{key} has shape {shape} where {quoted(name)} has {_axes(name)} axes", "give a file of such a network"
        )
    return (*padded[2:], *padded[1::-1]) if len(padded) > 1 else padded
