"""Miniature Charades in the files of Charades: class files and annotations. NumPy only."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from kerasfast.data.miniature.plan import ACTIONS, FPS, NOVEL_ACTIONS, OBJECTS, VERBS, Action
from kerasfast.data.miniature.scripts import Script
from kerasfast.data.miniature.subjects import make_subject

PREFIX = "Miniature_v1"
NOVEL_FOLDER = "novel"
_COLUMNS = (
    "id",
    "subject",
    "scene",
    "quality",
    "relevance",
    "verified",
    "script",
    "objects",
    "descriptions",
    "actions",
    "length",
)


def class_files(actions: Sequence[Action] = ACTIONS) -> dict[str, str]:
    """Name and text of the four class files that describe `actions` and the verbs and objects."""
    return {
        f"{PREFIX}_classes.txt": _numbered("c", (action.name for action in actions)),
        f"{PREFIX}_verbclasses.txt": _numbered("v", VERBS),
        f"{PREFIX}_objectclasses.txt": _numbered("o", OBJECTS),
        f"{PREFIX}_mapping.txt": _numbered("c", (f"o{action.object:03d} v{action.verb:03d}" for action in actions)),
    }


def annotation_csv(scripts: Iterable[Script], seed: int) -> str:
    """Text of the annotation file of these videos, in the columns of Charades."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)  # quotes only where a comma asks for it and CRLF line ends, as the original
    writer.writerow(_COLUMNS)
    for script in scripts:
        writer.writerow(_row(script, seed))
    return text.getvalue()


def write_annotations(out: Path, scripts: dict[str, list[Script]], seed: int) -> None:
    """Write the class files and one CSV a split into `out`.

    The novel pairs have class files of their own in `out/novel`: the 40 classes under their numbers, then the six
    novel pairs, with the same verbs and objects. So a model with 40 actions is scored on the novel videos with its
    verb and object heads, and no file of the other splits knows of a class that nothing trains.

    `scripts` begins with the training split; its CSV is written last, so where it is, everything is.
    """
    for folder, actions in ((out, ACTIONS), (out / NOVEL_FOLDER, ACTIONS + NOVEL_ACTIONS)):
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in class_files(actions).items():
            _write(folder / name, text)
    for split, videos in reversed(scripts.items()):
        _write(out / f"{PREFIX}_{split}.csv", annotation_csv(videos, seed))


def remove_annotations(out: Path) -> None:
    """Take away what `write_annotations` wrote, so that a folder without all its videos does not look complete."""
    for path in [*out.glob(f"{PREFIX}_*"), *(out / NOVEL_FOLDER).glob(f"{PREFIX}_*")]:
        path.unlink()


def _row(script: Script, seed: int) -> list[str | int]:
    things = sorted({part.action.object_name for part in script.parts})
    names = [part.action.name for part in script.parts]
    story = ", then ".join(name[0].lower() + name[1:] for name in names)
    rng = np.random.default_rng([seed, script.subject, script.index, 13])
    segments = (f"c{part.number:03d} {part.start / FPS:.2f} {part.end / FPS:.2f}" for part in script.parts)
    return [
        script.id,
        f"S{script.subject:03d}",
        make_subject(script.subject, seed).scene,
        int(rng.integers(4, 8)),  # the original's marks for quality and relevance go up to 7
        int(rng.integers(4, 8)),
        "Yes",
        f"Somebody unseen is {story}.",
        ";".join(things),
        ";".join(f"{name}." for name in names),
        ";".join(segments),
        f"{script.frames / FPS:.2f}",
    ]


def _numbered(letter: str, names: Iterable[str]) -> str:
    return "".join(f"{letter}{number:03d} {name}\n" for number, name in enumerate(names))


def _write(path: Path, text: str) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8", newline="")
    partial.replace(path)
