"""What a method plans for: a request on a model, and what plans cost there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from hgc.cache import schedules
from hgc.cache.anatomy import Anatomy, Macs
from hgc.cache.plan import Plan
from hgc.cache.rehearsal import plan_macs
from hgc.planning.presets import control_off, first_on
from hgc.request import Request


@dataclass(frozen=True)
class Task:
    """A request on the anatomy of its model; `weights` names those that are loaded, which measurements must be of."""

    anatomy: Anatomy
    request: Request
    weights: str | None = None

    @property
    def steps(self) -> int:
        return self.request.steps

    @property
    def guided(self) -> bool:
        """Whether there are two branches."""
        return self.request.guidance > 1

    @property
    def off(self) -> schedules.Off:
        """For every step, the ControlNets that are off in it."""
        return control_off(self.request)

    @property
    def first_control_step(self) -> int:
        return first_on(self.off)

    @cached_property
    def whole(self) -> Macs:
        """What full compute costs."""
        return self.cost(schedules.full(self.anatomy, self.steps))

    def cost(self, plan: Plan) -> Macs:
        """What a plan costs here; one of other steps is run with as many. Nothing is refreshed at run time."""
        return plan_macs(plan, self.anatomy, guidance=self.guided, off=control_off(at_steps(self.request, plan.steps)))

    def share(self, plan: Plan) -> float:
        """The plan's part of full compute, in the paper's convention."""
        return self.cost(plan).paper / self.whole.paper


def at_steps(request: Request, steps: int) -> Request:
    """The request with that number of steps, fewer than one may ask for included."""
    return request if steps == request.steps else request.model_copy(update={"steps": steps})
