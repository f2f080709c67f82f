"""What `kerasfast predict` prints: tables of classes and when they are seen, answers, and a row a stretch of time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from kerasfast.cli.console import out
from kerasfast.data.words import clock

if TYPE_CHECKING:
    from kerasfast.explain.timelines.timeline import Timeline
    from kerasfast.models.classifier import VideoClassifier
    from kerasfast.serving.served_card import Card
    from kerasfast.train.operating.points import Answer, OperatingPoints

_STRETCHES = 4  # of a class in a table; JSON has all


def show(
    model: VideoClassifier | Card, title: str, scores: Mapping[str, Any], top: int, points: OperatingPoints | None
) -> None:
    """The best classes of each head, and the answers where there are operating points."""
    from kerasfast.decoding import decode

    table = Table("head", "class", "score", title=escape(title))
    best = decode(model, scores, top)  # pyright: ignore[reportArgumentType]  (a card has name and heads)
    for head, predictions in best.items():
        for rank, found in enumerate(predictions):
            last = rank == len(predictions) - 1
            table.add_row("" if rank else head, escape(found.label), f"{found.score:.3f}", end_section=last)
    out.print(table)
    if points is not None:
        out.print(answers_table(points.decide({head: scores[head] for head in points.heads})))


def show_timeline(timeline: Timeline, title: str, top: int) -> None:
    """The best classes of each head over all windows, and when they are seen."""
    table = Table("head", "class", "score", "seen", title=escape(title))
    for head, predictions in timeline.best(top).items():
        for rank, found in enumerate(predictions):
            seen = [one for one in timeline.segments if (one.head, one.index) == (head, found.index)]
            times = ", ".join(f"{clock(one.start_seconds)} - {clock(one.end_seconds)}" for one in seen[:_STRETCHES])
            more = f" and {len(seen) - _STRETCHES} more" if len(seen) > _STRETCHES else ""
            last = rank == len(predictions) - 1
            label = escape(found.label)
            table.add_row("" if rank else head, label, f"{found.score:.3f}", times + more, end_section=last)
    out.print(table)
    show_notes(timeline)


def show_notes(timeline: Timeline) -> None:
    """What belongs beside a result, and why it is not of the whole video."""
    for note in timeline.notes:
        out.print(note, style="dim", markup=False)
    if timeline.ended is not None:
        out.print(timeline.ended, style="yellow", markup=False)


def note_other_views(points: OperatingPoints | None, views: Mapping[str, int]) -> None:
    """Says so where the operating points were fitted to other views than these."""
    if points is not None and any(points.protocol[key] != number for key, number in views.items()):
        out.print(f"The operating points were fitted on {in_words(points.protocol)} a video.", style="yellow")


def in_words(protocol: Mapping[str, Any]) -> str:
    """10 clips x 3 crops."""
    return f"{protocol['clips']} clips x {protocol['crops']} crops"


def answers_table(answers: Mapping[str, Answer]) -> Table:
    """A row a head: its classes with calibrated probabilities, or "no action"."""
    table = Table("head", "answer")
    for head, answer in answers.items():
        table.add_row(head, escape(str(answer)))
    return table


def timeline_row(start: float, end: float, predictions: Mapping[str, Any]) -> Table:
    """One stretch of time: a line a head, the classes with their scores, as `kerasfast.decode` gives them."""
    row = Table.grid(padding=(0, 2, 0, 0), expand=True)
    row.add_column(width=len("1:00:00.0 - 1:00:00.0"))
    row.add_column(width=max(map(len, predictions)))
    row.add_column(ratio=1)
    for number, (head, found) in enumerate(predictions.items()):
        classes = ", ".join(f"{escape(one.label)} [bold]{one.score:.2f}[/bold]" for one in found)
        row.add_row("" if number else f"{clock(start)} - {clock(end)}", f"[dim]{head}[/dim]", classes)
    return row
