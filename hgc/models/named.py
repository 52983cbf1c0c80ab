"""The preset that a name, an id on the Hub, a folder or a file stands for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hgc.models import hub
from hgc.models.configs import read_config
from hgc.models.families import FAMILIES, family_of
from hgc.models.prediction import predicting, prediction_of
from hgc.models.presets import ModelPreset, presets
from hgc.models.refusals import ModelUnavailable
from hgc.models.remembered import remembered
from hgc.models.tensors import Tensors


def preset_of(what: str) -> ModelPreset:
    """The preset of a model by its name, id, folder or file. Raises ModelUnavailable."""
    known = {**presets(), **remembered()}
    if what in known:
        return known[what]
    path = Path(what).expanduser()
    if path.is_file():
        return _preset_of_file(path.resolve())
    folder = path.resolve() if path.is_dir() else None
    if folder is None and what.count("/") == 1 and not what.startswith((".", "/")):
        folder = hub.model_folder(what)
        if folder is None:
            raise ModelUnavailable(f"{what} is not here; fetch it with `hgc models fetch {what}`")
    if folder is None and (what.startswith((".", "/", "~")) or what.endswith(".safetensors")):
        raise ModelUnavailable(f"there is no file or folder {what[:200]} on this machine; check the path")
    if folder is None:
        raise ModelUnavailable(
            f"unknown model '{what[:80]}'; known are {', '.join(known)}, ids of the Hub, and folders and files on this "
            "machine"
        )
    return _preset_of_folder(folder, what)


def _preset_of_folder(folder: Path, source: str) -> ModelPreset:
    """A preset for a folder in diffusers' format, with all that its family usually wants. Raises ModelUnavailable."""
    index = folder / "model_index.json"
    if not index.exists():
        raise ModelUnavailable(f"{source} has no model_index.json: choose a folder in diffusers' format")
    listed = read_config(index)
    kind, unet = str(listed.get("_class_name")), folder / "unet" / "config.json"
    if not kind.startswith("StableDiffusion") or kind.startswith("StableDiffusion3") or not unet.exists():
        raise ModelUnavailable(f"{source} is a {kind}, which cannot be run here; choose Stable Diffusion or SDXL")
    if (listed.get("text_encoder") or [None])[0] is None:
        raise ModelUnavailable(NO_TEXT.format(source))
    if missing := hub.lacking(folder):
        raise ModelUnavailable(f"{source} is not whole: no weights of {', '.join(missing)}; fetch or copy it again")
    config = read_config(unet)
    base = presets()[family_of(config).base]
    size = config.get("sample_size", base.size // 8) * 8
    own = str(folder) if Path(source).expanduser().exists() else source
    return replace(base, name=Path(source).name, title=Path(source).name, source=own, size=size, licence="")


def _preset_of_file(path: Path) -> ModelPreset:
    """A preset for a checkpoint in one file. Raises ModelUnavailable."""
    tensors = Tensors.of(path)
    if tensors.holds != "checkpoint":
        raise ModelUnavailable(
            f"{path.name} holds a {tensors.holds}, not a whole model; name a model, and give this beside it"
        )
    if tensors.without_text:
        raise ModelUnavailable(NO_TEXT.format(path.name))
    base = presets()[FAMILIES[tensors.family].base]
    preset = replace(base, name=path.stem, title=path.stem, source=str(path), licence="")
    predicted = prediction_of(tensors)
    return preset if predicted is None else predicting(preset, predicted.schedule)


def not_here(preset: ModelPreset) -> str:
    """The remedy for a model that is not on this machine."""
    return (
        f"{preset.title} is not here ({preset.source}, about {preset.size_bytes / 1e9:.1f} GB, licence "
        f"{preset.licence}); fetch it with `hgc models fetch {preset.name}`, or choose Landscapes"
    )


NO_TEXT = "{} has no text encoder that reads a prompt (SDXL's refiner is such a model); choose the base model"
