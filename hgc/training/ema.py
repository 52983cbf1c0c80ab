"""A running average of a model's weights."""

import torch
from torch import Tensor, nn


class Average:
    """Exponential moving average whose memory grows with the steps taken, up to `decay`."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights: dict[str, Tensor] = {name: p.detach().clone() for name, p in model.named_parameters()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Take in the weights after `step` steps."""
        keep = min(self.decay, (1 + step) / (10 + step))
        current = dict(model.named_parameters())
        ours, theirs = list(self.weights.values()), [current[name].detach() for name in self.weights]
        torch._foreach_lerp_(ours, theirs, 1 - keep)

    @torch.no_grad()
    def copy_to(self, model: nn.Module) -> None:
        """Overwrite the model's weights with the average."""
        for name, parameter in model.named_parameters():
            parameter.copy_(self.weights[name])
