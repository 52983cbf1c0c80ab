"""Runs a plan on an unmodified diffusers pipeline, inside one `with` block, and writes the trace.

    with cached(pipe, plan) as run:
        image = pipe(prompt, image=control, num_inference_steps=plan.steps).images[0]
    run.trace.macs

Everything a run knows lives in its `Run`; on leaving the block the modules are what they were.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from warnings import warn

from hgc.cache.forecast import Lines
from hgc.cache.plan import Plan
from hgc.cache.recording.rows import Recordings
from hgc.cache.rules import PlanRefused
from hgc.cache.running.belonging import NotCached
from hgc.cache.running.patching import replaced_forwards
from hgc.cache.running.run import Run
from hgc.cache.running.watching import Watching, Witness


@contextmanager
def cached(
    pipe: Any,
    plan: Plan,
    *,
    observe: bool = False,
    witness: Witness | None = None,
    adjustment: Lines | None = None,
    timed: bool = False,
    graphs: bool | Recordings = False,
) -> Iterator[Run]:
    """Runs the next call of `pipe` under `plan`; the value's `trace` tells what was done.

    One call of the pipeline a block, made in this thread; another pipeline over the same networks runs plainly. With
    `observe` the relative change of every computed site is measured as well, which costs a little time and memory;
    `witness` sees every computed value; with `timed` the trace has the time of every site beside that of every step.
    With `graphs` what steps have in common is recorded and, where the device can, replayed without Python; what is
    recorded goes with the block, unless Recordings are given to keep it. `adjustment` holds the numbers of a plan with
    scale-shift forecasts. Raises PlanRefused when it is not that plan's and, from inside the pipeline's call, when the
    plan does not fit the model, the number of steps, the windows of the ControlNets or the shapes. Warns with NotCached
    where it did nothing.
    """
    given = None if adjustment is None else adjustment.digest
    if foreign := plan.fitted - {given}:
        raise PlanRefused(
            f"plan '{plan.name}' forecasts with adjustment {min(foreign)}, given is {given or 'none'}; pass the one of "
            "its calibration to `cached`"
        )
    recordings = graphs if isinstance(graphs, Recordings) else Recordings() if graphs else None
    run = Run(pipe, plan, Watching(observe, witness, adjustment, timed), recordings)
    try:
        with run.timetable.kept(pipe.scheduler), replaced_forwards(run.handlers(), run.outside()) as run.beyond:
            yield run
    finally:
        run.close()
    if (nothing := run.unmet()) is not None:
        warn(nothing, NotCached, stacklevel=3)
