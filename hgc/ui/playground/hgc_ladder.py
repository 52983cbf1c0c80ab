"""HGC's ladder: each of its caches alone, both together, and what was measured of them; a press sets the switches."""

from __future__ import annotations

from collections.abc import Sequence

from hgc.planning.measured import WORDS, rungs
from hgc.ui.playground.method_card import told

CONTROL, TABLES = "segmentation", ("hgc-parts",)  # all three of the same scenes
# What is pressed, the switches coarse and fine, and the name in the shipped tables.
STAIRS: Sequence[tuple[str, str, str]] = (
    ("Fine alone", "false, true", "hgc fine"),
    ("Coarse alone", "true, false", "hgc coarse"),
    ("Both", "true, true", "hgc"),
)


def ladder() -> str:
    """A button and the measured likeness for each; empty where the tables lack one of them."""
    measured = [rungs(name, CONTROL, TABLES) for _, _, name in STAIRS]
    if not all(measured):
        return ""
    rows = "".join(
        f'<dt><button type="button" class="quiet" onclick="hgc.caches({switches})">{title}</button></dt>'
        f"<dd>{told(own)}</dd>"
        for (title, switches, _), own in zip(STAIRS, measured, strict=True)
    )
    scenes = measured[0][0].scenes
    return (
        '<p class="aside">Both caches or one of them: what each gave within the budgets 20%, 37% and 50%.</p>'
        f'<dl id="hgc-ladder" class="rungs">{rows}</dl>'
        f'<p class="aside">PSNR to the full picture by share of its compute; means of {scenes} scenes under label '
        f"maps, {WORDS}.</p>"
    )
