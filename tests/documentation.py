"""Runs the blocks of code of README.md and docs for real, on what a test machine has.

Sybil finds the blocks. Those of Python run in the order of a page, in one namespace and one folder. Of the blocks of
bash, `kerasfast` runs through its entry, in this process; `pip` and `make` are checked against pyproject.toml and the
Makefile; the few programs of `SHELL` run as they stand. A block that cannot run here has a comment above it,
`<!-- skip: next "the reason" -->`. What stands in for data sets and published weights is in the tables below.
"""

import functools
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import typer
from sybil.document import Document
from sybil.parsers.markdown import CodeBlockParser, SkipParser

from kerasfast.cli.main import app, main

ROOT = Path(__file__).resolve().parent.parent
# What stands in a block -> what runs in its place. The networks are small, and so are crops and trainings.
STAND_INS = {
    "verify slowfast_r50_8x8\n": "verify fast_r50_8x8\n",
    '.k400", weights="SLOWFAST_8x8_R50.pyth"': '", weights="mine.pyth", heads={"action": 7}',
    "slowfast_r50_8x8.k400": "slowfast_nano.miniature",
    "slowfast_r50_8x8": "slowfast_nano",
    "train charades_slowfast_nano": "train charades.toml",  # by the line before this one
    "train miniature_slowfast_nano": "train miniature.toml",
    "(1, 32, 256, 256, 3)": "(1, 32, 64, 64, 3)",
    "batch_size=8, crop_size=224": "batch_size=2, crop_size=64",
    "crop_size=224": "crop_size=64",
    "short_side=(256, 340)": "short_side=(64, 67)",
    "short_side=256": "short_side=67",
    "frames=32, stride=2, fps=24": "frames=32, stride=1, fps=24",
    "epochs=5": "epochs=1",
    "epochs=10": "epochs=1",
}
# Options that a command gets where its line does not name them, so that little is enough.
ADDED = {
    "records build": {"--model": "slowfast_nano", "--short-side": "67", "--clips": "2", "--rounds": "1"},
    "records check": {"--batch-size": "2", "--seconds": "1"},
    "calibrate": {"--clips": "2", "--crops": "1"},
}
SHELL = ("awk",)
# Typer has a click of its own, or in earlier releases click's.
UsageError: type[Exception] = typer.BadParameter.__mro__[1]


@dataclass(frozen=True)
class Block:
    """A block of code: its page from the root of the repository, line, language and text, and why it does not run."""

    page: str
    line: int
    language: str
    text: str
    skipped: str | None

    @property
    def beginning(self):
        return self.text.strip()[:40]


def pages():
    """README.md and every page of docs, from the root of the repository."""
    return ["README.md", *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))]


def blocks(page, languages=("python", "bash")):
    """The blocks of a page, in order."""
    skip = SkipParser()
    parsers = [CodeBlockParser(language, lambda example: None) for language in languages]
    document = Document.parse(str(ROOT / page), *parsers, skip)
    found, reason = [], None
    for example in document.examples():
        if isinstance(example.parsed, tuple):  # a directive
            action, quoted = example.parsed
            if action != "next" or not quoted:
                raise ValueError(f'{page}:{example.line}: write <!-- skip: next "the reason" -->.')
            reason = quoted.strip('"')
            continue
        language = example.region.lexemes["arguments"]
        found.append(Block(page, example.line, language, str(example.parsed), reason))
        reason = None
    return found


def small(text):
    """The text with its stand-ins."""
    return replaced(text)[0]


def replaced(text):
    """The text with its stand-ins, and how often each was put in: a row sees what those above it have left."""
    counts = {}
    for written, stand_in in STAND_INS.items():
        counts[written] = text.count(written)
        text = text.replace(written, stand_in)
    return text, counts


def commands(text):
    """The commands of a block of bash, as lists of words; comments and ends of lines with a backslash are gone."""
    lines = text.replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def run_python(block, namespace):
    """Run a block so that a traceback names the page and the line."""
    source = "\n" * block.line + small(block.text)
    exec(compile(source, str(ROOT / block.page), "exec"), namespace)


def run_bash(block, addresses=()):
    """Run the commands of a block, one after the other.

    Args:
        block: The block.
        addresses: Pairs of an address in the text and the one that answers here.
    """
    text = small(block.text)
    for written, address in addresses:
        text = text.replace(written, address)
    for words in commands(text):
        program, *arguments = words
        if program == "kerasfast":
            code = kerasfast([*arguments, *added(arguments)])
        elif program in ("pip", "make"):
            {"pip": check_pip, "make": check_make}[program](arguments)
            code = 0
        elif program in SHELL:
            line = next(line for line in text.splitlines() if shlex.split(line, comments=True) == words)
            code = subprocess.run(["bash", "-c", line], check=False).returncode
        else:
            raise ValueError(f"{block.page}:{block.line}: no test runs {program!r} (SHELL in tests/documentation.py).")
        assert code == 0, f"{block.page}:{block.line}: exit code {code}: {' '.join(words)}"


def kerasfast(arguments):
    """Exit code of `kerasfast ARGUMENTS`, in this process."""
    before, sys.argv = sys.argv, ["kerasfast", *arguments]
    try:
        main()
    except SystemExit as ended:
        return ended.code or 0
    finally:
        sys.argv = before
    return 0


def added(arguments):
    """What a command gets beside its line."""
    for name, options in ADDED.items():
        words = name.split()
        if arguments[: len(words)] == words:
            return [word for option in options.items() if option[0] not in arguments for word in option]
    return []


def check_kerasfast(arguments):
    """Parse a line of `kerasfast` without running it: the command, its arguments and options have to exist.

    Raises:
        UsageError: What is wrong with it.
    """
    command, arguments = command_of(arguments)
    command.make_context(command.name, list(arguments)).close()


def command_of(arguments):
    """The command that a line of `kerasfast` is about, and its own arguments."""
    command = _commands()
    while hasattr(command, "commands"):
        if not arguments or arguments[0] not in command.commands:
            raise UsageError(f"there is no command {' '.join(arguments[:1])!r}")
        command, arguments = command.commands[arguments[0]], arguments[1:]
    return command, arguments


@functools.cache
def _commands():
    return typer.main.get_command(app)


def check_pip(arguments):
    """`pip install` names this package or a requirement, and extras that there are."""
    assert arguments[0] == "install"
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    for extra in re.findall(r"\[(\w+)\]", " ".join(arguments)):
        assert re.search(rf"(?m)^{extra} = \[", project), f"there is no extra {extra!r}"


def check_make(arguments):
    """`make` is asked for targets that there are."""
    targets = re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"))
    assert [word for word in arguments if "=" not in word and word not in targets] == []
