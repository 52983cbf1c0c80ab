"""Every method's time on the shapes of Stable Diffusion 1.5 with one ControlNet: full-size networks, random weights.

python -m hgc bench sd15 --device cuda                                 # 512 x 512 in 20 steps, as the paper
python -m hgc bench sd15 --size 256 --steps 8 --method optimised       # a minute on two cores

Time does not depend on what weights say. Nothing is downloaded, and no picture is decoded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from statistics import median
from time import perf_counter
from typing import Any

import torch
from diffusers import ControlNetModel, DDIMScheduler, StableDiffusionControlNetPipeline, UNet2DConditionModel

from hgc import planning
from hgc.bench.paper import TOKENS
from hgc.bench.setup import BenchRefused
from hgc.bench.table import text_table
from hgc.cache import schedules
from hgc.cache.anatomy.macs import measure
from hgc.cache.anatomy.networks import Networks
from hgc.cache.plan import Plan, PlanRefused
from hgc.cache.rules import CalibrationRefused
from hgc.cache.running.engine import cached
from hgc.models.loading import DTYPES, best_device, device_named
from hgc.models.presets import SD15_SHAPES
from hgc.planning import Blueprint, Task
from hgc.planning.methods import METHODS, BelowLeast, method_of
from hgc.request import Recipe
from hgc.studio.worker import on_worker

Tell = Callable[[str], None]

GRAIN_PX = 64  # three levels of halves below latents of an eighth
GUIDANCE = 7.5
WARM_STEPS = 2


@dataclass(frozen=True)
class Setting:
    """The settings of a run; `size` is the picture's side in pixels, `repeats` the rounds that count.

    A method that cannot cost as little as the budget is taken at its least.
    """

    methods: tuple[str, ...] = tuple(METHODS)
    budget: float = 0.368
    size: int = 512
    steps: int = 20
    repeats: int = 1
    dtype: str = "bfloat16"

    def __post_init__(self) -> None:
        if self.size < GRAIN_PX or self.size % GRAIN_PX:
            raise BenchRefused(f"--size {self.size}: choose a multiple of {GRAIN_PX}")
        if self.repeats < 1:
            raise BenchRefused(f"--repeats {self.repeats}: needs at least 1")
        for name in self.methods:
            method_of(name)
        if self.dtype not in DTYPES:
            raise BenchRefused(f"--dtype {self.dtype}: known are {', '.join(DTYPES)}")


@dataclass(frozen=True)
class Row:
    """One method, medians over the rounds: the denoising of one picture, and plain over own within each round.

    Shares are of MACs; `kept` is how much of what they promise (full convention) arrives as time.
    """

    method: str
    plan: str
    seconds: float
    speedup: float
    share_paper: float
    share_full: float

    @property
    def kept(self) -> float:
        return self.speedup * self.share_full

    @property
    def title(self) -> str:
        return METHODS[self.method].title if self.method in METHODS else self.method.capitalize()


@dataclass(frozen=True)
class Timed:
    """The plain pipeline's seconds for one picture, a row for every method, and a sentence for each that is missing."""

    setting: Setting
    full_s: float
    rows: tuple[Row, ...]
    missing: tuple[str, ...]
    device: str
    threads: int


@on_worker
def timed(
    setting: Setting,
    device: str | None = None,
    shapes: Mapping[str, Any] = SD15_SHAPES,
    tell: Tell = lambda news: None,
) -> Timed:
    """The plain pipeline and the methods in turn, round by round.

    Raises BenchRefused, RequestRefused, PlanRefused, ModelUnavailable.
    """
    where = device_named(device) if device else best_device()
    task, missing = _task(setting, shapes), list[str]()
    plans = {name: plan for name in setting.methods if (plan := _planned(name, task, setting.budget, missing))}
    pipe = random_pipeline(shapes, where, DTYPES[setting.dtype])
    call = _call(pipe, setting)
    _warm_up(pipe, call, task)
    rounds = [_round(pipe, call, plans, tell) for _ in range(setting.repeats)]
    return Timed(
        setting=setting,
        full_s=median(plain for plain, _ in rounds),
        rows=tuple(
            Row(
                method=name,
                plan=plan.name,
                seconds=median(own[name] for _, own in rounds),
                speedup=median(plain / own[name] for plain, own in rounds),
                share_paper=task.share(plan),
                share_full=task.cost(plan).full / task.whole.full,
            )
            for name, plan in plans.items()
        ),
        missing=tuple(missing),
        device=torch.cuda.get_device_name(where) if where.type == "cuda" else str(where),
        threads=torch.get_num_threads(),
    )


def _planned(name: str, task: Task, budget: float, missing: list[str]) -> Plan | None:
    """The method's plan within the budget, or else its least; why there is none is added to `missing`."""
    recipe = task.recipe.but(method=name, budget=budget)
    try:
        try:
            return planning.plan(recipe, task.blueprint)
        except BelowLeast as error:
            return planning.plan(error.at_least(recipe), task.blueprint)
    except (PlanRefused, CalibrationRefused) as error:
        missing.append(f"left out: {METHODS[name].title}: {error}")
        return None


def _round(pipe: Any, call: Mapping[str, Any], plans: Mapping[str, Plan], tell: Tell) -> tuple[float, dict[str, float]]:
    """Seconds of the plain pipeline, and of every plan."""
    plain, own = _seconds(pipe, call, None), dict[str, float]()
    tell(f"plain: {plain:.1f} s")
    for name, plan in plans.items():
        own[name] = _seconds(pipe, call, plan)
        tell(f"{METHODS[name].title}: {own[name]:.1f} s")
    return plain, own


def _task(setting: Setting, shapes: Mapping[str, Any]) -> Task:
    """The task that plans are made for, counted on networks without weights."""
    side = setting.size // 8
    with torch.device("meta"):
        networks = Networks(UNet2DConditionModel(**shapes), {"controlnet": ControlNetModel(**shapes)})
    recipe = Recipe.parse({"model": "sd15", "control": "edges", "steps": setting.steps, "guidance": GUIDANCE})
    anatomy = measure(networks, (side, side), TOKENS, model="sd15")
    return Task(recipe, Blueprint(anatomy, [recipe.control], lambda control: "random"))


def random_pipeline(shapes: Mapping[str, Any], device: torch.device, dtype: torch.dtype) -> Any:
    """A text-to-image pipeline with ControlNet of these shapes, without text encoder and autoencoder."""
    with torch.device("meta"):
        nets = UNet2DConditionModel(**shapes), ControlNetModel(**shapes)
    generator = torch.Generator(device).manual_seed(0)
    for net in nets:
        net.to(dtype).to_empty(device=device).to(memory_format=torch.channels_last).eval()
        _fill(net, generator)
    unet, control = nets
    scheduler = DDIMScheduler(beta_schedule="scaled_linear", steps_offset=1, clip_sample=False)
    pipe = StableDiffusionControlNetPipeline(
        vae=None,
        text_encoder=None,
        tokenizer=None,
        unet=unet,
        controlnet=control,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


@torch.no_grad()
def _fill(net: torch.nn.Module, generator: torch.Generator) -> None:
    """Values of a size that stays finite through all layers; what is zero or infinite may be computed faster."""
    for name, parameter in net.named_parameters():
        if parameter.ndim > 1:
            bound = (3 / parameter[0].numel()) ** 0.5
            parameter.uniform_(-bound, bound, generator=generator)
        else:
            parameter.fill_(1.0 if name.endswith("weight") else 0.0)


def _call(pipe: Any, setting: Setting) -> dict[str, Any]:
    """The arguments of the pipeline's call: noise for latents, text and control."""
    unet, generator = pipe.unet, torch.Generator().manual_seed(0)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator).to(unet.device, unet.dtype)

    side, width = setting.size // 8, unet.config.cross_attention_dim
    return {
        "prompt_embeds": noise(1, TOKENS, width),
        "negative_prompt_embeds": noise(1, TOKENS, width),
        "image": noise(1, 3, setting.size, setting.size).sigmoid(),
        "latents": noise(1, unet.config.in_channels, side, side),
        "num_inference_steps": setting.steps,
        "guidance_scale": GUIDANCE,
        "output_type": "latent",
    }


def _warm_up(pipe: Any, call: Mapping[str, Any], task: Task) -> None:
    """A few steps of both shapes a run takes: two branches and one."""
    with cached(pipe, schedules.hgc(task.anatomy, WARM_STEPS, coarse=False, gate_step=1)):
        pipe(**{**call, "num_inference_steps": WARM_STEPS}).images.cpu()


def _seconds(pipe: Any, call: Mapping[str, Any], plan: Plan | None) -> float:
    """One whole denoising: the plain pipeline's without a plan."""

    def run() -> None:
        steps = call["num_inference_steps"] if plan is None else plan.steps
        pipe(**{**call, "num_inference_steps": steps}).images.cpu()  # waits for the device

    if plan is None or not plan.table:
        return _clocked(run)
    with cached(pipe, plan):
        return _clocked(run)


def _clocked(run: Callable[[], None]) -> float:
    begun = perf_counter()
    run()
    return perf_counter() - begun


COLUMNS: tuple[tuple[str, Callable[[Row], str]], ...] = (
    ("method", lambda row: row.title),
    ("seconds", lambda row: f"{row.seconds:.1f}"),
    ("times", lambda row: f"{row.speedup:.2f}"),
    ("MACs, paper", lambda row: f"{row.share_paper:.1%}"),
    ("full", lambda row: f"{row.share_full:.1%}"),
    ("kept", lambda row: f"{row.kept:.0%}"),
)


def text(timed: Timed) -> str:
    """The plain pipeline first, then the fastest."""
    own = timed.setting
    plain = Row("full", "full", timed.full_s, 1.0, 1.0, 1.0)
    measured_on = (
        f"SD 1.5 + ControlNet, random weights, {own.size} x {own.size}, {own.steps} steps, one picture, two branches, "
        f"text and decoding left out; {own.repeats} rounds, {timed.device}, {own.dtype}, {timed.threads} threads"
    )
    rows = [plain, *sorted(timed.rows, key=lambda row: row.seconds)]
    return "\n".join([text_table(rows, COLUMNS), *timed.missing, measured_on])


def data(timed: Timed) -> dict[str, Any]:
    return asdict(timed) | {"rows": [asdict(row) | {"kept": row.kept} for row in timed.rows]}
