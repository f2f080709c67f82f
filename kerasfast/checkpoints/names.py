"""The names that PyTorchVideo, PySlowFast, caffe2 and MMAction2 give to the weights of one network.

Canonical names are those of `kerasfast.weights`: `slow/res2/block0/conv_a/kernel`, `lateral/stem/bn/gamma`,
`slow/res4/nonlocal1/theta/bias`, `head/action/kernel`. A rule maps a module, without the leaf that follows it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kerasfast.checkpoints.errors import Malformed, quoted

# The name of the head of a checkpoint with one task.
HEAD = "head/action"
_BATCH_NORM = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
_KERNEL = {"weight": "kernel", "bias": "bias"}
# caffe2 appends these to the module; `s` scales, `riv` is the running (not inverse) variance.
_CAFFE2_LEAVES = {"w": "weight", "b": "bias", "s": "weight", "rm": "running_mean", "riv": "running_var"}


@dataclass(frozen=True)
class Family:
    """One naming scheme.

    Args:
        name: `pytorchvideo`, `pyslowfast`, `caffe2` or `mmaction2`.
        mark: Matches a name that only this family has.
        rules: Module pattern -> canonical module; the first that matches counts. Groups: `p` pathway, `n` number of
            the stage, `i` block, `m` which convolution.
        ignored: Matches names that are no weights.
        letters: What `m` stands for.
    """

    name: str
    mark: re.Pattern[str]
    rules: tuple[tuple[re.Pattern[str], str], ...]
    ignored: re.Pattern[str]
    letters: Mapping[str, str]


def _family(name: str, mark: str, ignored: str, rules: str, letters: Mapping[str, str], **parts: str) -> Family:
    """Rules from lines of `pattern canonical`; `<part>` in a pattern is replaced by that part."""
    compiled = []
    for line in rules.strip().splitlines():
        pattern, canonical = line.split()
        for part, text in parts.items():
            pattern = pattern.replace(f"<{part}>", text)
        compiled.append((re.compile(pattern), canonical))
    return Family(name, re.compile(mark), tuple(compiled), re.compile(ignored), letters)


_PATHWAYS = {None: "slow", "": "slow", "0": "slow", "slow": "slow", "1": "fast", "t_": "fast", "fast": "fast"}

PYTORCHVIDEO = _family(
    "pytorchvideo",
    r"blocks\.0\.(conv|norm|multipathway_blocks)\.",
    r".*\.num_batches_tracked",
    # X3D names the spatial convolution of its stem conv_t and the temporal one conv_xy.
    r"""
    blocks\.0<path>\.conv                         {path}/stem/conv
    blocks\.0<path>\.norm                         {path}/stem/bn
    blocks\.0\.conv\.conv_t                       slow/stem/conv_xy
    blocks\.0\.conv\.conv_xy                      slow/stem/conv_t
    blocks\.(?P<n>\d+)\.multipathway_fusion\.conv_fast_to_slow  lateral/{stage}/conv
    blocks\.(?P<n>\d+)\.multipathway_fusion\.norm  lateral/{stage}/bn
    <block>\.branch1_conv                         {path}/{stage}/block{i}/conv_short
    <block>\.branch1_norm                         {path}/{stage}/block{i}/bn_short
    <block>\.branch2\.conv_(?P<m>[abc])           {path}/{stage}/block{i}/conv_{m}
    <block>\.branch2\.norm_(?P<m>[abc])           {path}/{stage}/block{i}/bn_{m}
    <block>\.branch2\.norm_b\.0                   {path}/{stage}/block{i}/bn_b
    <block>\.branch2\.norm_b\.1\.block\.0         {path}/{stage}/block{i}/se_fc1
    <block>\.branch2\.norm_b\.1\.block\.2         {path}/{stage}/block{i}/se_fc2
    blocks\.\d+\.pool\.pre_conv                   head/conv5
    blocks\.\d+\.pool\.pre_norm                   head/bn5
    blocks\.\d+\.pool\.post_conv                  head/lin5
    blocks\.\d+\.proj                             {head}
    """,
    {"a": "a", "b": "b", "c": "c"},
    path=r"(?:\.multipathway_blocks\.(?P<p>[01]))?",
    block=r"blocks\.(?P<n>\d+)(?:\.multipathway_blocks\.(?P<p>[01]))?\.res_blocks\.(?P<i>\d+)",
)
PYSLOWFAST = _family(
    "pyslowfast",
    r"s1\.pathway0_stem\.conv\.",
    r".*\.num_batches_tracked|.*\.split_bn\..*",
    r"""
    s1\.pathway(?P<p>[01])_stem\.conv             {path}/stem/{stem_conv}
    s1\.pathway(?P<p>0)_stem\.conv_xy             {path}/stem/conv_xy
    s1\.pathway(?P<p>[01])_stem\.bn               {path}/stem/bn
    s(?P<n>\d)_fuse\.conv_f2s                     lateral/{stage}/conv
    s(?P<n>\d)_fuse\.bn                           lateral/{stage}/bn
    <block>\.branch1                              {path}/{stage}/block{i}/conv_short
    <block>\.branch1_bn                           {path}/{stage}/block{i}/bn_short
    <block>\.branch2\.(?P<m>[abc])                {path}/{stage}/block{i}/conv_{m}
    <block>\.branch2\.(?P<m>[abc])_bn             {path}/{stage}/block{i}/bn_{m}
    <block>\.branch2\.se\.fc1                     {path}/{stage}/block{i}/se_fc1
    <block>\.branch2\.se\.fc2                     {path}/{stage}/block{i}/se_fc2
    <attention>\.conv_(?P<m>theta|phi|g|out)       {path}/{stage}/nonlocal{i}/{m}
    <attention>\.bn                                {path}/{stage}/nonlocal{i}/bn
    head\.conv_5                                  head/conv5
    head\.conv_5_bn                               head/bn5
    head\.lin_5                                   head/lin5
    head\.projection                              {head}
    """,
    {name: name for name in ("a", "b", "c", "theta", "phi", "g", "out")},
    block=r"s(?P<n>\d)\.pathway(?P<p>[01])_res(?P<i>\d+)",
    attention=r"s(?P<n>\d)\.pathway(?P<p>[01])_nonlocal(?P<i>\d+)",
)
CAFFE2 = _family(
    "caffe2",
    r"conv1_w",
    r".*(momentum|lr|model_iter).*",
    r"""
    (?P<p>t_)?conv1                               {path}/stem/conv
    (?P<p>t_)?res_conv1_bn                        {path}/stem/bn
    t_pool1_subsample                             lateral/stem/conv
    t_pool1_subsample_bn                          lateral/stem/bn
    t_res(?P<n>\d)_\d+_branch2c_bn_subsample      lateral/{stage}/conv
    t_res(?P<n>\d)_\d+_branch2c_bn_subsample_bn   lateral/{stage}/bn
    <block>_branch1                               {path}/{stage}/block{i}/conv_short
    <block>_branch1_bn                            {path}/{stage}/block{i}/bn_short
    <block>_branch2(?P<m>[abc])                   {path}/{stage}/block{i}/conv_{m}
    <block>_branch2(?P<m>[abc])_bn                {path}/{stage}/block{i}/bn_{m}
    <attention>_(?P<m>theta|phi|g|out)             {path}/{stage}/nonlocal{i}/{m}
    <attention>_bn                                 {path}/{stage}/nonlocal{i}/bn
    pred                                          {head}
    """,
    PYSLOWFAST.letters,
    block=r"(?P<p>t_)?res(?P<n>\d)_(?P<i>\d+)",
    attention=r"nonlocal_conv(?P<n>\d)_(?P<i>\d+)",
)
MMACTION2 = _family(
    "mmaction2",
    r"backbone\.",
    r".*\.num_batches_tracked|data_preprocessor\..*",
    r"""
    backbone\.<path>conv1\.conv                   {path}/stem/conv
    backbone\.<path>conv1\.bn                     {path}/stem/bn
    backbone\.conv1_s\.conv                       slow/stem/conv_xy
    backbone\.conv1_t\.conv                       slow/stem/conv_t
    backbone\.conv1_t\.bn                         slow/stem/bn
    backbone\.slow_path\.conv1_lateral\.(?P<k>conv|bn)  lateral/stem/{k}
    backbone\.slow_path\.layer(?P<n>\d)_lateral\.(?P<k>conv|bn)  lateral/{stage}/{k}
    <block>\.downsample\.(?P<k>conv|bn)           {path}/{stage}/block{i}/{k}_short
    <block>\.conv(?P<m>[123])\.(?P<k>conv|bn)     {path}/{stage}/block{i}/{k}_{m}
    <block>\.se_module\.(?P<k>fc[12])             {path}/{stage}/block{i}/se_{k}
    <block>\.non_local_block\.(?P<m>theta|phi|g)(\.0)?\.conv  {path}/{stage}/nonlocal{i}/{m}
    <block>\.non_local_block\.conv_out\.conv      {path}/{stage}/nonlocal{i}/out
    <block>\.non_local_block\.conv_out\.bn        {path}/{stage}/nonlocal{i}/bn
    backbone\.conv5\.conv                         head/conv5
    backbone\.conv5\.bn                           head/bn5
    cls_head\.fc1                                 head/lin5
    cls_head\.(fc_cls|fc2)                        {head}
    """,
    {"1": "a", "2": "b", "3": "c", "theta": "theta", "phi": "phi", "g": "g"},
    path=r"((?P<p>slow|fast)_path\.)?",
    block=r"backbone\.((?P<p>slow|fast)_path\.)?layer(?P<n>\d)\.(?P<i>\d+)",
)
FAMILIES = (MMACTION2, PYTORCHVIDEO, PYSLOWFAST, CAFFE2)


def find_family(keys: Iterable[str]) -> tuple[Family, str]:
    """The family of a checkpoint and the prefix that all its names share (`module.`, `model.` or none).

    Raises:
        Malformed: No family here has such names.
    """
    keys = list(keys)
    prefix = ""
    # `module.` comes from DistributedDataParallel, `model.` from networks of PyTorchVideo that PySlowFast saved.
    while keys and (more := re.match(r"module\.|model\.", keys[0].removeprefix(prefix))):
        if not all(key.startswith(prefix + more[0]) for key in keys):
            break
        prefix += more[0]
    for family in FAMILIES:
        if any(family.mark.match(key.removeprefix(prefix)) for key in keys):
            return family, prefix
    shown = ", ".join(quoted(key) for key in keys[:4])
    names = ", ".join(family.name for family in FAMILIES)
    raise Malformed(f"its names ({shown}) are of none of the families {names}", "give a file of one of them")


def canonical_names(keys: Iterable[str]) -> tuple[Family, dict[str, str]]:
    """The family of a checkpoint, and canonical name -> name in the file.

    Counters and what optimizers left among the weights are dropped; every other name must be explained.

    Raises:
        Malformed: The family is unknown, or has no such name, or two names stand for one weight.
    """
    keys = list(keys)
    family, prefix = find_family(keys)
    bare = {key: key.removeprefix(prefix) for key in keys}
    stages = _stages(family, bare.values())
    separable_stem = "s1.pathway0_stem.conv_xy.weight" in bare.values()  # X3D of PySlowFast calls conv_t just conv
    fixed = {"head": HEAD, "stem_conv": "conv_t" if separable_stem else "conv"}
    found: dict[str, str] = {}
    unknown = []
    for key, name in bare.items():
        canonical = _canonical(family, name, stages, fixed)
        if canonical is None:
            if not family.ignored.fullmatch(name):
                unknown.append(key)
        elif canonical in found:
            raise Malformed(
                f"{quoted(found[canonical])} and {quoted(key)} both stand for {quoted(canonical)}",
                "give an unchanged file",
            )
        else:
            found[canonical] = key
    if unknown:
        shown = ", ".join(quoted(key) for key in unknown[:4])
        raise Malformed(
            f"{len(unknown)} of its names ({shown}) belong to no SlowFast network of {family.name}",
            "give a file of a SlowFast, Slow, C2D, I3D or X3D classifier",
        )
    return family, found


def _canonical(family: Family, name: str, stages: Mapping[int, str], fixed: Mapping[str, str]) -> str | None:
    module, leaf = _split(family, name)
    for pattern, template in family.rules:
        match = pattern.fullmatch(module)
        if match is None:
            continue
        groups = match.groupdict()
        stage = stages.get(int(groups["n"])) if groups.get("n") else ""
        if stage is None:
            return None
        letter = family.letters[groups["m"]] if groups.get("m") else ""
        fields = {**fixed, **groups, "path": _PATHWAYS[groups.get("p")], "stage": stage, "m": letter}
        canonical = template.format(**fields)
        last = canonical.rpartition("/")[2]
        leaf = (_BATCH_NORM if last.startswith("bn") else _KERNEL).get(leaf)
        return f"{canonical}/{leaf}" if leaf else None
    return None


def _split(family: Family, name: str) -> tuple[str, str]:
    if family is CAFFE2:
        module, _, suffix = name.rpartition("_")
        return module, _CAFFE2_LEAVES.get(suffix, "")
    if family is PYSLOWFAST:
        # Batch norm split over parts of a batch: the whole one is called bn inside of it.
        name = re.sub(r"bn\.bn\.(running_)", r"bn.\1", name)
    module, _, leaf = name.rpartition(".")
    return module, leaf


def _stages(family: Family, names: Iterable[str]) -> dict[int, str]:
    """Number in the file's names -> `stem` or `res2`, `res3`, ..."""
    if family is MMACTION2:
        return {n: f"res{n + 1}" for n in range(1, 10)}
    if family is not PYTORCHVIDEO:
        return {1: "stem", **{n: f"res{n}" for n in range(2, 10)}}
    # Blocks with weights count: C2D and I3D have a pooling without any between res2 and res3.
    numbers = {int(match[1]) for name in names if (match := re.match(r"blocks\.(\d{1,2})\..*res_blocks\.", name))}
    return {0: "stem", **{n: f"res{2 + rank}" for rank, n in enumerate(sorted(numbers))}}
