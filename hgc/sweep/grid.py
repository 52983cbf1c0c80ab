"""A sweep: one request becomes many, in rows and columns."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Generic, TypeVar

from hgc import planning
from hgc.request import Recipe, Request, RequestRefused
from hgc.sweep.axis import LADDER, MOST_RUNS, Axis, Setting

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hgc.planning import Blueprint

R_co = TypeVar("R_co", bound=Recipe, covariant=True)
LADDER_AXIS = Axis("caches", LADDER)


@dataclass(frozen=True)
class SweepCell(Generic[R_co]):
    """One run of a sweep: where its picture stands, counted from 0, and the `repeat`-th seed of that place."""

    column: int
    row: int
    repeat: int
    request: R_co

    @property
    def key(self) -> str:
        """Its name within the sweep."""
        return f"{self.column}-{self.row}-{self.repeat}"


@dataclass(frozen=True)
class Sweep(Generic[R_co]):
    """A base and one or two axes; `seeds` draws every place under each of them, where seed is no axis.

    Raises RequestRefused for axes that decide the same thing, a value out of range, and more than MOST_RUNS runs.
    """

    base: R_co
    x: Axis
    y: Axis | None = None
    seeds: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.y is not None:
            _refuse_quarrel(self.x.setting, self.y.setting)
        if self.seeds and "seed" in (axis.name for axis in self.axes):
            raise RequestRefused("seed is an axis already: leave the further seeds empty")
        sizes = [len(axis.values) for axis in self.axes] + [len(self.seeds)] * bool(self.seeds)
        if prod(sizes) > MOST_RUNS:
            said = " × ".join(str(size) for size in sizes)
            raise RequestRefused(f"{said} are {prod(sizes)} runs, at most {MOST_RUNS} are drawn: leave out some values")
        _ = self.cells

    @staticmethod
    def ladder(base: planning.R) -> Sweep[planning.R]:
        """The caches off, coarse, fine and both, with the base's settings."""
        return Sweep(base, LADDER_AXIS)

    def on_map(self, control_png: bytes) -> Sweep[Request]:
        """The same with a control map, so that it can be drawn. Raises RequestRefused."""
        return Sweep(self.base.with_map(control_png), self.x, self.y, self.seeds)

    @property
    def axes(self) -> tuple[Axis, ...]:
        return (self.x,) if self.y is None else (self.x, self.y)

    @property
    def columns(self) -> int:
        return len(self.x.values)

    @property
    def rows(self) -> int:
        return 1 if self.y is None else len(self.y.values)

    @cached_property
    def cells(self) -> tuple[SweepCell[R_co], ...]:
        """Every run, row by row; the first seed of all places comes before the second of any."""
        return tuple(
            SweepCell(column, row, repeat, self._request(column, row, repeat))
            for repeat in range(max(1, len(self.seeds)))
            for row in range(self.rows)
            for column in range(self.columns)
        )

    @property
    def pictures(self) -> int:
        """How many different pictures there are to compute in full: the plan changes none of them."""
        return len({cell.request.picture_digest for cell in self.cells})

    def _request(self, column: int, row: int, repeat: int) -> R_co:
        data = self.base.model_dump()
        chosen = zip(self.axes, (column, row), strict=False)
        changes = [axis.setting.change(axis.values[place]) for axis, place in chosen]
        changes += [{"seed": self.seeds[repeat]}] if self.seeds else []
        for change in changes:
            data |= change | {"cache": data["cache"] | change.get("cache", {})}
        return type(self.base).parse(data)


def base_of(recipe: planning.R, axes: Iterable[Axis], blueprint: Blueprint) -> planning.R:
    """The base of the axes: where one is a setting of HGC's, HGC by its settings for the recipe's budget.

    Raises BelowLeast where HGC cannot keep to the budget.
    """
    return planning.by_settings(recipe, blueprint) if any(axis.setting.of_hgc for axis in axes) else recipe


def _refuse_quarrel(x: Setting, y: Setting) -> None:
    """Two axes that decide the same thing would leave it to chance which of them counts."""
    if x.name == y.name:
        raise RequestRefused(f"both axes are {x.title}: choose another one for the second")
    pair = {x.name, y.name}
    if {x.decides, y.decides} == {"plan", "number"} or (x.decides == y.decides == "plan" and "caches" in pair):
        raise RequestRefused(f"{x.title} and {y.title} both decide what is kept: sweep one of them over something else")
