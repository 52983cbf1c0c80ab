"""The origin of this process's pictures: versions, device, precision, weights."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from datetime import UTC, datetime
from functools import partial
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

import diffusers
import torch

from hgc import __version__
from hgc.cache.recording.rows import Recordings
from hgc.evidence import MOMENT, Made
from hgc.models.devices import processor_of
from hgc.models.loaded import Loaded
from hgc.models.loras import lora_named
from hgc.request import Recipe

EMBEDDED = "landscapes"


class Numbers:
    """The names of a loaded model's numbers; every network and file is read once."""

    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded
        self._known: dict[Hashable, str] = {}

    def digest(self, recipe: Recipe) -> str:
        """Twelve hex digits that name every number in the networks that a recipe runs, LoRAs with their weights.

        Another precision gives another digest. The embedded model is named as a whole, both its ControlNets included.
        """
        loaded = self._loaded
        whole = loaded.preset.name == EMBEDDED
        controls = {f"control {name}": net for name, net in loaded.controls.items()} if whole else {}
        names = [self._once("parts", lambda: parts_digest({**loaded.components, **controls}))]
        for name in () if whole else recipe.controls:
            names.append(self._once(f"control {name}", partial(_control_digest, loaded, name)))
        names += [f"{weight:g}" for _, weight in loaded.preset.loras]
        for lora in recipe.loras:
            path = lora_named(lora.name)
            state = path.stat()
            key = (path, state.st_mtime_ns, state.st_size)
            names.append(f"{self._once(key, partial(_file_digest, path))} {lora.weight:g}")
        return names[0] if len(names) == 1 else sha256(" ".join(names).encode()).hexdigest()[:12]

    def _once(self, key: Hashable, make: Callable[[], str]) -> str:
        if key not in self._known:
            self._known[key] = make()
        return self._known[key]


def parts_digest(parts: Mapping[str, Any]) -> str:
    """Twelve hex digits that name every number in the networks among these parts of a pipeline."""
    digest = sha256()
    for name, part in sorted(parts.items()):
        if not isinstance(part, torch.nn.Module):
            continue
        for key, tensor in part.state_dict().items():
            digest.update(f"{name}/{key} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()[:12]


def _control_digest(loaded: Loaded, control: str) -> str:
    return parts_digest({"control": loaded.controls[control]})


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()[:12]


def made_now(device: str, dtype: str, weights: str, recordings: Recordings | None, judge: str = "") -> Made:
    """The origin of a picture made at this moment."""
    return Made(
        at=datetime.now(UTC).strftime(MOMENT),
        studio=__version__,
        torch=torch.__version__,
        diffusers=diffusers.__version__,
        device=device,
        dtype=dtype,
        processor=processor_of(torch.device(device)),
        threads=torch.get_num_threads(),
        weights=weights,
        graphs=recordings is not None,
        compiled=recordings is not None and recordings.compiled,
        judge=judge,
    )
