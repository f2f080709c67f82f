"""Models as SavedModels, and for other runtimes. Each name loads its module on first use."""

from __future__ import annotations

import importlib
from typing import Any

_MODULES = {
    "ExportReport": "saved_model",
    "FormatReport": "formats.export",
    "export": "saved_model",
    "export_format": "formats.export",
    "load_format": "formats.export",
    "write_serving_config": "config",
}
__all__ = sorted(_MODULES)


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
