"""The miniature data that tools/bench_charades.py trains and tests on, as records."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kerasfast.data.annotations import VideoRow, find_videos, read_charades_csv
from kerasfast.data.labels import LabelSpace, read_charades_classes
from kerasfast.data.miniature.files import NOVEL_FOLDER, PREFIX
from kerasfast.data.miniature.generate import generate, is_generated, settings
from kerasfast.data.records.build import build_records
from kerasfast.models.variants import variant

# Subjects of the training split that are held out for thresholds: a sixth of its 120. No other video shows them.
VALIDATION_SUBJECTS = tuple(f"S{number:03d}" for number in range(100, 120))


@dataclass(frozen=True)
class Miniature:
    """Records of one miniature: `charades` holds train, val and test, `kinetics` train, `novel` the novel pairs."""

    charades: Path
    kinetics: Path
    novel: Path
    labels: LabelSpace
    novel_labels: LabelSpace


def prepare(work: Path, seed: int, videos: int) -> Miniature:
    """Videos and records of a seed; what is there already is kept."""
    source = work / "miniature"
    if not is_generated(source, settings(videos, seed=seed)):
        generate(source, train_videos=videos, seed=seed)
    labels = read_charades_classes(source)
    novel_labels = read_charades_classes(source / NOVEL_FOLDER)
    # Each video of the split shows one action: a head of which one class holds. It has another name, so that none of
    # the three heads that come later starts from it.
    single = LabelSpace({"kind": labels.heads["action"]}, {"kind": "softmax"})
    made = Miniature(work / "records", work / "records-kinetics", work / "records-novel", labels, novel_labels)
    train = _rows(source, "train", labels)
    for records, split, space, rows in (
        (made.charades, "train", labels, [row for row in train if row.subject not in VALIDATION_SUBJECTS]),
        (made.charades, "val", labels, [row for row in train if row.subject in VALIDATION_SUBJECTS]),
        (made.charades, "test", labels, _rows(source, "test", labels)),
        (made.novel, "novel", novel_labels, _rows(source, "novel", novel_labels)),
        (made.kinetics, "kinetics_train", single, _rows(source, "kinetics_train", labels)),
    ):
        row = variant("slowfast_nano")
        training = split.endswith("train")
        build_records(
            rows,
            find_videos(rows, source / "videos"),
            space,
            records,
            clip=row.clip,
            split=split,
            short_side=row.short_side[1] if training else row.test_crop_size,
            rounds=1,  # videos of seconds: one segment holds the whole of each
        )
    return made


def _rows(source: Path, split: str, labels: LabelSpace) -> list[VideoRow]:
    return list(read_charades_csv(source / f"{PREFIX}_{split}.csv", labels).rows)
