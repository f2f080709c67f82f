"""What must be the same when a run goes on: recipe, records and determinism."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kerasfast.data.records.read import parse_manifest
from kerasfast.train.recipes.recipe import Recipe
from kerasfast.train.recipes.toml_tables import to_table

# Tables that say nothing about the training itself, and how often it is saved.
_FREE = ("name", "evaluation", "published", "smoke", "training.checkpoint_steps")


@dataclass(frozen=True)
class RunIdentity:
    """What makes two runs the same.

    Args:
        recipe: The recipe as nested tables.
        records: For each split, a hash of its content.
        deterministic: Whether operations are deterministic.
    """

    recipe: dict[str, Any]
    records: dict[str, str]
    deterministic: bool

    @classmethod
    def of(cls, recipe: Recipe, records: str | Path, deterministic: bool) -> RunIdentity:
        """The identity of a run that is about to start.

        Raises:
            DataError: A split of the records has no readable manifest.
        """
        splits = [split for split in (recipe.data.train_split, recipe.data.validation_split) if split is not None]
        table = json.loads(json.dumps(to_table(recipe)))  # lists for tuples, as they are read back
        return cls(table, {split: _content(records, split) for split in splits}, deterministic)

    def to_dict(self) -> dict[str, Any]:
        """The identity in plain types."""
        return asdict(self)

    def check(self, saved: Mapping[str, Any], where: str) -> None:
        """Refuse to go on with the checkpoints of another run.

        Args:
            saved: `to_dict` of the run that wrote them.
            where: Start of the message.

        Raises:
            ValueError: Names the key of the recipe, or the split of the records, that differs.
        """
        then = "Give it as it was, another folder, or allow to overwrite the run."
        keys = _differing(saved["recipe"], self.recipe)
        if keys:
            key, was, now = keys[0]
            raise ValueError(
                f"{where} holds an unfinished run of another recipe: {key} was {was!r}, now it is {now!r}. {then}"
            )
        for split, content in self.records.items():
            if saved["records"].get(split) != content:
                raise ValueError(f"{where} holds an unfinished run on other records of split {split!r}. {then}")
        if saved["deterministic"] != self.deterministic:
            raise ValueError(
                f"{where} holds an unfinished run with deterministic={saved['deterministic']}, now it is "
                f"{self.deterministic}. {then}"
            )


def _content(records: str | Path, split: str) -> str:
    manifest = parse_manifest(records, split)
    content = [manifest.fingerprint, [shard.sha256 for shard in manifest.shards]]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _differing(old: Any, new: Any, key: str = "") -> list[tuple[str, Any, Any]]:
    """Dotted keys whose values differ, with both; None where a table lacks the key."""
    if key in _FREE:
        return []
    if isinstance(old, dict) and isinstance(new, dict):
        names = [*old, *(name for name in new if name not in old)]
        pairs = ((f"{key}.{name}" if key else name, old.get(name), new.get(name)) for name in names)
        return [found for name, was, now in pairs for found in _differing(was, now, name)]
    return [] if old == new else [(key, old, new)]
