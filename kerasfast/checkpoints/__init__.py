"""Checkpoints of PyTorchVideo, PySlowFast, caffe2 and MMAction2, read with NumPy alone and without running them."""

from kerasfast.checkpoints.canonical import to_canonical as to_canonical
from kerasfast.checkpoints.errors import CheckpointError as CheckpointError
from kerasfast.checkpoints.reader import read as read

__all__ = ["CheckpointError", "read", "to_canonical"]
