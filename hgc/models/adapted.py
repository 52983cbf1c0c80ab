"""A loaded model with LoRAs over it: networks of their own that share the model's numbers, so that no two runs mix."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from hgc.models.library_errors import incomplete, told
from hgc.models.loaded import Loaded
from hgc.models.lora_weights import add_loras
from hgc.models.loras import lora_named

KEPT = 4
# Parts that a LoRA may change.
CHANGED = ("unet", "text_encoder", "text_encoder_2")
Named = tuple[tuple[str, float], ...]


class Adapted:
    """A model by the LoRAs over it; those of the last few choices are kept, each as large as its LoRAs."""

    def __init__(self, plain: Loaded) -> None:
        self._plain = plain
        self._made: OrderedDict[Named, tuple[tuple[Any, ...], Loaded]] = OrderedDict()

    def by(self, loras: Named) -> Loaded:
        """The model with these LoRAs and their weights. Raises ModelUnavailable. Not for several threads."""
        if not loras:
            return self._plain
        files = [(lora_named(name), weight) for name, weight in loras]
        states = tuple((path, path.stat().st_mtime_ns, path.stat().st_size) for path, _ in files)
        known = self._made.get(loras)
        if known is None or known[0] != states:
            known = self._made[loras] = states, adapted(self._plain, files)
        self._made.move_to_end(loras)
        while len(self._made) > KEPT:
            self._made.popitem(last=False)
        return known[1]


def adapted(plain: Loaded, loras: Sequence[tuple[Path, float]]) -> Loaded:
    """A model like `plain`, which stays as it is, with more LoRAs than it came with. Raises ModelUnavailable."""
    parts = {name: sharing(plain.components[name]) for name in CHANGED if name in plain.components}
    loaded = replace(plain, components={**plain.components, **parts})
    with told(*incomplete(plain.preset)):
        add_loras(loaded.pipeline((), plain.preset.sampler), loras, before=[weight for _, weight in plain.preset.loras])
        for net in parts.values():
            net.to(plain.home, plain.dtype).eval()
    return loaded


def sharing(network: nn.Module) -> Any:
    """A copy of a network's modules over the same parameters and buffers."""
    return deepcopy(network, {id(tensor): tensor for tensor in (*network.parameters(), *network.buffers())})
