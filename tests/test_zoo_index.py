"""The rows of the zoo: each against the names of its files, its labels and the fields of a variant."""

import dataclasses
import re

import pytest
from conftest import SHARED

from kerasfast._data_folders import zoo_dir
from kerasfast.data.clips import ClipSpec
from kerasfast.data.labels import read_charades_classes
from kerasfast.models.heads import CHARADES
from kerasfast.models.variants import VARIANTS, Variant
from kerasfast.registry import entry, index
from kerasfast.zoo_index import FAMILIES, read_index

WEIGHTS = [name for name, row in index().items() if row.has_weights]
PUBLISHED = [name for name, row in index().items() if row.source]
# Tag -> dataset; what follows the library tells checkpoints of one library apart.
DATASETS = {
    "k400": "Kinetics-400",
    "k700": "Kinetics-700",
    "k710": "Kinetics-710",
    "ssv2": "Something-Something v2",
    "charades": "Charades",
    "miniature": "miniature Charades",
}
LIBRARIES = {"": ("pytorchvideo",), "psf": ("pyslowfast", "caffe2"), "mm": ("mmaction2",)}


def architecture_of(url):
    """The architecture that the name of a published file says."""
    stem = url.rpartition("/")[2].rpartition(".")[0].lower()
    clip = re.search(r"(\d+x\d+)(x1)?(?=[-_]|$)", stem)  # MMAction2's 8xb16, GPUs and batch, is none
    kind = re.match(r"slowfast|slow|c2d_nopool|c2d|i3d|x3d_[a-z]+", stem)[0]
    if kind.startswith("x3d"):
        return next(name for name in VARIANTS if name.startswith(f"{kind}_") and (not clip or clip[1] in name))
    depth = re.search(r"r(50|101)(_50_50|-r50)?", stem)[0].replace("-", "_")
    return f"{kind}_{depth}_{clip[1]}{'_nl' if 'nln' in stem else ''}"


def test_there_is_a_row_for_every_published_checkpoint():
    count = {family: sum(row.source.family == family for row in map(entry, PUBLISHED)) for family in FAMILIES}
    assert count == {"pytorchvideo": 16, "pyslowfast": 10, "caffe2": 7, "mmaction2": 15}
    assert len({entry(name).source.url for name in PUBLISHED}) == len(PUBLISHED)


@pytest.mark.parametrize("name", WEIGHTS)
def test_rows_are_whole(name):
    row = entry(name)
    assert row.architecture in VARIANTS and row.summary and row.license == "Apache-2.0"
    tag, _, library = name.partition(".")[2].partition("_")
    assert row.dataset == DATASETS[tag]
    for head, values in row.heads.items():
        labels = row.head_rows()[head].labels
        assert len(labels) == values["classes"] == len(set(labels)) and all(label == label.strip() for label in labels)
    assert row.task == ("multi_label" if "charades" in row.dataset.lower() else "single_label")
    if row.source:
        assert row.source.family in LIBRARIES[library.partition("_")[0]]
        assert row.page.startswith("https://github.com/")
    fields = {field.name for field in dataclasses.fields(Variant)}
    assert set(row.overrides) <= fields - {"name"} and row.variant.name == row.architecture


@pytest.mark.parametrize("name", PUBLISHED)
def test_urls_name_their_network(name):
    row, url = entry(name), entry(name).source.url
    hosts = r"https://(dl\.fbaipublicfiles\.com/(pytorchvideo|pyslowfast)|download\.openmmlab\.com/mmaction/v1\.0)/"
    assert re.match(hosts, url) and "//" not in url.removeprefix("https://")
    assert architecture_of(url) == row.architecture
    published = re.fullmatch(r".*_\d{8}-([0-9a-f]{8})\.pth", url)
    assert row.source.sha256 == (published[1] if published else "")
    assert bool(published) == (row.source.family == "mmaction2")
    tag = name.partition(".")[2].partition("_")[0].replace("k", "kinetics")
    words = {"ssv2", "charades", "kinetics700", "kinetics710"}
    assert {word for word in words if word in url.lower()} == {tag} & words
    for word in ("_multigrid", "stepwise"):
        assert (f"{word}.pkl" in url) == name.endswith(word)
    assert ("steplr-256e" in url) == name.endswith("steplr")
    assert ("imagenet" in url) == name.endswith(("in1k", "k700_mm", "k710_mm"))


@pytest.mark.parametrize("name", PUBLISHED)
def test_results_come_with_their_protocol(name):
    row = entry(name)
    assert row.metrics
    for metric in row.metrics:
        assert (metric.map is not None) == (row.dataset == "Charades") == (metric.top1 is None)
        assert 30 < (metric.map or metric.top1) < 80 and (metric.top5 is None or metric.top1 < metric.top5 < 95)
        assert metric.merge == ("max" if row.dataset == "Charades" else "mean")
        assert metric.clips == (1 if row.sampling == "video" else 10) and metric.crops in (1, 3)
        assert metric.crop_size <= metric.short_side <= row.variant.short_side[0]
    assert row.metrics[0].crop_size == row.metrics[0].short_side == row.variant.test_crop_size


def test_what_libraries_do_otherwise():
    """The facts that break numbers where they are missing, one row of each kind."""
    torch, own, mm = (entry(f"slowfast_r50_8x8.k400{library}").variant for library in ("", "_psf", "_mm"))
    architecture = VARIANTS["slowfast_r50_8x8"]
    assert torch == dataclasses.replace(architecture, head_average="logits")
    assert own == architecture and own.head_average == "probabilities"
    imagenet = {"pixel_mean": (123.675, 116.28, 103.53), "pixel_std": (58.395, 57.12, 57.375)}
    bare = {"head_pool": "global", "slow_frames": "stride", "lateral_norm": False}
    assert mm == dataclasses.replace(architecture, **imagenet, **bare)
    assert entry("slowfast_r50_8x8.k400_mm_steplr").variant == dataclasses.replace(mm, lateral_norm=True)
    deep = entry("slowfast_r101_8x8.k400_mm").variant
    assert (deep.lateral_kernel, VARIANTS["slowfast_r101_8x8"].lateral_kernel) == (7, 5)
    for size in ("xs_4x12", "s_13x6", "m_16x5", "l_16x5"):
        x3d = entry(f"x3d_{size}.k400").variant
        assert (x3d.first_shortcut_norm, x3d.head_average) == (False, "probabilities")
        assert entry(f"x3d_{size}.k400_psf").variant == VARIANTS[f"x3d_{size}"]
    x3d = entry("x3d_s_13x6.k400_mm").variant
    assert (x3d.pixel_mean, x3d.pixel_std, x3d.head_pool) == ((114.75,) * 3, (57.38,) * 3, "global")
    assert x3d.first_shortcut_norm
    for name in (name for name in WEIGHTS if name.endswith("multigrid")):
        assert entry(name).variant.head_pool == "global"


def test_frames_of_the_datasets():
    for name in WEIGHTS:
        row = entry(name)
        clip = VARIANTS[row.architecture].clip
        assert row.variant.clip == (dataclasses.replace(clip, fps=24.0) if row.dataset == "Charades" else clip)
        assert (row.sampling == "video") == name.partition(".")[2].startswith("ssv2")
    assert entry("slowfast_r50_16x8.charades_psf").variant.clip == ClipSpec(64, 2, 24.0)


def labels(name):
    return (zoo_dir() / "labels" / f"{name}.txt").read_text("utf-8").splitlines()


def test_class_names_in_the_order_of_checkpoints():
    charades = {f"charades_{head}": count for head, count in CHARADES.items()}
    for name, count in {"kinetics400": 400, "kinetics600": 600, **charades}.items():
        found = labels(name)
        assert len(set(found)) == len(found) == count and not any('"' in label for label in found)
    for name in ("kinetics400", "kinetics600"):  # the libraries number them by the alphabet
        assert labels(name) == sorted(labels(name))
    assert labels("charades_object")[0] == "None" and labels("charades_verb")[-1] == "work"


@pytest.mark.skipif(not (SHARED / "charades").is_dir(), reason="the official Charades files are not here")
def test_class_names_of_charades_are_the_official_ones():
    official = read_charades_classes(SHARED / "charades")
    assert {head: tuple(labels(f"charades_{head}")) for head in CHARADES} == official.heads


# --- reading ---------------------------------------------------------------------------------------------------------

INDEX = """
[family.mmaction2]
license = "L"
page = "P"
overrides = {head_pool = "global", lateral_norm = false}
[dataset.D]
heads.action = {classes = 3}
overrides = {clip = {fps = 24.0}, head_pool = "window", alpha = 8}
protocol = {clips = 10, crops = 3, merge = "max"}
[[model]]
name = "slowfast_r50_8x8"
summary = "S"
[[model]]
name = "slowfast_r50_8x8.d_mm"
summary = "T"
dataset = "D"
overrides = {lateral_norm = true, short_side = [100, 200]}
metrics = [{map = 30.5}, {map = 30, crops = 1, crop_size = 100, short_side = 120, merge = "mean"}]
[model.source]
family = "mmaction2"
url = "https://host/file-0123abcd.pth"
sha256 = "0123abcd"
"""


def read(folder, text):
    (folder / "index.toml").write_text(text)
    return read_index(folder)


def test_a_row_inherits_from_its_library_and_its_dataset(tmp_path):
    rows = read(tmp_path, INDEX)
    assert list(rows) == ["slowfast_r50_8x8", "slowfast_r50_8x8.d_mm"]
    plain, row = rows.values()
    assert (plain.has_weights, plain.task, plain.heads, plain.metrics, plain.license) == (False, "", {}, (), "")
    assert (row.has_weights, row.task, row.license, row.page) == (True, "multi_label", "L", "P")
    assert row.heads == {"action": {"classes": 3}}
    variant = row.variant
    assert (variant.clip, variant.alpha) == (ClipSpec(32, 2, 24.0), 8)  # of the dataset
    assert variant.head_pool == "global"  # the library's stands over the dataset's
    assert (variant.lateral_norm, variant.short_side) == (True, (100, 200))  # the row's own over both
    first, second = row.metrics
    assert (first.clips, first.crops, first.crop_size, first.short_side, first.merge) == (10, 3, 256, 256, "max")
    assert (second.clips, second.crops, second.crop_size, second.short_side, second.merge) == (10, 1, 100, 120, "mean")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            'summary = "T"',
            'summery = "T"',
            r"model 'slowfast_r50_8x8\.d_mm': unknown key 'summery'\. Did you mean 'summ",
        ),
        ('summary = "T"', "", r"d_mm': key 'summary' is missing"),
        ('summary = "T"', 'folder = "/"', "unknown key 'folder'"),
        ("[[model]]", "[[models]]", "unknown key 'models'. Did you mean 'model'"),
        ('family = "mmaction2"', 'family = "mmaction"', "family must be one of pytorchvideo, .*Received: 'mmaction'"),
        ("sha256 =", "sha =", "d_mm': unknown key 'sha'"),
        ("lateral_norm = true", "lateral_nrm = true", "d_mm': A variant has no field 'lateral_nrm'"),
        ("fps = 24.0", "rate = 24.0", r"overrides\.clip: unknown key 'rate'.*Keys: frames, stride, fps"),
        ("map = 30.5", "top_1 = 30.5", "metrics: unknown key 'top_1'. Did you mean 'top1'"),
        ("clips = 10, ", "", "metrics: key 'clips' is missing"),
        ('license = "L"', 'licence = "L"', "family 'mmaction2': unknown key 'licence'. Did you mean 'license'"),
        ("heads.action", "head.action", "dataset 'D': unknown key 'head'. Did you mean 'heads'"),
        ('dataset = "D"', 'sampling = "frames"', "sampling must be one of clip, video. Received: 'frames'"),
        (".d_mm", "", "there is a row of that name already"),
        (".d_mm", "x.d_mm", "no architecture 'slowfast_r50_8x8x'"),
    ],
)
def test_a_wrong_index_is_refused(old, new, message, tmp_path):
    assert old in INDEX
    with pytest.raises(ValueError, match=message):
        read(tmp_path, INDEX.replace(old, new))
