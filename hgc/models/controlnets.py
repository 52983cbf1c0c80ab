"""ControlNets from a folder, the Hub's cache or a file, loaded when they are first asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from threading import Lock
from typing import Any

import torch
from diffusers import ControlNetModel, ControlNetUnionModel

from hgc.models import hub
from hgc.models.configs import read_config
from hgc.models.presets import ModelPreset
from hgc.models.refusals import ModelUnavailable

KINDS: Mapping[str, Any] = {"ControlNetModel": ControlNetModel, "ControlNetUnionModel": ControlNetUnionModel}


class ControlNets(Mapping[str, Any]):
    """The ControlNets of a loaded model that are here, by control; each is loaded once, when it is first asked for."""

    def __init__(self, sources: Mapping[str, str], is_here: Callable[[str], bool], load: Callable[[str], Any]) -> None:
        self._sources, self._is_here, self._load = sources, is_here, load
        self._nets: dict[str, Any] = {}  # by source: several controls share a Union network
        self._lock = Lock()

    def __getitem__(self, name: str) -> Any:
        source = self._sources[name]
        with self._lock:
            if source not in self._nets:
                self._nets[source] = self._load(source)
            return self._nets[source]

    def __contains__(self, name: object) -> bool:
        return name in self._sources and self._is_here(self._sources[str(name)])

    def __iter__(self) -> Iterator[str]:
        return iter([name for name in self._sources if name in self])

    def __len__(self) -> int:
        return len(list(iter(self)))

    @property
    def ready(self) -> Mapping[str, Any]:
        """Those that are loaded, by control."""
        return {name: self._nets[source] for name, source in self._sources.items() if source in self._nets}


def folder_of(preset: ModelPreset, source: str) -> Path | None:
    """The folder or file of a ControlNet: inside its model's own, anywhere on this machine, or in the Hub's cache."""
    if source.startswith("./"):
        return Path(preset.source) / source[2:]
    path = Path(source).expanduser()
    return path.resolve() if path.exists() else hub.model_folder(source)


def load_folder(folder: Path, title: str, dtype: torch.dtype) -> Any:
    """A ControlNet in diffusers' format. Raises ModelUnavailable for anything else."""
    config = folder / "config.json"
    if not config.exists():
        raise ModelUnavailable(f"{title} is not a ControlNet in diffusers' format: there is no config.json in it")
    kind = str(read_config(config).get("_class_name"))
    if kind not in KINDS:
        raise ModelUnavailable(f"{title} holds a {kind}, which is not a ControlNet for Stable Diffusion or SDXL")
    return KINDS[kind].from_pretrained(
        folder,
        dtype=dtype,
        low_cpu_mem_usage=False,
        local_files_only=True,
        use_safetensors=True,
        variant=hub.variant(folder, dtype is not torch.float32),
    )


def check_fits(net: Any, unet: Any, name: str, title: str) -> None:
    """Raises ModelUnavailable for a ControlNet of another family than the model's."""
    theirs, ours = (_width(part) for part in (net, unet))
    if theirs != ours:
        raise ModelUnavailable(
            f"the ControlNet for '{name}' is not for {title}: it reads text of width {theirs[0]} into {theirs[1]} "
            f"channels, the model has {ours[0]} and {ours[1]}; choose one made for this family"
        )


def _width(net: Any) -> tuple[int, tuple[int, ...]]:
    return net.config.cross_attention_dim, tuple(net.config.block_out_channels)
