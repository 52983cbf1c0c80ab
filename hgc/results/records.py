"""From a comparison to what is kept of it, and back: the pictures signed, the figures beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import get_args

from hgc.evidence import signed_png
from hgc.history import KeptArm, Record, RecordRefused
from hgc.request import ArmName
from hgc.results.comparison import Arm, Comparison, Likeness


def signed(comparison: Comparison, name: ArmName) -> bytes:
    """The PNG of an arm that carries how it was made. Raises ImageRefused when the control map is too large for it."""
    arm = comparison.arms[name]
    return signed_png(arm.image, comparison.request, arm.trace.plan, name, arm.trace.digest, comparison.made)


def record_of(comparison: Comparison) -> Record:
    """All of a comparison as plain data. Raises ImageRefused."""
    return Record(
        request=comparison.request,
        arms=tuple(
            KeptArm(
                name, signed(comparison, name), arm.trace.to_json(), arm.latency_ms, arm.denoise_ms, arm.control_score
            )
            for name, arm in comparison.arms.items()
        ),
        likeness={name: _measured(alike) for name, alike in comparison.likeness.items()},
        digest=comparison.digest,
        score_name=comparison.score_name,
        made=comparison.made,
        notes=comparison.notes,
        figures=comparison.figures(),
    )


def comparison_of(record: Record) -> Comparison:
    """The comparison as it was, marked as shown from a record. Raises RecordRefused."""
    arms: dict[ArmName, Arm] = {arm.name: _arm(arm) for arm in record.arms}  # type: ignore[misc]
    if missing := {"full", "cached"} - arms.keys():
        raise RecordRefused(f"this run has no picture '{min(missing)}': export it again")
    _check(record, arms)
    likeness: dict[ArmName, Likeness] = {
        name: Likeness(**record.likeness[name])  # type: ignore[arg-type]
        for name in arms
        if name != "full"
    }
    return Comparison(
        request=record.request,
        full=arms["full"],
        cached=arms["cached"],
        rival=arms.get("rival"),
        likeness=likeness,
        digest=record.digest,
        score_name=record.score_name,
        notes=record.notes,
        made=record.made,
        recorded=True,
    )


def _check(record: Record, arms: Mapping[ArmName, Arm]) -> None:
    """Raises RecordRefused where the parts of a record that was read do not belong together."""
    if unknown := arms.keys() - set(get_args(ArmName)):
        raise RecordRefused(f"this run has a picture '{min(unknown)}', which this version does not know")
    if len({arm.image.shape for arm in arms.values()}) > 1:
        raise RecordRefused("this run's pictures are of different sizes: export it again")
    if not arms["full"].trace.macs.paper:
        raise RecordRefused("this run's full picture took no computing at all: export it again")
    known = {part.name for part in fields(Likeness)}
    for name in arms.keys() - {"full"}:
        values = record.likeness.get(name, {})
        if strange := set(values) - known:
            raise RecordRefused(f"this run's likeness is of another version: it has {min(strange)!r}")
        if any(values.get(measure) is None for measure in ("psnr", "ssim")):
            raise RecordRefused(f"this run does not say how like the full picture '{name}' is: export it again")


def _measured(alike: Likeness) -> dict[str, float]:
    """The measured figures of an arm; those that were not asked for are left out."""
    return {name: value for name, value in asdict(alike).items() if value is not None}


def _arm(arm: KeptArm) -> Arm:
    return Arm(
        name=arm.name,  # type: ignore[arg-type]
        image=arm.pixels,
        trace=arm.trace,
        latency_ms=arm.latency_ms,
        denoise_ms=arm.denoise_ms,
        control_score=arm.control_score,
    )
