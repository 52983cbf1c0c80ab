"""Models of one's own that are remembered between runs, in `runs/models.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hgc.models.presets import ModelPreset, presets
from hgc.models.refusals import ModelUnavailable
from hgc.whole import write_whole

PLACE = Path("runs") / "models.json"


def remembered() -> Mapping[str, ModelPreset]:
    """The models that were added here, by name. Raises ModelUnavailable for a damaged file."""
    if not PLACE.exists():
        return {}
    try:
        return {name: _preset(entry) for name, entry in json.loads(PLACE.read_text()).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise ModelUnavailable(f"{PLACE} is damaged; delete it and add your models again") from error


def remember(preset: ModelPreset) -> None:
    """Adds a model, or puts another of its name in its place. Raises ModelUnavailable for a name that is taken."""
    if preset.name in presets():
        raise ModelUnavailable(f"'{preset.name}' is the name of a model that is known already; choose another name")
    _write({**remembered(), preset.name: preset})


def forget(name: str) -> None:
    """Raises ModelUnavailable for a model that was not added."""
    known = dict(remembered())
    if known.pop(name, None) is None:
        raise ModelUnavailable(f"'{name}' was not added; added are {', '.join(known) or 'none'}")
    _write(known)


def _preset(entry: Mapping[str, Any]) -> ModelPreset:
    given = dict(entry)
    given["loras"] = tuple((source, weight) for source, weight in given["loras"])
    return ModelPreset(**given | {"canny": tuple(given["canny"]), "samplers": tuple(given["samplers"])})


def _write(known: Mapping[str, ModelPreset]) -> None:
    write_whole(PLACE, json.dumps({name: asdict(preset) for name, preset in known.items()}, indent=1).encode())
