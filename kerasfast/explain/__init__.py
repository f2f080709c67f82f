"""What a model sees: predictions over time, explanations and reports. Each name loads its module on first use."""

from __future__ import annotations

from kerasfast._lazy import lazy_names

DEFAULT_MODEL = "slowfast_nano.miniature"  # its weights come with the package

_PUBLIC = {
    "Explanation": "maps.explanation:Explanation",
    "Segment": "timelines.timeline:Segment",
    "Timeline": "timelines.timeline:Timeline",
    "contact_sheet": "maps.heat:contact_sheet",
    "explain_clip": "maps.explanation:explain_clip",
    "explain_video": "maps.explanation:explain_video",
    "heat_video": "maps.heat:heat_video",
    "write_form": "timelines.text_forms:write_form",
    "write_npz": "features.files:write_npz",
    "write_overlay": "timelines.overlay:write_overlay",
    "write_page": "timelines.page:write_page",
    "write_parquet": "features.files:write_parquet",
    "write_report": "report.page:write_report",
}
__all__ = sorted(_PUBLIC)
__getattr__, __dir__ = lazy_names(__name__, _PUBLIC)
