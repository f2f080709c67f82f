"""Where the data folders are: beside the package in a checkout, inside it in a wheel."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def zoo_dir() -> Path:
    """The folder of `index.toml`, labels and small weights."""
    return _first(_PACKAGE / "_zoo", _PACKAGE.parent / "zoo", holding="index.toml")


def recipes_dir() -> Path:
    """The folder of training recipes."""
    return _first(_PACKAGE / "_recipes", _PACKAGE.parent / "training" / "recipes", holding="*.toml")


def _first(*folders: Path, holding: str) -> Path:
    # A checkout has no `_zoo` (it is git-ignored), so its live files win there.
    for folder in folders:
        if any(folder.glob(holding)):
            return folder
    raise FileNotFoundError(
        f"kerasfast's data folder is missing: no {holding} in {' or '.join(map(str, folders))}. "
        "Install kerasfast again."
    )
