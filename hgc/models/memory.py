"""How much memory a picture takes: the weights, and the most that is alive at once of what the networks compute.

The latter is measured, not guessed: a forward of each network runs on the meta device, and what every operation
allocates is added up until it is let go. Libraries' own workspaces and the allocator's gaps come on top.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import finalize

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, UNet2DConditionModel
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from hgc.cache.anatomy.macs import run_once
from hgc.cache.anatomy.networks import Networks
from hgc.models import hub
from hgc.models.controlnets import KINDS, folder_of
from hgc.models.loading import told
from hgc.models.presets import ModelPreset
from hgc.models.refusals import ModelUnavailable
from hgc.models.tensors import Tensors

BRANCHES = 2  # guidance computes two samples
TOKENS = 77
MEMINFO = Path("/proc/meminfo")
VAES: Mapping[str, Any] = {"AutoencoderKL": AutoencoderKL, "AutoencoderTiny": AutoencoderTiny}


class PeakBytes(TorchDispatchMode):
    """Inside the block, the most bytes that were alive at once of what operations made. Not for timing."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = self._alive = 0
        self._users: Counter[int] = Counter()  # tensors by the storage they look into

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        given = {
            leaf.untyped_storage()._cdata for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)
        }
        for leaf in tree_leaves(out):
            if isinstance(leaf, torch.Tensor):
                self._meet(leaf, leaf.untyped_storage()._cdata in given)
        self.peak = max(self.peak, self._alive)
        return out

    def _meet(self, tensor: torch.Tensor, looks_in: bool) -> None:
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if looks_in and key not in self._users:
            return  # a view of a weight or of what was given
        if not self._users[key]:
            self._alive += size
        self._users[key] += 1
        finalize(tensor, self._let_go, key, size)

    def _let_go(self, key: int, size: int) -> None:
        self._users[key] -= 1
        if not self._users[key]:
            del self._users[key]
            self._alive -= size


def _tensors(value: Any) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, torch.Tensor)]


class Fused(TorchFunctionMode):
    """Inside the block, attention allocates what it returns and no map: as kernels do, and the meta device does not."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is not torch.nn.functional.scaled_dot_product_attention:
            return func(*args, **(kwargs or {}))
        query, _, value = (*args, *(kwargs or {}).values())[:3]
        return query.new_empty((*query.shape[:-1], value.shape[-1]))


@dataclass(frozen=True)
class Memory:
    """The bytes that a picture takes on a device, and what is free there (None where nobody says)."""

    weights_bytes: int
    denoiser_bytes: int
    decoder_bytes: int
    free_bytes: int | None
    half: bool
    tiled: bool = False

    @property
    def total_bytes(self) -> int:
        """Denoiser and decoder work one after the other."""
        return self.weights_bytes + max(self.denoiser_bytes, 0 if self.tiled else self.decoder_bytes)

    @property
    def fits(self) -> bool:
        return self.free_bytes is None or self.total_bytes <= self.free_bytes

    def __str__(self) -> str:
        free = "" if self.free_bytes is None else f", free are {_gb(self.free_bytes)}"
        parts = f"denoising {_gb(self.denoiser_bytes)}, decoding {_gb(self.decoder_bytes)}"
        return f"weights {_gb(self.weights_bytes)}, {parts}: together {_gb(self.total_bytes)}{free}"

    def advice(self) -> tuple[str, ...]:
        """The ways to make it fit, each in a sentence; nothing where it does."""
        if self.fits or self.free_bytes is None:
            return ()
        said = [f"It takes about {_gb(self.total_bytes)}, free are {_gb(self.free_bytes)}."]
        if not self.half:
            said.append(f"In half precision it takes about {_gb(self.total_bytes // 2)}: --dtype float16.")
        without = self.weights_bytes + self.denoiser_bytes
        if not self.tiled and without < self.total_bytes:
            said.append(f"With the picture decoded in tiles it takes about {_gb(without)}: load(..., tiled=True).")
        return (*said, "A smaller picture takes less; so does a smaller model.")


def memory_of(preset: ModelPreset, size: int, control: str | None, device: torch.device, dtype: torch.dtype) -> Memory:
    """Of a model that is here, with one of its controls or none, for pictures of `size` pixels a side.

    Raises ModelUnavailable for one that is not here in diffusers' format.
    """
    folder = Path(preset.source) if preset.local else hub.model_folder(preset.source)
    if control is not None and control not in preset.controls:
        raise ModelUnavailable(f"{preset.title} has no control '{control}'; it has {', '.join(preset.controls)}")
    if folder is None or not folder.is_dir():
        raise ModelUnavailable(f"{preset.title} is not here in diffusers' format: its memory cannot be measured")
    place = None if control is None else folder_of(preset, preset.controls[control])
    if control is not None and (place is None or not place.is_dir()):
        raise ModelUnavailable(f"the ControlNet for '{control}' is not here in diffusers' format")
    with told(preset), torch.device("meta"):
        unet = UNet2DConditionModel.from_config(_config(folder / "unet")).eval()
        vae_config = _config(folder / "vae")
        vae = VAES[vae_config["_class_name"]].from_config(vae_config).eval()
        controls = {}
        if place is not None:
            controls["controlnet"] = KINDS[_config(place)["_class_name"]].from_config(_config(place)).eval()
    factor = 2 ** (len(vae_config.get("block_out_channels") or vae_config["decoder_block_out_channels"]) - 1)
    side = size // factor
    with torch.inference_mode(False), torch.no_grad():
        with Fused(), PeakBytes() as denoiser:
            run_once(Networks(unet, controls), (side, side), TOKENS)
        with Fused(), PeakBytes() as decoder:
            vae.decode(torch.empty(1, unet.config.in_channels, side, side, device="meta"))
    text = sum(_numbers(folder / name) for name in ("text_encoder", "text_encoder_2") if (folder / name).is_dir())
    numbers = text + sum(p.numel() for net in (unet, vae, *controls.values()) for p in net.parameters())
    itemsize = torch.empty(0, dtype=dtype).element_size()
    share = itemsize / 4  # of what was measured in float32
    denoised, decoded = int(BRANCHES * denoiser.peak * share), int(decoder.peak * share)
    return Memory(numbers * itemsize, denoised, decoded, free_bytes(device), itemsize == 2)


def _config(folder: Path) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((folder / "config.json").read_text())
    return config


def _numbers(folder: Path) -> int:
    """How many numbers a part's weights are, of one of the files that hold them."""
    variant = f".{hub.VARIANT}." if hub.VARIANT in hub.variants(folder) else ""
    files = [f for f in folder.glob("*.safetensors") if (f".{hub.VARIANT}." in f.name) == bool(variant)]
    shapes = [shape for file in files for shape in Tensors.of(file).shapes.values()]
    return sum(torch.Size(shape).numel() for shape in shapes)


def free_bytes(device: torch.device) -> int | None:
    """Free memory of a GPU, or what Linux says programs can still get; None where neither can be asked."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type != "cpu" or not MEMINFO.exists():
        return None
    lines = dict(line.split(":", 1) for line in MEMINFO.read_text().splitlines())
    return int(lines["MemAvailable"].split()[0]) * 1024


def _gb(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 5e7 else f"{count / 1e6:.1f} MB"
