"""Depth read back from a picture: how far it lies from the map that was asked for."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForDepthEstimation

from hgc.judges.networks import Network, Pixels

WHITE = 255.0


class DepthEstimator:
    """A network that tells relative depth, near ones high."""

    def __init__(self, network: Network) -> None:
        self._network = network

    @cached_property
    def _model(self) -> Any:
        return self._network.load(AutoModelForDepthEstimation)

    @torch.no_grad()
    def depth(self, image: Pixels) -> NDArray[np.float32]:
        """Grey levels [H, W] of a picture uint8 [H, W, 3]: 0 the farthest, 255 the nearest place of it."""
        ready = self._network.processor(images=image, return_tensors="pt").to(self._network.device)
        sizes = [image.shape[:2]]
        maps = self._network.processor.post_process_depth_estimation(self._model(**ready), target_sizes=sizes)
        depth = maps[0]["predicted_depth"].float().cpu().numpy()
        span = float(depth.max() - depth.min())
        return np.asarray((depth - depth.min()) / (span or 1.0) * WHITE, np.float32)

    def score(self, image: Pixels, control: Pixels) -> float:
        """Root of the mean squared difference in grey levels of 255, 0 the best (ControlNet++'s depth RMSE)."""
        reference = control.astype(np.float32).mean(axis=2)
        return float(np.sqrt(np.mean((self.depth(image) - reference) ** 2)))
