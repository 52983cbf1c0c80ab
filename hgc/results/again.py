"""A picture made before, and whether a run has made it again, bit for bit; or what differs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hgc.control.images import ImageRefused, decode
from hgc.evidence import Made, Signed, pixels_digest
from hgc.history import Record
from hgc.history.differences import differing
from hgc.request import Request
from hgc.results.comparison import Comparison


@dataclass(frozen=True)
class Original:
    """An earlier result: the request, the digest of each picture's pixels that is known, by arm, and with what."""

    request: Request
    digests: Mapping[str, str]
    made: Made

    @classmethod
    def of_picture(cls, signed: Signed) -> Original:
        """The digest is the one the picture was saved with: an altered picture can still be made again."""
        evidence = signed.evidence
        return cls(evidence.request, {evidence.arm: evidence.pixels_digest}, evidence.made)

    @classmethod
    def of_record(cls, record: Record) -> Original:
        """Raises RecordRefused."""
        return cls(record.request, {arm.name: pixels_digest(arm.pixels) for arm in record.arms}, record.made)


@dataclass(frozen=True)
class Again:
    """How a run compares with an original. `same_request` False: other settings were asked for, named in `reasons`.

    Otherwise `changed` are the arms whose pixels differ, and `reasons` what else it was made with.
    """

    same_request: bool
    arms: tuple[str, ...]
    changed: tuple[str, ...]
    reasons: tuple[str, ...]

    @property
    def identical(self) -> bool:
        return self.same_request and bool(self.arms) and not self.changed

    @property
    def words(self) -> str:
        """Whether it is the same picture, or what differs, in one or two sentences."""
        reasons = "; ".join(self.reasons)
        if not self.same_request:
            return f"Not held against the original: other settings. {reasons}."
        if self.identical:
            return f"Identical: every pixel of {_listed(self.arms)} is the same." + (
                f" And that although something else differs. {reasons}." if reasons else ""
            )
        if not self.arms:
            return "Not held against the original: this run has no picture of that kind."
        why = f"What else differs: {reasons}." if reasons else "Nothing else that was noted differs."
        return f"Not identical: pixels of {_listed(self.changed)} differ. {why}"


def compared(original: Original, run: Comparison) -> Again:
    """Holds a run against an original."""
    settings = unlike(original.request, run.request)
    if settings:
        return Again(False, (), (), _told(settings))
    arms = tuple(name for name in run.arms if name in original.digests)
    changed = tuple(name for name in arms if pixels_digest(run.arms[name].image) != original.digests[name])
    return Again(True, arms, changed, _told(original.made.unlike(run.made)))


def _listed(arms: tuple[str, ...]) -> str:
    return " and ".join(f"the {name} picture" for name in arms)


def _told(apart: Mapping[str, tuple[str, str]]) -> tuple[str, ...]:
    return tuple(f"{title}: {there} there, {here} here" for title, (there, here) in apart.items())


def unlike(one: Request, other: Request) -> dict[str, tuple[str, str]]:
    """The settings in which two requests differ. A map saved as another PNG of the same pixels is the same map."""
    differences = differing(one, other)
    if "Control map" in differences and _same_map(one, other):
        del differences["Control map"]
    return differences


def _same_map(one: Request, other: Request) -> bool:
    try:
        return np.array_equal(decode(one.control_bytes).pixels, decode(other.control_bytes).pixels)
    except ImageRefused:
        return False
