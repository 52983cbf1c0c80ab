"""The page's titles for controls, samplers and methods."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from hgc.models.presets import CONTROLS
from hgc.planning.methods import METHODS

if TYPE_CHECKING:
    from hgc.calibration.subject import Subject
    from hgc.request import ArmName

SAMPLER_TITLES = {"ddim": "DDIM", "dpmpp": "DPM-Solver++", "unipc": "UniPC", "euler": "Euler", "lcm": "LCM"}
CONTROL_WORDS = {name: title.lower() for name, title in CONTROLS.items()} | {
    "segmentation": "label maps",
    "edges": "edges",
}
ARM_NAMES: tuple[ArmName, ...] = ("full", "cached", "rival")
NOT_HERE = "weights not here"
NO_RIVAL = "nothing"
RIVALS = [("Nothing", NO_RIVAL), *((METHODS[name].title, name) for name in sorted(METHODS, key="fewer_steps".__ne__))]


def control_titles(controls: Sequence[str], here: Collection[str]) -> list[tuple[str, str]]:
    """A model's controls by title; those whose weights would have to be fetched are marked."""
    known = [name for name in CONTROLS if name in controls]
    return [(CONTROLS[name] + ("" if name in here else f" ({NOT_HERE})"), name) for name in known]


def method_title(name: str) -> str:
    """The title of a kept run's method; one that this version does not know keeps its name."""
    return METHODS[name].title if name in METHODS else name


def subject_words(of: Subject) -> str:
    """The settings that a calibration holds for."""
    control, sampler = CONTROL_WORDS.get(of.control, of.control), SAMPLER_TITLES.get(of.sampler, of.sampler)
    return f"{control}, {sampler}, {of.steps} steps, guidance {of.guidance:g}"


def rival_of(chosen: str) -> str | None:
    """The request's rival for an entry of the dropdown."""
    return None if chosen == NO_RIVAL else chosen
