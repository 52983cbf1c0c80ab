"""A request is plain data: it survives its travels and refuses nonsense in one sentence."""

from __future__ import annotations

from base64 import b64encode
from io import BytesIO
from typing import Any

import pytest
from PIL import Image

from hgc.cache.origin import Origin
from hgc.cache.plan import Plan
from hgc.cache.schedules import HGC
from hgc.calibration.subject import Subject
from hgc.cli.options import RECIPE, subject_of, with_own
from hgc.models.presets import presets
from hgc.request import Recipe, Request, RequestRefused


def png(size: tuple[int, int] = (8, 8)) -> bytes:
    buffer = BytesIO()
    Image.new("RGB", size, (90, 180, 80)).save(buffer, "PNG")
    return buffer.getvalue()


PNG = b64encode(png()).decode()
SECOND = {"control": "depth", "map": PNG, "scale": 0.5, "end": 0.8}


def test_a_request_survives_json() -> None:
    request = Request.make(png(), prompt="a winter night", seed=2**32 - 1, cache=HGC(lambda_inter=0.3, threshold=0.2))
    assert Request.parse(request.model_dump_json()) == request
    assert request.control_bytes == png()


def test_a_request_of_before_names_the_same_picture() -> None:
    """Records, sweeps and pictures that were kept are found by it."""
    assert Request.make(png(), prompt="a lake").picture_digest == "7653a75a14da"


def test_a_size_is_read_as_people_write_it() -> None:
    for text in ("768x512", "768 × 512", "768X512"):
        assert Request.make(png(), size=text).size == (768, 512)


@pytest.mark.parametrize("strength", [0.05, 0.3, 0.7, 0.75, 1.0])
def test_a_source_leaves_so_many_steps_to_compute(strength: float) -> None:
    """By diffusers' rule, which computes the last int(number * strength) of a number of steps."""
    for steps in range(2, 50):
        request = Request.make(png(), source=PNG, strength=strength, steps=steps)
        assert int(request.schedule_steps * strength) == steps
        assert request.but(source=None).schedule_steps == steps


def test_the_picture_digest_ignores_caches_and_the_number_of_arms_and_nothing_else() -> None:
    base = Request.make(png())
    by_method = {"method": "deepcache", "budget": 0.5, "verify": 0.2, "rival": "fewer_steps"}
    for update in ({"cache": HGC(coarse=False)}, by_method):
        assert base.model_copy(update=update).picture_digest == base.picture_digest
    for change in ({"seed": 1}, {"prompt": "lake"}, {"steps": 21}, {"sampler": "unipc"}, {"guidance": 5.0}):
        assert Request.make(png(), **change).picture_digest != base.picture_digest
    pictures = ({"source": PNG}, {"source": PNG, "mask": PNG}, {"second": SECOND})
    for more in (*pictures, {"size": (64, 128)}, {"loras": [{"name": "ink"}]}):
        assert Request.make(png(), **more).picture_digest != base.picture_digest
    assert Request.make(png(), strength=0.3).picture_digest == base.picture_digest, "without a source it says nothing"
    assert Request.make(png((9, 9))).picture_digest != base.picture_digest


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"steps": 1}, "steps: Input should be greater than or equal to 2 (given: 1)"),
        ({"seed": -1}, "seed:"),
        ({"guidance": float("nan")}, "guidance:"),
        ({"sampler": "../magic"}, "sampler: String should match pattern"),
        ({"control": "depth map"}, "control: String should match pattern"),
        ({"size": (512, 500)}, "size.1: sizes go in steps of 64 pixels; take 512 (given: 500)"),
        ({"size": "512"}, "size: write width x height, such as 768x512 (given: 512)"),
        ({"size": (4096, 512)}, "size.0: Input should be less than or equal to 2048"),
        ({"mask": PNG}, "a mask says where a source picture is made anew, and there is none; give source as well"),
        ({"source": "aGVsbG8="}, "source: not a PNG or JPEG; save the picture as PNG"),
        ({"source": PNG, "strength": 0.0}, "strength: Input should be greater than or equal to 0.05"),
        ({"source": PNG, "strength": 0.05, "steps": 60}, "60 steps at strength 0.05 are the end of 1200"),
        ({"second": {"control": "segmentation", "map": PNG}}, "second control is 'segmentation' as the first is"),
        ({"second": {"control": "depth", "map": PNG, "start": 1.0}}, "second: start 1.0 must lie before end 1.0"),
        ({"second": {"control": "depth"}}, "second.map: Field required"),
        ({"loras": [{"name": "ink", "weight": 9}]}, "loras.0.weight: Input should be less than or equal to 4"),
        ({"control_start": 0.9, "control_end": 0.1}, "control_start 0.9 must lie before control_end 0.1"),
        ({"cache": {"lambda_inter": 2}}, "cache.lambda_inter:"),
        ({"cache": {"lambda": 2}}, "cache.lambda: there is no such field"),
        ({"turbo": True}, "turbo: there is no such field"),
        ({"method": "deepcache"}, "method deepcache needs a budget"),
        ({"verify": -0.1}, "verify: Input should be greater than or equal to 0"),
        ({"verify": 10}, "verify: Input should be less than 10"),
        ({"budget": 0}, "budget: Input should be greater than 0"),
        ({"control_png": "%%%"}, "control_png: not base64"),
        ({"control_png": "aGVsbG8="}, "control_png: not a PNG"),
    ],
)
def test_nonsense_is_refused_by_field(change: dict[str, Any], says: str) -> None:
    data = Request.make(png()).model_dump() | change
    with pytest.raises(RequestRefused) as refused:
        Request.parse(data)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_plan_of_its_own_travels_with_the_request() -> None:
    plan = Plan(Origin("mine"), 20, "landscapes", {"unet": "C" + "R" * 19})
    assert Request.parse(Request.make(png(), plan=plan.as_dict()).model_dump_json()).own_plan == plan
    with pytest.raises(RequestRefused, match=r"'mine'.*'unet'"):
        _ = Request.make(png(), plan=plan.as_dict() | {"steps": 3}).own_plan


def test_the_shell_has_an_option_for_every_field_of_a_recipe() -> None:
    """What a plan decides is asked for by --plan, --method and --budget."""
    assert set(RECIPE) == set(Recipe.model_fields) - {"cache", "plan", "method", "budget", "at_least"}


def test_the_shell_goes_by_the_models_own_settings_unless_told_others() -> None:
    turbo = presets()["sdxl-turbo"]
    given = {"steps": None, "sampler": None, "guidance": 2.0, "size": None}
    assert with_own(given, turbo) == {"steps": 4, "sampler": "euler", "guidance": 2.0, "size": None}
    assert subject_of("sdxl-turbo", "edges", None, None, 3.0) == Subject("sdxl-turbo", "edges", "euler", 4, 3.0)
    own = presets()["landscapes"]
    assert all(getattr(own, name) == Recipe.model_fields[name].default for name in ("steps", "sampler", "guidance"))
