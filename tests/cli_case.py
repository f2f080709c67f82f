"""Run the command line in this process, as the console script would."""

import sys

import pytest

from kerasfast.cli.main import main


def run(monkeypatch, capfd, *arguments) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of `kerasfast ARGUMENTS`."""
    monkeypatch.setattr(sys, "argv", ["kerasfast", *map(str, arguments)])
    capfd.readouterr()
    with pytest.raises(SystemExit) as ended:
        main()
        sys.exit(0)
    captured = capfd.readouterr()
    return ended.value.code or 0, captured.out, captured.err


def refuses(monkeypatch, capfd, *arguments) -> str:
    """The one sentence with which a command refuses bad input; checks the exit code and that there is no traceback."""
    code, _, err = run(monkeypatch, capfd, *arguments)
    assert code == 2, err
    message = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(message) == 1, err
    assert "Traceback" not in err
    return message[0]
