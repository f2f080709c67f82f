"""Pictures: they are written and show what they claim."""

import numpy as np
import pytest
from matplotlib import image

from kerasfast.train import plots
from kerasfast.train.operating.calibration import Reliability

HISTORY = "epoch,action_loss,loss,verb_loss,val_action_loss,val_loss,val_verb_loss,learning_rate,seconds\n"


def test_curves_of_any_length_are_drawn(tmp_path):
    history = tmp_path / "history.csv"
    for epochs in (1, 12):
        rows = [f"{e},{1 / e},{2 / e},{1 / e},{1 / e},{2 / e},{1 / e},{0.1 / e},3.0\n" for e in range(1, epochs + 1)]
        history.write_text(HISTORY + "".join(rows))
        plots.curves(history, tmp_path / "curves.png")
        picture = image.imread(tmp_path / "curves.png")
        assert picture.shape[0] > 300 and picture[..., :3].std() > 0.05


def test_an_empty_history_is_refused(tmp_path):
    (tmp_path / "history.csv").write_text(HISTORY)
    with pytest.raises(ValueError, match=r"history\.csv: the history must have at least one epoch"):
        plots.curves(tmp_path / "history.csv", tmp_path / "curves.png")


def test_shown_classes_are_the_highest_and_every_true_one():
    labels, scores = np.array([0, 1, 0, 1, 0]), np.array([0.9, 0.8, 0.7, 0.1, 0.2])
    assert plots._shown(labels, scores, top=2) == [(0, 1), (1, 2), (3, 5)]


def test_predictions_show_the_frames(tmp_path):
    frames = [np.full((count, 40, 40, 3), 255 * (i % 2), np.uint8) for i, count in enumerate((3, 10))]
    frames[0][..., 0] = 250  # red
    labels = np.array([[1, 0, 0], [0, 1, 1]])
    scores = np.array([[0.9, 0.2, 0.1], [0.5, 0.4, 0.05]])
    names = ["turn the star", "a name that is far too long to be drawn beside a bar", "c"]
    plots.predictions(frames, labels, scores, names, tmp_path / "p.png", titles=["one", "two"], top=2)
    picture = image.imread(tmp_path / "p.png")
    red = (picture[..., 0] > 0.9) & (picture[..., 1] < 0.1)
    assert red.sum() > 5000


def test_mosaics_read_like_text():
    frames = np.arange(1, 9, dtype=np.uint8)[:, None, None, None] * np.ones((8, 2, 2, 3), np.uint8)
    picture = plots._mosaic(frames, gap=1)
    assert picture.shape == (5, 11, 3)
    assert picture[0, ::3, 0].tolist() == [1, 2, 3, 4]
    assert picture[3, ::3, 0].tolist() == [5, 6, 7, 8]
    assert (picture[2] == 255).all()


def test_arguments_that_do_not_agree_are_refused(tmp_path):
    frames = [np.zeros((2, 8, 8, 3), np.uint8)]
    with pytest.raises(ValueError, match=r"Received: 1 videos, labels \(2, 3\), scores \(2, 3\), 3 names"):
        plots.predictions(frames, np.zeros((2, 3)), np.zeros((2, 3)), "abc", tmp_path / "p.png")


def test_reliability_is_drawn_for_any_number_of_heads(tmp_path):
    orange, blue = (
        Reliability((4, 0, 1), (0.4, 0.0, 0.9), (2, 0, 1)),
        Reliability((2, 3, 0), (0.1, 1.2, 0.0), (1, 2, 0)),
    )
    for heads in ("a", "abc"):
        plots.reliability(dict.fromkeys(heads, (orange, blue)), tmp_path / "r.png", title="Reliability on 'val'")
        picture = image.imread(tmp_path / "r.png")[..., :3]
        for colour in ((0xD5, 0x5E, 0x00), (0x00, 0x72, 0xB2)):
            assert (np.abs(picture * 255 - colour).max(axis=-1) < 2).sum() > 100 * len(heads)
    with pytest.raises(ValueError, match="at least one head"):
        plots.reliability({}, tmp_path / "r.png")


@pytest.mark.parametrize("classes", [3, 60])
def test_a_confusion_matrix_shows_the_diagonal(classes, tmp_path):
    confusion = np.eye(classes, dtype=int) * 7
    confusion[0, -1] = 3
    plots.confusion_matrix(confusion, [f"class number {i}" for i in range(classes)], tmp_path / "c.png")
    picture = image.imread(tmp_path / "c.png")
    assert picture.shape[0] > 300 and picture[..., :3].std() > 0.05
