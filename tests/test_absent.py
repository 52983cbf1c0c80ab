"""Runs whose model, ControlNet or LoRA is no longer here: shown as they were, and what is missing is named at once."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import smallhub
from records import record as made_up
from test_other_models import picture
from typer.testing import CliRunner

from hgc.__main__ import app
from hgc.history import write_archive
from hgc.models.absent import absent
from hgc.models.loras import add_lora, forget_lora
from hgc.models.own import own_model, with_control
from hgc.models.presets import presets
from hgc.models.remembered import forget, remember
from hgc.request import Recipe

pytestmark = pytest.mark.usefixtures("on_small_hub")


def told(**fields: Any) -> str:
    recipe = Recipe.parse(fields)
    return absent(recipe.model, recipe.controls, [lora.name for lora in recipe.loras])


def test_what_is_here_is_not_named(on_small_hub: Path) -> None:
    add_lora(str(on_small_hub / "lora_peft.safetensors"), "ink")
    assert (
        told()
        == told(model="sd15", control="edges", loras=["ink=0.5"])
        == told(model="sdxl-lightning", control="edges")
        == ""
    )


def test_each_thing_that_is_missing_has_its_remedy(on_small_hub: Path) -> None:
    """A path is never named: whoever asks may sit elsewhere."""
    add_lora(str(on_small_hub / "lora_peft.safetensors"), "ink")
    remember(with_control(own_model(smallhub.SD15, "mine"), "edges", str(on_small_hub / "my_canny.safetensors")))
    recipe = {"model": "mine", "control": "edges", "loras": ["ink=0.5", "some/one:soft.safetensors=1"]}
    assert told(**recipe) == (
        "Not on this machine: the LoRA 'some/one:soft.safetensors' (`hgc models fetch some/one:soft.safetensors`)."
    )
    (on_small_hub / "my_canny.safetensors").rename("away.safetensors")
    try:
        assert "the ControlNet for 'edges' (its files are no longer where they were)" in told(**recipe)
    finally:
        Path("away.safetensors").rename(on_small_hub / "my_canny.safetensors")
    assert f"the ControlNet for 'depth' (`hgc models fetch {smallhub.DEPTH}`)" in told(**recipe | {"control": "depth"})
    assert "`--control colours=FILE`" in told(**recipe | {"control": "colours"})
    forget("mine")
    forget_lora("ink")
    assert told(**recipe).startswith(
        "Not on this machine: the model 'mine' (`hgc models add FILE --name mine`); the LoRA 'ink' (`hgc"
    )
    lcm = presets()["sd15-lcm"]
    assert (
        told(model="sd15-lcm", control="edges")
        == f"Not on this machine: the model {lcm.title} (`hgc models fetch sd15-lcm`)."
    )


def test_the_shell_shows_such_runs_and_makes_the_others_again(studio: Any, loaded: None) -> None:
    kept = made_up()
    here = replace(kept, request=kept.request.but(control_png=picture(size=(256, 256))))
    gone = replace(here, request=here.request.but(model="mine", loras=["ink=0.5"]))
    Path("runs.zip").write_bytes(write_archive([gone, here]))
    shown = CliRunner().invoke(app, ["replay", "runs.zip"])
    assert shown.exit_code == 0, shown.output
    assert shown.output.count("Not on this machine: the model 'mine'") == 1
    again = CliRunner().invoke(app, ["replay", "runs.zip", "--again", "--json"])
    assert again.exit_code == 2
    first, second = (run["again"]["words"] for run in json.loads(again.stdout))
    assert first.startswith("Not made again: unknown model 'mine'")
    assert "the LoRA 'ink'" in first
    assert "dentical" in second
