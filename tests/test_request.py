"""A request is plain data: it survives its travels and refuses nonsense in one sentence."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from PIL import Image

from hgc.cache.origin import Origin
from hgc.cache.plan import Plan
from hgc.cli.options import RECIPE
from hgc.request import CacheSettings, Recipe, Request, RequestRefused


def png(size: tuple[int, int] = (8, 8)) -> bytes:
    buffer = BytesIO()
    Image.new("RGB", size, (90, 180, 80)).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_request_survives_json() -> None:
    request = Request.make(
        png(), prompt="a winter night", seed=2**32 - 1, cache=CacheSettings(lambda_inter=0.3, threshold=0.2)
    )
    assert Request.parse(request.model_dump_json()) == request
    assert request.control_bytes == png()


def test_the_picture_digest_ignores_caches_and_the_number_of_arms_and_nothing_else() -> None:
    base = Request.make(png())
    by_method = {"method": "deepcache", "budget": 0.5, "verify": 0.2, "rival": "fewer_steps"}
    for update in ({"cache": CacheSettings(coarse=False)}, by_method):
        assert base.model_copy(update=update).picture_digest == base.picture_digest
    for change in ({"seed": 1}, {"prompt": "lake"}, {"steps": 21}, {"sampler": "unipc"}, {"guidance": 5.0}):
        assert Request.make(png(), **change).picture_digest != base.picture_digest
    assert Request.make(png((9, 9))).picture_digest != base.picture_digest


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"steps": 1}, "steps: Input should be greater than or equal to 2 (given: 1)"),
        ({"seed": -1}, "seed:"),
        ({"guidance": float("nan")}, "guidance:"),
        ({"sampler": "magic"}, "sampler: Input should be 'ddim'"),
        ({"control": "depth"}, "control: Input should be 'segmentation' or 'edges'"),
        ({"control_start": 0.9, "control_end": 0.1}, "control_start 0.9 must lie before control_end 0.1"),
        ({"cache": {"lambda_inter": 2}}, "cache.lambda_inter:"),
        ({"cache": {"lambda": 2}}, "cache.lambda: Extra inputs are not permitted"),
        ({"turbo": True}, "turbo: Extra inputs are not permitted"),
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
    assert set(RECIPE) == set(Recipe.model_fields) - {"cache", "plan", "method", "budget"}
