"""The packages of a runtime, which are extras of kerasfast."""

from __future__ import annotations

import importlib
from types import ModuleType


def need(extra: str, *names: str) -> list[ModuleType]:
    """Import modules that an extra of kerasfast brings.

    Args:
        extra: Name of the extra, which is also that of the format.
        names: The modules, by dotted name.

    Raises:
        ValueError: One is missing; says what to install.
    """
    modules = []
    for name in names:
        try:
            modules.append(importlib.import_module(name))
        except ImportError as error:
            raise ValueError(
                f"The format {extra!r} needs the package {name.partition('.')[0]}, which cannot be imported "
                f"({error}): pip install 'kerasfast[{extra}]'"
            ) from error
    return modules
