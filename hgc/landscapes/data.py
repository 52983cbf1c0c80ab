"""Painted scenes as arrays: pictures for the autoencoder and the segmenter, latents and maps for the denoiser."""

import numpy as np
import torch
from torch import Tensor

from hgc.landscapes.scene import paint

# Disjoint by construction: whatever is measured on EVALUATION_SEEDS was never trained on.
TRAINING_SEEDS = 1_000_000
SEGMENTER_SEEDS = 500_000
EVALUATION_SEEDS = 0


def paint_pictures(first_seed: int, count: int) -> tuple[Tensor, Tensor]:
    """Pictures uint8 [count, 256, 256, 3] and their labels uint8 [count, 256, 256]."""
    scenes = [paint(first_seed + i) for i in range(count)]
    pictures = np.stack([scene.image for scene in scenes])
    return torch.from_numpy(pictures), torch.from_numpy(np.stack([scene.labels for scene in scenes]))
