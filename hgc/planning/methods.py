"""The methods a person may choose, and what people are told of them.

A method is added by its entry in METHODS, with its way to a plan in `solving`: no other file needs to know of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from hgc.cache import schedules
from hgc.cache.plan import Plan
from hgc.planning import solving
from hgc.planning.optimised import optimised
from hgc.planning.task import R, Task
from hgc.request import Recipe, RequestRefused

if TYPE_CHECKING:
    from hgc.request import ArmName


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
    None for what has none. `makers` are the paper's authors, and its year.
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
    makers: str = ""

    def plan(self, task: Task, share: float) -> Plan:
        """The plan of most compute within `share` of full compute. Raises BelowLeast, which names the nearest share."""
        with self.telling(share, task.steps):
            return self.solve(task, share)

    def least_percent(self, task: Task) -> int:
        """The least budget that there is a plan for, in whole percents of full compute."""
        try:
            self.plan(task, 0.01)
        except BelowLeast as error:
            return min(100, ceil(100 * error.nearest - 1e-6))
        return 1

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


METHODS: Mapping[str, Method] = {
    method.name: method
    for method in (
        Method(
            "optimised",
            "Optimised",
            "The best of many plans that were tried beforehand; each budget has its own.",
            "the first step is computed in full",
            optimised,
            coarse=True,
        ),
        Method(
            "hgc",
            "HGC",
            "Keeps whole blocks between key steps, attention maps, and late one guidance branch.",
            "two steps are always computed in full, and some outer layers in every step",
            solving.hgc,
            coarse=True,
            fine=True,
            arxiv="2511.11031",
            makers="Liu and others, 2025",
        ),
        Method(
            "block_caching",
            "Block Caching",
            "Refreshes each block when it has changed enough, as measured beforehand on many pictures.",
            "every block is computed once, and what lies between blocks in every step",
            solving.block_caching,
            coarse=True,
            fine=True,
            calibrated=True,
            arxiv="2312.03209",
            makers="Wimbauer and others, 2023",
        ),
        Method(
            "deepcache",
            "DeepCache",
            "Computes the deep layers every few steps and the outermost ones always.",
            "the first step is computed in full and the outermost layers in every step",
            solving.deepcache,
            coarse=True,
            arxiv="2312.00858",
            makers="Ma, Fang and Wang, 2023",
        ),
        Method(
            "tgate",
            "T-GATE",
            "Uses the words only early: their attention and their guidance end at a gate.",
            "one branch of both networks is computed in every step",
            solving.tgate,
            fine=True,
            arxiv="2404.02747",
            makers="Zhang and others, 2024",
        ),
        Method(
            "encoder_propagation",
            "Faster Diffusion",
            "Computes encoder and control at key steps only, the decoder always.",
            "the decoder is computed in every step",
            solving.encoder_propagation,
            coarse=True,
            arxiv="2312.09608",
            makers="Li and others, 2023",
        ),
        Method(
            "guidance_reuse",
            "Guidance reuse",
            "Computes the unguided branch at some steps and keeps the difference in between (FasterCache).",
            "the guided branch is computed in every step",
            solving.guidance_reuse,
            fine=True,
            arxiv="2410.19355",
            makers="Lv and others, 2024",
        ),
        Method(
            "step_skip",
            "Step skipping",
            "Leaves out whole steps, chosen beforehand, and continues along a line (after TeaCache, EasyCache).",
            "one step is always computed",
            solving.step_skip,
            coarse=True,
            arxiv="2411.19108",
            makers="Liu and others, 2024",
        ),
        Method(
            "spectrum",
            "Spectrum",
            "Forecasts the last feature by Chebyshev polynomials; computed steps lie further and further apart.",
            "one step is always computed",
            solving.spectrum,
            coarse=True,
            arxiv="2603.01623",
            makers="Han and others, 2026",
        ),
        Method(
            "taylorseer",
            "TaylorSeer",
            "Forecasts the last feature by a Taylor series at a fixed interval.",
            "one step is always computed",
            solving.taylorseer,
            coarse=True,
            arxiv="2503.06923",
            makers="Liu and others, 2025",
        ),
        Method(
            "easycache",
            "EasyCache",
            "Keeps whole predictions, and decides while running when the next one is due.",
            "one step is always computed",
            solving.easycache,
            coarse=True,
            calibrated=True,
            arxiv="2507.02860",
            makers="Zhou and others, 2025",
        ),
        Method(
            "magcache",
            "MagCache",
            "Keeps whole predictions while measured magnitudes say that little is lost.",
            "one step is always computed",
            solving.magcache,
            coarse=True,
            calibrated=True,
            arxiv="2506.09045",
            makers="Ma and others, 2025",
        ),
        Method(
            "fewer_steps",
            "Fewer steps",
            "Keeps nothing; the sampler takes fewer steps. Every cache has to beat this.",
            "one step is always computed",
            solving.fewer_steps,
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
