"""The differences between two requests, setting by setting, in words."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from hgc.request import Request, SecondControl

TITLES: Mapping[str, str] = {
    "model": "Model",
    "control": "Control",
    "control_png": "Control map",
    "prompt": "Prompt",
    "negative_prompt": "Negative prompt",
    "seed": "Seed",
    "steps": "Steps",
    "sampler": "Sampler",
    "guidance": "Guidance",
    "control_scale": "Control strength",
    "control_start": "Control from",
    "control_end": "Control until",
    "size": "Size",
    "second.control": "Second control",
    "second.map": "Second control map",
    "second.scale": "Second control strength",
    "second.start": "Second control from",
    "second.end": "Second control until",
    "source": "Source picture",
    "strength": "Strength of the change",
    "mask": "Mask",
    "loras": "LoRAs",
    "method": "Method",
    "budget": "Budget",
    "at_least": "At least",
    "verify": "Doubt forecasts from",
    "rival": "Third picture",
    "plan": "Plan of its own",
    "cache.coarse": "Coarse cache",
    "cache.fine": "Fine cache",
    "cache.lambda_inter": "Key steps (λ inter)",
    "cache.similarity": "By measured similarity",
    "cache.lambda_intra": "Refreshed layers (λ intra)",
    "cache.gate": "Gate",
    "cache.attention_every": "Attention every n-th time",
    "cache.fusion": "After the gate",
    "cache.order": "Kept values",
    "cache.threshold": "Threshold",
    "cache.release": "Threshold after a refreshed step",
    "cache.most": "Most refreshed steps",
}

# Settings that are pictures, and how one is called.
PICTURES: Mapping[str, str] = {"control_png": "map", "second.map": "map", "source": "picture", "mask": "mask"}

# What a value is called on the form.
_CALLED: Mapping[tuple[str, Any], str] = {
    ("control", "segmentation"): "label map",
    ("cache.fusion", "difference"): "keep the last difference",
    ("cache.fusion", "drop"): "drop guidance",
    ("cache.order", 0): "repeat",
    ("cache.order", 1): "follow a line",
    ("cache.order", 2): "follow a curve",
}


def differing(one: Request, other: Request) -> dict[str, tuple[str, str]]:
    """The settings in which two requests differ, by title, each in words."""
    left, right = _flat(one), _flat(other)
    return {
        TITLES[name]: (_word(name, left[name]), _word(name, right[name]))
        for name in TITLES
        if left[name] != right[name]
    }


def settings_of(request: Request) -> dict[str, str]:
    """Every setting of a request by title, in words."""
    return {TITLES[name]: _word(name, value) for name, value in _flat(request).items()}


def _flat(request: Request) -> dict[str, Any]:
    """Every setting by its name; HGC's own have none where a plan or a budget decides, nor what is not in use."""
    values = request.model_dump(mode="json")
    cache, by_hand = values.pop("cache"), not (request.plan or request.budget or request.at_least)
    values |= {f"cache.{name}": value if by_hand else None for name, value in cache.items()}
    second = values.pop("second") or dict.fromkeys(SecondControl.model_fields)
    values |= {f"second.{name}": value for name, value in second.items()}
    return values if request.source else values | {"strength": None}


def _word(name: str, value: Any) -> str:
    if name in PICTURES and value is not None:
        return f"{PICTURES[name]} {sha256(value.encode()).hexdigest()[:6]}"
    if name == "size" and value is not None:
        return " × ".join(map(str, value))
    if name == "loras" and value:
        return ", ".join(f"{lora['name']} × {lora['weight']:g}" for lora in value)
    if name == "plan":
        return "none" if value is None else str(value.get("name"))
    if isinstance(value, str | int) and (name, value) in _CALLED:
        return _CALLED[name, value]
    if isinstance(value, bool):
        return "on" if value else "off"
    if value is None or value in ("", []):
        return "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
