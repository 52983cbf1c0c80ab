"""Muon for the matrices inside a network, AdamW for everything else.

Muon (Keller Jordan, 2024, github.com/KellerJordan/Muon): momentum, then the nearest orthogonal matrix as the step.
On a CPU the extra products are small beside the convolutions, and it needs far fewer steps than AdamW.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from hgc.training.compute import multiplies_bfloat16

OUTER_LAYERS = ("conv_in", "conv_out", "embed", "controlnet_down_blocks", "controlnet_mid_block", "position")


def orthogonalized(matrices: Tensor) -> Tensor:
    """Five quintic Newton-Schulz steps towards U Vᵀ of every matrix; [k, m, n] with m ≤ n.

    In bfloat16 where the device has products of its own for it, else in float32.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrices.bfloat16() if multiplies_bfloat16(matrices.device.type) else matrices.float()
    x = x / (x.flatten(1).norm(dim=1).view(-1, 1, 1) + 1e-7)
    for _ in range(5):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x


class Muon(torch.optim.Optimizer):
    """Steps of one length in every direction for weights of two or more dimensions, flattened to [out, the rest]."""

    def __init__(
        self, parameters: Iterable[nn.Parameter], lr: float, momentum: float = 0.92, weight_decay: float = 0.0
    ) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            shapes: dict[tuple[int, int], list[nn.Parameter]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    shapes.setdefault((len(parameter), parameter[0].numel()), []).append(parameter)
            for shape, parameters in shapes.items():
                self._step_together(parameters, shape, group)

    def _step_together(self, parameters: list[nn.Parameter], shape: tuple[int, int], group: dict[str, Any]) -> None:
        rows, columns = shape
        directions = []
        for parameter in parameters:
            state = self.state[parameter]
            gradient = parameter.grad
            assert gradient is not None
            if "momentum" not in state:
                state["momentum"] = torch.zeros_like(gradient)
            state["momentum"].lerp_(gradient, 1 - group["momentum"])
            directions.append(gradient.lerp(state["momentum"], group["momentum"]).reshape(rows, columns))
        stacked = torch.stack(directions)
        step = orthogonalized(stacked.mT.contiguous()).mT if rows > columns else orthogonalized(stacked)
        length = group["lr"] * max(1.0, rows / columns) ** 0.5
        for parameter, direction in zip(parameters, step, strict=True):
            parameter.mul_(1 - group["lr"] * group["weight_decay"])
            parameter.add_(direction.reshape(parameter.shape).to(parameter.dtype), alpha=-length)


class Pair:
    """Both optimizers driven as one, each by its own base rate."""

    def __init__(self, model: nn.Module, rate: float, matrix_rate: float) -> None:
        inner, outer = split_parameters(model)
        self._all: list[torch.optim.Optimizer] = [
            Muon(inner, lr=matrix_rate, weight_decay=0.01),
            torch.optim.AdamW(outer, lr=rate, betas=(0.9, 0.99), weight_decay=1e-4),
        ]
        self._rates = (matrix_rate, rate)

    def step(self, factor: float) -> None:
        """One step at `factor` times the base rates; gradients are dropped afterwards."""
        for optimizer, rate in zip(self._all, self._rates, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = rate * factor
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    def state_dict(self) -> list[dict[str, Any]]:
        return [optimizer.state_dict() for optimizer in self._all]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        for optimizer, state in zip(self._all, states, strict=True):
            optimizer.load_state_dict(state)


def split_parameters(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Weights for Muon, and those better left to AdamW: vectors, embeddings, first and last and zero-started layers."""
    inner: list[nn.Parameter] = []
    outer: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        first_or_last = any(word in name for word in OUTER_LAYERS) or min(parameter.shape[:2], default=0) < 8
        (outer if parameter.ndim < 2 or first_or_last else inner).append(parameter)
    return inner, outer
