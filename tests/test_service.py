"""Requests run end to end on the embedded model, in a few steps each."""

from __future__ import annotations

import json
import re
import threading
from dataclasses import replace
from functools import wraps
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel
from PIL import Image
from small import SIZE
from typer.testing import CliRunner

from hgc.__main__ import app
from hgc.bench.speed import measure_speed
from hgc.cache import schedules
from hgc.cache.anatomy import State
from hgc.cache.plan import PlanRefused
from hgc.cache.rules import Verification
from hgc.cache.schedules import HGC
from hgc.cache.trace import Trace
from hgc.control.images import ImageRefused
from hgc.landscapes.colours import TIMES, Time
from hgc.landscapes.labels import colour_map
from hgc.landscapes.scene import paint
from hgc.models.loading import load
from hgc.models.refusals import ModelUnavailable
from hgc.planning.presets import by_budget
from hgc.request import Recipe, Request, RequestRefused
from hgc.results.comparison import Cancelled, Comparison, Progress
from hgc.results.exports import EXPORTS, to_csv
from hgc.results.opened import Opened
from hgc.studio.arm_cache import ArmCache
from hgc.studio.inspection import Inspection, Look
from hgc.studio.studio import Studio

SCENE = paint(9_000_001)
STEPS = 4


def request(studio: Studio, control: str = "segmentation", **fields: Any) -> Request:
    drawn = colour_map(SCENE.labels) if control == "segmentation" else np.repeat(SCENE.edges[:, :, None], 3, axis=2)
    png = studio.prepare_control(drawn, control, size=SIZE).png
    return Request.make(png, **{"control": control, "size": SIZE, "prompt": SCENE.caption, "steps": STEPS} | fields)


def compared(studio: Studio, request: Request) -> Comparison:
    *_, last = studio.compare(request)
    assert isinstance(last, Comparison)
    return last


@pytest.fixture(scope="module")
def balanced(studio: Studio) -> list[Progress | Comparison]:
    """The news of one comparison, the last of them its result; a likeness at half the compute."""
    return list(studio.compare(request(studio, budget=0.5)))


@pytest.fixture(scope="module")
def found(balanced: list[Progress | Comparison]) -> Comparison:
    last = balanced[-1]
    assert isinstance(last, Comparison)
    return last


@pytest.mark.parametrize(("control", "sampler"), [("segmentation", "ddim"), ("edges", "dpmpp")])
def test_the_full_arm_is_the_plain_pipeline_bit_for_bit(studio: Studio, control: str, sampler: str) -> None:
    asked = request(studio, control, sampler=sampler, cache=HGC(coarse=False, fine=False))
    comparison = compared(studio, asked)
    channels = studio.loaded.components["unet"].config.in_channels
    noise = torch.randn(1, channels, *(side // 8 for side in SIZE), generator=torch.Generator().manual_seed(0))
    pipe = studio.loaded.pipeline(control, sampler)
    image = Image.fromarray(np.array(studio.prepare_control(_drawn(control), control, size=SIZE).map))
    plain = pipe(
        SCENE.caption,
        image=image,
        num_inference_steps=STEPS,
        guidance_scale=asked.guidance,
        latents=noise,
        output_type="pt",
    ).images[0]
    pixels = (plain.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    assert np.array_equal(comparison.full.image, pixels)
    assert comparison.identical
    assert comparison.figures()["psnr"] is None
    assert comparison.figures()["perceptual"] == 0


def _drawn(control: str) -> Any:
    return colour_map(SCENE.labels) if control == "segmentation" else np.repeat(SCENE.edges[:, :, None], 3, axis=2)


def test_a_comparison_tells_everything(balanced: list[Progress | Comparison], found: Comparison) -> None:
    progress, comparison = balanced[:-1], found
    assert [(p.arm, p.step) for p in progress if isinstance(p, Progress)] == [
        (arm, step) for arm in ("full", "cached") for step in range(1, STEPS + 1)
    ]
    assert all(isinstance(p, Progress) and p.preview is not None and p.preview.shape == (*SIZE, 3) for p in progress)
    for arm in comparison.arms.values():
        assert [small.shape for small in arm.previews] == [(16, 16, 3)] * STEPS
        away = [np.abs(small.astype(float) - arm.image[4::8, 4::8]).mean() for small in arm.previews]
        assert away[-1] < away[0], "they come nearer to the picture"
    figures = comparison.figures()
    assert json.loads(json.dumps(figures)) == figures
    assert figures["macs_ratio"] <= 0.5
    assert figures["attention_misses"] > 0
    assert not figures["identical"]
    assert 0 < figures["perceptual"] < 4
    assert comparison.difference().shape == SIZE
    assert comparison.difference().max() > 0
    assert comparison.difference("cached", "cached").max() == 0
    assert comparison.rival is None
    assert not any("rival" in name for name in figures)


@pytest.mark.parametrize("time", TIMES)
def test_a_preview_has_the_colours_of_its_time_of_day(studio: Studio, time: Time) -> None:
    """A map fitted on a night alone shows dawn and sunset as one: they are 0.35 to 0.45 apart then."""
    vae, image = studio.loaded.components["vae"], paint(100, time=time).image
    with torch.no_grad():
        encoded = vae.encode(torch.from_numpy(image).permute(2, 0, 1)[None].float() / 127.5 - 1).latents
    shown = studio.preview(encoded * vae.config.scaling_factor, (32, 32)).astype(float)
    assert np.sqrt(np.mean((shown - cv2.resize(image, (32, 32), interpolation=cv2.INTER_AREA)) ** 2)) / 255 < 0.25


def test_a_request_that_trusts_no_forecast_computes_more_than_was_planned(studio: Studio) -> None:
    fields = {"method": "deepcache", "budget": 0.6, "steps": 5}
    plain = studio.forecast(request(studio, **fields))
    asked = request(studio, **fields, verify=0)
    forecast, done = studio.forecast(asked), compared(studio, asked)
    assert forecast.plan.table == plain.plan.table
    assert forecast.macs == plain.macs
    assert done.cached.trace.macs.paper > forecast.macs.paper
    reasons = {cell.reason for cell in done.cached.trace.each()}
    assert any(reason.startswith("verification: forecast of ") and reason.endswith(", over 0") for reason in reasons)


def test_the_third_arm_is_the_plain_pipeline_in_as_many_steps_as_cost_the_same(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a sampler that looks back over its steps: it begins anew."""
    steps, sampler = 6, "dpmpp"
    asked = request(studio, steps=steps, sampler=sampler, budget=0.5, rival="fewer_steps")
    drawn = ArmCache()
    news = list(studio.compare(asked, drawn=drawn))
    comparison = news[-1]
    assert isinstance(comparison, Comparison)
    assert list(comparison.arms) == ["full", "cached", "rival"]
    assert comparison.rival is not None
    figures, count = comparison.figures(), comparison.rival.steps
    one_step = figures["macs_full"] / steps
    assert figures["macs_rival"] == pytest.approx(count * one_step)
    assert abs(figures["macs_rival"] - figures["macs_cached"]) <= one_step / 2
    assert [p.step for p in news[:-1] if isinstance(p, Progress) and p.arm == "rival"] == list(range(1, count + 1))
    alone = compared(studio, request(studio, steps=count, sampler=sampler))
    assert np.array_equal(comparison.rival.image, alone.full.image)
    wanted = {"psnr_rival", "ssim_rival", "latency_ms_rival", "control_score_rival", "steps_rival"}
    assert wanted <= figures.keys()
    forecast = studio.forecast(asked)
    with monkeypatch.context() as patched:
        patched.setattr(studio, "plan", None)  # with the forecast at hand nothing is planned, the rival included
        *_, foreseen = studio.compare(asked, drawn=drawn, forecast=forecast)
    assert isinstance(foreseen, Comparison)
    assert foreseen.rival is not None
    assert foreseen.rival.trace.plan.digest == comparison.rival.trace.plan.digest
    *_, pair = studio.compare(asked.model_copy(update={"rival": None}), drawn=drawn)
    assert isinstance(pair, Comparison)
    assert comparison.digest == pair.digest


def test_a_cache_that_keeps_only_what_never_changes_did_nothing(studio: Studio, found: Comparison) -> None:
    computing = HGC(fine=False, lambda_inter=1.0)
    assert compared(studio, request(studio, steps=2, cache=computing)).nothing_reused
    assert not compared(studio, request(studio, steps=2, cache=HGC(coarse=False, fine=False))).nothing_reused
    assert not found.nothing_reused


def test_forecast_and_run_agree(studio: Studio, found: Comparison) -> None:
    forecast = studio.forecast(found.request)
    assert forecast.macs == found.cached.trace.macs
    assert forecast.latency_ms is not None


@pytest.mark.parametrize(("preset", "most"), [("paper", 0.37), ("balanced", 0.5), ("turbo", 0.2), ("quality", 0.65)])
def test_presets_keep_their_budget_at_twenty_steps(studio: Studio, preset: str, most: float) -> None:
    forecast = studio.forecast(Recipe.parse(by_budget("hgc", preset)))
    assert most - 0.06 < forecast.share <= most


def test_a_closer_look_sees_drift_and_attention_apart_from_the_comparison(studio: Studio, found: Comparison) -> None:
    assert all(cell.drift is None for arm in found.arms.values() for cell in arm.trace.each())
    *news, seen = studio.inspect(found)
    assert [(look.arm, look.step) for look in news if isinstance(look, Look)] == [
        (arm, step) for arm in ("full", "cached") for step in range(1, STEPS + 1)
    ]
    assert isinstance(seen, Inspection)
    row = seen.traces["full"].cells["unet.mid_block.attentions.0"]
    assert [cell.drift is not None and cell.drift > 0 for cell in row] == [False, True, True, True]
    told = seen.told(found)
    assert told.cached.trace.digest == found.cached.trace.digest
    assert told.full.latency_ms == found.full.latency_ms
    assert all(cell.drift is not None for row in seen.traces["cached"].cells.values() for cell in row if cell.age)
    assert [word.title.split(" (")[0] for word in seen.words] == re.findall(r"\w+", SCENE.caption.lower())
    for layer in seen.layers:
        for step, cell in enumerate(seen.traces["cached"].cells[layer]):
            used = seen.used("cached", layer, 0, step)
            assert used is not None
            assert used.step == (step if cell.state is State.COMPUTED else step - cell.age if cell.age else used.step)
            fresh = seen.used("full", layer, 0, step)
            assert fresh is not None
            assert fresh.step == step
            assert fresh.map.shape == used.map.shape


def test_a_closer_look_opens_every_arm_and_measures_one_of_other_steps_by_itself(studio: Studio) -> None:
    found = compared(studio, request(studio, budget=0.6, rival="fewer_steps"))
    *news, seen = studio.inspect(found)
    assert isinstance(seen, Inspection)
    assert list(seen.traces) == list(seen.maps) == list(found.arms) == ["full", "cached", "rival"]
    assert found.rival is not None
    fewer = found.rival.steps
    assert fewer < STEPS
    assert [look.step for look in news if isinstance(look, Look) and look.arm == "rival"] == list(range(1, fewer + 1))
    told = seen.told(found)
    assert told.rival is not None
    drifts = [cell.drift for cell in told.rival.trace.cells["unet.mid_block.attentions.0"]]
    assert [drift is not None and drift > 0 for drift in drifts] == [False] + [True] * (fewer - 1)
    own = [cell.drift for cell in told.full.trace.cells["unet.mid_block.attentions.0"]]
    assert drifts[1:] != own[1:fewer]
    opened = Opened.of(told, "rival")
    assert (opened.title, opened.trace.steps, list(opened.traces)) == ("Fewer steps", fewer, ["full", "rival"])
    assert list(Opened.of(told, "full").traces) == ["full"]
    assert Opened.of(replace(told, rival=None), "rival").name == "cached"
    assert json.loads(EXPORTS["trace.json"](opened))["plan"]["steps"] == fewer


def test_a_closer_look_stops_when_asked(studio: Studio, found: Comparison) -> None:
    stop = threading.Event()
    looking = studio.inspect(found, cancel=stop)
    next(looking)
    stop.set()
    with pytest.raises(Cancelled, match="full arm"):
        list(looking)


def test_stop_stops_and_leaves_the_model_untouched(studio: Studio) -> None:
    stop = threading.Event()
    asked = request(studio, steps=20)
    running = studio.compare(asked, cancel=stop)
    next(running)
    stop.set()
    with pytest.raises(Cancelled, match="stopped after step"):
        list(running)
    unet = studio.loaded.components["unet"]
    assert not any("forward" in vars(module) for module in unet.modules())
    assert compared(studio, request(studio, steps=2)).cached.trace.steps == 2


def test_two_users_at_once_each_get_their_own_picture(studio: Studio) -> None:
    asked = [request(studio, seed=1, steps=2), request(studio, "edges", seed=2, steps=2, sampler="dpmpp")]
    alone = [compared(studio, one) for one in asked]
    together: dict[int, Comparison] = {}
    threads = [
        threading.Thread(target=lambda i=i, one=one: together.update({i: compared(studio, one)}))
        for i, one in enumerate(asked)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i, comparison in enumerate(alone):
        assert np.array_equal(together[i].full.image, comparison.full.image)
        assert np.array_equal(together[i].cached.image, comparison.cached.image)
        assert together[i].cached.trace.digest == comparison.cached.trace.digest


def test_whatever_computes_does_so_in_one_and_the_same_thread() -> None:
    """A second thread that computes makes every parallel loop of both sleep: see hgc/studio/worker.py."""
    threads: set[int] = set()
    forward = UNet2DConditionModel.forward

    @wraps(forward)
    def seen(*args: Any, **kwargs: Any) -> Any:
        threads.add(threading.get_ident())
        return forward(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(UNet2DConditionModel, "forward", seen)
        fresh = Studio.load("landscapes", device="cpu")
        asked = request(fresh, steps=2)
        list(fresh.inspect(compared(fresh, asked)))
        measure_speed(fresh, [asked], repeats=1)
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_a_plan_for_other_steps_or_another_model_is_refused_by_name(studio: Studio) -> None:
    plan = schedules.HGC().plan(studio.anatomy(), 9)
    with pytest.raises(PlanRefused, match=r"'hgc'.* 9 .* 4"):
        studio.forecast(request(studio, plan=plan.as_dict()))
    with pytest.raises(PlanRefused, match=r"'hgc'.*sd15.*landscapes"):
        studio.forecast(request(studio, plan=plan.as_dict() | {"model": "sd15"}, steps=9))
    unplayable = plan.as_dict() | {"table": {"unet": "R" + "C" * 8}}
    with pytest.raises(PlanRefused, match="site 'unet', step 0"):
        studio.forecast(request(studio, plan=unplayable, steps=9))


@pytest.mark.parametrize("preset", ["paper", "balanced", "turbo", "quality"])
def test_each_cache_does_something_alone_under_every_preset(studio: Studio, preset: str) -> None:
    settings = studio.settings(Recipe.parse(by_budget("hgc", preset)))
    share = {}
    for coarse in (True, False):
        for fine in (True, False):
            alone = replace(settings, coarse=coarse, fine=fine)
            share[coarse, fine] = studio.forecast(request(studio, steps=20, cache=alone)).share
    assert share[True, True] < share[True, False] < share[False, False]
    assert share[True, True] < share[False, True] < share[False, False]


def test_a_budget_that_exact_savings_meet_changes_no_bit(studio: Studio) -> None:
    assert studio.settings(Recipe(budget=1.0)).off
    assert not studio.settings(Recipe(budget=0.6)).off


def test_a_control_window_costs_what_the_forecast_says(studio: Studio) -> None:
    asked = request(studio, steps=6, control_start=0.3, control_end=0.9, cache=HGC(lambda_inter=0.4))
    comparison = compared(studio, asked)
    assert studio.forecast(asked).macs == comparison.cached.trace.macs
    assert studio.forecast(asked).macs_full == comparison.full.trace.macs


def test_a_truncated_control_map_is_refused(studio: Studio) -> None:
    whole = request(studio)
    with pytest.raises(ImageRefused):
        studio.compare(Request.make(whole.control_bytes[:200], steps=STEPS))


def test_a_map_of_the_wrong_size_is_refused_with_both_sizes(studio: Studio) -> None:
    asked = request(studio)
    small = Request.make(_png(np.zeros((64, 32, 3), np.uint8)), steps=STEPS)
    with pytest.raises(RequestRefused, match=r"32 × 64.*256 × 256"):
        studio.compare(small)
    assert studio.forecast(asked).share > 0


def _png(pixels: Any) -> bytes:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def test_prompts_are_read_back(studio: Studio) -> None:
    assert studio.check_prompt("") == ()
    assert studio.check_prompt(SCENE.caption) == ()
    assert "dinosaur" in studio.check_prompt("a dinosaur by night")[0]
    assert "cut off" in studio.check_prompt("a lake " * 80)[-1]


def test_empty_canvas_and_empty_prompt_are_allowed_and_said(studio: Studio) -> None:
    blank = studio.prepare_control(np.zeros((300, 300, 4), np.uint8), "segmentation")
    assert blank.notes == ("nothing is painted: all of it counts as sky",)
    comparison = compared(studio, Request.make(blank.png, steps=2))
    assert comparison.full.image.shape == (256, 256, 3)


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ((200, 300), ("the picture is not square: 33% of it is cut off on the left and the right",)),
        ((300, 200), ("the picture is not square: 33% of it is cut off at the top and the bottom",)),
        ((300, 297), ()),
    ],
)
def test_what_is_cut_off_a_picture_is_said(studio: Studio, shape: tuple[int, int], said: tuple[str, ...]) -> None:
    photo = np.zeros((*shape, 3), np.uint8)
    photo[::20] = 255
    assert studio.prepare_control(photo, "edges", "canny").notes == said
    photo[:] = studio.palette()["sky"]
    assert studio.prepare_control(photo, "segmentation").notes == said


def test_an_annotator_of_the_wrong_kind_is_refused(studio: Studio) -> None:
    with pytest.raises(ImageRefused, match=r"Canny.*segmentation.*Colour snap"):
        studio.prepare_control(SCENE.image, "segmentation", "canny")
    with pytest.raises(ImageRefused, match="'psychic'"):
        studio.prepare_control(SCENE.image, "edges", "psychic")


def test_a_photo_becomes_an_edge_map_like_the_painters_own(studio: Studio) -> None:
    lines = studio.prepare_control(SCENE.image, "edges", "canny").map
    assert np.mean((lines[:, :, 0] > 127) == (SCENE.edges > 0)) > 0.97


@pytest.mark.parametrize(
    ("name", "dtype", "says"),
    [("sdxxl", None, "unknown model 'sdxxl'"), ("landscapes", "int4", "unknown dtype 'int4'")],
)
def test_a_model_that_cannot_be_had_is_refused(name: str, dtype: str | None, says: str) -> None:
    with pytest.raises(ModelUnavailable, match=says):
        load(name, dtype=dtype)


def test_weights_out_of_reach_are_said_in_one_sentence() -> None:
    with pytest.raises(ModelUnavailable, match=r"Stable Diffusion 1.5") as refused:
        load("sd15", device="cpu")
    assert "\n" not in str(refused.value)


def test_compare_from_the_shell(tmp_path: Path) -> None:
    drawing, out = tmp_path / "map.png", tmp_path / "out"
    Image.fromarray(colour_map(SCENE.labels)).save(drawing)
    command = ["compare", "--model", "landscapes", "--control", "segmentation", "--image", str(drawing)]
    command += [
        "--prompt",
        SCENE.caption,
        "--seed",
        "0",
        "--steps",
        str(STEPS),
        "--plan",
        "balanced",
        "--verify",
        "0.3",
        "--rival",
        "fewer_steps",
        "--charts",
    ]
    result = CliRunner().invoke(app, [*command, "--out", str(out), "--json"])
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout)
    wanted = "macs_full macs_cached macs_ratio latency_ms_full latency_ms_cached psnr ssim perceptual"
    wanted += " macs_rival latency_ms_rival psnr_rival ssim_rival perceptual_rival control_score_rival"
    assert {*wanted.split(), "control_score_full", "control_score_cached"} <= figures.keys()
    assert {path.name for path in out.iterdir()} == {
        "control.png",
        "full.png",
        "cached.png",
        "rival.png",
        "trace.json",
        "trace.csv",
        "trace.perfetto.json",
        "charts.html",
        "request.json",
    }
    with Image.open(out / "cached.png") as picture:
        assert picture.size == (256, 256)
    trace = Trace.from_json((out / "trace.json").read_text())
    assert trace.macs.paper == figures["macs_cached"]
    assert (out / "trace.csv").read_text() == to_csv(trace)
    tracks = json.loads((out / "trace.perfetto.json").read_text())["otherData"]["arms"]
    assert list(tracks) == ["full", "cached", "rival"]
    assert tracks["cached"]["digest"] == figures["trace_digest"]
    assert figures["trace_digest"] in (out / "charts.html").read_text()
    written = Request.parse((out / "request.json").read_text())
    assert (written.prompt, written.verify) == (SCENE.caption, 0.3)
    assert trace.plan.verification == Verification(0.3)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (["--plan", "ludicrous"], "unknown preset 'ludicrous'"),
        (["--plan", "0.01"], "Optimised cannot go down to 1.0% of full compute in 20 steps"),
        (["--plan", "missing.json"], "missing.json: No such file"),
        (["--steps", "1"], "steps: Input should be greater than or equal to 2 (given: 1)"),
        (["--control", "pose"], "landscapes has no control 'pose'; it has segmentation, edges"),
        (["--control", "../depth"], "control:"),
        (["--model", "sdxxl"], "unknown model 'sdxxl'"),
        (["--image", "missing.png"], "There is no file 'missing.png'"),
        (["--device", "banana"], "device 'banana' cannot be used here"),
        (["--plan", __file__.replace("test_service.py", "conftest.json")], "conftest.json: No such file"),
    ],
)
@pytest.mark.usefixtures("loaded")
def test_a_refusal_is_one_line_and_writes_nothing(tmp_path: Path, change: list[str], says: str) -> None:
    drawing, out = tmp_path / "map.png", tmp_path / "out"
    Image.fromarray(colour_map(SCENE.labels)).save(drawing)
    result = CliRunner().invoke(app, ["compare", "--image", str(drawing), "--out", str(out), *change])
    assert result.exit_code == 2
    assert says in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not out.exists()
