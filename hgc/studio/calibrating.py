"""Calibrates a loaded model on painted scenes, with news after each, and knows what was calibrated for it before."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hgc.calibration.files import Calibration
from hgc.calibration.measure import Each, calibration_of, measured, scene_by_scene, weights_of
from hgc.calibration.subject import Subject
from hgc.planning.calibrations import NotCalibrated, fitting, own_path
from hgc.results.comparison import Cancelled
from hgc.studio.scenes import painted
from hgc.studio.worker import WORKER

if TYPE_CHECKING:
    from hgc.studio.studio import Studio

CALIBRATION_SEEDS = 700_000  # apart from what was trained on and from what is evaluated
LONGEST = 4


@dataclass(frozen=True)
class ScenesMeasured:
    """`done` of `wanted` scenes are measured."""

    done: int
    wanted: int


def calibrating(
    studio: Studio,
    subject: Subject,
    scenes: int,
    out: Path,
    *,
    longest: int = LONGEST,
    cancel: threading.Event | None = None,
    each: Each | None = None,
) -> Iterator[ScenesMeasured | Calibration]:
    """News before the first scene and after each; last, the calibration, which is then in `out` and the .npz beside it.

    What is measured so far stands beside them, so that the next call goes on from it, also with more scenes than were
    asked for before. Scenes are measured by `each`, by default here, one after the other. Raises Cancelled at the next
    step once `cancel` is set, CalibrationRefused when that file is damaged.
    """
    each = each or scenes_of(studio, subject, longest, cancel or threading.Event())
    out.parent.mkdir(parents=True, exist_ok=True)
    pipe = studio.loaded.pipeline(subject.control, subject.sampler)
    for done in measured(each, subject, weights_of(pipe), scenes=scenes, state=state_beside(out), longest=longest):
        yield ScenesMeasured(done.scenes, scenes)
    calibration = WORKER.run(lambda: calibration_of(done, pipe))
    calibration.write(out)
    yield calibration


def scenes_of(studio: Studio, subject: Subject, longest: int, stop: threading.Event) -> Each:
    """Painted scenes measured by the worker of this process. Raises Cancelled at the next step once `stop` is set."""

    def after_step(_pipe: Any, step: int, _time: Any, _state: Mapping[str, Any]) -> dict[str, Any]:
        if stop.is_set():
            raise Cancelled(f"stopped in step {step + 1} of a calibration run; the scenes before are kept")
        return {}

    def scene(number: int) -> dict[str, Any]:
        request = painted(studio, CALIBRATION_SEEDS + number, asdict(subject))
        return studio.call(request) | {"callback_on_step_end": after_step}

    pipe = studio.loaded.pipeline(subject.control, subject.sampler)
    by_scene = scene_by_scene(pipe, scene, subject, longest)
    return lambda numbers: WORKER.each(by_scene(numbers))


def state_beside(out: Path) -> Path:
    """Where a calibration keeps what it has measured."""
    return out.with_name(out.name + ".unfinished.npz")


def place_of(studio: Studio, subject: Subject) -> Path:
    """Where a calibration of this model, as it is loaded, is kept when it is made on the page."""
    return own_path(subject, studio.weights_under(subject.control))


def known_calibration(studio: Studio, subject: Subject) -> Calibration | None:
    """The calibration of these very settings and weights: made here, or shipped."""
    try:
        best = fitting(subject, studio.weights_under(subject.control))[0]
    except NotCalibrated:
        return None
    return None if best.carried_over else best.read()
