"""Where the objects of miniature Charades are: `object_masks` against the videos."""

import dataclasses

import numpy as np
import pytest

from kerasfast.data.miniature.render import object_masks, render
from kerasfast.data.miniature.scripts import write_scripts
from kerasfast.data.miniature.subjects import HEADROOM

SEED = 3


@pytest.mark.parametrize("index", range(6))
def test_a_mask_covers_what_the_object_changes(index):
    """The same scene with and without its object differs by more than two pieces of noise within the mask alone."""
    script = write_scripts("kinetics_test", 8, SEED)[index]
    with_object = render(script, SEED).astype(int)
    without = render(dataclasses.replace(script, parts=()), SEED).astype(int)
    change = np.abs(with_object - without).max(axis=-1)
    (mask,) = object_masks(script, SEED)
    assert change[mask == 0].max() <= 2 * HEADROOM
    inner = mask == 1
    inner[:4] = inner[-4:] = False  # the object comes and goes there
    assert inner.mean() > 0.02
    assert (change[inner] > 2 * HEADROOM).mean() > (0.5 if script.parts[0].action.verb_name == "fade" else 0.9)


def test_every_action_has_its_mask_in_its_frames():
    script = next(script for script in write_scripts("test", 20, SEED) if len(script.parts) > 2)
    masks = object_masks(script, SEED)
    assert masks.shape == (len(script.parts), script.frames, script.height, script.width)
    for mask, part in zip(masks, script.parts, strict=True):
        seen = mask.any(axis=(1, 2))
        assert seen[part.start : part.end].all()
        assert seen.sum() == part.end - part.start
        rows, columns = np.nonzero(mask[(part.start + part.end) // 2] > 0.5)
        assert abs(rows.mean() - part.y) < 20 and abs(columns.mean() - part.x) < 22  # where the script says, or near
