"""Features as .npz and Parquet: the same rows, readable without this package."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kerasfast.explain.features.embed import Features
from kerasfast.explain.features.files import write_npz, write_parquet


def features(source, windows, width=4, model="slow_nano"):
    rng = np.random.default_rng(windows)
    starts = np.arange(windows) * 1.5
    return Features(source, model, "pooled", starts, starts + 1.25, rng.normal(size=(windows, width)).astype("float32"))


def test_both_files_hold_a_row_a_window(tmp_path):
    videos = [features("a/kitchen.mp4", 3), features("b/Küche, 2.mp4", 2)]
    write_npz(tmp_path / "features.npz", videos)
    write_parquet(tmp_path / "features.parquet", videos)
    with np.load(tmp_path / "features.npz") as arrays:  # refuses pickles
        assert arrays["videos"].tolist() == ["a/kitchen.mp4"] * 3 + ["b/Küche, 2.mp4"] * 2
        np.testing.assert_array_equal(arrays["starts"], [0, 1.5, 3, 0, 1.5])
        np.testing.assert_array_equal(arrays["ends"], [1.25, 2.75, 4.25, 1.25, 2.75])
        np.testing.assert_array_equal(arrays["features"], np.concatenate([one.features for one in videos]))
        assert (str(arrays["model"]), str(arrays["endpoint"])) == ("slow_nano", "pooled")
        expected = {name: arrays[name] for name in ("videos", "starts", "ends", "features")}
    table = pq.read_table(tmp_path / "features.parquet")
    assert table.schema.field("features").type == pa.list_(pa.float32(), 4)
    assert json.loads(table.schema.metadata[b"kerasfast"]) == {"model": "slow_nano", "endpoint": "pooled"}
    for column, name in (("video", "videos"), ("start", "starts"), ("end", "ends")):
        assert table[column].to_pylist() == expected[name].tolist()
    np.testing.assert_array_equal(np.stack(table["features"].to_numpy()), expected["features"])


@pytest.mark.parametrize("write", [write_npz, write_parquet])
def test_features_of_several_models_do_not_go_into_one_file(write, tmp_path):
    for videos, given in (
        ([features("a", 2), features("b", 2, width=8)], "4 of 'pooled' of slow_nano; 8 of"),
        ([features("a", 2), features("b", 2, model="fast_nano")], "fast_nano; 4"),
        ([], "no video"),
    ):
        with pytest.raises(ValueError, match=f"features of one model. Received: .*{given}"):
            write(tmp_path / "file", videos)
    assert list(tmp_path.iterdir()) == []
