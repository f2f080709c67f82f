"""What a client knows of a served model. Without TensorFlow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kerasfast.data.clips import ClipSpec
from kerasfast.train.operating.points import OperatingPoints
from kerasfast.train.views import merge_rules

CARD = "card.json"


@dataclass(frozen=True)
class ServedHead:
    """One head of a served model.

    Args:
        classes: Number of classes.
        activation: `sigmoid` or `softmax`; none: unknown.
        labels: Class names; none: classes have numbers.
        merge: `max` or `mean`, how the export's signature `views` merges; none: by the activation.
    """

    classes: int
    activation: str | None = None
    labels: tuple[str, ...] | None = None
    merge: str | None = None


@dataclass(frozen=True)
class Card:
    """What `kerasfast.export` wrote of a model beside its SavedModel, and TF Serving does not pass on.

    Args:
        name: Of the architecture.
        clip: Frames, stride and frame rate of a clip.
        crop_size: Side in pixels of a view.
        heads: By name.
        sampling: `clip`, or `video` where a view is one of frames of the whole video.
        points: Operating points, if the export had some.
    """

    name: str
    clip: ClipSpec
    crop_size: int
    heads: Mapping[str, ServedHead]
    sampling: str = "clip"
    points: OperatingPoints | None = None

    @classmethod
    def read(cls, path: str | Path, version: int | None = None) -> Card:
        """The card of an export.

        Args:
            path: The exported folder, such as `serving/slowfast/1`; the folder of a model's versions; or `card.json`
                itself, beside which `labels/` and `operating_points.json` lie as they do in `assets.extra`.
            version: Which version of a folder of versions; by default the highest, as TF Serving chooses.

        Raises:
            ValueError: There is no card, or it is damaged.
        """
        file = _find(Path(path), version)
        try:
            return cls._parse(json.loads(file.read_text("utf-8")), file.parent)
        except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
            raise ValueError(
                f"{file} is no card of an export ({type(error).__name__}: {error}). Copy assets.extra of the exported "
                "folder again, labels included."
            ) from error

    def rules(self, merge: str | Mapping[str, str] | None, views: int) -> dict[str, str]:
        """How views become one score, `max` or `mean` by head: as asked, as the export merges, as the operating points
        of the head were fitted, or the rule of the activation.

        Raises:
            ValueError: An unknown rule or head, or nothing says how to merge the views.
        """
        if isinstance(merge, Mapping) and set(merge) != set(self.heads):
            raise ValueError(f"merge must name the heads {', '.join(self.heads)}. Received: {', '.join(merge)}.")
        rules = {}
        for name, head in self.heads.items():
            rule = merge[name] if isinstance(merge, Mapping) else merge or head.merge or self._fitted_rule(name)
            if rule is None and head.activation is None and views > 1:
                raise ValueError(
                    f"Without a card nothing says how to merge {views} views. Give merge='max' (sigmoid heads) or "
                    "'mean' (softmax heads), or card=, the exported folder."
                )
            rules |= merge_rules({name: head}, rule)  # pyright: ignore[reportArgumentType]  (it has an activation)
        return rules

    def _fitted_rule(self, name: str) -> str | None:
        """The rule of the operating points, where the head has one of them."""
        if self.points is None or name not in self.points.heads:
            return None
        merge = self.points.protocol.get("merge")
        return merge.get(name) if isinstance(merge, Mapping) else merge

    @classmethod
    def _parse(cls, values: Mapping[str, Any], folder: Path) -> Card:
        heads = {}
        for name, head in values["heads"].items():
            labels = tuple((folder / head["labels"]).read_text("utf-8").splitlines()) if "labels" in head else None
            if labels is not None and len(labels) != head["classes"]:
                raise ValueError(f"head {name!r} has {head['classes']} classes and {len(labels)} names")
            heads[name] = ServedHead(int(head["classes"]), head["activation"], labels, head.get("merge"))
        points = OperatingPoints.load(folder) if "operating_points" in values else None
        sampling = values.get("sampling", "clip")
        return cls(values["model"], ClipSpec(**values["clip"]), int(values["crop_size"]), heads, sampling, points)


def _find(path: Path, version: int | None) -> Path:
    versions = sorted((int(entry.name) for entry in path.glob("*") if entry.name.isdecimal()), reverse=True)
    chosen = versions[:1] if version is None else [version]
    candidates = [path, path / CARD, path / "assets.extra" / CARD]
    candidates += [path / str(number) / "assets.extra" / CARD for number in chosen]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise ValueError(
        f"card must be an exported folder, or its assets.extra/{CARD}. Received: card={str(path)!r}, where there is "
        "none. The export wrote it on the machine of the server; copy assets.extra from there."
    )
