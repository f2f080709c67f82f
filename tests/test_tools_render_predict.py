"""Figures of docs/predict.md come from benchmarks/predict.json and benchmarks/explain.json."""

import json

import render_predict

VIDEO = {
    "size": "340x256",
    "fps": 29.97,
    "video_seconds": 600.0,
    "wall_seconds": 22.16,
    "real_time_factor": 27.08,
    "real_time_factor_after_first": 29.4,
    "model_mib": 861.2,
    "peak_mib": 951.8,
}
SHORT = {**VIDEO, "video_seconds": 1.08, "real_time_factor_after_first": None, "model_mib": 860.4}
PREDICTED = {
    "model": "m",
    "crops": 1,
    "videos": {"a.mp4": SHORT},
    "1080p": {"10 min": VIDEO},
    "1080p_growth_mib": 8.4,
    "machine": {"cores": 2},
    "versions": {"keras": "3"},
}
MAP = {
    "mass_on_object": 0.2514,
    "share_of_pixels": 0.05,
    "maps_without_evidence": 6,
    "ratio": 5.028,
    "ratio_95": [4.1, 6.2],
    "clips_above_chance": 0.94,
    "ratio_on_object_of_another_clip": 1.4,
}
EXPLAINED = {
    "model": "m",
    "data": {"clips": 100, "miniature_seed": 1},
    "networks": {
        "trained": {"gradcam++": {"slow": MAP}},
        "random_weights": {"gradcam++": {"slow": {**MAP, "ratio": 0.98}}},
    },
}


def test_a_row_for_each_video():
    block = render_predict.predict_block(PREDICTED)
    assert "| a.mp4 | 340x256, 29.97 | 1.08 s | 22.2 s | 27.1 |  | 952 MiB |" in block
    assert "| generated, 10 min | 340x256, 29.97 | 600 s | 22.2 s | 27.1 | 29 | 952 MiB |" in block
    assert "has 860 MiB" in block and "grows by 8 MiB" in block and "(keras 3)" in block


def test_a_row_for_each_map():
    block = render_predict.explain_block(EXPLAINED)
    assert "| Grad-CAM++ | slow | 25.1% | 5.0% | **5.03** (4.10 to 6.20) | 94% | 1.40 | 0.98 |" in block
    assert (
        "of 100 generated test clips (seed 1)" in block
        and "left out (Grad-CAM++, slow, trained: 6; Grad-CAM++, slow, random: 6)." in block
    )


def test_the_page_is_of_the_committed_results():
    results = [
        json.loads((render_predict.ROOT / name).read_text("utf-8"))
        for name in (render_predict.PREDICT, render_predict.EXPLAIN)
    ]
    page = render_predict.PAGE.read_text("utf-8")
    assert render_predict.render(page, *results) == page, "run tools/render_predict.py"
