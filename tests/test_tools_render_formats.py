import json

import render_formats

ROW = {
    "format": "openvino",
    "precision": "int8",
    "bytes": 250_000,
    "largest_difference": 0.012,
    "map": {"verb": 0.8, "object": 0.9, "action": 0.5, "overall": 0.7333},
    "largest_difference_of_videos": 0.034,
    "median_seconds": 0.0123,
}
RESULT = {
    "rounds": 25,
    "keras": {"map": {"verb": 0.81, "object": 0.9, "action": 0.5, "overall": 0.7367}},
    "formats": {"openvino_int8": ROW},
}


def test_the_page_is_of_the_committed_result():
    result = json.loads(render_formats.RESULT.read_text("utf-8"))
    assert render_formats.PAGE.read_text("utf-8") == render_formats.page(result), "run tools/render_formats.py"


def test_rows():
    assert "| OpenVINO | int8 | 1.2e-02 | 0.25 MB | 12.3 ms |" in render_formats.formats_table(RESULT)
    assert "| OpenVINO | int8 | 0.8000 | 0.9000 | 0.5000 | 0.7333 | -0.0034 | 3.4e-02 |" in (
        render_formats.scores_table(RESULT)
    )


def test_what_was_not_timed_has_no_column():
    row = {key: value for key, value in ROW.items() if key != "median_seconds"}
    shown = render_formats.formats_table({**RESULT, "rounds": None, "formats": {"openvino_int8": row}})
    assert "one view" not in shown and "| OpenVINO | int8 | 1.2e-02 | 0.25 MB |" in shown
