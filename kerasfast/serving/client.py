"""Asks TF Serving about videos, over gRPC or REST.

REST needs neither TensorFlow nor anything beside NumPy and PyAV, and starts at once; gRPC needs `kerasfast[client]`,
whose messages come with TensorFlow.

Whoever receives a message over gRPC refuses one above 4 MB unless told otherwise. TF Serving takes 2 GB, a proxy before
it or another server may not; so views go out in requests of at most `max_message_bytes`, 4 MB by default, and as JPEG
files where the pixels of one view are more than that, as 32 frames of 256x256 are (6.3 MB). This side receives answers
of any size.

Scores of views are merged here, not by the signature `views` of an export, which takes all of a video in one request:
thirty views of 32 frames are 189 MB at 256x256 and 12 MB at 64x64, both above 4 MB, and the server computes them one
after the other, where requests of eight views are batches. What it would save is a kilobyte of scores a view and a few
round trips, and the client would hold all views at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from kerasfast.data.clips import ClipSpec
from kerasfast.data.views import crops_of, scaled_clips
from kerasfast.decoding import Prediction, decode
from kerasfast.serving.connections import connect
from kerasfast.serving.errors import ServingError as ServingError
from kerasfast.serving.packing import JPEGS, MESSAGE_BYTES, PIXELS, packed
from kerasfast.serving.rest import RestConnection
from kerasfast.serving.retries import RETRIES
from kerasfast.serving.served_card import Card, ServedHead
from kerasfast.train.views import merge_views


def predict(
    video: str | Path | np.ndarray, host: str, *, model: str, top: int | None = 5, **options: Any
) -> dict[str, list[Prediction]] | dict[str, np.ndarray]:
    """What a served model says of one video; for several, `Client` keeps the connection.

    Args:
        video: As in `Client.scores`.
        host: As in `Client`.
        model: As in `Client`.
        top: Classes to return of each head, the best first; none: the scores of all.
        **options: Arguments of `Client` (`card`, `clip`, `crop_size`, `protocol`, `version`, `signature`, `timeout`,
            `retries`, `credentials`, `max_message_bytes`) and of `Client.scores` (`clips`, `crops`, `merge`,
            `progress`).

    Returns:
        By head a list of `Prediction`, or with `top=None` float32 `(classes,)`.

    Raises:
        ValueError: Bad arguments, a video that cannot be decoded, or a card of another model.
        ServingError: No server, no such model, or an error of it; `status` is the name of the gRPC status.
        ImportError: gRPC without `kerasfast[client]`.
    """
    of_scores = {key: options.pop(key) for key in ("clips", "crops", "merge", "progress") if key in options}
    with Client(host, model, **options) as client:
        scores = client.scores(video, **of_scores)
        return scores if top is None else client.decode(scores, top)


class Client:
    """A connection to one model of a server; a context manager.

    TF Serving passes on the names and shapes of a model's inputs and outputs, but not which frames make a clip, nor
    class names. Those are in the card that `kerasfast.export` wrote, in the exported folder itself or a copy of its
    `assets.extra`. Without one the clip and its size must be given; classes then have numbers.

    Args:
        host: `host:port`, over gRPC unless the port is 8501, or with the protocol before it: `grpc://host:port`,
            `http://host:port` and, encrypted, `grpcs://host:port`, `https://host:port`.
        model: The model's name on the server.
        card: The exported folder, that of its versions, or `card.json`.
        clip: Frames, stride and rate of a clip, if there is no card.
        crop_size: Side of a view in pixels, if there is no card.
        protocol: `grpc` or `rest`, where port and scheme would say otherwise.
        version: Which version to ask; none: the server's choice, the highest.
        signature: `serving_default`, which takes pixels, or `jpeg_frames`; none: pixels over gRPC where a view fits
            into a message, JPEG files otherwise. JPEG changes a pixel by 2 to 3 levels of 256 (root mean square).
        timeout: Seconds to wait for each answer, all attempts together.
        retries: How often to ask again, 0 to 4 times, after 0.5, 1, 2 and 4 seconds, where no server is there (it
            starts, or the connection broke) or one that is not ready (`UNAVAILABLE`, HTTP 502 and 503). What repeating
            cannot mend, such as a request that the model refuses, is asked once.
        credentials: Whom an encrypted connection trusts: a PEM file of root certificates, or, as for a certificate of
            the client's own, `grpc.ChannelCredentials` or over REST an `ssl.SSLContext`. None: the system's roots, over
            gRPC those that come with it where the system has no file of them.
        max_message_bytes: The largest message to send.

    Raises:
        ValueError: Bad arguments, no card where one should be, or credentials that are none.
        ImportError: gRPC without `kerasfast[client]`.
    """

    def __init__(
        self,
        host: str,
        model: str,
        *,
        card: str | Path | Card | None = None,
        clip: ClipSpec | None = None,
        crop_size: int | None = None,
        protocol: Literal["grpc", "rest"] | None = None,
        version: int | None = None,
        signature: str | None = None,
        timeout: float = 60.0,
        retries: int = RETRIES,
        credentials: Any = None,
        max_message_bytes: int = MESSAGE_BYTES,
    ) -> None:
        if (card is None) != (clip is not None and crop_size is not None) or (card is not None and (clip or crop_size)):
            raise ValueError(
                "The client must know which frames the model takes. Give card=, the exported folder or a copy of its "
                "assets.extra, or clip= and crop_size= as the model was trained for, such as "
                f"clip=ClipSpec(32, 2, 30), crop_size=256. Received: card={card!r}, clip={clip!r}, "
                f"crop_size={crop_size!r}."
            )
        if signature not in (None, PIXELS, JPEGS):
            raise ValueError(f"signature must be {PIXELS!r} or {JPEGS!r}. Received: {signature!r}.")
        if not timeout > 0 or max_message_bytes < 1:
            raise ValueError(
                f"timeout and max_message_bytes must be above 0. Received: {timeout!r}, {max_message_bytes!r}."
            )
        self._card = Card.read(card, version) if isinstance(card, (str, Path)) else card
        self._clip = clip, crop_size
        self._signature, self._max_bytes = signature, max_message_bytes
        self._connection = connect(host, protocol, model, version, timeout, retries=retries, credentials=credentials)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    @property
    def card(self) -> Card:
        """What is known of the model; without a card in hand, what the server says of the signature's outputs.

        Raises:
            ServingError: The server does not say.
            ValueError: The model has no signature of that name.
        """
        if self._card is None:
            (clip, size), outputs = self._clip, self._outputs(self._first)
            heads = {name: ServedHead(classes or 0) for name, classes in sorted(outputs.items())}
            self._card = Card(self._connection.model, clip, size, heads)  # pyright: ignore[reportArgumentType]
        return self._card

    def scores(
        self,
        video: str | Path | np.ndarray,
        *,
        clips: int | None = None,
        crops: int | None = None,
        merge: str | Mapping[str, str] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> dict[str, np.ndarray]:
        """Scores of a video, by the protocol of `kerasfast.evaluate`: those of its views, merged.

        Args:
            video: A video file; its frames at the rate of the clip, uint8 `(N, H, W, 3)`, RGB, of which clips and crops
                are taken as from a file; or views as they are, uint8 `(views, T, H, W, 3)`.
            clips: Clips, spread evenly over the video; by default those of the operating points, or 10.
            crops: Crops of a clip, 3 or 1; by default those of the operating points, or 3.
            merge: `max` or `mean`, for all heads or by head; by default that of the operating points, or `max` for
                sigmoid heads and `mean` for softmax heads.
            progress: Called with the views scored and the views in all.

        Returns:
            Head name to `(classes,)` float32.

        Raises:
            ValueError: Bad arguments, a video that cannot be decoded, a card of another model, or a view that is larger
                than a message may be.
            ServingError: No server, no such model, or an error of it.
        """
        card = self.card
        fitted: Mapping[str, Any] = card.points.protocol if card.points is not None else {}
        clips = int(fitted.get("clips", 10) if clips is None else clips)
        crops = int(fitted.get("crops", 3) if crops is None else crops)
        whole = card.sampling == "video"
        ready = video if isinstance(video, np.ndarray) and video.ndim == 5 else None
        if ready is not None and (ready.dtype != np.uint8 or not ready.size):
            raise ValueError(f"Views must be uint8 (views, T, H, W, 3). Received: {ready.dtype} {ready.shape}.")
        total = (1 if whole else clips) * crops if ready is None else len(ready)
        rules = card.rules(merge, total)
        self._check_heads(self._first)  # a wrong address shows before a long video is decoded
        if ready is None:
            side = int(fitted.get("crop_size", card.crop_size))
            scaled = scaled_clips(video, card.clip, clips, side, whole=whole)
            views = (view for frames in scaled for view in crops_of(frames, crops, side))
        else:
            views = iter(ready)
        found: dict[str, list[np.ndarray]] = {name: [] for name in card.heads}
        done = 0
        for signature, batch in packed(views, self._chosen, self._connection.message_bytes, self._max_bytes):
            for name, scores in self._answer(signature, batch).items():
                found[name].append(scores)
            done += len(batch)
            if progress is not None:
                progress(done, total)
        return merge_views({name: np.concatenate(scores) for name, scores in found.items()}, rules)

    def decode(self, scores: Mapping[str, Any], top: int = 5) -> dict[str, Any]:
        """The best classes of each head, as `kerasfast.decode` gives them.

        Args:
            scores: What `scores` returned.
            top: Classes of each head.

        Returns:
            By head a list of `Prediction`, the highest score first.
        """
        return decode(self.card, scores, top)  # pyright: ignore[reportArgumentType]  (a card has name and heads)

    @property
    def _first(self) -> str:
        """The signature to ask about the heads: the one that was given, else pixels where the model takes them."""
        return self._signature or (PIXELS if PIXELS in self._connection.signatures() else JPEGS)

    def _chosen(self, pixels: np.ndarray) -> str:
        """The signature for views like this one."""
        if self._signature is not None:
            return self._signature
        if PIXELS not in self._connection.signatures():
            return JPEGS
        if isinstance(self._connection, RestConnection) or self._connection.message_bytes(pixels) > self._max_bytes:
            # The server scales JPEG files and takes their centre, which leaves only views of its own size as they are.
            same = pixels.shape[1:3] == (self.card.crop_size,) * 2
            if same and JPEGS in self._connection.signatures():
                return JPEGS
        return PIXELS

    def _answer(self, signature: str, views: np.ndarray) -> dict[str, np.ndarray]:
        scores = self._connection.predict(signature, views)
        for name, head in self.card.heads.items():
            if scores[name].shape != (len(views), head.classes):
                raise ValueError(
                    f"Head {name!r} must answer {len(views)} views with scores of shape {(len(views), head.classes)}. "
                    f"Received: {scores[name].shape}. The signature {signature!r} is none of kerasfast.export."
                )
        return {name: scores[name] for name in self.card.heads}

    def _outputs(self, signature: str) -> dict[str, int | None]:
        signatures = self._connection.signatures()
        if signature not in signatures:
            raise ValueError(
                f"signature must be one of {', '.join(sorted(signatures))}, which the model "
                f"{self._connection.model!r} on {self._connection.host} has. Received: signature={signature!r}."
            )
        return signatures[signature]

    def _check_heads(self, signature: str) -> None:
        """Refuses a card of other heads than the server's."""
        outputs = self._outputs(signature)
        expected = {name: head.classes for name, head in self.card.heads.items()}
        sizes = {name: expected.get(name) if size is None else size for name, size in outputs.items()}
        if sizes != expected:
            raise ValueError(
                f"The card must be that of the served model. Received: one with the heads {expected}, and a model "
                f"{self._connection.model!r} on {self._connection.host} with {sizes}. Copy assets.extra of the version "
                "that is served."
            )
