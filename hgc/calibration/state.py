"""An unfinished calibration as one file that is always whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from hgc.cache.rules import CalibrationRefused
from hgc.calibration.files import of_its_kind, read_arrays, write_arrays
from hgc.calibration.lines import Numbers, Sums
from hgc.calibration.subject import Subject

OTHERWISE = "delete the file, or give another --out"
PARTS = tuple(part.name for part in fields(Sums))


@dataclass
class CalibrationState:
    """`changes` is [scenes, sites, steps]; `sums` are over all of these scenes; `weights` names what they ran on."""

    subject: Subject
    weights: str
    longest: int
    sites: list[str]
    changes: Numbers
    sums: dict[str, Sums]

    @property
    def scenes(self) -> int:
        return len(self.changes)

    def add(self, changes: Mapping[str, Sequence[float]], sums: Mapping[str, Sums]) -> None:
        """One more scene. Raises CalibrationRefused when it has other sites than those before."""
        if not self.scenes:
            self.sites, self.sums = list(changes), dict(sums)
            self.changes = np.array(list(changes.values()))[None]
            return
        if self.sites != list(changes) or self.sums.keys() != sums.keys():
            raise CalibrationRefused(
                f"a scene with {len(changes)} sites after scenes with {len(self.sites)}: the model changed meanwhile; "
                "delete the unfinished calibration and start again"
            )
        self.changes = np.concatenate([self.changes, np.array(list(changes.values()))[None]])
        for site, more in sums.items():
            self.sums[site].add(more)

    def write(self, path: Path) -> None:
        """Writes the whole file beside its place and then puts it there, so that no half of one is ever read."""
        header = {
            "subject": asdict(self.subject),
            "weights": self.weights,
            "longest": self.longest,
            "sites": self.sites,
        }
        arrays = {"changes": self.changes}
        for site, sums in self.sums.items():
            arrays |= {f"{part} {site}": getattr(sums, part) for part in PARTS}
        write_arrays(path, header, arrays)

    @classmethod
    def read(cls, path: Path, subject: Subject, weights: str, longest: int) -> CalibrationState:
        """The state in that file, or an empty one where there is none. Raises CalibrationRefused."""
        if not path.exists():
            return cls(subject, weights, longest, [], np.zeros((0, 0, subject.steps)), {})
        where = f"unfinished calibration {path.name}"
        header, arrays = read_arrays(path, where)
        with of_its_kind(where):
            Subject(**header["subject"]).check(subject, where, OTHERWISE)
            if header["weights"] != weights:
                raise CalibrationRefused(
                    f"{where}: measured on weights {header['weights']}, this model's are {weights}; {OTHERWISE}"
                )
            if header["longest"] != longest:
                raise CalibrationRefused(
                    f"{where}: measures ages to {header['longest']}, asked are {longest}; give --longest "
                    f"{header['longest']} or delete the file"
                )
            summed = [name.partition(" ")[2] for name in arrays if name.startswith(PARTS[0] + " ")]
            sums = {site: Sums(*(arrays[f"{part} {site}"] for part in PARTS)) for site in summed}
            return cls(subject, weights, longest, header["sites"], arrays["changes"], sums)
