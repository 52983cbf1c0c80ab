"""The same recipe gets the same plan, or the same refusal, through every door: form, endpoints, shell, sweep, bench,
restored form and link. No picture is drawn: a run ends where its plan is made.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import made_up
import numpy as np
import pytest
import tiny
import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from serving import forgotten_loops
from typer.testing import CliRunner

from hgc.__main__ import app
from hgc.bench.pareto import ParetoSetup, entries
from hgc.cache import schedules
from hgc.cache.anatomy import Anatomy
from hgc.cache.anatomy.measured import measure
from hgc.cache.anatomy.networks import Networks
from hgc.cache.plan import Plan, PlanRefused
from hgc.cache.plan_edit import Ground, edited
from hgc.calibration.files import Calibration
from hgc.calibration.lines import Adjustment
from hgc.landscapes import examples
from hgc.landscapes.labels import LABELS
from hgc.models.presets import GUIDANCE, presets
from hgc.planning import Task, calibrations
from hgc.planning.methods import METHODS, BelowLeast
from hgc.planning.presets import by_budget
from hgc.refused import Refused
from hgc.request import Lora, Recipe, Request
from hgc.results.forecast import Forecast
from hgc.share import LinkRefused, link_of, read_link
from hgc.studio.control_map import Prepared, prepare_control
from hgc.studio.studio import Studio
from hgc.studio.world import LANDSCAPES
from hgc.ui import Loader, build
from hgc.ui.playground.drawing import ControlMap
from hgc.ui.playground.form import read_form, write_form
from hgc.ui.playground.run_events import RunEvents
from hgc.ui.playground.tab import Playground, build_playground
from hgc.ui.pressing import Press
from hgc.ui.runner import Runner

STEPS, SIZE, BUDGET = 8, 256, 0.55
WEIGHTS = "0" * 12
EXAMPLE = examples.gallery()[0]


class Stopped(Refused):
    """A run was planned; here it ends, in one word as every refusal does."""


class Planner(Studio):
    """A studio without networks: it plans every request as a studio does, notes the forecast and draws nothing."""

    def __init__(self, anatomy: Anatomy) -> None:
        self.model, self.size, self.device, self.dtype = anatomy.model, (SIZE, SIZE), "cpu", "float32"
        self.controls, self.samplers = ("segmentation", "edges"), ("ddim",)
        self._anatomy, self._timing, self.world = anatomy, {}, LANDSCAPES
        own = {"steps": STEPS, "sampler": "ddim", "guidance": 2.0}
        preset = SimpleNamespace(source="nowhere", controls={}, **own)
        self.loaded: Any = SimpleNamespace(preset=preset)  # whose weights name sweeps' files
        self._known: dict[str, Plan | Refused] = {}
        self.noted: list[tuple[Recipe, Forecast]] = []

    def anatomy(self, recipe: Recipe | None = None) -> Anatomy:
        return self._anatomy

    def weights_under(self, control: str, loras: tuple[Lora, ...] = ()) -> str:
        return WEIGHTS

    def prepare_control(self, picture: Any, control: str, *_: Any, **how: Any) -> Prepared:
        return prepare_control(picture, control, self.size, [LABELS])

    def plan(self, recipe: Recipe) -> Plan:
        """Made once of all recipes that are the same but for words, noise and map."""
        key = recipe.model_dump_json(exclude={"prompt", "negative_prompt", "seed", "control_png"})
        if key not in self._known:
            try:
                self._known[key] = super().plan(recipe)
            except Refused as error:
                self._known[key] = error
        known = self._known[key]
        if isinstance(known, Refused):
            raise known
        return known

    def forecast(self, recipe: Recipe) -> Forecast:
        made = super().forecast(recipe)
        self.noted.append((recipe, made))
        return made

    def compare(self, request: Request, *, forecast: Forecast | None = None, **_: Any) -> Any:
        self.accept(request)
        _ = forecast or self.forecast(request)
        raise Stopped("planned")


@dataclass(frozen=True)
class Case:
    """What is asked for: the picture's settings, and a preset's name, a share or a plan for a method."""

    method: str
    asked: str | float | Plan
    fields: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def recipe(self) -> dict[str, Any]:
        own = isinstance(self.asked, Plan)
        return self.fields | ({"plan": self.asked.as_dict()} if own else by_budget(self.method, self.asked))

    def request(self, planner: Planner) -> Request:
        png = planner.prepare_control(EXAMPLE.pixels, EXAMPLE.control).png
        return Request.make(png, model=planner.model, **self.recipe)


@dataclass(frozen=True)
class House:
    """Everything that the doors open on."""

    planner: Planner
    page: Playground
    endpoints: dict[str, Callable[..., Any]]
    folder: Path


def house(planner: Planner, folder: Path) -> House:
    loader = Loader(lambda: planner).start()
    with forgotten_loops():
        built = build(loader)
        with gr.Blocks():
            page = build_playground(Runner(loader))
    endpoints = {fn.api_name: fn.fn for fn in built.fns.values() if isinstance(fn.api_name, str)}
    return House(planner, page, endpoints, folder)


# The doors: each gives the plan, or raises what it refuses with.


def by_form(h: House, case: Case) -> Plan:
    """What a person chose on the page."""
    return h.planner.plan(read_form(h.page, sheet(h, case), form_values(h, case)))


def form_values(h: House, case: Case) -> list[Any]:
    page, cache = h.page, h.page.cache
    values = {id(part): part.value for part in page.run_inputs}
    values |= {id(page.fields[name]): value for name, value in case.fields.items()}
    values[id(cache.method)] = case.method
    if isinstance(case.asked, Plan):
        values[id(page.own.name)] = page.runner.plans.keep(case.asked)
    else:
        named = isinstance(case.asked, str)
        values[id(cache.preset)] = case.asked if named else None
        values[id(cache.budget)] = 37 if named else 100 * case.asked
    return [values[id(part)] for part in page.run_inputs]


def by_forecast(h: House, case: Case) -> Plan:
    return Plan.from_dict(called(h, "forecast", **asked(case), **case.fields)["plan"])


def by_compare(h: House, case: Case) -> Plan:
    if isinstance(case.asked, Plan):
        return by_run_request(h, case)  # it takes no plan
    return stopped(h, "compare", picture=str(EXAMPLE.path), **asked(case), **case.fields)


def by_run_request(h: House, case: Case) -> Plan:
    return stopped(h, "run_request", request=case.request(h.planner).model_dump(mode="json"))


def by_sweep_endpoint(h: House, case: Case) -> Plan:
    try:
        rows, _ = called(h, "sweep", picture=str(EXAMPLE.path), settings=case.recipe, x="seed=0")
    except Stopped:
        return noted(h)
    raise PlanRefused(rows[0]["refused"])  # a run of a sweep that cannot be drawn is a row of its table


def by_shell(h: House, case: Case) -> Plan:
    return commanded(h, case, "compare", "--out", str(h.folder / "out"))


def by_sweep(h: House, case: Case) -> Plan:
    return commanded(h, case, "sweep", "--out", str(h.folder / "sweep"), "--x", "seed=0")


def by_bench(h: House, case: Case) -> Plan:
    if isinstance(case.asked, Plan):
        return by_run_request(h, case)  # it has methods only
    told: list[str] = []
    budget = by_budget(case.method, case.asked)["budget"]
    task = Task(Recipe.parse({"model": h.planner.model} | case.fields), h.planner.blueprint)
    _, *made = entries(h.planner, ParetoSetup((case.method,), (budget,)), task, told.append)
    if told:
        raise PlanRefused(told[0].partition("%: ")[2])
    return made[0].plan


def by_restored(h: House, case: Case) -> Plan:
    return h.planner.plan(refilled(h, case.request(h.planner)))


def by_link(h: House, case: Case) -> Plan:
    request = case.request(h.planner)
    try:
        query = link_of(request).query
    except LinkRefused:
        return h.planner.plan(request)  # a table too large for a link
    return h.planner.plan(refilled(h, read_link(query.partition("=")[2]).request))


DOORS = [
    by_form,
    by_forecast,
    by_compare,
    by_run_request,
    by_sweep_endpoint,
    by_shell,
    by_sweep,
    by_bench,
    by_restored,
    by_link,
]


def sheet(h: House, case: Case) -> ControlMap:
    return ControlMap(h.planner.prepare_control(EXAMPLE.pixels, EXAMPLE.control).png, "segmentation")


def asked(case: Case) -> dict[str, Any]:
    """As endpoints word it."""
    if isinstance(case.asked, Plan):
        return {"plan": case.asked.as_dict()}
    return {"method": case.method, "preset" if isinstance(case.asked, str) else "budget": case.asked}


def called(h: House, name: str, **given: Any) -> Any:
    try:
        return h.endpoints[name](**given)
    except gr.Error as error:
        if isinstance(error.__cause__, Stopped):
            raise error.__cause__ from None
        raise PlanRefused(error.message) from error


def stopped(h: House, name: str, **given: Any) -> Plan:
    with pytest.raises(Stopped):
        called(h, name, **given)
    return noted(h)


def commanded(h: House, case: Case, *words: str) -> Plan:
    options = {"method": case.method, "image": EXAMPLE.path, "model": h.planner.model} | case.fields
    if isinstance(case.asked, Plan):
        path = h.folder / "plan.json"
        path.write_text(case.asked.to_json())
        options["plan"] = path
    else:
        options["plan" if isinstance(case.asked, str) else "budget"] = case.asked
    more = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    done = CliRunner().invoke(app, [*words, *more])
    if done.output.strip() == "planned":
        return noted(h)
    assert done.exit_code == 2, done.exception
    raise PlanRefused(done.output.strip())


def noted(h: House) -> Plan:
    return h.planner.noted[-1][1].plan


def refilled(h: House, request: Request) -> Request:
    """The request that the form asks for once this one was put into it."""
    updates = write_form(h.page, request, None, request.control_bytes)
    values = [updates.get(part, part.value) for part in h.page.run_inputs]
    shown = [part.value if value == gr.skip() else value for part, value in zip(h.page.run_inputs, values, strict=True)]
    return read_form(h.page, ControlMap(request.control_bytes, request.control), shown)


def answers(h: House, case: Case) -> dict[str, str]:
    """What each door says: a digest, or why not."""
    said: dict[str, str] = {}
    for door in DOORS:
        try:
            said[door.__name__] = f"plan {door(h, case).digest}"
        except Refused as error:
            said[door.__name__] = str(error)
    return said


# The small model, on which every method plans in milliseconds


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("doors")
    with torch.device("meta"):
        networks = Networks(tiny.unet(), {"controlnet": tiny.controlnet()})
    anatomy = measure(networks, (16, 16), 16, model="tiny")
    planner = Planner(anatomy)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(calibrations, "CALIBRATIONS", folder)
        patch.setattr(Studio, "load", lambda *_: planner)
        _calibrate(anatomy, folder)
        yield house(planner, folder)


def _calibrate(anatomy: Anatomy, folder: Path) -> None:
    curves = made_up.curves(anatomy, STEPS)
    sites = [site.name for site in anatomy.of(*schedules.LAYERS)]
    ones = {site: np.ones((STEPS, 3, 4), np.float16) for site in sites}
    lines = Adjustment(curves.subject, ones, {site: 0 * numbers for site, numbers in ones.items()})
    known = replace(curves, adjustment=lines.digest, versions={"weights": WEIGHTS})
    Calibration(known, lines).write(folder / f"{curves.subject.name}.json")


SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "control window": {"control_end": 0.5},
    "late control": {"control_start": 0.3},
    "no guidance": {"guidance": 1.0},
    "strength 0": {"control_scale": 0.0},
}


@pytest.mark.parametrize("method", METHODS)
def test_every_door_gives_the_same_plan_or_the_same_refusal(small: House, method: str) -> None:
    """Of each method, for presets and budgets in reach and out of it, and for its plan edited by hand."""
    cases: dict[str, tuple[str | float, dict[str, Any]]] = {name: (BUDGET, fields) for name, fields in SETTINGS.items()}
    cases |= {"preset": ("Quality", {}), "out of reach": (0.05, {})}
    digests = set()
    for name, (share, settings) in cases.items():
        said = answers(small, Case(method, share, {"steps": STEPS} | settings))
        assert len(set(said.values())) == 1, (name, said)
        digests |= {answer for answer in said.values() if answer.startswith("plan ")}
    assert len(digests) > 1, "settings and budgets make a difference"
    own = edited_plan(small.planner, method)
    said = answers(small, Case("hgc", own, {"steps": own.steps, "control_end": 0.9}))
    assert set(said.values()) == {f"plan {own.digest}"}, said


def edited_plan(planner: Planner, method: str) -> Plan:
    """The method's plan with one cell changed by hand: the first one from the end that can be."""
    recipe = Recipe.parse({"model": "tiny", "steps": STEPS} | by_budget(method, BUDGET))
    try:
        plan = planner.plan(recipe)
    except BelowLeast as error:
        plan = planner.plan(error.at_least(recipe))
    for step in range(plan.steps - 2, 0, -1):  # some keep the whole prediction in most steps
        for site in reversed(planner.anatomy().decoder):
            try:
                return edited(plan, Ground(planner.anatomy()), [([site.name], step)])
            except PlanRefused:
                continue
    raise AssertionError(f"nothing in {plan.name} can be edited")


def test_a_run_from_the_page_is_forecast_once(small: House) -> None:
    """Some plans take seconds to make."""
    case, press = Case("deepcache", BUDGET, {"steps": STEPS}), Press("0123456789abcdef", 1)
    before, events = len(small.planner.noted), RunEvents(small.page)
    page: Any = SimpleNamespace(session_hash=press.visitor)
    drawing = [part.value for part in small.page.control.drawing]
    events.take_up(page, press.name, *drawing, *form_values(small, case))
    assert len(small.planner.noted) == before + 1, "planned before it waits for the model"
    *_, last = events.run(page, press.name, None)
    assert "planned" in last[small.page.results.told]
    assert len(small.planner.noted) == before + 1


def test_a_benchmark_leaves_out_what_was_calibrated_on_other_weights(
    small: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(small.planner, "weights_under", lambda control, loras: "f" * 12)
    monkeypatch.setattr(small.planner, "_known", {})
    task, told = Task(Recipe(model="tiny", steps=STEPS), small.planner.blueprint), list[str]()
    made = list(entries(small.planner, ParetoSetup(("block_caching", "deepcache"), (BUDGET,)), task, told.append))
    assert [entry.method for entry in made] == ["full", "deepcache"]
    assert len(told) == 1
    assert METHODS["block_caching"].title in told[0]
    assert "f" * 12 in told[0]


# On the embedded model's shapes, the faults that there were


@pytest.fixture(scope="module")
def landscapes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder, source = tmp_path_factory.mktemp("landscapes"), Path(presets()["landscapes"].source)

    def shapes(kind: Any, part: str) -> Any:
        return kind.from_config(json.loads((source / part / "config.json").read_text()))

    with torch.device("meta"):
        networks = Networks(shapes(UNet2DConditionModel, "unet"), {"controlnet": shapes(ControlNetModel, "controlnet")})
    planner = Planner(measure(networks, (SIZE // 8, SIZE // 8), 48, model="landscapes"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Studio, "load", lambda *_: planner)
        yield house(planner, folder)


def test_a_preset_of_hgc_holds_whatever_the_controls_window(landscapes: House) -> None:
    """In shell and endpoints it took 39.95% of full compute for the 36.8% that were asked for."""
    case = Case("hgc", "Paper", {"steps": 20, "control_end": 0.5})
    assert len(set(answers(landscapes, case).values())) == 1
    task = Task(case.request(landscapes.planner), landscapes.planner.blueprint)
    for door in DOORS:
        assert task.share(door(landscapes, case)) == pytest.approx(0.3635, abs=5e-5), door.__name__


def test_a_sweep_takes_the_guidance_that_everything_else_takes(landscapes: House) -> None:
    noted_guidance = set()
    for words in (["compare"], ["sweep", "--x", "seed=0"]):
        out = str(landscapes.folder / words[0])
        CliRunner().invoke(app, [*words, "--image", str(EXAMPLE.path), "--out", out, "--steps", "8"])
        noted_guidance.add(landscapes.planner.noted[-1][0].guidance)
    assert noted_guidance == {GUIDANCE}
