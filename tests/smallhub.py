"""A small hub on disk: Hugging Face's cache layout under the real ids, filled with tiny random models.

Every file layout that people have: diffusers' folders with and without half-precision files, the original single file
of SD 1.5 and of SDXL, ControlNets as folder and as file, a Union, LoRAs with peft's and with kohya's keys, a VAE.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import tiny
import torch
from diffusers import AutoencoderKL, EulerDiscreteScheduler, StableDiffusionPipeline, StableDiffusionXLPipeline
from safetensors.torch import save_file
from transformers import CLIPTextModelWithProjection

from hgc.models.presets import presets

SD15, SDXL = presets()["sd15"].source, presets()["sdxl"].source
CANNY, DEPTH = presets()["sd15"].controls["edges"], presets()["sd15"].controls["depth"]
XL_CANNY, UNION = presets()["sdxl"].controls["edges"], presets()["sdxl-union"].controls["edges"]
LIGHTNING = "ByteDance/SDXL-Lightning"
LIGHTNING_FILE = "sdxl_lightning_4step_lora.safetensors"
SECOND_WIDTH = 24  # of SDXL's second text encoder, which is as wide as what it projects to
XL: Mapping[str, Any] = {
    **tiny.SMALL["sdxl"],
    "cross_attention_dim": tiny.TEXT_WIDTH + SECOND_WIDTH,
    "projection_class_embeddings_input_dim": 6 * tiny.SIZE_WIDTH + SECOND_WIDTH,
}
RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}
STEM = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
    "mid_block.resnets.0": "middle_block.0",
    "mid_block.attentions.0": "middle_block.1",
    "mid_block.resnets.1": "middle_block.2",
}


def pipeline(family: str) -> Any:
    """A pipeline of random weights that can be saved, with a VAE as published ones are."""
    text = tiny.small_pipeline(family, "text", 0)
    parts = dict(text.components)
    torch.manual_seed(5)
    levels = {"down_block_types": ["DownEncoderBlock2D"] * 4, "up_block_types": ["UpDecoderBlock2D"] * 4}
    parts["vae"] = AutoencoderKL(block_out_channels=[8] * 4, norm_num_groups=4, sample_size=128, **levels).eval()
    parts["scheduler"] = EulerDiscreteScheduler(beta_schedule="scaled_linear", steps_offset=1)
    if family == "sd":
        return StableDiffusionPipeline(**parts, requires_safety_checker=False)
    config = tiny.text_config(hidden_size=SECOND_WIDTH, projection_dim=SECOND_WIDTH)
    parts["text_encoder_2"] = CLIPTextModelWithProjection(config).eval()
    parts["unet"] = tiny.unet(**XL)
    return StableDiffusionXLPipeline(**parts, add_watermarker=False)


def build(home: Path) -> Path:
    """Fills `home`, which is going to be HF_HOME, and returns a folder of single files beside it."""
    sd, xl, work, files = pipeline("sd"), pipeline("sdxl"), home / "work", home / "files"
    files.mkdir(parents=True)
    sd.save_pretrained(work / "sd", variant="fp16")
    published(home, SD15, work / "sd")
    xl.save_pretrained(work / "xl")
    published(home, SDXL, work / "xl")
    nets = {
        CANNY: tiny.controlnet(**tiny.SMALL["sd"]),
        XL_CANNY: tiny.controlnet(**XL),
        UNION: tiny.union(**XL),
    }
    for repo, net in nets.items():
        net.save_pretrained(work / repo)
        published(home, repo, work / repo)
    (work / "lightning").mkdir()
    save_file(lora(xl.unet, "kohya"), work / "lightning" / LIGHTNING_FILE)
    published(home, LIGHTNING, work / "lightning")
    save_file(original(sd, "sd"), files / "my_model.safetensors")
    save_file(original(xl, "sdxl"), files / "my_xl.safetensors")
    save_file(original_vae(sd.vae, ""), files / "my_vae.safetensors")
    save_file(nets[CANNY].state_dict(), files / "my_canny.safetensors")
    save_file(nets[UNION].state_dict(), files / "my_union.safetensors")
    for style in ("peft", "kohya"):
        save_file(lora(sd.unet, style), files / f"lora_{style}.safetensors")
    return files


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


def original(pipe: Any, family: str) -> dict[str, torch.Tensor]:
    """A checkpoint as the first authors publish it: one file, names of their own."""
    state = {f"model.diffusion_model.{_unet_name(n, pipe.unet)}": v for n, v in pipe.unet.state_dict().items()}
    state |= original_vae(pipe.vae, "first_stage_model.")
    text = pipe.text_encoder.state_dict()
    if family == "sd":
        state |= {f"cond_stage_model.transformer.{_text_name(n)}": v for n, v in text.items()}
    else:
        state |= {f"conditioner.embedders.0.transformer.{_text_name(n)}": v for n, v in text.items()}
        state |= _open_clip(pipe.text_encoder_2.state_dict(), "conditioner.embedders.1.model.")
    return {name: value.contiguous().clone() for name, value in state.items()}


def _text_name(name: str) -> str:
    return name if name.startswith("text_model.") else f"text_model.{name}"


def _unet_name(name: str, unet: Any) -> str:
    layers = unet.config.layers_per_block
    for ours, theirs in STEM.items():
        if name.startswith(f"{ours}."):
            return f"{theirs}.{_resnet(name.removeprefix(f'{ours}.'), 'resnets' in ours)}"
    side, level, kind, number, rest = name.split(".", 4)
    i, j = int(level), int(number)
    if side == "down_blocks":
        if kind == "downsamplers":
            return f"input_blocks.{(layers + 1) * (i + 1)}.0.op.{rest.removeprefix('conv.')}"
        return f"input_blocks.{(layers + 1) * i + j + 1}.{int(kind == 'attentions')}.{_resnet(rest, kind == 'resnets')}"
    if kind == "upsamplers":
        place = 2 if getattr(unet.up_blocks[i], "attentions", None) else 1
        return f"output_blocks.{(layers + 1) * i + layers}.{place}.{rest}"
    return f"output_blocks.{(layers + 1) * i + j}.{int(kind == 'attentions')}.{_resnet(rest, kind == 'resnets')}"


def _resnet(rest: str, is_resnet: bool) -> str:
    part, _, kind = rest.rpartition(".")
    return f"{RESNET[part]}.{kind}" if is_resnet else rest


def original_vae(vae: Any, prefix: str) -> dict[str, torch.Tensor]:
    """A VAE under the names of its first authors."""
    levels, made = len(vae.config.block_out_channels), {}
    attention = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
    for name, value in vae.state_dict().items():
        theirs = name.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
        for i in range(levels):
            theirs = theirs.replace(f"encoder.down_blocks.{i}.downsamplers.0.", f"encoder.down.{i}.downsample.")
            theirs = theirs.replace(f"encoder.down_blocks.{i}.resnets.", f"encoder.down.{i}.block.")
            theirs = theirs.replace(f"decoder.up_blocks.{i}.upsamplers.0.", f"decoder.up.{levels - 1 - i}.upsample.")
            theirs = theirs.replace(f"decoder.up_blocks.{i}.resnets.", f"decoder.up.{levels - 1 - i}.block.")
        theirs = theirs.replace("mid_block.resnets.0", "mid.block_1").replace("mid_block.resnets.1", "mid.block_2")
        if "mid_block.attentions.0" in theirs:
            head, rest = theirs.split("mid_block.attentions.0.")
            part, _, kind = rest.rpartition(".")
            theirs = f"{head}mid.attn_1.{attention[part]}.{kind}"
            value = value[..., None, None] if value.ndim == 2 else value
        made[f"{prefix}{theirs}"] = value.contiguous().clone()
    return made


def _open_clip(text: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """SDXL's second text encoder under OpenCLIP's names."""
    names = {
        "layer_norm1": "ln_1",
        "layer_norm2": "ln_2",
        "mlp.fc1": "mlp.c_fc",
        "mlp.fc2": "mlp.c_proj",
        "self_attn.out_proj": "attn.out_proj",
    }
    made: dict[str, torch.Tensor] = {}
    for name, value in text.items():
        own = name.removeprefix("text_model.")
        if own.startswith("embeddings.token"):
            made["token_embedding.weight"] = value
        elif own == "embeddings.position_embedding.weight":
            made["positional_embedding"] = value
        elif own.startswith("final_layer_norm"):
            made[own.replace("final_layer_norm", "ln_final")] = value
        elif own == "text_projection.weight":
            made["text_projection"] = value.T
        elif own.startswith("encoder.layers.") and "_proj." in own and "out_proj" not in own:
            number, kind = own.split(".")[2], own.rpartition(".")[2]
            rows = [text[name.replace(own.split(".")[4], f"{letter}_proj")] for letter in "qkv"]
            made[f"transformer.resblocks.{number}.attn.in_proj_{kind}"] = torch.cat(rows)
        elif own.startswith("encoder.layers."):
            _, _, number, rest = own.split(".", 3)
            part, _, kind = rest.rpartition(".")
            made[f"transformer.resblocks.{number}.{names[part]}.{kind}"] = value
    return {f"{prefix}{name}": value for name, value in made.items()}


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
