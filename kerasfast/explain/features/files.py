"""Features of videos as files: NumPy's .npz, and Parquet for data frames and databases."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kerasfast.data.files import write_whole
from kerasfast.explain.features.embed import Features


def write_npz(path: str | Path, videos: Sequence[Features]) -> None:
    """Write a row a window.

    Arrays: `videos` (windows,) str, `starts` and `ends` (windows,) seconds, `features` (windows, channels) float32;
    `model` and `endpoint` say what gave them. `numpy.load` reads it without pickle.

    Args:
        path: File to write; it appears only once it is whole.
        videos: Features of one model.

    Raises:
        ValueError: No video, or features of several models.
    """
    _check(videos)
    arrays = {
        "videos": np.repeat([one.source for one in videos], [len(one.starts) for one in videos]),
        "starts": np.concatenate([one.starts for one in videos]),
        "ends": np.concatenate([one.ends for one in videos]),
        "features": np.concatenate([one.features for one in videos]),
        "model": np.array(videos[0].model),
        "endpoint": np.array(videos[0].endpoint),
    }

    def write(partial: Path) -> None:
        with partial.open("wb") as file:  # to a path savez would add ".npz"
            np.savez_compressed(file, allow_pickle=False, **arrays)

    write_whole(Path(path), write)


def write_parquet(path: str | Path, videos: Sequence[Features]) -> None:
    """Write a row a window: `video` string, `start` and `end` in seconds, `features` a fixed-size list of float32.

    The schema's metadata hold model and endpoint, as JSON under the key `kerasfast`.

    Args:
        path: File to write; it appears only once it is whole.
        videos: Features of one model.

    Raises:
        ValueError: No video, or features of several models.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    _check(videos)
    width = videos[0].features.shape[1]
    about = json.dumps({"model": videos[0].model, "endpoint": videos[0].endpoint})
    fields = {
        "video": pa.string(),
        "start": pa.float64(),
        "end": pa.float64(),
        "features": pa.list_(pa.float32(), width),
    }
    schema = pa.schema(fields, metadata={"kerasfast": about})

    def write(partial: Path) -> None:
        with pq.ParquetWriter(partial, schema) as writer:
            for one in videos:
                columns = [
                    pa.array([one.source] * len(one.starts), pa.string()),
                    pa.array(one.starts, pa.float64()),
                    pa.array(one.ends, pa.float64()),
                    pa.FixedSizeListArray.from_arrays(pa.array(one.features.ravel(), pa.float32()), width),
                ]
                writer.write_table(pa.table(columns, schema=schema))

    write_whole(Path(path), write)


def _check(videos: Sequence[Features]) -> None:
    kinds = {(one.model, one.endpoint, one.features.shape[1]) for one in videos}
    if len(kinds) != 1:
        given = "; ".join(f"{width} of {endpoint!r} of {model}" for model, endpoint, width in sorted(kinds))
        raise ValueError(f"A file holds features of one model. Received: {given or 'no video'}.")
