"""`kerasfast predict`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from kerasfast.cli.console import example, out, progress, start_tensorflow

if TYPE_CHECKING:
    from kerasfast.models.classifier import VideoClassifier
    from kerasfast.serving.served_card import Card
    from kerasfast.train.operating.points import Answer, OperatingPoints

EXAMPLE = example(
    "kerasfast predict kitchen.mp4 --model slowfast_nano.miniature",
    "kerasfast predict day.mp4 --model slowfast_nano.miniature --every 2",
    "kerasfast predict kitchen.mp4 --host gpu1:8501 --model slowfast --card serving/slowfast",
)


def predict(
    video: Annotated[str, typer.Argument(help="A video file; with --every a pipe, an address or a camera too.")],
    model: Annotated[str, typer.Option(help="A name of the zoo, the folder of a run, or with --host its name there.")],
    top: Annotated[int, typer.Option(min=1, help="Classes to show of each head.")] = 5,
    clips: Annotated[
        int | None, typer.Option(min=1, help="Clips of the video.", show_default="10, or as calibrated")
    ] = None,
    crops: Annotated[
        int | None, typer.Option(help="Crops of a clip, 3 or 1.", show_default="3, or as calibrated; with --every 1")
    ] = None,
    every: Annotated[
        float | None, typer.Option(help="Score one clip after the other, starting this many seconds apart.")
    ] = None,
    live: Annotated[
        bool | None,
        typer.Option("--live/--all", help="With --every: skip what is too old, or score all.", show_default="cameras"),
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="Ask TF Serving: HOST:8501 over REST, other ports over gRPC (kerasfast[client]).")
    ] = None,
    card: Annotated[
        Path | None, typer.Option(help="With --host: the exported folder, or a copy of its assets.extra.")
    ] = None,
) -> None:
    """Say what happens in a video, or when."""
    if every is not None and clips is not None:
        raise ValueError("--clips spreads clips over the whole video, --every starts one after the other. Give one.")
    if every is None and live is not None:
        raise ValueError("--live and --all go with --every SECONDS. Give it, or leave them out.")
    if (host is None) != (card is None) or (host is not None and every is not None):
        raise ValueError("--host asks a server about a whole video and goes with --card FOLDER, without --every.")
    if host is not None:
        _served(host, model, card, video, top, clips, crops)
        return
    start_tensorflow()
    from kerasfast.train.operating.points import VIEW_KEYS, OperatingPoints
    from kerasfast.train.run import load_model

    loaded = load_model(model)
    points = OperatingPoints.of_run(model, loaded)
    if every is None:
        # Answers are asked for by the scores that the operating points were fitted to.
        fitted = points.protocol if points else {}
        views = {"clips": 10, "crops": 3} | {key: fitted[key] for key in VIEW_KEYS if key in fitted}
        asked = {"clips": clips, "crops": crops}
        _whole(loaded, video, top, points, views | {key: n for key, n in asked.items() if n is not None})
    else:
        if points is not None:
            out.print(
                f"Scores only: the operating points are of whole videos ({_views(points.protocol)}).", style="dim"
            )
        _timeline(loaded, video, top, every, 1 if crops is None else crops, live)


def _whole(
    model: VideoClassifier, video: str, top: int, points: OperatingPoints | None, views: Mapping[str, Any]
) -> None:
    from kerasfast.train.predict import predict_video

    with progress("Clips") as report:
        scores = predict_video(model, video, **views, progress=report)
    _show(model, f"{Path(video).name}: {_views(views)}", scores, top, points)
    _note_other_views(points, {key: views[key] for key in ("clips", "crops")})


def _served(
    host: str, model: str, card: Path | None, video: str, top: int, clips: int | None, crops: int | None
) -> None:
    from kerasfast.serving.client import Client

    try:
        client = Client(host, model, card=card)
    except ImportError as error:
        raise ValueError(str(error)) from error
    with client, progress("Views") as report:
        scores = client.scores(video, clips=clips, crops=crops, progress=report)
    points = client.card.points
    _show(client.card, f"{Path(video).name}, by {model} on {host}", scores, top, points)
    asked = {key: value for key, value in (("clips", clips), ("crops", crops)) if value is not None}
    _note_other_views(points, asked)


def _show(
    model: VideoClassifier | Card, title: str, scores: dict[str, Any], top: int, points: OperatingPoints | None
) -> None:
    """The best classes of each head, and the answers where there are operating points."""
    from kerasfast.decoding import decode

    table = Table("head", "class", "score", title=escape(title))
    best = decode(model, scores, top)  # pyright: ignore[reportArgumentType]  (a card has name and heads)
    for head, predictions in best.items():
        for rank, found in enumerate(predictions):
            last = rank == len(predictions) - 1
            table.add_row("" if rank else head, found.label, f"{found.score:.3f}", end_section=last)
    out.print(table)
    if points is not None:
        out.print(answers_table(points.decide({head: scores[head] for head in points.heads})))


def _note_other_views(points: OperatingPoints | None, views: Mapping[str, int]) -> None:
    if points is not None and any(points.protocol[key] != number for key, number in views.items()):
        out.print(f"The operating points were fitted on {_views(points.protocol)} a video.", style="yellow")


def answers_table(answers: Mapping[str, Answer]) -> Table:
    """A row a head: its classes with calibrated probabilities, or "no action"."""
    table = Table("head", "answer")
    for head, answer in answers.items():
        table.add_row(head, escape(str(answer)))
    return table


def _views(protocol: Mapping[str, Any]) -> str:
    return f"{protocol['clips']} clips x {protocol['crops']} crops"


def _timeline(model: VideoClassifier, video: str, top: int, every: float, crops: int, live: bool | None) -> None:
    """Prints each stretch as soon as it is scored, for a source may have no end."""
    from kerasfast.decoding import decode
    from kerasfast.train.predict import predict_timeline

    number, damaged = 0, 0
    for timed in predict_timeline(model, video, every=every, crops=crops, live=live):
        if dropped := timed.window.index - number:
            out.print(f"... {dropped} windows skipped, to keep up", style="dim")
        if timed.window.damaged > damaged:
            out.print(f"... {timed.window.damaged - damaged} damaged frames left out", style="dim")
        number, damaged = timed.window.index + 1, timed.window.damaged
        out.print(timeline_row(timed.start_seconds, timed.end_seconds, decode(model, timed.scores, top)))


def timeline_row(start: float, end: float, predictions: Mapping[str, Any]) -> Table:
    """One stretch of time: a line a head, the classes with their scores, as `kerasfast.decode` gives them."""
    row = Table.grid(padding=(0, 2, 0, 0), expand=True)
    row.add_column(width=len("0:00:00.0 - 0:00:00.0"))
    row.add_column(width=max(map(len, predictions)))
    row.add_column(ratio=1)
    for number, (head, found) in enumerate(predictions.items()):
        classes = ", ".join(f"{escape(one.label)} [bold]{one.score:.2f}[/bold]" for one in found)
        row.add_row("" if number else f"{_clock(start)} - {_clock(end)}", f"[dim]{head}[/dim]", classes)
    return row


def _clock(seconds: float) -> str:
    """0:01:05.5 of 65.5 seconds."""
    tenths = round(seconds * 10)
    return f"{tenths // 36000}:{tenths // 600 % 60:02d}:{tenths // 10 % 60:02d}.{tenths % 10}"
