"""`kerasfast verify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from kerasfast.cli.console import err, example, out, start_tensorflow

EXAMPLE = example(
    "kerasfast verify slow_r50_4x16", "kerasfast verify slowfast_r50_8x8.k400 --file SLOWFAST_8x8_R50.pyth"
)


def verify(
    name: Annotated[str, typer.Argument(help="An architecture, or a name of the zoo with published weights.")],
    file: Annotated[Path | None, typer.Option(help="Check this published checkpoint instead of the graph.")] = None,
    form: Annotated[str | None, typer.Option(help="Form of an architecture: pytorchvideo, pyslowfast, ...")] = None,
) -> None:
    """Repeat the comparison with the PyTorch reference, or check a published checkpoint.

    Without a file, the network computes a tiny clip with seeded weights and every stage is compared with what the
    reference computed when the parity certificate was made; exit code 1 where one differs.
    """
    if file is not None and form is not None:
        raise ValueError("--form says which graph to check; with --file the file's names do. Leave one of them out.")
    start_tensorflow()
    if file is not None:
        _file(name, file)
    else:
        _graph(name, form)


def _graph(name: str, form: str | None) -> None:
    import keras

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        # On a GPU TensorFlow rounds the factors of a convolution to 10 bits; the certificates are of float32.
        tf.config.experimental.enable_tensor_float_32_execution(False)
    from kerasfast.verify.graph import TOLERANCE, check_graph

    with err.status("Building the network, computing a tiny clip"):
        certificate, stages = check_graph(name, form)
    crops = " and ".join(certificate.differences)
    table = Table("stage", f"certified, at {crops} pixels", "here, on the tiny clip", "", title=certificate.name)
    for stage in stages:
        passed = "[green]passed[/green]" if stage.passed else "[bold red]FAILED[/bold red]"
        table.add_row(stage.name, f"{stage.certified:.1e}", f"{stage.found:.1e}", passed)
    out.print(table)
    out.print(
        f"Largest difference to {certificate.reference}, relative to a stage's largest value; at most {TOLERANCE:g} "
        f"passes. Certified {certificate.date}; published file: {certificate.published_file}."
    )
    failed = [stage.name for stage in stages if not stage.passed]
    if failed:
        err.print(
            f"error: {certificate.name} is not the network that was certified, first at {failed[0]}. Report it with "
            "the versions of keras and of its backend.",
            style="red",
            soft_wrap=True,
        )
        raise typer.Exit(1)


def _file(name: str, path: Path) -> None:
    from kerasfast.verify.files import check_file

    with err.status("Reading the file, building the network"):
        found = check_file(name, path)
    published = {"": "not published", found.sha256: "as published"}.get(
        found.published_sha256, f"begins as published ({found.published_sha256})"
    )
    table = Table(title=f"{name}: {path.name}", show_header=False, title_justify="left")
    table.add_row("sha256", f"{found.sha256}, {published}")
    table.add_row("family", found.family)
    table.add_row("weights", f"{found.weights}, every name and shape accounted for, all finite")
    table.add_row("classes", str(found.classes))
    table.add_row("first logits of the tiny clip", " ".join(f"{value:.6f}" for value in found.logits))
    out.print(table)
