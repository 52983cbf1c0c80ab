"""A finished calibration as files: change curves as JSON, the adjustment's numbers beside them as npz, always whole."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from hgc.cache.rules import CalibrationRefused
from hgc.calibration.curves import ChangeCurves
from hgc.calibration.lines import Adjustment, Numbers
from hgc.calibration.subject import AGAIN, Subject
from hgc.whole import write_whole


@dataclass(frozen=True)
class Calibration:
    """One calibration: curves and lines, as measured."""

    curves: ChangeCurves
    adjustment: Adjustment

    def write(self, path: Path) -> None:
        """Writes the curves to `path` and, before that, the adjustment beside them; each file whole or not at all."""
        tables = {"scale": self.adjustment.scale, "shift": self.adjustment.shift}
        arrays = {f"{name} {site}": array for name, rows in tables.items() for site, array in rows.items()}
        write_arrays(path.with_suffix(".npz"), {"subject": asdict(self.adjustment.subject)}, arrays)
        write_whole(path, self.curves.to_json().encode())

    @classmethod
    def read(cls, path: Path) -> Calibration:
        """Raises CalibrationRefused when a file is missing, cut off, or not of the same calibration as the other."""
        curves = read_curves(path)
        beside = path.with_suffix(".npz")
        adjustment = _read_adjustment(beside)
        if adjustment.digest != curves.adjustment:
            raise CalibrationRefused(
                f"adjustment {beside.name} is {adjustment.digest}, the curves beside it were measured with "
                f"{curves.adjustment}; put the two files of one calibration together or {curves.subject.again}"
            )
        return cls(curves, adjustment)


def _read_adjustment(path: Path) -> Adjustment:
    where = f"adjustment {path.name}"
    header, arrays = read_arrays(path, where)
    rows: dict[str, dict[str, Numbers]] = {"scale": {}, "shift": {}}
    with of_its_kind(where):
        for name, array in arrays.items():
            table, _, site = name.partition(" ")
            rows[table][site] = array
        return Adjustment(Subject(**header["subject"]), rows["scale"], rows["shift"])


def read_curves(path: Path) -> ChangeCurves:
    """Raises CalibrationRefused when the file is missing, cut off or something else."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise CalibrationRefused(f"change curves {path.name}: cannot be read ({_reason(error)}); {AGAIN}") from error
    return ChangeCurves.from_json(text, f"change curves {path.name}")


def read_arrays(path: Path, where: str) -> tuple[dict[str, Any], dict[str, Numbers]]:
    """A file's header and arrays. Raises CalibrationRefused, naming `where`, when it is cut off or something else."""
    try:
        with path.open("rb") as file, np.load(file) as archive:
            arrays = {name: archive[name] for name in archive.files}
        header = json.loads(str(arrays.pop("header")))
    except (OSError, ValueError, KeyError, EOFError, TypeError, zlib.error, BadZipFile) as error:
        raise CalibrationRefused(
            f"{where}: missing, cut off or no calibration ({_reason(error)}); delete it and {AGAIN}"
        ) from error
    return header, arrays


@contextmanager
def of_its_kind(where: str) -> Iterator[None]:
    """Reads what `where` holds. Raises CalibrationRefused when that is whole, but a file of another kind."""
    try:
        yield
    except CalibrationRefused:
        raise
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CalibrationRefused(f"{where}: of another kind ({_reason(error)}); delete it and {AGAIN}") from error


def write_arrays(path: Path, header: Mapping[str, Any], arrays: Mapping[str, Numbers]) -> None:
    """Writes beside the place and then puts it there, so that no half of a file is ever read."""
    buffer = BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, header=np.array(json.dumps(header)), **arrays)
    write_whole(path, buffer.getvalue())


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) and error.strerror else str(error)) or type(error).__name__
