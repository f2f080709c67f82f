"""The weights of SlowFast networks under the names of four libraries, after the table of names in checkpoints.md.

Shapes are torch's: `(out, in, T, H, W)`.
"""

from collections.abc import Iterator

R50, R101 = (3, 4, 6, 3), (3, 4, 23, 3)
BN = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
BLOBS = {"gamma": "s", "beta": "b", "moving_mean": "rm", "moving_variance": "riv", "kernel": "w", "bias": "b"}
LEAVES = {**{ours: theirs for theirs, ours in BN.items()}, "kernel": "weight"}


def _bn(module: str, channels: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    for leaf in BN.values():
        yield f"{module}/{leaf}", (channels,)


def _pathway(path, depths, width, extra) -> Iterator[tuple[str, tuple[int, ...]]]:
    """One pathway of base width `width`; `extra` channels join its input of each stage for each `width`."""
    yield f"{path}/stem/conv/kernel", (width, 3, 1 if path == "slow" else 5, 7, 7)
    yield from _bn(f"{path}/stem/bn", width)
    channels = width
    for stage, depth in enumerate(depths):
        out, inner = width * 4 * 2**stage, width * 2**stage
        incoming = channels + extra * channels // width
        for block in range(depth):
            name = f"{path}/res{stage + 2}/block{block}"
            temporal = 1 if path == "slow" and stage < 2 else 3
            kernels = {"a": (inner, incoming, temporal, 1, 1), "b": (inner, inner, 1, 3, 3), "c": (out, inner, 1, 1, 1)}
            if block == 0:
                kernels["short"] = (out, incoming, 1, 1, 1)
            for letter, shape in kernels.items():
                yield f"{name}/conv_{letter}/kernel", shape
                yield from _bn(f"{name}/bn_{letter}", shape[0])
            incoming = out
        channels = out


def network(
    depths=R50, *, slow=64, fast=8, nonlocal_blocks=(), lateral_kernel=7, lateral_norm=True, classes=400
) -> dict[str, tuple[int, ...]]:
    """Canonical name -> torch shape of SlowFast, or of a single pathway where `fast` is 0."""
    shapes = dict(_pathway("slow", depths, slow, 2 * fast))
    features = slow * 4 * 2 ** (len(depths) - 1)
    if fast:
        shapes |= dict(_pathway("fast", depths, fast, 0))
        features += fast * 4 * 2 ** (len(depths) - 1)
        for stage, channels in enumerate([fast, *(fast * 4 * 2**stage for stage in range(len(depths) - 1))]):
            name = "lateral/stem" if stage == 0 else f"lateral/res{stage + 1}"
            shapes[f"{name}/conv/kernel"] = (2 * channels, channels, lateral_kernel, 1, 1)
            if lateral_norm:
                shapes |= dict(_bn(f"{name}/bn", 2 * channels))
    for stage, block in nonlocal_blocks:
        out = slow * 4 * 2 ** (stage - 2)
        name = f"slow/res{stage}/nonlocal{block}"
        for layer in ("theta", "phi", "g"):
            shapes |= {f"{name}/{layer}/kernel": (out // 2, out, 1, 1, 1), f"{name}/{layer}/bias": (out // 2,)}
        shapes |= {f"{name}/out/kernel": (out, out // 2, 1, 1, 1), f"{name}/out/bias": (out,)}
        shapes |= dict(_bn(f"{name}/bn", out))
    return shapes | {"head/action/kernel": (classes, features), "head/action/bias": (classes,)}


def pytorchvideo(name, *, single=False, pool_after_res2=False):
    path, stage, block, layer, leaf = _parts(name)
    leaf = LEAVES.get(leaf, leaf)
    if path == "head":
        return f"blocks.{5 if single and not pool_after_res2 else 6}.proj.{leaf}"
    number = 0 if stage == "stem" else int(stage[3:]) - 1
    number += pool_after_res2 and number > 1
    if path == "lateral":
        return f"blocks.{number}.multipathway_fusion.{'conv_fast_to_slow' if layer == 'conv' else 'norm'}.{leaf}"
    prefix = f"blocks.{number}" + ("" if single else f".multipathway_blocks.{('slow', 'fast').index(path)}")
    if stage == "stem":
        return f"{prefix}.{'conv' if layer == 'conv' else 'norm'}.{leaf}"
    kind, letter = layer.split("_")
    kind = {"conv": "conv", "bn": "norm"}[kind]
    branch = f"branch1_{kind}" if letter == "short" else f"branch2.{kind}_{letter}"
    return f"{prefix}.res_blocks.{block[5:]}.{branch}.{leaf}"


def pyslowfast(name):
    path, stage, block, layer, leaf = _parts(name)
    leaf = LEAVES.get(leaf, leaf)
    if path == "head":
        inside = {"conv5": "conv_5", "bn5": "conv_5_bn", "lin5": "lin_5"}  # of X3D
        return f"head.{inside.get(layer, 'projection')}.{leaf}"
    number = 1 if stage == "stem" else int(stage[3:])
    if path == "lateral":
        return f"s{number}_fuse.{'conv_f2s' if layer == 'conv' else 'bn'}.{leaf}"
    prefix = f"s{number}.pathway{('slow', 'fast').index(path)}"
    if stage == "stem":
        return f"{prefix}_stem.{'conv' if layer == 'conv_t' else layer}.{leaf}"
    if block.startswith("nonlocal"):
        return f"{prefix}_{block}.{layer if layer == 'bn' else 'conv_' + layer}.{leaf}"
    if layer.startswith("se_"):
        return f"{prefix}_res{block[5:]}.branch2.se.{layer[3:]}.{leaf}"
    kind, letter = layer.split("_")
    branch = "branch1" if letter == "short" else f"branch2.{letter}"
    return f"{prefix}_res{block[5:]}.{branch}{'_bn' if kind == 'bn' else ''}.{leaf}"


def caffe2(name, *, depths=R50):
    path, stage, block, layer, leaf = _parts(name)
    leaf = BLOBS[leaf]
    if path == "head":
        return f"pred_{leaf}"
    if path == "lateral":
        last = "" if stage == "stem" else depths[int(stage[3:]) - 2] - 1
        blob = "t_pool1" if stage == "stem" else f"t_{stage}_{last}_branch2c_bn"
        return f"{blob}_subsample{'_bn' if layer == 'bn' else ''}_{leaf}"
    t = "t_" if path == "fast" else ""
    if stage == "stem":
        return f"{t}conv1_{leaf}" if layer == "conv" else f"{t}res_conv1_bn_{leaf}"
    if block.startswith("nonlocal"):
        return f"nonlocal_conv{stage[3:]}_{block[8:]}_{layer}_{leaf}"
    kind, letter = layer.split("_")
    branch = "branch1" if letter == "short" else f"branch2{letter}"
    return f"{t}{stage}_{block[5:]}_{branch}{'_bn' if kind == 'bn' else ''}_{leaf}"


def mmaction2(name, *, single=False, x3d=False):
    path, stage, block, layer, leaf = _parts(name)
    leaf = LEAVES.get(leaf, leaf)
    if path == "head":
        inside = {"conv5": "backbone.conv5.conv", "bn5": "backbone.conv5.bn", "lin5": "cls_head.fc1"}  # of X3D
        return f"{inside.get(layer, 'cls_head.fc2' if x3d else 'cls_head.fc_cls')}.{leaf}"
    if path == "lateral":
        target = "conv1" if stage == "stem" else f"layer{int(stage[3:]) - 1}"
        return f"backbone.slow_path.{target}_lateral.{layer}.{leaf}"
    prefix = "backbone." if single else f"backbone.{path}_path."
    if stage == "stem":
        inside = {"conv_xy": "conv1_s.conv", "conv_t": "conv1_t.conv", "bn": "conv1_t.bn"} if x3d else {}
        return f"{prefix}{inside.get(layer, f'conv1.{layer}')}.{leaf}"
    prefix += f"layer{int(stage[3:]) - 1}.{block.removeprefix('block').removeprefix('nonlocal')}"
    if block.startswith("nonlocal"):
        inside = {"theta": "theta.conv", "phi": "phi.0.conv", "g": "g.0.conv", "out": "conv_out.conv"}
        return f"{prefix}.non_local_block.{inside.get(layer, 'conv_out.bn')}.{leaf}"
    if layer.startswith("se_"):
        return f"{prefix}.se_module.{layer[3:]}.{leaf}"
    kind, letter = layer.split("_")
    module = "downsample" if letter == "short" else f"conv{'abc'.index(letter) + 1}"
    return f"{prefix}.{module}.{kind}.{leaf}"


def counters(names) -> list[str]:
    """The counters that torch's batch norms add."""
    ends = ".running_mean"
    return [name.removesuffix(ends) + ".num_batches_tracked" for name in names if name.endswith(ends)]


def _parts(name):
    """Path, stage, block, layer and leaf of a canonical name, empty where it has none."""
    path, *middle, leaf = name.split("/")
    if path == "head":
        return path, "", "", middle[0], leaf
    stage, *block, layer = middle
    return path, stage, block[0] if block else "", layer, leaf
