"""A small hub on disk: Hugging Face's cache layout under the real ids, filled with tiny random models.

Every file layout that people have: diffusers' folders with half-precision files, without and with both; the original
single file of SD 1.5, SD 2.1, 2.1-base and SDXL; ControlNets as folder, as file and as the first authors' file; a
Union, LoRAs with peft's and with kohya's keys, a VAE.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import layouts
import tiny
import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    EulerDiscreteScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
)
from safetensors.torch import save_file
from transformers import CLIPTextModel, CLIPTextModelWithProjection

from hgc.models.presets import presets

SD15, SD21, SDXL = (presets()[name].source for name in ("sd15", "sd21", "sdxl"))
CANNY, DEPTH, INPAINT = (presets()["sd15"].controls[name] for name in ("edges", "depth", "inpaint"))
CANNY21 = presets()["sd21"].controls["edges"]
XL_CANNY, UNION = presets()["sdxl"].controls["edges"], presets()["sdxl-union"].controls["edges"]
LIGHTNING = "ByteDance/SDXL-Lightning"
LIGHTNING_FILE = "sdxl_lightning_4step_lora.safetensors"
SECOND_WIDTH = 24  # of SDXL's second text encoder, which is as wide as what it projects to
# SD 2.1 reads wider text than SD 1.5, of an encoder of 23 layers, and its heads follow the width.
WIDTH21, LAYERS21 = 20, 23
SMALL21: Mapping[str, Any] = {**tiny.SMALL["sd"], **tiny.SMALL_SD21, "cross_attention_dim": WIDTH21}
VELOCITY: Mapping[str, Any] = {"prediction_type": "v_prediction", "clip_sample": False, "set_alpha_to_one": False}
XL: Mapping[str, Any] = {
    **tiny.SMALL["sdxl"],
    "cross_attention_dim": tiny.TEXT_WIDTH + SECOND_WIDTH,
    "projection_class_embeddings_input_dim": 6 * tiny.SIZE_WIDTH + SECOND_WIDTH,
}


def pipeline(family: str) -> Any:
    """A pipeline of `family` (sd, sd21, sdxl) that can be saved: random weights, a VAE as published ones are."""
    text = tiny.small_pipeline("sdxl" if family == "sdxl" else "sd", "text", 0)
    parts = dict(text.components)
    torch.manual_seed(5)
    levels = {"down_block_types": ["DownEncoderBlock2D"] * 4, "up_block_types": ["UpDecoderBlock2D"] * 4}
    parts["vae"] = AutoencoderKL(block_out_channels=[8] * 4, norm_num_groups=4, sample_size=128, **levels).eval()
    parts["scheduler"] = EulerDiscreteScheduler(beta_schedule="scaled_linear", steps_offset=1)
    if family == "sd21":
        parts["scheduler"] = DDIMScheduler(beta_schedule="scaled_linear", steps_offset=1, **VELOCITY)
        clip = {"hidden_size": WIDTH21, "num_hidden_layers": LAYERS21, "hidden_act": "gelu"}
        parts["text_encoder"] = CLIPTextModel(tiny.text_config(**clip)).eval()
        parts["unet"] = tiny.unet(**SMALL21)
        last_biases(parts["unet"]).copy_(torch.linspace(-0.3, 0.3, len(last_biases(parts["unet"]))))
    if family != "sdxl":
        return StableDiffusionPipeline(**parts, requires_safety_checker=False)
    config = tiny.text_config(hidden_size=SECOND_WIDTH, projection_dim=SECOND_WIDTH)
    parts["text_encoder_2"] = CLIPTextModelWithProjection(config).eval()
    parts["unet"] = tiny.unet(**XL)
    return StableDiffusionXLPipeline(**parts, add_watermarker=False)


def build(home: Path) -> Path:
    """Fills `home`, which is going to be HF_HOME, and returns a folder of single files beside it."""
    (sd, sd21, xl), work, files = map(pipeline, ("sd", "sd21", "sdxl")), home / "work", home / "files"
    files.mkdir(parents=True)
    sd.save_pretrained(work / "sd", variant="fp16")
    published(home, SD15, work / "sd")
    for variant in (None, "fp16"):
        sd21.save_pretrained(work / "sd21", variant=variant)
    published(home, SD21, work / "sd21")
    xl.save_pretrained(work / "xl")
    published(home, SDXL, work / "xl")
    nets = {
        CANNY: tiny.controlnet(**tiny.SMALL["sd"]),
        INPAINT: tiny.controlnet(**tiny.SMALL["sd"]),
        CANNY21: tiny.controlnet(**SMALL21),
        XL_CANNY: tiny.controlnet(**XL),
        UNION: tiny.union(**XL),
    }
    for repo, net in nets.items():
        net.save_pretrained(work / repo)
        published(home, repo, work / repo)
    (work / "lightning").mkdir()
    save_file(lora(xl.unet, "kohya"), work / "lightning" / LIGHTNING_FILE)
    published(home, LIGHTNING, work / "lightning")
    single = {
        "my_model": layouts.checkpoint(sd, "sd"),
        "my_sd21": layouts.checkpoint(sd21, "sd21"),
        "my_xl": layouts.checkpoint(xl, "sdxl"),
        "my_vae": layouts.vae(sd.vae),
        "my_canny": nets[CANNY].state_dict(),
        "my_canny_ldm": layouts.controlnet(nets[CANNY]),
        "my_canny21_ldm": layouts.controlnet(nets[CANNY21]),
        "my_canny_bare": layouts.controlnet(nets[CANNY], ""),
        "my_xl_canny_ldm": layouts.controlnet(nets[XL_CANNY]),
        "my_union": nets[UNION].state_dict(),
    }
    last_biases(sd21.unet).mul_(0.1)
    single["my_sd21_base"] = layouts.checkpoint(sd21, "sd21")
    for name, state in single.items():
        save_file(state, files / f"{name}.safetensors")
    for style in ("peft", "kohya"):
        save_file(lora(sd.unet, style), files / f"lora_{style}.safetensors")
    return files


def last_biases(unet: Any) -> torch.Tensor:
    """The biases that SD 2.1 and 2.1-base differ in: of the first norm of the UNet's last attention."""
    blocks = [block for block in unet.up_blocks if getattr(block, "attentions", None)]
    return blocks[-1].attentions[-1].transformer_blocks[0].norm1.bias.data


def published(home: Path, repo: str, folder: Path) -> None:
    """A folder's files as blobs under their digests, a snapshot that links to them, and the branch that names it."""
    root = home / "hub" / f"models--{repo.replace('/', '--')}"
    commit = sha256(repo.encode()).hexdigest()[:40]
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        data = file.read_bytes()
        blob = root / "blobs" / sha256(data).hexdigest()
        blob.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(data)
        place = root / "snapshots" / commit / file.relative_to(folder)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(blob)
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text(commit)


def lora(unet: Any, style: str, rank: int = 2) -> dict[str, torch.Tensor]:
    """A LoRA on the queries of all attentions and the keys of the text, in peft's or kohya's names."""
    made: dict[str, torch.Tensor] = {}
    for name, layer in unet.named_modules():
        if not name.endswith(("to_q", "attn2.to_k")):
            continue
        down, up = torch.randn(rank, layer.in_features), torch.randn(layer.out_features, rank) * 0.2
        if style == "peft":
            made |= {f"unet.{name}.lora_A.weight": down, f"unet.{name}.lora_B.weight": up}
        else:
            flat = "lora_unet_" + name.replace(".", "_")
            made |= {f"{flat}.lora_down.weight": down, f"{flat}.lora_up.weight": up}
            made |= {f"{flat}.alpha": torch.tensor(float(rank))}
    return made


def listing(home: Path) -> dict[str, dict[str, Path]]:
    """Every file of every repository on the hub, for a server that hands them out."""
    found: dict[str, dict[str, Path]] = {}
    for root in (home / "hub").glob("models--*"):
        commit = (root / "refs" / "main").read_text()
        snapshot = root / "snapshots" / commit
        repo = root.name.removeprefix("models--").replace("--", "/", 1)
        found[repo] = {str(p.relative_to(snapshot)): p.resolve() for p in snapshot.rglob("*") if p.is_file()}
    return found


def save(path: Path, header: Any, data: bytes = b"") -> Path:
    """A file with this safetensors header, whatever it says."""
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path
