"""What `kerasfast predict` does with each video: tables, rows as they come, or files; here or on a server."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from kerasfast.cli.console import err, out, progress, start_tensorflow
from kerasfast.cli.predict_forms import Outputs
from kerasfast.cli.predict_tables import in_words, note_other_views, show, show_notes, show_timeline, timeline_row
from kerasfast.data.errors import DataError
from kerasfast.explain import DEFAULT_MODEL
from kerasfast.explain.sources import Source, is_file, shown, title

Work = Callable[[Source, bool], None]


def served(host: str, model: str, card: Path | None, top: int, views: tuple[int, int] | None) -> Work:
    """Ask a server about each video."""
    clips, crops = views or (None, None)

    def work(source: Source, alone: bool) -> None:
        from kerasfast.serving.client import Client

        try:
            client = Client(host, model, card=card)
        except ImportError as error:
            raise ValueError(str(error)) from error
        if not isinstance(source, Path):
            raise DataError(f"{shown(source)}: is no file. A server is asked about files.")
        with client, progress("Views") as report:
            scores = client.scores(source, clips=clips, crops=crops, progress=report)
        points = client.card.points
        show(client.card, f"{title(source)}, by {model} on {host}", scores, top, points)
        asked = {} if views is None else {"clips": views[0], "crops": views[1]}
        note_other_views(points, asked)

    return work


def local(
    model: str,
    top: int,
    views: tuple[int, int] | None,
    windows: Mapping[str, Any],
    threshold: float | None,
    outputs: Outputs,
    paths: Mapping[Source, dict[str, Path]],
) -> Work:
    """Load a model, and look at each video.

    Args:
        model: A name of the zoo, or the folder of a run.
        top: Classes of each head.
        views: Clips and crops of a whole video, if they are given.
        windows: `every`, `crops` and `live` of windows.
        threshold: As in `kerasfast.predict`.
        outputs: What is written.
        paths: The files of each video.
    """
    start_tensorflow()
    from kerasfast.explain.predict import opened
    from kerasfast.explain.timelines.watch import Watch
    from kerasfast.explain.timelines.whole import is_whole, predict_whole

    network, points = opened(model)
    if model == DEFAULT_MODEL:
        err.print(f"{model} knows generated videos alone; --model names a network for real ones.", style="dim")
    spread = is_whole(network, views, windows["every"])

    def work(source: Source, alone: bool) -> None:
        if spread:
            with progress("Clips") as report:
                found = predict_whole(source, network, views, points=points, threshold=threshold, progress=report)
            if outputs.forms:
                _write(found, source, outputs, paths[source])
            else:
                show(network, title(source), {head: rows[0] for head, rows in found.scores.items()}, top, points)
                show_notes(found)
        elif outputs.forms:
            watch = Watch(source, network, points=points, threshold=threshold, **windows)
            _look(watch, source, partial(_write, source=source, outputs=outputs, paths=paths[source]))
        elif windows["every"] is None and is_file(source):
            watch = Watch(source, network, points=points, threshold=threshold, **windows)
            _look(watch, source, lambda found, **_: show_timeline(found, title(source), top))
        else:
            if not alone:
                out.print(title(source), style="bold", markup=False)
            if points is not None:
                whole = in_words(points.protocol)
                out.print(f"Scores only: the operating points are of whole videos ({whole}).", style="dim")
            _rows(Watch(source, network, keep=False, **windows), network, top)

    return work


def _rows(watch: Any, model: Any, top: int) -> None:
    """Prints each stretch as soon as it is scored, for a source may have no end."""
    from kerasfast.decoding import decode

    skipped, damaged = 0, 0
    try:
        for window in watch:
            if dropped := watch.skipped - skipped:
                out.print(f"... windows skipped, to keep up: {dropped}", style="dim")
            if watch.damaged > damaged:
                out.print(f"... damaged frames left out: {watch.damaged - damaged}", style="dim")
            skipped, damaged = watch.skipped, watch.damaged
            out.print(timeline_row(window.start_seconds, window.end_seconds, decode(model, window.scores, top)))
    finally:
        if watch.ended is not None:
            out.print(watch.ended, style="yellow", markup=False)


def _look(watch: Any, source: Source, use: Callable[..., None]) -> None:
    """Looks at a video window by window and uses the timeline, also where Ctrl-C ends it."""
    total = _announced_seconds(source)
    try:
        with progress("Seconds") as report:
            for window in watch:
                report(round(window.end_seconds), total)
    except KeyboardInterrupt:
        watch.close()
        if not watch.windows:
            err.print(f"{title(source)}: interrupted before its first window; nothing was seen.", markup=False)
            raise
        watch.interrupt()
        use(watch.timeline(), whole=False)
        raise
    use(watch.timeline(), whole=True)


def _write(timeline: Any, source: Source, outputs: Outputs, paths: dict[str, Path], whole: bool = True) -> None:
    """Writes what is asked for; an overlay, which takes longest, of a whole timeline alone."""
    if outputs.truth is not None:
        timeline = outputs.truth.mark(timeline, source)
    left = {form: path for form, path in paths.items() if whole or form != "overlay"}
    drawn = progress("Frames drawn") if "overlay" in left else contextlib.nullcontext()
    try:
        with drawn as report:
            for path in outputs.write(timeline, source, paths, overlay=whole, progress=report):
                left = {form: other for form, other in left.items() if other != path}
                err.print(f"wrote {shown(path)}", markup=False, soft_wrap=True)
    except BaseException as error:
        if left:
            why = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
            missing = ", ".join(shown(path) for path in left.values())
            err.print(f"{title(source)}: {why}; not written: {missing}", style="yellow", markup=False, soft_wrap=True)
        raise
    finally:
        for note in timeline.notes:
            err.print(note, style="dim", markup=False, soft_wrap=True)
    if timeline.ended is not None:
        err.print(f"{title(source)}: {timeline.ended}", style="yellow", markup=False, soft_wrap=True)
        left_out = ", without the overlay" if "overlay" in paths and not whole else ""
        err.print(f"What was seen until then is written{left_out}.", style="yellow")


def _announced_seconds(source: Source) -> int | None:
    """Length of a file by its header; none where that says nothing."""
    from kerasfast.data.video import probe

    if not is_file(source):
        return None
    try:
        return round(probe(source).duration_seconds)  # pyright: ignore[reportArgumentType]  (a file is a path)
    except DataError:
        return None
