"""Small moving pictures of the videos of records, for a page to carry inside."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from markupsafe import Markup
from PIL import Image

from kerasfast.data.records.manifest import Manifest
from kerasfast.data.records.read import read_manifest

FRAMES = 12
SIDE = 112  # pixels of the shorter side
SECONDS_A_FRAME = 0.25
_QUALITIES = (70, 50, 30, 15)


@dataclass(frozen=True)
class Thumbnail:
    """A video as a small picture.

    Attributes:
        moving: `data:` address of an animated WebP.
        still: `data:` address of its middle frame, for readers who want no motion.
        width: In pixels.
        height: In pixels.
        bytes: Of both addresses.
    """

    moving: Markup
    still: Markup
    width: int
    height: int

    @property
    def bytes(self) -> int:
        """Bytes of both addresses in a page."""
        return len(self.moving) + len(self.still)


def thumbnails(
    records: str | Path, split: str, ids: Sequence[str], videos: Iterable[int], limit_bytes: int
) -> dict[int, Thumbnail]:
    """Thumbnails of some videos.

    Args:
        records: Folder of the records, or its address.
        split: Their split.
        ids: Ids of all videos that were scored, which the records have to hold in this order.
        videos: Numbers of the videos to show.
        limit_bytes: Bytes that each may take in the page.

    Raises:
        DataError: Records that are missing or damaged.
        ValueError: Records of other videos than those that were scored.
    """
    manifest = read_manifest(records, split)
    if [str(video["id"]) for video in manifest.videos] != list(ids):
        raise ValueError(
            f"{records}, split {split!r}, holds other videos than those that were scored. Give the records that "
            "`kerasfast evaluate` was given."
        )
    shown = _frames(records, manifest, sorted(set(videos)))
    return {video: encode(frames, limit_bytes) for video, frames in shown}


def encode(frames: Sequence[Image.Image], limit_bytes: int) -> Thumbnail:
    """Frames as a thumbnail of at most so many bytes: of the best quality that fits, and else of fewer frames.

    Args:
        frames: At least one, of one size.
        limit_bytes: Bytes of the addresses; a thumbnail of the worst quality may still have more.
    """
    middle = frames[len(frames) // 2]
    tries = (
        Thumbnail(_webp(kept, quality, len(frames) / len(kept)), _webp([middle], quality), *middle.size)
        for kept in (frames, frames[::2], [middle])
        for quality in _QUALITIES
    )
    made = next(tries)
    while made.bytes > limit_bytes and (smaller := next(tries, None)) is not None:
        made = smaller
    return made


def _webp(frames: Sequence[Image.Image], quality: int, slower: float = 1.0) -> Markup:
    file = io.BytesIO()
    more = {"save_all": True, "append_images": frames[1:], "duration": round(1000 * SECONDS_A_FRAME * slower)}
    frames[0].save(file, "WEBP", quality=quality, method=4, loop=0, **(more if len(frames) > 1 else {}))
    return Markup(f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}")


def _frames(records: str | Path, manifest: Manifest, videos: Sequence[int]) -> Iterable[tuple[int, list[Image.Image]]]:
    """Frames spread evenly over what is stored of each video, in the order of the shards."""
    import tensorflow as tf

    from kerasfast.data.pipeline.reading import RecordReader, named_damage
    from kerasfast.data.records.schema import parse_record

    reader = RecordReader(manifest, records)
    places: dict[int, list[tuple[int, int]]] = {video: [] for video in videos}
    for number, shard in enumerate(manifest.shards):
        for video, offset in zip(shard.videos, shard.offsets, strict=True):
            if video in places:
                places[video].append((number, offset))
    with named_damage(records, manifest.split):
        for video, found in places.items():
            jpegs: dict[int, bytes] = {}
            for number, offset in found:
                record = parse_record(reader(tf.constant(number), tf.constant(offset, tf.int64)))
                start = int(record.start_frame)
                jpegs |= {start + i * manifest.options.stride: jpeg for i, jpeg in enumerate(record.jpegs.numpy())}
            if jpegs:
                times = sorted(jpegs)
                chosen = np.unique(np.linspace(0, len(times) - 1, FRAMES).round().astype(int))
                yield video, [_scaled(jpegs[times[i]]) for i in chosen]


def _scaled(jpeg: bytes) -> Image.Image:
    with Image.open(io.BytesIO(jpeg)) as picture:
        picture = picture.convert("RGB")
    scale = SIDE / min(picture.size)
    width, height = (max(round(side * scale), 1) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.LANCZOS) if scale < 1 else picture
