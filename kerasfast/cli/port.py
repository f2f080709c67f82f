"""`kerasfast port`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kerasfast.cli.console import err, example, out, start_tensorflow

if TYPE_CHECKING:
    from kerasfast.registry import Entry

EXAMPLE = example(
    "kerasfast port SLOWFAST_8x8_R50.pyth --as slowfast_r50_8x8.k400",
    "kerasfast port mine.pyth --as slowfast_r50_8x8 --out mine.weights.h5",
)


def port(
    file: Annotated[Path, typer.Argument(help="A checkpoint of PyTorchVideo, PySlowFast, caffe2 or MMAction2.")],
    name: Annotated[str, typer.Option("--as", help="The name of the zoo whose network it fills.")],
    to: Annotated[
        Path | None, typer.Option("--out", help="A .weights.h5 file to write, where FILE is not the published one.")
    ] = None,
) -> None:
    """Turn a checkpoint of PyTorch into weights of kerasfast.

    Without --out FILE has to be the checkpoint that is published under NAME. It goes into the cache, so that
    kerasfast.load(NAME) finds it on a machine without a network too.
    """
    start_tensorflow()
    from kerasfast.cache import add
    from kerasfast.registry import entry, published_network

    row = entry(name)
    with err.status("Reading, checking, writing"):
        if to is not None:
            path, how = to, _port_own(file, to, row)
        elif row.source is not None:
            path, how = add(name, row.source, published_network(row), file), f'"{name}"'
        else:
            raise ValueError(f"No checkpoint is published under {name!r}, so none can go into the cache. Give --out.")
    out.print(f"{path}: {path.stat().st_size / 1e6:.1f} MB. Load it with kerasfast.load({how}).", soft_wrap=True)


def _port_own(file: Path, to: Path, row: Entry) -> str:
    """Port a checkpoint with any number of classes; returns the arguments that load what is written."""
    from kerasfast.checkpoints import read, to_canonical
    from kerasfast.models.classifier import build
    from kerasfast.models.heads import KINETICS400
    from kerasfast.models.variants import override
    from kerasfast.porting import port as write
    from kerasfast.registry import form_of_file

    if not (to.name.endswith(".weights.h5") and to.parent.is_dir()):
        raise ValueError(f"--out must be a .weights.h5 file in a folder that exists. Received: {to}.")
    form = form_of_file(row, file)
    heads, how = row.head_rows() or KINETICS400, f'"{row.name}", weights="{to}"'
    shape = to_canonical(read(file)).shapes.get("head/action/kernel")
    if shape is not None and shape[-1] != heads["action"].classes:
        heads, how = {"action": shape[-1]}, f'{how}, heads={{"action": {shape[-1]}}}'
    write(file, to, lambda: build(override(row.variant, **form), heads=heads, dtype="float32"))
    # The file that is written no longer tells its library.
    differs = {name: value for name, value in form.items() if getattr(row.variant, name) != value}
    return "".join([how, *(f", {name}={value!r}" for name, value in differs.items())])
