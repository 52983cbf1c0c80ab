"""The kind of prediction of a single file's UNet: the noise (epsilon), or noise and picture mixed (v).

No name or shape of a tensor says so. Asked in turn: the header's own words (ModelSpec's `modelspec.prediction_type`),
the marks `v_pred` and `ztsnr` that SDXL's finetunes carry, and for SD 2.x how far the biases of its last attention
spread, by which ComfyUI (`supported_models.py`, SD20) tells 2.1 from 2.1-base.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safetensors import safe_open

from hgc.models.families import FAMILIES
from hgc.models.presets import ModelPreset
from hgc.models.refusals import ModelUnavailable
from hgc.models.tensors import UNET, Tensors

EPSILON, VELOCITY = "epsilon", "v_prediction"
# As people write them, by what diffusers calls them.
PREDICTIONS: Mapping[str, str] = {"epsilon": EPSILON, "v": VELOCITY}
WIDEST_OF_EPSILON = 0.09  # standard deviation of the biases; those of v spread further
BASE_SIZE = 512  # pixels: SD 2.x that predicts noise is the base model, trained at this side


@dataclass(frozen=True)
class Prediction:
    """`schedule` is what the scheduler is made with, `why` how it was told, in a few words."""

    schedule: Mapping[str, Any]
    why: str

    @property
    def kind(self) -> str:
        return str(self.schedule["prediction_type"])


def prediction_of(tensors: Tensors) -> Prediction | None:
    """The kind of prediction of a checkpoint's UNet; None where the family's own scheduler says it."""
    told = tensors.metadata.get("modelspec.prediction_type", "").strip().lower()
    if told in ("v", "v_prediction", "epsilon"):
        return Prediction({"prediction_type": VELOCITY if told.startswith("v") else EPSILON}, "as its header says")
    if "v_pred" in tensors.shapes:
        terminal = {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
        zero = terminal if "ztsnr" in tensors.shapes else {}
        return Prediction({"prediction_type": VELOCITY, **zero}, "as a mark in it says")
    if tensors.family != "sd21" or tensors.channels != 4:
        return None
    kind = VELOCITY if _spread(tensors) > WIDEST_OF_EPSILON else EPSILON
    return Prediction({"prediction_type": kind}, "judged by its weights, since such files seldom say it")


def predicting(preset: ModelPreset, schedule: Mapping[str, Any]) -> ModelPreset:
    """The same with these settings of its scheduler; of SD 2.x, at the side that such a model was trained at."""
    size = preset.size
    if preset.family == "sd21":
        size = BASE_SIZE if schedule["prediction_type"] == EPSILON else FAMILIES["sd21"].size
    return replace(preset, size=size, schedule={**preset.schedule, **schedule})


def prediction_words(preset: ModelPreset) -> str:
    """The kind of prediction of a single file and how it is known, in a sentence; nothing where its family says it."""
    kind = preset.schedule.get("prediction_type")
    if kind is None or not Path(preset.source).is_file():
        return ""
    found = prediction_of(Tensors.of(Path(preset.source)))
    why = found.why if found is not None and found.kind == kind else "as you said"
    named = "the noise (epsilon)" if kind == EPSILON else "noise and picture mixed (v)"
    return f"It predicts {named}, {why}."


def prediction_named(word: str) -> dict[str, Any]:
    """The scheduler's settings for epsilon or v. Raises ModelUnavailable."""
    if word not in PREDICTIONS:
        raise ModelUnavailable(f"'{word[:40]}' is no kind of prediction; write {' or '.join(PREDICTIONS)}")
    return {"prediction_type": PREDICTIONS[word]}


def asks_prediction(source: str) -> bool:
    """Whether a source is a single file of SD 2.x, whose kind of prediction can only be judged."""
    path = Path(source)
    if not path.is_file():
        return False
    tensors = Tensors.of(path)
    return tensors.family == "sd21" and tensors.channels == 4


def _spread(tensors: Tensors) -> float:
    """The standard deviation of the first norm's biases in the UNet's last attention; 0 without."""
    end = ".1.transformer_blocks.0.norm1.bias"
    places = [name for name in tensors.shapes if name.startswith(f"{UNET}output_blocks.") and name.endswith(end)]
    if not places:
        return 0.0
    last = max(places, key=lambda name: int(name.removeprefix(f"{UNET}output_blocks.").partition(".")[0]))
    with safe_open(tensors.path, "pt") as file:
        return float(file.get_tensor(last).float().std(correction=0))
