"""A picture's model, ControlNets and LoRAs that are not on this machine, each with its remedy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from hgc.models import hub
from hgc.models.loras import lora_named
from hgc.models.presets import ModelPreset, presets
from hgc.models.refusals import ModelUnavailable
from hgc.models.remembered import remembered

GONE = "its files are no longer where they were"  # whoever asks may sit elsewhere: no path is named


def absent(model: str, controls: Iterable[str], loras: Iterable[str]) -> str:
    """All of it in one sentence; nothing where everything is here. All three are names."""
    known = _known()
    preset = known.get(model)
    parts = [_model(model, preset)]
    if preset is not None:
        parts += [_control(preset, name) for name in controls]
    parts += [lora_absent(name) for name in loras]
    listed = [part for part in parts if part]
    if not listed:
        return ""
    return f"Not on this machine: {'; '.join(listed)}."


def lora_absent(name: str) -> str:
    """A LoRA that is not here, with its remedy; nothing for one that is."""
    try:
        lora_named(name)
    except ModelUnavailable:
        remedy = f"hgc models fetch {name}" if ":" in name else f"hgc models add FILE --name {name}"
        return f"the LoRA '{name[:80]}' (`{remedy[:120]}`)"
    return ""


def title_of(name: str) -> str:
    """A model as people are told of it."""
    preset = _known().get(name)
    return name[:80] if preset is None else preset.title


def _known() -> Mapping[str, ModelPreset]:
    try:
        return {**presets(), **remembered()}
    except ModelUnavailable:  # told wherever models are listed
        return presets()


def _model(name: str, preset: ModelPreset | None) -> str:
    if preset is None:
        return f"the model '{name[:80]}' (`hgc models add FILE --name {name[:80]}`)"
    if preset.name == "landscapes" or not hub.missing_of(preset):
        return ""
    return f"the model {preset.title} ({GONE if preset.local else f'`hgc models fetch {preset.name}`'})"


def _control(preset: ModelPreset, name: str) -> str:
    if name not in preset.controls:
        return (
            f"a ControlNet of {preset.title} for '{name[:40]}' (`hgc models add` it with `--control {name[:40]}=FILE`)"
        )
    source = preset.controls[name]
    if source.startswith("./") or hub.is_here(source):
        return ""
    return f"the ControlNet for '{name}' ({GONE if Path(source).is_absolute() else f'`hgc models fetch {source}`'})"
