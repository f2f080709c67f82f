from dataclasses import replace

import numpy as np
import pytest

from kerasfast.data.errors import DataError
from kerasfast.data.pipeline.order import EpochOrder, RecordTable, class_balance, share_of_worker
from kerasfast.data.records.read import read_manifest
from kerasfast.data.records.schema import parse_record


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_table_says_where_each_record_is(records_folder, split):
    import tensorflow as tf

    manifest = read_manifest(records_folder, split)
    table = RecordTable.of(manifest)
    assert (table.places, table.videos) == ((4, 5) if split == "train" else (10, 3))
    places = set()
    for place in range(table.places):
        for column, video in enumerate(manifest.videos):
            shard, offset = manifest.shards[table.shards[place, column]], table.offsets[place, column]
            with (records_folder / shard.name).open("rb") as file:
                file.seek(offset)
                data = file.read(int.from_bytes(file.read(12)[:8], "little"))
            record = parse_record(tf.constant(data))
            assert (int(record.video_index), int(record.place)) == (video["index"], place)
            places.add((shard.name, int(offset)))
    assert len(places) == manifest.counts["records"]


def test_a_record_that_the_manifest_does_not_list(records_folder):
    manifest = read_manifest(records_folder, "train")
    without = replace(manifest.shards[0], videos=manifest.shards[0].videos[1:], offsets=manifest.shards[0].offsets[1:])
    with pytest.raises(DataError, match=r"must list every record\. Received: none of video '\w\w' in place 0"):
        RecordTable.of(replace(manifest, shards=(without, *manifest.shards[1:])))


def test_an_epoch_is_a_permutation_of_its_own():
    order = EpochOrder(100, seed=5)
    first, turns = order(0)
    assert sorted(first) == list(range(100))
    assert not turns.any()
    assert order(0)[0].tolist() == first.tolist() == EpochOrder(100, seed=5)(0)[0].tolist()
    others = [order(1)[0], EpochOrder(100, seed=6)(0)[0]]
    for other in others:
        assert (other == first).sum() < 10
    # Each place sees each video about alike: 100 cells of 40 on average, chi-squared with 99 degrees of freedom stays
    # below 160 with probability 0.9999.
    seen = np.bincount([order(epoch)[0][7] for epoch in range(4000)], minlength=100)
    assert ((seen - 40) ** 2 / 40).sum() < 160


def test_weights_say_how_often_a_video_comes():
    order = EpochOrder(10, seed=1, weights=np.array([1, 1, 1, 1, 1, 1, 1, 1, 1, 11.0]))
    counts = np.zeros(10)
    for epoch in range(300):
        videos, turns = order(epoch)
        assert np.bincount(videos, minlength=10)[9] in (5, 6)  # 5.5 of 10
        assert sorted(turns[videos == 9]) == list(range((videos == 9).sum()))
        assert not turns[videos != 9].any()
        counts += np.bincount(videos, minlength=10)
    np.testing.assert_allclose(counts / 3000, [0.05] * 9 + [0.55], atol=0.01)
    # Shuffled: the common video stands anywhere.
    assert len({int(np.argmax(order(epoch)[0] == 9)) for epoch in range(50)}) >= 4


def test_every_class_is_drawn_alike(records_folder):
    manifest = read_manifest(records_folder, "train")
    weights = class_balance(manifest, "action")
    actions = [set(video["actions"]) for video in manifest.videos]
    counts = {action: sum(action in held for held in actions) for action in range(5)}
    # c3 has no action: a class of its own.
    expected = [sum(1 / counts[action] for action in held) or 1.0 for held in actions]
    np.testing.assert_allclose(weights, expected)
    # Drawn by them, a class gets the sum of its shares: the same for all.
    shares = [sum(1 / counts[action] for held in actions if action in held) for action in counts if counts[action]]
    np.testing.assert_allclose(shares, 1)
    with pytest.raises(ValueError, match="balanced must be a head of the records: verb, object, action"):
        class_balance(manifest, "noun")


def test_workers_share_batches():
    parts = [share_of_worker(3, 4, (number, 2)) for number in range(2)]
    assert [part.tolist() for part in parts] == [[0, 1, 4, 5, 8, 9], [2, 3, 6, 7, 10, 11]]
    assert share_of_worker(3, 4, (0, 1)).tolist() == list(range(12))
