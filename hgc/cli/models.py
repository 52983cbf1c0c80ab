"""`python -m hgc models`: which models there are, fetching them, and adding one's own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from hgc.cli.options import Device, Dtype
from hgc.cli.refusals import in_one_line
from hgc.models import hub
from hgc.models.fetching import FetchProgress, fetch, offer, sources_of
from hgc.models.loras import add_lora, added_loras, forget_lora
from hgc.models.presets import presets
from hgc.models.refusals import ModelUnavailable
from hgc.models.remembered import forget, remember, remembered

models = typer.Typer(help="List, fetch, add and remove models.", no_args_is_help=True)
What = Annotated[str, typer.Argument(help="A model's name, or an id of the Hub (`id:file` for a single file of it).")]


@models.command("list")
@in_one_line
def list_models() -> None:
    """List all models and added LoRAs, with their place, size and licence."""
    for name, preset in {**presets(), **remembered()}.items():
        print(f"{name:<16} {hub.state_of(preset):<24} {preset.title}{f' ({preset.licence})' if preset.licence else ''}")
    for name, source in added_loras().items():
        print(f"{name:<16} {'here' if hub.is_here(source) else 'gone':<24} a LoRA, {source}")


@models.command("fetch")
@in_one_line
def fetch_model(
    what: What,
    control: Annotated[list[str] | None, typer.Option(help="Also fetch the ControlNet of this control.")] = None,
    configs: Annotated[bool, typer.Option("--configs", help="Only the tokenizer and settings.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Fetch without asking.")] = False,
) -> None:
    """Show a model's size and licence, and download it if you agree. Ctrl+C stops; fetch again to continue."""
    offers = [offer(source, configs=configs) for source in sources_of(what, control or ())]
    for entry in offers:
        print(entry)
    if not any(entry.left_bytes for entry in offers):
        return
    if not yes:
        typer.confirm("Fetch?", abort=True)
    try:
        fetch(offers, tell=_show)
    except KeyboardInterrupt as error:
        raise ModelUnavailable("stopped; fetch again to go on where it was") from error
    typer.echo("", err=True)
    print("all is here")


def _show(at: FetchProgress) -> None:
    left = "" if at.eta_s is None else f", {at.eta_s:.0f} s left"
    line = (
        f"{at.done_bytes / 1e6:,.1f} of {at.size_bytes / 1e6:,.1f} MB, {at.bytes_per_s / 1e6:.1f} MB/s{left}  {at.file}"
    )
    typer.echo(f"\r\033[K{line}", nl=False, err=True)


@models.command("memory")
@in_one_line
def memory(
    what: What,
    control: Annotated[str | None, typer.Option(help="With the ControlNet of this control.")] = None,
    size: Annotated[int | None, typer.Option(help="Side of the picture in pixels; by default the model's.")] = None,
    device: Device = None,
    dtype: Dtype = None,
) -> None:
    """Show how much memory a picture needs with a model, how much is free, and what would help."""
    from hgc.models.devices import best_device, device_named, dtype_named
    from hgc.models.memory import memory_of
    from hgc.models.named import preset_of
    from hgc.request import Recipe

    if size is not None:
        Recipe.parse({"size": (size, size)})
    preset, where = preset_of(what), device_named(device) if device else best_device()
    need = memory_of(preset, size or preset.size, control, where, dtype_named(dtype or preset.precision or None, where))
    print(need)
    adding = f"`hgc models add {what} --name NAME"
    for sentence in need.advice("--dtype float16", f"{adding} --tiled`", f"{adding} --offload`"):
        print(sentence)


@models.command("add")
@in_one_line
def add_model(
    what: Annotated[str, typer.Argument(help="A folder in diffusers' format, a .safetensors file, or an id.")],
    name: Annotated[str | None, typer.Option(help="A name for it; by default the file's or folder's.")] = None,
    control: Annotated[list[str] | None, typer.Option(help="NAME=FILE, FOLDER or ID of a ControlNet for it.")] = None,
    lora: Annotated[list[str] | None, typer.Option(help="FILE=WEIGHT of a LoRA that is loaded with it.")] = None,
    vae: Annotated[str | None, typer.Option(help="FILE, FOLDER or ID of another VAE for it.")] = None,
    dtype: Dtype = None,
    tiled: Annotated[bool, typer.Option("--tiled", help="Decode in tiles: less memory, a little slower.")] = False,
    offload: Annotated[
        bool, typer.Option("--offload", help="Keep networks in main memory until they are used.")
    ] = False,
    prediction: Annotated[
        str | None, typer.Option(help="epsilon or v: what a single file predicts, where it was judged wrongly.")
    ] = None,
) -> None:
    """Add your own model or LoRA under a name, for the page and every command (runs/models.json)."""
    from hgc.models.devices import best_device, dtype_named
    from hgc.models.named import preset_of
    from hgc.models.own import called, with_control, with_lora, with_prediction, with_vae
    from hgc.models.prediction import asks_prediction, prediction_words
    from hgc.models.tensors import Tensors

    path = Path(what).expanduser()
    if path.is_file() and Tensors.of(path).holds == "lora":
        print(f"added the LoRA {add_lora(what, name)}; take it with --loras NAME=WEIGHT")
        return
    preset = called(preset_of(what), name or "")
    for kind, source in map(_pair, control or ()):
        preset = with_control(preset, kind, source)
    for file, weight in map(_pair, lora or ()):
        preset = with_lora(preset, file, _weight(weight))
    if vae is not None:
        preset = with_vae(preset, vae)
    if prediction is not None:
        preset = with_prediction(preset, prediction)
    dtype_named(dtype, best_device())
    remember(replace(preset, precision=dtype or "", tiled=tiled, offload=offload))
    print(f"added {preset.name}, a model of the family of {preset.family}")
    if words := prediction_words(preset):
        print(
            f"{words} Add it again with --prediction where that is wrong." if asks_prediction(preset.source) else words
        )


def _pair(text: str) -> tuple[str, str]:
    left, sign, right = text.rpartition("=") if text.count("=") > 1 else text.partition("=")
    if not sign or not left or not right:
        raise ModelUnavailable(f"'{text[:80]}' has no two sides; write it as NAME=VALUE")
    return left, right


def _weight(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise ModelUnavailable(f"'{text[:40]}' is not a LoRA's weight; give a number such as 0.8") from error


@models.command("remove")
@in_one_line
def remove_model(name: Annotated[str, typer.Argument(help="The name of a model or LoRA that was added.")]) -> None:
    """Remove an added model or LoRA from the list. Its files stay."""
    if name in added_loras():
        forget_lora(name)
    else:
        forget(name)
    print(f"removed {name}; its files are untouched")
