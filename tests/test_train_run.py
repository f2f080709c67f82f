"""Models of run folders and of the zoo."""

import numpy as np
import pytest

import kerasfast as kf
from kerasfast.train.recipes.recipe import load
from kerasfast.train.run import (
    WEIGHTS_FILE,
    evaluation_protocol,
    load_model,
    recipe_heading,
    records_of,
    save_model_config,
)


def test_a_run_gives_its_model_back(tmp_path):
    heads = {"verb": kf.Head(3, "sigmoid", ("lift", "open", "slide"))}
    model = kf.build(kf.variant("slow_nano", beta=1 / 2), heads=heads, embedding=7)
    save_model_config(model, tmp_path)
    model.save_weights(tmp_path / WEIGHTS_FILE)
    again = load_model(tmp_path)
    assert again.variant == model.variant
    assert again.heads == heads
    frames = np.random.default_rng(0).integers(0, 256, (1, 4, 64, 64, 3), dtype=np.uint8)
    np.testing.assert_array_equal(again.predict(frames, verbose=0)["verb"], model.predict(frames, verbose=0)["verb"])


def test_a_name_of_the_zoo():
    assert load_model("slowfast_nano.miniature").load_report.new == ()


def test_random_weights_are_not_taken_for_trained_ones():
    with pytest.raises(ValueError, match=r"trained weights is needed. Received: 'slow_nano'.*`kerasfast list`"):
        load_model("slow_nano")


def test_a_mistyped_run(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nanno is no folder"):
        load_model(tmp_path / "nanno")


@pytest.mark.parametrize("text", ["", "{", "{}", "[1]"])
def test_a_damaged_description(text, tmp_path):
    (tmp_path / "model.json").write_text(text)
    with pytest.raises(ValueError, match=r"model\.json does not describe a model"):
        load_model(tmp_path)


def test_the_protocol_of_a_run_is_its_recipes(tmp_path):
    (tmp_path / "config.toml").write_text(load("miniature_slow_nano").to_toml())
    protocol = evaluation_protocol(tmp_path)
    assert (protocol["clips"], protocol["crops"], protocol["merge"]) == (10, 1, "max")
    assert evaluation_protocol("slowfast_nano.miniature") == {}


def test_a_folder_that_is_no_run(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"not the folder of a run: it has no model\.json"):
        load_model(tmp_path)


def test_a_run_without_weights(tmp_path):
    save_model_config(kf.build("slow_nano", heads={"verb": 3}), tmp_path)
    with pytest.raises(FileNotFoundError, match=WEIGHTS_FILE):
        load_model(tmp_path)


@pytest.mark.parametrize("records", ["out/records", "s3://bucket/records", "a folder. of. dots."])
def test_the_heading_of_a_recipe_names_its_records(records):
    text = recipe_heading(records, {"python": "3.12", "keras": "3.15"})
    assert text.count("\n") == 2 and "# python 3.12, keras 3.15\n" in text
    assert records_of(text + 'name = "a"\n') == records
    assert records_of('name = "a"\n') is None


def test_a_line_break_in_a_folder_ends_no_comment():
    text = recipe_heading("records\nname = 'other'", {})
    assert all(line.startswith("#") for line in text.splitlines())
