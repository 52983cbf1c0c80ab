"""Models from the small hub on disk: every layout is loaded and runs, and bad ones are refused in one sentence."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import smallhub
import tiny
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from hgc.__main__ import app
from hgc.cache import schedules
from hgc.cache.anatomy.measured import anatomy
from hgc.cache.running.engine import cached
from hgc.models import hub
from hgc.models.families import FAMILIES
from hgc.models.fetching import sources_of
from hgc.models.loaded import SAMPLERS, Loaded
from hgc.models.loading import load
from hgc.models.own import own_model
from hgc.models.presets import CONTROLS, UNION_MODES, presets
from hgc.models.refusals import ModelUnavailable
from hgc.models.remembered import PLACE, forget, remember, remembered
from hgc.models.tensors import Tensors

pytestmark = pytest.mark.usefixtures("on_small_hub")
STEPS = 3


def latents(loaded: Loaded, controls: str | Sequence[str], task: str = "text") -> torch.Tensor:
    """The latents of a run, which the engine, computing everything and then caching, is held to."""
    pipe = loaded.pipeline(controls, loaded.preset.sampler, task)
    guidance = max(loaded.preset.guidance, 1.0)
    names = (controls,) if isinstance(controls, str) else controls
    call: dict[str, Any] = {
        **loaded.encode("a lake", "a tree", guidance > 1),
        **loaded.control_arguments(controls, [tiny.control_image()] * len(names), task),
        "num_inference_steps": STEPS,
        "guidance_scale": guidance,
        "output_type": "latent",
    }
    if task != "text":
        call |= {"image": tiny.picture(), "strength": 1.0}
    if task == "inpaint":
        call["mask_image"] = (tiny.picture()[:, :1] > 0.5).float()
    elif task == "text":
        call |= {"height": 128, "width": 128}

    def run() -> torch.Tensor:
        return pipe(**call, generator=torch.Generator().manual_seed(1)).images

    plain, sites = run(), anatomy(pipe, 128, maps=len(names) or 1)
    with cached(pipe, schedules.exact(sites, STEPS)):
        assert torch.equal(run(), plain)
    with cached(pipe, schedules.DeepCache(interval=2).plan(sites, STEPS)) as kept:
        run()
    assert not kept.trace.nothing_reused
    return plain


def refused(*what: Any, **how: Any) -> str:
    with pytest.raises(ModelUnavailable) as error:
        load(*what, device="cpu", **how)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("name", "controls", "task"),
    [
        ("sd15", (), "text"),
        ("sd15", "edges", "image"),
        ("sd15", "edges", "inpaint"),
        ("sd21", "edges", "text"),
        ("sd21", (), "image"),
        ("sd21", "edges", "inpaint"),
        ("sdxl", "edges", "text"),
        ("sdxl", "edges", "image"),
        ("sdxl", (), "inpaint"),
        ("sdxl-union", ("edges", "depth"), "text"),
        ("sdxl-union", "pose", "image"),
        ("sdxl-union", ("edges", "depth"), "inpaint"),
    ],
)
def test_every_family_runs_every_task(name: str, controls: str | Sequence[str], task: str) -> None:
    """A covering choice: every family with every task, with and without control, one map of a Union and two."""
    assert torch.isfinite(latents(load(name, device="cpu"), controls, task)).all()


def test_two_controls_of_their_own(on_small_hub: Path) -> None:
    own = {"edges": smallhub.CANNY, "mine": str(on_small_hub / "my_canny.safetensors")}
    loaded = load("sd15", device="cpu", controls=own)
    assert not torch.equal(latents(loaded, ("edges", "mine")), latents(loaded, "edges"))


def test_what_is_here_is_what_can_be_chosen() -> None:
    loaded = load("sd15", device="cpu")
    assert list(loaded.controls) == ["edges", "inpaint"]
    assert loaded.controls.ready == {}  # type: ignore[attr-defined]
    with pytest.raises(ModelUnavailable, match=r"'depth' is not here; fetch it with `hgc models fetch lllyasviel"):
        loaded.pipeline("depth", "unipc")
    union = load("sdxl-union", device="cpu")
    assert set(union.controls) == set(UNION_MODES)
    assert union.controls["edges"] is union.controls["pose"]
    with pytest.raises(ModelUnavailable, match="unknown sampler 'lcm'"):
        loaded.pipeline("edges", "lcm")


@pytest.mark.parametrize(("file", "name"), [("my_model", "sd15"), ("my_sd21", "sd21"), ("my_xl", "sdxl")])
def test_a_single_file_is_the_model_it_was_written_from(on_small_hub: Path, file: str, name: str) -> None:
    """In the first authors' layout, told by its tensors: the same pictures to the bit as the folder's."""
    renamed = Path("anything.safetensors")
    renamed.write_bytes((on_small_hub / f"{file}.safetensors").read_bytes())
    single, folder = load(str(renamed), device="cpu"), load(name, device="cpu")
    assert single.preset.family == name
    kinds = [loaded.components["scheduler"].config.prediction_type for loaded in (single, folder)]
    assert kinds == ["v_prediction" if name == "sd21" else "epsilon"] * 2
    for part in ("unet", "text_encoder", "vae"):
        theirs = folder.components[part].state_dict()
        half = name == "sd15"  # the folder is published in half precision
        for key, value in single.components[part].state_dict().items():
            assert torch.equal(value.half() if half else value, theirs[key].half() if half else theirs[key]), key
    assert torch.isfinite(latents(single, "edges")).all()


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("my_canny", "sd15"),
        ("my_canny_ldm", "sd15"),
        ("my_canny_bare", "sd15"),
        ("my_canny21_ldm", "sd21"),
        ("my_xl_canny_ldm", "sdxl"),
    ],
)
def test_a_controlnets_single_file_is_the_one_it_was_written_from(on_small_hub: Path, file: str, name: str) -> None:
    """In diffusers' names and in the first authors', with and without their prefix."""
    path = str(on_small_hub / f"{file}.safetensors")
    single, folder = load(name, device="cpu", controls={"edges": path}), load(name, device="cpu")
    theirs = folder.controls["edges"].state_dict()
    ours = single.controls["edges"].state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


@pytest.mark.parametrize("gone", ["input_hint_block.4.weight", "zero_convs.1.0.bias", "middle_block.1.norm.bias"])
def test_a_controlnets_file_that_lacks_a_tensor_says_which(on_small_hub: Path, gone: str) -> None:
    state = load_file(on_small_hub / "my_canny_ldm.safetensors")
    del state[f"control_model.{gone}"]
    save_file(state, "holes.safetensors")
    loaded = load("sd15", device="cpu", controls={"edges": "holes.safetensors"})
    with pytest.raises(
        ModelUnavailable, match=r"^holes.safetensors (is not a whole ControlNet|does not fit this model)"
    ):
        loaded.pipeline("edges", "unipc")


def test_the_kind_of_file_that_fits_the_precision_is_taken(small_hub: Path) -> None:
    folder = hub.model_folder(smallhub.SD15)
    assert folder is not None
    assert hub.variant(folder, half=True) == hub.variant(folder, half=False) == "fp16"
    both = hub.model_folder(smallhub.SD21)
    assert both is not None
    assert (hub.variant(both, half=True), hub.variant(both, half=False)) == ("fp16", None)
    plain = hub.model_folder(smallhub.SDXL)
    assert plain is not None
    assert hub.variant(plain, half=True) is None
    files = [str(path.relative_to(plain)) for path in plain.rglob("*") if path.is_file()]
    twice = [*files, "unet/diffusion_pytorch_model.fp16.safetensors", "unet/diffusion_pytorch_model.bin", "README.md"]
    needed = hub.needed([*twice, "safety_checker/model.safetensors", "sd_xl_base_1.0.safetensors"])
    assert [name for name in needed if name.startswith("unet/")] == [
        "unet/config.json",
        "unet/diffusion_pytorch_model.fp16.safetensors",
    ]
    assert {"README.md", "sd_xl_base_1.0.safetensors", "safety_checker/model.safetensors"} & set(needed) == set()


@pytest.mark.parametrize("style", ["peft", "kohya"])
def test_a_lora_changes_the_picture_by_its_weight(on_small_hub: Path, style: str) -> None:
    file = str(on_small_hub / f"lora_{style}.safetensors")
    plain = latents(load("sd15", device="cpu"), "edges")
    off, little, much = (latents(load("sd15", device="cpu", loras=[(file, w)]), "edges") for w in (0.0, 0.3, 1.0))
    assert torch.allclose(off, plain, atol=1e-5)
    assert 0 < (little - plain).abs().mean() < (much - plain).abs().mean()


def test_few_step_models_come_with_their_lora_and_scheduler() -> None:
    loaded = load("sdxl-lightning", device="cpu")
    pipe = loaded.pipeline("edges", "euler")
    assert pipe.scheduler.config.timestep_spacing == "trailing"
    assert loaded.components["unet"].peft_config
    assert torch.isfinite(latents(loaded, "edges")).all()


def test_another_vae_takes_the_place_of_the_models_own(on_small_hub: Path) -> None:
    state = load_file(on_small_hub / "my_vae.safetensors")
    state["decoder.conv_out.bias"] = torch.full_like(state["decoder.conv_out.bias"], 7.0)
    save_file(state, "brighter.safetensors")
    loaded = load("sd15", device="cpu", vae="brighter.safetensors")
    assert (loaded.components["vae"].decoder.conv_out.bias == 7).all()


def test_the_registry_is_whole() -> None:
    for name, preset in presets().items():
        assert preset.name == name
        assert set(preset.controls) <= set(CONTROLS)
        assert set(preset.modes) <= set(preset.controls)
        assert preset.sampler in preset.samplers
        assert set(preset.samplers) <= set(SAMPLERS)
        assert preset.licence
        assert name == "landscapes" or (preset.size_bytes > 1e9 and preset.control_bytes > 1e8)
        assert FAMILIES[preset.family].base in presets()
        assert (preset.steps <= 8) == bool(preset.note)


def test_models_of_ones_own_are_remembered(on_small_hub: Path) -> None:
    preset = load(str(on_small_hub / "my_model.safetensors"), device="cpu").preset
    remember(preset)
    assert remembered() == {"my_model": preset}
    assert load("my_model", device="cpu").preset == preset
    with pytest.raises(ModelUnavailable, match="choose another name"):
        remember(presets()["sd15"])
    forget("my_model")
    assert "unknown model 'my_model'" in refused("my_model")
    PLACE.write_text("{")
    assert "damaged; delete it" in refused("my_model")


BAD: dict[str, tuple[dict[str, list[int]], str]] = {
    "flux": ({"double_blocks.0.img_attn.qkv.weight": [1]}, "a model of FLUX"),
    "sd3": ({"model.diffusion_model.joint_blocks.0.x_block.mlp.fc1.weight": [1]}, "a model of Stable Diffusion 3"),
    "refiner": (
        {"model.diffusion_model.time_embed.0.weight": [1], "conditioner.embedders.0.model.ln_final.bias": [1]},
        "no text encoder",
    ),
    "other": ({"weights": [1]}, "holds no model that is known"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_file_of_another_architecture_is_named(name: str) -> None:
    shapes, says = BAD[name]
    header = {key: {"dtype": "F32", "shape": shape, "data_offsets": [0, 4]} for key, shape in shapes.items()}
    file = smallhub.save(Path(f"{name}.safetensors"), header, b"\0\0\0\0")
    assert says in refused(str(file))


@pytest.mark.parametrize(
    "header",
    [
        [1, 2],
        {"a": 1},
        {"a": {}},
        {"a": {"shape": [1], "data_offsets": []}},
        {"a": {"shape": None, "data_offsets": [0, 1]}},
    ],
)
def test_a_header_that_says_something_else_is_no_safetensors(header: Any, tmp_path: Path) -> None:
    file = smallhub.save(tmp_path / "odd.safetensors", header, b"\0\0\0\0")
    assert "is not a safetensors file" in refused(str(file))


def test_a_bad_file_is_refused_and_the_model_before_stays_usable(on_small_hub: Path, tmp_path: Path) -> None:
    before = load("sd15", device="cpu")
    whole = (on_small_hub / "my_model.safetensors").read_bytes()
    for name, data, says in (
        ("text.safetensors", b"<html>404</html>" * 9, "is not a safetensors file"),
        ("empty.safetensors", b"", "is not a safetensors file"),
        ("cut.safetensors", whole[:-100], "is cut off"),
        ("model.ckpt", whole, "is a pickle"),
    ):
        Path(name).write_bytes(data)
        assert says in refused(name)
    Path("nothing").mkdir()
    assert "no model_index.json" in refused("nothing")
    Path("nothing/model_index.json").write_text(json.dumps({"_class_name": "FluxPipeline"}))
    assert "is a FluxPipeline" in refused("nothing")
    lora, canny = str(on_small_hub / "lora_peft.safetensors"), str(on_small_hub / "my_canny.safetensors")
    assert "holds a lora, not a whole model" in refused(lora)
    assert "holds a lora, no VAE" in refused("sd15", vae=lora)
    assert "holds a controlnet, no LoRA" in refused("sd15", loras=[(canny, 1.0)])
    save_file({"lora_unet_elsewhere.lora_down.weight": torch.ones(1, 4)}, "foreign.safetensors")
    assert "none of its keys" in refused("sd15", loras=[("foreign.safetensors", 1.0)])
    assert torch.isfinite(latents(before, "edges")).all()


def test_a_controlnet_of_another_family_names_both_widths(on_small_hub: Path) -> None:
    mine, folder = str(on_small_hub / "my_canny.safetensors"), smallhub.CANNY
    loaded = load("sdxl", device="cpu", controls={"mine": mine, "theirs": folder})
    width = tiny.TEXT_WIDTH + smallhub.SECOND_WIDTH
    with pytest.raises(ModelUnavailable, match=rf"text of width {tiny.TEXT_WIDTH}, the model {width}"):
        loaded.pipeline("mine", "euler")
    with pytest.raises(ModelUnavailable, match=rf"text of width {tiny.TEXT_WIDTH} into .* the model has {width}"):
        loaded.pipeline("theirs", "euler")


def test_without_the_families_tokenizer_a_single_file_says_how_to_get_it(
    on_small_hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", "elsewhere")
    assert "`hgc models fetch sd15 --configs`" in refused(str(on_small_hub / "my_model.safetensors"))


def test_tensors_tell_what_a_file_holds(on_small_hub: Path) -> None:
    held = {path.stem: Tensors.of(path).holds for path in on_small_hub.glob("*.safetensors")}
    assert held == {
        "my_model": "checkpoint",
        "my_sd21": "checkpoint",
        "my_sd21_base": "checkpoint",
        "my_xl": "checkpoint",
        "my_vae": "vae",
        "my_canny": "controlnet",
        "my_canny_ldm": "controlnet",
        "my_canny_bare": "controlnet",
        "my_canny21_ldm": "controlnet",
        "my_xl_canny_ldm": "controlnet",
        "my_union": "union",
        "lora_peft": "lora",
        "lora_kohya": "lora",
    }


def test_settings_that_are_none_are_a_sentence() -> None:
    """Whatever is wrong with a file that anybody may have written, in a folder and in a ControlNet's."""
    for text, says in (("{oops", "cannot be read as JSON"), ("[1]", "holds a list and no settings")):
        Path("bad/unet").mkdir(parents=True, exist_ok=True)
        Path("bad/model_index.json").write_text(text)
        assert f"bad/model_index.json {says}; fetch or copy it again" in refused("bad")
        index = {"_class_name": "StableDiffusionPipeline", "text_encoder": ["transformers", "CLIPTextModel"]}
        Path("bad/model_index.json").write_text(json.dumps(index))
        Path("bad/text_encoder").mkdir(exist_ok=True)
        Path("bad/text_encoder/model.safetensors").touch()
        Path("bad/unet/config.json").write_text(text)
        assert f"unet/config.json {says}" in refused("bad")
        Path("net").mkdir(exist_ok=True)
        Path("net/config.json").write_text(text)
        with pytest.raises(ModelUnavailable, match=rf"^net/config.json {says}"):
            load("sd15", device="cpu", controls={"edges": "net"}).pipeline("edges", "unipc")


ADDED: dict[str, tuple[Sequence[str], str]] = {
    "name": (("--name", "a/b"), "'a/b' is not a name for a model"),
    "width": (("--control", "edges={files}/my_xl_canny_ldm.safetensors"), "another family than mine: it reads text of"),
    "no file": (("--control", "edges=nowhere"), "(nowhere); there is no such file or folder"),
    "kind": (("--control", "colours=nowhere"), "unknown kind of map 'colours'"),
    "no lora": (("--lora", "nowhere.safetensors=1"), "there is no such file or folder"),
    "lora": (("--lora", "{files}/my_canny.safetensors=1"), "holds a controlnet, no LoRA"),
    "vae": (("--vae", "{files}/my_canny.safetensors"), "holds a controlnet, no VAE"),
}


@pytest.mark.parametrize("fault", ADDED)
def test_the_shell_adds_nothing_that_does_not_fit(on_small_hub: Path, fault: str) -> None:
    """As the page's form: said when it is added, and not when it is first used."""
    words, says = ADDED[fault]
    line = ["models", "add", str(on_small_hub / "my_model.safetensors"), "--name", "mine"]
    done = CliRunner().invoke(app, [*line, *(word.format(files=on_small_hub) for word in words)])
    assert done.exit_code == 2
    assert says in done.stderr
    assert remembered() == {}


def test_what_a_model_of_ones_own_lacks_is_fetched_by_its_name(on_small_hub: Path) -> None:
    remember(own_model(str(on_small_hub / "my_model.safetensors"), "mine"))
    assert sources_of("mine", ["depth"]) == (smallhub.DEPTH,)
    with pytest.raises(ModelUnavailable, match="--control"):
        sources_of("mine")
    done = CliRunner().invoke(app, ["models", "memory", "mine", "--size", "100"])
    assert done.exit_code == 2
    assert "sizes go in steps of 64 pixels; take 128" in done.stderr
