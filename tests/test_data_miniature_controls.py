"""The controls of miniature Charades: only the order of all frames tells the rolling verbs apart."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from kerasfast.data import video
from kerasfast.data.miniature import generate as miniature
from kerasfast.data.miniature.plan import ACTIONS, motion_pairs
from kerasfast.data.miniature.render import render, rolling_turns
from kerasfast.data.miniature.scripts import SUBJECTS, Part, Script

SEED = 5
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
