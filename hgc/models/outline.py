"""A model without its weights: its networks on the meta device, from configurations and from the headers of files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, UNet2DConditionModel

from hgc.models import hub
from hgc.models.configs import read_config
from hgc.models.controlnets import KINDS, check_fits, folder_of
from hgc.models.files import configs_for, controlnet_like
from hgc.models.library_errors import incomplete, told
from hgc.models.presets import ModelPreset
from hgc.models.refusals import ModelUnavailable
from hgc.models.tensors import Tensors

VAES: Mapping[str, Any] = {"AutoencoderKL": AutoencoderKL, "AutoencoderTiny": AutoencoderTiny}
TEXT_ENCODERS = ("text_encoder", "text_encoder_2")
# Where the first authors' files keep their text encoders.
TEXT_NAMES = ("cond_stage_model.", "conditioner.")


@dataclass(frozen=True)
class Outline:
    """The networks of a model with one of its controls, None without; text encoders are only counted."""

    unet: Any
    vae: Any
    control: Any
    text_numbers: int

    @property
    def numbers(self) -> tuple[int, int, int]:
        """How many numbers the weights are: of the text encoders, of UNet and ControlNet, of the VAE."""
        unet, vae, control = (
            0 if net is None else sum(p.numel() for p in net.parameters())
            for net in (self.unet, self.vae, self.control)
        )
        return self.text_numbers, unet + control, vae


def outline_of(preset: ModelPreset, control: str | None = None) -> Outline:
    """Of a model that is here. Raises ModelUnavailable, too for a control or a VAE that does not fit it."""
    if control is not None and control not in preset.controls:
        raise ModelUnavailable(f"{preset.title} has no control '{control}'; it has {', '.join(preset.controls)}")
    folder = Path(preset.source) if preset.local else hub.model_folder(preset.source)
    if folder is None or not folder.exists():
        raise ModelUnavailable(f"{preset.title} is not here: its memory cannot be measured")
    single = folder if folder.is_file() else None
    configs = configs_for(preset, single) if single else folder
    with told(*incomplete(preset)), torch.device("meta"):
        changes = {"in_channels": Tensors.of(single).channels} if single else {}
        unet = UNet2DConditionModel.from_config(_config(configs / "unet") | changes).eval()
        vae = _vae(preset.vae, configs)
        net = None if control is None else _control(preset, control, unet)
    return Outline(unet, vae, net, _text_numbers(single, folder))


def _vae(source: str, configs: Path) -> Any:
    path = Path(source).expanduser()
    if source and path.is_file():
        if (holds := Tensors.of(path).holds) != "vae":
            raise ModelUnavailable(f"{path.name} holds a {holds}, no VAE; choose a VAE's file")
        place = configs / "vae"
    elif source:
        folder = path if path.is_dir() else hub.model_folder(source)
        if folder is None:
            raise ModelUnavailable(f"the VAE {source} is not here; fetch it with `hgc models fetch {source}`")
        place = folder / "vae" if (folder / "vae").is_dir() else folder
    else:
        place = configs / "vae"
    if not (place / "config.json").exists():
        raise ModelUnavailable(
            f"{source or configs.name} is not a VAE in diffusers' format: there is no config.json in it"
        )
    config = _config(place)
    if (kind := str(config.get("_class_name"))) not in VAES or (source and kind != "AutoencoderKL"):
        raise ModelUnavailable(
            f"{source or configs.name} holds a {kind}, which is not a VAE for Stable Diffusion or SDXL"
        )
    return VAES[kind].from_config(config).eval()


def _control(preset: ModelPreset, control: str, unet: Any) -> Any:
    source = preset.controls[control]
    place = folder_of(preset, source)
    if place is None or not place.exists():
        raise ModelUnavailable(f"the ControlNet for '{control}' is not here ({source}); {hub.remedy(source)}")
    if place.is_file():
        return controlnet_like(place, unet, preset.title).eval()
    config = _config(place) if (place / "config.json").exists() else {}
    if (kind := str(config.get("_class_name", "no config.json"))) not in KINDS:
        raise ModelUnavailable(f"{source} holds {kind}, which is not a ControlNet in diffusers' format")
    if missing := hub.lacking(place):
        raise ModelUnavailable(f"{source} is not whole: no {', '.join(missing)}; fetch or copy it again")
    net = KINDS[kind].from_config(config).eval()
    check_fits(net, unet, control, preset.title)
    return net


def _config(folder: Path) -> dict[str, Any]:
    return read_config(folder / "config.json")


def _text_numbers(single: Path | None, folder: Path) -> int:
    if single is not None:
        shapes = Tensors.of(single).shapes
        return sum(torch.Size(shape).numel() for name, shape in shapes.items() if name.startswith(TEXT_NAMES))
    return sum(_numbers(folder / name) for name in TEXT_ENCODERS if (folder / name).is_dir())


def _numbers(folder: Path) -> int:
    """How many numbers a part's weights are, of one of the files that hold them."""
    variant = f".{hub.VARIANT}." if hub.VARIANT in hub.variants(folder) else ""
    files = [f for f in folder.glob("*.safetensors") if (f".{hub.VARIANT}." in f.name) == bool(variant)]
    shapes = [shape for file in files for shape in Tensors.of(file).shapes.values()]
    return sum(torch.Size(shape).numel() for shape in shapes)
