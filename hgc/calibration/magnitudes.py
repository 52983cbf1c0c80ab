"""MagCache's magnitude ratios (arXiv 2506.09045, eq. 3), measured on a pipeline's full run."""

from __future__ import annotations

from types import TracebackType
from typing import Any

import torch
from torch import nn

SMALLEST = 1e-12


class Magnitudes:
    """Watches the calls of a UNet inside a `with` block; for one image at a time.

    `ratios` has one entry a call: how long the residual vectors at each place of the latents are, on average, for each
    unit of the call before. A residual is output minus input, of the guided branch.
    """

    def __init__(self, unet: nn.Module) -> None:
        self._unet = unet
        self._before: torch.Tensor | None = None
        self.ratios: list[float] = []

    def __enter__(self) -> Magnitudes:
        self._hook = self._unet.register_forward_hook(self._see, with_kwargs=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hook.remove()

    def _see(self, _unet: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> None:
        sample, predicted = args[0] if args else kwargs["sample"], out[0]
        lengths = (predicted[-1] - sample[-1, : predicted.shape[1]]).double().norm(dim=0)  # [h, w]
        before = lengths if self._before is None else self._before
        self.ratios.append(float((lengths / before.clamp_min(SMALLEST)).mean()))
        self._before = lengths
