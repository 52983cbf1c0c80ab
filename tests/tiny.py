"""Tiny random pipelines of the architectures that the engine follows, made in a second and never trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from inspect import signature
from typing import Any

import torch
from diffusers import (
    AutoencoderTiny,
    ControlNetModel,
    ControlNetUnionModel,
    DDIMScheduler,
    MultiControlNetModel,
    StableDiffusionAdapterPipeline,
    StableDiffusionControlNetImg2ImgPipeline,
    StableDiffusionControlNetInpaintPipeline,
    StableDiffusionControlNetPipeline,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionInpaintPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLAdapterPipeline,
    StableDiffusionXLControlNetImg2ImgPipeline,
    StableDiffusionXLControlNetInpaintPipeline,
    StableDiffusionXLControlNetPipeline,
    StableDiffusionXLControlNetUnionImg2ImgPipeline,
    StableDiffusionXLControlNetUnionInpaintPipeline,
    StableDiffusionXLControlNetUnionPipeline,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLInpaintPipeline,
    StableDiffusionXLPipeline,
    T2IAdapter,
    UNet2DConditionModel,
)
from diffusers.models import MultiControlNetUnionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

CHANNELS = (16, 32, 32, 32)
TEXT_WIDTH = 16
POOLED_WIDTH = 12
KINDS_OF_MAPS = 6  # that a Union ControlNet tells apart
SIZE_WIDTH = 4  # of each of SDXL's six size numbers

# What sets the architectures apart, in miniature: SDXL has no attention at its outermost level, one, two and ten
# transformers a block at the others, and embeds the pooled text and six sizes; SD 2.1 has linear projections and as
# many heads as the width asks; Landscapes is SD 1.5 in a narrower latent space of more channels.
ARCHITECTURES: Mapping[str, Mapping[str, Any]] = {
    "sd15": {},
    "sd21": {"use_linear_projection": True, "attention_head_dim": (2, 4, 4, 4)},
    "sdxl": {
        "block_out_channels": (16, 32, 32),
        "layers_per_block": 1,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "transformer_layers_per_block": (1, 2, 10),
        "use_linear_projection": True,
        "cross_attention_dim": 2 * TEXT_WIDTH,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": SIZE_WIDTH,
        "projection_class_embeddings_input_dim": 6 * SIZE_WIDTH + POOLED_WIDTH,
    },
    "landscapes": {"in_channels": 12, "block_out_channels": (16, 32, 48, 48), "norm_num_groups": 16},
}
# Two levels of one layer: for runs, where depth costs time and proves nothing.
SMALL: Mapping[str, Mapping[str, Any]] = {
    "sd": {
        "block_out_channels": (16, 32),
        "layers_per_block": 1,
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    },
    "sdxl": {
        **ARCHITECTURES["sdxl"],
        "block_out_channels": (16, 32),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "transformer_layers_per_block": (1, 2),
    },
}
SMALL_SD21: Mapping[str, Any] = {"use_linear_projection": True, "attention_head_dim": (2, 4)}
PIPELINES: Mapping[tuple[str, str, bool], Any] = {
    ("sd", "text", False): StableDiffusionPipeline,
    ("sd", "image", False): StableDiffusionImg2ImgPipeline,
    ("sd", "inpaint", False): StableDiffusionInpaintPipeline,
    ("sd", "text", True): StableDiffusionControlNetPipeline,
    ("sd", "image", True): StableDiffusionControlNetImg2ImgPipeline,
    ("sd", "inpaint", True): StableDiffusionControlNetInpaintPipeline,
    ("sdxl", "text", False): StableDiffusionXLPipeline,
    ("sdxl", "image", False): StableDiffusionXLImg2ImgPipeline,
    ("sdxl", "inpaint", False): StableDiffusionXLInpaintPipeline,
    ("sdxl", "text", True): StableDiffusionXLControlNetPipeline,
    ("sdxl", "image", True): StableDiffusionXLControlNetImg2ImgPipeline,
    ("sdxl", "inpaint", True): StableDiffusionXLControlNetInpaintPipeline,
}
UNIONS: Mapping[str, Any] = {
    "text": StableDiffusionXLControlNetUnionPipeline,
    "image": StableDiffusionXLControlNetUnionImg2ImgPipeline,
    "inpaint": StableDiffusionXLControlNetUnionInpaintPipeline,
}


def unet(**changes: Any) -> UNet2DConditionModel:
    settings: dict[str, Any] = {
        "sample_size": 16,
        "in_channels": 4,
        "out_channels": 4,
        "block_out_channels": CHANNELS,
        "layers_per_block": 2,
        "cross_attention_dim": TEXT_WIDTH,
        "attention_head_dim": 2,
        "norm_num_groups": 8,
    }
    settings |= changes
    if "down_block_types" in changes:
        settings["up_block_types"] = [name.replace("Down", "Up") for name in reversed(changes["down_block_types"])]
    channels = settings["in_channels"]
    inpainting = channels == 9  # the latents, those of the masked picture, and the mask
    return UNet2DConditionModel(**settings | {"out_channels": 4 if inpainting else channels}).eval()


def controlnet(**changes: Any) -> ControlNetModel:
    """A ControlNet whose zero convolutions are not zero, so that its residuals matter."""
    settings: dict[str, Any] = {
        "in_channels": 4,
        "block_out_channels": CHANNELS,
        "layers_per_block": 2,
        "cross_attention_dim": TEXT_WIDTH,
        "attention_head_dim": 2,
        "norm_num_groups": 8,
        "conditioning_embedding_out_channels": (8, 8, 8, 8),
    }
    net = ControlNetModel(**(settings | changes)).eval()
    for conv in (*net.controlnet_down_blocks, net.controlnet_mid_block, net.controlnet_cond_embedding.conv_out):
        torch.nn.init.normal_(conv.weight, std=0.2)
    return net


def union(**changes: Any) -> ControlNetUnionModel:
    """A Union ControlNet of six kinds of maps, none of whose layers is zero."""
    settings: dict[str, Any] = {
        "in_channels": 4,
        "norm_num_groups": 8,
        "conditioning_embedding_out_channels": (8, 8, 8, 8),
        "num_control_type": KINDS_OF_MAPS,
        "num_trans_channel": 16,
        "num_trans_head": 2,
        "num_proj_channel": 16,
        "attention_head_dim": 2,
    }
    net = ControlNetUnionModel(**(settings | changes)).eval()
    zero = (net.controlnet_mid_block, net.controlnet_cond_embedding.conv_out, net.spatial_ch_projs)
    for layer in (*net.controlnet_down_blocks, *zero):
        torch.nn.init.normal_(layer.weight, std=0.2)
    return net


@cache
def tokenizer() -> CLIPTokenizer:
    words = ["a</w>", "hill</w>", "lake</w>", "tree</w>"]
    letters = [chr(code) for code in range(97, 123)]
    tokens = [*letters, *(letter + "</w>" for letter in letters), *words[1:], "<|startoftext|>", "<|endoftext|>"]
    merges: list[tuple[str, str]] = []
    return CLIPTokenizer(vocab={token: i for i, token in enumerate(tokens)}, merges=merges, model_max_length=16)


def text_config(**changes: Any) -> CLIPTextConfig:
    settings: dict[str, Any] = {
        "vocab_size": len(tokenizer()),
        "hidden_size": TEXT_WIDTH,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 16,
        "bos_token_id": tokenizer().bos_token_id,
        "eos_token_id": tokenizer().eos_token_id,
    }
    return CLIPTextConfig(**settings | changes)


def text_encoder() -> CLIPTextModel:
    return CLIPTextModel(text_config()).eval()


def _vae() -> AutoencoderTiny:
    return AutoencoderTiny(encoder_block_out_channels=(8,) * 4, decoder_block_out_channels=(8,) * 4).eval()


def _components() -> dict[str, Any]:
    return {
        "vae": _vae(),
        "text_encoder": text_encoder(),
        "tokenizer": tokenizer(),
        "unet": unet(),
        "scheduler": DDIMScheduler(beta_schedule="scaled_linear", steps_offset=1, clip_sample=False),
        "safety_checker": None,
        "feature_extractor": None,
        "requires_safety_checker": False,
    }


def control_pipeline(nets: int = 1) -> StableDiffusionControlNetPipeline:
    torch.manual_seed(0)
    control: Any = controlnet() if nets == 1 else MultiControlNetModel([controlnet() for _ in range(nets)])
    pipe = StableDiffusionControlNetPipeline(**_components(), controlnet=control)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def plain_pipeline() -> StableDiffusionPipeline:
    torch.manual_seed(0)
    pipe = StableDiffusionPipeline(**_components())
    pipe.set_progress_bar_config(disable=True)
    return pipe


def small_pipeline(family: str, task: str, controls: int, **changes: Any) -> Any:
    """A pipeline of `family` (sd, sdxl) for `task` (text, image, inpaint) over the smallest networks.

    `controls` is the number of ControlNets; true is one.
    """
    return _pipeline(family, task, controls, {**SMALL[family], **changes})


def sd21_pipeline(task: str, controls: int) -> Any:
    """SD 2.1 for `task`: it predicts velocity."""
    pipe = small_pipeline("sd", task, controls, **SMALL_SD21)
    pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config, prediction_type="v_prediction")
    return pipe


def deep_pipeline(architecture: str, controls: int, **changes: Any) -> Any:
    """Text-to-image over networks with all the levels and layers of an architecture."""
    family = "sdxl" if architecture == "sdxl" else "sd"
    return _pipeline(family, "text", controls, {**ARCHITECTURES[architecture], **changes})


def _pipeline(family: str, task: str, controls: int, shapes: Mapping[str, Any]) -> Any:
    torch.manual_seed(0)
    parts: dict[str, Any] = {
        "vae": _vae(),
        "text_encoder": text_encoder(),
        "tokenizer": tokenizer(),
        "unet": unet(**shapes),
        "scheduler": DDIMScheduler(beta_schedule="scaled_linear", steps_offset=1, clip_sample=False),
    }
    if family == "sd":
        parts |= {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    else:
        second = CLIPTextModelWithProjection(text_config(projection_dim=POOLED_WIDTH)).eval()
        parts |= {"text_encoder_2": second, "tokenizer_2": tokenizer(), "add_watermarker": False}
    if controls:
        nets = [controlnet(**shapes) for _ in range(controls)]
        parts["controlnet"] = nets[0] if controls == 1 else MultiControlNetModel(nets)
    pipe = PIPELINES[family, task, bool(controls)](**parts)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def union_pipeline(task: str, nets: int = 1, **changes: Any) -> Any:
    """An SDXL pipeline for `task` with Union networks; of several diffusers gives each one map."""
    text = small_pipeline("sdxl", "text", 0, **changes)
    unions = [union(**{**SMALL["sdxl"], **changes}) for _ in range(nets)]
    parts = {name: part for name, part in text.components.items() if name not in ("image_encoder", "feature_extractor")}
    control = unions[0] if nets == 1 else MultiControlNetUnionModel(unions)
    pipe = UNIONS[task](**parts, controlnet=control, add_watermarker=False)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def union_call(maps: int = 1) -> dict[str, Any]:
    """The control maps of a Union pipeline's call and the kinds of these."""
    images = [control_image() * (1 + k) / maps for k in range(maps)]
    return {"control_image": images, "control_mode": [(3 * k + 1) % KINDS_OF_MAPS for k in range(maps)]}


def t2i_pipeline(family: str) -> Any:
    """A pipeline whose T2I-adapter of random weights adds its features inside of the UNet's blocks."""
    text = small_pipeline(family, "text", 0)
    factor = 8 if family == "sd" else 16
    kind = "full_adapter" if family == "sd" else "full_adapter_xl"
    widths = list(text.unet.config.block_out_channels)
    adapter = T2IAdapter(3, widths, num_res_blocks=1, downscale_factor=factor, adapter_type=kind).eval()
    made = StableDiffusionAdapterPipeline if family == "sd" else StableDiffusionXLAdapterPipeline
    known = signature(made.__init__).parameters
    parts = {name: part for name, part in text.components.items() if name in known}
    pipe = made(**parts, adapter=adapter, **({"requires_safety_checker": False} if family == "sd" else {}))
    pipe.set_progress_bar_config(disable=True)
    return pipe


def freeu_pipeline(controls: int) -> Any:
    """A pipeline with FreeU on, which writes into the decoder's features."""
    pipe = small_pipeline("sd", "text", controls)
    pipe.enable_freeu(s1=0.9, s2=0.2, b1=1.2, b2=1.4)
    return pipe


def ip_adapter_pipeline(family: str, controls: int, face: bool = False) -> tuple[Any, Mapping[str, Any]]:
    """A pipeline with an IP-Adapter of random weights, plain or FaceID, and the image prompt of its calls."""
    pipe, width = small_pipeline(family, "text", controls), 8
    weights = ip_adapter(pipe.unet, width)
    if face:
        weights["image_proj"] = face_projection(pipe.unet, width)
    pipe.unet._load_ip_adapter_weights([weights], low_cpu_mem_usage=False)
    shape = (2, 1, 1, width) if face else (2, 1, width)
    embeds = torch.randn(shape, generator=torch.Generator().manual_seed(4))
    return pipe, {"ip_adapter_image_embeds": [embeds]}


def ip_adapter(unet: Any, width: int, tokens: int = 4) -> dict[str, Any]:
    """Random weights of a plain IP-Adapter, in the layout that is published."""
    text = unet.config.cross_attention_dim
    projection = {
        "proj.weight": torch.randn(tokens * text, width),
        "proj.bias": torch.zeros(tokens * text),
        "norm.weight": torch.ones(text),
        "norm.bias": torch.zeros(text),
    }
    adapter = {
        f"{2 * i + 1}.{part}.weight": torch.randn(unet.get_submodule(name).to_k.out_features, text)
        for i, name in enumerate(prompted(unet))
        for part in ("to_k_ip", "to_v_ip")
    }
    return {"image_proj": projection, "ip_adapter": adapter}


def face_projection(unet: Any, width: int, tokens: int = 4) -> dict[str, Any]:
    """Random weights of FaceID's projection, two layers deep, in the layout that is published."""
    text = unet.config.cross_attention_dim
    return {
        "proj.0.weight": torch.randn(2 * width, width),
        "proj.0.bias": torch.zeros(2 * width),
        "proj.2.weight": torch.randn(tokens * text, 2 * width),
        "proj.2.bias": torch.zeros(tokens * text),
        "norm.weight": torch.ones(text),
        "norm.bias": torch.zeros(text),
    }


def prompted(unet: Any) -> list[str]:
    """The attentions that read the prompt."""
    return [n.removesuffix(".processor") for n in unet.attn_processors if n.endswith("attn2.processor")]


TWICE: Mapping[str, Any] = {
    "controlnet_conditioning_scale": [1.0, 0.5],
    "control_guidance_start": [0.0, 0.0],
    "control_guidance_end": [1.0, 0.9],
}
# Every way in which networks hang together, and what the pipeline is called with beside the usual.
VARIETIES: Mapping[str, Callable[[], tuple[Any, Mapping[str, Any]]]] = {
    "SD": lambda: (small_pipeline("sd", "text", 0), {}),
    "SD with control": lambda: (deep_pipeline("sd15", 1), {}),
    "two controls": lambda: (small_pipeline("sd", "text", 2), TWICE),  # one of which ends early
    "guess mode": lambda: (small_pipeline("sd", "text", 1), {"guess_mode": True}),
    "inpainting with control": lambda: (small_pipeline("sd", "inpaint", 1), {"strength": 1.0}),
    "inpainting UNet": lambda: (small_pipeline("sd", "inpaint", 0, in_channels=9), {"strength": 1.0}),
    "IP-Adapter with control": lambda: ip_adapter_pipeline("sd", 1),
    "FaceID with control": lambda: ip_adapter_pipeline("sd", 1, face=True),
    "SD 2.1 with control": lambda: (sd21_pipeline("text", 1), {}),
    "Landscapes": lambda: (small_pipeline("sd", "text", 1, in_channels=12, norm_num_groups=16), {}),
    "SDXL": lambda: (small_pipeline("sdxl", "text", 0), {}),
    "SDXL with control": lambda: (deep_pipeline("sdxl", 1, transformer_layers_per_block=(1, 1, 2)), {}),
    "SDXL in guess mode": lambda: (small_pipeline("sdxl", "text", 1), {"guess_mode": True}),
    "SDXL with IP-Adapter": lambda: ip_adapter_pipeline("sdxl", 0),
    "FreeU with control": lambda: (freeu_pipeline(1), {}),
    "SDXL with a Union": lambda: (union_pipeline("text"), union_call()),
    "SDXL with two maps of a Union": lambda: (
        union_pipeline("text"),
        {**union_call(2), "controlnet_conditioning_scale": [1.0, 0.5]},
    ),
    "T2I-adapter": lambda: (t2i_pipeline("sd"), {}),
    "SDXL with T2I-adapter": lambda: (t2i_pipeline("sdxl"), {"adapter_conditioning_factor": 0.7}),
}


def control_image() -> torch.Tensor:
    return torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(1))


def picture() -> torch.Tensor:
    return torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(2))


def arguments(
    pipe: Any, *, steps: int = 6, seed: int = 3, guidance: float = 4.0, size: int = 128, **call: Any
) -> dict[str, Any]:
    """What the pipeline is called with for one image under a fixed prompt, control, picture and mask, as it takes them.

    `call` adds to it or replaces it.
    """
    parameters = signature(pipe.__call__).parameters
    controlled = pipe.components.get("controlnet")
    pictures = "strength" in parameters
    given: dict[str, Any] = {"height": size, "width": size}
    if controlled is not None and "control_mode" in parameters:
        given |= {"image": picture()[..., :size, :size]}
    elif controlled is not None:
        nets = len(getattr(controlled, "nets", ()))
        image = control_image()[..., :size, :size]
        given["control_image" if pictures else "image"] = [image] * nets if nets else image
    if pictures or "adapter" in pipe.components:
        given["image"] = picture()[..., :size, :size]
    if "mask_image" in parameters:
        given["mask_image"] = (picture()[:, :1, :size, :size] > 0.5).float()
    settings: dict[str, Any] = {
        "prompt": "a lake",
        "num_inference_steps": steps,
        "guidance_scale": guidance,
        "generator": torch.Generator().manual_seed(seed),
        "output_type": "latent",
    }
    known = {name: value for name, value in given.items() if name in parameters}
    if guidance <= 1 and "ip_adapter_image_embeds" in call:  # those of the unguided branch come first
        call["ip_adapter_image_embeds"] = [embeds[-1:] for embeds in call["ip_adapter_image_embeds"]]
    return settings | known | call


def latents(pipe: Any, **call: Any) -> torch.Tensor:
    """The final latents of a call with these `arguments`."""
    return pipe(**arguments(pipe, **call)).images
