"""The two text files that TensorFlow Serving is started with: which models it serves, and how it batches requests."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from kerasfast.data.files import write_text

MODELS_FILE, BATCHING_FILE = "models.config", "batching.config"
HEADING = "# Written by kerasfast, which writes it again as long as this line stays."
# Rows that may wait for one signature. Each is held in memory as it came: 64 clips of 32 frames of 256x256 pixels are
# 400 MB, and thirty views of each would be 12 GB. With more the server answers UNAVAILABLE.
_WAITING_CLIPS = 64


def write_serving_config(
    folder: str | Path,
    *,
    mounted_at: str = "/models",
    max_batch_size: int = 8,
    batch_timeout_ms: float = 5.0,
    batch_threads: int | None = None,
    allowed_batch_sizes: Sequence[int] = (),
) -> tuple[Path, Path]:
    """Write `models.config` and `batching.config` into a folder of exported models.

    Every `<name>/<version>/saved_model.pb` below the folder makes a model of that name, of which the server keeps the
    highest version. The server takes the files with `--model_config_file=/models/models.config`,
    `--enable_batching` and `--batching_parameters_file=/models/batching.config`.

    Requests are joined along their first axis as they come. Those that may meet have to agree in all other axes: where
    they do not, or one of them is refused, all requests of that batch fail. So send `serving_default` one height and
    width and `views` one number of views, as `kerasfast.serving.client` does, or leave batching off.

    Args:
        folder: Where the models were exported to: `serving` for `serving/slowfast/1`.
        mounted_at: That folder as the server sees it.
        max_batch_size: Clips of a batch, at least as many as a request holds: `kerasfast.serving.client` sends up to 8,
            and the server refuses more. A clip of 256 x 256 pixels keeps two cores busy by itself, so a larger batch
            gains little there and multiplies memory; small networks and GPUs gain from 16.
        batch_timeout_ms: How long a request waits for others; short beside the tenths of a second of a large network.
        batch_threads: Batches that are computed at a time; None: as many as this machine has cores, of which each batch
            uses what the others leave.
        allowed_batch_sizes: Sizes that batches are filled up to, the last of them `max_batch_size`. For GPUs, which
            choose their kernels anew for each size; on a CPU a row that fills up costs as much as a clip.

    Returns:
        The paths of both files.

    Raises:
        ValueError: There are no models, a file of that name is not kerasfast's, or sizes that the server refuses.
    """
    folder = Path(folder)
    models = _models(folder)
    if max_batch_size < 1 or batch_timeout_ms < 0 or (batch_threads is not None and batch_threads < 1):
        raise ValueError(
            "max_batch_size and batch_threads must be at least 1, batch_timeout_ms at least 0. Received: "
            f"{max_batch_size}, {batch_threads}, {batch_timeout_ms}."
        )
    sizes = list(allowed_batch_sizes)
    if sizes and (sizes != sorted(set(sizes)) or sizes[0] < 1 or sizes[-1] != max_batch_size):
        raise ValueError(
            f"allowed_batch_sizes must rise from at least 1 to max_batch_size={max_batch_size}. Received: {sizes}."
        )
    paths = folder / MODELS_FILE, folder / BATCHING_FILE
    for path in paths:
        if path.exists() and not path.read_text("utf-8").startswith(HEADING):
            raise ValueError(
                f"{path} is not replaced, as its first line does not say that kerasfast wrote it. Rename it, or add a "
                "model there by hand."
            )
    blocks = [_model(name, mounted_at) for name in models]
    write_text(paths[0], f"{HEADING}\nmodel_config_list {{\n{''.join(blocks)}}}\n")
    batching = [
        HEADING,
        f"max_batch_size {{ value: {max_batch_size} }}",
        f"batch_timeout_micros {{ value: {round(1000 * batch_timeout_ms)} }}",
        f"max_enqueued_batches {{ value: {max(1, _WAITING_CLIPS // max_batch_size)} }}",
        f"num_batch_threads {{ value: {batch_threads or os.cpu_count() or 1} }}",
        *(f"allowed_batch_sizes: {size}" for size in sizes),
    ]
    write_text(paths[1], "\n".join(batching) + "\n")
    return paths


def _models(folder: Path) -> list[str]:
    """Names of the sub-folders with a numbered version in them."""
    found = {path.parent.parent.name for path in folder.glob("*/*/saved_model.pb") if path.parent.name.isdigit()}
    if not found:
        raise ValueError(
            f"{folder} must hold models as <name>/<version>/saved_model.pb, the version a number. Received: a folder "
            f'without any. Export there first, as in kerasfast.export(model, "{folder}/slowfast/1").'
        )
    return sorted(found)


def _model(name: str, mounted_at: str) -> str:
    return (
        "  config {\n"
        f"    name: {_text(name)}\n"
        f"    base_path: {_text(mounted_at.rstrip('/') + '/' + name)}\n"
        '    model_platform: "tensorflow"\n'
        "    model_version_policy { latest { num_versions: 1 } }\n"
        "  }\n"
    )


def _text(value: str) -> str:
    """A string of the text format of protocol buffers, which escapes bytes in octal."""
    plain = {ord(c) for c in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 _-./:+@"}
    return '"' + "".join(chr(byte) if byte in plain else f"\\{byte:03o}" for byte in value.encode()) + '"'
