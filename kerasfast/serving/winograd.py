"""Convolutions of three taps with fewer multiplications, by Winograd's minimal filtering.

Two neighbouring outputs of a convolution of three taps share most of their inputs. Four of them, which take twelve
products when each is computed alone, take six of sums of the inputs with sums of the taps (Winograd 1980; for networks
Lavin and Gray 2016, arXiv:1509.09308, F(4, 3)): along time half the multiplications, in pictures a quarter. What is
left is matrix products, which every library computes at the machine's full rate.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasfast.models.cost import layer_shapes

OUTPUTS, TAPS = 4, 3
PRODUCTS = OUTPUTS + TAPS - 1
# Where the polynomials behind the algorithm are evaluated, beside infinity. Of the sets tried these round least: 2.2
# times the error of a direct float32 convolution in pictures; the usual 0, 1, -1, 2, -2 have 3.8.
_POINTS = (0.0, 0.5, -0.5, 1.5, -1.5)
# Multiply-adds in the time that a number takes to be written and read again, and the estimated share of the direct time
# up to which Winograd's algorithm is used: tools/bench_winograd.py, benchmarks/winograd.json.
_WRITTEN, WORTHWHILE = 25, 0.8


def _evaluation(coefficients: int) -> np.ndarray:
    """Values of a polynomial at the points and at infinity, from its coefficients: `(PRODUCTS, coefficients)`."""
    at_points = np.vander(_POINTS, coefficients, increasing=True)
    at_infinity = np.eye(1, coefficients, coefficients - 1)
    return np.concatenate([at_points, at_infinity])


# A convolution is the transpose of the product of two polynomials, which is interpolated from its values.
_OF_TAPS = _evaluation(TAPS)
_OF_OUTPUTS = _evaluation(OUTPUTS).T
_OF_INPUTS = np.linalg.inv(_evaluation(PRODUCTS)).T


def transformed_kernel(kernel: np.ndarray) -> np.ndarray:
    """The sums of taps that a convolution multiplies with.

    Args:
        kernel: `(3, 1, 1, channels, filters)` or `(1, 3, 3, channels, filters)`.

    Returns:
        float32 `(6, channels, filters)` or `(36, channels, filters)`, computed in float64.
    """
    kernel = kernel.astype("float64")
    if kernel.shape[0] == TAPS:
        return np.einsum("pt,tcf->pcf", _OF_TAPS, kernel[:, 0, 0]).astype("float32")
    sums = np.einsum("ph,qw,hwcf->pqcf", _OF_TAPS, _OF_TAPS, kernel[0])
    return sums.reshape(PRODUCTS**2, *kernel.shape[-2:]).astype("float32")


class WinogradConv3D(keras.layers.Layer):
    """A convolution with stride 1 and zeros around, of three taps along time or of 3x3 in pictures, with a bias.

    `(batch, T, H, W, channels)` to `(batch, T, H, W, filters)`, any of the sizes open. For TensorFlow.

    Args:
        filters: Channels of the output.
        over_time: Along time, in place of in pictures.
        **kwargs: Of `keras.layers.Layer`.
    """

    def __init__(self, filters: int, over_time: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.filters, self.over_time = filters, over_time

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make `kernel`, which takes a `transformed_kernel`, and `bias`."""
        products = PRODUCTS if self.over_time else PRODUCTS**2
        self.kernel = self.add_weight(shape=(products, input_shape[-1], self.filters), name="kernel")
        self.bias = self.add_weight(shape=(self.filters,), initializer="zeros", name="bias")

    def call(self, inputs: Any) -> Any:
        """Convolve."""
        convolved = self._over_time(inputs) if self.over_time else self._in_pictures(inputs)
        convolved = tf.reshape(convolved, [*keras.ops.shape(inputs)[:-1], self.filters])
        return tf.nn.bias_add(convolved, self.bias)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The shape of the output."""
        return (*input_shape[:-1], self.filters)

    def _over_time(self, inputs: Any) -> Any:
        _, length, height, width, channels = keras.ops.shape(inputs)
        tiles, into, out_of = _matrices(length)
        x = tf.matmul(into, tf.reshape(inputs, [-1, length, height * width * channels]))
        x = tf.matmul(tf.reshape(x, [-1, PRODUCTS, tiles * height * width, channels]), self.kernel)
        return tf.matmul(out_of, tf.reshape(x, [-1, PRODUCTS * tiles, height * width * self.filters]))

    def _in_pictures(self, inputs: Any) -> Any:
        _, _, height, width, channels = keras.ops.shape(inputs)
        rows, into_rows, out_of_rows = _matrices(height)
        columns, into_columns, out_of_columns = _matrices(width)
        x = tf.matmul(into_rows, tf.reshape(inputs, [-1, height, width * channels]))
        x = tf.matmul(into_columns, tf.reshape(x, [-1, width, channels]))
        # A product for each pair of sums, over the tiles of all pictures.
        x = tf.transpose(tf.reshape(x, [-1, PRODUCTS, rows, PRODUCTS, columns, channels]), [1, 3, 0, 2, 4, 5])
        x = tf.matmul(tf.reshape(x, [PRODUCTS**2, -1, channels]), self.kernel)
        x = tf.transpose(tf.reshape(x, [PRODUCTS, PRODUCTS, -1, rows, columns, self.filters]), [2, 0, 3, 1, 4, 5])
        x = tf.matmul(out_of_columns, tf.reshape(x, [-1, PRODUCTS * columns, self.filters]))
        return tf.matmul(out_of_rows, tf.reshape(x, [-1, PRODUCTS * rows, width * self.filters]))


def _matrices(length: Any) -> tuple[Any, Any, Any]:
    """For an axis: its tiles of four outputs, the matrix into sums of inputs, and the one out of the products.

    Each is a product for the whole axis, zeros around it included, so that no tile has to be cut out:
    `(PRODUCTS * tiles, length)` and `(length, PRODUCTS * tiles)`.
    """
    tiles = (length + OUTPUTS - 1) // OUTPUTS
    # Of a position along the axis, its place in each tile; outside of the tile `one_hot` gives zeros.
    place = tf.range(length)[:, None] - OUTPUTS * tf.range(tiles)[None, :]
    places = tf.one_hot(place + TAPS // 2, PRODUCTS)
    into = tf.transpose(tf.tensordot(places, _OF_INPUTS.T.astype("float32"), 1), [2, 1, 0])
    out_of = tf.transpose(tf.tensordot(tf.one_hot(place, OUTPUTS), _OF_OUTPUTS.astype("float32"), 1), [0, 2, 1])
    return tiles, tf.reshape(into, [PRODUCTS * tiles, length]), tf.reshape(out_of, [length, PRODUCTS * tiles])


def estimated_share(shape: tuple[int, ...], filters: int, over_time: bool) -> float:
    """About how long a `WinogradConv3D` takes on a CPU, as a share of the time of the convolution that it replaces.

    Args:
        shape: Of the input, `(batch, T, H, W, channels)`.
        filters: Channels of the output.
        over_time: As for the layer.
    """
    _, length, height, width, channels = shape
    if over_time:
        pictures, area = 1, height * width
        products = PRODUCTS * math.ceil(length / OUTPUTS)
        sums, written = products * length, products
    else:
        pictures, area = length, 1
        rows, columns = (PRODUCTS * math.ceil(side / OUTPUTS) for side in (height, width))
        products = rows * columns
        # By rows, then by columns, and once more in the order of the products.
        sums, written = rows * height * width + products * width, rows * width + 2 * products
    ways = channels + filters  # in and out again
    multiplied = pictures * area * (sums * ways + products * channels * filters)
    direct = math.prod(shape) * filters * (TAPS if over_time else TAPS**2)
    return shape[0] * (multiplied + _WRITTEN * pictures * area * written * ways) / direct


def with_winograd(model: keras.Model, side: int) -> tuple[keras.Model, int]:
    """A copy of a functional model for inference on CPUs, whose convolutions compute by Winograd where that is faster.

    It has the layers of the same names; those that change store `transformed_kernel`, which is two or four times as
    large as the kernel. Others keep their weights. Products in float32 round about twice as much as before.

    Args:
        model: A functional model in float32, its batch norm folded; it is left as it is.
        side: Height and width of frames in pixels, at which the copy shall be fast. It is right at any.

    Returns:
        The copy, and how many convolutions compute by Winograd.
    """
    candidates = [layer for layer in model.layers if _can_change(layer)]
    shapes = layer_shapes(model, candidates, side)
    chosen = {layer.name for layer in candidates if _is_faster(layer, shapes[layer.name][0])}
    if not chosen:
        return model, 0

    def copy(layer: keras.layers.Layer) -> keras.layers.Layer:
        if layer.name in chosen:
            return WinogradConv3D(layer.filters, _over_time(layer), name=layer.name, dtype=layer.compute_dtype)
        return type(layer).from_config(layer.get_config())

    faster = keras.models.clone_model(model, clone_function=copy)
    for layer in model.layers:
        weights = layer.get_weights()
        if layer.name in chosen:
            weights[0] = transformed_kernel(weights[0])
        if weights:
            faster.get_layer(layer.name).set_weights(weights)
    return faster, len(chosen)


def _can_change(layer: keras.layers.Layer) -> bool:
    if type(layer) is not keras.layers.Conv3D or layer.compute_dtype != "float32" or not layer.use_bias:
        return False
    plain = layer.padding == "same" and layer.groups == 1 and set(layer.strides) == set(layer.dilation_rate) == {1}
    return plain and layer.kernel_size in ((TAPS, 1, 1), (1, TAPS, TAPS))


def _over_time(layer: keras.layers.Conv3D) -> bool:
    return layer.kernel_size[0] == TAPS


def _is_faster(layer: keras.layers.Conv3D, shape: tuple[int, ...]) -> bool:
    return estimated_share(shape, layer.filters, _over_time(layer)) <= WORTHWHILE
