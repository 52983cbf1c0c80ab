"""LoRAs over one studio's networks: each request's own, as in a fresh pipeline, and named in what was made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
import smallhub
import torch
from safetensors.torch import save_file
from serving import forgotten_loops
from test_other_models import finished, picture
from typer.testing import CliRunner

from hgc.__main__ import app
from hgc.cache.anatomy.macs import NetworkMacs
from hgc.cache.anatomy.networks import Networks
from hgc.models.loading import load
from hgc.models.loras import PLACE, add_lora, added_loras, forget_lora, lora_named, loras_for
from hgc.models.refusals import ModelUnavailable
from hgc.request import Recipe, Request, RequestRefused
from hgc.studio.comparing import pixels_of
from hgc.studio.judge import Judge
from hgc.studio.studio import Studio
from hgc.ui.playground.lora_panel import NONE, build_lora_panel, loras_here
from hgc.ui.playground.model_fit import loras_fitted, loras_offered

pytestmark = pytest.mark.filterwarnings("ignore:Already found a `peft_config`:UserWarning")  # diffusers, by hand
SIZE = (128, 128)
LORAS: dict[str, Any] = {"none": (), "ink": ("ink=0.8",), "half": ("ink=0.4",), "both": ("ink=0.8", "line=1")}


@pytest.fixture
def studio(on_small_hub: Path) -> Studio:
    """A small SD 1.5 with LoRAs of both key styles added under names."""
    add_lora(str(on_small_hub / "lora_peft.safetensors"), "ink")
    add_lora(str(on_small_hub / "lora_kohya.safetensors"), "line")
    loaded = load("sd15", device="cpu")
    return Studio(loaded, Judge.of(loaded.preset, loaded.device))


def asked(studio: Studio, loras: Any, **more: Any) -> Request:
    fields = {"model": studio.model, "control": "edges", "control_png": picture(size=SIZE), "size": SIZE, "steps": 4}
    words = {"prompt": "a lake", "guidance": 4.0, "budget": 0.6, "sampler": "unipc", "loras": loras}
    return Request.parse(fields | words | more)


def fresh(studio: Studio, request: Request, files: Path) -> np.ndarray:
    """The picture of diffusers' own pipeline, loaded anew with the request's LoRAs by diffusers' own calls."""
    pipe = load("sd15", device="cpu").pipeline(request.controls, request.sampler)
    names = {"ink": "lora_peft.safetensors", "line": "lora_kohya.safetensors"}
    for lora in request.loras:
        pipe.load_lora_weights(files, weight_name=names[lora.name], adapter_name=lora.name, local_files_only=True)
    if request.loras:
        pipe.set_adapters([lora.name for lora in request.loras], [lora.weight for lora in request.loras])
    return pixels_of(pipe(**studio.call(request)).images)


def test_each_request_has_its_own_loras_to_the_bit(studio: Studio, on_small_hub: Path) -> None:
    """In turn on one studio, and back; the plain model stays what it was, and costs are those that were forecast."""
    plain = set(studio.loaded.components["unet"].state_dict())
    wholes, digests = {}, {}
    for name in (*LORAS, "none", "ink"):
        request = asked(studio, LORAS[name])
        forecast = studio.forecast(request)
        pipe = studio.loaded_for(request).pipeline(request.controls, request.sampler)
        with NetworkMacs(Networks.of(pipe).all) as counted:
            made = finished(studio, request)
        assert counted.total == made.full.trace.macs + made.cached.trace.macs == forecast.macs_full + forecast.macs
        assert np.array_equal(made.full.image, fresh(studio, request, on_small_hub)), name
        assert np.array_equal(made.full.image, wholes.setdefault(name, made.full.image)), name
        assert digests.setdefault(name, made.made.weights) == made.made.weights
        assert not made.nothing_reused
    assert len({image.tobytes() for image in wholes.values()}) == len(set(digests.values())) == len(LORAS)
    assert set(studio.loaded.components["unet"].state_dict()) == plain


def test_an_exact_plan_keeps_nothing_of_another_loras_text(studio: Studio) -> None:
    """Keys and values of the text are constant in a run and another run's are others."""
    for name in ("ink", "both", "none"):
        made = finished(studio, asked(studio, LORAS[name], budget=1.0))
        assert made.identical, name


def test_the_page_offers_what_the_model_can_take(studio: Studio, on_small_hub: Path) -> None:
    """SDXL reads wider text: of what was added for SD 1.5 nothing is for it."""
    wider = load("sdxl", device="cpu").components["unet"].config.cross_attention_dim
    with forgotten_loops(), gr.Blocks():
        panel = build_lora_panel()
    assert loras_here(studio) == ("ink", "line")
    assert loras_for(wider) == ()
    offered = loras_offered(panel, studio)
    assert [name for _, name in offered[panel.names[0]]["choices"]] == [NONE, "ink", "line"]
    assert offered[panel.body]["visible"]
    (on_small_hub / "lora_peft.safetensors").rename(on_small_hub / "away.safetensors")
    fit, gone = loras_fitted(panel, studio, ["line", "ink", *[NONE] * 6])
    assert gone == ["ink"]
    assert "value" not in fit[panel.names[0]]
    assert fit[panel.names[1]]["value"] == NONE
    (on_small_hub / "away.safetensors").rename(on_small_hub / "lora_peft.safetensors")
    PLACE.write_text("[]")
    assert loras_here(studio) == ()


def test_calibrations_tell_loras_apart(studio: Studio) -> None:
    weights = studio.blueprint.weights
    names = {name: weights(Recipe(model="sd15", control="edges", loras=loras)) for name, loras in LORAS.items()}
    assert len(set(names.values())) == len(LORAS)
    assert names["none"] == studio.weights_under("edges")


def test_pictures_name_the_controlnet_they_were_made_under(on_small_hub: Path) -> None:
    """Two ControlNets of one model, told apart in what is kept; each is read once."""
    loaded = load(
        "sd15", device="cpu", controls={"edges": smallhub.CANNY, "depth": str(on_small_hub / "my_canny.safetensors")}
    )
    bias = loaded.controls["depth"].conv_in.bias
    before = bias.detach().clone()
    with torch.no_grad():
        bias += 1
    studio = Studio(loaded, Judge.of(loaded.preset, loaded.device))
    edges, depth = (studio.weights(Recipe(model="sd15", control=name)) for name in ("edges", "depth"))
    assert edges != depth
    with torch.no_grad():
        bias.copy_(before)
    assert studio.weights(Recipe(model="sd15", control="depth")) == depth
    assert (
        Studio(loaded, Judge.of(loaded.preset, loaded.device)).weights(Recipe(model="sd15", control="depth")) == edges
    )


def test_a_lora_that_does_not_fit_is_refused_and_the_studio_goes_on(studio: Studio) -> None:
    save_file({"lora_unet_elsewhere.lora_down.weight": torch.ones(1, 4)}, "foreign.safetensors")
    add_lora("foreign.safetensors")
    for loras, says in (
        (("foreign",), "foreign.safetensors: none of its keys is of a layer that this model has"),
        (("nobody=0.5",), "unknown LoRA 'nobody'; added are ink, line, foreign"),
        (("owner/name:ink.safetensors",), "fetch it with `hgc models fetch owner/name:ink.safetensors`"),
    ):
        with pytest.raises(ModelUnavailable) as refused:
            studio.compare(asked(studio, loras))
        assert says in str(refused.value)
    assert not finished(studio, asked(studio, ())).nothing_reused


@pytest.mark.parametrize(
    "path", ["foreign.safetensors", "./foreign.safetensors", "/etc/hostname", "a/b:../../x", "~/x:y"]
)
@pytest.mark.usefixtures("on_small_hub")
def test_a_request_never_names_a_path(path: str) -> None:
    """An existing file and a missing one are answered alike."""
    answers = []
    for there in (False, True):
        if there:
            Path("foreign.safetensors").write_bytes(b"x")
        with pytest.raises(ModelUnavailable) as refused:
            lora_named(path)
        answers.append(str(refused.value))
    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    ("loras", "says"),
    [
        (["ink=much"], "write a LoRA and its weight, such as ink=0.8"),
        (["ink=0.2", "ink=0.3"], "the same LoRA is given twice"),
        (["=1"], "at least 1 character"),
        ("ink=0.2, ink", "the same LoRA is given twice"),
        (["ink=9"], "less than or equal to 4"),
    ],
)
def test_badly_written_loras_are_refused(loras: Any, says: str) -> None:
    with pytest.raises(RequestRefused, match=says):
        Recipe.parse({"loras": loras})


def test_the_shell_adds_runs_and_removes_a_lora(on_small_hub: Path, studio: Studio, monkeypatch: Any) -> None:
    def shell(*words: str) -> str:
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, done.output
        return done.output

    assert "added the LoRA soft" in shell(
        "models", "add", str(on_small_hub / "lora_peft.safetensors"), "--name", "soft"
    )
    assert "soft" in shell("models", "list")
    monkeypatch.setattr(Studio, "load", lambda *_: studio)
    sketch = str(Path(__file__).parent.parent / "assets" / "examples" / "sketch.png")
    options = "--model sd15 --control edges --size 128x128 --steps 4 --plan 0.8 --loras soft=0.5,line --out out"
    shell("compare", "--image", sketch, *options.split())
    kept = Request.parse(Path("out/request.json").read_text())
    assert [(lora.name, lora.weight) for lora in kept.loras] == [("soft", 0.5), ("line", 1.0)]
    shell("models", "remove", "soft")
    assert set(added_loras()) == {"ink", "line"}
    forget_lora("ink")
    with pytest.raises(ModelUnavailable, match=r"'ink'.* line"):
        forget_lora("ink")
    PLACE.write_text("[]")
    with pytest.raises(ModelUnavailable, match="damaged; delete it"):
        added_loras()


def test_a_lora_of_weight_0_is_none() -> None:
    assert Recipe.parse({"loras": ["ink=0"]}) == Recipe()
    assert [lora.name for lora in Recipe.parse({"loras": "ink=0, line=0.5"}).loras] == ["line"]
