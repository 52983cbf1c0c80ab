"""The calibrations that come with a model: where they lie, and how to make one that is missing."""

from __future__ import annotations

from pathlib import Path

from hgc.cache.calibration import Calibration
from hgc.cache.curves import CalibrationRefused
from hgc.request import Request

CALIBRATIONS = Path(__file__).resolve().parents[2] / "assets" / "calibration"


def calibration_name(request: Request) -> str:
    """The name of its file: for one model, control, sampler and number of steps."""
    return f"{request.model}-{request.control}-{request.sampler}-{request.steps}.json"


def calibration_for(request: Request) -> Calibration:
    """The calibration for a request. Raises CalibrationRefused, with the command that makes it."""
    name = calibration_name(request)
    path = CALIBRATIONS / name
    make = (
        f"python -m hgc calibrate --model {request.model} --control {request.control} --sampler {request.sampler} "
        f"--steps {request.steps} --guidance {request.guidance:g} --out assets/calibration/{name}"
    )
    if not path.exists():
        raise CalibrationRefused(
            f"{request.model} is not calibrated for {request.control}, {request.sampler} and {request.steps} steps; "
            f"make it with: {make}"
        )
    return Calibration.read(path)
