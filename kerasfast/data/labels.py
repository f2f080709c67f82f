"""Label spaces: the heads of a data set, their classes, and what the labels of its annotations mean. NumPy only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from kerasfast.data.errors import DataError

# "sigmoid": any number of classes may hold at once; "softmax": exactly one does.
ACTIVATIONS = ("sigmoid", "softmax")
CHARADES_HEADS = ("verb", "object", "action")
# Head -> (letter of its ids, file name after the prefix), as in the Charades archive.
_FILES = {
    "verb": ("v", "_verbclasses.txt"),
    "object": ("o", "_objectclasses.txt"),
    "action": ("c", "_classes.txt"),
}
_MAPPING_FILE = "_mapping.txt"


@dataclass(frozen=True)
class LabelSpace:
    """The heads of a data set with their classes, and which classes a label of its annotations stands for.

    A label is the number that a timed action carries. It counts the classes of the heads that are annotated: those of
    the only one, or those of all one after the other. An implied head is not annotated: each class of the
    annotated head, of which there is one then, implies a class of it, as an action of Charades implies a verb and an
    object.

    Args:
        heads: Class names by head.
        activations: "sigmoid" for a head whose classes may hold together, "softmax" for one of which every clip has
            one class; heads that are not named are "sigmoid".
        implied: For each implied head, the index of its class for each class of the annotated head.

    Raises:
        ValueError: A head without classes, an unknown head or activation, or implied classes that do not exist.

    >>> space = LabelSpace({"verb": ("open", "close"), "noun": ("door", "box", "bag")})
    >>> space.label("noun", "box")
    3
    >>> {head: target.tolist() for head, target in space.targets([0, 3]).items()}
    {'verb': [1.0, 0.0], 'noun': [0.0, 1.0, 0.0]}
    """

    heads: dict[str, tuple[str, ...]]
    activations: dict[str, str] = field(default_factory=dict)
    implied: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.heads or not all(self.heads.values()):
            raise ValueError(f"A LabelSpace needs a head, and a class for each. Received: {self.heads}.")
        for name, values in (("activations", self.activations), ("implied", self.implied)):
            if unknown := [head for head in values if head not in self.heads]:
                raise ValueError(f"{name} must be of the heads {tuple(self.heads)}. Received: {unknown[0]!r}.")
        for head, activation in self.activations.items():
            if activation not in ACTIVATIONS:
                raise ValueError(f"The activation of {head!r} must be one of {ACTIVATIONS}. Received: {activation!r}.")
        object.__setattr__(self, "activations", {head: self.activations.get(head, "sigmoid") for head in self.heads})
        if self.implied and len(self.annotated) != 1:
            raise ValueError(
                "Where heads are implied, one head is annotated and implies them. "
                f"Received: implied {tuple(self.implied)} of {tuple(self.heads)}."
            )
        for head, implied in self.implied.items():
            size = len(self.heads[head])
            if len(implied) != self.labels or not all(0 <= index < size for index in implied):
                raise ValueError(
                    f"implied[{head!r}] must hold an index below {size} for each of the {self.labels} classes of "
                    f"{self.annotated[0]!r}. Received: {implied}."
                )

    @property
    def sizes(self) -> dict[str, int]:
        """Number of classes by head."""
        return {head: len(names) for head, names in self.heads.items()}

    @property
    def annotated(self) -> tuple[str, ...]:
        """The heads whose classes annotations name."""
        return tuple(head for head in self.heads if head not in self.implied)

    @property
    def labels(self) -> int:
        """Number of labels."""
        return sum(len(self.heads[head]) for head in self.annotated)

    def label(self, head: str, name: str) -> int:
        """The label that stands for a class of an annotated head.

        Raises:
            ValueError: There is no such head, or no such class in it.
        """
        if head not in self.annotated:
            raise ValueError(f"Annotations name classes of {self.annotated}. Received: head {head!r}.")
        if name not in self.heads[head]:
            raise ValueError(f"{name!r} is none of the {len(self.heads[head])} classes of {head!r}.")
        before = self.annotated[: self.annotated.index(head)]
        return sum(len(self.heads[other]) for other in before) + self.heads[head].index(name)

    @cached_property
    def classes(self) -> dict[str, np.ndarray]:
        """For each head, int64 `(labels,)`: the class that each label stands for, -1 for none."""
        tables = {head: np.full(self.labels, -1, np.int64) for head in self.heads}
        offset = 0
        for head in self.annotated:
            size = len(self.heads[head])
            tables[head][offset : offset + size] = range(size)
            offset += size
        for head, implied in self.implied.items():
            tables[head][:] = implied
        return tables

    def targets(self, actions: Iterable[int]) -> dict[str, np.ndarray]:
        """Multi-hot targets of a set of actions.

        Args:
            actions: Labels, in any order, repeated or not.

        Returns:
            For each head float32 `(classes,)`: 1 for the classes that an action names or implies, else 0.

        Raises:
            ValueError: A number that is no label.
        """
        targets = {head: np.zeros(size, np.float32) for head, size in self.sizes.items()}
        for action in actions:
            if not 0 <= action < self.labels:
                raise ValueError(
                    f"An action is an index below {self.labels}. Received: {action!r}. "
                    "Check that annotations and class files belong together."
                )
            for head, classes in self.classes.items():
                if classes[action] >= 0:
                    targets[head][classes[action]] = 1
        return targets

    def parts(self, head: str, of: Iterable[str]) -> dict[str, tuple[int, ...]]:
        """Which class of some implied heads belongs to each class of the head that implies them.

        Raises:
            ValueError: `head` is not the annotated head, or one of `of` is not implied by it.
        """
        if strange := [part for part in of if part not in self.implied] or [h for h in [head] if h in self.implied]:
            raise ValueError(
                f"Only the annotated head {self.annotated[0]!r} has parts, among {tuple(self.implied) or 'none'}. "
                f"Received: {strange[0]!r} for the head {head!r}."
            )
        return {part: self.implied[part] for part in of}

    def head_fields(self) -> dict[str, dict[str, Any]]:
        """What `kerasfast.load(heads=...)` takes: for each head `classes`, `activation` and `labels`."""
        return {
            head: {"classes": len(names), "activation": self.activations[head], "labels": names}
            for head, names in self.heads.items()
        }

    def to_dict(self) -> dict[str, Any]:
        """The label space in plain types, for JSON."""
        heads = {head: list(names) for head, names in self.heads.items()}
        implied = {head: list(classes) for head, classes in self.implied.items()}
        return {"heads": heads, "activations": dict(self.activations), "implied": implied}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> LabelSpace:
        """The label space that `to_dict` described."""
        heads = {head: tuple(names) for head, names in values["heads"].items()}
        implied = {head: tuple(classes) for head, classes in values["implied"].items()}
        return cls(heads, dict(values["activations"]), implied)

    @classmethod
    def charades(
        cls, heads: Mapping[str, Iterable[str]], action_verb: Iterable[int], action_object: Iterable[int]
    ) -> LabelSpace:
        """A label space of Charades: actions are annotated, each implies a verb and an object.

        Args:
            heads: Class names of verb, object and action.
            action_verb: For each action, the index of its verb.
            action_object: For each action, the index of its object (the object "None" is a class like any other).

        Raises:
            ValueError: Another set of heads, or an action without a verb or an object that exists.
        """
        if set(heads) != set(CHARADES_HEADS):
            raise ValueError(f"Charades has the heads {CHARADES_HEADS}. Received: {tuple(heads)}.")
        return cls(
            heads={head: tuple(heads[head]) for head in CHARADES_HEADS},
            implied={"verb": tuple(action_verb), "object": tuple(action_object)},
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
    implied = _read_mapping(folder / f"{prefix}{_MAPPING_FILE}", {head: len(names) for head, names in heads.items()})
    return LabelSpace.charades(heads, (verb for _, verb in implied), (item for item, _ in implied))


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
