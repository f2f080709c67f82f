"""Models as SavedModels, and for other runtimes. Each name loads its module on first use."""

from __future__ import annotations

from kerasfast._lazy import lazy_names

_PUBLIC = {
    "ExportReport": "saved_model:ExportReport",
    "FormatReport": "formats.export:FormatReport",
    "export": "saved_model:export",
    "export_format": "formats.export:export_format",
    "load_format": "formats.export:load_format",
    "write_serving_config": "config:write_serving_config",
}
__all__ = sorted(_PUBLIC)
__getattr__, __dir__ = lazy_names(__name__, _PUBLIC)
