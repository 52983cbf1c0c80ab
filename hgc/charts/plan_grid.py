"""A plan as a grid that can be clicked: steps x blocks, each block opened to its layers. Plain data for the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from hgc.cache.anatomy import Anatomy, Kind, State
from hgc.cache.rehearsal import Rehearsal
from hgc.cache.rules import PlanRefused
from hgc.cache.trace import TracedSite
from hgc.charts.rows import ChartRow, block_rows, site_title

PARTLY = "P"
# They cost next to nothing and never depend on a decision: they would only be in the way.
UNDECIDED = (Kind.EMBEDDING, Kind.TEXT_KV, Kind.IMAGE_KV)


@dataclass(frozen=True)
class PlanGrid:
    """The rows of one model; a row's key is its title or, for a layer, the site's dotted name."""

    anatomy: Anatomy

    @cached_property
    def sites(self) -> tuple[TracedSite, ...]:
        return tuple(TracedSite(s.name, s.kind, s.block, s.parent) for s in self.anatomy if s.kind not in UNDECIDED)

    @cached_property
    def rows(self) -> Mapping[str, ChartRow]:
        return {row.title: row for row in block_rows(self)}

    def sites_of(self, key: str) -> Sequence[str]:
        """The sites that a row stands for. Raises PlanRefused for a row that there is not."""
        if key in self.rows:
            return [site.name for site in self.rows[key].main]
        if key not in self.anatomy:
            raise PlanRefused(f"this model has no row '{key[:40]}'; open the plan again")
        return [key]

    def title_of(self, name: str) -> str:
        """The title of a site for people: its row where it stands alone in one, otherwise its own title."""
        row = next((row for row in self.rows.values() if row.names == (name,)), None)
        return row.title if row else next((site_title(site) for site in self.sites if site.name == name), name)

    def data(self, played: Rehearsal) -> dict[str, Any]:
        """Every row's states, one letter a step, and each step's part of the dearest step's MACs."""
        dearest = max(macs.paper for macs in played.macs_per_step) or 1
        return {
            "steps": len(played.steps),
            "spent": [round(macs.paper / dearest, 4) for macs in played.macs_per_step],
            "rows": [self._row(row, played) for row in self.rows.values()],
        }

    def _row(self, row: ChartRow, played: Rehearsal) -> dict[str, Any]:
        layers = (*row.main, *row.inside) if len(row.names) > 1 else ()
        known = {site.name for site in layers}
        ordered = [site for site in self.sites if site.name in known]
        return {
            "key": row.title,
            "title": row.title,
            "cells": letters(played, [site.name for site in row.main]),
            "layers": [self._layer(site, row.title, played) for site in ordered],
        }

    def _layer(self, site: TracedSite, row: str, played: Rehearsal) -> dict[str, Any]:
        return {
            "key": site.name,
            "title": site_title(site).removeprefix(f"{row} · "),
            "inner": site.parent is not None,
            "cells": letters(played, [site.name]),
        }


def letters(played: Rehearsal, names: Sequence[str]) -> str:
    """One letter a step: that of the sites' common state, P where only part of them is computed."""
    return "".join(_letter({step[name] for name in names}) for step in played.steps)


def _letter(states: set[State]) -> str:
    if len(states) == 1:
        return next(iter(states)).value
    if State.COMPUTED in states:
        return PARTLY
    return next(s.value for s in (State.FORECAST, State.REUSED, State.DEAD, State.ABSENT) if s in states)
