"""What the UNet of a single file predicts: judged, said, and told by whoever knows better."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from hgc.__main__ import app
from hgc.models.loaded import SAMPLERS
from hgc.models.loading import load
from hgc.models.named import preset_of
from hgc.models.own import own_model, recognised, with_prediction
from hgc.models.refusals import ModelUnavailable
from hgc.models.remembered import remembered
from hgc.ui.own_model import ModelForm, recognise

pytestmark = pytest.mark.usefixtures("on_small_hub")


QUIET = ("dpmpp", "unipc", "euler")  # DDIM warns of settings that the small hub's do not have


def predicted(what: str, sampler: str = "unipc") -> str:
    return str(load(what, device="cpu").pipeline((), sampler).scheduler.config.prediction_type)


def written(source: Path, **metadata: str) -> str:
    """A copy of a file with a header's words of its own."""
    save_file(load_file(source), "copy.safetensors", metadata=metadata)
    return "copy.safetensors"


@pytest.mark.parametrize(
    ("file", "kind", "size"),
    [
        ("my_sd21", "v_prediction", 768),
        ("my_sd21_base", "epsilon", 512),
        ("my_model", "epsilon", 512),
        ("my_xl", "epsilon", 1024),
    ],
)
def test_a_single_file_is_judged_and_every_sampler_goes_by_it(
    on_small_hub: Path, file: str, kind: str, size: int
) -> None:
    path = str(on_small_hub / f"{file}.safetensors")
    loaded = load(path, device="cpu")
    assert loaded.preset.size == size
    for sampler in QUIET:
        assert loaded.pipeline((), sampler).scheduler.config.prediction_type == kind
    said = recognised(own_model(path))
    assert ("judged by its weights" in said) is (loaded.preset.family == "sd21")


def test_a_headers_own_word_counts_more_than_the_weights(on_small_hub: Path) -> None:
    for file, word in (("my_sd21_base", "v"), ("my_sd21", "epsilon"), ("my_model", "v")):
        path = written(on_small_hub / f"{file}.safetensors", **{"modelspec.prediction_type": word})
        assert predicted(path) == {"v": "v_prediction"}.get(word, word)
        assert "as its header says" in recognised(own_model(path))


@pytest.mark.parametrize("marks", [("v_pred",), ("v_pred", "ztsnr")])
def test_the_marks_of_sdxls_finetunes(on_small_hub: Path, marks: tuple[str, ...]) -> None:
    import torch

    state = load_file(on_small_hub / "my_xl.safetensors")
    save_file({**state, **{mark: torch.zeros(0) for mark in marks}}, "finetune.safetensors")
    loaded = load("finetune.safetensors", device="cpu")
    zero = "ztsnr" in marks
    for sampler in QUIET:
        config = loaded.pipeline((), sampler).scheduler.config
        assert config.prediction_type == "v_prediction"
        assert bool(config.rescale_betas_zero_snr) is zero
        assert (config.timestep_spacing == "trailing") is zero


def test_whoever_knows_better_says_it_in_the_shell(on_small_hub: Path) -> None:
    """What is said is remembered, and the next look says who said it."""

    def added(*words: str) -> str:
        ran = CliRunner().invoke(app, ["models", "add", *words])
        assert ran.exit_code == 0, ran.output
        return str(ran.output)

    file = str(on_small_hub / "my_sd21_base.safetensors")
    assert "It predicts the noise (epsilon), judged by its weights" in added(file, "--name", "base")
    assert "--prediction" in added(file, "--name", "base")
    assert "noise and picture mixed (v), as you said" in added(file, "--name", "mine", "--prediction", "v")
    assert (predicted("base"), predicted("mine")) == ("epsilon", "v_prediction")
    assert remembered()["mine"].size == 768


def test_what_is_no_prediction_is_refused(on_small_hub: Path) -> None:
    single = own_model(str(on_small_hub / "my_sd21.safetensors"))
    with pytest.raises(ModelUnavailable, match="write epsilon or v"):
        with_prediction(single, "sample")
    with pytest.raises(ModelUnavailable, match="says itself what it predicts"):
        with_prediction(preset_of("sd21"), "v")


def test_the_form_asks_only_of_files_of_sd2(on_small_hub: Path) -> None:
    def asked(file: str) -> Mapping[str, object]:
        path = str(on_small_hub / f"{file}.safetensors")
        values = ModelForm(path, "edges", "", "", "mine", "", "v", tiled=False, offload=False)
        return recognise(values, here=True).schedule

    assert asked("my_sd21_base") == {"prediction_type": "v_prediction"}
    assert asked("my_model") == {}


def test_all_samplers_take_what_is_said() -> None:
    """Every scheduler that a model may have knows the settings that a file's marks ask for."""
    asked = {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    for maker in SAMPLERS.values():
        known = maker.from_config({**asked, "clip_sample": False, "steps_offset": 1}).config
        assert {name: known[name] for name in asked} == asked
