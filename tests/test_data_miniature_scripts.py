"""The plan, the scripts and the pictures of miniature Charades against their specification."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from kerasfast.data.miniature import generate as miniature
from kerasfast.data.miniature.plan import ACTIONS, FPS, NOVEL_ACTIONS, OBJECTS, VERBS, motion_pairs
from kerasfast.data.miniature.scripts import SUBJECTS, write_scripts
from kerasfast.data.miniature.sprites import ROLL_STEPS, Sprites
from kerasfast.data.miniature.subjects import draw_background, make_subject

ROOT = Path(__file__).parents[1]
SEED = 5
SPLITS = tuple(SUBJECTS)


@pytest.fixture(scope="module")
def scripts():
    """The scripts of the default data set; they cost little as nothing is drawn."""
    return {split: write_scripts(split, videos, SEED) for split, videos in miniature.split_sizes().items()}


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
