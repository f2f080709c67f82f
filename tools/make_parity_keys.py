"""Write tests/parity/keys: names and shapes of every weight, from the networks that the libraries build themselves.

python tools/make_parity_keys.py pytorchvideo
python tools/make_parity_keys.py pyslowfast SLOWFAST_CHECKOUT   # and caffe2, from PySlowFast's own conversion of names
python tools/make_parity_keys.py mmaction2 MMACTION2_CHECKOUT

tests/parity/keys/README.md has the versions. Nothing here uses the names that kerasfast knows. The candidates for
caffe2's names are written after its rules; PySlowFast's own function has to turn them one to one into the names of
PySlowFast's own network.
"""

from __future__ import annotations

import argparse
import importlib.abc
import importlib.machinery
import importlib.metadata
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from checkpoint_names import R50, R101, caffe2, network
from parity.literal_keys import KEYS, home_of, write_keys

Shapes = dict[str, tuple[int, ...]]

# Network -> PyTorchVideo's own builder of the published network, in pytorchvideo.models.hub.
HUB = {
    "slowfast_r50_8x8": "slowfast_r50",
    "slowfast_r101_8x8": "slowfast_r101",
    "slowfast_r101_50_50_16x8": "slowfast_16x8_r101_50_50",
    "slow_r50_8x8": "slow_r50",
    "c2d_r50_8x8": "c2d_r50",
    "i3d_r50_8x8": "i3d_r50",
    "x3d_xs_4x12": "x3d_xs",
    "x3d_s_13x6": "x3d_s",
    "x3d_m_16x5": "x3d_m",
    "x3d_l_16x5": "x3d_l",
}
# Network -> configuration of PySlowFast, in configs/Kinetics.
PYSLOWFAST = {
    "slowfast_r50_4x16": "c2/SLOWFAST_4x16_R50",
    "slowfast_r50_8x8": "c2/SLOWFAST_8x8_R50",
    "slowfast_r101_8x8": "c2/SLOWFAST_8x8_R101_101_101",
    "slowfast_r101_50_101_8x8": "c2/SLOWFAST_8x8_R101_50_101",
    "slowfast_r101_50_50_16x8": "c2/SLOWFAST_16x8_R101_50_50",
    "slow_r50_8x8": "c2/SLOW_8x8_R50",
    "c2d_r50_8x8": "C2D_8x8_R50",
    "i3d_r50_8x8": "c2/I3D_8x8_R50",
    "i3d_r101_8x8": "I3D_8x8_R101",
    "slowfast_r50_4x16_nl": "SLOWFAST_NLN_4x16_R50",
    "slowfast_r50_8x8_nl": "SLOWFAST_NLN_8x8_R50",
    "slowfast_r101_50_50_16x8_nl": "c2/SLOWFAST_NLN_16x8_R101_50_50",
    "slow_r50_4x16_nl": "SLOW_NLN_4x16_R50",
    "slow_r50_8x8_nl": "SLOW_NLN_8x8_R50",
    "c2d_r50_8x8_nl": "C2D_NLN_8x8_R50",
    "i3d_r50_8x8_nl": "c2/I3D_NLN_8x8_R50",
    "x3d_xs_4x12": "X3D_XS",
    "x3d_s_13x6": "X3D_S",
    "x3d_m_16x5": "X3D_M",
    "x3d_l_16x5": "X3D_L",
}
# Network -> arguments of checkpoint_names.network, from which the candidates of caffe2's names come.
_NONLOCAL_R50 = ((3, 1), (3, 3), (4, 1), (4, 3), (4, 5))
CAFFE2: dict[str, dict[str, Any]] = {
    "slowfast_r50_4x16": {},
    "slowfast_r50_8x8": {},
    "slowfast_r101_8x8": {"depths": R101},
    "slowfast_r101_50_50_16x8_nl": {"depths": R101, "nonlocal_blocks": ((4, 6), (4, 13), (4, 20))},
    "slow_r50_8x8": {"fast": 0},
    "c2d_r50_8x8": {"fast": 0},
    "i3d_r50_8x8": {"fast": 0},
    "i3d_r50_8x8_nl": {"fast": 0, "nonlocal_blocks": _NONLOCAL_R50},
}
# Network -> configuration of MMAction2, in configs/recognition.
MMACTION2 = {
    "slowfast_r50_4x16.mmaction2": "slowfast/slowfast_r50_8xb8-4x16x1-256e_kinetics400-rgb",
    "slowfast_r50_8x8.mmaction2": "slowfast/slowfast_r50_8xb8-8x8x1-256e_kinetics400-rgb",
    "slowfast_r50_8x8.mmaction2_steplr": "slowfast/slowfast_r50_8xb8-8x8x1-steplr-256e_kinetics400-rgb",
    "slowfast_r101_8x8.mmaction2": "slowfast/slowfast_r101_8xb8-8x8x1-256e_kinetics400-rgb",
    "slowfast_r101_r50_4x16.mmaction2": "slowfast/slowfast_r101-r50_32xb8-4x16x1-256e_kinetics400-rgb",
    "slow_r50_4x16.mmaction2": "slowonly/slowonly_r50_8xb16-4x16x1-256e_kinetics400-rgb",
    "slow_r101_8x8.mmaction2": "slowonly/slowonly_r101_8xb16-8x8x1-196e_kinetics400-rgb",
    "slow_r50_4x16_nl.mmaction2": (
        "slowonly/slowonly_r50-in1k-pre-nl-embedded-gaussian_8xb16-4x16x1-steplr-150e_kinetics400-rgb"
    ),
    "x3d_s_13x6.mmaction2": "x3d/x3d_s_13x6x1_facebook-kinetics400-rgb",
    "x3d_m_16x5.mmaction2": "x3d/x3d_m_16x5x1_facebook-kinetics400-rgb",
}


def pytorchvideo() -> Iterator[tuple[str, Shapes]]:
    """Every fixture of PyTorchVideo and its content."""
    stub("torchvision")
    import pytorchvideo.models.hub as hub
    from pytorchvideo.models.slowfast import create_slowfast

    builders: dict[str, Callable[[], Any]] = {name: getattr(hub, builder) for name, builder in HUB.items()}
    # Published, without a builder: eight Fast frames for a Slow one.
    builders["slowfast_r50_4x16"] = lambda: create_slowfast(
        slowfast_fusion_conv_kernel_size=(5, 1, 1), slowfast_fusion_conv_stride=(8, 1, 1)
    )
    for name, build in builders.items():
        yield f"{name}.pytorchvideo", shapes_of(build)


def pyslowfast(checkout: Path) -> Iterator[tuple[str, Shapes]]:
    """Every fixture of PySlowFast and caffe2, and its content."""
    stub("torchvision", "detectron2", "cv2", "av", "pandas", "tensorboard", "simplejson")
    sys.path.insert(0, str(checkout))
    from slowfast.config.defaults import get_cfg
    from slowfast.models import video_model_builder  # noqa: F401 - registers the networks
    from slowfast.models.build import build_model
    from slowfast.utils.c2_model_loading import get_name_convert_func

    for name, config in PYSLOWFAST.items():
        cfg = get_cfg()
        cfg.merge_from_file(str(checkout / "configs" / "Kinetics" / f"{config}.yaml"))
        cfg.NUM_GPUS = 0
        shapes = shapes_of(build_model, cfg)
        yield f"{name}.pyslowfast", shapes
        if name in CAFFE2:
            yield f"{name}.caffe2", caffe2_shapes(shapes, CAFFE2[name], get_name_convert_func())


def caffe2_shapes(shapes: Shapes, arguments: dict[str, Any], convert: Callable[[str], str]) -> Shapes:
    """caffe2's blobs of a network of PySlowFast.

    Args:
        shapes: Of PySlowFast's network.
        arguments: Of `checkpoint_names.network`, for the candidates.
        convert: PySlowFast's function from caffe2's names to its own.

    Raises:
        ValueError: The candidates do not become the names of the network, one to one.
    """
    candidates = [caffe2(name, depths=arguments.get("depths", R50)) for name in network(**arguments)]
    converted = {convert(blob): blob for blob in candidates}
    wanted = {name for name in shapes if not name.endswith("num_batches_tracked")}
    if len(converted) != len(candidates) or set(converted) != wanted:
        raise ValueError(f"The candidates of caffe2's names miss {sorted(set(converted) ^ wanted)[:4]}.")
    return {converted[name]: shape for name, shape in shapes.items() if name in wanted}


def mmaction2(checkout: Path) -> Iterator[tuple[str, Shapes]]:
    """Every fixture of MMAction2 and its content."""
    stub("torchvision", "einops", "timm", "decord")
    sys.modules["importlib_metadata"] = importlib.metadata
    sys.path.insert(0, str(checkout))
    import mmaction.models  # noqa: F401 - registers the networks
    from mmaction.registry import MODELS
    from mmengine.config import Config
    from mmengine.registry import init_default_scope

    init_default_scope("mmaction")
    for name, config in MMACTION2.items():
        model = Config.fromfile(checkout / "configs" / "recognition" / f"{config}.py").model
        model.backbone.pretrained = None
        yield name, shapes_of(MODELS.build, model)


def shapes_of(build: Callable[..., Any], *arguments: Any) -> Shapes:
    """Names and shapes of a network's state dict; `meta` tensors take no memory."""
    import torch

    with torch.device("meta"):
        return {name: tuple(tensor.shape) for name, tensor in build(*arguments).state_dict().items()}


class _Stub(types.ModuleType):
    """A module that has every name, each a class of nothing."""

    __path__: list[str] = []

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


class _Stubs(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def __init__(self, packages: tuple[str, ...]) -> None:
        self.packages = packages

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        known = name.partition(".")[0] in self.packages
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if known else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return _Stub(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        pass


def stub(*packages: str) -> None:
    """Stand in for packages that the libraries import beside their networks, where they are not installed."""
    sys.meta_path.append(_Stubs(packages))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("library", choices=["pytorchvideo", "pyslowfast", "mmaction2"])
    parser.add_argument("checkout", type=Path, nargs="?", help="of PySlowFast or MMAction2")
    parser.add_argument("--out", type=Path, default=KEYS)
    arguments = parser.parse_args()
    makers = {"pyslowfast": pyslowfast, "mmaction2": mmaction2}
    maker = makers.get(arguments.library)
    made = dict(maker(arguments.checkout) if maker else pytorchvideo())
    for fixture, shapes in made.items():
        home = home_of(fixture)
        if home == fixture:
            write_keys(arguments.out, fixture, shapes)
        elif shapes != made[home]:
            raise SystemExit(f"{fixture} differs from {home}, which stands for it.")
        print(f"{fixture}: {len(shapes)} entries" + (f", as {home}" if home != fixture else ""))


if __name__ == "__main__":
    main()
