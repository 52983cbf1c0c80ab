"""Calibrations: those that come with a model, those made here, and how to make one that is missing."""

from __future__ import annotations

from pathlib import Path

from hgc.cache.calibration import Calibration
from hgc.cache.curves import CalibrationRefused, Subject
from hgc.request import Request

CALIBRATIONS = Path(__file__).resolve().parents[2] / "assets" / "calibration"
# Made on the page, in the working folder.
OWN = Path("runs") / "calibration"


def calibration_name(of: Request | Subject) -> str:
    """The name of its file: for one model, control, sampler and number of steps."""
    return f"{of.model}-{of.control}-{of.sampler}-{of.steps}.json"


def own_path(subject: Subject, weights: str) -> Path:
    """Where a calibration made here is kept; other weights, twelve hex digits, have another place."""
    return OWN / f"{calibration_name(subject).removesuffix('.json')}-{subject.guidance:g}-{weights}.json"


def calibration_for(request: Request) -> Calibration:
    """The calibration for a request, shipped or else made here. Raises CalibrationRefused, with the command for it."""
    name = calibration_name(request)
    path = CALIBRATIONS / name
    make = (
        f"python -m hgc calibrate --model {request.model} --control {request.control} --sampler {request.sampler} "
        f"--steps {request.steps} --guidance {request.guidance:g} --out assets/calibration/{name}"
    )
    if not path.exists():
        made_here = OWN.glob(f"{name.removesuffix('.json')}-{request.guidance:g}-*.json")
        if own := sorted(made_here, key=lambda found: found.stat().st_mtime):
            return Calibration.read(own[-1])
        raise CalibrationRefused(
            f"{request.model} is not calibrated for {request.control}, {request.sampler} and {request.steps} steps; "
            f"make it with: {make}"
        )
    return Calibration.read(path)
