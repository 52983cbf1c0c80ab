"""The methods a person may choose; each turns a share of full compute into its own settings, and these into a plan.

A method is added by its entry in METHODS: no other file needs to know of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from hgc.cache import schedules
from hgc.cache.anatomy import PREDICTION
from hgc.cache.plan import Plan, PlanRefused
from hgc.cache.rules import REPEAT, Forecast
from hgc.calibration.files import Calibration
from hgc.planning.calibrations import planned
from hgc.planning.hgc_settings import plan_with, settings_within
from hgc.planning.optimised import optimised
from hgc.planning.task import R, Task
from hgc.request import Recipe, RequestRefused

if TYPE_CHECKING:
    from hgc.request import ArmName


MAGNITUDE_ERRORS = (0.0, *(1e-3 * 2 ** (i / 2) for i in range(28)), 100.0)


class BelowLeast(schedules.OutOfReach):
    """A budget below the least of `method`, which `nearest` is."""

    def __init__(self, message: str, nearest: float, method: str) -> None:
        super().__init__(message, nearest)
        self.method = method

    def at_least(self, recipe: R) -> R:
        """The recipe with the least that its method can do for a budget. Raises itself where its rival is refused."""
        if recipe.method != self.method or recipe.budget is None:
            raise self
        return recipe.but(budget=min(1.0, self.nearest))


@dataclass(frozen=True)
class Method:
    """How a picture may be made with less work.

    `reason` says in one line why one would take it, `least` why it cannot cost as little as one likes. `solve` makes
    the plan of most compute within a share of full compute; it raises OutOfReach for a share below its least. `coarse`
    and `fine` say which of both kinds of cache it is of: blocks and whole predictions, attention and guidance.
    `calibrated` says that it needs a calibration, of the weights that are loaded. `arxiv` is the number of its paper;
    None for what has none.
    """

    name: str
    title: str
    reason: str
    least: str
    solve: Callable[[Task, float], Plan]
    coarse: bool = False
    fine: bool = False
    calibrated: bool = False
    arxiv: str | None = None

    def plan(self, task: Task, share: float) -> Plan:
        """The plan of most compute within `share` of full compute. Raises BelowLeast, which names the nearest share."""
        with self.telling(share, task.steps):
            return self.solve(task, share)

    @contextmanager
    def telling(self, share: float, steps: int) -> Iterator[None]:
        """Why a share is out of this method's reach, in its own words."""
        try:
            yield
        except schedules.OutOfReach as error:
            raise BelowLeast(
                f"{self.title} cannot go down to {share:.1%} of full compute in {steps} steps: {self.least}; its least "
                f"is {error.nearest:.1%}, so choose {ceil(100 * error.nearest - 1e-6)}% or more",
                error.nearest,
                self.name,
            ) from error


def _hgc(task: Task, share: float) -> Plan:
    return plan_with(task, settings_within(task, share))


def _block_caching(task: Task, share: float) -> Plan:
    """Kept values are scaled and shifted as measured, which is known up to some age."""

    def plan(found: Calibration) -> Plan:
        return schedules.block_caching(
            task.anatomy,
            task.steps,
            found.curves,
            share=share,
            forecast=Forecast("scale_shift", fitted=found.adjustment.digest),
            longest=found.adjustment.longest,
            guidance=task.guided,
            off=task.off,
        )

    return planned(task.recipe, plan, task.weights)


def _deepcache(task: Task, share: float) -> Plan:
    """The shortest interval that fits, then as many outer layers as the rest of the budget allows."""

    def plan(interval: int, branch: int) -> Plan:
        return schedules.deepcache(task.anatomy, task.steps, interval=interval, branch=branch)

    intervals, layers = range(1, task.steps + 1), range(len(schedules.decoder_layers(task.anatomy)) - 1)
    interval = schedules.most_within(share, intervals, lambda wanted: task.share(plan(wanted, 0)))
    branch = schedules.most_within(share, layers[::-1], lambda wanted: task.share(plan(interval, wanted)))
    return plan(interval, branch)


def _tgate(task: Task, share: float) -> Plan:
    """The latest gate that fits; where none does, longer intervals of self-attention after the first step."""

    def plan(setting: tuple[int, int]) -> Plan:
        gate, every = setting
        first = task.first_control_step
        return schedules.tgate(
            task.anatomy, task.steps, gate_step=gate, self_every_after=every, first_control_step=first
        )

    gates = [(gate, 1) for gate in range(task.steps, 0, -1)]
    intervals = [(1, every) for every in range(2, task.steps + 1)]
    return plan(schedules.most_within(share, gates + intervals, lambda setting: task.share(plan(setting))))


def _encoder_propagation(task: Task, share: float) -> Plan:
    def plan(count: int) -> Plan:
        keys = schedules.key_steps(task.steps, count)
        first = task.first_control_step
        return schedules.encoder_propagation(task.anatomy, task.steps, keys=keys, first_control_step=first)

    return plan(_most_keys(task, share, plan))


def _guidance_reuse(task: Task, share: float) -> Plan:
    if not task.guided:
        raise PlanRefused("Guidance reuse keeps the guidance difference, and guidance is off; choose more than 1")

    def plan(count: int) -> Plan:
        keys = schedules.key_steps(task.steps, count)
        return schedules.guidance_reuse(task.anatomy, task.steps, keys=keys, forecast=REPEAT)

    return plan(_most_keys(task, share, plan))


def _step_skip(task: Task, share: float) -> Plan:
    def plan(count: int) -> Plan:
        return schedules.step_skip(task.anatomy, task.steps, keys=schedules.key_steps(task.steps, count))

    return plan(_most_keys(task, share, plan))


def _spectrum(task: Task, share: float) -> Plan:
    """The warm-up and growth of the paper where they fit, else windows that grow faster, else a shorter warm-up."""

    def plan(setting: tuple[int, float, float]) -> Plan:
        warm, window, growth = setting
        return schedules.spectrum(task.anatomy, task.steps, warm=warm, window=window, growth=growth)

    settings = [(task.steps - skipped, 2.0, 0.0) for skipped in range(task.steps)]
    settings += [
        (warm, 2.0, growth / 4) for warm in range(min(5, task.steps), 0, -1) for growth in range(4 * task.steps)
    ]
    by_keys = {len(schedules.growing_windows(task.steps, *setting)): setting for setting in settings[::-1]}
    return plan(
        schedules.most_within(
            share, [by_keys[n] for n in sorted(by_keys, reverse=True)], lambda one: task.share(plan(one))
        )
    )


def _taylorseer(task: Task, share: float) -> Plan:
    """The shortest interval that fits, after three steps in full or as few as must be."""

    def plan(setting: tuple[int, int]) -> Plan:
        warm, interval = setting
        return schedules.taylorseer(task.anatomy, task.steps, warm=warm, interval=interval)

    settings = [(min(3, task.steps), interval) for interval in range(1, task.steps + 1)]
    settings += [(warm, task.steps) for warm in (2, 1) if warm < task.steps]
    return plan(schedules.most_within(share, settings, lambda setting: task.share(plan(setting))))


def _easycache(task: Task, share: float) -> Plan:
    """As many computed steps as fit, by the threshold that so many were measured to reach; never more in a run."""

    def plan_from(found: Calibration) -> Plan:
        changes = found.curves.of(PREDICTION)

        def plan(count: int) -> Plan:
            """Of `count` steps in full: the warm-up, the last one, and what is left for those in between."""
            warm = max(1, min(max(2, round(schedules.WARM_SHARE * task.steps)), count - 2))
            between = count - warm - 1
            if between < 1 or count == task.steps:
                return schedules.easycache(task.anatomy, task.steps, warm=count, most=0)
            threshold = schedules.threshold_for(changes, warm, between)
            return schedules.easycache(task.anatomy, task.steps, threshold=threshold, warm=warm, most=between)

        return plan(_most_keys(task, share, plan))

    return planned(task.recipe, plan_from, task.weights)


def _magcache(task: Task, share: float) -> Plan:
    """The least rows of kept steps that fit, then the least threshold; a shorter beginning in full where it must be."""

    def plan_from(found: Calibration) -> Plan:
        magnitudes = found.curves.magnitudes
        settings = [
            (threshold, longest, retention)
            for retention in (0.2, 0.1, 0.0)
            for longest in range(1, task.steps)
            for threshold in MAGNITUDE_ERRORS
        ]
        by_keys: dict[int, tuple[float, int, float]] = {}
        for setting in settings:
            by_keys.setdefault(len(schedules.steps_by_magnitude(magnitudes, *setting)), setting)

        def plan(count: int) -> Plan:
            threshold, longest, retention = by_keys[count]
            return schedules.magcache(
                task.anatomy, magnitudes, threshold=threshold, longest=longest, retention=retention
            )

        counts = sorted(by_keys, reverse=True)
        return plan(schedules.most_within(share, counts, lambda count: task.share(plan(count))))

    return planned(task.recipe, plan_from, task.weights)


def _fewer_steps(task: Task, share: float) -> Plan:
    def plan(count: int) -> Plan:
        return schedules.fewer_steps(task.anatomy, count, task.steps)

    return plan(_most_keys(task, share, plan))


def _most_keys(task: Task, share: float, plan: Callable[[int], Plan]) -> int:
    """The greatest number of computed steps that fits."""
    return schedules.most_within(share, range(task.steps, 0, -1), lambda count: task.share(plan(count)))


METHODS: Mapping[str, Method] = {
    method.name: method
    for method in (
        Method(
            "optimised",
            "Optimised",
            "The plan that strayed least from the full run of all tried beforehand, for every budget its own.",
            "the first step is computed in full",
            optimised,
            coarse=True,
        ),
        Method(
            "hgc",
            "HGC",
            "Keeps whole blocks between key steps, attention maps, and late one guidance branch.",
            "two steps are always computed in full, and some outer layers in every step",
            _hgc,
            coarse=True,
            fine=True,
            arxiv="2511.11031",
        ),
        Method(
            "block_caching",
            "Block Caching",
            "Refreshes each block when it has changed enough, as measured beforehand on many pictures.",
            "every block is computed once, and what lies between blocks in every step",
            _block_caching,
            coarse=True,
            fine=True,
            calibrated=True,
            arxiv="2312.03209",
        ),
        Method(
            "deepcache",
            "DeepCache",
            "Computes the deep layers every few steps and the outermost ones always.",
            "the first step is computed in full and the outermost layers in every step",
            _deepcache,
            coarse=True,
            arxiv="2312.00858",
        ),
        Method(
            "tgate",
            "T-GATE",
            "Lets the words act early only: attention to them and their guidance end at a gate.",
            "one branch of both networks is computed in every step",
            _tgate,
            fine=True,
            arxiv="2404.02747",
        ),
        Method(
            "encoder_propagation",
            "Faster Diffusion",
            "Computes encoder and control at key steps only, the decoder always.",
            "the decoder is computed in every step",
            _encoder_propagation,
            coarse=True,
            arxiv="2312.09608",
        ),
        Method(
            "guidance_reuse",
            "Guidance reuse",
            "Computes the unguided branch at some steps and keeps the difference in between (FasterCache).",
            "the guided branch is computed in every step",
            _guidance_reuse,
            fine=True,
            arxiv="2410.19355",
        ),
        Method(
            "step_skip",
            "Step skipping",
            "Leaves out whole steps, chosen beforehand, and goes on along a line (after TeaCache, EasyCache).",
            "one step is always computed",
            _step_skip,
            coarse=True,
            arxiv="2411.19108",
        ),
        Method(
            "spectrum",
            "Spectrum",
            "Forecasts the last feature by Chebyshev polynomials over ever wider windows (Han and others, 2026).",
            "one step is always computed",
            _spectrum,
            coarse=True,
            arxiv="2603.01623",
        ),
        Method(
            "taylorseer",
            "TaylorSeer",
            "Forecasts the last feature by a Taylor series at a fixed interval (Liu and others, 2025).",
            "one step is always computed",
            _taylorseer,
            coarse=True,
            arxiv="2503.06923",
        ),
        Method(
            "easycache",
            "EasyCache",
            "Keeps whole predictions, and decides while running when the next one is due (Zhou and others, 2025).",
            "one step is always computed",
            _easycache,
            coarse=True,
            calibrated=True,
            arxiv="2507.02860",
        ),
        Method(
            "magcache",
            "MagCache",
            "Keeps whole predictions while measured magnitudes say that little is lost (Ma and others, 2025).",
            "one step is always computed",
            _magcache,
            coarse=True,
            calibrated=True,
            arxiv="2506.09045",
        ),
        Method(
            "fewer_steps",
            "Fewer steps",
            "Nothing is kept, the sampler takes fewer steps: what every cache has to beat.",
            "one step is always computed",
            _fewer_steps,
        ),
    )
}
DEFAULT_METHOD = "optimised"  # where nobody chooses


def method_of(name: str) -> Method:
    """Raises RequestRefused for an unknown name, with the list of known ones."""
    if name not in METHODS:
        raise RequestRefused(f"unknown method '{name[:40]}'; known are {', '.join(METHODS)}")
    return METHODS[name]


def arm_titles(recipe: Recipe) -> dict[ArmName, str]:
    """The titles of a recipe's arms, in the order in which they are made."""
    nothing = recipe.cache.off if recipe.budget is None else recipe.budget == 1
    exact = recipe.method == "hgc" and nothing
    own = "Own plan" if recipe.plan is not None else "Exact savings" if exact else method_of(recipe.method).title
    titles: dict[ArmName, str] = {"full": "Full", "cached": own}
    return titles if recipe.rival is None else titles | {"rival": method_of(recipe.rival).title}
