"""Model offload: networks rest in main memory and come to the accelerator in turns, while they work.

As diffusers' `enable_model_cpu_offload`, by accelerate's hooks; but that one's belong to one pipeline, and here many
pipelines share the networks: every ControlNet and every LoRA's copies come and go with the UNet.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from accelerate.hooks import ModelHook, add_hook_to_module
from accelerate.utils import send_to_device
from accelerate.utils.memory import clear_device_cache
from torch import nn

Turn = Literal["text", "denoiser", "vae"]
HOME = torch.device("cpu")
# The parts of a pipeline that take turns; its ControlNets come with the UNet.
TURNS: Mapping[str, Turn] = {"text_encoder": "text", "text_encoder_2": "text", "unet": "denoiser", "vae": "vae"}


class Turns:
    """Whose turn it is on a device; the networks of the turn before go home first."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._turn: Turn | None = None
        self._there: list[nn.Module] = []

    def add(self, network: nn.Module, turn: Turn) -> None:
        """Sends a network home, from where it comes whenever it is called."""
        add_hook_to_module(network, Comes(self, turn))

    def begin(self, network: nn.Module, turn: Turn) -> None:
        """Before a call of the network: makes room, and counts it among those that are there."""
        if turn != self._turn:
            self._turn = turn
            self.send_home()
        if not any(network is other for other in self._there):
            self._there.append(network)

    def send_home(self) -> None:
        """Leaves nothing on the device."""
        for network in self._there:
            network.to(HOME)
        if self._there and self.device != HOME:
            clear_device_cache()
        self._there.clear()


class Comes(ModelHook):
    """Moves a network and what it is given to the device when the network is called.

    Not accelerate's `CpuOffload`: diffusers takes that off and puts its own on when a LoRA is loaded.
    """

    def __init__(self, turns: Turns, turn: Turn) -> None:
        self._turns, self._turn = turns, turn
        self.execution_device = turns.device  # where diffusers makes noise and text

    def init_hook(self, module: nn.Module) -> nn.Module:
        return module.to(HOME)

    def pre_forward(self, module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        self._turns.begin(module, self._turn)
        device = self.execution_device
        if next(module.parameters()).device != device:
            module.to(device)
        return send_to_device(args, device), send_to_device(kwargs, device)

    def __deepcopy__(self, _memory: Any) -> Comes:
        """A copy of the network (`adapted`) takes the same turns."""
        return Comes(self._turns, self._turn)
