"""A tiny model measured for real; what is advised is tested on figures that were made up."""

import dataclasses
import math

import pytest

from kerasfast.models.classifier import build
from kerasfast.registry import load
from kerasfast.serving.measure import DIRECT, Measurement, Speed, measure
from kerasfast.serving.processor import available_cores, onednn_is_on
from kerasfast.serving.saved_model import PRECISIONS


@pytest.fixture(scope="module")
def model():
    return build("slow_nano", heads={"action": 5})


def speed(precision, median):
    return Speed.of(precision, 1, [median], 100.0)


def found(float32=0.1, bfloat16=0.05, **fields):
    speeds = (speed("float32", float32), speed("bfloat16", bfloat16))
    values = {"cores": 2, "gpu": False, "onednn": True, "bfloat16_arithmetic": True, **fields}
    return Measurement("slow_nano", (1, 4, 64, 64, 3), speeds, **values)


def test_a_real_model_on_a_processor_without_kernels(model, monkeypatch):
    monkeypatch.setattr("kerasfast.serving.measure.bfloat16_has_kernels", lambda: False)
    monkeypatch.setattr("kerasfast.serving.measure.on_gpu", lambda: False)
    measured = measure(model, batch_size=2, seconds=0.05)
    assert measured.frames == (2, 4, 64, 64, 3)
    (only,) = measured.speeds
    assert (only.precision, measured.left_out) == ("float32", ("bfloat16",))
    assert only.calls >= 1
    assert 0 < only.median_seconds <= only.p90_seconds
    assert only.clips_per_second == pytest.approx(2 / only.median_seconds)
    assert only.peak_mib is None or only.peak_mib > 100
    assert measured.cores == available_cores()
    assert measured.onednn == onednn_is_on()
    assert measured.advice()[0].startswith("Use float32: TensorFlow has no kernels for bfloat16")
    assert measured.to_dict()["use"] == "float32"


@pytest.mark.slow
def test_both_ways_to_convolve():
    measured = measure(build("slow_r50_4x16", heads={"action": 5}), precisions=["float32"], crop_size=64, seconds=0.2)
    assert [one.precision for one in measured.speeds] == ["float32"] and measured.direct.precision == DIRECT
    assert measured.direct.calls >= 1 and "winograd=False" in measured.advice()[0]


@pytest.mark.slow
def test_both_precisions_of_trained_weights():
    measured = measure(load("slowfast_nano.miniature"), precisions=["float32", "bfloat16"], seconds=0.2)
    assert [one.precision for one in measured.speeds] == ["float32", "bfloat16"]
    assert 0 < measured.largest_difference < 0.03
    assert measured.advice()[0].startswith("Use ")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precisions": ["float8"]}, r"precisions must be among float32.*Received: float8"),
        ({"precisions": []}, "Received: none"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"crop_size": 32}, "crop_size must be at least 64 pixels. Received: 32"),
        ({"seconds": 0.0}, "seconds must be above 0"),
        ({"seconds": math.nan}, "seconds must be above 0"),
    ],
)
def test_bad_arguments(model, options, message):
    with pytest.raises(ValueError, match=message):
        measure(model, **options)


def test_speed_of_calls():
    ten = Speed.of("float32", 4, [0.1 * number for number in range(1, 11)], None)
    assert (ten.median_seconds, ten.p90_seconds) == pytest.approx((0.55, 0.9))
    assert ten.clips_per_second == pytest.approx(4 / 0.55)


def test_the_faster_precision_is_advised_with_its_cost():
    faster = found(largest_difference=0.0123)
    assert faster.best.precision == "bfloat16"
    (line,) = faster.advice()
    assert line.startswith("Use bfloat16: a call takes 2.00 times the time in float32; ")
    assert "0.01" in line


def test_a_small_gain_is_no_reason():
    assert found(bfloat16=0.095).best.precision == "float32"
    assert found(bfloat16=0.095).advice() == [
        "Use float32: a call takes 0.95 times the time in bfloat16; a smaller type does not pay here."
    ]


def test_a_processor_without_bfloat16():
    (line,) = found(bfloat16=0.3, bfloat16_arithmetic=False).advice()
    assert (
        line == "Use float32: a call takes 3.00 times the time in bfloat16; this processor has no bfloat16 arithmetic."
    )


@pytest.mark.parametrize(
    ("seconds", "line"),
    [
        (0.13, "In float32 Winograd's algorithm is 1.30 times as fast as direct convolutions; winograd=False"),
        (0.095, "In float32 Winograd's algorithm is 0.95 times as fast"),
        (0.08, "Export with winograd=False (--no-winograd): in float32 that is 1.25 times as fast here."),
    ],
)
def test_winograd_is_advised_as_it_was_measured(seconds, line):
    measured = found(bfloat16=0.3, direct=speed(DIRECT, seconds))
    assert measured.advice()[1].startswith(line)
    assert measured.best.precision == "float32"


def test_onednn_off_is_a_warning():
    lines = found(onednn=False).advice()
    assert "TF_ENABLE_ONEDNN_OPTS=1" in lines[1]
    assert "imported before kerasfast" in lines[1]
    assert len(found(onednn=False, gpu=True).advice()) == 1
    alone = dataclasses.replace(found(), speeds=(speed("float32", 0.1),))
    assert alone.advice() == []


def test_precisions_are_those_of_the_export():
    assert next(iter(PRECISIONS)) == "float32"
