"""What a model sees: predictions over time, explanations and reports. Each name loads its module on first use."""

from __future__ import annotations

import importlib
from typing import Any

DEFAULT_MODEL = "slowfast_nano.miniature"  # its weights come with the package

_MODULES = {
    "Explanation": "explanation",
    "Segment": "timeline",
    "Timeline": "timeline",
    "contact_sheet": "heat",
    "explain_clip": "explanation",
    "explain_video": "explanation",
    "heat_video": "heat",
    "write_form": "written",
    "write_npz": "feature_files",
    "write_overlay": "overlay",
    "write_page": "timeline_page",
    "write_parquet": "feature_files",
    "write_report": "report.page",
}
__all__ = sorted(_MODULES)


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
