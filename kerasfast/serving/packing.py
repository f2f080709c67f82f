"""Views of a video in requests, as many in each as may go together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from kerasfast.data.pictures import encode_jpeg

MESSAGE_BYTES = 4 * 1024 * 1024  # the most that gRPC receives by default
BATCH = 8  # views of a request; a server that batches refuses requests above its max_batch_size
PIXELS, JPEGS = "serving_default", "jpeg_frames"


def packed(
    views: Iterable[np.ndarray],
    choose: Callable[[np.ndarray], str],
    message_bytes: Callable[[np.ndarray], int],
    limit: int,
) -> Iterator[tuple[str, np.ndarray]]:
    """Signature and views of each request, one after the other, so that no more than one is in memory.

    Args:
        views: Pixels of each view, uint8 `(T, H, W, 3)`.
        choose: From the first view to the signature for all.
        message_bytes: From a view as its signature takes it to the bytes that it adds to a request, at most.
        limit: The most bytes of a request.

    Yields:
        The signature, and uint8 `(views, T, H, W, 3)` or JPEG files, object `(views, T)` of bytes.

    Raises:
        ValueError: A view that is larger than a request may be.
    """
    waiting: list[np.ndarray] = []
    size, signature = 0, ""
    for pixels in views:
        signature = signature or choose(pixels)
        view = _jpegs(pixels) if signature == JPEGS else pixels
        added = message_bytes(view)
        if added > limit:
            raise ValueError(_too_large(signature, pixels, added, limit))
        if waiting and (size + added > limit or len(waiting) == BATCH):
            yield signature, np.stack(waiting)
            waiting, size = [], 0
        waiting.append(view)
        size += added
    if waiting:
        yield signature, np.stack(waiting)


def _jpegs(view: np.ndarray) -> np.ndarray:
    """JPEG files of the frames of a view `(T, H, W, 3)`: bytes, object `(T,)`."""
    files = np.empty(len(view), object)
    files[:] = [encode_jpeg(frame) for frame in view]
    return files


def _too_large(signature: str, pixels: np.ndarray, size: int, limit: int) -> str:
    advice = "Raise max_message_bytes (TF Serving takes 2 GB over gRPC)"
    if signature == PIXELS:
        advice += f", or give signature={JPEGS!r}, for which the server scales and crops views of another size"
    return (
        f"A view must fit into a message of max_message_bytes={limit}. Received: {pixels.shape} pixels, "
        f"{size} bytes as {signature!r} takes them. {advice}."
    )
