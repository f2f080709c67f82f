"""`kerasfast explain`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from kerasfast.cli.console import example, out, start_tensorflow
from kerasfast.cli.output_files import check_outputs
from kerasfast.explain import DEFAULT_MODEL
from kerasfast.explain.sources import OVERLAY_ENDING

if TYPE_CHECKING:
    from kerasfast.explain.maps.explanation import Explanation

EXAMPLE = example(
    "kerasfast explain kitchen.mp4",
    'kerasfast explain kitchen.mp4 --head action --class "opening a star" --at 2.5 --model slowfast_nano.miniature',
)


def explain(
    video: Annotated[Path, typer.Argument(help="A video file.")],
    model: Annotated[str, typer.Option(help="A name of the zoo, or the folder of a run.")] = DEFAULT_MODEL,
    head: Annotated[str | None, typer.Option(help="Head of the class.", show_default="the only one, or action")] = None,
    wanted: Annotated[
        str | None,
        typer.Option("--class", help="Its name or number.", show_default="the one with the highest score"),
    ] = None,
    method: Annotated[str, typer.Option(help="gradcam, gradcam++ or saliency.")] = "gradcam",
    at: Annotated[
        float | None,
        typer.Option(help="Seconds at which the clip begins.", show_default="where the class scores highest"),
    ] = None,
    folder: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for both.")] = Path(),
    force: Annotated[bool, typer.Option("--force", help="Write over files that exist.")] = False,
) -> None:
    """Show where each pathway looks for a class: as a contact sheet, and as a video."""
    # Whether the folder takes files, before a model is loaded.
    check_outputs([folder / f"{video.stem}.png"], force=True)
    start_tensorflow()
    from kerasfast.explain.maps.classes import find_class, find_head
    from kerasfast.explain.maps.explanation import explain_video
    from kerasfast.explain.maps.heat import contact_sheet, heat_video
    from kerasfast.train.run import load_model

    try:
        network = load_model(model)
        head = find_head(network.heads, head)
        index = None if wanted is None else find_class(head, network.heads[head], wanted)
        if index is not None:  # otherwise the network says which class it is
            check_outputs(_files(folder, video, head, index, method), force)
        found = explain_video(network, video, head, index, method=method, at=at)
    except ImportError as error:
        raise ValueError(str(error)) from error
    sheet, film = _files(folder, video, found.head, found.index, method)
    check_outputs((sheet, film), force)
    folder.mkdir(parents=True, exist_ok=True)
    contact_sheet(found, sheet)
    heat_video(found, film)
    out.print(_summary(found))
    if found.ended is not None:
        out.print(found.ended, style="yellow", markup=False)
    out.print(f"Written to {escape(str(sheet))} and {escape(film.name)}.", soft_wrap=True)


def _files(folder: Path, video: Path, head: str, index: int, method: str) -> tuple[Path, Path]:
    """The contact sheet and the video; the latter ends as what `kerasfast predict` leaves out of a folder."""
    name = f"{video.stem}-{head}-{index}-{method}"
    return folder / f"{name}.png", folder / f"{name}{OVERLAY_ENDING}"


def _summary(found: Explanation) -> Table:
    """What was explained, and where each pathway's evidence is strongest."""
    import numpy as np

    from kerasfast.explain.maps.attention_maps import METHODS

    table = Table("pathway", "strongest at", title=f"{METHODS[found.method]} for {escape(found.title)}")
    for pathway, maps in found.maps.items():
        frame, y, x = np.unravel_index(maps.argmax(), maps.shape)
        across, down = (place / max(side - 1, 1) for place, side in ((x, maps.shape[2]), (y, maps.shape[1])))
        where = f"{found.times[frame]:.2f} s, {across:.0%} from the left, {down:.0%} from the top"
        table.add_row(pathway, where if maps.any() else "no evidence for the class")
    return table
