"""Features of the clips of real videos, and attention over them."""

import numpy as np
import pytest
import train_records

from kerasfast.data.pipeline.testing import video_labels
from kerasfast.models.classifier import build
from kerasfast.train.evaluate import evaluate
from kerasfast.train.long_range import clip_features, fit_clip_attention


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    return train_records.make(tmp_path_factory.mktemp("long"), "test", 6)


@pytest.fixture(scope="module")
def model():
    return build("slow_nano", heads=dict(train_records.HEADS), dropout=0.0)


@pytest.fixture(scope="module")
def features(model, records):
    return clip_features(model, records, "test", clips=3, batch_size=4)


def test_features_are_those_of_the_heads(model, records, features):
    assert features.shape == (6, 3, 256) and features.dtype == np.float32
    made = fit_clip_attention(
        model, features, video_labels(records, "test"), epochs=1, learning_rate=1e-9, width=16, attention_heads=2
    )
    scores = made.predict(features, verbose=0)
    kernel, bias = model.get_layer("head_action").get_weights()
    expected = (1 / (1 + np.exp(-(features @ kernel + bias)))).max(axis=1)
    np.testing.assert_allclose(scores["action"], expected, atol=1e-6)


def test_it_learns_and_its_scores_are_evaluated(model, records, features):
    labels = video_labels(records, "test")
    made = fit_clip_attention(model, features, labels, epochs=150, learning_rate=0.01, width=16, attention_heads=2)
    scores = {head: values.astype(float) for head, values in made.predict(features, verbose=0).items()}
    metrics = evaluate(model, records, clips=3, crops=1, scores=scores)
    assert metrics["overall_map"] == 1.0  # it has seen these videos


@pytest.mark.parametrize(
    ("shape", "drop", "message"),
    [
        ((6, 3, 255), None, r"features must be \(videos, clips, 256\).*Received: shape \(6, 3, 255\)"),
        ((6, 256), None, r"features must be \(videos, clips, 256\)"),
        ((5, 3, 256), None, r"labels\['verb'\] must be \(5, 2\).*Received: shape \(6, 2\)"),
        ((6, 3, 256), "object", r"labels\['object'\] must be \(6, 2\).*Received: no such head"),
    ],
)
def test_what_does_not_fit_is_refused(model, records, shape, drop, message):
    labels = {head: values for head, values in video_labels(records, "test").items() if head != drop}
    with pytest.raises(ValueError, match=message):
        fit_clip_attention(model, np.zeros(shape, np.float32), labels)
