"""Every method but HGC within a budget: from a share of full compute to its settings, and to its plan of most compute.

Each raises OutOfReach for a share below its least.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from hgc.cache import schedules
from hgc.cache.anatomy import PREDICTION
from hgc.cache.plan import Plan, PlanRefused
from hgc.cache.rules import REPEAT, ForecastRule
from hgc.calibration.curves import Distilled
from hgc.calibration.files import Calibration
from hgc.planning.calibrations import planned
from hgc.planning.hgc_settings import plan_with, settings_within
from hgc.planning.task import Task

MAGNITUDE_ERRORS = (0.0, *(1e-3 * 2 ** (i / 2) for i in range(28)), 100.0)


def hgc(task: Task, share: float) -> Plan:
    return plan_with(task, settings_within(task, share))


def block_caching(task: Task, share: float) -> Plan:
    """Kept values are scaled and shifted as measured, known up to some age, or as distilled for a share near by."""

    def plan(calibration: Calibration) -> Plan:
        curves, lines = calibration.curves, ForecastRule("scale_shift", fitted=calibration.adjustment.digest)
        curves.check_share(share)
        settings = settings_of(curves.distilled_for) if curves.distilled_for else schedules.BlockCaching(share=share)
        adjusted = replace(settings, forecast=lines, longest=calibration.adjustment.longest)
        return adjusted.plan(task.anatomy, task.steps, curves, guidance=task.guided, off=task.off)

    return planned(task.recipe, plan, task.weights)


def settings_of(distilled: Distilled) -> schedules.BlockCaching:
    """Those that the lines of a distilled calibration were fitted for."""
    return schedules.BlockCaching(delta=distilled.delta, control=distilled.control, output=distilled.output)


def deepcache(task: Task, share: float) -> Plan:
    """The shortest interval that fits, then as many outer layers as the rest of the budget allows."""

    def plan(interval: int, branch: int) -> Plan:
        return schedules.DeepCache(interval=interval, branch=branch).plan(task.anatomy, task.steps)

    intervals, layers = range(1, task.steps + 1), range(len(schedules.decoder_layers(task.anatomy)) - 1)
    interval = schedules.most_within(share, intervals, lambda every: task.share(plan(every, 0)))
    branch = schedules.most_within(share, layers[::-1], lambda count: task.share(plan(interval, count)))
    return plan(interval, branch)


def tgate(task: Task, share: float) -> Plan:
    """The latest gate that fits; where none does, longer intervals of self-attention after the first step."""

    def plan(setting: tuple[int, int]) -> Plan:
        gate, every = setting
        settings = schedules.TGate(gate_step=gate, self_every_after=every)
        return settings.plan(task.anatomy, task.steps, first_control_step=task.first_control_step)

    gates = [(gate, 1) for gate in range(task.steps, 0, -1)]
    intervals = [(1, every) for every in range(2, task.steps + 1)]
    return plan(schedules.most_within(share, gates + intervals, lambda setting: task.share(plan(setting))))


def encoder_propagation(task: Task, share: float) -> Plan:
    def plan(count: int) -> Plan:
        settings = schedules.EncoderPropagation(schedules.key_steps(task.steps, count))
        return settings.plan(task.anatomy, task.steps, first_control_step=task.first_control_step)

    return plan(_most_keys(task, share, plan))


def guidance_reuse(task: Task, share: float) -> Plan:
    if not task.guided:
        raise PlanRefused("Guidance reuse keeps the guidance difference, and guidance is off; choose more than 1")

    def plan(count: int) -> Plan:
        settings = schedules.GuidanceReuse(schedules.key_steps(task.steps, count), REPEAT)
        return settings.plan(task.anatomy, task.steps)

    return plan(_most_keys(task, share, plan))


def step_skip(task: Task, share: float) -> Plan:
    def plan(count: int) -> Plan:
        return schedules.StepSkip(schedules.key_steps(task.steps, count)).plan(task.anatomy, task.steps)

    return plan(_most_keys(task, share, plan))


def spectrum(task: Task, share: float) -> Plan:
    """The warm-up and growth of the paper where they fit, else windows that grow faster, else a shorter warm-up."""

    def plan(setting: tuple[int, float, float]) -> Plan:
        warm, window, growth = setting
        return schedules.Spectrum(warm=warm, window=window, growth=growth).plan(task.anatomy, task.steps)

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


def taylorseer(task: Task, share: float) -> Plan:
    """The shortest interval that fits, after three steps in full or as few as must be."""

    def plan(setting: tuple[int, int]) -> Plan:
        warm, interval = setting
        return schedules.TaylorSeer(warm=warm, interval=interval).plan(task.anatomy, task.steps)

    settings = [(min(3, task.steps), interval) for interval in range(1, task.steps + 1)]
    settings += [(warm, task.steps) for warm in (2, 1) if warm < task.steps]
    return plan(schedules.most_within(share, settings, lambda setting: task.share(plan(setting))))


def easycache(task: Task, share: float) -> Plan:
    """As many computed steps as fit, by the threshold that so many were measured to reach; never more in a run."""

    def plan_from(calibration: Calibration) -> Plan:
        changes = calibration.curves.of(PREDICTION)

        def plan(count: int) -> Plan:
            """Of `count` steps in full: the warm-up, the last one, and what is left for those in between."""
            warm = max(1, min(schedules.warm_steps(task.steps), count - 2))
            between = count - warm - 1
            if between < 1 or count == task.steps:
                return schedules.EasyCache(warm=count, most=0).plan(task.anatomy, task.steps)
            threshold = schedules.threshold_for(changes, warm, between)
            return schedules.EasyCache(threshold, warm, between).plan(task.anatomy, task.steps)

        return plan(_most_keys(task, share, plan))

    return planned(task.recipe, plan_from, task.weights)


def magcache(task: Task, share: float) -> Plan:
    """The least rows of kept steps that fit, then the least threshold; a shorter beginning in full where it must be."""

    def plan_from(calibration: Calibration) -> Plan:
        magnitudes = calibration.curves.magnitudes
        settings = [
            schedules.MagCache(threshold, longest, retention)
            for retention in (0.2, 0.1, 0.0)
            for longest in range(1, task.steps)
            for threshold in MAGNITUDE_ERRORS
        ]
        by_keys: dict[int, schedules.MagCache] = {}
        for setting in settings:
            by_keys.setdefault(len(setting.keys(magnitudes)), setting)

        def plan(count: int) -> Plan:
            return by_keys[count].plan(task.anatomy, magnitudes)

        counts = sorted(by_keys, reverse=True)
        return plan(schedules.most_within(share, counts, lambda count: task.share(plan(count))))

    return planned(task.recipe, plan_from, task.weights)


def fewer_steps(task: Task, share: float) -> Plan:
    def plan(count: int) -> Plan:
        return schedules.FewerSteps(count).plan(task.anatomy, task.steps)

    return plan(_most_keys(task, share, plan))


def _most_keys(task: Task, share: float, plan: Callable[[int], Plan]) -> int:
    """The greatest number of computed steps that fits."""
    return schedules.most_within(share, range(task.steps, 0, -1), lambda count: task.share(plan(count)))
