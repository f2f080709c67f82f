"""Multigrid: the published schedule worked out by hand, the shapes of its steps, weights from phase to phase."""

import dataclasses

import keras
import numpy as np
import pytest
import train_records

from kerasfast.data.clips import ClipSpec
from kerasfast.data.pipeline.training import training_clips
from kerasfast.models.classifier import build
from kerasfast.models.layers import BatchNorm
from kerasfast.models.variants import variant
from kerasfast.train.fitting.multigrid import Batch, Phase, learning_rate, phase_clips, phase_model, phases
from kerasfast.train.recipes.recipe import Recipe
from kerasfast.train.recipes.sections import Data, Model
from kerasfast.train.recipes.training import Multigrid, Optimizer, Schedule, Training

CHARADES = Recipe(
    Model("slowfast_r50_16x8", {"action": 157}),
    Schedule(0.0375, "step", warmup_epochs=4, warmup_from=1e-4, decay_epochs=(41, 49)),
    Training(batch_size=16, epochs=57),
    multigrid=Multigrid(),
)
ROW = variant("slowfast_r50_16x8", head_pool="global", clip=ClipSpec(64, 2, 24.0))


def test_the_phases_of_pyslowfasts_charades():
    # SLOWFAST_16x8_R50_multigrid: STEPS [0, 41, 49], MAX_EPOCH 57, EPOCH_FACTOR 1.5. Batches of the three steps of the
    # short cycle as factors: (16, 8, 8), (8, 4, 4), (8, 4, 2), (4, 2, 1) with means 32/3, 16/3, 14/3, 7/3, sum 23. The
    # stages of 41 and 8 epochs are shared out by these; the last of 8 becomes 8 * 4/23 * 7/3 = 3.246. All of it times
    # 85.5 / (49 + 3.246): ends at 31.1, 46.7, 60.3, 67.1, 73.2, 76.2, 78.9, 80.2 and 85.5.
    table = [
        # epoch, epochs, frames, stride, batches, crops, rate
        (0, 31, 16, 8, (256, 128, 128), (112, 158, 158), 8),
        (31, 16, 32, 4, (128, 64, 64), (112, 158, 158), 4),
        (47, 13, 32, 4, (128, 64, 32), (112, 158, 224), 2),
        (60, 7, 64, 2, (64, 32, 16), (112, 158, 224), 1),
        (67, 6, 16, 8, (256, 128, 128), (112, 158, 158), 0.8),
        (73, 3, 32, 4, (128, 64, 64), (112, 158, 158), 0.4),
        (76, 3, 32, 4, (128, 64, 32), (112, 158, 224), 0.2),
        (79, 1, 64, 2, (64, 32, 16), (112, 158, 224), 0.1),
        (80, 3, 64, 2, (64, 32, 16), (112, 158, 224), 0.1),
        (83, 3, 64, 2, (64, 32, 16), (112, 158, 224), 0.01),
    ]
    found = phases(CHARADES, ROW, 57)
    assert found == [
        Phase(
            epoch,
            epochs,
            ClipSpec(frames, stride, 24.0),
            tuple(map(Batch, sizes, crops)),
            pytest.approx(rate),
        )
        for epoch, epochs, frames, stride, sizes, crops, rate in table
    ]


def test_without_the_short_cycle_a_phase_has_one_shape():
    # Batches 8, 4, 2, 1, sum 15: the last 8 epochs become 8 * 4/15; all times 85.5 / (49 + 32/15).
    found = phases(dataclasses.replace(CHARADES, multigrid=Multigrid(short_cycle=False)), ROW, 57)
    assert [[(batch.size, batch.crop_size) for batch in phase.batches] for phase in found[:4]] == [
        [(128, 158)],
        [(64, 158)],
        [(32, 224)],
        [(16, 224)],
    ]
    ends = [41 * 8 / 15, 41 * 12 / 15, 41 * 14 / 15, 41, 41 + 8 * 8 / 15, 41 + 8 * 12 / 15, 41 + 8 * 14 / 15, 49]
    ends = [round(end * 85.5 / (49 + 32 / 15)) for end in ends]
    assert [phase.first_epoch for phase in found] == [0, *ends, (ends[-1] + 86) // 2]
    assert found[-1].first_epoch + found[-1].epochs == 86


def test_without_the_long_cycle_the_recipes_schedule_is_longer():
    recipe = dataclasses.replace(CHARADES, multigrid=Multigrid(long_cycle=False))
    (phase,) = phases(recipe, ROW, 57)
    assert (phase.epochs, phase.clip) == (85, ROW.clip)
    assert phase.batches == (Batch(64, 112), Batch(32, 158), Batch(16, 224))
    rate = learning_rate(recipe, [phase], [10])
    # int(41 * 1.5) = 61 and int(49 * 1.5) = 73; the warm-up of 4 epochs stays.
    found = [float(rate(step)) for step in (0, 20, 40, 609, 610, 729, 730)]
    np.testing.assert_allclose(found, [1e-4, 0.0188, 0.0375, 0.0375, 0.00375, 0.00375, 0.000375], rtol=1e-5)


def test_the_rate_changes_with_the_phase_and_in_proportion_to_its_batch():
    plan = phases(CHARADES, ROW, 57)
    steps = [phase.steps(7811) for phase in plan]
    # 7,811 clips are 15 turns of 512 and 131 over, less than a batch of 256: 45 steps; 69 turns of 112 and 83 over,
    # which fill another batch of 64: 208.
    assert (steps[0], steps[3]) == (45, 208)
    rate = learning_rate(CHARADES, plan, steps)
    warmup, ends = 4 * 45, np.cumsum([phase.epochs * count for phase, count in zip(plan, steps, strict=True)])
    found = [float(rate(step)) for step in (0, warmup // 2, warmup, ends[0] - 1, ends[0], ends[-2] - 1, ends[-2])]
    expected = [1e-4, (1e-4 + 0.3) / 2, 0.3, 0.3, 0.15, 0.00375, 0.000375]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_warmup_longer_than_the_first_phase_counts_the_steps_of_each():
    plan = [Phase(0, 2, ROW.clip, (Batch(2, 64),), 2.0), Phase(2, 3, ROW.clip, (Batch(1, 64),), 1.0)]
    recipe = dataclasses.replace(CHARADES, schedule=dataclasses.replace(CHARADES.schedule, warmup_epochs=3))
    rate = learning_rate(recipe, plan, [10, 20])
    np.testing.assert_allclose([float(rate(step)) for step in (39, 40)], [0.0374 * 39 / 40 + 1e-4, 0.0375], rtol=1e-5)


@pytest.mark.parametrize(
    "row, recipe, epochs, message",
    [
        ({"head_pool": "window"}, {}, 57, r"needs head_pool='global'\. Received: 'window'"),
        ({"alpha": 32}, {}, 57, r"0\.25 of the 64 frames .* Received: 16 frames, alpha=32\. Take clips of 128 frames"),
        ({"clip": ClipSpec(56, 2)}, {}, 57, r"Received: 14 frames, alpha=4"),
        ({}, {"data": Data(crop_size=112)}, 57, r"at least 64 pixels\. Received: 56 of a crop of 112"),
        ({}, {"training": Training(batch_size=3, epochs=57)}, 57, r"Received: 12 clips, bn_base_clips=8"),
        ({}, {}, 49, r"within the 49 epochs\. Received: \[41, 49\]"),
        ({}, {"multigrid": None}, 57, r"recipe with multigrid"),
    ],
)
def test_what_cannot_be_trained_is_refused(row, recipe, epochs, message):
    with pytest.raises(ValueError, match=message):
        phases(dataclasses.replace(CHARADES, **recipe), dataclasses.replace(ROW, **row), epochs)


def test_a_recipe_refuses_what_does_not_go_with_multigrid():
    with pytest.raises(ValueError, match=r"long_cycle .* schedule\.name = 'step'\. Received: 'cosine'"):
        dataclasses.replace(CHARADES, schedule=Schedule(0.1))
    with pytest.raises(ValueError, match=r"multigrid and optimizer\.ema do not go together.*ema=0\.9"):
        dataclasses.replace(CHARADES, optimizer=Optimizer(ema=0.9))


def test_an_epoch_must_fill_the_largest_batch():
    with pytest.raises(ValueError, match=r"fill the largest batch of multigrid, 8 clips\. Received: 7 clips"):
        Phase(0, 1, ROW.clip, (Batch(8, 64), Batch(4, 91)), 1.0).steps(7)


# === The clips and the network ===

CLIPS = 4
SHORT = (Batch(2, 64), Batch(1, 91))
SLOW = ClipSpec(4, 8, 24.0)


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    return train_records.make(tmp_path_factory.mktemp("multigrid"), "train", CLIPS, rounds=1)


def maker(records, clip):
    def make(batch_size, crop_size, **options):
        side = (crop_size, crop_size)
        made = training_clips(records, clip, batch_size, crop_size=crop_size, short_side=side, flip=False, **options)
        return made.map(lambda frames, labels: (frames, {"action": labels["action"]}))

    return make


def test_steps_take_their_shapes_in_turn_and_each_clip_comes_once(records):
    phase = Phase(1, 1, SLOW, SHORT, 1.0)
    dataset = phase_clips(phase, CLIPS, maker(records, SLOW))
    assert int(dataset.cardinality()) == phase.steps(CLIPS) == 2  # a turn of 3 clips; the fourth fills no batch of 2
    batches = list(dataset)
    assert [tuple(frames.shape) for frames, _ in batches] == [(2, 4, 64, 64, 3), (1, 4, 91, 91, 3)]
    whole = list(training_clips(records, SLOW, 1, crop_size=91, short_side=(91, 91), flip=False, first_epoch=1))
    small = list(training_clips(records, SLOW, 1, crop_size=64, short_side=(64, 64), flip=False, first_epoch=1))
    # The order of the epoch, cut into a batch of two and one of one.
    np.testing.assert_array_equal(batches[0][0], np.concatenate([small[0][0], small[1][0]]))
    np.testing.assert_array_equal(batches[1][0], whole[2][0])
    np.testing.assert_array_equal(batches[1][1]["action"], whole[2][1]["action"])


def test_a_phase_goes_on_from_any_step_with_the_same_clips(records):
    phase = Phase(0, 2, SLOW, (Batch(1, 64), Batch(1, 65), Batch(1, 66)), 1.0)
    make = maker(records, SLOW)
    all_steps = list(phase_clips(phase, CLIPS, make, first_epoch=1))
    assert [batch[0].shape[2] for batch in all_steps] == [64, 65, 66, 64]
    for step in (1, 3):
        rest = list(phase_clips(phase, CLIPS, make, first_epoch=1, first_step=step))
        assert len(rest) == 4 - step
        for (frames, _), (expected, _) in zip(rest, all_steps[step:], strict=True):
            np.testing.assert_array_equal(frames, expected)


def nano():
    row = variant("slow_nano", head_pool="global", crop_size=128, stem_channels=8, stage_channels=(16, 16, 16))
    return build(row, heads={"action": 3})


def nano_recipe(**tables):
    return Recipe(
        Model("slow_nano", {"action": 3}),
        Schedule(0.01, "step", decay_epochs=(2,)),
        Training(batch_size=1, epochs=4),
        **{"multigrid": Multigrid(bn_base_clips=1), **tables},
    )


def test_two_phases_train_one_set_of_weights(records):
    keras.utils.set_random_seed(0)
    recipe, model = nano_recipe(), nano()
    plan = [Phase(0, 1, ClipSpec(2, 16, 24.0), SHORT, 2.0), Phase(1, 1, SLOW, (Batch(2, 64),), 1.0)]
    counts = [phase.steps(CLIPS) for phase in plan]
    arguments = recipe.compile_args(steps_per_epoch=2, learning_rate=learning_rate(recipe, plan, counts))

    first = phase_model(model, plan[0], recipe, arguments)
    assert first.clip == plan[0].clip and first.inputs[0].shape[1] == 2
    for ours, theirs in zip(first.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert {layer.clips for layer in first.layers if isinstance(layer, BatchNorm)} == {1}
    first.fit(phase_clips(plan[0], CLIPS, maker(records, plan[0].clip)), epochs=1, shuffle=False, verbose=0)
    trained = first.get_weights()
    assert any(not np.array_equal(a, b) for a, b in zip(trained, model.get_weights(), strict=True))

    arguments = recipe.compile_args(steps_per_epoch=2, learning_rate=learning_rate(recipe, plan, counts))
    second = phase_model(first, plan[1], recipe, arguments)
    assert second.clip == SLOW
    for ours, theirs in zip(second.get_weights(), trained, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for ours, theirs in zip(second.optimizer.variables, first.optimizer.variables, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert int(second.optimizer.iterations) == counts[0]
    assert float(second.optimizer.learning_rate) == pytest.approx(0.01)  # of the second phase, from its first step
    dataset = phase_clips(plan[1], CLIPS, maker(records, SLOW))
    history = second.fit(dataset, initial_epoch=1, epochs=2, shuffle=False, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert int(second.optimizer.iterations) == sum(counts)
    assert phase_model(second, plan[1], recipe, arguments) is second


def test_a_network_of_every_phase_can_be_built():
    recipe = nano_recipe(data=Data(crop_size=128))
    for phase in phases(recipe, nano().variant, 4):
        scores = phase_model(nano(), phase, recipe, recipe.compile_args(steps_per_epoch=1))(
            np.zeros((1, phase.clip.frames, 64, 64, 3), "uint8")
        )
        assert scores["action"].shape == (1, 3)
