"""The classes of label maps: published colours, which set a map is in, drawings taken over into another set."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from hgc.control import ade20k, coco_stuff
from hgc.control.canvas import snap
from hgc.control.label_sets import LabelSet, set_of, taken_over
from hgc.landscapes.labels import LABELS
from hgc.models.presets import presets
from hgc.studio.world import world_of
from hgc.ui.playground.palettes import class_title

ADE, COCO = ade20k.LABELS, coco_stuff.LABELS


def sheet(labels: LabelSet, *names: str) -> np.ndarray:
    """A drawing [H, W, 4] of these classes, one below the other, and a bare part at the end."""
    rows = [np.full((8, 64, 4), (*labels.palette[name], 255), np.uint8) for name in names]
    return np.concatenate([*rows, np.zeros((8, 64, 4), np.uint8)])


def test_ade20k_has_the_colours_that_annotators_paint_it_in() -> None:
    from controlnet_aux.util import ade_palette

    assert [list(colour) for colour in ADE.palette.values()] == [list(colour) for colour in ade_palette()]
    assert [name for name, count in Counter(ADE.palette.values()).items() if count > 1] == [ADE.palette["road"]]


def test_coco_has_its_panoptic_classes_and_published_colours() -> None:
    """Some of panoptic_coco_categories.json: the first and the last of things, of stuff and of what was merged."""
    assert len(COCO.palette) == len(set(COCO.palette.values())) == 133
    ends = {"person": (220, 20, 60), "toothbrush": (191, 162, 208), "banner": (255, 255, 128), "snow": (255, 255, 255)}
    ends |= {"window-other": (255, 73, 97), "tree-merged": (107, 142, 35), "rug-merged": (250, 141, 255)}
    assert {name: COCO.palette[name] for name in ends} == ends
    assert [*COCO.palette][-1] == "rug-merged"


@pytest.mark.parametrize("labels", [ADE, COCO, LABELS], ids=lambda labels: labels.name)
def test_every_swatch_has_a_name_of_its_own_and_bare_parts_a_class(labels: LabelSet) -> None:
    assert len({class_title(name) for name in labels.palette}) == len(labels.palette)
    assert labels.unpainted in labels.palette


@pytest.mark.parametrize("labels", [ADE, COCO, LABELS], ids=lambda labels: labels.name)
def test_a_map_says_in_which_set_it_is(labels: LabelSet) -> None:
    names = [*labels.palette][1::3]
    given = sheet(labels, *names)
    assert set_of(given, [LABELS, COCO, ADE]) is labels
    snapped = snap(given, labels.palette, labels.unpainted)
    assert snapped.share_snapped == 0
    assert (snapped.map[:-8] == given[:-8, :, :3]).all()


def test_a_bare_or_white_sheet_is_in_the_first_set() -> None:
    white = np.full((8, 8, 4), 255, np.uint8)
    assert set_of(white, [ADE, COCO]) is set_of(np.zeros_like(white), [ADE, COCO]) is ADE


def test_a_drawing_is_taken_over_by_what_things_are() -> None:
    given = sheet(LABELS, *LABELS.palette)
    into, bare = taken_over(given, [LABELS, ADE, COCO], [ADE, COCO])
    expected = ("sky", "sky", "sky", "mountain", "grass", "water", "path", "tree", "house")
    assert (into == sheet(ADE, *expected)).all()
    assert bare == ()
    assert taken_over(into, [LABELS, ADE, COCO], [ADE])[0] is into
    back, bare = taken_over(sheet(ADE, "road", "sea", "sky", "car"), [LABELS, ADE, COCO], [LABELS])
    assert (back[:24] == sheet(LABELS, "path", "water", "sky")[:24]).all()
    assert not back[24:].any()
    assert bare == ("car",)


def test_a_control_of_one_set_is_offered_no_other() -> None:
    known = presets()
    assert [labels.name for labels in world_of(known["sd21"]).sets] == ["ADE20K"]
    assert [labels.name for labels in world_of(known["sd15"]).sets] == ["ADE20K", "COCO-Stuff"]
    assert world_of(known["landscapes"]).sets == (LABELS,)
