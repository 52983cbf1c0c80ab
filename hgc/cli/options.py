"""Options that several commands share, and the recipe that they ask for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any

import typer

from hgc import limits
from hgc.cache.plan import Plan
from hgc.calibration.subject import Subject
from hgc.cli.files import read_text
from hgc.models.presets import ModelPreset
from hgc.planning.methods import DEFAULT_METHOD
from hgc.planning.presets import by_budget
from hgc.request import Recipe, RequestRefused


def _told(name: str) -> str:
    """The words of a Recipe's field."""
    return str(Recipe.model_fields[name].description)


def _own(name: str) -> str:
    """The same for one that a model has its own value of."""
    return f"{_told(name)} By default the model's own."


Image = Annotated[
    Path | None,
    typer.Option(help="A control map or drawing; with --annotator, a photo. Inpainting is given --source and --mask."),
]
Model = Annotated[str, typer.Option(help=_told("model"))]
Control = Annotated[str, typer.Option(help=_told("control"))]
OwnSampler = Annotated[str | None, typer.Option("--sampler", help=_own("sampler"))]
OwnSteps = Annotated[int | None, typer.Option("--steps", help=_own("steps"))]
OwnGuidance = Annotated[float | None, typer.Option("--guidance", help=_own("guidance"))]
SamplerName = Annotated[str, typer.Option(help=_told("sampler"))]
Steps = Annotated[int, typer.Option(help=_told("steps"))]
Guidance = Annotated[float, typer.Option(help=_told("guidance"))]
PlanName = Annotated[str, typer.Option(help="A preset, a share of full compute such as 0.4, or a plan's JSON.")]
MethodName = Annotated[str, typer.Option(help="hgc, deepcache, fewer_steps …; `methods` lists them.")]
Budget = Annotated[float | None, typer.Option(help="Share of full compute that the plan may take; else --plan's.")]
AtLeast = Annotated[
    str | None,
    typer.Option("--at-least", help="Instead of a budget: 45dB, or 99% of the full picture's control score."),
]
AtMost = Annotated[
    float | None,
    typer.Option(
        "--at-most-ms",
        help="Instead of a budget: the longest that a picture may take on this device; a few steps are timed first.",
    ),
]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, xpu or mps; by default the best one here.")]
Dtype = Annotated[str | None, typer.Option(help="float32, bfloat16 or float16.")]
Graphs = Annotated[
    bool,
    typer.Option("--graphs/--no-graphs", help="Record steps that are alike and replay them (CUDA; not yet measured)."),
]
Compile = Annotated[
    bool,
    typer.Option(
        "--compile/--no-compile",
        help="Compile such steps: takes minutes once and rounds numbers differently (not measured).",
    ),
]
Ahead = Annotated[
    Path | None,
    typer.Option("--packages", help="A folder of compiled steps; missing ones are compiled and added."),
]
Where = Annotated[str, typer.Option("--on", help="here, ray, a cluster's ray://HOST:PORT, or auto to find one.")]
Count = Annotated[int | None, typer.Option(help="Workers on Ray; by default one for each accelerator or core.")]
Workers = Annotated[str, typer.Option(help="Other open pages that do the runs: URL,URL.")]
Token = Annotated[
    str | None, typer.Option(envvar="HGC_TOKEN", help="Token for pages that need one, such as private Spaces.")
]
ByNetworks = Annotated[
    bool | None,
    typer.Option(
        "--judge/--no-judge",
        help="Score real models' pictures with networks from the Hub; default: on an accelerator only.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]

# The type of the option for each field of a Recipe that is not decided by --plan, --method, --budget and --at-least.
TYPES: Mapping[str, Any] = {
    "model": str,
    "control": str,
    "prompt": str,
    "negative_prompt": str,
    "seed": int,
    "steps": int | None,
    "sampler": str | None,
    "guidance": float | None,
    "control_scale": float,
    "control_start": float,
    "control_end": float,
    "size": str | None,
    "second": str | None,
    "source": Path | None,
    "strength": float,
    "mask": Path | None,
    "loras": str | None,
    "verify": float | None,
    "rival": str | None,
}
# How the shell writes what is no single value.
WRITTEN = {
    "second": "Such as depth=near.png; then strength, from, until: ,0.5,0,0.8.",
    "loras": "Such as ink=0.8,line=1.",
}
# What a model has its own value of, which stands where nothing is given.
OWN = ("steps", "sampler", "guidance")
RECIPE: Mapping[str, Any] = {
    name: Annotated[
        kind,
        typer.Option(
            help=_own(name) if name in OWN else " ".join([_told(name), *([WRITTEN[name]] if name in WRITTEN else [])])
        ),
    ]
    for name, kind in TYPES.items()
}


def with_own(options: Mapping[str, Any], preset: ModelPreset) -> dict[str, Any]:
    """The options, with the model's own value of what was not given."""
    return {name: getattr(preset, name) if name in OWN and value is None else value for name, value in options.items()}


def subject_of(model: str, control: str, sampler: str | None, steps: int | None, guidance: float | None) -> Subject:
    """What is measured, by the model's own settings where none are given. Raises ModelUnavailable."""
    from hgc.models.named import preset_of

    given = {"sampler": sampler, "steps": steps, "guidance": guidance}
    return Subject(model, control, **(given if None not in given.values() else with_own(given, preset_of(model))))


def _default(name: str) -> Any:
    """A Recipe's own, nothing where it goes by the model; an option has no empty tuple."""
    if name in OWN:
        return None
    default = Recipe.model_fields[name].default
    return None if default == () else default


def asks_for_recipe(command: Callable[..., None]) -> Callable[..., None]:
    """Fills a command's `recipe`, by name, from options with a Recipe's own defaults, for `read_pictures` to read."""
    own = [p.replace(kind=Parameter.KEYWORD_ONLY) for p in signature(command, eval_str=True).parameters.values()]
    options = [
        Parameter(name, Parameter.KEYWORD_ONLY, default=_default(name), annotation=kind)
        for name, kind in RECIPE.items()
    ]

    @wraps(command)
    def with_recipe(**values: Any) -> None:
        recipe = {name: values.pop(name) for name in RECIPE}
        command(recipe=recipe, **values)

    listed = [each for parameter in own for each in (options if parameter.name == "recipe" else [parameter])]
    with_recipe.__signature__ = Signature(listed)  # type: ignore[attr-defined]
    with_recipe.__annotations__ = {parameter.name: parameter.annotation for parameter in listed}
    return with_recipe


def chosen(
    plan: str,
    method: str = DEFAULT_METHOD,
    budget: float | None = None,
    at_least: str | None = None,
    at_most_ms: float | None = None,
) -> dict[str, Any]:
    """The request's fields for --plan, --method, --budget and --at-least; the last two take the place of the plan.

    With --at-most-ms all of full compute is asked for: what a time comes to only the loaded model knows. Raises
    RequestRefused where two of these are given.
    """
    if at_most_ms is not None:
        if budget is not None or at_least is not None:
            raise RequestRefused("--at-most-ms takes the place of --budget and --at-least: give one of them")
        return by_budget(method, 1.0)
    if at_least is not None:
        if budget is not None:
            raise RequestRefused(f"--at-least {at_least[:40]} and --budget {budget:g}: give one of them")
        return {"method": method, "at_least": at_least}
    if budget is not None:
        return by_budget(method, budget)
    if plan.endswith(".json"):
        text = read_text(Path(plan), limits.PLAN_BYTES, "an exported plan")
        return {"plan": Plan.from_json(text).as_dict()}
    return by_budget(method, _preset_or_share(plan))


def _preset_or_share(plan: str) -> str | float:
    try:
        return float(plan)
    except ValueError:
        return plan
