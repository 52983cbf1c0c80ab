"""The families of models that are told apart: how their pipelines are called, and what they usually want."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

FamilyName = Literal["sd15", "sd21", "sdxl"]
Task = Literal["text", "image", "inpaint"]
ControlKind = Literal["none", "controlnet", "union"]
TASKS: tuple[Task, ...] = ("text", "image", "inpaint")

# What comes after the family's prefix in the names of diffusers' pipelines.
_TASK_ENDS: Mapping[str, str] = {"text": "Pipeline", "image": "Img2ImgPipeline", "inpaint": "InpaintPipeline"}


@dataclass(frozen=True)
class Family:
    """Models of one architecture.

    `prefix` begins the names of diffusers' pipelines, `text_width` is the width of the text's features as published,
    `size` the side in pixels that the published weights were trained for. `base` names the registry's model whose
    ControlNets, and whose tokenizer and configuration, any model of the family can use.
    """

    name: FamilyName
    title: str
    prefix: str
    text_width: int
    size: int
    guidance: float
    base: str

    def pipeline_name(self, task: str, control: ControlKind) -> str:
        """The name of diffusers' pipeline for a task. Raises KeyError for an unknown task."""
        middle = {"none": "", "controlnet": "ControlNet", "union": "ControlNetUnion"}[control]
        if (control, task) == ("union", "text"):
            return f"{self.prefix}ControlNetUnionPipeline"
        return f"{self.prefix}{middle}{_TASK_ENDS[task]}"


FAMILIES: Mapping[str, Family] = {
    family.name: family
    for family in (
        Family("sd15", "Stable Diffusion 1.5", "StableDiffusion", 768, 512, 7.5, "sd15"),
        Family("sd21", "Stable Diffusion 2.1", "StableDiffusion", 1024, 768, 7.5, "sd21"),
        Family("sdxl", "SDXL", "StableDiffusionXL", 2048, 1024, 5.0, "sdxl"),
    )
}


def family_of(unet: Mapping[str, Any]) -> Family:
    """The family of a UNet by its configuration: SDXL embeds sizes, SD 2.x projects by linear layers."""
    if unet.get("addition_embed_type") == "text_time":
        return FAMILIES["sdxl"]
    return FAMILIES["sd21" if unet.get("use_linear_projection") else "sd15"]
