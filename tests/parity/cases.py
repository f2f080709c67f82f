"""Every architecture in the form of every library that has it, and the counts of its weights."""

import dataclasses

from kerasfast.models.variants import Variant
from kerasfast.models.variants import variant as find_variant

# The overrides that make a row the network of a library.
PYTORCHVIDEO = {"head_average": "logits"}
PYTORCHVIDEO_X3D = {"head_average": "probabilities", "first_shortcut_norm": False}
PYSLOWFAST = {"head_average": "probabilities"}
MULTIGRID = {**PYSLOWFAST, "head_pool": "global"}  # PySlowFast's configurations with multigrid training
MMACTION2_SLOW = {
    "head_pool": "global",
    "pixel_mean": (123.675, 116.28, 103.53),
    "pixel_std": (58.395, 57.12, 57.375),
}
MMACTION2 = {**MMACTION2_SLOW, "slow_frames": "stride", "lateral_norm": False}
STEPLR = {**MMACTION2, "lateral_norm": True}  # the one configuration of MMAction2 with batch norm there
MMACTION2_X3D = {"head_pool": "global", "pixel_mean": (114.75,) * 3, "pixel_std": (57.38,) * 3}
# PySlowFast builds no Fast pathway alone, and both pathways with one depth.
_NOT_OF_PYSLOWFAST = ("fast_r50_8x8", "slowfast_r101_r50_4x16")


@dataclasses.dataclass(frozen=True)
class Case:
    """A row in the form of a library.

    Trainable parameters and moving values of batch norm are those of the published networks, with 400 classes; `None`
    where no count is published.
    """

    architecture: str
    form: str
    overrides: dict
    parameters: int | None = None
    moving_values: int | None = None
    slow: bool = False

    @property
    def name(self) -> str:
        """Stem of the certificate's file: `slowfast_r50_8x8.pytorchvideo`."""
        return f"{self.architecture}.{self.form}"

    @property
    def family(self) -> str:
        """Library whose names the weights have."""
        return self.form.partition("_")[0]

    @property
    def variant(self) -> Variant:
        """The row in this form."""
        return find_variant(self.architecture, **self.overrides)

    @property
    def reference(self) -> str:
        """What it is compared with, for the certificate."""
        added = []
        if self.architecture.endswith("_nl"):
            added.append("a non-local block in torch of our own")
        if self.architecture.startswith("x3d") and self.variant.first_shortcut_norm:
            added.append("batch norm on its first shortcut")
        if self.variant.head_pool == "global":
            added.append("global average pooling before its head")
        return " with ".join(["PyTorchVideo 0.1.5", *([" and ".join(added)] if added else [])])


def _cases() -> dict[str, Case]:
    """PyTorchVideo's and PySlowFast's forms of a row stand side by side: they share the run of the reference."""
    rows = []
    for name, parameters, moving, slow in (
        ("slowfast_r50_4x16", 34_480_216, 60_688, False),
        ("slowfast_r50_8x8", 34_566_488, 60_688, False),
        ("slowfast_r50_16x8", 34_566_488, 60_688, True),
        ("slowfast_r101_8x8", 62_826_968, 119_440, True),
        ("slowfast_r101_50_101_8x8", 53_914_072, 119_440, True),
        ("slowfast_r101_50_50_8x8", 53_774_808, 119_440, True),
        ("slowfast_r101_50_50_16x8", 53_774_808, 119_440, True),
        ("slowfast_r101_r50_4x16", None, None, True),
        ("slow_r50_4x16", 32_454_096, 53_120, False),
        ("slow_r50_8x8", 32_454_096, 53_120, False),
        ("slow_r101_8x8", None, None, True),
        ("slow_r101_16x8", None, None, True),
        ("fast_r50_8x8", None, None, False),
        ("c2d_r50_8x8", 24_327_632, 53_120, False),
        ("c2d_nopool_r50_8x8", 24_327_632, 53_120, False),
        ("i3d_r50_8x8", 28_043_472, 53_120, False),
        ("i3d_r101_8x8", None, None, True),
    ):
        rows.append(Case(name, "pytorchvideo", PYTORCHVIDEO, parameters, moving, slow))
        if name not in _NOT_OF_PYSLOWFAST:
            rows.append(Case(name, "pyslowfast", PYSLOWFAST, parameters, moving, slow))
    for name, parameters, slow in (
        ("slowfast_r50_4x16_nl", 41_838_680, False),
        ("slowfast_r50_8x8_nl", 41_838_680, True),
        ("slowfast_r101_50_50_16x8_nl", 60_080_088, True),
        ("slow_r50_4x16_nl", 39_812_560, False),
        ("slow_r50_8x8_nl", 39_812_560, False),
        ("c2d_r50_8x8_nl", None, False),
        ("i3d_r50_8x8_nl", 35_401_936, False),
    ):
        rows.append(Case(name, "pyslowfast", PYSLOWFAST, parameters, None, slow))
    rows += [
        Case("slowfast_r50_8x8", "pyslowfast_multigrid", MULTIGRID, 34_566_488, 60_688, True),
        Case("slowfast_r50_16x8", "pyslowfast_multigrid", MULTIGRID, 34_566_488, 60_688, True),
    ]
    for name, overrides, parameters, moving, slow in (
        ("slowfast_r50_4x16", MMACTION2, 34_479_288, 60_688 - 928, False),
        ("slowfast_r50_8x8", MMACTION2, 34_565_560, 60_688 - 928, True),
        ("slowfast_r101_8x8", {**MMACTION2, "lateral_kernel": 7}, 62_912_312, 119_440 - 928, True),
        ("slowfast_r101_r50_4x16", MMACTION2, 62_384_312, None, True),
        ("slow_r50_4x16", MMACTION2_SLOW, 32_454_096, 53_120, False),
        ("slow_r50_8x8", MMACTION2_SLOW, 32_454_096, 53_120, False),
        ("slow_r101_8x8", MMACTION2_SLOW, None, None, True),
        ("x3d_s_13x6", MMACTION2_X3D, 3_794_322, 31_416 + 48, False),
        ("x3d_m_16x5", MMACTION2_X3D, 3_794_322, 31_416 + 48, False),
    ):
        rows.append(Case(name, "mmaction2", overrides, parameters, moving, slow))
    rows.append(Case("slowfast_r50_8x8", "mmaction2_steplr", STEPLR, 34_566_488, 60_688, True))
    for name, parameters, moving, slow in (
        ("x3d_xs_4x12", 3_794_274, 31_416, False),
        ("x3d_s_13x6", 3_794_274, 31_416, False),
        ("x3d_m_16x5", 3_794_274, 31_416, False),
        ("x3d_l_16x5", 6_153_384, 66_264, True),
    ):
        rows.append(Case(name, "pytorchvideo", PYTORCHVIDEO_X3D, parameters, moving, slow))
        rows.append(Case(name, "pyslowfast", PYSLOWFAST, parameters + 48, moving + 48, slow))
    return {case.name: case for case in rows}


CASES = _cases()
