"""One pass of a pipeline under a plan: who answers for its networks and modules, and what it tells afterwards."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn

from hgc.cache.anatomy.networks import Networks
from hgc.cache.anatomy.sites import anatomy_of, survey
from hgc.cache.plan import Plan
from hgc.cache.recording.rows import Recordings
from hgc.cache.recording.session import CaptureSession
from hgc.cache.running.attended import attended
from hgc.cache.running.belonging import Belonging
from hgc.cache.running.caller import caller
from hgc.cache.running.first_call import CallInputs, Pass
from hgc.cache.running.forgetting import Forgetting
from hgc.cache.running.module_calls import ModuleCalls
from hgc.cache.running.network_calls import NetworkCalls
from hgc.cache.running.patching import Beyond
from hgc.cache.running.timetable import Timetable
from hgc.cache.running.watching import Watching
from hgc.cache.trace import Trace


class Run:
    """One pass of a pipeline under a plan."""

    def __init__(self, pipe: Any, plan: Plan, watching: Watching, recordings: Recordings | None = None) -> None:
        self.plan = plan
        self.timetable = Timetable()
        self.beyond: Beyond | None = None  # makes a call as if there were no such run
        networks = Networks.of(pipe)
        found = survey(networks)
        anatomy = anatomy_of(found, plan.model, {})
        # A row that may be recorded is met once with all its sites timed.
        everything = watching.all or (recordings is not None and recordings.records(networks.unet))
        sites = attended(plan, anatomy, everything=everything)
        given = CallInputs(pipe, plan, watching, networks, found, sites)
        self._called = networks.called
        self._belonging = Belonging(pipe, networks)
        self._modules = ModuleCalls(given)
        handed = (*plan.table, *([anatomy.glimpsed] if plan.gate is not None and plan.gate.by else []))
        onlooker = watching.onlooker
        self._session = None if recordings is None else CaptureSession(recordings, self._modules, handed, onlooker)
        self._forgetting = Forgetting(networks, recorded=recordings is not None)
        self._networks = NetworkCalls(given, self._modules, self._forgetting, self._session, self.timetable)

    @property
    def trace(self) -> Trace:
        """The steps executed so far. Raises RuntimeError before the first step."""
        replays = None if self._session is None else self._session.replays()
        return self._open.recorder.trace(self._open.values.store.peak_bytes, replays)

    @property
    def reads(self) -> int:
        """How often the run waited for the device to decide by numbers."""
        return self._open.clock.reads

    @property
    def _open(self) -> Pass:
        if self._modules.now is None:
            raise RuntimeError("nothing was run yet: call the pipeline inside the `with cached(...)` block")
        return self._modules.now

    def close(self) -> None:
        """Leaves the recordings to other runs."""
        if self._session is not None:
            self._session.close()

    def forget(self) -> None:
        """Has the next step compute anew what is kept because it does not depend on the step.

        For callbacks that change weights through `.data`; every other change is noticed.
        """
        self._forgetting.ask()

    def unmet(self) -> str | None:
        """Why nothing was cached, or not all, in words for a person; None where it was."""
        now = self._modules.now
        return self._belonging.unmet(0 if now is None else now.clock.done, self.plan.steps)

    def outside(self) -> dict[nn.Module, Callable[[], None]]:
        """Who is told of a network's calls from other threads."""
        return self._belonging.outside()

    def handlers(self) -> dict[nn.Module, Callable[..., Any]]:
        """The functions in place of each module's forward while the block runs."""
        own = {self._called(net): handler for net, handler in self._networks.handlers().items()}
        return self._modules.handlers() | {net: partial(self._network, net, handler) for net, handler in own.items()}

    def _network(
        self, net: nn.Module, own: Callable[..., Any], original: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        """A network's call, which another pipeline's is not ours to touch."""
        by = caller()
        if self._belonging.claims(by):
            return own(by, original, *args, **kwargs)
        assert self.beyond is not None  # the block is entered
        return self.beyond(net, original, *args, **kwargs)
