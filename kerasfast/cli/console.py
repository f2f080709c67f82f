"""What every command prints with: tables, progress bars and the one sentence of an error."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

out = Console()
err = Console(stderr=True)


@contextmanager
def progress(title: str) -> Iterator[Callable[[int, int | None], None]]:
    """A progress bar on standard error.

    Args:
        title: What is being done.

    Yields:
        A function of the number of things done and of all things, None where nobody knows.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def example(*lines: str) -> str:
    """The closing lines of a command's help."""
    return "Example:  " + "   ".join(f"[bold]{line}[/bold]" for line in lines)


def sub_app(help_text: str) -> typer.Typer:
    """A group of commands; an error is reported by the program's entry, so typer shows no traceback."""
    return typer.Typer(
        help=help_text,
        no_args_is_help=True,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        add_completion=False,
    )


def start_tensorflow() -> None:
    """Import TensorFlow without its greetings, which it writes past Python and before its log level counts.

    Set the environment variable TF_CPP_MIN_LOG_LEVEL=0 to see them.
    """
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL") == "0":
        return
    saved = os.dup(2)
    with tempfile.TemporaryFile() as sink:
        os.dup2(sink.fileno(), 2)
        try:
            import tensorflow as tf

            tf.config.list_physical_devices()  # looks for GPUs, and says so
        finally:
            os.dup2(saved, 2)
            os.close(saved)
