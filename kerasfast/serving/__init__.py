"""Models as SavedModels. Each name loads its module on first use."""

from __future__ import annotations

import importlib
from typing import Any

_MODULES = {"ExportReport": "saved_model", "export": "saved_model", "write_serving_config": "config"}
__all__ = sorted(_MODULES)


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
