"""The files that the pages of the documentation speak of, in small: videos, lists, annotations, a checkpoint."""

import numpy as np

from kerasfast._data_folders import zoo_dir
from kerasfast.data.video_writer import write_video

CLASSES = ("pouring", "stirring")
SECONDS = 1.75  # 42 frames, ten more than a clip
HEADS = {"charades.toml": (33, 38, 157), "miniature.toml": (8, 6, 40)}
RECIPE = """
[model]
name = "slowfast_nano"
weights = "slowfast_nano.miniature"
heads = {{verb = {}, object = {}, action = {}}}
clip = {{frames = 32, stride = 1, fps = 24.0}}

[data]
crop_size = 64
short_side = [64, 67]

[optimizer]
name = "adamw"

[schedule]
name = "constant"
learning_rate = 0.001

[training]
epochs = 1
batch_size = 2

[evaluation]
clips = 2
crops = 1
batch_size = 4
crop_size = 64
"""


def make(folder):
    """Write all of it."""
    for name, heads in HEADS.items():
        (folder / name).write_text(RECIPE.format(*heads))
    _video(folder / "kitchen.mp4", 0, seconds=2.5)
    for number, name in enumerate(CLASSES):
        for video in range(5):
            _video(folder / "clips" / name / f"{video}.mp4", number, seed=video)
    for split, videos in (("train", 4), ("test", 2)):
        lines = []
        for number in range(videos):
            _video(folder / "videos" / f"{split}{number}.mp4", number % 2, seed=number)
            lines.append(f"videos/{split}{number}.mp4,{CLASSES[number % 2]}")
        (folder / f"{split}.csv").write_text("\n".join(["path,label", *lines, ""]))
    _charades(folder)


def make_miniature(folder):
    """Write records of miniature Charades, and a checkpoint of PyTorch."""
    import published

    from kerasfast.cli.demo import build_miniature_records

    build_miniature_records(folder / "generated", 4, seed=3, test_videos=2)
    (folder / "records").mkdir()
    (folder / "generated" / "records").rename(folder / "records" / "miniature")
    (folder / "mine.pyth").write_bytes(published.content())


def _charades(folder):
    """Annotations in the format of Charades, with its classes, of people whose ids end in 1, 5, 6 and 8."""
    names = {head: (zoo_dir() / "labels" / f"charades_{head}.txt").read_text("utf-8").splitlines() for head in HEADS_OF}
    for head, (letter, file) in HEADS_OF.items():
        lines = [f"{letter}{number:03d} {name}" for number, name in enumerate(names[head])]
        (folder / f"Charades_v1_{file}.txt").write_text("\n".join(lines) + "\n")
    pairs = [f"c{number:03d} o{number % 38:03d} v{number % 33:03d}" for number in range(157)]
    (folder / "Charades_v1_mapping.txt").write_text("\n".join(pairs) + "\n")
    people = {"train": ("AA11", "AA11", "BB11", "CC15", "CC15", "DD16", "DD16"), "test": ("EE18", "EE18")}
    for split, subjects in people.items():
        lines = []
        for number, subject in enumerate(subjects):
            name = f"{split.upper()}{number}"
            _video(folder / "Charades_v1" / f"{name}.mp4", number % 2, seed=number)
            actions = f"c{number % 2:03d} 0.00 1.00;c{2 + number % 3:03d} 0.50 {SECONDS}"
            lines.append(f"{name},{subject},Someone does something.,{actions},{SECONDS}")
        header = "id,subject,script,actions,length"
        (folder / f"Charades_v1_{split}.csv").write_text("\n".join([header, *lines, ""]))


HEADS_OF = {"action": ("c", "classes"), "verb": ("v", "verbclasses"), "object": ("o", "objectclasses")}


def _video(path, kind, seed=0, seconds=SECONDS):
    """A square that rises or falls on noise, 80x72 pixels, 24 frames a second."""
    random = np.random.default_rng((seed, kind))
    left = int(random.integers(0, 50))
    frames = []
    for place in np.linspace(0, 1, round(seconds * 24)):
        frame = random.integers(0, 60, (72, 80, 3), dtype=np.uint8)
        top = int((place if kind else 1 - place) * 50)
        frame[top : top + 20, left : left + 20, kind] = 250
        frames.append(frame)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, frames, 24)
