"""A model of one's own: recognised by configurations and headers, checked before it is loaded, remembered as it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import smallhub
import tiny
import torch

from hgc.models.loading import load
from hgc.models.memory import memory_of
from hgc.models.own import memory_here, own_model, recognised, with_control, with_vae
from hgc.models.refusals import ModelUnavailable
from hgc.models.remembered import remember, remembered
from hgc.models.tensors import Tensors
from hgc.ui.own_model import ELSEWHERE, FormFault, ModelForm, recognise
from hgc.ui.whereabouts import at_this_machine

pytestmark = pytest.mark.usefixtures("on_small_hub")
CPU = torch.device("cpu")


def refused(*given: object, by: object = own_model) -> str:
    assert callable(by)
    with pytest.raises(ModelUnavailable) as error:
        by(*given)
    return str(error.value)


@pytest.mark.parametrize(
    ("file", "family", "name"), [("my_model", "sd15", "sd15"), ("my_sd21", "sd21", "sd21"), ("my_xl", "sdxl", "sdxl")]
)
def test_the_memory_of_a_single_file_is_that_of_its_folder(
    on_small_hub: Path, file: str, family: str, name: str
) -> None:
    single = own_model(str(on_small_hub / f"{file}.safetensors"))
    assert (single.family, single.name) == (family, file)
    assert "; its licence is not known here." in recognised(single)
    ours, folder = (
        memory_of(preset, 128, "edges", CPU, torch.float32) for preset in (single, load(name, device="cpu").preset)
    )
    assert ours.denoiser_bytes == folder.denoiser_bytes
    assert ours.weights_bytes == pytest.approx(folder.weights_bytes, rel=0.02)  # position ids, logit scale


@pytest.mark.parametrize(
    ("file", "name", "source"),
    [
        ("my_canny", "sd15", smallhub.SD15),
        ("my_canny_ldm", "sd15", smallhub.SD15),
        ("my_canny21_ldm", "sd21", smallhub.SD21),
    ],
)
def test_a_controlnets_file_counts_in_the_memory_as_its_folder_does(
    on_small_hub: Path, file: str, name: str, source: str
) -> None:
    plain = load(name, device="cpu").preset
    mine = with_control(own_model(source, "mine"), "edges", str(on_small_hub / f"{file}.safetensors"))
    weights = [memory_here(preset, "edges", CPU).weights_bytes for preset in (plain, mine)]
    assert weights[0] == weights[1]


def test_control_vae_and_precision_are_remembered_and_loaded(on_small_hub: Path) -> None:
    mine = with_control(own_model(smallhub.SD15, "mine"), "edges", str(on_small_hub / "my_canny.safetensors"))
    mine = replace(
        with_vae(mine, str(on_small_hub / "my_vae.safetensors")), precision="bfloat16", tiled=True, offload=True
    )
    remember(mine)
    assert remembered() == {"mine": mine}
    loaded = load("mine", device="cpu")
    assert loaded.dtype is torch.bfloat16
    assert loaded.components["vae"].use_tiling
    assert loaded.components["vae"].dtype is torch.bfloat16
    assert "edges" in loaded.controls
    numbers = sum(p.numel() for p in loaded.controls["edges"].parameters())
    shapes = Tensors.of(on_small_hub / "my_canny.safetensors").shapes.values()
    assert numbers == sum(torch.Size(shape).numel() for shape in shapes)


def test_what_does_not_fit_is_refused_before_any_weight_is_loaded(on_small_hub: Path) -> None:
    """Each fault with its remedy; a ControlNet of another family with both widths."""
    files = {name: str(on_small_hub / f"{name}.safetensors") for name in ("my_xl", "my_canny", "my_vae", "lora_peft")}
    xl = own_model(files["my_xl"])
    width = tiny.TEXT_WIDTH + smallhub.SECOND_WIDTH
    assert f"text of width {tiny.TEXT_WIDTH}, the model {width}" in refused(
        xl, "edges", files["my_canny"], by=with_control
    )
    assert f"text of width {tiny.TEXT_WIDTH} into" in refused(xl, "edges", smallhub.CANNY, by=with_control)
    assert "holds a vae, no ControlNet" in refused(xl, "edges", files["my_vae"], by=with_control)
    assert "holds a lora, no VAE" in refused(xl, files["lora_peft"], by=with_vae)
    assert "which is not a ControlNet in diffusers' format" in refused(xl, "edges", smallhub.SD15, by=with_control)
    assert "fetch it with `hgc models fetch some/one`" in refused(xl, "depth", "some/one", by=with_control)
    assert "holds a controlnet, not a whole model" in refused(files["my_canny"])
    assert "in the list of models already" in refused("sdxl")
    assert "known already; give yours another name" in refused(files["my_xl"], "sdxl")
    assert "is not a name for a model" in refused(files["my_xl"], "a/b")


def asked(what: str) -> ModelForm:
    return ModelForm(what, "edges", "", "", "", "", "", tiled=False, offload=False)


@pytest.mark.parametrize(
    "what", ["/etc/passwd", "/no/such/file", "../x", "~/model", "x.safetensors", "mine/there", "mine/not-there"]
)
def test_somebody_elsewhere_names_no_path_and_learns_nothing(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine" / "there").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FormFault) as fault:
        recognise(asked(what), here=False)
    assert (fault.value.field, str(fault.value)) == ("what", ELSEWHERE)


def test_somebody_elsewhere_may_give_an_id() -> None:
    assert recognise(asked(smallhub.SD15), here=False).family == "sd15"


@pytest.mark.parametrize(
    ("client", "headers", "here"),
    [
        ("127.0.0.1", {"host": "127.0.0.1:7860"}, True),
        ("127.0.0.1", {"host": "localhost:7860"}, True),
        ("::1", {"host": "[::1]:7860"}, True),
        ("127.0.0.1", {"host": "studio.example"}, False),
        ("10.0.0.5", {"host": "localhost:7860"}, False),
        ("127.0.0.1", {"host": "localhost:7860", "x-forwarded-for": "10.0.0.5"}, False),
        ("127.0.0.1", {"host": "localhost:7860", "forwarded": "for=10.0.0.5"}, False),
        ("testclient", {"host": "localhost:7860"}, False),
        ("127.0.0.1", {}, False),
    ],
)
def test_who_sits_at_this_machine(client: str, headers: dict[str, str], here: bool) -> None:
    page: Any = SimpleNamespace(client=SimpleNamespace(host=client), headers=headers)
    assert at_this_machine(page) is here
