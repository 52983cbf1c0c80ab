"""The origin of this process's pictures: versions, device, precision, weights."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256

import diffusers
import torch

from hgc import __version__
from hgc.cache.recording.rows import Recordings
from hgc.evidence import MOMENT, Made
from hgc.models.devices import processor_of
from hgc.models.loaded import Loaded


def weights_digest(loaded: Loaded) -> str:
    """Twelve hex digits that name every number in the model's networks; another precision gives another digest."""
    found = sha256()
    # Of a fetched model with many ControlNets these would all be loaded for it, gigabytes each.
    controls = loaded.controls.items() if loaded.preset.local else ()
    parts = {**loaded.components, **{f"control {name}": net for name, net in controls}}
    for name, part in sorted(parts.items()):
        if not isinstance(part, torch.nn.Module):
            continue
        for key, tensor in part.state_dict().items():
            found.update(f"{name}/{key} {tuple(tensor.shape)}".encode())
            found.update(tensor.detach().cpu().flatten().view(torch.uint8).numpy())
    return found.hexdigest()[:12]


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
