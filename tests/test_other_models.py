"""A studio runs whatever is loaded: both families, every task, one control or two, with guidance and without."""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import replace
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image
from serving import served
from typer.testing import CliRunner

from hgc.__main__ import app
from hgc.cache.anatomy.macs import NetworkMacs
from hgc.cache.anatomy.networks import Networks
from hgc.evidence import read_signed
from hgc.models.loaded import Loaded
from hgc.models.loading import load
from hgc.models.presets import presets
from hgc.planning import Task
from hgc.refused import Refused
from hgc.request import Request
from hgc.results.comparison import Comparison
from hgc.studio.comparing import pixels_of
from hgc.studio.judge import Judge
from hgc.studio.studio import Studio
from hgc.ui import Loader

WIDE, STEPS = (192, 128), 4  # width and height in pixels


@cache
def studio_of(family: str) -> Studio:
    """A studio over tiny random networks of a family, with two ControlNets."""
    pipe = tiny.small_pipeline(family, "text", 2)
    parts = {name: part for name, part in pipe.components.items() if name != "controlnet"}
    named = presets()["sd15" if family == "sd" else "sdxl"]
    preset = replace(named, name=f"tiny-{family}", controls={"depth": "./a", "edges": "./b"}, size=128)
    nets = dict(zip(("depth", "edges"), pipe.controlnet.nets, strict=True))
    return Studio(Loaded(preset, parts, nets, torch.device("cpu"), torch.float32), Judge.of(preset))


def picture(seed: int = 0, size: tuple[int, int] = WIDE) -> str:
    """Noise as a PNG in base64."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return b64encode(buffer.getvalue()).decode()


def half(size: tuple[int, int] = WIDE) -> str:
    """A mask whose left half is to be made anew."""
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    pixels[:, : size[0] // 2] = 255
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return b64encode(buffer.getvalue()).decode()


TASKS: dict[str, dict[str, Any]] = {
    "text": {},
    "image": {"source": picture(1), "strength": 0.7},
    "inpaint": {"source": picture(1), "mask": half(), "strength": 0.7},
}
CONTROLS: dict[str, dict[str, Any]] = {
    "one": {},
    "two": {"second": {"control": "edges", "map": picture(2), "scale": 0.5, "end": 0.5}},
}


def asked(studio: Studio, task: str, controls: str, guidance: float, **more: Any) -> Request:
    fields = {"model": studio.model, "control": "depth", "control_png": picture(), "size": WIDE, "steps": STEPS}
    words = {"prompt": "a lake", "guidance": guidance, "budget": 0.6}
    return Request.parse(fields | words | TASKS[task] | CONTROLS[controls] | more)


def finished(studio: Studio, request: Request) -> Comparison:
    *_, last = studio.compare(request)
    assert isinstance(last, Comparison)
    return last


def plain(studio: Studio, request: Request) -> np.ndarray:
    """The picture of diffusers' own pipeline, called by hand."""
    pipe = studio.loaded.pipeline(request.controls, request.sampler, request.task)
    return pixels_of(pipe(**studio.call(request)).images)


@pytest.mark.parametrize("guidance", [4.0, 1.0])
@pytest.mark.parametrize("controls", list(CONTROLS))
@pytest.mark.parametrize("task", list(TASKS))
@pytest.mark.parametrize("family", ["sd", "sdxl"])
def test_both_arms_run_and_cost_what_was_forecast(family: str, task: str, controls: str, guidance: float) -> None:
    studio = studio_of(family)
    request = asked(studio, task, controls, guidance)
    forecast = studio.forecast(request)
    nets = Networks.of(studio.loaded.pipeline(request.controls, request.sampler, request.task)).all
    with NetworkMacs(nets) as counted:
        made = finished(studio, request)
    assert made.full.image.shape == made.cached.image.shape == (WIDE[1], WIDE[0], 3)
    assert made.full.trace.steps == made.cached.trace.steps == STEPS
    assert counted.total == made.full.trace.macs + made.cached.trace.macs == forecast.macs_full + forecast.macs
    assert forecast.share <= 0.6
    assert not made.identical
    assert not made.nothing_reused
    assert np.array_equal(made.full.image, plain(studio, request)), "full compute is the plain pipeline, bit for bit"


@pytest.mark.parametrize("task", list(TASKS))
@pytest.mark.parametrize("family", ["sd", "sdxl"])
def test_an_exact_plan_is_the_plain_pipelines_picture(family: str, task: str) -> None:
    studio = studio_of(family)
    made = finished(studio, asked(studio, task, "two", 4.0, budget=1.0))
    assert made.identical
    assert made.cached.trace.macs.paper < made.full.trace.macs.paper
    assert np.array_equal(made.cached.image, plain(studio, made.request))


@pytest.mark.parametrize("method", ["fewer_steps", "deepcache", "tgate", "step_skip"])
def test_every_method_begins_from_a_picture(method: str) -> None:
    """Fewer steps take the same part of a shorter schedule."""
    studio = studio_of("sd")
    made = finished(studio, asked(studio, "image", "one", 4.0, method=method, steps=6))
    assert made.cached.steps == (3 if method == "fewer_steps" else 6)
    assert made.cached.trace.macs.paper / made.full.trace.macs.paper <= 0.6


def test_what_is_outside_the_mask_stays() -> None:
    """The tiny autoencoder returns no picture as it was: what is kept is compared between two prompts and seeds."""
    studio = studio_of("sd")
    first, other = (
        finished(studio, asked(studio, "inpaint", "one", 4.0, seed=seed)).full.image.astype(int) for seed in (1, 2)
    )
    apart = abs(first - other)
    assert apart[:, 130:].mean() < 0.2 * apart[:, :60].mean()


def test_a_run_is_inspected_whatever_it_begins_from() -> None:
    studio = studio_of("sd")
    made = finished(studio, asked(studio, "inpaint", "two", 4.0))
    *_, seen = studio.inspect(made)
    assert seen.traces["full"].steps == STEPS
    assert seen.layers


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"control": "pose"}, "tiny-sd has no control 'pose'; it has depth, edges"),
        ({"second": {"control": "pose", "map": picture()}}, "tiny-sd has no control 'pose'; it has depth, edges"),
        ({"sampler": "heun"}, "tiny-sd has no sampler 'heun'; it has ddim, dpmpp, unipc, euler"),
        ({"size": None}, "the control map is 192 × 128 pixels, tiny-sd needs 128 × 128"),
        ({"source": picture(size=(64, 64))}, "the source picture is 64 × 64 pixels, tiny-sd needs 192 × 128: resize"),
        ({"source": picture(), "mask": half((64, 64))}, "the mask is 64 × 64 pixels, tiny-sd needs 192 × 128"),
        ({"second": {"control": "edges", "map": half((64, 64))}}, "the second control map is 64 × 64 pixels"),
        ({"loras": [{"name": "ink"}]}, "unknown LoRA 'ink'; added are none. Add one with `hgc models add"),
    ],
)
def test_what_a_model_cannot_run_is_refused_before_it_runs(fields: dict[str, Any], says: str) -> None:
    studio = studio_of("sd")
    with pytest.raises(Refused) as refused:
        studio.compare(asked(studio, "text", "one", 4.0, **fields))
    assert says in str(refused.value)


def test_a_control_that_is_not_here_is_told_how_to_come_by() -> None:
    studio = studio_of("sd")
    blueprint = replace(studio.blueprint, missing={"pose"})
    with pytest.raises(Refused, match="hgc models fetch tiny-sd --control pose"):
        blueprint.check(asked(studio, "text", "one", 4.0, control="pose"))


def test_a_second_control_that_sets_in_late_is_planned_for() -> None:
    """From its first step on nothing of it can be kept yet."""
    studio = studio_of("sd")
    late = {"second": {"control": "edges", "map": picture(2), "start": 0.5}}
    request = asked(studio, "text", "one", 4.0, budget=0.8, **late)
    assert Task(request, studio.blueprint).first_control_step == 2
    assert finished(studio, request).cached.trace.steps == STEPS


def test_words_beyond_the_tokenizers_reading_are_said_to_be_cut() -> None:
    studio = studio_of("sdxl")  # whose tokenizer reads 14 letters and commas
    assert studio.check_prompt("lake tree") == ()
    (note,) = studio.check_prompt("lake tree hill, a lake")
    assert note == "The prompt is too long; cut off: lake."


def test_the_shell_takes_pictures_of_any_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Map, source, mask and second map are brought to the size that is asked for; the run is kept as a request."""
    studio = studio_of("sd")
    monkeypatch.setattr(Studio, "load", lambda *_: studio)
    for name, seed in (("map", 1), ("source", 2), ("mask", 3), ("near", 4)):
        (tmp_path / f"{name}.png").write_bytes(b64decode(picture(seed, (100, 80))))
    words = {
        "model": studio.model,
        "control": "edges",
        "size": "192x128",
        "steps": "4",
        "plan": "0.8",
        "strength": "0.6",
    }
    files = {name: str(tmp_path / f"{name}.png") for name in ("source", "mask")}
    files |= {"image": str(tmp_path / "map.png"), "out": str(tmp_path / "out")}
    second = {"second": f"depth={tmp_path / 'near.png'},0.5,0,0.75"}
    options = [word for name, value in (words | files | second).items() for word in (f"--{name}", value)]
    done = CliRunner().invoke(app, ["compare", *options])
    assert done.exit_code == 0, done.output
    request = Request.parse((tmp_path / "out" / "request.json").read_text())
    assert (request.task, request.size, request.strength) == ("inpaint", WIDE, 0.6)
    assert request.second is not None
    assert (request.second.control, request.second.scale, request.second.end) == ("depth", 0.5, 0.75)
    signed = read_signed((tmp_path / "out" / "cached.png").read_bytes())
    assert signed.pixels.shape == (WIDE[1], WIDE[0], 3)
    assert signed.evidence.request == request
    wrong = CliRunner().invoke(app, ["compare", *options, "--second", "depth"])
    assert wrong.exit_code == 2
    assert "give such as depth=near.png" in wrong.output


def test_the_shell_refuses_a_mask_of_another_size_than_its_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both sizes are named, and nothing is written; with a mask of the same size it runs (above)."""
    studio = studio_of("sd")
    monkeypatch.setattr(Studio, "load", lambda *_: studio)
    for name, size in (("map", WIDE), ("source", (100, 80)), ("mask", (80, 100))):
        (tmp_path / f"{name}.png").write_bytes(b64decode(picture(1, size)))
    files = {"image": "map", "source": "source", "mask": "mask"}
    options = [word for name, file in files.items() for word in (f"--{name}", str(tmp_path / f"{file}.png"))]
    done = CliRunner().invoke(app, ["compare", *options, "--control", "edges", "--out", str(tmp_path / "out")])
    assert done.exit_code == 2
    assert "the mask is 80 × 100 pixels, the source 100 × 80; paint it over the source" in " ".join(done.output.split())
    assert not (tmp_path / "out").exists()


def test_the_control_of_inpainting_is_told_what_is_made_anew() -> None:
    """Its map is the picture, -1 where the mask is; without a mask, and for other controls, the picture alone."""
    studio = studio_of("sd")
    nets = dict(zip(("inpaint", "edges"), studio.loaded.controls.values(), strict=True))
    preset = replace(studio.loaded.preset, controls={"inpaint": "./a", "edges": "./b"})
    studio = Studio(replace(studio.loaded, controls=nets, preset=preset), Judge.of(preset))

    def maps(**fields: Any) -> torch.Tensor:
        request = asked(studio, "text", "one", 4.0, **{"control": "inpaint", **fields})
        call = studio.call(request)
        return call["control_image"] if "control_image" in call else call["image"]

    whole = maps()
    assert whole.min() >= 0
    masked = maps(source=picture(), mask=half())
    assert (masked[..., : WIDE[0] // 2] == -1).all()
    assert torch.equal(masked[..., WIDE[0] // 2 :], whole[..., WIDE[0] // 2 :])
    assert maps(control="edges", source=picture(), mask=half()).min() >= 0


@pytest.mark.parametrize("task", list(TASKS))
@pytest.mark.usefixtures("on_small_hub")
def test_a_union_reads_two_maps_in_one_network(task: str) -> None:
    """Both controls are one network, which is off when both are."""
    loaded = load("sdxl-union", device="cpu")
    studio = Studio(loaded, Judge.of(loaded.preset))
    request = asked(studio, task, "two", 4.0, sampler="euler")
    forecast = studio.forecast(request)
    with NetworkMacs(Networks.of(loaded.pipeline(request.controls, request.sampler, request.task), 2).all) as counted:
        made = finished(studio, request)
    assert counted.total == made.full.trace.macs + made.cached.trace.macs == forecast.macs_full + forecast.macs
    assert made.cached.trace.macs.paper / made.full.trace.macs.paper <= 0.6
    assert np.array_equal(made.full.image, plain(studio, request))


def test_the_api_takes_whatever_controls_the_model_has(tmp_path: Path) -> None:
    """A file of another kind than labels and lines is a finished map."""
    path = tmp_path / "depth.png"
    path.write_bytes(b64decode(picture(size=(128, 128))))
    file = handle_file(str(path))
    with served(Loader(lambda: studio_of("sd")).start()) as page:
        client = Client(page.local_url, verbose=False)
        shown, notes = client.predict(file, "depth", None, api_name="/control_map")
        assert np.array_equal(np.array(Image.open(shown)), np.array(Image.open(path)))
        assert notes == []
        run = {"picture": file, "control": "depth", "steps": 2, "method": "step_skip", "budget": 0.7}
        figures = client.predict(**run, with_trace=True, api_name="/compare")[2]
        assert figures["request"]["control"] == "depth"
        with pytest.raises(AppError, match=r"'pose'.*depth"):
            client.predict(file, "pose", None, api_name="/control_map")
