"""Named protocols."""

import pytest

from kerasfast.train.scoring.protocols import choose_views


@pytest.mark.parametrize(
    "given, chosen",
    [
        ((None, None, None), ("full", 10, 3)),
        (("quick", None, None), ("quick", 3, 1)),
        (("quick", 3, 1), ("quick", 3, 1)),
        ((None, 3, 1), ("quick", 3, 1)),
        ((None, 4, None), ("custom", 4, 3)),
        ((None, 10, 3), ("full", 10, 3)),
    ],
)
def test_a_name_says_the_numbers_and_the_numbers_a_name(given, chosen):
    assert choose_views(*given) == chosen


def test_contradictions_are_refused():
    with pytest.raises(ValueError, match=r"protocol must be one of full, quick\. Received: protocol='fast'"):
        choose_views("fast", None, None)
    with pytest.raises(ValueError, match=r"'quick' is 3 clips x 1 crops. Received: 10 clips x 1 crops"):
        choose_views("quick", 10, None)
