"""Convolutions of three taps with fewer multiplications, by Winograd's minimal filtering.

Two neighbouring outputs of a convolution of three taps share most of their inputs. A tile of four outputs, which takes
twelve products when each is computed alone, takes six of transformed inputs with transformed taps (Winograd 1980; for
networks Lavin and Gray 2016, arXiv:1509.09308, F(4, 3)): along time half the multiplications, in pictures a quarter,
where whole tiles fit. What is left is products of matrices, the transforms included.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasfast.models.cost import layer_shapes
from kerasfast.serving.copying import copy_with

OUTPUTS, TAPS = 4, 3
PRODUCTS = OUTPUTS + TAPS - 1
# Where the polynomials behind the algorithm are evaluated, beside infinity. Of the sets tried these round least; the
# usual 0, 1, -1, 2, -2 have nearly twice their error.
_POINTS = (0.0, 0.5, -0.5, 1.5, -1.5)
# Multiply-adds in the time that a number takes to be written and read again, and the estimated share of the direct time
# up to which Winograd's algorithm is used. Both fit what tools/bench_winograd.py measured on two cores with AVX2
# (benchmarks/winograd.json); `kerasfast bench` measures whole networks with and without on other machines.
_MULTIPLY_ADDS_A_VALUE, WORTHWHILE = 25, 0.8


def _evaluation(coefficients: int) -> np.ndarray:
    """Values of a polynomial at the points and at infinity, from its coefficients: `(PRODUCTS, coefficients)`."""
    at_points = np.vander(_POINTS, coefficients, increasing=True)
    at_infinity = np.eye(1, coefficients, coefficients - 1)
    return np.concatenate([at_points, at_infinity])


# G, A^T and B^T of Lavin and Gray. A convolution is the transpose of the product of two polynomials, which is
# interpolated from its values.
_FILTER_TRANSFORM = _evaluation(TAPS)
_OUTPUT_TRANSFORM = _evaluation(OUTPUTS).T
_INPUT_TRANSFORM = np.linalg.inv(_evaluation(PRODUCTS)).T


def transformed_kernel(kernel: np.ndarray) -> np.ndarray:
    """The kernel of a convolution as `WinogradConv3D` stores it.

    Args:
        kernel: `(3, 1, 1, channels, filters)` or `(1, 3, 3, channels, filters)`.

    Returns:
        float32 `(6, channels, filters)` or `(36, channels, filters)`, computed in float64.
    """
    kernel = kernel.astype("float64")
    if kernel.shape[0] == TAPS:
        return np.einsum("pt,tcf->pcf", _FILTER_TRANSFORM, kernel[:, 0, 0]).astype("float32")
    transformed = np.einsum("ph,qw,hwcf->pqcf", _FILTER_TRANSFORM, _FILTER_TRANSFORM, kernel[0])
    return transformed.reshape(PRODUCTS**2, *kernel.shape[-2:]).astype("float32")


class WinogradConv3D(keras.layers.Layer):
    """A convolution with stride 1 and zeros around, of three taps along time or of 3x3 in pictures, with a bias.

    `(batch, T, H, W, channels)` to `(batch, T, H, W, filters)`, any of the sizes open. For TensorFlow, in float32.

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
        shape = (products, input_shape[-1], self.filters)
        self.kernel = self.add_weight(shape=shape, initializer="zeros", name="kernel")
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
        # A product for each place in a tile, over the tiles of all pictures.
        x = tf.transpose(tf.reshape(x, [-1, PRODUCTS, rows, PRODUCTS, columns, channels]), [1, 3, 0, 2, 4, 5])
        x = tf.matmul(tf.reshape(x, [PRODUCTS**2, -1, channels]), self.kernel)
        x = tf.transpose(tf.reshape(x, [PRODUCTS, PRODUCTS, -1, rows, columns, self.filters]), [2, 0, 3, 1, 4, 5])
        x = tf.matmul(out_of_columns, tf.reshape(x, [-1, PRODUCTS * columns, self.filters]))
        return tf.matmul(out_of_rows, tf.reshape(x, [-1, PRODUCTS * rows, width * self.filters]))


def _matrices(length: Any) -> tuple[Any, Any, Any]:
    """For an axis: how many tiles it has, and the matrices of the input and of the output transform.

    Each is a product for the whole axis, zeros around it included, so that no tile has to be cut out:
    `(PRODUCTS * tiles, length)` and `(length, PRODUCTS * tiles)`.
    """
    tiles = (length + OUTPUTS - 1) // OUTPUTS
    # Of a position along the axis, its place in each tile; outside of the tile `one_hot` gives zeros.
    place = tf.range(length)[:, None] - OUTPUTS * tf.range(tiles)[None, :]
    places = tf.one_hot(place + TAPS // 2, PRODUCTS)
    into = tf.transpose(tf.tensordot(places, _INPUT_TRANSFORM.T.astype("float32"), 1), [2, 1, 0])
    out_of = tf.transpose(tf.tensordot(tf.one_hot(place, OUTPUTS), _OUTPUT_TRANSFORM.astype("float32"), 1), [0, 2, 1])
    return tiles, tf.reshape(into, [PRODUCTS * tiles, length]), tf.reshape(out_of, [length, PRODUCTS * tiles])


@dataclass(frozen=True)
class Cost:
    """What a convolution of stride 1 costs, directly and by Winograd's algorithm.

    Attributes:
        direct: Multiply-adds of the direct convolution.
        multiplied: Multiply-adds by Winograd's algorithm, the transforms included.
        written: Values that it writes on the way, which the direct convolution does not.
    """

    direct: int
    multiplied: int
    written: int

    @classmethod
    def of(cls, shape: tuple[int, ...], filters: int, over_time: bool) -> Cost:
        """Of a layer.

        Args:
            shape: Of the input, `(batch, T, H, W, channels)`.
            filters: Channels of the output.
            over_time: Along time, in place of in pictures.
        """
        batch, length, height, width, channels = shape
        if over_time:
            copies = batch * height * width
            products = PRODUCTS * math.ceil(length / OUTPUTS)
            transformed, written = products * length, products
        else:
            copies = batch * length
            rows, columns = (PRODUCTS * math.ceil(side / OUTPUTS) for side in (height, width))
            products = rows * columns
            # By rows, then by columns, and once more in the order of the products.
            transformed, written = rows * height * width + products * width, rows * width + 2 * products
        ways = channels + filters  # in and out again
        direct = math.prod(shape) * filters * (TAPS if over_time else TAPS**2)
        return cls(direct, copies * (transformed * ways + products * channels * filters), copies * written * ways)

    @property
    def estimated_share(self) -> float:
        """About how long Winograd's algorithm takes on a CPU, as a share of the direct time."""
        return (self.multiplied + _MULTIPLY_ADDS_A_VALUE * self.written) / self.direct

    @property
    def worthwhile(self) -> bool:
        """Whether Winograd's algorithm is used."""
        return self.estimated_share <= WORTHWHILE


def with_winograd(model: keras.Model, side: int) -> tuple[keras.Model, int]:
    """A copy of a functional model for inference on CPUs, whose convolutions compute by Winograd where that is faster.

    It has the layers of the same names; those that change store `transformed_kernel`, which is two or four times as
    large as the kernel. Others keep their weights. Float32 rounds two or three times as much in them.

    Args:
        model: A functional model in float32, its batch norm folded; it is left as it is.
        side: Height and width of frames in pixels, at which the copy shall be fast. It is right at any.

    Returns:
        The copy, and how many convolutions compute by Winograd.
    """
    chosen = _chosen(model, side)
    if not chosen:
        return model, 0

    def copy(layer: keras.layers.Layer) -> keras.layers.Layer:
        if layer.name in chosen:
            return WinogradConv3D(layer.filters, _over_time(layer), name=layer.name, dtype=layer.compute_dtype)
        return type(layer).from_config(layer.get_config())

    def weights(layer: keras.layers.Layer) -> list[np.ndarray]:
        if layer.name not in chosen:
            return layer.get_weights()
        kernel, bias = layer.get_weights()
        return [transformed_kernel(kernel), bias]

    return copy_with(model, copy, weights), len(chosen)


def multiply_adds_left_out(model: keras.Model, side: int) -> int:
    """Multiply-adds that `with_winograd` saves on a view of `side` x `side` pixels; batch norm is folded already."""
    return sum(cost.direct - cost.multiplied for cost in _chosen(model, side).values())


def _chosen(model: keras.Model, side: int) -> dict[str, Cost]:
    """The convolutions that are faster by Winograd's algorithm, by the name of the layer."""
    candidates = [layer for layer in model.layers if _can_change(layer)]
    if not candidates:
        return {}
    shapes = layer_shapes(model, candidates, side)
    costs = {layer.name: Cost.of(shapes[layer.name][0], layer.filters, _over_time(layer)) for layer in candidates}
    return {name: cost for name, cost in costs.items() if cost.worthwhile}


def _can_change(layer: keras.layers.Layer) -> bool:
    if type(layer) is not keras.layers.Conv3D or layer.compute_dtype != "float32" or not layer.use_bias:
        return False
    plain = layer.activation is keras.activations.linear and layer.data_format == "channels_last" and layer.groups == 1
    dense = layer.padding == "same" and set(layer.strides) == set(layer.dilation_rate) == {1}
    return plain and dense and layer.kernel_size in ((TAPS, 1, 1), (1, TAPS, TAPS))


def _over_time(layer: keras.layers.Conv3D) -> bool:
    return layer.kernel_size[0] == TAPS
