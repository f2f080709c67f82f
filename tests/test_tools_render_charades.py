"""The page of the claims: verdicts by one rule, and in step with the numbers."""

import json

import pytest
import render_charades
from charades_lines import Line, lines_table, verdict


def test_the_page_is_of_the_committed_result():
    result = json.loads(render_charades.RESULT.read_text("utf-8"))
    assert render_charades.PAGE.read_text("utf-8") == render_charades.page(result), "run tools/render_charades.py"
    for section in render_charades.SECTIONS.values():
        assert (render_charades.PLOTS / f"{section.__name__}.png").stat().st_size > 5_000


@pytest.mark.parametrize(
    ("better", "worse", "said"),
    [
        (
            (0.5, 0.6, 0.55),
            (0.3, 0.35, 0.3),
            "+0.233 on average (+0.200, +0.250, +0.250), spread 0.100. **Holds**, outside the spread.",
        ),
        ((0.5, 0.6, 0.55), (0.45, 0.5, 0.5), "Better with every seed, but **inside the spread**."),
        ((0.5, 0.6, 0.55), (0.3, 0.7, 0.3), "**Does not hold**: better with 2 of 3 seeds."),
        ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "**Does not hold**: better with 0 of 3 seeds."),
    ],
)
def test_a_claim_holds_with_every_seed_and_by_more_than_the_spread(better, worse, said):
    assert verdict(Line("a", better), Line("b", worse)).endswith(said)


def test_a_table_has_seeds_mean_spread_and_chance():
    result = {"seeds": {"100": None, "101": None}}
    text = lines_table(result, "overall mAP", [Line("a", (0.25, 0.5), 0.125), Line("b", (0.5, 0.5))])
    header, _, first, second = (
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.strip().splitlines()
    )
    assert header == ["overall mAP", "seed 100", "seed 101", "mean", "spread", "chance"]
    assert first == ["a", "0.250", "0.500", "0.375", "0.250", "0.125"]
    assert second == ["b", "0.500", "0.500", "0.500", "0.000", ""]


def test_a_line_is_of_every_seed():
    values = {"1": 0.2, "2": 0.4}
    seeds = {seed: {"heads": {"focal": {"rarest": {"map": map_, "chance": 0.1}}}} for seed, map_ in values.items()}
    line = render_charades.line({"seeds": seeds}, "focal", "rarest", "heads")
    assert (line.name, line.values, line.chance) == ("focal", (0.2, 0.4), pytest.approx(0.1))
