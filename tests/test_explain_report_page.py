"""The report on a run: a real one, one with names that attack, one that lacks everything; in a real browser."""

import json
import re

import numpy as np
import pytest
import train_records
from page_case import assert_self_contained, assert_valid_html, open_page
from report_case import (
    ACTIONS,
    HOSTILE_LINE,
    scored_videos,
    single_label_videos,
    write_evaluation,
    write_points,
    write_run,
    write_training,
)

from kerasfast.data.errors import DataError
from kerasfast.explain.pages.template import plain_text
from kerasfast.explain.report.page import duration, exact, write_report
from kerasfast.train.evaluate import evaluate
from kerasfast.train.fit import train
from kerasfast.train.operating.calibrate import fit_operating_points
from kerasfast.train.recipes.recipe import Recipe
from kerasfast.train.recipes.sections import Model
from kerasfast.train.recipes.training import Schedule, Training
from kerasfast.train.scoring.scored_videos import ScoredVideos

RECIPE = Recipe(
    Model("slow_nano", dict(train_records.HEADS)),
    Schedule(0.01, "constant"),
    Training(epochs=2, batch_size=4),
    name="tiny",
)


@pytest.fixture(scope="module")
def made_up(tmp_path_factory):
    """A run with everything but records, whose names attack: its folder and the figures of its evaluation."""
    folder = tmp_path_factory.mktemp("made") / "made <up>"
    folder.mkdir()
    metrics = write_run(folder)
    return write_report(folder).path, metrics


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """A run that was trained, scored and calibrated on records of real videos: its report and its records."""
    folder = tmp_path_factory.mktemp("real")
    for seed, (split, videos) in enumerate({"train": 8, "test": 6, "val": 6}.items()):
        records = train_records.make(folder, split, videos, seed=seed, clips=2)
    trained = train(RECIPE, records, folder / "run", verbose=0)
    views = {"clips": 2, "crops": 1}
    evaluate(trained.model, records, **views, out=trained.folder / "metrics.json")
    fit_operating_points(trained.model, records, **views).save(trained.folder)
    return write_report(trained.folder, records=records, mistakes=3), trained.folder, records


def cells(page, selector):
    """Texts of the cells of a table, by row."""
    return page.evaluate(
        "selector => [...document.querySelectorAll(selector + ' tr')].map(row => "
        "[...row.cells].map(cell => cell.textContent.trim()))",
        selector,
    )


def test_a_real_run_has_its_report(real, browser):
    written, folder, _ = real
    assert (written.path, written.missing, written.problems) == (folder / "report.html", {}, ())
    assert written.bytes == written.path.stat().st_size
    assert_valid_html(written.path)
    assert_self_contained(written.path)
    metrics = json.loads((folder / "metrics.json").read_text("utf-8"))
    with open_page(browser, written.path) as opened:
        opened.assert_quiet()
        rows = {row[0]: row[1:] for row in cells(opened.page, "#result-table")}
        for head, values in metrics["heads"].items():
            between = f"{values['interval']['low']:.3f} – {values['interval']['high']:.3f}"
            figures = [f"{values['map']:.3f}", between, f"{values['chance']:.3f}"]
            assert rows[head][:3] == figures and rows[head][4] == f"{values['shuffled']:.3f}"
            assert rows[head][5:] == [f"{values[mean]['f1']:.3f}" for mean in ("macro", "micro")]
        assert rows["overall"][0] == f"{metrics['overall_map']:.3f}"
        verbs, _, actions = (cells(opened.page, f"section#classes .side:nth-of-type({i}) table") for i in (1, 2, 3))
        assert {row[0]: row[1] for row in verbs[1:]} == {
            name: f"{ap:.3f}" for name, ap in metrics["heads"]["verb"]["ap"].items()
        }
        assert sorted(int(row[4]) for row in actions[1:]) == [2, 2, 2] and {row[5] for row in actions[1:]} == {"33.3 %"}
        assert opened.page.locator("#mistakes picture img").count() == opened.page.locator("#mistakes li").count() > 3
        assert opened.page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
        splits = {row[0]: row[1] for row in cells(opened.page, "section#data table")}
        assert splits == {"Split": "Videos", "train": "8", "test": "6", "val": "6"}
        environment = dict(cells(opened.page, "#environment"))
        assert environment["keras"] == metrics["versions"]["keras"] and "processor" in environment
        assert "6 steps" not in environment["training"] and "4 steps" in environment["training"]
        recipe = (folder / "config.toml").read_text("utf-8")
        assert opened.page.locator("pre").text_content() == recipe


def test_records_that_were_not_scored_are_refused(real, tmp_path):
    _, folder, _ = real
    other = train_records.make(tmp_path, "test", 3, clips=2)
    with pytest.raises(ValueError, match="holds other videos than those that were scored"):
        write_report(folder, tmp_path / "report.html", records=other)
    with pytest.raises(DataError, match=r"holds no manifest-\*\.json"):
        write_report(folder, tmp_path / "report.html", records=tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_names_that_attack_are_inert(made_up, browser):
    path, _ = made_up
    assert_valid_html(path)
    assert_self_contained(path)
    with open_page(browser, path) as opened:
        opened.assert_quiet()
        assert opened.page.locator("script").count() == 1
        text = opened.page.inner_text("body")
        for name in ACTIONS:
            assert plain_text(name) in text
        assert plain_text(HOSTILE_LINE.partition("\u202e")[0]) in text and "\\u202e done" in text
        assert "<em>Processor</em>" in text and "<i>video" in text
        assert opened.page.locator("em, main i, img[onerror]").count() == 0
        assert opened.page.inner_text("h1") == "Run made <up>"


def test_what_needs_records_says_so(made_up, browser):
    path, _ = made_up
    with open_page(browser, path) as opened:
        command = opened.page.inner_text("#no-pictures code")
        assert command.startswith("kerasfast report ") and command.endswith("--records '/data/my records' --force")
        assert opened.page.locator("#mistakes li").count() == 2 * 6 * 3 and opened.page.locator("#motion").count() == 0


@pytest.mark.parametrize("dark", [False, True])
def test_a_narrow_window_scrolls_only_down(made_up, browser, dark):
    path, _ = made_up
    with open_page(browser, path, width=400, dark=dark) as opened:
        opened.assert_fits()
        opened.assert_quiet()


def test_tables_sort_by_the_keyboard(made_up, browser):
    path, _ = made_up
    with open_page(browser, path) as opened:
        page = opened.page
        table = "section#classes .side:nth-of-type(3) table"

        def column(number):
            return [row[number] for row in cells(page, table)[1:]]

        def state():
            return page.evaluate(
                f"[...document.querySelectorAll('{table} th')].map(th => th.getAttribute('aria-sort'))"
            )

        first = column(1)
        assert state() == [None, "descending", None, None, None, None]
        assert first == [*sorted(first[:-1], reverse=True), ""] and column(0)[-1] == "never there"
        page.focus(f"{table} th:nth-child(2) button")
        page.keyboard.press("Enter")
        assert state()[1] == "ascending" and column(1) == [*sorted(first[:-1]), ""]
        for _ in range(3):
            page.keyboard.press("Tab")
        page.keyboard.press("Space")
        videos = [int(count) for count in column(4)]
        assert state() == [None, None, None, None, "descending", None] and videos == sorted(videos, reverse=True)
        page.keyboard.press("Shift+Tab")
        assert page.evaluate("document.activeElement.textContent") == "Ratio"
        page.focus(f"{table} th:nth-child(1) button")
        page.keyboard.press("Enter")
        assert state()[0] == "ascending" and sorted(column(0)) == sorted(plain_text(name) for name in ACTIONS)
        assert column(0).index("never there") < column(0).index("plain action")
        opened.assert_quiet()


def test_pictures_stop_and_stand_still_where_that_is_asked_for(real, browser):
    path = real[0].path
    shown = "document.querySelector('#mistakes img').currentSrc === document.querySelector('source.still').srcset"
    with open_page(browser, path) as opened:
        assert not opened.page.evaluate(shown)
        opened.page.focus("#motion")
        opened.page.keyboard.press("Enter")
        opened.wait_for(shown)
        assert opened.page.inner_text("#motion") == "Move the pictures"
    with open_page(browser, path, reduced_motion="reduce") as opened:
        assert opened.page.evaluate(shown)
        opened.page.click("#motion")
        opened.wait_for(f"!({shown})")


def test_a_run_that_was_only_trained_says_what_to_run(tmp_path, browser):
    write_training(tmp_path)
    written = write_report(tmp_path)
    assert set(written.missing) == {"result", "reliability", "data"}
    assert written.missing["result"].command == f"kerasfast evaluate {tmp_path} --records '/data/my records'"
    assert_valid_html(written.path)
    with open_page(browser, written.path, width=400) as opened:
        opened.assert_quiet()
        opened.assert_fits()
        for section in ("result", "classes", "curves", "confusion", "mistakes"):
            assert opened.page.inner_text(f"#{section} .todo code") == written.missing["result"].command
        assert opened.page.locator("#training figure").count() == 3


def test_a_run_with_figures_alone(tmp_path):
    """Such as one that was scored before scores were kept."""
    write_evaluation(tmp_path, scored_videos())
    (tmp_path / "metrics.npz").unlink()
    written = write_report(tmp_path)
    assert set(written.missing) == {"training", "scores", "reliability", "data"}
    assert written.missing["training"].command == f"kerasfast train RECIPE --records RECORDS --out {tmp_path}"
    assert_valid_html(written.path)
    text = written.path.read_text("utf-8")
    assert text.count("need the scores of every video") == 4 and "into environment.json" in text


def test_a_training_that_was_stopped_is_gone_on_with(tmp_path):
    write_training(tmp_path)
    (tmp_path / "history.csv").unlink()
    (tmp_path / "checkpoints").mkdir()
    missing = write_report(tmp_path).missing["training"]
    command = f"kerasfast train {tmp_path}/config.toml --records '/data/my records' --out {tmp_path}"
    assert (missing.what, missing.command) == ("The training has not ended.", command)


def test_scores_of_another_evaluation_are_not_used(tmp_path):
    write_evaluation(tmp_path, scored_videos())
    scored_videos(seed=1).save(tmp_path / "metrics.npz")
    written = write_report(tmp_path)
    assert "scores" in written.missing
    assert re.match(r"metrics\.npz is not what the figures were made of: .* give an mAP of", written.problems[0])
    assert "Not everything could be used." in written.path.read_text("utf-8")


def test_a_single_label_run(tmp_path, browser):
    scored = single_label_videos()
    metrics = write_evaluation(tmp_path, scored, softmax=True)
    write_evaluation(tmp_path, scored, "metrics-quick", softmax=True, name="quick")
    write_points(tmp_path, scored)
    written = write_report(tmp_path, tmp_path / "new" / "folder.html")
    assert_valid_html(written.path)
    with open_page(browser, written.path) as opened:
        opened.assert_quiet()
        row = dict(zip(*cells(opened.page, "#result-table"), strict=True))
        head = metrics["heads"]["action"]
        assert (row["mAP"], row["top-1"]) == (f"{head['map']:.3f}", f"{head['top1']:.3f}")
        assert "metrics-quick.json" in opened.page.inner_text("#result")
        assert opened.page.locator("#relations").count() == 0
        assert "k highest" not in opened.page.inner_text("#confusion")


def test_a_report_is_not_replaced_by_accident(tmp_path):
    write_training(tmp_path)
    path = write_report(tmp_path).path
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match=r"report\.html is there already.*--force"):
        write_report(tmp_path)
    assert path.read_bytes() == before
    assert write_report(tmp_path, force=True).path == path


@pytest.mark.slow
def test_a_run_of_the_size_of_charades_stays_small(tmp_path):
    random = np.random.default_rng(0)
    sizes = {"verb": 33, "object": 38, "action": 157}
    labels = {head: (random.random((600, size)) < 0.05).astype(np.uint8) for head, size in sizes.items()}
    scores = {head: random.random(values.shape) * 0.5 + 0.3 * values for head, values in labels.items()}
    names = {head: tuple(f"{head} number {i} of many" for i in range(size)) for head, size in sizes.items()}
    implied = {part: tuple(int(c) for c in random.integers(0, sizes[part], 157)) for part in ("verb", "object")}
    write_evaluation(tmp_path, ScoredVideos(tuple(map(str, range(600))), names, scores, labels, implied))
    written = write_report(tmp_path)
    assert written.bytes < 1.5 * 2**20  # the thumbnails take as much again at most
    assert_self_contained(written.path)


def test_words():
    assert [duration(seconds) for seconds in (0.4, 59.6, 3600, 7500)] == ["0 s", "1 min 0 s", "1 h 0 min", "2 h 5 min"]
    assert exact("a <b>\r\n\t'c' \u202e\x00") == "a &lt;b&gt;\n\t&#39;c&#39; \\u202e\\u0000"
