"""Heads that see all clips of a video at once, for what is longer than a clip."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from kerasfast.models.heads import Head, as_heads, head_logits


@keras.saving.register_keras_serializable("kerasfast")
class MergeClips(keras.layers.Layer):
    """One score a video: `max` of the probabilities of its clips, or their `mean`.

    Input shape: `(batch, clips, classes)`; output shape: `(batch, classes)`.

    Args:
        rule: `max` or `mean`.
        **kwargs: Those of `keras.layers.Layer`.
    """

    def __init__(self, rule: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if rule not in ("max", "mean"):
            raise ValueError(f"rule must be 'max' or 'mean'. Received: {rule!r}.")
        self.rule = rule

    def call(self, inputs: Any) -> Any:
        return ops.max(inputs, axis=1) if self.rule == "max" else ops.mean(inputs, axis=1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (input_shape[0], input_shape[-1])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rule": self.rule}


@keras.saving.register_keras_serializable("kerasfast")
class PlaceInVideo(keras.layers.Layer):
    """Adds where in the video each clip is: sines and cosines as in Vaswani et al. 2017, section 3.5.

    Input and output shape: `(batch, clips, channels)`, an even number of channels.
    """

    def call(self, inputs: Any) -> Any:
        _, clips, channels = inputs.shape
        rates = 1 / 10_000 ** (np.arange(channels // 2) / (channels // 2))
        angles = np.arange(clips)[:, None] * rates
        places = np.concatenate([np.sin(angles), np.cos(angles)], axis=-1)
        return inputs + ops.convert_to_tensor(places[None], self.compute_dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape


@keras.saving.register_keras_serializable("kerasfast")
class ClipAttention(keras.Model):
    """Heads on the features of all clips of a video, each of which attends to the others.

    A clip's logits are those of a classifier of its own features plus a correction of what it attends to (Vaswani et
    al. 2017, arXiv:1706.03762; long-range context for clip features: Wu et al. 2019, arXiv:1812.05038). The correction
    starts at zero, so a new model scores a video as the protocol of many views does: each clip by itself, then the
    largest probability for sigmoid heads, the mean for softmax.

    Args:
        clips: Clips of a video, in the order of time.
        features: Channels of a clip's features, such as the endpoint `pooled` of a `VideoClassifier`.
        heads: Heads by name, as of `VideoClassifier`.
        width: Channels of the attention, a multiple of twice `attention_heads`.
        attention_heads: Number of attention heads.
        dropout: Rate on the features and on what is attended to.
        name: Name of the model.

    Input shape: `(batch, clips, features)`, float.
    Output shape: a dict from head name to `(batch, classes)` float32 probabilities.

    Raises:
        ValueError: A `width` that the attention heads cannot share.

    >>> model = ClipAttention(10, 288, {"action": 40})
    >>> model.predict(np.zeros((2, 10, 288)), verbose=0)["action"].shape
    (2, 40)
    """

    def __init__(
        self,
        clips: int,
        features: int,
        heads: Mapping[str, int | Head],
        *,
        width: int = 256,
        attention_heads: int = 4,
        dropout: float = 0.2,
        name: str = "clip_attention",
        **kwargs: Any,
    ) -> None:
        if width % (2 * attention_heads):
            raise ValueError(
                "width must be a multiple of twice attention_heads. "
                f"Received: width={width}, attention_heads={attention_heads}."
            )
        rows = as_heads(heads)
        inputs = keras.Input((clips, features), name="features")
        x = keras.layers.Dropout(dropout, name="dropout")(inputs)
        own = head_logits(x, rows)
        seen = keras.layers.LayerNormalization(name="norm")(keras.layers.Dense(width, name="project")(x))
        seen = PlaceInVideo(name="place")(seen)
        attend = keras.layers.MultiHeadAttention(
            attention_heads, width // attention_heads, dropout=dropout, name="attention"
        )
        context = keras.layers.LayerNormalization(name="context_norm")(seen + attend(seen, seen))
        context = keras.layers.Dense(width, activation="relu", name="context")(context)
        outputs = {}
        for head_name, head in rows.items():
            correct = keras.layers.Dense(head.classes, kernel_initializer="zeros", name=f"correct_{head_name}")
            logits = keras.layers.Add(name=f"{head_name}_logits")([own[head_name], correct(context)])
            scores = keras.layers.Activation(head.activation, name=f"{head_name}_scores")(logits)
            outputs[head_name] = MergeClips("mean" if head.activation == "softmax" else "max", name=head_name)(scores)
        super().__init__(inputs=inputs, outputs=outputs, name=name, **kwargs)
        self.heads = rows
        self._config = {
            "clips": clips,
            "features": features,
            "heads": {key: dataclasses.asdict(row) for key, row in rows.items()},
            "width": width,
            "attention_heads": attention_heads,
            "dropout": dropout,
            "name": name,
        }

    def get_config(self) -> dict[str, Any]:
        return dict(self._config)

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> ClipAttention:
        return cls(**config)
