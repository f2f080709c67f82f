"""Weights of image networks as a start for video networks."""

from __future__ import annotations

import numpy as np


def inflate(kernel: np.ndarray, length: int) -> np.ndarray:
    """A 2D convolution kernel repeated along time and divided by its length (Carreira and Zisserman 2017).

    On a still clip the 3D convolution then gives what the 2D one gives on its frame, apart from the ends, where zeros
    stand for frames.

    Args:
        kernel: `(height, width, input channels, output channels)`.
        length: Frames of the new kernel.

    Returns:
        `(length, height, width, input channels, output channels)`.

    Raises:
        ValueError: Another rank, or a length below 1.

    >>> inflate(np.ones((3, 3, 8, 4)), 5).shape
    (5, 3, 3, 8, 4)
    """
    kernel = np.asarray(kernel)
    if kernel.ndim != 4:
        raise ValueError(
            "inflate takes a 2D kernel (height, width, input channels, output channels). "
            f"Received: shape {kernel.shape}. Transpose a torch kernel with (2, 3, 1, 0)."
        )
    if length < 1:
        raise ValueError(f"A kernel must be at least 1 frame long. Received: length={length!r}.")
    return np.repeat(kernel[None], length, axis=0) / np.asarray(length, kernel.dtype)
