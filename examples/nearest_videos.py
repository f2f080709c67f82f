"""Find the videos of a folder that look most like one of them, by the features of a network.

    python examples/nearest_videos.py videos query.mp4

A video is the mean of the features of its windows, and near is a small angle between two of them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from sklearn.neighbors import NearestNeighbors

import kerasfast as kf


def video_vectors(model, videos: list[Path]) -> np.ndarray:
    """One vector a video, `(videos, channels)`."""
    return np.stack([kf.embed(model, video).features.mean(axis=0) for video in videos])


def nearest(vectors: np.ndarray, queries: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Cosine similarities and indices of the `count` nearest vectors of each query, the nearest first."""
    distances, indices = NearestNeighbors(n_neighbors=count, metric="cosine").fit(vectors).kneighbors(queries)
    return 1 - distances, indices


def main() -> None:
    """Print the nearest videos."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder of mp4 files to search")
    parser.add_argument("query", type=Path, help="a video file")
    parser.add_argument("--model", default="slowfast_nano.miniature", help="a name of the zoo")
    parser.add_argument("--count", type=int, default=5, help="videos to show")
    arguments = parser.parse_args()
    model = kf.load(arguments.model)
    videos = [path for path in sorted(arguments.folder.glob("*.mp4")) if path.resolve() != arguments.query.resolve()]
    if not videos:
        parser.error(f"{arguments.folder} holds no mp4 file beside the query")
    similarities, indices = nearest(
        video_vectors(model, videos), video_vectors(model, [arguments.query]), min(arguments.count, len(videos))
    )
    for similarity, index in zip(similarities[0], indices[0], strict=True):
        print(f"{similarity:.3f}  {videos[index]}")


if __name__ == "__main__":
    main()
