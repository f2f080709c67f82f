"""The contender of bench_data.py: training clips straight from mp4 files, decoded with PyAV inside tf.data."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import tensorflow as tf

from kerasfast.data.clips import ClipSpec
from kerasfast.data.pipeline import transforms


def mp4_clips(
    files: list[Path], clip: ClipSpec, batch_size: int, crop_size: int, short_side: tuple[int, int], seed: int
) -> tf.data.Dataset:
    """The clips and the augmentation of `training_clips`, without end.

    Each clip seeks to the key frame before it and decodes from there; Python's lock is free while FFmpeg decodes.
    """

    def cut(path: bytes, uniform: float) -> np.ndarray:
        with av.open(path.decode()) as container:
            stream = container.streams.video[0]
            step = float(stream.average_rate) / clip.fps
            first = int(uniform * max(stream.frames - clip.span * step, 0))
            wanted = [round(first + index * clip.stride * step) for index in range(clip.frames)]
            ticks = 1 / (stream.average_rate * stream.time_base)
            container.seek(int(wanted[0] * ticks), stream=stream)  # to the key frame at or before the clip
            found: list[np.ndarray] = []
            for frame in container.decode(stream):
                number = round(frame.pts / ticks)
                while len(found) < clip.frames and number >= wanted[len(found)]:
                    found.append(frame.to_ndarray(format="rgb24"))
                if len(found) == clip.frames:
                    break
        found += found[-1:] * (clip.frames - len(found))
        return np.stack(found)

    def clip_of(path: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
        draws = tf.random.stateless_uniform((5,), tf.stack([tf.constant(seed, tf.int64), number]))
        frames = tf.numpy_function(cut, (path, draws[0]), tf.uint8)
        frames.set_shape((clip.frames, None, None, 3))
        size = tf.shape(frames)
        scaled = transforms.jittered_short_side(draws[1], short_side)
        box = transforms.random_box((draws[2], draws[3]), size[1], size[2], scaled, crop_size)
        cropped = transforms.resize_fast(transforms.crop(frames, box), crop_size, crop_size)
        return tf.ensure_shape(transforms.flip(cropped, draws[4] < 0.5), (clip.frames, crop_size, crop_size, 3))

    paths = tf.data.Dataset.from_tensor_slices([str(path) for path in files]).repeat().enumerate()
    clips = paths.map(lambda number, path: clip_of(path, number), num_parallel_calls=tf.data.AUTOTUNE)
    return clips.batch(batch_size).prefetch(tf.data.AUTOTUNE)
