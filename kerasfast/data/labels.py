"""Label spaces with a verb, an object and an action head. NumPy only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kerasfast.data.errors import DataError

HEADS = ("verb", "object", "action")
# Head -> (letter of its ids, file name after the prefix), as in the Charades archive.
_FILES = {
    "verb": ("v", "_verbclasses.txt"),
    "object": ("o", "_objectclasses.txt"),
    "action": ("c", "_classes.txt"),
}
_MAPPING_FILE = "_mapping.txt"


@dataclass(frozen=True)
class LabelSpace:
    """The classes of every head, and the verb and the object that each action implies.

    Args:
        heads: Class names by head, in the order verb, object, action.
        action_verb: For each action, the index of its verb.
        action_object: For each action, the index of its object (the object "None" is a class like any other).

    Raises:
        ValueError: Another set of heads, or an action without a verb or an object that exists.
    """

    heads: dict[str, tuple[str, ...]]
    action_verb: tuple[int, ...]
    action_object: tuple[int, ...]

    def __post_init__(self) -> None:
        if tuple(self.heads) != HEADS:
            raise ValueError(f"A LabelSpace has the heads {HEADS}, in this order. Received: {tuple(self.heads)}.")
        for head, implied in (("verb", self.action_verb), ("object", self.action_object)):
            if len(implied) != len(self.heads["action"]):
                raise ValueError(
                    f"action_{head} must have one index for each of the {len(self.heads['action'])} actions. "
                    f"Received: {len(implied)}."
                )
            wrong = [index for index in implied if not 0 <= index < len(self.heads[head])]
            if wrong:
                raise ValueError(
                    f"action_{head} must hold indices below {len(self.heads[head])}. Received: {wrong[0]}."
                )

    @property
    def sizes(self) -> dict[str, int]:
        """Number of classes by head."""
        return {head: len(names) for head, names in self.heads.items()}

    def targets(self, actions: Iterable[int]) -> dict[str, np.ndarray]:
        """Multi-hot targets of a set of actions.

        Args:
            actions: Indices of actions, in any order, repeated or not.

        Returns:
            For each head float32 `(classes,)`: 1 for the classes that an action names or implies, else 0.

        Raises:
            ValueError: An index that is no action.
        """
        targets = {head: np.zeros(size, np.float32) for head, size in self.sizes.items()}
        for action in actions:
            if not 0 <= action < self.sizes["action"]:
                raise ValueError(
                    f"An action is an index below {self.sizes['action']}. Received: {action!r}. "
                    "Check that annotations and class files belong together."
                )
            targets["verb"][self.action_verb[action]] = 1
            targets["object"][self.action_object[action]] = 1
            targets["action"][action] = 1
        return targets

    def to_dict(self) -> dict[str, Any]:
        """The label space in plain types, for JSON."""
        return {
            "heads": {head: list(names) for head, names in self.heads.items()},
            "action_verb": list(self.action_verb),
            "action_object": list(self.action_object),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> LabelSpace:
        """The label space that `to_dict` described."""
        return cls(
            heads={head: tuple(values["heads"][head]) for head in HEADS},
            action_verb=tuple(values["action_verb"]),
            action_object=tuple(values["action_object"]),
        )


def read_charades_classes(folder: str | Path, prefix: str | None = None) -> LabelSpace:
    """Reads the four class files of a dataset in the format of Charades.

    `{prefix}_classes.txt` ("c000 Holding some clothes"), `{prefix}_verbclasses.txt` ("v000 awaken"),
    `{prefix}_objectclasses.txt` ("o000 None") and `{prefix}_mapping.txt` ("c000 o009 v008").

    Args:
        folder: Folder of the four files.
        prefix: What their names begin with, for example "Charades_v1"; by default the only one in the folder.

    Raises:
        DataError: A file is missing, or a line does not follow the format; names the file and the line.
    """
    folder = Path(folder)
    prefix = _find_prefix(folder) if prefix is None else prefix
    heads = {head: _read_names(folder / f"{prefix}{ending}", letter) for head, (letter, ending) in _FILES.items()}
    implied = _read_mapping(folder / f"{prefix}{_MAPPING_FILE}", {head: len(heads[head]) for head in HEADS})
    return LabelSpace(
        heads=heads,
        action_verb=tuple(verb for _, verb in implied),
        action_object=tuple(item for item, _ in implied),
    )


def parse_class_id(text: str, letter: str, count: int, where: str) -> int:
    """The index in a class id such as "c092".

    Args:
        text: The id.
        letter: The letter that it begins with.
        count: Number of classes.
        where: File and line, for the message.

    Raises:
        DataError: Not the id of one of `count` classes.
    """
    if text[:1] == letter and text[1:].isascii() and text[1:].isdigit() and int(text[1:]) < count:
        return int(text[1:])
    raise DataError(
        f"{where}: unknown class {text!r}; expected {letter}{0:03d} to {letter}{count - 1:03d}. "
        "Correct the id, or give the class files that belong to these annotations."
    )


def _find_prefix(folder: Path) -> str:
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder. Give the folder of the class files.")
    found = sorted(path.name.removesuffix(_MAPPING_FILE) for path in folder.glob(f"*{_MAPPING_FILE}"))
    if len(found) != 1:
        problem = f"the class files of {len(found)} datasets ({', '.join(found)})" if found else "no class files"
        raise DataError(
            f"{folder}: {problem}; expected one set of *_classes.txt, *_verbclasses.txt, *_objectclasses.txt and "
            "*_mapping.txt. Give another folder, or name the set by its prefix."
        )
    return found[0]


def _read_lines(path: Path) -> list[tuple[str, str]]:
    """The non-empty lines of a text file, each with "file:line"."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path}: cannot be read as text ({error}). The class files of a dataset are four text files."
        ) from error
    lines = [(f"{path}:{number}", line.strip()) for number, line in enumerate(text.splitlines(), 1)]
    return [(where, line) for where, line in lines if line]


def _read_names(path: Path, letter: str) -> tuple[str, ...]:
    names = []
    for where, line in _read_lines(path):
        found, _, name = line.partition(" ")
        if found != f"{letter}{len(names):03d}" or not name.strip():
            raise DataError(
                f"{where}: expected '{letter}{len(names):03d} <name>'. Received: {line!r}. "
                "Ids count up from zero without a gap."
            )
        names.append(name.strip())
    if not names:
        raise DataError(f"{path}: holds no class. Expected lines such as '{letter}000 <name>'.")
    return tuple(names)


def _read_mapping(path: Path, sizes: dict[str, int]) -> list[tuple[int, int]]:
    """The (object, verb) of every action."""
    mapping: dict[int, tuple[int, int]] = {}
    for where, line in _read_lines(path):
        fields = line.split()
        if len(fields) != 3:
            raise DataError(f"{where}: expected 'c000 o000 v000' (action, object, verb). Received: {line!r}.")
        action = parse_class_id(fields[0], "c", sizes["action"], where)
        if action in mapping:
            raise DataError(f"{where}: action {fields[0]} is mapped a second time. Delete one of the two lines.")
        mapping[action] = (
            parse_class_id(fields[1], "o", sizes["object"], where),
            parse_class_id(fields[2], "v", sizes["verb"], where),
        )
    missing = [action for action in range(sizes["action"]) if action not in mapping]
    if missing:
        raise DataError(
            f"{path}: {len(missing)} actions have no line, the first is c{missing[0]:03d}. Add its object and verb."
        )
    return [mapping[action] for action in range(sizes["action"])]
