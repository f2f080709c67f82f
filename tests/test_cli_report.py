"""`kerasfast report`."""

from cli_case import refuses, run
from report_case import write_run, write_training


def test_a_report_is_written_and_what_it_lacks_is_said(monkeypatch, capfd, tmp_path):
    write_training(tmp_path)
    (tmp_path / "model.json").write_text("{")
    code, out, err = run(monkeypatch, capfd, "report", tmp_path)
    assert code == 0, err
    assert "model.json cannot be read" in out
    assert f"No video has been scored yet. kerasfast evaluate {tmp_path} --records '/data/my records'" in out
    assert f"Written to {tmp_path / 'report.html'} (0.1 MB)." in out
    assert "Run made" not in (tmp_path / "report.html").read_text("utf-8")
    assert "report.html is there already" in refuses(monkeypatch, capfd, "report", tmp_path)
    code, _, err = run(monkeypatch, capfd, "report", tmp_path, "--force")
    assert code == 0, err


def test_options(monkeypatch, capfd, tmp_path):
    write_run(tmp_path / "run")
    out = tmp_path / "page.html"
    code, _, err = run(monkeypatch, capfd, "report", tmp_path / "run", "--out", out, "--mistakes", "1")
    assert code == 0, err
    assert out.read_text("utf-8").count("<li>") < 30 and not (tmp_path / "run" / "report.html").exists()
    message = refuses(monkeypatch, capfd, "report", tmp_path / "run", "--metrics", "metrics-x.json")
    assert "metrics-x.json is no file. Give an evaluation of the run. It has: metrics.json" in message
    assert "no folder" in refuses(monkeypatch, capfd, "report", tmp_path / "nothing")
    message = refuses(
        monkeypatch, capfd, "report", tmp_path / "run", "--records", tmp_path, "--out", tmp_path / "b.html"
    )
    assert "holds no manifest-*.json" in message
