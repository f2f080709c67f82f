"""The client against servers that run an export: scores of videos, sizes of requests, and what fails."""

import contextlib

import numpy as np
import pytest
from fresh_python import run_python
from serving_case import VERBS
from serving_server import NO_API, grpc_server, rest_server

import kerasfast as kf
from kerasfast.data.video_writer import write_video
from kerasfast.serving.client import MESSAGE_BYTES, Client, ServingError, predict
from kerasfast.train.predict import predict_video

KNOWN = {"clip": kf.ClipSpec(8, 2, 30), "crop_size": 64}


@pytest.fixture(scope="module", autouse=True)
def direct():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("no_proxy", "127.0.0.1")
        yield


@pytest.fixture(scope="module")
def hosts(served, direct):
    """Addresses by protocol; gRPC takes no more than it does by default."""
    folders = {"tiny": served[1]}
    with contextlib.ExitStack() as stack:
        found = {"rest": stack.enter_context(rest_server(folders))[0]}
        with contextlib.suppress(ModuleNotFoundError):
            found["grpc"] = stack.enter_context(grpc_server(folders, max_bytes=MESSAGE_BYTES))
        yield found


@pytest.fixture(params=["grpc", "rest"])
def host(request, hosts):
    if request.param not in hosts:
        pytest.skip(NO_API)
    return hosts[request.param]


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("videos") / "clip.mp4"
    y, x = np.mgrid[:72, :104] / 9
    waves = [[np.sin(x + y * k / 2 + t / (3 + k)) for k in (1, 2, 3)] for t in range(40)]
    write_video(path, np.uint8(np.array(waves).transpose(0, 2, 3, 1) * 100 + 128), 30)
    return path


def largest_difference(found, expected):
    assert set(found) == set(expected)
    return max(np.abs(found[head] - expected[head]).max() for head in expected)


def test_scores_of_a_video_are_those_of_the_model(served, host, video):
    model, folder = served
    expected = predict_video(model, video, clips=3, crops=3)
    other = predict_video(model, video, clips=2, crops=1)
    assert largest_difference(other, expected) > 1e-3, "this video would not show a view that is left out"
    with Client(host, "tiny", card=folder, signature="serving_default", max_message_bytes=2**26) as client:
        steps = []
        scores = client.scores(video, clips=3, crops=3, progress=lambda *done: steps.append(done))
        assert largest_difference(scores, expected) <= 1e-5
        assert steps == [(8, 9), (9, 9)]
        best = client.decode(scores, top=2)
    assert [one.label for one in best["verb"]] == [VERBS[i] for i in np.argsort(-expected["verb"])[:2]]


def test_jpeg_files_change_scores_little(served, host, video):
    model, folder = served
    expected = predict_video(model, video, clips=3, crops=3)
    with Client(host, "tiny", card=folder, signature="jpeg_frames") as client:
        difference = largest_difference(client.scores(video, clips=3, crops=3), expected)
    assert 1e-7 < difference <= 0.02


def test_one_call_without_a_card(served, host, video):
    model, _ = served
    best = predict(video, host, model="tiny", **KNOWN, clips=2, crops=1, merge="mean", top=1)
    assert {head: (len(found), found[0].label.split()[0]) for head, found in best.items()} == {
        "verb": (1, "class"),
        "action": (1, "class"),
    }
    scores = predict(video, host, model="tiny", **KNOWN, clips=1, crops=1, top=None)
    assert largest_difference(scores, predict_video(model, video, clips=1, crops=1)) <= 0.02
    with pytest.raises(ValueError, match=r"nothing says how to merge 2 views\. Give merge='max'"):
        predict(video, host, model="tiny", **KNOWN, clips=2, crops=1)


def test_frames_and_views_at_hand(served, host):
    model, folder = served
    views = np.random.default_rng(0).integers(0, 256, (3, 8, 64, 64, 3), dtype=np.uint8)
    each = model.predict(views, verbose=0)
    expected = {"verb": each["verb"].max(0), "action": each["action"].mean(0)}
    with Client(host, "tiny", card=folder, signature="serving_default", max_message_bytes=2**26) as client:
        assert largest_difference(client.scores(views), expected) <= 1e-5
        frames = np.repeat(views[0], 2, axis=0)[:15]  # stride 2
        found = client.scores(frames, clips=1, crops=1)
        assert largest_difference(found, {head: scores[0] for head, scores in each.items()}) <= 1e-5
        for bad in (views.astype("float32"), views[:0], views[0].astype("int32")):
            with pytest.raises(ValueError, match=r"must be uint8 \((views, T|N), H, W, 3\).* Received: "):
                client.scores(bad)


def test_a_request_stays_below_the_limit_and_holds_eight_views(served, hosts, video, monkeypatch):
    _, folder = served
    with rest_server({"tiny": folder}) as (host, seen):
        for limit in (MESSAGE_BYTES, 120_000):
            seen.clear()
            with Client(host, "tiny", card=folder, max_message_bytes=limit) as client:
                scores = client.scores(video, clips=10, crops=3)
            assert max(seen) <= limit
            assert (len(seen) == 4) == (limit == MESSAGE_BYTES)  # 30 views
            assert max(seen) > limit / 3 or len(seen) == 4
    with Client(hosts["rest"], "tiny", card=folder) as client:
        assert largest_difference(scores, client.scores(video, clips=10, crops=3)) <= 1e-5


def test_views_that_do_not_fit_as_pixels_go_as_jpeg(served, hosts):
    if "grpc" not in hosts:
        pytest.skip(NO_API)
    _, folder = served
    sent = []
    with Client(hosts["grpc"], "tiny", card=folder, max_message_bytes=60_000) as client:
        monitored = client._connection.predict
        client._connection.predict = lambda name, views: sent.append(name) or monitored(name, views)
        smooth = np.full((2, 8, 64, 64, 3), 90, np.uint8)  # 98 kB of pixels a view
        client.scores(smooth)
        assert sent == ["jpeg_frames"]
        with pytest.raises(ValueError, match=r"fit into a message of max_message_bytes=60000.*give signature='jpeg_f"):
            client.scores(np.full((1, 8, 64, 80, 3), 90, np.uint8))  # the server would crop it
    options = {"signature": "jpeg_frames", "max_message_bytes": 1000}
    with pytest.raises(ValueError, match=r"fit into a message of max_message_bytes=1000.*Raise max_message_bytes"):
        predict(smooth, hosts["grpc"], model="tiny", card=folder, **options)
    # A server that takes less than this client was told.
    with grpc_server({"tiny": folder}, max_bytes=50_000) as host, Client(host, "tiny", card=folder) as client:
        with pytest.raises(ServingError, match=r"RESOURCE_EXHAUSTED.*larger than max.*max_message_bytes") as error:
            client.scores(smooth)
        assert error.value.status == "RESOURCE_EXHAUSTED"


def test_what_the_server_lacks(served, host, video):
    _, folder = served
    cases = {
        ("tin", None): r"answers NOT_FOUND to model 'tin', metadata: Servable not found.* Give model= as",
        ("tiny", 7): r"answers NOT_FOUND to model 'tiny', metadata: Servable not found for request: Specific",
    }
    for (name, version), message in cases.items():
        with pytest.raises(ServingError, match=message) as error:
            predict(video, host, model=name, card=folder / "1", version=version)
        assert error.value.status == "NOT_FOUND" and error.value.host == host
    predict(video, host, model="tiny", card=folder, version=1, clips=1, crops=1)
    with pytest.raises(ValueError, match=r"signature must be 'serving_default' or 'jpeg_frames'. Received: 'frames'"):
        predict(video, host, model="tiny", card=folder, signature="frames")


def test_a_clip_that_the_model_does_not_take(served, host, video):
    short = {"clip": kf.ClipSpec(4, 2, 30), "crop_size": 64}
    message = (
        r"answers INVALID_ARGUMENT to model 'tiny', signature '\w+': tiny takes (uint8|JPEG) frames of shape "
        r"\(batch, 8.*Received: shape \[1 4.*\]\. Check that the card"
    )
    with pytest.raises(ServingError, match=message):
        predict(video, host, model="tiny", **short, clips=1, crops=1)


def test_a_card_of_another_model(served, host, video, tmp_path):
    card = (served[1] / "1" / "assets.extra" / "card.json").read_text().replace('"classes": 7', '"classes": 8')
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "verb.txt").write_text("a\nb\nc\nd\n")
    (tmp_path / "card.json").write_text(card)
    with pytest.raises(ValueError, match=r"card must be that of the served model\. Received: one with .*'action': 8"):
        predict(video, host, model="tiny", card=tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, r"must know which frames the model takes\. Give card="),
        ({"clip": kf.ClipSpec(8, 2)}, r"must know which frames .*crop_size=None"),
        ({**KNOWN, "card": "a"}, r"must know which frames .*Received: card='a'"),
        ({"card": "nowhere"}, r"card must be an exported folder.*Received: card='nowhere'"),
        ({**KNOWN, "timeout": 0}, r"timeout and max_message_bytes must be above 0\. Received: 0"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        Client("http://127.0.0.1:1", "tiny", **options)


# With the packages of the extra and TensorFlow out of reach.
REST_ALONE = """
    import sys

    for name in ("tensorflow", "keras", "grpc", "tensorflow_serving", "h5py", "sklearn"):
        sys.modules[name] = None  # importing it raises ImportError
    from kerasfast.serving.client import Client, predict

    host, card, video = sys.argv[1:]
    for head, found in predict(video, host, model="tiny", card=card, clips=2, crops=1, top=1).items():
        print(head, found[0].label)
    try:
        Client("127.0.0.1:8500", "tiny", card=card)
    except ImportError as error:
        print(error)
"""


def test_rest_needs_no_tensorflow(served, hosts, video):
    model, folder = served
    *lines, error = run_python(REST_ALONE, hosts["rest"], folder, video).splitlines()
    best = kf.decode(model, predict_video(model, video, clips=2, crops=1), top=1)
    assert lines == [f"{head} {best[head][0].label}" for head in ("verb", "action")]
    assert "Install kerasfast[client], or use REST" in error
