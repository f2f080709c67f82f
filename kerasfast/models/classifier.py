"""The model that users hold: a row of the table with heads on it, as a functional Keras model."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import keras

from kerasfast.data.clips import ClipSpec
from kerasfast.models.backbone import backbone
from kerasfast.models.heads import KINETICS400, AveragePositions, Head, as_heads, classify, head_logits, pool
from kerasfast.models.layers import LayerOptions
from kerasfast.models.recompute import check_recompute, train_recomputing
from kerasfast.models.replicas import several_replicas, without_empty_batch
from kerasfast.models.row import Variant
from kerasfast.models.variants import variant as find_variant

SMALLEST_SIDE = 64  # pixels; four halvings of a smaller crop leave too little to pool


@keras.saving.register_keras_serializable("kerasfast")
class VideoClassifier(keras.Model):
    """A SlowFast-family network (Feichtenhofer et al. 2019, arXiv:1812.03982) with named heads.

    The model normalises pixels and picks the Slow frames itself, so training, Python inference and serving see
    the same network.

    Args:
        variant: The architecture.
        heads: Heads by name; an int means that many sigmoid classes.
        embedding: Width of a ReLU layer between pooling and heads, or `None` for none.
        dropout: Rate of dropout on the pooled features.
        bn: Batch-norm policy: `replica`, `sync` or `frozen`.
        recompute: In training, keep of each stage (stem, res2, ...) its input alone and compute the rest again for the
            gradient: less memory, and about a third more time.
        features_only: Return features instead of scores.
        dtype: Keras dtype policy such as `mixed_bfloat16`; heads compute in float32 under every policy.
        name: Name of the model; the architecture's by default.

    Input shape: `(batch, T, H, W, 3)`, RGB, 0..255, uint8 or float; H and W from 64 up.
    Output shape: a dict from head name to `(batch, classes)` float32 probabilities. With `features_only`: `slow_stem`,
        `fast_stem`, `slow_res2`, ... to `(batch, T', H', W', C)` and `pooled` (and `embedding`) to `(batch, C)`.

    Attributes:
        variant: The row of the table.
        clip: The frames of a view, a `ClipSpec`.
        heads: `Head` rows by name.
        endpoints: Every named tensor of the graph, in order; `<head>_logits` are among them.
        sampling: `clip` where a view is a clip of that rate; `kerasfast.load` sets `video` for weights that see frames
            of the whole video, however long that is (Something-Something).

    >>> import numpy as np
    >>> model = VideoClassifier(find_variant("slowfast_nano"), {"verb": 8, "action": 40})
    >>> scores = model.predict(np.zeros((2, 32, 64, 64, 3), "uint8"), verbose=0)
    >>> {name: score.shape for name, score in scores.items()}
    {'verb': (2, 8), 'action': (2, 40)}
    """

    def __init__(
        self,
        variant: Variant,
        heads: Mapping[str, int | Head] | None = None,
        *,
        embedding: int | None = None,
        dropout: float = 0.5,
        bn: str = "replica",
        recompute: bool = False,
        features_only: bool = False,
        dtype: Any = None,
        name: str | None = None,
    ) -> None:
        rows = as_heads(KINETICS400 if heads is None else heads)
        policy = keras.dtype_policies.get(keras.config.dtype_policy() if dtype is None else dtype)
        if policy.variable_dtype != "float32":
            raise ValueError(
                "Weights are float32 under every policy; give dtype='float32', 'mixed_bfloat16' or 'mixed_float16'. "
                f"Received: dtype={policy.name!r}."
            )
        options = LayerOptions(bn=bn, dtype=policy)
        if recompute:
            check_recompute()

        # === Layers and functional model ===
        frames = keras.Input((variant.clip.frames, None, None, 3), dtype="float32", name="frames")
        endpoints = backbone(frames, variant, options)
        x = pool(endpoints, variant, options)
        endpoints["pooled"] = AveragePositions(name="pooled", dtype="float32")(x)
        if dropout:
            x = keras.layers.Dropout(dropout, name="dropout", dtype="float32")(x)
        if embedding is not None:
            x = keras.layers.Dense(embedding, activation="relu", name="embed", dtype="float32")(x)
            endpoints["embedding"] = AveragePositions(name="embedding", dtype="float32")(x)
        features = dict(endpoints)
        at_positions, outputs = head_logits(x, rows), {}
        for head_name, head in rows.items():
            if taken := {head_name, f"{head_name}_logits"} & {*endpoints, *outputs}:
                raise ValueError(
                    f"A head must not have the name of another endpoint. Received: {head_name!r}, where "
                    f"{taken.pop()!r} is there already. Choose another name."
                )
            logits, outputs[head_name] = classify(at_positions[head_name], head_name, head, variant.head_average)
            endpoints[f"{head_name}_logits"] = logits
        super().__init__(inputs=frames, outputs=features if features_only else outputs, name=name or variant.name)

        # === Config ===
        self.variant = variant
        self.heads = {} if features_only else rows
        self.sampling = "clip"
        self.recompute = recompute
        self.endpoints = features if features_only else {**endpoints, **outputs}
        self._config = {
            "variant": variant.to_dict(),
            "heads": {key: dataclasses.asdict(row) for key, row in rows.items()},
            "embedding": embedding,
            "dropout": dropout,
            "bn": bn,
            "recompute": recompute,
            "features_only": features_only,
            "dtype": keras.dtype_policies.serialize(policy),
            "name": self.name,
        }

    @property
    def clip(self) -> ClipSpec:
        """The frames of a view."""
        return self.variant.clip

    def __call__(self, frames: Any, *args: Any, **kwargs: Any) -> Any:
        check_frames(getattr(frames, "shape", None), self.variant)
        return super().__call__(frames, *args, **kwargs)

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if self.recompute and training:
            return train_recomputing(self, keras.ops.cast(inputs, "float32"))
        network = functools.partial(super().call, training=training, mask=mask)
        # Training batches are full.
        return network(inputs) if training or not several_replicas() else without_empty_batch(network, inputs)

    # A traced function generalises over the shapes it has met, so that `__call__` may see no shape at all and wrong
    # frames would reach an error deep in the graph; hence a look at the data before.
    def fit(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        check_frames(_shape_of(x), self.variant)
        return super().fit(x, *args, **kwargs)

    def evaluate(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        check_frames(_shape_of(x), self.variant)
        return super().evaluate(x, *args, **kwargs)

    def predict(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        check_frames(_shape_of(x), self.variant)
        return super().predict(x, *args, **kwargs)

    def get_config(self) -> dict[str, Any]:
        return dict(self._config)

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> VideoClassifier:
        return cls(**{**config, "variant": Variant.from_dict(config["variant"])})


def _shape_of(data: Any) -> Any:
    """Shape of the frames in an array or a `tf.data.Dataset`; `None` where only iterating would tell."""
    spec = getattr(data, "element_spec", data)
    return getattr(spec[0] if isinstance(spec, tuple) else spec, "shape", None)


def check_frames(shape: Any, variant: Variant) -> None:
    """Refuse frames that the network cannot see, with a sentence that says what it takes.

    Args:
        shape: Static shape of the argument, `None` where it has none; unknown sizes pass.
        variant: The network's row.

    Raises:
        ValueError: Wrong rank, frame count, channel count, or a side below 64 pixels.
    """
    if shape is None or getattr(shape, "rank", 0) is None:
        return
    takes = (
        f"{variant.name} takes `frames` of shape (batch, {variant.clip.frames}, H, W, 3), H and W at least "
        f"{SMALLEST_SIDE}, RGB from 0 to 255. Received: shape {tuple(shape)}"
    )
    if len(shape) != 5:
        hint = " Add a batch axis with frames[None]." if len(shape) == 4 else ""
        raise ValueError(f"{takes}, which has {len(shape)} axes instead of 5.{hint}")
    _, length, height, width, channels = shape
    if length not in (None, variant.clip.frames):
        raise ValueError(
            f"{takes}, which has {length} frames. Sample {variant.clip.frames} frames with stride "
            f"{variant.clip.stride} at {variant.clip.fps:g} frames a second; repeat the last one of a short video."
        )
    if channels not in (None, 3):
        raise ValueError(f"{takes}, which has {channels} channels. Give RGB frames, channels last.")
    if any(side is not None and side < SMALLEST_SIDE for side in (height, width)):
        raise ValueError(f"{takes}, which is too small. Scale the short side up.")


def build(
    variant: Variant | str,
    *,
    heads: Mapping[str, int | Head] | None = None,
    embedding: int | None = None,
    dropout: float = 0.5,
    bn: str = "replica",
    recompute: bool = False,
    dtype: Any = None,
    features_only: bool = False,
) -> VideoClassifier:
    """A network with random weights.

    Args:
        variant: A name such as `slowfast_r50_8x8`, or a row made with `kerasfast.variant`.
        heads: Heads by name; an int means that many sigmoid classes. By default Kinetics' 400 softmax classes.
        embedding: Width of a layer between pooling and heads, or `None`.
        dropout: Rate of dropout on the pooled features.
        bn: Batch-norm policy: `replica`, `sync` or `frozen`.
        recompute: In training, keep the inputs of the stages alone and compute the rest again for the gradient.
        dtype: Keras dtype policy, or `None` for the global one.
        features_only: Return features instead of scores.

    Raises:
        ValueError: An unknown architecture or a value outside its range.

    >>> build("slow_nano", heads={"action": 5}).heads
    {'action': Head(classes=5, activation='sigmoid', labels=None, parts=None)}
    """
    row = find_variant(variant) if isinstance(variant, str) else variant
    return VideoClassifier(
        row,
        heads,
        embedding=embedding,
        dropout=dropout,
        bn=bn,
        recompute=recompute,
        dtype=dtype,
        features_only=features_only,
    )
