"""The 171 classes of COCO-Stuff (Caesar et al., CVPR 2018): 80 things and 91 stuffs, as its pixel maps number them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_THINGS = """person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant,
    stop sign, parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe, backpack,
    umbrella, handbag, tie, suitcase, frisbee, skis, snowboard, sports ball, kite, baseball bat, baseball glove,
    skateboard, surfboard, tennis racket, bottle, wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich,
    orange, broccoli, carrot, hot dog, pizza, donut, cake, chair, couch, potted plant, bed, dining table, toilet, tv,
    laptop, mouse, remote, keyboard, cell phone, microwave, oven, toaster, sink, refrigerator, book, clock, vase,
    scissors, teddy bear, hair drier, toothbrush"""
_STUFF = """banner, blanket, branch, bridge, building-other, bush, cabinet, cage, cardboard, carpet, ceiling-other,
    ceiling-tile, cloth, clothes, clouds, counter, cupboard, curtain, desk-stuff, dirt, door-stuff, fence,
    floor-marble, floor-other, floor-stone, floor-tile, floor-wood, flower, fog, food-other, fruit, furniture-other,
    grass, gravel, ground-other, hill, house, leaves, light, mat, metal, mirror-stuff, moss, mountain, mud, napkin,
    net, paper, pavement, pillow, plant-other, plastic, platform, playingfield, railing, railroad, river, road, rock,
    roof, rug, salad, sand, sea, shelf, sky-other, skyscraper, snow, solid-other, stairs, stone, straw,
    structural-other, table, tent, textile-other, towel, tree, vegetable, wall-brick, wall-concrete, wall-other,
    wall-panel, wall-stone, wall-tile, wall-wood, water-other, waterdrops, window-blind, window-other, wood"""
# Numbers that COCO gave away and never used; pixel maps are numbered from 0.
_GAPS = frozenset({11, 25, 28, 29, 44, 65, 67, 68, 70, 82, 90})
THINGS, STUFF = (tuple(" ".join(words.split()).split(", ")) for words in (_THINGS, _STUFF))
NAMES = (*THINGS, *STUFF)
# A pixel's number, 0 to 181, for each of NAMES.
PIXELS: Sequence[int] = tuple(number for number in range(182) if number not in _GAPS)
# Stuffs that COCO's panoptic classes hold under the name of another (Kirillov et al., CVPR 2019).
MERGED: Mapping[str, str] = {
    name: whole
    for whole, names in {
        "tree-merged": ("tree", "branch", "bush", "leaves"),
        "fence-merged": ("fence", "cage", "railing"),
        "ceiling-merged": ("ceiling-other", "ceiling-tile"),
        "sky-other-merged": ("sky-other", "clouds", "fog"),
        "cabinet-merged": ("cabinet", "cupboard"),
        "table-merged": ("table", "desk-stuff"),
        "floor-other-merged": ("floor-other", "floor-marble", "floor-tile"),
        "pavement-merged": ("pavement", "floor-stone"),
        "mountain-merged": ("mountain", "hill"),
        "grass-merged": ("grass", "moss", "straw"),
        "dirt-merged": ("dirt", "mud"),
        "paper-merged": ("paper", "napkin"),
        "food-other-merged": ("food-other", "salad", "vegetable"),
        "building-other-merged": ("building-other", "skyscraper"),
        "rock-merged": ("rock", "stone"),
        "wall-other-merged": ("wall-other", "wall-concrete", "wall-panel"),
        "rug-merged": ("rug", "carpet", "mat"),
    }.items()
    for name in names
}
