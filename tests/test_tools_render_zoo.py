"""The zoo's page comes from the index, the certificates and the result files."""

import dataclasses

import pytest
import render_zoo

from kerasfast.registry import entry, index
from kerasfast.verify import find_certificate


def test_the_page_is_up_to_date():
    assert render_zoo.PAGE.read_text("utf-8") == render_zoo.page(), "run tools/render_zoo.py"


def test_every_published_row_stands_on_the_page():
    page = render_zoo.page()
    names = [name for name, row in index().items() if row.has_weights]
    assert len(names) > 40
    assert not [name for name in names if page.count(f"| `{name}` |") != 1]


def test_every_published_row_has_a_certificate_of_its_form():
    for name, row in index().items():
        if row.source is not None:
            certificate = find_certificate(name)
            assert certificate.architecture == row.architecture
            assert render_zoo.largest(certificate) <= 1e-5, name


def test_weights_show_result_protocol_and_certificate():
    row = entry("slowfast_r50_8x8.charades")
    line = render_zoo.weights([row]).splitlines()[-1]
    assert "| 32x2 at 24 | Charades | mAP 37.24 | 10 x 3 of 256, max | Apache-2.0 |" in line
    assert line.endswith("(parity/slowfast_r50_8x8.pytorchvideo.json) | not reached |")
    assert render_zoo.published(entry("x3d_xs_4x12.k400_psf"))[0] == "69.5"  # its top-5 is not published
    plain = render_zoo.weights([dataclasses.replace(row, metrics=())]).splitlines()[-1]
    assert "| Charades |  |  |" in plain


def test_multiply_adds_stand_beside_the_paper_with_what_does_not_match():
    row = {"network": "slow_nano", "fields": {"beta": 1 / 6}, "paper": 10, "giga_multiply_adds": 10.5, "mismatch": ""}
    assert "| `slow_nano` | `beta=1/6` | 10 | 10.50 | +5.0 % |" in render_zoo.multiply_adds({"rows": [row]})
    noted = render_zoo.multiply_adds({"rows": [{**row, "mismatch": "the paper is silent"}]})
    assert "`slow_nano` with beta: the paper is silent." in noted


def test_differences_take_the_larger_pathway_and_crop():
    certificate = dataclasses.replace(
        find_certificate("slowfast_r50_8x8"),
        differences={"224": {"slow_res2": 1e-7, "fast_res2": 3e-7}, "256": {"slow_res2": 2e-7, "action_logits": 4e-7}},
    )
    cells = [cell.strip() for cell in render_zoo.differences([certificate]).splitlines()[-1].split("|")[1:-1]]
    assert cells[3:] == ["", "3.0e-07", "", "", "", "4.0e-07"]
    assert render_zoo.largest(certificate) == pytest.approx(4e-7)
