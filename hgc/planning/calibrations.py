"""Calibrations: those that come with a model, those made here, and which of them a run goes by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from hgc.cache.origin import Knobs
from hgc.cache.plan import Plan
from hgc.cache.rules import CalibrationRefused
from hgc.calibration.curves import ChangeCurves
from hgc.calibration.files import Calibration, read_curves
from hgc.calibration.subject import OWN, Subject
from hgc.request import Recipe

CALIBRATIONS = Path(__file__).resolve().parents[2] / "assets" / "calibration"


class NotCalibrated(CalibrationRefused):
    """Nothing that was measured fits; one sentence with what differs and the command."""


@dataclass(frozen=True)
class FittingCalibration:
    """A calibration that fits, and what of it is not of the recipe, as Origin.carried_over has it."""

    path: Path
    curves: ChangeCurves
    carried_over: Knobs

    def read(self) -> Calibration:
        """With its scale and shift. Raises CalibrationRefused when a file is damaged."""
        return Calibration.read(self.path)


def fitting(of: Recipe | Subject, weights: str) -> list[FittingCalibration]:
    """All that was measured of this model, control, sampler and steps; one at least, the best first.

    On these `weights` alone. The best is that of the nearest guidance, carried over where that is
    another: whoever moves the guidance wants a picture, and is told. Of several, one made here comes before the one
    that is shipped, newer before older. Raises NotCalibrated, CalibrationRefused for a damaged file.
    """
    subject, fits, refusals = subject_of(of), [], []
    for path in _kept(subject):
        curves = read_curves(path)
        guided_alike = replace(subject, guidance=curves.subject.guidance)
        try:
            curves.subject.check(guided_alike, f"change curves {path.name}", subject.again)
            curves.check_weights(weights, subject.again)
        except CalibrationRefused as refusal:
            refusals.append(str(refusal))
        else:
            fits.append(FittingCalibration(path, curves, curves.subject.carried_over(subject)))
    if not fits:
        raise NotCalibrated(refusals[0] if refusals else _nothing_kept(subject))
    return sorted(fits, key=lambda one: abs(one.curves.subject.guidance - subject.guidance))


def measured_on(weights: str) -> Subject | None:
    """A subject that was calibrated on these very weights, whatever the model is called; those made here come first."""
    for path in (*sorted(Path(OWN).glob("*.json")), *sorted(CALIBRATIONS.glob("*.json"))):
        try:
            curves = read_curves(path)
        except CalibrationRefused:
            continue  # told where that subject is asked for
        if (curves.versions or {}).get("weights") == weights:
            return curves.subject
    return None


def planned(of: Recipe, plan_from: Callable[[Calibration], Plan], weights: str) -> Plan:
    """The plan by the best calibration that fits; what it is carried over from stands in its origin.

    One that was distilled for another plan is passed over. Raises NotCalibrated, CalibrationRefused.
    """
    refusals = []
    for calibration in fitting(of, weights):
        measured = calibration.read()
        try:
            plan = plan_from(measured)
            check_lines(calibration.curves, plan)
        except CalibrationRefused as refusal:
            refusals.append(refusal)
            continue
        return replace(plan, origin=replace(plan.origin, carried_over=calibration.carried_over))
    raise refusals[0]


def used_by(plan: Plan, of: Recipe, weights: str) -> FittingCalibration:
    """The calibration that a plan of scale and shift was made from, else the best there is for the recipe.

    Raises NotCalibrated, and CalibrationRefused where that one was distilled for another plan.
    """
    fits = fitting(of, weights)
    if not plan.fitted:
        return fits[0]
    for one in fits:
        if one.curves.adjustment in plan.fitted:
            check_lines(one.curves, plan)
            return one
    raise NotCalibrated(
        f"plan '{plan.name}' goes by scale and shift {min(plan.fitted)}, which no calibration here for "
        f"{subject_of(of)} has; plan it again, or put the two files of that calibration into {OWN}"
    )


def curves_of(plan: Plan, of: Recipe, weights: str) -> ChangeCurves | None:
    """The change curves that a plan was made from, else the best there are for the recipe; None without any."""
    try:
        return used_by(plan, of, weights).curves
    except NotCalibrated:
        return None


def check_lines(curves: ChangeCurves, plan: Plan) -> None:
    """Raises CalibrationRefused when the plan takes scale and shift that were distilled for another."""
    if plan.fitted:
        curves.check_table(plan.table)


def subject_of(of: Recipe | Subject) -> Subject:
    """The settings that would have to be calibrated for a recipe; two controls together are a subject of their own."""
    if isinstance(of, Subject):
        return of
    return Subject(of.model, "+".join(of.controls), of.sampler, of.steps, of.guidance)


def own_path(subject: Subject, weights: str) -> Path:
    """Where the page keeps a calibration; other weights, twelve hex digits, have another place."""
    return Path(OWN) / f"{subject.name}-{subject.guidance:g}-{weights}.json"


def _kept(subject: Subject) -> list[Path]:
    """All files that are named for it: those made here, the newest first, then those that are shipped.

    Of these the distilled come first, the greatest share, by which they are named, before the others.
    """
    own = sorted(Path(OWN).glob(f"{subject.name}-*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    distilled, closed_form = CALIBRATIONS.glob(f"{subject.name}-*.json"), CALIBRATIONS.glob(f"{subject.name}.json")
    return [*own, *sorted(distilled, reverse=True), *closed_form]


def _nothing_kept(subject: Subject) -> str:
    kept = sorted(
        {
            path.stem.partition("-at-")[0]
            for place in (CALIBRATIONS, Path(OWN))
            for path in place.glob(f"{subject.model}-*.json")
        }
    )
    there = f" (there is {', '.join(kept)})" if kept else ""
    return (
        f"{subject.model} is not calibrated for {subject.control}, {subject.sampler} and {subject.steps} steps"
        f"{there}; make it with: {subject.command}"
    )
