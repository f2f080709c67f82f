"""The arithmetic of the PyTorch reference in NumPy, written from its definition; arrays are (batch, T, H, W, C)."""

import itertools

import numpy as np


def conv(x, kernel, strides=(1, 1, 1), dilation=1):
    """A convolution padded by k // 2 (times dilation) zeros on both sides of each axis; `kernel` is (t, h, w, I, O)."""
    size, rates = kernel.shape[:3], (1, dilation, dilation)
    pads = [rate * (k // 2) for rate, k in zip(rates, size, strict=True)]
    padded = np.pad(x.astype("float64"), [(0, 0), *((p, p) for p in pads), (0, 0)])
    lengths = [
        (n + 2 * p - r * (k - 1) - 1) // s + 1
        for n, p, r, k, s in zip(x.shape[1:4], pads, rates, size, strides, strict=True)
    ]
    out = np.zeros((len(x), *lengths, kernel.shape[-1]))
    for tap in itertools.product(*map(range, size)):
        at = [slice(r * t, r * t + (n - 1) * s + 1, s) for r, t, n, s in zip(rates, tap, lengths, strides, strict=True)]
        out += padded[:, at[0], at[1], at[2]] @ kernel[tap].astype("float64")
    return out


def max_pool(x):
    """Windows of 3x3 pixels with stride 2, padded by one pixel of -inf on every side."""
    padded = np.pad(x, [(0, 0), (0, 0), (1, 1), (1, 1), (0, 0)], constant_values=-np.inf)
    height, width = ((n - 1) // 2 + 1 for n in x.shape[2:4])
    taps = [
        padded[:, :, row : row + 2 * height - 1 : 2, column : column + 2 * width - 1 : 2]
        for row, column in itertools.product(range(3), range(3))
    ]
    return np.max(taps, axis=0)


def average_windows(x, window):
    """Means over all frames and (up to) window x window pixels with stride 1: `(batch, h', w', C)`."""
    rows, columns = min(window, x.shape[2]), min(window, x.shape[3])
    views = np.lib.stride_tricks.sliding_window_view(x.astype("float64"), (rows, columns), axis=(2, 3))
    return views.mean(axis=(1, -2, -1))


class BatchNorm:
    """torch.nn.BatchNorm3d: momentum 0.1, epsilon 1e-5, the unbiased variance goes into the moving one."""

    def __init__(self, gamma, beta, mean=None, variance=None):
        self.gamma, self.beta = np.float64(gamma), np.float64(beta)
        self.mean = np.zeros_like(self.gamma) if mean is None else np.float64(mean)
        self.variance = np.ones_like(self.gamma) if variance is None else np.float64(variance)

    def __call__(self, x, training=False):
        x = x.astype("float64")
        mean, variance = self.mean, self.variance
        if training:
            mean, variance = x.mean(axis=(0, 1, 2, 3)), x.var(axis=(0, 1, 2, 3))
            count = x.size // x.shape[-1]
            self.mean = 0.9 * self.mean + 0.1 * mean
            self.variance = 0.9 * self.variance + 0.1 * variance * count / (count - 1)
        return (x - mean) / np.sqrt(variance + 1e-5) * self.gamma + self.beta


def relu(x):
    return np.maximum(x, 0)


def assert_close(got, expected, tolerance=1e-5):
    """Equal to `tolerance` times the largest expected value, as parity is measured everywhere."""
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.shape == expected.shape, f"{got.shape} != {expected.shape}"
    np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance * np.abs(expected).max())
