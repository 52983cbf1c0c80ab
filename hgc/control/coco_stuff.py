"""The 171 classes of COCO-Stuff (Caesar et al., CVPR 2018): 80 things and 91 stuffs, as its pixel maps number them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hgc.control.label_sets import LabelSet, colours_of

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
# The panoptic classes in label order, and the colours that COCO's own tools give them, OneFormer, and after it
# ControlNet 1.1 (cocodataset/panopticapi, panoptic_coco_categories.json).
_LEFT_OUT = {"cloth", "clothes", "furniture-other", "ground-other", "metal", "plant-other", "plastic", "solid-other"}
_LEFT_OUT |= {"structural-other", "textile-other", "waterdrops", "wood"}
PANOPTIC = (*THINGS, *(n for n in STUFF if n not in MERGED and n not in _LEFT_OUT), *dict.fromkeys(MERGED.values()))
_COLOURS = """
    dc143c 770b20 00008e 0000e6 6a00e4 003c64 005064 000046 0000c0 faaa1e 64aa1e dcdc00 af74af fa001e a52a2a ff4dff
    00e2fc b6b6ff 005200 78a69d 6e4c00 ae39ff c76400 480076 ffb3f0 007d5c d10097 bcd0b6 00dcb0 ff63a4 5c0049 8581ff
    4eb4ff 00e400 aefff3 2d59ff 868667 9194ae ffd0ba c5e2ff ab8601 6d3f36 cf8aff 97005f 09503d 546933 4a4169 a6c466
    d0c3d2 ff6d41 008f95 b300c2 d1636a 057900 e3ffcd 93bad0 994501 035fa1 a3ff00 7700aa 00b6c7 00a578 b78258 5f2000
    827287 6e8185 a64a76 db8eb9 4fd272 b25a3e 41460f 7fa773 3b696a 8e6c2d c4ac00 5f3650 804cff c93901 f6007a bfa2d0
    ffff80 93d3cb 966464 a8abac 9270c6 d2aa64 5c8859 da58b8 f18100 d911ff 7c4ab5 464646 ffe4ff 9ad000 c1005c 4c5b71
    ffb4c3 6a9ab0 e6968c 3c8fff 804080 5c5237 fed47c 494dae ffa062 ffffff 68546d a9a483 e1c7ff 89364a 879edf 07f6e7
    6bffc8 3a2995 b7798e ff4961 6b8e23 be9999 928b8d 4682b4 86c79c d1e28c 60246c 606060 40aa40 98fb98 d0e5e4 cebaab
    98a140 747000 00728f 66669c fa8dff
"""
LABELS = LabelSet("COCO-Stuff", dict(zip(PANOPTIC, colours_of(_COLOURS), strict=True)), "sky-other-merged")
