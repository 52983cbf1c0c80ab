"""A plan: for every step and site, compute, reuse or forecast. Plain data, no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from hashlib import sha256
from typing import Any, Literal, get_args


class Action(StrEnum):
    """What a plan asks of a site in a step. The letters are those of the JSON form."""

    COMPUTE = "C"
    REUSE = "R"
    FORECAST = "F"


Fusion = Literal["difference", "drop"]
LETTERS = {action.value: action for action in Action}


class PlanRefused(ValueError):
    """A plan that cannot be run here. The message names the plan, the place and the remedy."""


@dataclass(frozen=True)
class Gate:
    """Run-time refresh: an in-between step becomes a full one when the expected change since the last full one
    reaches `threshold` (relative L1), or after `longest` in-between steps in a row."""

    threshold: float
    longest: int = 6

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 10:
            raise PlanRefused(f"gate threshold {self.threshold}: choose a relative change between 0 and 10, e.g. 0.15")
        if self.longest < 1:
            raise PlanRefused(f"gate longest {self.longest}: at least 1 in-between step")


@dataclass(frozen=True)
class Plan:
    """A table steps x sites of actions; a site without a row is computed in every step.

    `table` holds one letter a step: C compute, R reuse, F forecast. `order` is the number of past differences that a
    forecast extrapolates. `fusion` says what stands in for the unguided branch where its row says reuse: the last
    guidance `difference`, or nothing (`drop`: guidance is left out). `model` names the anatomy the plan was made for.
    """

    name: str
    steps: int
    model: str
    table: Mapping[str, str] = field(default_factory=dict)
    fusion: Fusion = "difference"
    order: int = 1
    gate: Gate | None = None

    def __post_init__(self) -> None:
        if type(self.steps) is not int or type(self.order) is not int:
            raise PlanRefused(
                f"plan '{self.name}': steps {self.steps!r} and order {self.order!r} must be whole numbers"
            )
        if self.steps < 1:
            raise PlanRefused(f"plan '{self.name}': {self.steps} steps; at least 1 is needed")
        if self.fusion not in get_args(Fusion):
            raise PlanRefused(f"plan '{self.name}': fusion '{self.fusion}'; known are {', '.join(get_args(Fusion))}")
        if self.order not in (1, 2):
            raise PlanRefused(f"plan '{self.name}': forecast order {self.order}; known are 1 and 2")
        for site, row in self.table.items():
            if not isinstance(row, str):
                raise PlanRefused(f"plan '{self.name}', site '{site}': {row!r}; give a string of one letter a step")
            if len(row) != self.steps:
                raise PlanRefused(
                    f"plan '{self.name}', site '{site}': {len(row)} actions, {self.steps} steps; give one letter a step"
                )
            if strange := set(row) - set(LETTERS):
                raise PlanRefused(
                    f"plan '{self.name}', site '{site}': unknown action {sorted(strange)}; known are C, R and F"
                )

    @cached_property
    def columns(self) -> tuple[Mapping[str, Action], ...]:
        """The table by step: what every step asks of the sites that are not simply computed."""
        return tuple(
            {site: LETTERS[row[step]] for site, row in self.table.items() if row[step] != Action.COMPUTE}
            for step in range(self.steps)
        )

    def to_json(self) -> str:
        return json.dumps(self.as_dict(), indent=1)

    def as_dict(self) -> dict[str, Any]:
        gate = None if self.gate is None else {"threshold": self.gate.threshold, "longest": self.gate.longest}
        return {
            "name": self.name,
            "steps": self.steps,
            "model": self.model,
            "fusion": self.fusion,
            "order": self.order,
            "gate": gate,
            "table": dict(self.table),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Plan:
        """Raises PlanRefused when a field is missing or unknown."""
        fields = {"name", "steps", "model", "fusion", "order", "gate", "table"}
        if strange := set(data) - fields:
            raise PlanRefused(f"plan with unknown fields {sorted(strange)}; known are {sorted(fields)}")
        if missing := {"name", "steps", "model"} - set(data):
            raise PlanRefused(f"plan without {sorted(missing)}: export it again from Studio or add the fields")
        values = dict(data)
        try:
            if values.get("gate") is not None:
                values["gate"] = Gate(**values["gate"])
            return cls(**values)
        except (TypeError, AttributeError) as error:
            raise PlanRefused(f"plan '{data['name']}' is malformed: {error}") from error

    @classmethod
    def from_json(cls, text: str) -> Plan:
        try:
            data = json.loads(text)
        except json.JSONDecodeError as error:
            raise PlanRefused(f"not a plan: invalid JSON at line {error.lineno}; export the plan again") from error
        if not isinstance(data, dict):
            raise PlanRefused(f"not a plan: a JSON {type(data).__name__}, expected an object with name, steps, table")
        return cls.from_dict(data)

    @property
    def digest(self) -> str:
        """Twelve hex digits that name this plan's content."""
        return sha256(json.dumps(self.as_dict(), sort_keys=True).encode()).hexdigest()[:12]
