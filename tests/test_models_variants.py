"""The table of architectures: its rows, overrides and what it refuses."""

import dataclasses
import json

import pytest

from kerasfast.data.clips import ClipSpec
from kerasfast.models.variants import VARIANTS, Pathway, Variant, nearest, override, variant

# (frames, stride) of a clip, alpha, lateral kernel and blocks of each stage: reference tables of SlowFast.
FULL_SIZE = {
    "slowfast_r50_4x16": ((32, 2), 8, 5, (3, 4, 6, 3)),
    "slowfast_r50_8x8": ((32, 2), 4, 7, (3, 4, 6, 3)),
    "slowfast_r50_16x8": ((64, 2), 4, 7, (3, 4, 6, 3)),
    "slowfast_r101_8x8": ((32, 2), 4, 5, (3, 4, 23, 3)),
    "slowfast_r101_50_101_8x8": ((32, 2), 4, 5, (3, 4, 23, 3)),
    "slowfast_r101_50_50_8x8": ((32, 2), 4, 5, (3, 4, 23, 3)),
    "slowfast_r101_50_50_16x8": ((64, 2), 4, 5, (3, 4, 23, 3)),
    "slow_r50_4x16": ((4, 16), None, None, (3, 4, 6, 3)),
    "slow_r50_8x8": ((8, 8), None, None, (3, 4, 6, 3)),
    "slow_r101_8x8": ((8, 8), None, None, (3, 4, 23, 3)),
    "slow_r101_16x8": ((16, 8), None, None, (3, 4, 23, 3)),
    "fast_r50_8x8": ((32, 2), None, None, (3, 4, 6, 3)),
    "slowfast_r50_4x16_nl": ((32, 2), 8, 5, (3, 4, 6, 3)),
    "slowfast_r50_8x8_nl": ((32, 2), 4, 5, (3, 4, 6, 3)),
    "slowfast_r101_50_50_16x8_nl": ((64, 2), 4, 5, (3, 4, 23, 3)),
    "slow_r50_4x16_nl": ((4, 16), None, None, (3, 4, 6, 3)),
    "slow_r50_8x8_nl": ((8, 8), None, None, (3, 4, 6, 3)),
    "c2d_r50_8x8_nl": ((8, 8), None, None, (3, 4, 6, 3)),
    "i3d_r50_8x8_nl": ((8, 8), None, None, (3, 4, 6, 3)),
    "c2d_r50_8x8": ((8, 8), None, None, (3, 4, 6, 3)),
    "c2d_nopool_r50_8x8": ((8, 8), None, None, (3, 4, 6, 3)),
    "i3d_r50_8x8": ((8, 8), None, None, (3, 4, 6, 3)),
    "i3d_r101_8x8": ((8, 8), None, None, (3, 4, 23, 3)),
}


# clip, depths, training crop, testing crop, range of the short side: PySlowFast's configurations.
X3D = {
    "x3d_xs_4x12": ((4, 12), (3, 5, 11, 7), 160, 182, (182, 228)),
    "x3d_s_13x6": ((13, 6), (3, 5, 11, 7), 160, 182, (182, 228)),
    "x3d_m_16x5": ((16, 5), (3, 5, 11, 7), 224, 256, (256, 320)),
    "x3d_l_16x5": ((16, 5), (5, 10, 25, 15), 312, 356, (356, 446)),
}


@pytest.mark.parametrize("name", X3D)
def test_x3d_rows(name):
    row = variant(name)
    found = ((row.clip.frames, row.clip.stride), row.slow.depths, row.crop_size, row.test_crop_size, row.short_side)
    assert found == X3D[name]
    assert [round(channels / row.bottleneck_ratio) for channels in row.stage_channels] == [54, 108, 216, 432]


def test_every_row_is_listed_here():
    assert set(VARIANTS) == {*FULL_SIZE, *X3D, "slowfast_r101_r50_4x16", "slowfast_nano", "slow_nano", "fast_nano"}


def test_two_depths():
    """MMAction2's: 101 layers in Slow, all of res4 temporal, and 50 in Fast."""
    row = variant("slowfast_r101_r50_4x16")
    assert (row.slow.depths, row.fast.depths) == ((3, 4, 23, 3), (3, 4, 6, 3))
    assert (row.alpha, row.lateral_kernel, row.clip) == (8, 5, ClipSpec(32, 2))
    assert {row.slow.temporal_kernel(2, block) for block in range(23)} == {3}


@pytest.mark.parametrize("name", FULL_SIZE)
def test_published_rows(name):
    clip, alpha, lateral_kernel, depths = FULL_SIZE[name]
    row = variant(name)
    assert row.clip == ClipSpec(*clip, fps=30)
    for path in row.pathways:
        assert getattr(row, path).depths == depths
    if len(row.pathways) == 2:
        assert (row.alpha, row.lateral_kernel) == (alpha, lateral_kernel)
    assert row.pixel_mean == (0.45 * 255,) * 3 and row.pixel_std == (0.225 * 255,) * 3
    assert (row.crop_size, row.test_crop_size, row.short_side) == (224, 256, (256, 320))


def test_names_say_frames_and_stride_of_the_slow_pathway():
    for name in FULL_SIZE:
        frames, stride = map(int, name.removesuffix("_nl").rpartition("_")[2].split("x"))
        row = variant(name)
        alpha = row.alpha if len(row.pathways) == 2 else 1
        if row.pathways != ("fast",):
            assert (row.clip.frames // alpha, row.clip.stride * alpha) == (frames, stride), name


def test_every_row_is_found_by_its_name():
    for name, row in VARIANTS.items():
        assert row.name == name
        assert variant(name) == row


def test_temporal_kernels_along_depth():
    """R101 "50_50" looks along time in the first 6 of the 23 blocks of res4, "101" in all of them."""
    few, all_blocks = variant("slowfast_r101_50_50_16x8"), variant("slowfast_r101_8x8")
    for path in ("slow", "fast"):
        kernels = [getattr(few, path).temporal_kernel(2, block) for block in range(23)]
        assert kernels == [3] * 6 + [1] * 17
        assert [getattr(all_blocks, path).temporal_kernel(2, block) for block in range(23)] == [3] * 23
    mixed = variant("slowfast_r101_50_101_8x8")
    assert [mixed.slow.temporal_kernel(2, block) for block in range(23)] == [3] * 6 + [1] * 17
    assert [mixed.fast.temporal_kernel(2, block) for block in range(23)] == [3] * 23
    slow, fast = few.slow, few.fast
    assert (slow.stem_kernel, fast.stem_kernel) == (1, 5)
    assert [slow.temporal_kernel(stage, 0) for stage in range(4)] == [1, 1, 3, 3]
    assert [fast.temporal_kernel(stage, 0) for stage in range(4)] == [3, 3, 3, 3]


def test_temporal_kernels_in_turn():
    """Blocks of I3D with a temporal kernel: res2 0, 1, 2; res3 0, 2; res4 0, 2, 4; res5 1."""
    path = variant("i3d_r50_8x8").slow
    looking = [
        [block for block in range(depth) if path.temporal_kernel(stage, block) == 3]
        for stage, depth in enumerate(path.depths)
    ]
    assert looking == [[0, 1, 2], [0, 2], [0, 2, 4], [1]] and path.stem_kernel == 5
    assert variant("i3d_r50_8x8").temporal_pool == variant("c2d_r50_8x8").temporal_pool == 2
    still = variant("c2d_nopool_r50_8x8")
    assert {still.slow.temporal_kernel(stage, block) for stage in range(4) for block in range(3)} == {1}
    assert (still.slow.stem_kernel, still.temporal_pool) == (1, 1)
    # A count of leading blocks stands over the turn.
    assert [Pathway((4,), 1, ((3, 1),), (2,)).temporal_kernel(0, block) for block in range(4)] == [3, 1, 1, 1]


def test_non_local_rows():
    """Behind every other block of res3 and res4 of R50, behind three of res4 of R101; PySlowFast's configurations."""
    for name in (name for name in VARIANTS if name.endswith("_nl")):
        row, plain = variant(name), variant(name.removesuffix("_nl"))
        deep = "r101" in name
        assert row.nonlocal_after == (((4, 6), (4, 13), (4, 20)) if deep else ((3, 1), (3, 3), (4, 1), (4, 3), (4, 5)))
        assert row.nonlocal_pool == ((2, 2, 2) if deep else (1, 2, 2))
        assert row.nonlocal_instantiation == ("dot_product" if name.startswith("slow") else "softmax")
        fields = ("nonlocal_after", "nonlocal_instantiation", "nonlocal_pool", "name", "lateral_kernel")
        assert override(row, **{field: getattr(plain, field) for field in fields}) == plain


def test_quirks_of_mmaction2_are_fields():
    row = variant("slowfast_r50_8x8", slow_frames="stride", lateral_norm=False, pixel_mean=(123.675, 116.28, 103.53))
    assert (row.slow_frames, row.lateral_norm, row.pixel_mean[0]) == ("stride", False, 123.675)


@pytest.mark.parametrize("name", VARIANTS)
def test_dict_round_trip(name):
    row = variant(name)
    over_json = Variant.from_dict(json.loads(json.dumps(row.to_dict())))
    assert over_json == row and hash(over_json) == hash(row)
    assert isinstance(over_json.clip, ClipSpec) and isinstance(over_json.stage_channels, tuple)


def test_overrides_leave_the_table_alone():
    row = variant("slowfast_r50_4x16", beta=1 / 4, head_average="logits")
    assert (row.beta, row.head_average) == (0.25, "logits")
    assert (VARIANTS["slowfast_r50_4x16"].beta, VARIANTS["slowfast_r50_4x16"].head_average) == (1 / 8, "probabilities")
    assert override(row, beta=1 / 8, head_average="probabilities") == VARIANTS["slowfast_r50_4x16"]
    with pytest.raises(dataclasses.FrozenInstanceError):
        row.beta = 1.0


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"lateral": "time_cnv"}, "Variant.lateral must be one of time_conv, time_sample.*'time_cnv'"),
        ({"block": "basic"}, "Variant.block must be one of bottleneck, x3d.*'basic'"),
        (
            {"head_widths": (432, 2048)},
            r"head_widths.*Received: \(432, 2048\) with the pathways slow, fast",
        ),
        ({"head_widths": (432,), "fast": None}, r"two layers.*Received: \(432,\)"),
        ({"fast_input": "grey"}, "Variant.fast_input must be one of rgb, gray.*'grey'"),
        ({"slow_frames": "all"}, "Variant.slow_frames must be one of linspace, stride.*'all'"),
        ({"lateral": "time_to_channel_sum"}, "alpha=4, beta=0.125, which makes 32 of 64. Use beta=1/4"),
        ({"nonlocal_instantiation": "gauss"}, "Variant.nonlocal_instantiation must be one of softmax, dot_product"),
        ({"nonlocal_after": ((3, 4),)}, r"pairs \(stage, block\).*Received: \(3, 4\), where depths=\(3, 4, 6, 3\)"),
        ({"nonlocal_after": ((1, 0),)}, r"stages from 2, blocks from 0. Received: \(1, 0\)"),
        ({"nonlocal_after": ((6, 0),)}, r"Received: \(6, 0\)"),
        ({"nonlocal_after": ((3, 0),), "slow": None}, r"of the Slow pathway.*Received: \(3, 0\), where depths=None"),
        ({"nonlocal_after": ((3, 0),), "nonlocal_pool": (16, 2, 2)}, r"at most the 8 frames.*\(16, 2, 2\)"),
        ({"nonlocal_after": ((3, 0),), "nonlocal_pool": (2, 2)}, r"three sizes \(T, H, W\).*\(2, 2\)"),
        ({"head_pool": "windw"}, "Variant.head_pool must be one of window, global.*'windw'"),
        ({"head_average": "mean"}, "Variant.head_average must be one of probabilities, logits.*'mean'"),
        ({"head_fusion": "sum"}, "Variant.head_fusion must be one of pool_then_concat.*'sum'"),
        ({"slow": None, "fast": None}, "needs a Slow or a Fast pathway"),
        ({"alpha": 5}, "multiple of alpha. Received: frames=32, alpha=5"),
        ({"alpha": 0}, "multiple of alpha. Received: frames=32, alpha=0"),
        ({"alpha": -4}, "multiple of alpha"),
        ({"lateral_kernel": 4}, "lateral_kernel must be odd.*Received: 4. Use 5"),
        ({"stage_channels": (256, 512)}, "needs one entry for each of stage_channels"),
        ({"spatial_strides": (1, 2)}, r"spatial_strides needs one entry.*\(1, 2\) for 4 stages"),
        ({"spatial_dilations": (1, 1, 1, 1, 1)}, "spatial_dilations needs one entry"),
        ({"slow": Pathway((3, 4, 6), 1, (1, 1, 3, 3))}, "depths and temporal_kernels.*3 and 4 for 4 stages"),
        ({"fast": Pathway((3, 4, 6, 3), 5, (3, 3, 3, 3), (None,))}, "temporal_blocks needs an entry"),
        ({"temporal_pool": 0}, "temporal_pool must be from 1 to the 8 frames of the shortest pathway. Received: 0"),
        ({"temporal_pool": 9}, "from 1 to the 8 frames.*Received: 9"),
        ({"betta": 1 / 4}, "no field 'betta'. Did you mean 'beta'?"),
    ],
)
def test_wrong_fields_are_refused(overrides, message):
    with pytest.raises(ValueError, match=message):
        variant("slowfast_r50_8x8", **overrides)


def test_unknown_names_get_the_nearest():
    with pytest.raises(ValueError, match=r"no architecture 'slowfast_r50_8x9'\. Did you mean 'slowfast_r50_8x8'"):
        variant("slowfast_r50_8x9")
    with pytest.raises(ValueError, match=r"no architecture 'resnet'\. All names: slowfast_r50_4x16, "):
        variant("resnet")
    assert nearest("acton", ["action", "verb"]) == " Did you mean 'action'?"
    assert nearest("zzz", ["action", "verb"]) == ""
