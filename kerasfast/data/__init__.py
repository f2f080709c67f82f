"""Videos, annotations and records; each public name loads its module on first use."""

from typing import TYPE_CHECKING

from kerasfast._lazy import lazy_names

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

_PUBLIC = {
    "ClipSpec": "clips:ClipSpec",
    "ColorJitter": "pipeline.color:ColorJitter",
    "DataError": "errors:DataError",
    "LabelSpace": "labels:LabelSpace",
    "RandAugment": "pipeline.rand_augment:RandAugment",
    "build_records": "records.build:build_records",
    "build_records_on_beam": "records.cluster:build_records_on_beam",
    "diagnose_records": "checks.records:diagnose_records",
    "diagnose_videos": "checks.videos:diagnose_videos",
    "find_frames": "annotations:find_frames",
    "find_videos": "annotations:find_videos",
    "from_folder": "folder_records:from_folder",
    "keep_freed_memory": "memory:keep_freed_memory",
    "named_damage": "pipeline.reading:named_damage",
    "read_charades_classes": "labels:read_charades_classes",
    "read_charades_csv": "annotations:read_charades_csv",
    "read_folder": "folder:read_folder",
    "read_list": "listing:read_list",
    "testing_views": "pipeline.testing:testing_views",
    "training_clips": "pipeline.training:training_clips",
    "video": "video",
    "video_labels": "pipeline.testing:video_labels",
}
__all__ = sorted(set(_PUBLIC) - {"video"})  # a module
__getattr__, __dir__ = lazy_names(__name__, _PUBLIC)
