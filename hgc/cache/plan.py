"""A plan: for every step and site, compute, reuse or forecast. Plain data, no torch."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from functools import cached_property
from hashlib import sha256
from typing import Any, Literal, get_args

from hgc import json_text, limits
from hgc.cache.origin import Origin
from hgc.cache.rules import LINE, ForecastRule, FrequencySplit, Gate, PlanRefused, Verification


class Action(StrEnum):
    """The action a plan asks of a site in a step. The letters are those of the JSON form."""

    COMPUTE = "C"
    REUSE = "R"
    FORECAST = "F"


Fusion = Literal["difference", "drop", "average"]
LETTERS = {action.value: action for action in Action}


@dataclass(frozen=True)
class Plan:
    """A table steps x sites of actions; a site without a row is computed in every step.

    `table` holds one letter a step: C compute, R reuse, F forecast. `forecast` says how F goes on from past values;
    `forecasts` names the sites that do it otherwise. `fusion` says what stands in for the unguided branch where its row
    says reuse: the last guidance `difference` (its frequencies weighed by `split`), or nothing, because guidance ends
    there (`drop`; `average`: attention kept beyond that point is then the mean of both branches, as in T-GATE).
    `gate` and `verification` compute more than the table says, by what a run shows. `model` names the anatomy the plan
    was made for, `origin` how it came about, of which its name is made.
    """

    origin: Origin
    steps: int
    model: str
    table: Mapping[str, str] = field(default_factory=dict)
    fusion: Fusion = "difference"
    forecast: ForecastRule = LINE
    forecasts: Mapping[str, ForecastRule] = field(default_factory=dict)
    split: FrequencySplit | None = None
    gate: Gate | None = None
    verification: Verification | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.origin, Origin):
            raise PlanRefused(f"plan of {self.origin!r}: say what made it, such as Origin('hgc')")
        if not isinstance(self.model, str):
            raise PlanRefused(f"a plan's name and model are words, not {type(self.model).__name__}")
        if type(self.steps) is not int:
            raise PlanRefused(f"plan '{self.name}': steps {self.steps!r} must be a whole number")
        if self.steps < 1:
            raise PlanRefused(f"plan '{self.name}': {self.steps} steps; at least 1 is needed")
        if self.fusion not in get_args(Fusion):
            raise PlanRefused(f"plan '{self.name}': fusion '{self.fusion}'; known are {', '.join(get_args(Fusion))}")
        self._check_rows()
        self._check_rules()

    @property
    def name(self) -> str:
        """Its name, in words for people."""
        return self.origin.words

    def _check_rows(self) -> None:
        if not isinstance(self.table, Mapping) or not all(isinstance(site, str) for site in self.table):
            raise PlanRefused(f"plan '{self.name}' is malformed: its table is not an object with a row for each site")
        for site, row in self.table.items():
            if not isinstance(row, str):
                raise PlanRefused(
                    f"plan '{self.name}', site '{site[:80]}': {reprlib.repr(row)}; give a string of one letter a step"
                )
            if len(row) != self.steps:
                raise PlanRefused(
                    f"plan '{self.name}', site '{site}': {len(row)} actions, {self.steps} steps; give one letter a step"
                )
            if strange := set(row) - set(LETTERS):
                raise PlanRefused(
                    f"plan '{self.name}', site '{site}': unknown action {sorted(strange)}; known are C, R and F"
                )

    def _check_rules(self) -> None:
        if unasked := sorted(set(self.forecasts) - set(self.table)):
            raise PlanRefused(f"plan '{self.name}': a forecast for '{unasked[0]}', which has no row; add the row")
        if self.split is None:
            return
        if self.fusion != "difference":
            raise PlanRefused(
                f"plan '{self.name}': a frequency split weighs a kept guidance difference, but fusion is "
                f"'{self.fusion}'; choose difference"
            )
        if {len(self.split.low), len(self.split.high)} != {self.steps}:
            raise PlanRefused(
                f"plan '{self.name}': frequency split with {len(self.split.low)} low and {len(self.split.high)} high "
                f"weights, {self.steps} steps; give one of each a step"
            )

    def forecast_of(self, site: str) -> ForecastRule:
        return self.forecasts.get(site, self.forecast)

    @cached_property
    def columns(self) -> tuple[Mapping[str, Action], ...]:
        """The table by step: what every step asks of the sites that are not simply computed."""
        return tuple(
            {site: LETTERS[row[step]] for site, row in self.table.items() if row[step] != Action.COMPUTE}
            for step in range(self.steps)
        )

    @cached_property
    def fitted(self) -> frozenset[str]:
        """The digests of the adjustments that its forecasts need."""
        used = {self.forecast_of(site) for site, row in self.table.items() if Action.FORECAST in row}
        return frozenset(forecast.fitted for forecast in used if forecast.fitted is not None)

    @property
    def dearest(self) -> Plan:
        """The plan with as many steps refreshed as its gate allows, the first ones; itself where there is no bound.

        Every site it keeps is refreshed in such a step, so that none of its runs computes more.
        """
        if self.gate is None or self.gate.most is None:
            return self
        moving = {site: row for site, row in self.table.items() if set(row[1:]) != {Action.REUSE.value}}
        saving_steps = [
            step for step in range(self.steps) if any(row[step] != Action.COMPUTE for row in moving.values())
        ]
        fresh = set(saving_steps[: self.gate.most])
        rows = {
            site: "".join("C" if step in fresh else letter for step, letter in enumerate(row))
            for site, row in moving.items()
        }
        return replace(self, table={**self.table, **rows}, gate=None)

    def to_json(self) -> str:
        return json.dumps(self.as_dict(), indent=1)

    def as_dict(self) -> dict[str, Any]:
        return self._content() | {"origin": self.origin.as_dict()}

    def _content(self) -> dict[str, Any]:
        """The content that the digest names: all but the origin, which is there in the name."""
        return {
            "name": self.name,
            "steps": self.steps,
            "model": self.model,
            "fusion": self.fusion,
            "forecast": _set_fields(self.forecast),
            "forecasts": {site: _set_fields(forecast) for site, forecast in self.forecasts.items()},
            "split": None if self.split is None else asdict(self.split),
            "gate": None if self.gate is None else _set_fields(self.gate),
            "table": dict(self.table),
        } | ({} if self.verification is None else {"verification": asdict(self.verification)})

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Plan:
        """Raises PlanRefused when a field is missing, unknown, of another kind or beyond the limits of what is read."""
        if not isinstance(data, Mapping):
            raise PlanRefused(f"not a plan: {type(data).__name__}, expected an object with name, steps, table")
        if strange := set(data) - _FIELDS:
            named = ", ".join(sorted(map(str, strange)))[:200]
            raise PlanRefused(f"unknown fields {named}; those of a plan are {', '.join(sorted(_FIELDS))}")
        if missing := {"name", "steps", "model"} - set(data):
            raise PlanRefused(
                f"plan without {', '.join(sorted(missing))}: export it again from Studio or add the fields"
            )
        _check_size(data)
        values = {key: value for key, value in data.items() if key != "name"}
        try:
            values["origin"] = Origin.read(data.get("origin"), data["name"])
            if "forecast" in values:
                values["forecast"] = ForecastRule(**values["forecast"])
            if "forecasts" in values:
                values["forecasts"] = {site: ForecastRule(**rule) for site, rule in values["forecasts"].items()}
            if values.get("split") is not None:
                values["split"] = FrequencySplit(**values["split"])
            if values.get("gate") is not None:
                values["gate"] = Gate(**values["gate"])
            if values.get("verification") is not None:
                values["verification"] = Verification(**values["verification"])
            return cls(**values)
        except PlanRefused:
            raise
        except (TypeError, AttributeError, ValueError, RecursionError) as error:
            raise PlanRefused(f"plan '{str(data['name'])[:40]}' is malformed: {error}") from error

    @classmethod
    def from_json(cls, text: str) -> Plan:
        if len(text) > limits.PLAN_BYTES:
            raise PlanRefused(f"not a plan: {len(text):,} characters, at most {limits.PLAN_BYTES:,} are read")
        try:
            data = json_text.parsed(text)
        except ValueError as error:
            raise PlanRefused(f"not a plan: {error}; export the plan again") from error
        return cls.from_dict(data)

    @property
    def digest(self) -> str:
        """Twelve hex digits that name this plan's content."""
        return sha256(json.dumps(self._content(), sort_keys=True).encode()).hexdigest()[:12]


def _check_size(values: Mapping[str, Any]) -> None:
    """Raises PlanRefused for a plan larger than any that is planned here."""
    name, steps, table = values["name"], values["steps"], values.get("table", {})
    if isinstance(name, str) and len(name) > limits.TITLE_CHARS:
        raise PlanRefused(f"a plan's name has at most {limits.TITLE_CHARS} characters, this one {len(name):,}")
    if type(steps) is int and steps > limits.STEPS:
        raise PlanRefused(f"plan '{str(name)[:40]}': {steps} steps, at most {limits.STEPS} are run")
    cells = sum(len(row) for row in table.values() if isinstance(row, str)) if isinstance(table, Mapping) else 0
    if cells > limits.PLAN_CELLS:
        raise PlanRefused(f"plan '{str(name)[:40]}': {cells:,} cells, at most {limits.PLAN_CELLS:,} are read")


_FIELDS = {"name"} | {part.name for part in fields(Plan)}


def _set_fields(rule: ForecastRule | Gate) -> dict[str, Any]:
    """A forecast or gate as JSON, without what it does not use."""
    return {name: value for name, value in asdict(rule).items() if value is not None}
