"""A `.safetensors` file told by its tensors: what it holds, for which family, and that it is whole.

Only the header is read: names, shapes and places of the tensors. Nothing in such a file is executed, which is why
pickles are refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from hgc.models.refusals import ModelUnavailable

Holds = Literal["checkpoint", "controlnet", "union", "lora", "vae", "unet"]
PICKLES = (".ckpt", ".bin", ".pt", ".pth", ".pkl")
LONGEST_HEADER = 100_000_000
# Beginnings of names that only one foreign architecture has.
FOREIGN: Mapping[str, str] = {
    "double_blocks.": "FLUX",
    "single_transformer_blocks.": "FLUX",
    "joint_blocks.": "Stable Diffusion 3",
    "transformer_blocks.0.attn.add_q_proj.": "Stable Diffusion 3 or FLUX",
    "cap_embedder.": "Lumina or Z-Image",
    "txt_in.": "a video or Qwen model",
}
UNET = "model.diffusion_model."  # begins the names of a checkpoint's UNet
# Begins the names of the layers that read a ControlNet's map, in the first authors' layout.
HINT = "input_hint_block."
LORA_MARKS = (".lora_down.", ".lora_up.", ".lora_A.", ".lora_B.", ".lora.down.", ".lora.up.")


@dataclass(frozen=True)
class Tensors:
    """The header of a file: the shape of every tensor by its name, and what its maker wrote there."""

    path: Path
    shapes: Mapping[str, tuple[int, ...]]
    metadata: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, path: Path) -> Tensors:
        """Raises ModelUnavailable for a pickle, for what is not a safetensors file, and for one that is cut off."""
        if path.suffix.lower() in PICKLES:
            raise ModelUnavailable(
                f"{path.name} is a pickle, which can run any program when it is opened; get the model as .safetensors, "
                "or convert it where you trust it"
            )
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= min(LONGEST_HEADER, size - 8):
                raise ModelUnavailable(_no_safetensors(path))
            try:
                header = json.loads(file.read(length))
                entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
                shapes = {name: tuple(int(side) for side in entry["shape"]) for name, entry in entries.items()}
                end = 8 + length + max((int(entry["data_offsets"][1]) for entry in entries.values()), default=0)
            # Whatever is wrong with a header that anybody may have written.
            except (ValueError, TypeError, LookupError, AttributeError, RecursionError, OverflowError) as error:
                raise ModelUnavailable(_no_safetensors(path)) from error
        if end > size:
            raise ModelUnavailable(f"{path.name} is cut off: it has {size:,} bytes of {end:,}; fetch or copy it again")
        written = header.get("__metadata__")
        notes = {str(name): str(text) for name, text in written.items()} if isinstance(written, dict) else {}
        return cls(path, shapes, notes)

    def has(self, *parts: str) -> bool:
        """Whether a name holds one of these."""
        return any(part in name for name in self.shapes for part in parts)

    @property
    def holds(self) -> Holds:
        """The kind of the tensors. Raises ModelUnavailable for another architecture, naming it."""
        if foreign := next((title for start, title in FOREIGN.items() if self.has(start)), None):
            raise ModelUnavailable(
                f"{self.path.name} is a model of {foreign}, whose networks cannot be run here; choose one of Stable "
                "Diffusion 1.5, 2.1 or SDXL"
            )
        if self.has(*LORA_MARKS):
            return "lora"
        if self.has("task_embedding"):
            return "union"
        if self.has("controlnet_cond_embedding.", HINT):
            return "controlnet"
        if self.has(UNET):
            return "checkpoint" if self.has("cond_stage_model.", "conditioner.") else "unet"
        if self.has("up_blocks.0.resnets.0.time_emb_proj."):
            return "unet"
        if self.has("decoder.mid"):
            return "vae"
        raise ModelUnavailable(
            f"{self.path.name} holds no model that is known ({len(self.shapes)} tensors, the first "
            f"'{min(self.shapes, default='none')[:60]}'); choose a checkpoint, ControlNet, LoRA or VAE of Stable "
            "Diffusion or SDXL"
        )

    @property
    def family(self) -> Literal["sd15", "sd21", "sdxl"]:
        """The family of a checkpoint: by its text encoders, which have names of their own in each."""
        if self.has("conditioner.embedders.1."):
            return "sdxl"
        return "sd21" if self.has("cond_stage_model.model.") else "sd15"

    @property
    def without_text(self) -> bool:
        """Whether a checkpoint lacks the text encoder that reads the prompt: SDXL's refiner has the second only."""
        return self.has("conditioner.embedders.0.model.") and not self.has("conditioner.embedders.1.")

    @property
    def channels(self) -> int:
        """Channels of the latents that a checkpoint's UNet takes: nine for inpainting."""
        name = f"{UNET}input_blocks.0.0.weight"
        return self.shapes.get(name, (0, 4))[1]

    @property
    def text_width(self) -> int | None:
        """The width of the text's features that cross-attentions read."""
        layers = ("attn2.to_k.", "attn2_to_k.")
        inner = ("to_k.weight", "lora_down.weight", "lora_A.weight", "lora.down.weight")
        names = (name for name in self.shapes if name.endswith(inner) and any(layer in name for layer in layers))
        return next((self.shapes[name][1] for name in names), None)


def _no_safetensors(path: Path) -> str:
    return f"{path.name} is not a safetensors file; choose a file that ends in .safetensors and was fetched whole"
