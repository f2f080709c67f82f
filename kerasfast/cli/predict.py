"""`kerasfast predict`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from kerasfast.cli.console import err, example
from kerasfast.explain import DEFAULT_MODEL

EXAMPLE = example(
    "kerasfast predict kitchen.mp4",
    "kerasfast predict kitchen.mp4 --timeline --json --out seen",
    "kerasfast predict day.mp4 --every 2",
    "kerasfast predict videos/ 'more/*.mp4' --json --srt --out seen",
    "kerasfast predict kitchen.mp4 --host gpu1:8501 --model slowfast --card serving/slowfast",
)


def predict(
    videos: Annotated[
        list[str],
        typer.Argument(
            metavar="VIDEO...",
            help="Files, folders (videos at any depth), patterns, addresses of files or streams, pipes, or a camera by "
            "its number. A bad one does not end the others; the exit code is 1 then, and 130 after Ctrl-C.",
        ),
    ],
    model: Annotated[
        str, typer.Option(help="A name of the zoo, the folder of a run, or with --host its name there.")
    ] = DEFAULT_MODEL,
    top: Annotated[int, typer.Option(min=1, help="Classes to show of each head.")] = 5,
    views: Annotated[
        str | None,
        typer.Option(
            metavar="CLIPSxCROPS",
            help="One answer about the whole video, from so many clips and crops (3 or 1), in place of windows.",
            show_default="windows; with --host 10x3, or as calibrated",
        ),
    ] = None,
    every: Annotated[
        float | None,
        typer.Option(
            help="Start windows this many seconds apart, and print a row for each as it comes.",
            show_default="side by side",
        ),
    ] = None,
    crops: Annotated[int | None, typer.Option(help="Crops of a window, 1 or 3.", show_default="1")] = None,
    live: Annotated[
        bool | None,
        typer.Option("--live/--all", help="Of windows, skip what is too old, or score all.", show_default="cameras"),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            help="Score from which a class counts as seen.", show_default="as calibrated, or 0.5 of a sigmoid head"
        ),
    ] = None,
    timeline: Annotated[bool, typer.Option("--timeline", help="Write a page with the player and all lanes.")] = False,
    overlay: Annotated[bool, typer.Option("--overlay", help="Write the video with labels and bars drawn.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Write segments and best classes as JSON.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Write segments as CSV.")] = False,
    srt: Annotated[bool, typer.Option("--srt", help="Write segments as subtitles.")] = False,
    scores: Annotated[bool, typer.Option("--scores", help="With --json: the scores of every window too.")] = False,
    truth: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Mark annotations: a CSV of Charades with its class files beside it, or a list path,label,start,end.",
        ),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Folder to write to.", show_default="text to standard output"),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over files that exist.")] = False,
    host: Annotated[
        str | None,
        typer.Option(help="Ask TF Serving: HOST:8501 over REST, other ports over gRPC (kerasfast\\[client])."),
    ] = None,
    card: Annotated[
        Path | None, typer.Option(help="With --host: the exported folder, or a copy of its assets.extra.")
    ] = None,
) -> None:
    """Say what happens in videos, and when: as tables, or written as a page, a video, JSON, CSV or subtitles."""
    asked = {"json": json, "csv": csv, "srt": srt, "timeline": timeline, "overlay": overlay}
    forms = [form for form, wanted in asked.items() if wanted]
    spread = None if views is None else parse_views(views)
    rules = {
        "--views spreads clips over the whole video, --every starts one after the other. Give one.": (
            spread is not None and every is not None
        ),
        "--timeline and --overlay show windows, and --views gives one answer about the whole video. Leave one out.": (
            spread is not None and (timeline or overlay)
        ),
        "--crops are those of a window; of the whole video say --views 10x1.": (
            crops is not None and (spread is not None or host is not None)
        ),
        "--live and --all are about windows. Leave them out with --views and --host.": (
            live is not None and (spread is not None or host is not None)
        ),
        "--threshold says what is seen in windows, or written. Leave it out with the scores of --every and --views.": (
            threshold is not None and not forms and (every is not None or spread is not None or host is not None)
        ),
        "--out and --force go with what is written: --json, --csv, --srt, --timeline or --overlay.": (
            (folder is not None or force) and not forms
        ),
        "--truth marks annotations. Give it with --json, --timeline or --overlay.": (
            truth is not None and not (json or timeline or overlay)
        ),
        "--scores goes with --json.": scores and not json,
        "--host asks a server about a whole video and goes with --card FOLDER, without --every and what is written.": (
            (host is None) != (card is None) or (host is not None and (every is not None or bool(forms)))
        ),
    }
    for rule, broken in rules.items():
        if broken:
            raise ValueError(rule)

    from kerasfast.cli import predict_run
    from kerasfast.cli.sources import find
    from kerasfast.explain.sources import is_file, title

    sources, failures = find(videos)
    if not sources:
        raise ValueError(" ".join(failures))
    if threshold is not None and not forms and (streams := [source for source in sources if not is_file(source)]):
        raise ValueError(
            f"--threshold says what is seen; of what is no file rows of scores come. Received: {title(streams[0])}."
        )
    if host is not None:
        work = predict_run.served(host, model, card, top, spread)
    else:
        from kerasfast.cli.predict_forms import Outputs
        from kerasfast.explain.timelines.truth import Truth

        outputs = Outputs(forms, folder, force, top, scores, None if truth is None else Truth(truth))
        paths = dict(zip(sources, outputs.paths(sources), strict=True))  # before a model is loaded
        windows = {"every": every, "crops": 1 if crops is None else crops, "live": live}
        work = predict_run.local(model, top, spread, windows, threshold, outputs, paths)
    _each(sources, failures, work)


def parse_views(text: str) -> tuple[int, int]:
    """(10, 3) of `10x3`.

    Raises:
        ValueError: Something else.
    """
    match = re.fullmatch(r"([1-9]\d{0,3})x([13])", text.strip().lower())
    if match is None:
        raise ValueError(f"--views is CLIPSxCROPS with 1 or 3 crops, such as 10x3 or 4x1. Received: {text!r}.")
    return int(match[1]), int(match[2])


def _each(sources: Sequence, failures: list[str], work: Callable) -> None:
    """Does the work for every video; what fails is said at the end, or at once where there is one video."""
    from kerasfast.cli.sources import say_failures
    from kerasfast.data.errors import DataError

    alone = len(sources) + len(failures) == 1
    done = 0
    interrupted = False
    try:
        for source in sources:
            try:
                work(source, alone)
            except (DataError, OSError) as error:  # an OSError: of its files, which another video does not have
                if alone or isinstance(error, BrokenPipeError):  # nobody reads standard output any more
                    raise
                failures.append(str(error))
            else:
                done += 1
    except KeyboardInterrupt:
        interrupted = True
    say_failures(failures, done)
    if interrupted:
        err.print(f"Interrupted. {done} of {len(sources)} videos are done.", style="yellow")
        raise typer.Exit(130)
    if failures:
        raise typer.Exit(1)
