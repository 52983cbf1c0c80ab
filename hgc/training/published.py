"""Finished weights as the checkpoints a training goes on from."""

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from diffusers import AutoencoderTiny, ControlNetModel, UNet2DConditionModel
from torch import nn
from torch.optim.swa_utils import AveragedModel
from transformers import CLIPTextModel, CLIPTokenizer

from hgc.landscapes.caption import vocabulary
from hgc.landscapes.eyes import HEADS, DepthReader, Reader, Segmenter
from hgc.landscapes.tokenizer import build_tokenizer, known_words, word_ids
from hgc.training.autoencoder import build_autoencoder
from hgc.training.checkpoint import CheckpointError, save_checkpoint
from hgc.training.denoiser import NETS, Denoiser, strengthen
from hgc.training.optim import Pair
from hgc.training.pace import Pace

if TYPE_CHECKING:
    from hgc.training.train import TrainingRecipe

log = logging.getLogger(__name__)

NEW_WORD_STD, NEW_WORD_SEED = 0.02, 0


def published_stages(weights: Path) -> dict[str, Any]:
    """Steps, seconds and losses of every stage. Raises CheckpointError where the folder holds no record."""
    stages: dict[str, Any] = _record(weights)["stages"]
    return stages


def _record(weights: Path) -> dict[str, Any]:
    path = weights / "training.json"
    if not path.exists():
        raise CheckpointError(f"{weights} has no training.json; give the folder of a finished training")
    record: dict[str, Any] = json.loads(path.read_text())
    return record


def take_up(weights: Path, work: Path, recipe: "TrainingRecipe") -> None:
    """Write to `work` the checkpoint of every stage that has none there, from finished `weights` and their record.

    Steps, time spent and losses go on from training.json; the optimizers' momenta are not published and start anew.
    A reader that cannot read all that there is to read is left out, and a new one trained.
    A network that the weights lack is trained from its beginning; a ControlNet, from the label maps'. The
    record's `strengths` are undone.
    Raises CheckpointError where the folder holds no record, or where weights lack a control or words and have no time
    left to learn them; RuntimeError where the recipe asks for other sizes.
    """
    stages = published_stages(weights)
    for name, build in (
        ("autoencoder", lambda: (_autoencoder(weights, recipe), recipe.autoencoder)),
        ("segmenter", lambda: (Segmenter.load(weights / "segmenter"), recipe.segmenter)),
        ("reader", lambda: (Reader.load(weights / "reader"), recipe.reader)),
        ("depth_reader", lambda: (DepthReader.load(weights / "depth_reader"), recipe.depth_reader)),
        ("denoiser", lambda: (_denoiser(weights, recipe), recipe.denoiser)),
    ):
        path = work / f"{name}.ckpt"
        if path.exists() or name not in stages:
            continue
        model, plan = build()
        if isinstance(model, Reader) and model.heads != tuple(HEADS):
            log.info("reader starts anew: that of %s reads %s only", weights, " and ".join(model.heads))
            continue
        state: dict[str, Any] = {
            "model": model.state_dict(),
            "optimizer": Pair(model, plan.rate, plan.matrix_rate).state_dict(),
            "step": stages[name]["steps"],
            "spent_s": stages[name]["seconds"],
            "losses": stages[name]["losses"],
        }
        if name == "denoiser":
            _check_time(weights, Pace(recipe.denoiser_budget, state["step"], state["spent_s"]))
            average = AveragedModel(model)
            average.n_averaged += state["step"]
            state["average"] = average.state_dict()
        save_checkpoint(path, state)
        log.info("%s goes on from %s after %d steps", name, weights, state["step"])


def _check_time(weights: Path, pace: Pace) -> None:
    """Raises CheckpointError where there is something new to learn, and no time for it."""
    controls = [control for control, net in NETS.items() if not (weights / net).exists()]
    words = sorted(set(vocabulary()) - known_words(CLIPTokenizer.from_pretrained(weights / "tokenizer")))
    lacking = [*(f"no {control} control" for control in controls), *(f"no word '{word}'" for word in words[:1])]
    if lacking and pace.finished():
        raise CheckpointError(f"{weights} has {' and '.join(lacking)}: give --more denoiser=MINUTES to learn it")


def _autoencoder(weights: Path, recipe: "TrainingRecipe") -> nn.Module:
    return _filled(build_autoencoder(recipe.autoencoder), AutoencoderTiny.from_pretrained(weights / "vae"))


def _denoiser(weights: Path, recipe: "TrainingRecipe") -> nn.Module:
    tokenizer = build_tokenizer()
    model = Denoiser(recipe.denoiser.sizes, tokenizer)
    _understanding(
        model.text_encoder,
        CLIPTextModel.from_pretrained(weights / "text_encoder"),
        CLIPTokenizer.from_pretrained(weights / "tokenizer"),
        tokenizer,
    )
    _filled(model.unet, UNet2DConditionModel.from_pretrained(weights / "unet"))
    strengths: dict[str, float] = _record(weights)["recipe"].get("strengths", {})
    for control, net in model.nets.items():
        source = control if (weights / NETS[control]).exists() else "segmentation"
        _filled(net, ControlNetModel.from_pretrained(weights / NETS[source]))
        strengthen(net, 1 / strengths.get(source, 1.0))
    return model


@torch.no_grad()
def _understanding(model: CLIPTextModel, finished: CLIPTextModel, known: CLIPTokenizer, now: CLIPTokenizer) -> None:
    """Fill `model` from the finished one, each piece's row by its text: a larger vocabulary numbers pieces anew.

    Words that were not `known` begin as small noise, and new pieces of words as nothing.
    """
    table = model.get_input_embeddings().weight
    learned = finished.get_input_embeddings().weight.to(torch.float32)
    noise = torch.randn(table.shape, generator=torch.Generator().manual_seed(NEW_WORD_SEED)) * NEW_WORD_STD
    rows, places = torch.zeros_like(table), known.get_vocab()
    words, before = set(word_ids(now)), set(word_ids(known))
    for piece, number in now.get_vocab().items():
        place = places.get(piece)
        if number in words and place not in before:
            rows[number] = noise[number]
        elif place is not None:
            rows[number] = learned[place]
    name = next(name for name, weight in model.named_parameters() if weight is table)
    rest = {key: weight.to(torch.float32) for key, weight in finished.state_dict().items()}
    model.load_state_dict(rest | {name: rows})


def _filled(model: nn.Module, finished: nn.Module) -> nn.Module:
    """`model` with the finished one's weights, in float32."""
    model.load_state_dict({name: weight.to(torch.float32) for name, weight in finished.state_dict().items()})
    return model
