"""How much memory a picture takes: the weights, and the most that is alive at once of what the networks compute.

The latter is measured, not guessed: a forward of each network runs on the meta device, and what every operation
allocates is added up until it is let go. Libraries' own workspaces and the allocator's gaps come on top.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from weakref import finalize

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from hgc.cache.anatomy.measured import run_once
from hgc.cache.anatomy.networks import Networks
from hgc.models.outline import outline_of
from hgc.models.presets import ModelPreset

BRANCHES = 2  # guidance computes two samples
TOKENS = 77
MEMINFO = Path("/proc/meminfo")


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
    """The bytes that a picture takes on a device, and what is free there (None where nobody says).

    `text_bytes`, `nets_bytes` (UNet and ControlNet) and `vae_bytes` are weights; the next two are what the denoiser and
    the decoder make on their way. `apart` is whether the device has memory of its own, beside main memory.
    """

    text_bytes: int
    nets_bytes: int
    vae_bytes: int
    denoiser_bytes: int
    decoder_bytes: int
    free_bytes: int | None
    half: bool
    tiled: bool = False
    offloaded: bool = False
    apart: bool = False

    @property
    def weights_bytes(self) -> int:
        return self.text_bytes + self.nets_bytes + self.vae_bytes

    @property
    def turn_bytes(self) -> int:
        """The most at once where text encoders, denoiser and decoder take turns."""
        return max(self.text_bytes, self.nets_bytes + self.denoiser_bytes, self.vae_bytes + self._decoder_bytes)

    @property
    def total_bytes(self) -> int:
        """Denoiser and decoder work one after the other."""
        whole = self.weights_bytes + max(self.denoiser_bytes, self._decoder_bytes)
        return self.turn_bytes if self.offloaded else whole

    @property
    def _decoder_bytes(self) -> int:
        return 0 if self.tiled else self.decoder_bytes

    @property
    def fits(self) -> bool:
        return self.free_bytes is None or self.total_bytes <= self.free_bytes

    def __str__(self) -> str:
        free = "" if self.free_bytes is None else f", free are {_gb(self.free_bytes)}"
        parts = f"denoising {_gb(self.denoiser_bytes)}, decoding {_gb(self.decoder_bytes)}"
        whole = "in turns at most" if self.offloaded else "together"
        return f"weights {_gb(self.weights_bytes)}, {parts}: {whole} {_gb(self.total_bytes)}{free}"

    def advice(
        self,
        half: str = "load(..., dtype='float16')",
        tiles: str = "load(..., tiled=True)",
        offload: str = "load(..., offload=True)",
    ) -> tuple[str, ...]:
        """The ways to make it fit, each in a sentence with how it is asked for; nothing where it does."""
        if self.fits or self.free_bytes is None:
            return ()
        said = [f"It takes about {_gb(self.total_bytes)}, free are {_gb(self.free_bytes)}."]
        if not self.half:
            said.append(f"In half precision it takes about {_gb(self.total_bytes // 2)}: {half}.")
        without = replace(self, tiled=True).total_bytes
        if without < self.total_bytes:
            said.append(f"With the picture decoded in tiles it takes about {_gb(without)}: {tiles}.")
        if self.apart and not self.offloaded:
            rest = f"about {_gb(self.turn_bytes)} there and {_gb(self.weights_bytes)} of main memory"
            said.append(f"With networks that come to the device in turns it takes {rest}: {offload}.")
        return (*said, "A smaller picture takes less; so does a smaller model.")


def memory_of(preset: ModelPreset, size: int, control: str | None, device: torch.device, dtype: torch.dtype) -> Memory:
    """Of a model that is here, with one of its controls or none, for pictures of `size` pixels a side.

    Raises ModelUnavailable for one that is not here.
    """
    outline = outline_of(preset, control)
    unet, vae, controls = outline.unet, outline.vae, {} if control is None else {"controlnet": outline.control}
    vae_config = vae.config
    factor = 2 ** (len(vae_config.get("block_out_channels") or vae_config["decoder_block_out_channels"]) - 1)
    side = size // factor
    with torch.inference_mode(False), torch.no_grad():
        with Fused(), PeakBytes() as denoiser:
            run_once(Networks(unet, controls), (side, side), TOKENS)
        with Fused(), PeakBytes() as decoder:
            vae.decode(torch.empty(1, vae_config["latent_channels"], side, side, device="meta"))
    itemsize = torch.empty(0, dtype=dtype).element_size()
    share = itemsize / 4  # of what was measured in float32
    denoised, decoded = int(BRANCHES * denoiser.peak * share), int(decoder.peak * share)
    text, nets, vae_numbers = outline.numbers
    weights = (text * itemsize, nets * itemsize, vae_numbers * itemsize)
    apart = device.type not in ("cpu", "mps")  # Apple's shares main memory
    offloaded = preset.offload and device.type != "cpu"
    return Memory(*weights, denoised, decoded, free_bytes(device), itemsize == 2, preset.tiled, offloaded, apart)


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
