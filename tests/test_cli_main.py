"""Entry point: help, exit codes, tracebacks on request."""

import pytest
import typer
from cli_case import refuses, run

from kerasfast.cli.main import app, main


def commands():
    def walk(group, path):
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                yield from walk(command, (*path, name))
            else:
                yield " ".join((*path, name)), command

    return dict(walk(typer.main.get_command(app), ()))


def test_the_commands_of_the_design_are_there():
    assert set(commands()) == {
        "demo",
        "list",
        "info",
        "port",
        "verify",
        "predict",
        "explain",
        "embed",
        "records build",
        "records check",
        "records miniature",
        "train",
        "evaluate",
        "calibrate",
        "report",
        "export",
        "bench",
    }


@pytest.mark.parametrize("name", commands())
def test_every_help_shows_an_example(name, monkeypatch, capfd):
    code, out, _ = run(monkeypatch, capfd, *name.split(), "--help")
    assert code == 0
    assert f"Example: kerasfast {name}" in " ".join(out.split())


def test_unknown_options_end_with_code_2(monkeypatch, capfd):
    code, _, err = run(monkeypatch, capfd, "list", "--nothing")
    assert code == 2
    assert "--nothing" in err


def test_tracebacks_on_request(monkeypatch):
    monkeypatch.setattr("sys.argv", ["kerasfast", "info", "nothing"])
    monkeypatch.setenv("KERASFAST_TRACEBACK", "1")
    with pytest.raises(ValueError, match="no model 'nothing'"):
        main()


def test_an_unreadable_path_is_one_sentence(monkeypatch, capfd, tmp_path):
    file = tmp_path / "file"
    file.write_text("x")
    message = refuses(monkeypatch, capfd, "records", "miniature", file / "below")
    assert str(file) in message
