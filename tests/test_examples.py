"""The examples run, and find what they promise."""

import runpy
from pathlib import Path

import numpy as np
import pytest

import kerasfast as kf
from kerasfast.data.miniature.generate import encode
from kerasfast.data.miniature.render import render
from kerasfast.data.miniature.scripts import write_scripts

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
SEED = 2


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Videos of one action each by subjects that no training video shows, and their actions."""
    folder = tmp_path_factory.mktemp("videos")
    scripts = write_scripts("kinetics_test", 24, SEED)
    for script in scripts:
        encode(folder / f"{script.id}.mp4", render(script, SEED))
    return [folder / f"{script.id}.mp4" for script in scripts], [script.parts[0].action for script in scripts]


def test_near_videos_show_the_same_object(clips):
    """Of each video's three nearest, against all pairs of different videos; on so few the verb is not beyond doubt."""
    paths, actions = clips
    example = runpy.run_path(str(EXAMPLES / "nearest_videos.py"))
    vectors = example["video_vectors"](kf.load("slowfast_nano.miniature"), paths)
    similarities, found = example["nearest"](vectors, vectors, 4)
    np.testing.assert_array_equal(found[:, 0], np.arange(len(paths)))  # each is nearest to itself
    np.testing.assert_allclose(similarities[:, 0], 1, atol=1e-5)
    assert (np.diff(similarities, axis=1) <= 0).all()
    objects = np.array([action.object for action in actions])
    same = objects[:, None] == objects
    chance = (same.sum() - len(objects)) / (len(objects) ** 2 - len(objects))
    hits = same[np.arange(len(objects))[:, None], found[:, 1:]].mean()
    assert hits > 1.5 * chance, (hits, chance)


def test_the_example_prints_neighbours(clips, monkeypatch, capsys):
    paths, _ = clips
    arguments = [EXAMPLES / "nearest_videos.py", paths[0].parent, paths[0], "--count", 2]
    monkeypatch.setattr("sys.argv", [str(argument) for argument in arguments])
    runpy.run_path(str(arguments[0]), run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    found = [Path(line.split("  ")[1]) for line in lines]
    assert set(found) < set(paths[1:])
