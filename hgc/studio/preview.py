"""A picture from latents in a matrix product: too rough to judge by, cheap enough to show every step."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray


class LatentPreview:
    """Linear map from latent channels to RGB, fitted once on latents as the pipeline has them, of a few pictures."""

    def __init__(self, weights: torch.Tensor) -> None:
        self._weights = weights  # [channels + 1, 3]

    @classmethod
    @torch.no_grad()
    def fit(cls, vae: Any, colours: torch.Tensor) -> LatentPreview:
        """Ridge least squares from the latents of `colours` [N, 3, H, W], in 0..1, to their down-sized pixels.

        They lie where the VAE works, and should have every colour that there is: beyond those it was fitted on, a
        linear map goes astray.
        """
        colours = colours.to(vae.dtype)
        encoded = vae.encode(colours * 2 - 1)
        latents = (encoded.latents if "latents" in encoded else encoded.latent_dist.mode()).float()
        latents = latents * vae.config.scaling_factor
        small = F.interpolate(colours.float(), latents.shape[-2:], mode="area")
        x, y = _with_ones(latents), small.movedim(1, -1).flatten(0, 2)  # [pixels, channels + 1], [pixels, 3]
        ridge = 1e-3 * len(x) * torch.eye(x.shape[1], device=x.device)
        return cls(torch.linalg.solve(x.T @ x + ridge, x.T @ y))

    def small(self, latents: torch.Tensor) -> torch.Tensor:
        """float32 [3, h, w] in 0..1, more or less, of the first of the latents [B, C, h, w]; on their device."""
        flat = _with_ones(latents[:1].float()) @ self._weights.to(latents.device)
        return flat.T.reshape(3, *latents.shape[-2:])

    def __call__(self, latents: torch.Tensor, size: tuple[int, int]) -> NDArray[np.uint8]:
        """uint8 [H, W, 3], of a size (H, W), of the first of the latents [B, C, h, w]."""
        return pixels(self.small(latents).cpu(), size)


def pixels(small: torch.Tensor, size: tuple[int, int]) -> NDArray[np.uint8]:
    """uint8 [H, W, 3], of a size (H, W), of a preview [3, h, w] on the CPU."""
    large = F.interpolate(small[None], size, mode="bilinear")[0].clamp(0, 1)
    return (large.permute(1, 2, 0) * 255).byte().numpy()


@dataclass(frozen=True)
class Coming:
    """A tensor on its way to the CPU. `done` tells whether it is there, `wait` waits until it is."""

    value: torch.Tensor
    done: Callable[[], bool]
    wait: Callable[[], None]


class Lane(Protocol):
    """Where previews are made."""

    def __call__(self, make: Callable[[torch.Tensor], torch.Tensor], latents: torch.Tensor) -> Coming: ...


def here(make: Callable[[torch.Tensor], torch.Tensor], latents: torch.Tensor) -> Coming:
    """At once, in the run's own time."""
    return Coming(make(latents).cpu(), lambda: True, lambda: None)


class Beside:
    """On a stream of their own, so that neither the run nor its Python waits for them."""

    def __init__(self, device: torch.device) -> None:
        self._stream = torch.Stream(device)

    def __call__(self, make: Callable[[torch.Tensor], torch.Tensor], latents: torch.Tensor) -> Coming:
        self._stream.wait_stream(torch.accelerator.current_stream(latents.device))
        with self._stream:
            value = make(latents)
            there = torch.empty(value.shape, dtype=value.dtype, pin_memory=True)
            there.copy_(value, non_blocking=True)
            event = self._stream.record_event()
        latents.record_stream(self._stream)
        return Coming(there, event.query, event.synchronize)


def lane_of(device: torch.device) -> Lane:
    """The run's own time, but for accelerators that have streams."""
    return Beside(device) if device.type in ("cuda", "xpu") else here


class Previews:
    """The previews of one picture, in order; each is there as soon as its device has made it."""

    def __init__(self, preview: LatentPreview, lane: Lane) -> None:
        self._make, self._lane = preview.small, lane
        self._coming: deque[Coming] = deque()

    def take(self, latents: torch.Tensor) -> None:
        """Begins the next one, of latents [B, C, h, w] that nobody writes into any more."""
        self._coming.append(self._lane(self._make, latents))

    def ready(self) -> Iterator[torch.Tensor]:
        """Those that are there by now, float32 [3, h, w] on the CPU."""
        while self._coming and self._coming[0].done():
            yield self._coming.popleft().value

    def rest(self) -> Iterator[torch.Tensor]:
        """All the others; waits for each."""
        while self._coming:
            coming = self._coming.popleft()
            coming.wait()
            yield coming.value


def _with_ones(latents: torch.Tensor) -> torch.Tensor:
    flat = latents.movedim(1, -1).flatten(0, 2)  # [pixels, channels]
    return torch.cat([flat, torch.ones_like(flat[:, :1])], dim=1)
