import csv
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from kerasfast.data import miniature, video
from kerasfast.data.annotations import read_charades_csv
from kerasfast.data.errors import DataError
from kerasfast.data.labels import read_charades_classes
from kerasfast.data.miniature_plan import ACTIONS, FPS, NOVEL_ACTIONS, OBJECTS, VERBS, motion_pairs
from kerasfast.data.miniature_render import render, rolling_turns
from kerasfast.data.miniature_scripts import SUBJECTS, Part, Script, write_scripts
from kerasfast.data.miniature_sprites import ROLL_STEPS, Sprites
from kerasfast.data.miniature_subjects import draw_background, make_subject

ROOT = Path(__file__).parents[1]
SEED = 5
SPLITS = tuple(SUBJECTS)


@pytest.fixture(scope="module")
def scripts():
    """The scripts of the default data set; they cost little as nothing is drawn."""
    return {split: write_scripts(split, videos, SEED) for split, videos in miniature.split_sizes().items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("miniature") / "set"
    miniature.generate(out, train_videos=8, test_videos=3, seed=SEED, processes=1)
    return out


def videos_of_each_class(scripts):
    numbers = [number for script in scripts for number in {part.number for part in script.parts}]
    return np.bincount(numbers, minlength=len(ACTIONS))


# ------------------------------------------------------------------------------------------------ the plan


def test_plan_has_the_promised_counts():
    assert (len(VERBS), len(OBJECTS), len(ACTIONS), len(NOVEL_ACTIONS)) == (8, 6, 40, 6)
    assert not set(ACTIONS) & set(NOVEL_ACTIONS)
    assert len({action.name for action in ACTIONS + NOVEL_ACTIONS}) == 46
    assert {action.verb for action in ACTIONS} == set(range(8))
    assert {action.object for action in ACTIONS} == set(range(6))


def test_exactly_four_pairs_of_actions_differ_only_by_the_rolling_direction():
    rolling = [index for index, action in enumerate(ACTIONS) if action.verb_name.startswith("roll")]
    same_object = [(a, b) for a, b in combinations(rolling, 2) if ACTIONS[a].object == ACTIONS[b].object]
    assert len(same_object) == 4
    assert tuple(same_object) == motion_pairs()
    assert miniature.motion_actions() == tuple(sorted({number for pair in same_object for number in pair}))
    assert not any(action.verb_name.startswith("roll") for action in NOVEL_ACTIONS)


@pytest.mark.parametrize("head", ["verb", "object", "action"])
def test_labels_of_the_zoo_are_those_of_the_generator(head):
    names = {"verb": VERBS, "object": OBJECTS, "action": tuple(action.name for action in ACTIONS)}[head]
    text = (ROOT / "zoo" / "labels" / f"miniature_{head}.txt").read_text(encoding="utf-8")
    assert tuple(text.splitlines()) == names


# --------------------------------------------------------------------------------- scripts at default size


def test_splits_have_the_default_sizes_and_shrink_together(scripts):
    sizes = {"train": 1200, "test": 400, "novel": 60, "kinetics_train": 400, "kinetics_test": 100}
    assert {split: len(videos) for split, videos in scripts.items()} == sizes
    assert miniature.split_sizes(60) == {
        "train": 60, "test": 20, "novel": 3, "kinetics_train": 20, "kinetics_test": 5,
    }  # fmt: skip
    assert min(miniature.split_sizes(1).values()) == 1
    ids = [script.id for videos in scripts.values() for script in videos]
    assert len(set(ids)) == len(ids)


def test_training_split_has_a_long_tail_but_no_empty_class(scripts):
    counts = videos_of_each_class(scripts["train"])
    assert counts.max() >= 20 * counts.min()
    assert counts.min() >= 10
    for down, up in motion_pairs():  # else the prior would tell the direction
        assert abs(counts[down] - counts[up]) <= 1
        assert counts[down] >= np.median(counts)


def test_every_class_has_eight_test_videos(scripts):
    counts = videos_of_each_class(scripts["test"])
    assert len(counts) == 40
    assert counts.min() >= 8
    for down, up in motion_pairs():
        assert abs(counts[down] - counts[up]) <= 1


def test_novel_pairs_occur_in_the_novel_split_only(scripts):
    shown = {split: {part.action for s in videos for part in s.parts} for split, videos in scripts.items()}
    assert shown["novel"] == set(NOVEL_ACTIONS)
    for split in SPLITS:
        if split != "novel":
            assert shown[split] == set(ACTIONS)


def test_splits_share_no_subject_and_no_look(scripts):
    looks = {}
    for split, videos in scripts.items():
        used = {script.subject for script in videos}
        assert used <= set(SUBJECTS[split])
        for number in used:
            subject = make_subject(number, SEED)
            palette = (*subject.outline, *subject.texture.mean(axis=(0, 1)).round(3))
            looks[number] = (palette, subject.waves, subject.scene_hues, subject.scene_pitch)
    for a, b in combinations(SPLITS, 2):
        assert not set(SUBJECTS[a]) & set(SUBJECTS[b])
    for item in zip(*looks.values(), strict=True):  # every subject has a palette, texture and background of its own
        assert len(set(item)) == len(looks)


def test_scripts_follow_the_specification(scripts):
    for split, videos in scripts.items():
        overlapping = 0
        for script in videos:
            single = split.startswith("kinetics")
            assert len(script.parts) == 1 if single else 2 <= len(script.parts) <= 5
            assert 4 * FPS <= script.frames <= 10 * FPS
            assert (script.height, script.width) in {(96, 96), (96, 112), (96, 128)}
            assert len({part.number for part in script.parts}) == len(script.parts)
            for part in script.parts:
                assert 0 <= part.start < part.end <= script.frames
                assert part.end - part.start >= 32  # a whole clip of the nano network fits
                assert 20 <= part.x <= script.width - 20
                assert 20 <= part.y <= script.height - 20
            overlapping += any(a.end > b.start and b.end > a.start for a, b in combinations(script.parts, 2))
        if not split.startswith("kinetics"):
            assert overlapping > len(videos) / 2


def test_scripts_depend_on_seed_and_split_only():
    assert write_scripts("test", 20, 3) == write_scripts("test", 20, 3)
    assert write_scripts("test", 20, 3) != write_scripts("test", 20, 4)
    with pytest.raises(ValueError, match="split='val'"):
        write_scripts("val", 20, 3)


# ------------------------------------------------------------------------------------------------ pictures


@pytest.mark.parametrize("thing", OBJECTS)
def test_sprites_fill_their_box_and_repeat_after_one_period(thing):
    sprites = Sprites(thing, 30, make_subject(0, SEED), phase=0.3)
    still = sprites.resized(30, 30)
    rows, columns = np.nonzero(still[..., 3] > 0.5)
    assert min(np.ptp(rows), np.ptp(columns)) >= 24
    assert sprites.resized(20, 40).shape == (20, 40, 4)
    assert sprites.opened(7).shape == (30, 37, 4)
    np.testing.assert_array_equal(sprites.rolled(5), sprites.rolled(5 + ROLL_STEPS))
    # The surface moves, the outline does not.
    assert np.abs(sprites.rolled(ROLL_STEPS // 2) - sprites.rolled(0))[..., :3].max() > 60
    np.testing.assert_array_equal(sprites.rolled(ROLL_STEPS // 2)[..., 3], sprites.rolled(0)[..., 3])


def test_rolling_down_moves_the_surface_down():
    sprites = Sprites("square", 32, make_subject(1, SEED))
    before, after = sprites.rolled(0)[4:-4, 12:20, :3].mean((1, 2)), sprites.rolled(3)[4:-4, 12:20, :3].mean((1, 2))
    error = {shift: np.abs(after[4:-4] - np.roll(before, shift)[4:-4]).mean() for shift in (-1, 0, 1)}
    assert min(error, key=error.get) == 1


def test_backgrounds_are_cluttered_in_every_scene():
    scenes = {}
    for number in range(40):
        subject = make_subject(number, SEED)
        picture = draw_background(subject, 96, 96, np.random.default_rng(0))
        assert picture.shape == (108, 108, 3)
        scenes.setdefault(subject.scene, []).append(picture.std())
    assert len(scenes) == 6
    assert min(min(contrasts) for contrasts in scenes.values()) > 8


# ------------------------------------------- controls: only the order of all frames tells the rolling verbs apart

CLIP = 32  # frames of a clip, as the nano networks take them
TRAIN_CLIPS, TEST_CLIPS = 240, 240


def binomial_bound(clips):
    """Accuracy that guessing exceeds once in 1,000 times (normal approximation)."""
    return 0.5 + 3.09 * 0.5 / clips**0.5


PLACES = ((24, 24), (24, 72), (72, 24), (72, 72))  # one rolling object in each quarter of a video


def rolling_crops(split, clips, folder):
    """Clips of rolling objects from videos of the eight actions, as drawn and as read from an mp4.

    Returns brightness (2, clips, 32, 24, 24) and, for each clip, whether it rolls up (clips,).
    """
    upwards = np.random.default_rng(len(split)).permutation(clips) % 2
    crops = []
    for index in range(clips // 4):
        parts = []
        for pair, up, (y, x) in zip(motion_pairs(), upwards[4 * index :], PLACES, strict=False):
            parts.append(Part(ACTIONS[pair[up]], pair[up], 0, CLIP + 8, x, y))
        subject = SUBJECTS[split][index % len(SUBJECTS[split])]
        drawn = render(Script("x", split, index, subject, CLIP + 8, 96, 96, tuple(parts)), SEED)
        miniature.encode(folder / "x.mp4", drawn)
        both = np.stack([drawn, video.read_video(folder / "x.mp4")]).mean(axis=-1)
        for y, x in PLACES:
            crops.append(both[:, 4 : 4 + CLIP, y - 12 : y + 12, x - 12 : x + 12])  # past the fading in
    return np.stack(crops, axis=1).astype(np.float32), upwards.astype(bool)


@pytest.fixture(scope="module")
def all_crops(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mp4")
    return {split: rolling_crops(split, n, folder) for split, n in (("train", TRAIN_CLIPS), ("test", TEST_CLIPS))}


@pytest.fixture(params=["drawn", "mp4"])
def crops(request, all_crops):
    """Split -> (crops, directions), of the frames as drawn or of the decoded mp4."""
    place = ["drawn", "mp4"].index(request.param)
    return {split: (crops[place], directions) for split, (crops, directions) in all_crops.items()}


CLASSIFIERS = {
    "linear": lambda: LogisticRegression(C=0.1, max_iter=2000),
    "neighbours": lambda: KNeighborsClassifier(9),
    "network": lambda: MLPClassifier((32,), alpha=1.0, early_stopping=True, random_state=0),
}


def accuracy(crops, features, kind, components=None):
    """Share of the test clips whose direction a classifier finds; `features`: crops -> (examples a clip, clips, n)."""
    train, test = features(crops["train"][0]), features(crops["test"][0])[0]
    steps = [StandardScaler(), *([PCA(components, random_state=0)] if components else []), CLASSIFIERS[kind]()]
    model = make_pipeline(*steps)
    model.fit(np.concatenate(train), np.tile(crops["train"][1], len(train)))
    return (model.predict(test) == crops["test"][1]).mean()


TRAINING_MOMENTS = (13, 2, 20, 30)  # frames of each clip to train on, one at a time; the first is tested


def pixels(crops):
    """One frame as it is."""
    return [crops[:, moment].reshape(len(crops), -1) for moment in TRAINING_MOMENTS]


def edges(crops):
    """What motion may leave behind in one frame: contrast, sharpness, and a fainter edge above or below each edge."""
    examples = []
    for moment in TRAINING_MOMENTS:
        picture = crops[:, moment]
        slope, sideways = np.diff(picture, axis=1), np.diff(picture, axis=2)
        shares = np.linspace(0.02, 0.98, 13)
        spread = [np.quantile(values, shares, axis=(1, 2)).T for values in (picture, slope, sideways)]
        bands = np.diff(picture[:, :, 8:16].mean(axis=2), axis=1)  # the noise averages out along a band
        examples.append(np.concatenate([*spread, trails(slope), trails(bands[..., None])], axis=1))
    return examples


def trails(slope):
    """Whether edges have fainter ones of the same sense 1 to 7 pixels above (positive) or below: (clips, 7)."""
    strong = np.abs(slope) * slope
    scale = (np.abs(slope) ** 3).mean(axis=(1, 2)) + 1
    lean = [strong[:, far:] * slope[:, :-far] - slope[:, far:] * strong[:, :-far] for far in range(1, 8)]
    return np.stack([values.mean(axis=(1, 2)) / scale for values in lean], axis=1)


def band_phases(crops):
    """Where the bands stand in each frame: (clips, frames) complex numbers of length 1."""
    rows = np.arange(crops.shape[2])
    # The surface repeats after 13 to 19 pixels.
    wave = np.hanning(len(rows)) * np.exp(-2j * np.pi * rows / 16)
    profile = crops.mean(axis=3)
    place = (profile - profile.mean(axis=2, keepdims=True)) @ wave
    return place / np.maximum(np.abs(place), 1e-6)


def motion(moments):
    """A direction-sensitive feature of some frames in the order given: turns from each frame to the next."""

    def features(crops):
        place = band_phases(crops)[:, moments]
        turn = place[:, 1:] * place[:, :-1].conj()
        mean = turn.mean(axis=1, keepdims=True)
        change = turn[:, 1:] * turn[:, :-1].conj()  # tells unequal distances between the frames
        parts = np.concatenate([mean, turn[:, :8], change[:, :8]], axis=1)
        return [np.concatenate([parts.real, parts.imag], axis=1)]

    return features


def shuffled(crops):
    """The feature of all frames, after each clip's frames were shuffled on their own; four shuffles to train on."""
    rng = np.random.default_rng(0)
    orders = [rng.permuted(np.tile(np.arange(CLIP), (len(crops), 1)), axis=1) for _ in range(4)]
    in_order = motion(np.arange(CLIP))
    return [in_order(np.take_along_axis(crops, order[..., None, None], axis=1))[0] for order in orders]


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_ordered_frames_tell_the_rolling_direction(crops, kind):
    """The controls below have the power to find a direction where there is one."""
    assert accuracy(crops, motion(np.arange(CLIP)), kind) > 0.9


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_a_single_frame_does_not_tell_the_rolling_direction(crops, kind):
    assert accuracy(crops, pixels, kind, components=40) < binomial_bound(TEST_CLIPS)
    assert accuracy(crops, edges, kind) < binomial_bound(TEST_CLIPS)


def test_the_single_frame_control_finds_a_trail(crops):
    """A fifth of the frame before, as a lagging screen or a coarse codec leaves it, would be noticed."""
    trailing = {
        split: (0.8 * frames + 0.2 * np.roll(frames, 1, axis=1), directions)
        for split, (frames, directions) in crops.items()
    }
    assert max(accuracy(trailing, edges, kind) for kind in CLASSIFIERS) > 0.7


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_shuffled_frames_do_not_tell_the_rolling_direction(crops, kind):
    assert accuracy(crops, shuffled, kind) < binomial_bound(TEST_CLIPS)


@pytest.mark.parametrize("moments", [[0, 10, 20, 31], [0, 8, 16, 24]])
@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_slow_frames_do_not_tell_the_rolling_direction(crops, kind, moments):
    assert accuracy(crops, motion(moments), kind) < binomial_bound(TEST_CLIPS)


def test_the_turn_between_slow_frames_is_uniform():
    """What no classifier above could find: on exact phases, the circular mean of the turns vanishes."""
    rng = np.random.default_rng(0)
    turns = np.array([rolling_turns(CLIP, rng) for _ in range(3000)])
    for first, second in ((0, 8), (8, 16), (0, 10), (20, 31)):
        turn = np.exp(2j * np.pi * (turns[:, second] - turns[:, first]))
        # 3.5 standard deviations of a uniform turn.
        assert abs(turn.mean()) < 3.5 / len(turns) ** 0.5
    step = np.exp(2j * np.pi * np.diff(turns, axis=1))
    assert np.angle(step).min() > 0  # never so fast that neighbouring frames mislead
    assert abs(step.mean()) > 0.8


# --------------------------------------------------------------------------------------------------- files


def read_bytes(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_same_seed_gives_the_same_bytes_whatever_the_processes(folder, tmp_path):
    counts = []
    miniature.generate(tmp_path / "a", 8, 3, SEED, processes=2, progress=lambda *done: counts.append(done))
    assert read_bytes(tmp_path / "a") == read_bytes(folder)
    assert counts[-1] == (15, 15)
    assert counts == sorted(counts)


def test_another_seed_gives_other_videos(folder, tmp_path):
    miniature.generate(tmp_path / "a", 1, 1, SEED + 1, processes=1)
    ours, theirs = read_bytes(tmp_path / "a"), read_bytes(folder)
    assert ours["videos/T0000.mp4"] != theirs["videos/T0000.mp4"]
    assert ours["Miniature_v1_classes.txt"] == theirs["Miniature_v1_classes.txt"]


def test_a_second_run_replaces_the_first(folder, tmp_path):
    miniature.generate(tmp_path, 2, 1, SEED, processes=1)
    miniature.generate(tmp_path, 1, 1, SEED, processes=1)
    assert sorted(path.stem for path in (tmp_path / "videos").iterdir()) == [
        "E0000",
        "K0000",
        "L0000",
        "N0000",
        "T0000",
    ]
    assert len((tmp_path / "Miniature_v1_train.csv").read_text().splitlines()) == 2


def test_files_read_as_charades(folder):
    labels = read_charades_classes(folder)
    assert labels.sizes == {"verb": 8, "object": 6, "action": 40}
    novel_labels = read_charades_classes(folder / "novel")
    assert novel_labels.sizes == {"verb": 8, "object": 6, "action": 46}
    assert novel_labels.heads["action"][:40] == labels.heads["action"]
    for split in SPLITS:
        annotations = read_charades_csv(
            folder / f"Miniature_v1_{split}.csv", novel_labels if split == "novel" else labels
        )
        assert len(annotations.rows) == miniature.split_sizes(8, 3)[split]
        assert annotations.report.clipped_ends == 0
        assert not annotations.report.dropped
        for row in annotations.rows:
            info = video.probe(folder / "videos" / f"{row.id}.mp4")
            assert (info.height, info.fps) == (96, 24)
            assert info.width in (96, 112, 128)
            assert info.duration_seconds == pytest.approx(row.length_seconds)
            assert info.frames == round(row.length_seconds * FPS)
            assert all(0 <= s.start_seconds < s.end_seconds <= row.length_seconds for s in row.segments)
            if split == "novel":
                assert min(row.actions) >= 40


def test_csv_has_the_columns_and_line_ends_of_charades(folder):
    text = (folder / "Miniature_v1_train.csv").read_bytes()
    rows = list(csv.DictReader(text.decode().splitlines()))
    assert text.count(b"\r\n") == len(rows) + 1
    assert ",".join(rows[0]) == (
        "id,subject,scene,quality,relevance,verified,script,objects,descriptions,actions,length"
    )
    for row in rows:
        assert {thing for thing in OBJECTS if thing in row["script"]} == set(row["objects"].split(";"))
        assert all(len(action.split()) == 3 for action in row["actions"].split(";"))
    original = ROOT.parent / "shared" / "charades" / "Charades_v1_train.csv"
    if original.exists():
        assert text.splitlines()[0] == original.read_bytes().splitlines()[0]


def test_videos_show_what_was_drawn(folder):
    script = write_scripts("train", 8, SEED)[0]
    drawn = render(script, SEED)
    stored = video.read_video(folder / "videos" / f"{script.id}.mp4")
    assert stored.shape == drawn.shape
    assert np.abs(stored.astype(int) - drawn).mean() < 6


def test_an_interrupted_run_leaves_no_annotations(folder, tmp_path):
    miniature.generate(tmp_path, 1, 1, SEED, processes=1)

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        miniature.generate(tmp_path, 1, 1, SEED, processes=1, progress=stop)
    assert not list(tmp_path.rglob("*.csv"))
    assert not list(tmp_path.rglob("*classes.txt"))
    miniature.generate(tmp_path, 1, 1, SEED, processes=1)
    assert (tmp_path / "Miniature_v1_train.csv").exists()


def test_foreign_folders_and_bad_numbers_are_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(DataError, match="new or empty folder"):
        miniature.generate(tmp_path, 1, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(ValueError, match="train_videos=0"):
        miniature.generate(tmp_path / "new", 0)
    with pytest.raises(ValueError, match="processes=0"):
        miniature.generate(tmp_path / "new", 1, processes=0)
    assert not (tmp_path / "new").exists()


def test_generating_imports_no_tensorflow():
    code = "import sys, kerasfast.data.miniature; sys.exit('tensorflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
