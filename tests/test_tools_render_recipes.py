"""The page of recipes comes from their files."""

import pytest
import render_recipes

from kerasfast.train.recipes import recipe as recipes


def test_the_page_is_up_to_date():
    assert render_recipes.PAGE.read_text("utf-8") == render_recipes.page(), "run tools/render_recipes.py"


def test_every_recipe_stands_in_one_table():
    lines = render_recipes.page().splitlines()
    for name in recipes.list():
        assert name.partition("_")[0] in render_recipes.FAMILIES
        rows = [line for line in lines if line.startswith(f"| [`{name}`]")]
        assert len(rows) == 1 and rows[0].count(" | ") == 5, name


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "charades_slowfast_r50_16x8_multigrid",
            "57 epochs of batch 16; SGD at 0.0375, times 0.1 at epoch 41 and 49; warm-up 4 epochs from 0.0001; "
            "multigrid, 1.5 times the epochs",
        ),
        (
            "charades_slowfast_r101_16x8_nl_k600",
            "24,000 steps of batch 16; SGD at 0.02, times 0.1 after 5 epochs without improvement",
        ),
        (
            "kinetics_slowfast_r50_8x8",
            "196 epochs of batch 64; SGD at 0.1 (1.6 at 1,024), half a period of the cosine; "
            "warm-up 34 epochs from 0.01",
        ),
    ],
)
def test_a_schedule_in_words(name, words):
    assert render_recipes.schedule(recipes.load(name)) == words


def test_rates_of_layers_and_a_warmup_in_steps_are_told():
    recipe = recipes.load("charades_threehead_transfer")
    assert render_recipes.schedule(recipe).endswith("backbone at 0.1 of it")
    steps = recipe.override(schedule={"warmup_epochs": 0, "warmup_steps": 8000})
    assert "warm-up 8,000 steps" in render_recipes.schedule(steps)


def test_metrics_in_percent():
    assert render_recipes.metrics(recipes.load("charades_slow_r50_8x8").published) == "action mAP 34.72"
    assert render_recipes.metrics(recipes.load("kinetics_slow_r50_4x16").published) == "top-1 72.7, top-5 90.3"
    assert render_recipes.metrics(recipes.load("kinetics_slowfast_r50_8x8_nl").published) == "none"


def test_where_a_recipe_starts():
    assert render_recipes.start(recipes.load("kinetics_slow_r50_4x16")) == "scratch"
    recipe = recipes.load("charades_slow_r50_8x8")
    assert render_recipes.start(recipe) == "`slow_r50_8x8.k400`"
    assert render_recipes.start(recipe.override(model={"weights": False})) == "scratch"
    tagged = recipe.override(model={"weights": None, "name": "slow_r50_8x8.ssv2"})
    assert render_recipes.start(tagged) == "`slow_r50_8x8.ssv2`"


def test_addresses_become_links():
    text = render_recipes.linked("https://arxiv.org/abs/1.2, table 4; https://x.org/a/B.yaml (settings)")
    assert text == "[arXiv:1.2](https://arxiv.org/abs/1.2), table 4; [B.yaml](https://x.org/a/B.yaml) (settings)"
