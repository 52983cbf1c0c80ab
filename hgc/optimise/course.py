"""A course: what every step does, in a letter; the compact form in which plans are optimised. Plain data, no torch.

    depths   "FFF3.3F.."    F everything, U the UNet with the control residuals kept, 1 to 9 that many decoder layers
                            (counted from the output) over kept features, . nothing: the whole prediction is kept
    branches "222221122"    2 both guidance branches, 1 the guided one with the guidance difference kept
    caution  "3"            how small the weights are held, 2 (very) to 6 (hardly): values that a short budget left
                            inexact must not be multiplied up

A kept value is a weighted sum of the last values computed; the weights come from an error table where there is one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Protocol

from hgc.cache.anatomy import PREDICTION, UNGUIDED, Anatomy
from hgc.cache.origin import Knobs, Origin
from hgc.cache.plan import Plan
from hgc.cache.rules import LINE, ForecastRule, PlanRefused, Weighing
from hgc.cache.schedules import constants, cut_site, decoder_layers, kept_residuals

FULL, UNET, SKIP = "F", "U", "."
CAUTIONS = ("2", "3", "4", "5", "6")
REMEMBERED = 4  # past values that a kept one goes on from
DIGITS = 5


class Weigher(Protocol):
    """Knows the weights of past values of a site."""

    def weights(self, site: str, at: int, past: tuple[int, ...], ridge: float) -> tuple[float, ...]: ...


@dataclass(frozen=True)
class Course:
    """One letter of each kind a step. The first step computes everything; a step that keeps its prediction is "2"."""

    depths: str
    branches: str
    caution: str = "6"

    def __post_init__(self) -> None:
        if not self.depths or len(self.depths) != len(self.branches):
            raise PlanRefused(f"course '{self.depths}' / '{self.branches}': give as many letters of each, at least one")
        if strange := set(self.depths) - set("FU.123456789") | set(self.branches) - set("12"):
            raise PlanRefused(f"course '{self.depths}' / '{self.branches}': unknown letter '{min(strange)}'")
        if self.caution not in CAUTIONS:
            raise PlanRefused(f"course '{self.depths}': caution '{self.caution}'; known are {', '.join(CAUTIONS)}")
        if (self.depths[0], self.branches[0]) != (FULL, "2"):
            raise PlanRefused(
                f"course '{self.depths}' / '{self.branches}': the first step computes everything, F and 2"
            )
        branches = "".join("2" if d == SKIP else b for d, b in zip(self.depths, self.branches, strict=True))
        object.__setattr__(
            self, "branches", branches
        )  # nothing runs in such a step, so that there is nothing to leave out

    @property
    def steps(self) -> int:
        return len(self.depths)

    def __str__(self) -> str:
        return f"{self.depths} {self.branches} {self.caution}"

    @property
    def ridge(self) -> float:
        """The addition to the past values' mean square when weights are fitted, as a share of it."""
        return float(10 ** -int(self.caution))

    @classmethod
    def full(cls, steps: int) -> Course:
        return cls(FULL * steps, "2" * steps)

    def changed(self, step: int, depth: str | None = None, branch: str | None = None) -> Course:
        """The same with one step otherwise."""
        depths = self.depths[:step] + (depth or self.depths[step]) + self.depths[step + 1 :]
        branches = self.branches[:step] + (branch or self.branches[step]) + self.branches[step + 1 :]
        return Course(depths, branches, self.caution)


@dataclass(frozen=True)
class SiteRow:
    """Where one site is computed, by branches, and where it is kept."""

    site: str
    computed: tuple[int, ...]  # in 0, 1 or 2 branches
    kept: tuple[bool, ...]

    def past(self, step: int, branches: int) -> tuple[int, ...]:
        """The steps before in which the site was computed in at least so many branches."""
        return tuple(i for i in range(step) if self.computed[i] >= branches)


def rows(course: Course, anatomy: Anatomy, uncontrolled: Collection[int] = ()) -> Iterator[SiteRow]:
    """The rows of a course's plan: the sites it keeps somewhere; in `uncontrolled` steps no ControlNet runs.

    Raises PlanRefused for a depth that this model has not.
    """
    counts = tuple(int(letter) for letter in course.branches)
    steps = range(course.steps)

    def row(site: str, fresh: list[bool], kept: list[bool]) -> SiteRow:
        return SiteRow(site, tuple(n if f else 0 for n, f in zip(counts, fresh, strict=True)), tuple(kept))

    reach = [depth_of(letter, anatomy) for letter in course.depths]
    for depth in sorted({letter for letter in course.depths if letter.isdigit()}):
        layers = int(depth)
        yield row(cut_site(anatomy, layers), [r > layers for r in reach], [d == depth for d in course.depths])
    control = [(d.isdigit() or d == UNET) and i not in uncontrolled for i, d in enumerate(course.depths)]
    if any(control):
        deepest = max(reach[i] for i in steps if control[i])
        for site in kept_residuals(anatomy, deepest):
            fresh = [d == FULL and i not in uncontrolled for i, d in enumerate(course.depths)]
            yield row(site, fresh, control)
    if SKIP in course.depths:
        yield row(PREDICTION, [d != SKIP for d in course.depths], [d == SKIP for d in course.depths])
    if "1" in course.branches:
        both = [counts[i] == 2 and course.depths[i] != SKIP for i in steps]
        yield row(UNGUIDED, both, [counts[i] == 1 for i in steps])


def depth_of(letter: str, anatomy: Anatomy) -> int:
    """How many decoder layers a step computes."""
    return int(letter) if letter.isdigit() else 0 if letter == SKIP else len(decoder_layers(anatomy))


def plan_of(
    course: Course,
    anatomy: Anatomy,
    weigher: Weigher | None,
    carried_over: Knobs | None = None,
    uncontrolled: Collection[int] = (),
    verified: bool = False,
) -> Plan:
    """The plan of a course, with fitted weights, or with lines where nothing was measured. Raises PlanRefused.

    `carried_over` is as `Origin` has it. With `verified` there are weights for computed steps as well, by which the
    forecasts can be measured there.
    """
    table = constants(anatomy, course.steps)
    forecasts: dict[str, ForecastRule] = {}
    for row in rows(course, anatomy, uncontrolled):
        least = 1 if weigher else LINE.least
        table[row.site] = "".join(_letter(row, step, least, course) for step in range(course.steps))
        if weigher:
            entries = [*_weighings(row, course, weigher), *(_measuring(row, course, weigher) if verified else ())]
            forecasts[row.site] = ForecastRule("weighted", weighings=tuple(entries))
    origin = Origin("optimised", {"course": str(course)}, carried_over or {})
    return Plan(origin, course.steps, anatomy.model, table, forecasts=forecasts)


def _letter(row: SiteRow, step: int, least: int, course: Course) -> str:
    if not row.kept[step]:
        return "C"
    return "F" if len(row.past(step, _needed(row, step, course))) >= least else "R"


def _needed(row: SiteRow, step: int, course: Course) -> int:
    """How many branches a kept value must serve; the guidance difference comes of both."""
    return 2 if row.site == UNGUIDED else int(course.branches[step])


def _weighings(row: SiteRow, course: Course, weigher: Weigher) -> Iterator[Weighing]:
    for step in (step for step in range(course.steps) if row.kept[step]):
        needed = _needed(row, step, course)
        pasts = {row.past(step, n)[-REMEMBERED:] for n in ({2} if row.site == UNGUIDED else range(1, needed + 1))}
        for past in sorted(pasts):
            if not past:
                raise PlanRefused(f"course '{course}', step {step}: '{row.site}' was never computed before")
            yield _weighing(row, course, weigher, step, past)


def _measuring(row: SiteRow, course: Course, weigher: Weigher) -> Iterator[Weighing]:
    """The forecast from the last values, where the site is computed and a later step goes on from it."""
    for step in (step for step in range(course.steps) if row.computed[step] and any(row.kept[step:])):
        if past := row.past(step, 2 if row.site == UNGUIDED else 1)[-REMEMBERED:]:
            yield _weighing(row, course, weigher, step, past)


def _weighing(row: SiteRow, course: Course, weigher: Weigher, step: int, past: tuple[int, ...]) -> Weighing:
    weights = weigher.weights(row.site, step, past, course.ridge)
    return Weighing(step, past, tuple(round(weight, DIGITS) for weight in weights))
