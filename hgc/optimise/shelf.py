"""Kept results of an optimisation: the courses of every budget as JSON, the error table beside it; always whole."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hgc.cache.rules import CalibrationRefused
from hgc.calibration.files import of_its_kind, read_arrays, write_arrays, write_whole
from hgc.calibration.subject import Subject
from hgc.optimise.course import Course
from hgc.optimise.predict import ErrorTable, Numbers

AGAIN = "make them again: python -m hgc optimize"


@dataclass(frozen=True)
class Rung:
    """The course kept for a budget; fidelity is that of the final latents to the full run's (search.Fidelity), in dB.

    `fewer_steps_db` is what the plain solver reaches with as many steps as cost the same, rounded up.
    """

    budget: float
    course: Course
    share: float
    fidelity_db: float
    error_bar_db: float
    fewer_steps_db: float
    tried: int


@dataclass(frozen=True)
class Shelf:
    """All rungs of one subject, by budget; `weights` is the digest of what was measured, `command` makes it again.

    Of the scenes that the rungs' courses were tried on, `drawings` are hand-like drawings.
    """

    table: ErrorTable
    rungs: tuple[Rung, ...]
    weights: str
    command: str
    drawings: int = 0

    def with_rung(self, rung: Rung) -> Shelf:
        """The rung in place of one of the same budget; without those that a cheaper one beats."""
        others = [other for other in self.rungs if other.budget != rung.budget]
        return replace(self, rungs=unbeaten([*others, rung]))

    def write(self, path: Path) -> None:
        """The table first, then what refers to it; each file whole or not at all."""
        table = self.table
        parts: dict[str, Mapping[str, Numbers]] = {"products": table.products, "gains": table.gains}
        arrays = {f"{kind} {name}": array for kind, rows in parts.items() for name, array in rows.items()}
        header = {"subject": asdict(table.subject), "scenes": table.scenes, "drawings": table.drawings}
        path.parent.mkdir(parents=True, exist_ok=True)
        arrays |= {f"attention {name}": np.array(gain) for name, gain in table.attention.items()}
        write_arrays(path.with_suffix(".npz"), header, arrays | {"growth": table.growth})
        write_whole(path, json.dumps(self._as_dict(), indent=1).encode())

    def _as_dict(self) -> dict[str, Any]:
        rungs = [{**asdict(rung), "course": str(rung.course)} for rung in self.rungs]
        subject, of = asdict(self.table.subject), {"scenes": self.table.scenes, "drawings": self.drawings}
        return {"subject": subject, **of, "weights": self.weights, "command": self.command, "rungs": rungs}

    @classmethod
    def read(cls, path: Path) -> Shelf:
        """Raises CalibrationRefused when a file is missing, cut off, or not of the same subject as the other."""
        where = f"plans {path.name}"
        try:
            data = json.loads(path.read_text())
            subject = Subject(**data["subject"])
            rungs = tuple(Rung(**{**rung, "course": Course(*rung["course"].split())}) for rung in data["rungs"])
            weights, command, drawings = str(data["weights"]), str(data["command"]), int(data.get("drawings", 0))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise CalibrationRefused(f"{where}: missing, cut off or no kept plans ({error}); {AGAIN}") from error
        table = _read_table(path.with_suffix(".npz"))
        if table.subject != subject:
            raise CalibrationRefused(f"{where}: of {subject}, the table beside them of {table.subject}; {AGAIN}")
        return cls(table, rungs, weights, command, drawings)


def unbeaten(rungs: Iterable[Rung]) -> tuple[Rung, ...]:
    """By budget, those that give more than every cheaper one."""
    kept = list[Rung]()
    for rung in sorted(rungs, key=lambda rung: (rung.share, -rung.fidelity_db)):
        if not kept or rung.fidelity_db > kept[-1].fidelity_db:
            kept.append(rung)
    return tuple(sorted(kept, key=lambda rung: rung.budget))


def _read_table(path: Path) -> ErrorTable:
    where = f"error table {path.name}"
    header, arrays = read_arrays(path, where)
    parts: dict[str, dict[str, Numbers]] = {"products": {}, "gains": {}, "attention": {}, "growth": {}}
    with of_its_kind(where):
        for name, array in arrays.items():
            kind, _, what = name.partition(" ")
            parts[kind][what] = array
        subject = Subject(**header["subject"])
        attention = {name: float(gain) for name, gain in parts["attention"].items()}
        products, gains, growth = parts["products"], parts["gains"], parts["growth"][""]
        drawings = header.get("drawings", 0)  # earlier searches had none
        return ErrorTable(subject, header["scenes"], products, gains, growth, attention, drawings)


def carried(table: ErrorTable, steps: int) -> ErrorTable:
    """The table for another number of steps: values at a noise level are read off between those measured.

    Inner products of linearly interpolated values are the interpolated inner products. All of the samplers here space
    their steps evenly in the noise schedule's time, so that the share of the way is the noise level.
    """
    if steps == table.subject.steps:
        return table
    measured = table.subject.steps
    places = np.linspace(0, 1, steps, endpoint=False) * measured
    low = np.minimum(places.astype(int), measured - 1)
    mix = np.zeros((steps, measured))
    mix[np.arange(steps), low] = 1 - (places - low)
    mix[np.arange(steps), np.minimum(low + 1, measured - 1)] += places - low
    products = {site: mix @ rows @ mix.T for site, rows in table.products.items()}
    gains = {depth: mix @ row for depth, row in table.gains.items()}
    subject = replace(table.subject, steps=steps)
    growth = mix @ table.growth * (measured / steps)  # each of more steps moves the latents less
    return replace(table, subject=subject, products=products, gains=gains, growth=growth)


def stretched(course: Course, steps: int) -> Course:
    """The course with its steps repeated or thinned out to another number of them."""
    picks = [i * course.steps // steps for i in range(steps)]
    depths, branches = ("".join(letters[i] for i in picks) for letters in (course.depths, course.branches))
    return Course(depths, branches, course.caution)
