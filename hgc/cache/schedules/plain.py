"""The two plans that change no picture: everything computed, and only what depends on the step computed again."""

from __future__ import annotations

from hgc.cache.anatomy import Anatomy
from hgc.cache.origin import Origin
from hgc.cache.plan import Plan
from hgc.cache.schedules.rows import constants


def full(anatomy: Anatomy, steps: int) -> Plan:
    """Everything computed in every step, as the plain pipeline does (which also runs a ControlNet at scale 0)."""
    return Plan(Origin("full"), steps, anatomy.model)


def exact(anatomy: Anatomy, steps: int) -> Plan:
    """Only what changes nothing: the condition's embedding and the text's keys and values are computed once."""
    return Plan(Origin("exact"), steps, anatomy.model, constants(anatomy, steps))
