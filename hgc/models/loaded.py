"""A loaded model: its networks on a device, and a pipeline of its own over them for every run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import diffusers
import torch
from diffusers import (
    ControlNetUnionModel,
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    LCMScheduler,
    MultiControlNetModel,
    UniPCMultistepScheduler,
)
from diffusers.models import MultiControlNetUnionModel

from hgc.models.families import FAMILIES, TASKS, ControlKind, Family
from hgc.models.offload import HOME, Turns
from hgc.models.presets import UNION_MODES, ModelPreset
from hgc.models.refusals import ModelUnavailable

SAMPLERS: Mapping[str, Any] = {
    "ddim": DDIMScheduler,
    "dpmpp": DPMSolverMultistepScheduler,
    "unipc": UniPCMultistepScheduler,
    "euler": EulerDiscreteScheduler,
    "lcm": LCMScheduler,
}


@dataclass(frozen=True)
class Loaded:
    """The networks of one model on one device.

    `controls` maps the name of every control that is here to its ControlNet, loaded when it is first asked for; several
    names may share one Union network, which knows each by its number in `modes`.
    """

    preset: ModelPreset
    components: Mapping[str, Any]
    controls: Mapping[str, Any]
    device: torch.device
    dtype: torch.dtype
    turns: Turns | None = None  # where networks rest in main memory
    # A fast tokenizer keeps padding and truncation as state of its own: two threads would read each other's.
    tokenizing: Lock = field(default_factory=Lock, repr=False)

    @property
    def family(self) -> Family:
        return FAMILIES[self.preset.family]

    @property
    def home(self) -> torch.device:
        """Where the networks are while they are not called."""
        return self.device if self.turns is None else HOME

    @property
    def modes(self) -> Mapping[str, int]:
        """The number by which a Union network knows each control."""
        return {**UNION_MODES, **self.preset.modes}

    @property
    def samplers(self) -> tuple[str, ...]:
        return self.preset.samplers

    @property
    def latent_factor(self) -> int:
        """How many pixels, each way, stand behind one place of the latents."""
        config = self.components["vae"].config
        return 2 ** (len(config.get("block_out_channels") or config["decoder_block_out_channels"]) - 1)

    @torch.no_grad()
    def encode(self, prompt: str, negative_prompt: str, guidance: bool) -> dict[str, torch.Tensor]:
        """The text arguments of a pipeline's call, [1, tokens, width] each; the negative ones only under guidance.

        SDXL has pooled ones [1, width] beside them.
        """
        pipe = self._pipeline("controlnet", "text", self.samplers[0])
        asked = {"num_images_per_prompt": 1, "do_classifier_free_guidance": guidance}
        with self.tokenizing:
            encoded = pipe.encode_prompt(prompt, device=self.device, negative_prompt=negative_prompt or None, **asked)
        names = ("prompt_embeds", "negative_prompt_embeds", "pooled_prompt_embeds", "negative_pooled_prompt_embeds")
        named = dict(zip(names, encoded, strict=False))
        return {name: value for name, value in named.items() if guidance or not name.startswith("negative")}

    def pipeline(self, controls: str | Sequence[str], sampler: str, task: str = "text") -> Any:
        """A pipeline with a scheduler of its own over the shared networks, so that two runs never share state.

        `controls` names one control, several, or none; `task` is text, image (to image) or inpaint. Raises
        ModelUnavailable for a control, sampler or task that this model does not have.
        """
        if sampler not in self.samplers:
            raise ModelUnavailable(f"unknown sampler '{sampler}'; {self.preset.title} has {', '.join(self.samplers)}")
        if task not in TASKS:
            raise ModelUnavailable(f"unknown task '{task}'; known are {', '.join(TASKS)}")
        names = (controls,) if isinstance(controls, str) else tuple(controls)
        nets = self._nets(names)
        union = any(isinstance(net, ControlNetUnionModel) for net in nets)
        if not nets:
            return self._pipeline("none", task, sampler)
        net = nets[0] if len(nets) == 1 else _together(nets, union)
        return self._pipeline("union" if union else "controlnet", task, sampler, net)

    def _pipeline(self, control: ControlKind, task: str, sampler: str, net: Any = None) -> Any:
        settings = dict(self.components["scheduler"].config) | dict(self.preset.schedule)
        parts = {**self.components, "scheduler": SAMPLERS[sampler].from_config(settings)}
        if control != "none":
            parts["controlnet"] = net
        extra = {"add_watermarker": False} if self.family.name == "sdxl" else {"requires_safety_checker": False}
        pipe = getattr(diffusers, self.family.pipeline_name(task, control))(**parts, **extra)
        pipe.set_progress_bar_config(disable=True)
        return pipe

    def control_arguments(
        self, controls: str | Sequence[str], maps: Sequence[Any], task: str = "text"
    ) -> dict[str, Any]:
        """The arguments by which a pipeline of these controls takes their maps [1, 3, H, W], one for each.

        A picture to start from and its mask are not among them. Raises ModelUnavailable.
        """
        names = (controls,) if isinstance(controls, str) else tuple(controls)
        nets = self._nets(names)
        if not nets:
            return {}
        if not isinstance(nets[0], ControlNetUnionModel):
            return {"image" if task == "text" else "control_image": maps[0] if len(nets) == 1 else list(maps)}
        return {"control_image": list(maps), "control_mode": [self.modes[name] for name in names]}

    def _nets(self, names: Sequence[str]) -> list[Any]:
        """The networks of these controls, each once."""
        for name in names:
            if name not in self.controls:
                raise ModelUnavailable(self._lacks(name))
        nets = list({id(net): net for net in (self.controls[name] for name in names)}.values())
        unions = [isinstance(net, ControlNetUnionModel) for net in nets]
        if any(unions) and not all(unions):
            raise ModelUnavailable(
                f"{' and '.join(names)}: a Union ControlNet does not run beside another kind; take both of the "
                "Union, or neither"
            )
        if len(nets) < len(names) and (len(nets) > 1 or not any(unions)):
            raise ModelUnavailable(f"{', '.join(names)}: the same ControlNet is asked for twice; choose two different")
        return nets

    def _lacks(self, name: str) -> str:
        if name in self.preset.controls:
            return (
                f"{self.preset.title}: the ControlNet for '{name}' is not here; fetch it with "
                f"`hgc models fetch {self.preset.controls[name]}` (about {self.preset.control_bytes / 1e9:.1f} GB)"
            )
        return f"{self.preset.title} has no control '{name}'; it has {', '.join(self.controls) or 'none'}"


def _together(nets: Sequence[Any], union: bool) -> Any:
    return MultiControlNetUnionModel(list(nets)) if union else MultiControlNetModel(list(nets))
