"""Stages that the backward pass computes again, in place of keeping all that the forward pass computed in them.

Keras rematerialises single layers (`keras.RematScope`), which saves nothing here: what is kept for the gradient of a
convolution is its input, and so it is of a layer that is computed again. Hence whole stages. A batch norm in them would
also move its statistics twice a step, and on JAX leak a traced value; so a stage hands the statistics of its batches
out, and they are moved once, outside.
"""

from __future__ import annotations

import inspect
import itertools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import keras
from keras import ops

# Layers of a stage: slow_stem_conv, slow_stem, fast_res3_block0_conv_a, slow_res4_nonlocal1_phi.
_OF_STAGE = re.compile(r"((?:slow|fast)_(?:stem|res\d+))(?:_|$)")

_handed_out: ContextVar[list[tuple[Any, Any, Any]] | None] = ContextVar("handed_out", default=None)


def check_recompute() -> None:
    """Refuse a Keras without rematerialisation.

    Raises:
        ValueError: It has none.
    """
    if not hasattr(keras, "remat"):
        raise ValueError(f"recompute=True needs Keras 3.9 or newer. Received: Keras {keras.__version__}. Upgrade it.")


def hand_out(norm: Any, mean: Any, unbiased_variance: Any) -> bool:
    """Whether the statistics of a batch are taken over by a stage, which will move those of the layer.

    Args:
        norm: The batch norm, which has a method `move(mean, unbiased_variance)`.
        mean: Of the batch, `(channels,)`.
        unbiased_variance: Of the batch, `(channels,)`.
    """
    found = _handed_out.get()
    if found is None:
        return False
    found.append((norm, ops.stop_gradient(mean), ops.stop_gradient(unbiased_variance)))
    return True


def train_recomputing(model: keras.Model, frames: Any) -> Any:
    """What a functional model gives in training, with the stages of its pathways rematerialised.

    Args:
        model: Its layers have the names of `kerasfast.models.backbone`; a stage reads one tensor from outside.
        frames: Its input.

    Returns:
        The outputs of the model, in their structure.
    """
    values = {id(model.inputs[0]): frames}
    for stage, group in itertools.groupby(_by_stage(model), key=lambda pair: pair[0]):
        nodes = [node for _, node in group]
        if stage is None:
            _run(nodes, values)
        else:
            _run_stage(nodes, values)
    return keras.tree.map_structure(lambda tensor: values[id(tensor)], model.output)


def _by_stage(model: keras.Model) -> list[tuple[str | None, Any]]:
    """The nodes of a graph in an order in which they can run, those of a stage together; outside of stages None."""
    by_depth: Any = model._nodes_by_depth
    nodes = [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth] if not node.is_input]
    pairs = [(stage_of(node.operation.name), node) for node in nodes]
    # Everything that a stage reads is there when its first layer can run: its one input. What reads it comes after all
    # of it, and so after the place of its first layer.
    stages = {stage: [pair for pair in pairs if pair[0] == stage] for stage, _ in pairs if stage is not None}
    ordered = []
    for stage, node in pairs:
        ordered += [(None, node)] if stage is None else stages.pop(stage, [])
    return ordered


def stage_of(layer_name: str) -> str | None:
    """The stage of a layer: `slow_res2` of `slow_res2_block0_conv_a`; None for layers outside of stages.

    >>> stage_of("fast_stem_pool_pad"), stage_of("lateral_res2_conv"), stage_of("slow_frames")
    ('fast_stem', None, None)
    """
    found = _OF_STAGE.match(layer_name)
    return found.group(1) if found else None


def _run_stage(nodes: list[Any], values: dict[int, Any]) -> None:
    made = {id(tensor) for node in nodes for tensor in node.outputs}
    read = [tensor for node in nodes for tensor in node.input_tensors if id(tensor) not in made]
    if len({id(tensor) for tensor in read}) != 1:
        raise RuntimeError(f"A stage must read one tensor. Received: {nodes[0].operation.name}, which reads {read}.")
    norms: list[Any] = []

    def stage(x: Any) -> tuple[Any, ...]:
        inside = {id(read[0]): x}
        with _collected() as statistics:
            _run(nodes, inside)
        norms[:] = [norm for norm, _, _ in statistics]
        return inside[id(nodes[-1].outputs[0])], *(array for _, *arrays in statistics for array in arrays)

    result, *arrays = keras.remat(stage)(values[id(read[0])])
    values[id(nodes[-1].outputs[0])] = result
    for norm, mean, unbiased_variance in zip(norms, arrays[::2], arrays[1::2], strict=True):
        norm.move(mean, unbiased_variance)


def _run(nodes: list[Any], values: dict[int, Any]) -> None:
    """Run layers as in training. They are told so, because the backward pass runs outside of the model's call."""
    for node in nodes:
        args, kwargs = node.arguments.fill_in(values)
        if "training" in inspect.signature(node.operation.call).parameters:
            kwargs = {**kwargs, "training": True}
        outputs = keras.tree.flatten(node.operation(*args, **kwargs))
        values.update({id(tensor): value for tensor, value in zip(node.outputs, outputs, strict=True)})


@contextmanager
def _collected() -> Iterator[list[tuple[Any, Any, Any]]]:
    """The statistics that the batch norms inside hand out."""
    token = _handed_out.set(found := [])
    try:
        yield found
    finally:
        _handed_out.reset(token)
