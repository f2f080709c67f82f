"""Rates by a clock that the test winds, and what they mean."""

import dataclasses

import pytest

from kerasfast.data.checks.throughput import Throughput, rate_of, repeated

FAST = Throughput(
    input_per_second=90.0,
    model_per_second=30.0,
    together_per_second=29.0,
    model="net",
    batch_size=8,
    seconds=10.0,
    cores=4,
    accelerator=True,
    crop_size=224,
    stored_short_side=256,
    wanted_short_side=320,
    stored_stride=2,
    clip_stride=2,
)


def changed(**fields):
    return dataclasses.replace(FAST, **fields)


class Clock:
    """Seconds that pass only in steps."""

    def __init__(self):
        self.now, self.steps = 100.0, []

    def __call__(self):
        return self.now

    def step(self, seconds, clips=8):
        def run():
            self.steps.append(self.now)
            self.now += seconds(len(self.steps)) if callable(seconds) else seconds
            return clips

        return run


def test_the_first_step_does_not_count():
    clock = Clock()
    assert rate_of(clock.step(lambda number: 30.0 if number == 1 else 0.5), 2.0, clock) == 16.0
    assert len(clock.steps) == 5


def test_one_step_is_measured_however_slow():
    clock = Clock()
    assert rate_of(clock.step(20.0), 0.5, clock) == 0.4
    assert len(clock.steps) == 2


def test_batches_come_pass_after_pass():
    following = repeated([1, 2, 3])
    assert [following() for _ in range(7)] == [1, 2, 3, 1, 2, 3, 1]


@pytest.mark.parametrize(
    ("rate", "bound", "text"),
    [
        (90.0, False, "Not input-bound, with reserve: the records give 90 clips/s, net takes 30, and 29 when fed"),
        (33.0, False, "Not input-bound, but without reserve: the records give 33"),
        (
            12.0,
            True,
            "Input-bound by 2.5x: the records give 12 clips/s, net takes 30, and 29 when fed by them. It waits 60 %",
        ),
    ],
)
def test_verdict(rate, bound, text):
    found = changed(input_per_second=rate)
    assert found.input_bound == bound
    assert found.verdict().startswith(text)


def test_nothing_to_do():
    assert FAST.ratio == 3
    assert FAST.advice() == []


def test_advice():
    slow = changed(input_per_second=12.0)
    assert slow.cores_needed == 13  # 4 cores * 2.5, and a quarter more
    first, last = slow.advice()
    assert first.startswith("Give the input 13 cores like these 4")
    assert "local disk" in last
    larger = changed(input_per_second=12.0, stored_short_side=480, stored_stride=1)
    assert [line.split(":")[0] for line in larger.advice()[1:3]] == ["Build with --short-side 320", "Build at stride 2"]
    assert "1 in 2" in larger.advice()[2]
    (shared,) = changed(accelerator=False, together_per_second=24.0).advice()
    assert "share these 4 cores: training runs at 80 % of the model's own rate" in shared


def test_plain_types():
    values = FAST.to_dict()
    assert values["ratio"] == 3.0
    assert values["input_bound"] is False
    assert values["model_per_second"] == 30.0
    assert values["verdict"] == FAST.verdict()
