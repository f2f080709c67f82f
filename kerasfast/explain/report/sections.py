"""The sections of a report: what its template shows, made of a run."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kerasfast.explain.report import figures
from kerasfast.explain.report.classes import ClassRow, chosen_classes, class_rows, remarks
from kerasfast.explain.report.confusion import Mixed, Relation, confusion, most_mixed, pair_grid, relations
from kerasfast.explain.report.dataset import SplitFacts, split_facts
from kerasfast.explain.report.figures import Picture
from kerasfast.explain.report.mistakes import Mistake, surest_mistakes
from kerasfast.explain.report.read import Evaluation, Run
from kerasfast.explain.report.thumbnails import Thumbnail, thumbnails
from kerasfast.train.run import RECIPE_FILE
from kerasfast.train.scoring.curves import precision_recall
from kerasfast.train.scoring.scored_videos import ScoredVideos

# All thumbnails of a page together; with the plots of three heads it stays below 3 MiB.
THUMBNAIL_BYTES = 3 * 2**19
_LARGEST_THUMBNAIL = 60_000


@dataclass(frozen=True)
class Missing:
    """What a section lacks.

    Attributes:
        what: A sentence.
        command: What makes it.
    """

    what: str
    command: str


@dataclass(frozen=True)
class ConfusionSection:
    """Which class of a head is taken for which.

    Attributes:
        picture: The matrix.
        mixed: Pairs that are mixed up most.
        classes: Names of the classes.
        single: Whether every video has one class, so that it is the usual matrix.
    """

    picture: Picture
    mixed: list[Mixed]
    classes: tuple[str, ...]
    single: bool


@dataclass(frozen=True)
class HeadSections:
    """All sections of one head; what is not known is None or empty."""

    name: str
    softmax: bool
    rows: list[ClassRow]
    remarks: list[str]
    ap: Picture
    frequency: Picture | None = None
    curve: Picture | None = None
    confusion: ConfusionSection | None = None
    mistakes: list[Mistake] = field(default_factory=list)


@dataclass(frozen=True)
class Pairs:
    """Verbs against objects.

    Attributes:
        picture: Recall of every pair.
        relations: What a missed action shares with what was said instead.
        head: The head of actions.
    """

    picture: Picture
    relations: list[Relation]
    head: str


class Commands:
    """The commands that make what a run lacks, to be copied into a shell.

    Args:
        run: The run.
        records: Its records as they were given, in place of those that its recipe names.
    """

    def __init__(self, run: Run, records: str | None) -> None:
        self._folder = shlex.quote(str(run.folder))
        self._records = shlex.quote(records or run.records or "") if records or run.records else "RECORDS"
        self._recipe = shlex.quote(str(run.folder / RECIPE_FILE)) if run.recipe_text is not None else "RECIPE"

    def train(self) -> str:
        """Trains, or goes on with, the run."""
        return f"kerasfast train {self._recipe} --records {self._records} --out {self._folder}"

    def evaluate(self) -> str:
        """Scores the test videos."""
        return f"kerasfast evaluate {self._folder} --records {self._records}"

    def calibrate(self) -> str:
        """Fits thresholds and calibration."""
        return f"kerasfast calibrate {self._folder} --records {self._records} --split val"

    def report(self) -> str:
        """Makes this report with pictures and facts of the records."""
        return f"kerasfast report {self._folder} --records {self._records} --force"


def head_sections(evaluation: Evaluation, scored: ScoredVideos | None, mistakes: int) -> list[HeadSections]:
    """The sections of all heads.

    Args:
        evaluation: The figures.
        scored: The videos behind them; None where there are none, or others.
        mistakes: Mistakes of each kind to list.
    """
    return [_head(evaluation, scored, head, mistakes) for head in evaluation.heads]


def _head(evaluation: Evaluation, scored: ScoredVideos | None, head: str, mistakes: int) -> HeadSections:
    values = evaluation.heads[head]
    softmax = "top1" in values
    rows = class_rows(evaluation, head)
    found = {
        "name": head,
        "softmax": softmax,
        "rows": rows,
        "remarks": remarks(values, head),
        "ap": figures.class_ap(rows, head),
    }
    if scored is None:
        return HeadSections(**found)
    labels, scores, names = scored.labels[head], scored.scores[head], scored.classes[head]
    numbers = {name: c for c, name in enumerate(names)}
    curves = {
        row.name: precision_recall(labels[:, numbers[row.name]], scores[:, numbers[row.name]])
        for row in chosen_classes(rows)
    }
    matrix = confusion(labels, scores)
    single = bool((labels.sum(axis=1) == 1).all())
    return HeadSections(
        **found,
        frequency=figures.ap_by_frequency(rows, head),
        curve=figures.precision_recall_plot(precision_recall(labels, scores), curves, head),
        confusion=ConfusionSection(figures.confusion_plot(matrix, names, head), most_mixed(matrix), names, single),
        mistakes=surest_mistakes(scored, head, softmax=softmax, limit=mistakes),
    )


def pairs_section(scored: ScoredVideos | None) -> Pairs | None:
    """Verbs against objects, where a head of the run implies both."""
    if scored is None or not {"verb", "object"} <= set(scored.implied):
        return None
    verb, thing = (np.asarray(scored.implied[head]) for head in ("verb", "object"))
    head = next(name for name in scored.classes if name not in scored.implied)  # the one that implies
    matrix = confusion(scored.labels[head], scored.scores[head])
    verbs, things = scored.classes["verb"], scored.classes["object"]
    grid = pair_grid(matrix, verb, thing, len(verbs), len(things))
    return Pairs(figures.pair_plot(grid, verbs, things), relations(matrix, verb, thing), head)


def mistake_pictures(
    heads: Sequence[HeadSections], scored: ScoredVideos, records: str | Path, split: str
) -> dict[int, Thumbnail]:
    """A thumbnail of every video with a listed mistake; errors as in `thumbnails`."""
    videos = [mistake.video for head in heads for mistake in head.mistakes]
    limit = min(THUMBNAIL_BYTES // max(len(videos), 1), _LARGEST_THUMBNAIL)
    return thumbnails(records, split, scored.ids, videos, limit)


@dataclass(frozen=True)
class DataSection:
    """The records of a run.

    Attributes:
        splits: Their splits.
        pictures: How often each class comes, by head.
    """

    splits: list[SplitFacts]
    pictures: list[Picture]


def data_section(records: str | Path) -> DataSection:
    """Facts of records; errors as in `split_facts`."""
    splits = split_facts(records)
    first = splits[0]
    alike: dict[str, Mapping[str, list[int]]] = {
        head: {one.name: one.class_counts[head] for one in splits if one.classes.get(head) == first.classes[head]}
        for head in first.classes
    }
    return DataSection(splits, [figures.label_counts(counts, head) for head, counts in alike.items()])
