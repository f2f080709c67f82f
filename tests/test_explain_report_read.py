"""Reading the folder of a run: what is missing and what is damaged stops nothing."""

import json

import pytest
from report_case import ACTIONS, single_label_videos, write_evaluation, write_run, write_training

from kerasfast.explain.report.read import read_run


def test_everything_of_a_run_is_read(tmp_path):
    metrics = write_run(tmp_path)
    run = read_run(tmp_path)
    assert run.evaluation.metrics == json.loads(json.dumps(metrics))
    assert run.evaluation.scored.classes["action"] == ACTIONS
    assert list(run.history["epoch"]) == [1, 2, 3] and run.recipe["name"] == "made_up"
    assert run.records == "/data/my records" and run.environment["steps"] == 90
    assert list(run.points.heads) == ["verb", "object", "action"]
    assert run.trained and not run.unfinished and run.problems == ()
    assert run.activations == dict.fromkeys(("verb", "object", "action"), "sigmoid")


def test_a_run_that_was_only_trained(tmp_path):
    write_training(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    run = read_run(tmp_path)
    assert run.evaluation is run.points is None and run.others == () and run.problems == ()
    assert run.unfinished and not run.trained and run.activations == {"action": "sigmoid"}


def test_the_evaluation_may_be_chosen_and_another_stands_in(tmp_path):
    write_evaluation(tmp_path, single_label_videos(), "metrics-val", softmax=True, split="val")
    write_evaluation(tmp_path, single_label_videos(seed=1), "metrics-quick", softmax=True, name="quick")
    assert read_run(tmp_path).evaluation.path.name == "metrics-quick.json"
    run = read_run(tmp_path, "metrics-val.json")
    assert run.evaluation.protocol["split"] == "val" and run.evaluation.scored is not None
    assert [one.path.name for one in run.others] == ["metrics-quick.json"]
    assert run.activations == {"action": "softmax"}
    assert read_run(tmp_path, tmp_path / "metrics-val.json").evaluation.path.name == "metrics-val.json"
    with pytest.raises(FileNotFoundError, match=r"metrics-no\.json is no file.*metrics-quick\.json, metrics-val\.json"):
        read_run(tmp_path, "metrics-no.json")


@pytest.mark.parametrize(
    ("name", "content", "attribute"),
    [
        ("config.toml", "[model\n", "recipe"),
        ("config.toml", b"\xff\xfe", "recipe_text"),
        ("model.json", "[1]", "model"),
        ("model.json", "{", "model"),
        ("history.csv", "", "history"),
        ("history.csv", "epoch,loss\n1,low\n", "history"),
        ("history.csv", "step,error\n1,2\n", "history"),
        ("metrics.json", "{}", "evaluation"),
        ("metrics.json", '{"heads": {"a": {"map": 1}}}', "evaluation"),
        ("operating_points.json", "{}", "points"),
        ("environment.json", "", "environment"),
    ],
)
def test_a_damaged_file_is_a_sentence_and_the_rest_is_read(name, content, attribute, tmp_path):
    write_run(tmp_path)
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    run = read_run(tmp_path)
    assert getattr(run, attribute) is None
    assert len(run.problems) == 1 and run.problems[0].startswith(f"{name} cannot be read: ")
    others = {"recipe", "model", "history", "evaluation", "points", "environment"} - {attribute, "recipe"}
    assert all(getattr(run, other) is not None for other in others)


def test_damaged_scores_leave_the_figures(tmp_path):
    write_run(tmp_path)
    (tmp_path / "metrics.npz").write_bytes(b"PK\3\4")
    run = read_run(tmp_path)
    assert run.evaluation.heads and run.evaluation.scored is None
    assert run.problems[0].startswith("metrics.npz cannot be read: ")


def test_an_evaluation_that_was_asked_for_has_to_be_readable(tmp_path):
    write_run(tmp_path)
    (tmp_path / "metrics-val.json").write_text("{}")
    with pytest.raises(ValueError, match=r"metrics-val\.json does not hold the figures of an evaluation"):
        read_run(tmp_path, "metrics-val.json")


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing is no folder"):
        read_run(tmp_path / "nothing")
    with pytest.raises(
        FileNotFoundError, match=r"not the folder of a run: it has none of config\.toml, .*kerasfast train"
    ):
        read_run(tmp_path)
