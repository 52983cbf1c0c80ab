"""The 150 classes of ADE20K, as the segmentation ControlNets of Stable Diffusion were trained on them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from .images import RGB

# In the order of the labels (Zhou et al., Scene Parsing through ADE20K, CVPR 2017; the names of objectInfo150).
_NAMES = """wall, building, sky, floor, tree, ceiling, road, bed, window, grass, cabinet, sidewalk, person, earth,
    door, table, mountain, plant, curtain, chair, car, water, painting, sofa, shelf, house, sea, mirror, rug,
    field, armchair, seat, fence, desk, rock, wardrobe, lamp, bathtub, railing, cushion, base, box, column,
    signboard, chest of drawers, counter, sand, sink, skyscraper, fireplace, refrigerator, grandstand, path,
    stairs, runway, case, pool table, pillow, screen door, stairway, river, bridge, bookcase, blind, coffee
    table, toilet, flower, book, hill, bench, countertop, stove, palm, kitchen island, computer, swivel chair,
    boat, bar, arcade machine, hovel, bus, towel, light, truck, tower, chandelier, awning, streetlight, booth,
    television, airplane, dirt track, apparel, pole, land, bannister, escalator, ottoman, bottle, buffet,
    poster, stage, van, ship, fountain, conveyer belt, canopy, washer, plaything, swimming pool, stool, barrel,
    basket, waterfall, tent, bag, minibike, cradle, oven, ball, food, step, tank, trade name, microwave, pot,
    animal, bicycle, lake, dishwasher, screen, blanket, sculpture, hood, sconce, vase, traffic light, tray,
    ashcan, fan, pier, crt screen, plate, monitor, bulletin board, shower, radiator, glass, clock, flag"""
NAMES = tuple(" ".join(_NAMES.split()).split(", "))


@cache
def palette() -> Mapping[str, RGB]:
    """Class to colour, in label order."""
    from controlnet_aux.util import ade_palette

    return {name: (red, green, blue) for name, (red, green, blue) in zip(NAMES, ade_palette(), strict=True)}
