"""Videos, annotations and records; each public name loads its module on first use."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kerasfast.data import video as video
    from kerasfast.data.annotations import find_frames as find_frames
    from kerasfast.data.annotations import find_videos as find_videos
    from kerasfast.data.annotations import read_charades_csv as read_charades_csv
    from kerasfast.data.checks.records import diagnose_records as diagnose_records
    from kerasfast.data.checks.videos import diagnose_videos as diagnose_videos
    from kerasfast.data.clips import ClipSpec as ClipSpec
    from kerasfast.data.errors import DataError as DataError
    from kerasfast.data.folder import read_folder as read_folder
    from kerasfast.data.folder_records import from_folder as from_folder
    from kerasfast.data.labels import LabelSpace as LabelSpace
    from kerasfast.data.labels import read_charades_classes as read_charades_classes
    from kerasfast.data.listing import read_list as read_list
    from kerasfast.data.memory import keep_freed_memory as keep_freed_memory
    from kerasfast.data.pipeline.color import ColorJitter as ColorJitter
    from kerasfast.data.pipeline.rand_augment import RandAugment as RandAugment
    from kerasfast.data.pipeline.reading import named_damage as named_damage
    from kerasfast.data.pipeline.testing import testing_views as testing_views
    from kerasfast.data.pipeline.testing import video_labels as video_labels
    from kerasfast.data.pipeline.training import training_clips as training_clips
    from kerasfast.data.records.build import build_records as build_records
    from kerasfast.data.records.cluster import build_records_on_beam as build_records_on_beam

# Public name -> module that defines it.
_MODULES = {
    "ClipSpec": "clips",
    "ColorJitter": "pipeline.color",
    "DataError": "errors",
    "LabelSpace": "labels",
    "RandAugment": "pipeline.rand_augment",
    "build_records": "records.build",
    "build_records_on_beam": "records.cluster",
    "diagnose_records": "checks.records",
    "diagnose_videos": "checks.videos",
    "find_frames": "annotations",
    "find_videos": "annotations",
    "from_folder": "folder_records",
    "keep_freed_memory": "memory",
    "named_damage": "pipeline.reading",
    "read_charades_classes": "labels",
    "read_charades_csv": "annotations",
    "read_folder": "folder",
    "read_list": "listing",
    "testing_views": "pipeline.testing",
    "training_clips": "pipeline.training",
    "video_labels": "pipeline.testing",
}
__all__ = sorted(_MODULES)


def __getattr__(name: str) -> Any:
    if name == "video":
        return importlib.import_module(f"{__name__}.video")
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
