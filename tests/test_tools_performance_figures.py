"""What figures mean: ratios, shares, the point where overhead ends, and verdicts, on results that were made up."""

import performance_figures as figures
import pytest


def contender(seconds, family, precision="float32", **fields):
    turns = seconds if isinstance(seconds, list) else [seconds] * 3
    found = {"turns": turns, "median_seconds": sorted(turns)[len(turns) // 2]}
    return {"family": family, "precision": precision, "title": family, **found, **fields}


def cut_off(family, precision, limit=60.0):
    return {
        "family": family,
        "precision": precision,
        "title": family,
        "skipped": "A measured process gave no answer within 60 s.",
        "longer_than_seconds": limit,
    }


@pytest.fixture
def main():
    return {
        "model": "slowfast_r50_8x8",
        "giga_multiply_adds": 60.0,
        "contenders": {
            "kerasfast_float32": contender(2.0, "kerasfast"),
            "kerasfast_bfloat16": contender(1.0, "kerasfast", "bfloat16"),
            "torch_eager": contender(4.0, "torch"),
            "torch_frozen": contender(3.0, "torch"),
            "torch_bfloat16_frozen": contender(1.1, "torch", "bfloat16"),
            "openvino_float32": contender(1.9, "openvino"),
            "openvino_bfloat16": contender(0.8, "openvino", "bfloat16"),
        },
        "matmul": {
            "tensorflow_float32": {"giga_per_second": 30.0},
            "torch_float32": {"giga_per_second": 34.0},
            "torch_bfloat16": {"giga_per_second": 80.0},
            "tensorflow_bfloat16": {"skipped": "no such kernel"},
        },
    }


def by_name(found):
    return {one.name: one for one in found}


def test_a_ratio_is_the_median_over_turns(main):
    # The machine slowed down in the third turn of both: the ratios of the turns are 2, 2 and 2.
    contenders = {"a": contender([2.0, 2.2, 6.0], "x"), "b": contender([1.0, 1.1, 3.0], "x")}
    assert str(figures.ratio(contenders, "a", "b")) == "2.00"
    assert figures.ratio(contenders, "a", None) is None
    assert figures.ratio(contenders, "a", "unknown") is None


def test_who_was_cut_off_gives_a_bound(main):
    main["contenders"]["slow"] = cut_off("torch", "bfloat16")
    assert str(figures.ratio(main["contenders"], "slow", "kerasfast_float32")) == "over 30.00"
    assert figures.ratio(main["contenders"], "kerasfast_float32", "slow") is None


def test_shares(main):
    assert figures.multiplication_rate(main["matmul"], "float32") == 34.0
    # 60 * 10^9 in 2 s are 30 a second of 34.
    assert figures.share(main, "kerasfast_float32") == pytest.approx(30 / 34)
    assert figures.share(main, "nobody") is None
    assert figures.share({**main, "matmul": {}}, "kerasfast_float32") is None


def test_the_share_is_that_of_the_export_without_winograd(main):
    main["contenders"]["kerasfast_float32_plain"] = contender(2.5, "kerasfast")
    main["contenders"]["kerasfast_float32"] = contender(1.6, "kerasfast")
    found = by_name(figures.inference_figures(main, None))["float32, share of the multiplication rate"]
    # 24 and 37.5 of 34 * 10^9 a second.
    assert found.found == "71 % with winograd=False; 110 % of direct multiply-adds with Winograd's algorithm"
    assert found.verdict == "missed"


def test_the_whole_rate_counts_the_multiplications_that_are_left(main):
    main["contenders"]["kerasfast_float32"] = contender(1.6, "kerasfast")
    main["winograd_giga_multiply_adds"] = 42.5
    # 42.5 * 10^9 at 34 a second take 1.25 s, and PyTorch eager 4.
    assert figures.times_at_full_rate(main, "kerasfast_float32", "torch_eager") == pytest.approx(3.2)
    assert figures.times_at_full_rate(main, "openvino_float32", "torch_eager") == pytest.approx(4 / (60 / 34))


def test_verdicts(main):
    scores = {"largest_difference": 0.01, "largest_map_change": 0.006}
    found = by_name(figures.inference_figures(main, scores))
    assert found["float32 against PyTorch eager"].verdict == "missed"  # 2.0 of 2.2
    assert found["float32 against PyTorch eager"].found == (
        "2.00 times; at the whole multiplication rate it would be 2.27"  # 2.0 of 88 %
    )
    assert found["float32 against PyTorch's best float32 mode"].verdict == "holds"  # 1.5 of 1.4, and not of eager
    assert found["float32 against OpenVINO float32"].verdict == "holds"  # 2.0 / 1.9
    assert found["bfloat16 against OpenVINO bfloat16"].verdict == "missed"  # 1.25
    assert found["bfloat16 against PyTorch's best bfloat16 mode"].verdict == "holds"
    assert found["float32, share of the multiplication rate"].verdict == "holds"  # 88 %
    assert found["bfloat16, share of the multiplication rate"].verdict == "missed"  # 75 %
    assert found["bfloat16 scores, largest probability difference"].verdict == "holds"
    assert found["bfloat16 scores, mAP change"].verdict == "missed"


def test_what_was_skipped_is_not_measured(main):
    main["contenders"]["kerasfast_bfloat16"] = {
        "family": "kerasfast",
        "precision": "bfloat16",
        "title": "x",
        "skipped": "precision must be float32",
    }
    main["contenders"]["torch_bfloat16_frozen"] = cut_off("torch", "bfloat16")
    found = by_name(figures.inference_figures(main, None))
    against = found["bfloat16 against PyTorch's best bfloat16 mode"]
    assert (against.verdict, against.found) == ("not measured", "precision must be float32")
    assert found["bfloat16 scores, mAP change"].verdict == "not measured"


def test_a_bound_decides_only_where_it_can(main):
    for name in ("torch_bfloat16_frozen", "openvino_bfloat16"):
        main["contenders"][name] = cut_off(name.partition("_")[0], "bfloat16")
    found = by_name(figures.inference_figures(main, None))
    assert found["bfloat16 against PyTorch's best bfloat16 mode"].found == "over 60.00 times"
    assert found["bfloat16 against PyTorch's best bfloat16 mode"].verdict == "holds"
    assert found["bfloat16 against OpenVINO bfloat16"].verdict == "holds"
    main["contenders"]["torch_eager"] = cut_off("torch", "float32", limit=3.0)
    unknown = by_name(figures.inference_figures(main, None))["float32 against PyTorch eager"]
    assert (unknown.found, unknown.verdict) == ("over 1.50 times", "not measured")


def test_training():
    contenders = {
        "kerasfast_float32": contender(1.0, "kerasfast", step_mib=1000.0),
        "kerasfast_bfloat16": contender(0.9, "kerasfast", "bfloat16"),
        "torch_float32": contender(1.3, "torch", step_mib=900.0),
    }
    float32, bfloat16, memory = figures.training_figures(contenders)
    assert (float32.found, float32.verdict) == ("1.30 times", "holds")
    assert bfloat16.verdict == "missed"  # 1.44 of 1.5
    assert (memory.found, memory.verdict) == ("1.11 times", "missed")
    del contenders["torch_float32"]
    assert [one.verdict for one in figures.training_figures(contenders)] == ["not measured"] * 3


def test_where_overhead_ends():
    # 0.1 s whatever is computed, and 1 s for 10^9: within a fifth from 0.5 on.
    points = [(giga, 0.1 + giga) for giga in (0.01, 0.1, 0.4, 0.6, 2.0, 50.0, 60.0, 70.0)]
    assert figures.overhead_end(points) == 0.6
    assert figures.fixed_seconds(points) == pytest.approx(0.1)
    # A larger call that is off again moves the point behind it.
    assert figures.overhead_end([*points, (3.0, 6.0)]) == 50.0
    assert figures.overhead_end([(giga, giga) for giga in (1.0, 2.0, 3.0, 4.0)]) == 1.0
    assert figures.overhead_end([(1.0, 5.0), (2.0, 4.0), (4.0, 4.0)]) is None
