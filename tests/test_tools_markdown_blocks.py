"""Blocks of figures in pages that are written by hand."""

import pytest
from markdown_blocks import END, replace_block

PAGE = f"before\n<!-- a.json -->\nold\n{END}\nbetween\n<!-- b.json -->\nother\n{END}\nafter\n"


def test_one_block_changes():
    found = replace_block(PAGE, "b.json", "| new |\n")
    assert found == PAGE.replace("other", "| new |") and replace_block(found, "b.json", "| new |") == found


@pytest.mark.parametrize("page", ["nothing", "<!-- a.json -->\nnever closed", PAGE.replace(END, "", 1)])
def test_a_block_must_be_there(page):
    with pytest.raises(ValueError, match=r"no block of a\.json: write <!-- a\.json -->"):
        replace_block(page, "a.json", "x")
