"""The models of the Hugging Face Hub that are on this machine: where they lie, and whether they are whole.

Nothing here uses the network.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from huggingface_hub import constants, try_to_load_from_cache

from hgc.models.configs import read_config
from hgc.models.presets import ModelPreset

STEMS = ("diffusion_pytorch_model", "model")  # diffusers' and transformers' names of weight files
# Parts of a published pipeline that its pictures do not need.
UNUSED = ("safety_checker", "feature_extractor", "image_encoder")
VARIANT = "fp16"


def cache_folder() -> Path:
    """Where the Hub's files are kept (HF_HOME)."""
    return Path(constants.HF_HUB_CACHE)


def missing_of(preset: ModelPreset) -> tuple[str, ...]:
    """The files of a model, without its ControlNets, that are not on this machine."""
    return tuple(source for source in (preset.source, *(lora for lora, _ in preset.loras)) if not is_here(source))


def state_of(preset: ModelPreset) -> str:
    """In words, whether a model is on this machine, and how many of its ControlNets are."""
    if preset.name == "landscapes":
        return "here"
    missing = missing_of(preset)
    if preset.source in missing:
        return "gone" if preset.local else f"to fetch, {preset.size_bytes / 1e9:.1f} GB"
    here = [name for name, source in preset.controls.items() if is_here(source)]
    if missing:
        return "to fetch, its LoRA"
    return "here" if len(here) == len(preset.controls) else f"here, {len(here)} of {len(preset.controls)} controls"


def snapshot(repo: str, name: str) -> Path | None:
    """The folder of a repository's newest files here, if the file `name` is among them."""
    if name.startswith("/") or ".." in (*repo.split("/"), *name.split("/")):
        return None  # the name of a file elsewhere
    try:
        path = try_to_load_from_cache(repo, name, cache_dir=cache_folder())
    except ValueError:  # no id
        return None
    return Path(path).parents[name.count("/")] if isinstance(path, str) else None


def model_folder(repo: str) -> Path | None:
    """The folder of a repository that holds a pipeline or a ControlNet in diffusers' format and is here, whole."""
    for name in ("model_index.json", "config.json"):
        folder = snapshot(repo, name)
        if folder is not None:
            return None if lacking(folder) else folder
    return None


def is_here(source: str) -> bool:
    """Whether an id's model, an id's single file (`id:file`), or a path is on this machine."""
    if Path(source).expanduser().exists():
        return True
    repo, _, name = source.partition(":")
    return snapshot(repo, name) is not None if name else model_folder(repo) is not None


def remedy(source: str) -> str:
    """The way to get a source: half a sentence."""
    if re.fullmatch(r"[\w.-]+/[\w.-]+(:[^:]+)?", source):
        return f"fetch it with `hgc models fetch {source[:120]}`"
    return "there is no such file or folder: give one, or an id of the Hub"


def lacking(folder: Path) -> tuple[str, ...]:
    """The parts of a folder in diffusers' format whose weights are not all there."""
    index = folder / "model_index.json"
    if not index.exists():
        return () if variants(folder) else ("weights",)
    listed = {
        name: part
        for name, part in read_config(index).items()
        if isinstance(part, list) and part[0] is not None and name not in UNUSED
    }
    bare = ("scheduler", "tokenizer", "tokenizer_2", "controlnet")
    heavy = [name for name in listed if name not in bare and not variants(folder / name)]
    return (*heavy, *(name for name in listed if name in bare[:-1] and not (folder / name).is_dir()))


def variants(part: Path) -> frozenset[str]:
    """How the weights of one part are here, whole: 'fp16' for half precision, '' for plainly, nothing at all."""
    there = {file.name for file in part.glob("*.safetensors*") if file.exists()}
    whole = set()
    for name in there:
        if name.endswith(".json"):
            listed = read_config(part / name).get("weight_map")
            if isinstance(listed, dict) and set(listed.values()) <= there:
                whole.add(VARIANT if f".{VARIANT}." in name else "")
        elif "-of-" not in name and name.removesuffix(".safetensors").removesuffix(f".{VARIANT}") in STEMS:
            whole.add(VARIANT if f".{VARIANT}." in name else "")
    return frozenset(whole)


def variant(folder: Path, half: bool) -> str | None:
    """The `variant` by which diffusers loads a folder: of both kinds that which fits the precision it will run in."""
    index = folder / "model_index.json"
    parts = [part for part in folder.iterdir() if part.is_dir()] if index.exists() else [folder]
    kinds = [found for part in parts if part.name not in UNUSED and (found := variants(part))]
    fitting = VARIANT if half else ""
    chosen = fitting if all(fitting in found for found in kinds) else "" if half else VARIANT
    return chosen or None


def needed(files: Collection[str]) -> tuple[str, ...]:
    """Of a repository's files those that a model in diffusers' format is loaded from; halves if published."""
    pipeline = "model_index.json" in files
    taken: list[str] = []
    for folder in sorted({name.rpartition("/")[0] for name in files}):
        if "/" in folder or folder in UNUSED or pipeline is not bool(folder):
            continue
        own = [name for name in files if name.rpartition("/")[0] == folder]
        weights = [name for name in own if ".safetensors" in name and _stem(name) in STEMS]
        halves = [name for name in weights if f".{VARIANT}" in name]
        taken += [name for name in own if name.endswith((".json", ".txt")) and name not in weights]
        taken += halves or weights
    return (("model_index.json",) if pipeline else ()) + tuple(sorted(taken))


def _stem(name: str) -> str:
    """A weight file's name without folder, ending, variant and shard number."""
    return re.split(r"[.-]", name.rpartition("/")[2])[0]
