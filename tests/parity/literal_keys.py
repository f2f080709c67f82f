"""Names and shapes of the libraries' own networks, literally (`keys/*.txt`), and which of our rows they stand for."""

from pathlib import Path

KEYS = Path(__file__).parent / "keys"

# Fixture -> the architectures whose weights have these names and shapes: they differ in frames, strides or pooling.
NETWORKS = {
    "slowfast_r50_4x16.pytorchvideo": ("slowfast_r50_4x16",),
    "slowfast_r50_8x8.pytorchvideo": ("slowfast_r50_8x8", "slowfast_r50_16x8"),
    "slowfast_r101_8x8.pytorchvideo": ("slowfast_r101_8x8",),
    "slowfast_r101_50_50_16x8.pytorchvideo": ("slowfast_r101_50_50_16x8", "slowfast_r101_50_50_8x8"),
    "slow_r50_8x8.pytorchvideo": ("slow_r50_8x8", "slow_r50_4x16"),
    "c2d_r50_8x8.pytorchvideo": ("c2d_r50_8x8",),
    "i3d_r50_8x8.pytorchvideo": ("i3d_r50_8x8",),
    "x3d_m_16x5.pytorchvideo": ("x3d_m_16x5", "x3d_s_13x6", "x3d_xs_4x12"),
    "x3d_l_16x5.pytorchvideo": ("x3d_l_16x5",),
    "slowfast_r50_4x16.pyslowfast": ("slowfast_r50_4x16",),
    "slowfast_r50_8x8.pyslowfast": ("slowfast_r50_8x8", "slowfast_r50_16x8"),
    "slowfast_r101_8x8.pyslowfast": ("slowfast_r101_8x8",),
    "slowfast_r101_50_101_8x8.pyslowfast": ("slowfast_r101_50_101_8x8",),
    "slowfast_r101_50_50_16x8.pyslowfast": ("slowfast_r101_50_50_16x8", "slowfast_r101_50_50_8x8"),
    "slow_r50_8x8.pyslowfast": ("slow_r50_8x8", "slow_r50_4x16"),
    "c2d_r50_8x8.pyslowfast": ("c2d_r50_8x8", "c2d_nopool_r50_8x8"),
    "i3d_r50_8x8.pyslowfast": ("i3d_r50_8x8",),
    "i3d_r101_8x8.pyslowfast": ("i3d_r101_8x8",),
    "slowfast_r50_4x16_nl.pyslowfast": ("slowfast_r50_4x16_nl", "slowfast_r50_8x8_nl"),
    "slowfast_r101_50_50_16x8_nl.pyslowfast": ("slowfast_r101_50_50_16x8_nl",),
    "slow_r50_8x8_nl.pyslowfast": ("slow_r50_8x8_nl", "slow_r50_4x16_nl"),
    "c2d_r50_8x8_nl.pyslowfast": ("c2d_r50_8x8_nl",),
    "i3d_r50_8x8_nl.pyslowfast": ("i3d_r50_8x8_nl",),
    "x3d_m_16x5.pyslowfast": ("x3d_m_16x5", "x3d_s_13x6", "x3d_xs_4x12"),
    "x3d_l_16x5.pyslowfast": ("x3d_l_16x5",),
    "slowfast_r50_4x16.caffe2": ("slowfast_r50_4x16",),
    "slowfast_r50_8x8.caffe2": ("slowfast_r50_8x8", "slowfast_r50_16x8"),
    "slowfast_r101_8x8.caffe2": ("slowfast_r101_8x8",),
    "slowfast_r101_50_50_16x8_nl.caffe2": ("slowfast_r101_50_50_16x8_nl",),
    "slow_r50_8x8.caffe2": ("slow_r50_8x8", "slow_r50_4x16"),
    "c2d_r50_8x8.caffe2": ("c2d_r50_8x8", "c2d_nopool_r50_8x8"),
    "i3d_r50_8x8.caffe2": ("i3d_r50_8x8",),
    "i3d_r50_8x8_nl.caffe2": ("i3d_r50_8x8_nl",),
    "slowfast_r50_4x16.mmaction2": ("slowfast_r50_4x16",),
    "slowfast_r50_8x8.mmaction2": ("slowfast_r50_8x8",),
    "slowfast_r50_8x8.mmaction2_steplr": ("slowfast_r50_8x8",),
    "slowfast_r101_8x8.mmaction2": ("slowfast_r101_8x8",),
    "slowfast_r101_r50_4x16.mmaction2": ("slowfast_r101_r50_4x16",),
    "slow_r50_4x16.mmaction2": ("slow_r50_4x16", "slow_r50_8x8"),
    "slow_r101_8x8.mmaction2": ("slow_r101_8x8",),
    "slow_r50_4x16_nl.mmaction2": ("slow_r50_4x16_nl",),
    "x3d_s_13x6.mmaction2": ("x3d_s_13x6", "x3d_m_16x5"),
}


def read_keys(fixture: str) -> dict[str, tuple[int, ...]]:
    """Name -> shape in torch, of every entry of a state dict (or of a caffe2 file's blobs), in its order."""
    lines = (KEYS / f"{fixture}.txt").read_text("ascii").splitlines()
    pairs = (line.split("\t") for line in lines)
    return {key: tuple(map(int, shape.split(","))) if shape else () for key, shape in pairs}


def write_keys(folder: Path, fixture: str, shapes: dict[str, tuple[int, ...]]) -> None:
    """The inverse of `read_keys`, into a folder."""
    lines = (f"{key}\t{','.join(map(str, shape))}\n" for key, shape in shapes.items())
    (folder / f"{fixture}.txt").write_text("".join(lines), "ascii")


def home_of(fixture: str) -> str:
    """The fixture that stands for `architecture.scheme`."""
    architecture, _, scheme = fixture.partition(".")
    return next(name for name, rows in NETWORKS.items() if architecture in rows and name.partition(".")[2] == scheme)


def fixtures_of(architecture: str, form: str) -> tuple[str, ...]:
    """The fixtures of the files that are loaded into an architecture in a form, caffe2's files for PySlowFast's."""
    schemes = (form, "caffe2") if form == "pyslowfast" else (form,)
    found = (name for name, rows in NETWORKS.items() if architecture in rows and name.partition(".")[2] in schemes)
    return tuple(sorted(found, key=lambda name: schemes.index(name.partition(".")[2])))
