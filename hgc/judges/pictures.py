"""Pictures judged whole, by torchmetrics: LPIPS of two, CLIP score of one and its words, FID of many and many others.

The networks behind them come from the Hub, as every other one: torchmetrics would load them from elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property, partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate
from torchvision.models import inception_v3
from transformers import AutoTokenizer, CLIPModel, CLIPProcessor

from hgc.judges.networks import Network, Pixels, batch_of
from hgc.models.refusals import ModelUnavailable

INCEPTION_PX = 299
FEATURES = 2048  # of Inception v3's last pooling


class PerceptualDistance:
    """LPIPS (Zhang et al., arXiv 1801.03924) on VGG-16, 0 for identical pictures; its weights are torchmetrics' own."""

    def __init__(self, network: Network) -> None:
        self._network = network

    @cached_property
    def _model(self) -> Any:
        from torchmetrics.functional.image.lpips import _NoTrainLpips

        model, weights = _NoTrainLpips(net="vgg", pnet_rand=True), self._network.weights()
        # A slice holds the layers between two of the levels compared, under their numbers in the whole network.
        own = {name: f"features.{name.split('.', 1)[1]}" for name in model.net.state_dict()}
        model.net.load_state_dict(_named(own, weights, self._network))
        return model.to(self._network.device)

    @torch.no_grad()
    def between(self, image: Pixels, other: Pixels) -> float:
        """Of two pictures uint8 [H, W, 3]."""
        pair = (batch_of(picture, self._network.device) for picture in (image, other))
        return float(self._model(*pair, normalize=True).squeeze())


class CaptionScore:
    """CLIP score (Hessel et al., arXiv 2104.08718): 100 times the cosine of a picture and its words, at least 0."""

    def __init__(self, network: Network) -> None:
        self._network = network

    @cached_property
    def _metric(self) -> Any:
        from torchmetrics.multimodal.clip_score import CLIPScore

        model = self._network.load(CLIPModel)
        tokenizer = AutoTokenizer.from_pretrained(self._network.folder, local_files_only=True)
        processor = CLIPProcessor(image_processor=self._network.processor, tokenizer=tokenizer)
        metric = CLIPScore(model_name_or_path=lambda: (_Features(model), partial(processor, truncation=True)))
        return metric.to(self._network.device)

    @torch.no_grad()
    def score(self, image: Pixels, words: str) -> float:
        """0..100 of a picture uint8 [H, W, 3] and its caption; what of it CLIP cannot read is left out."""
        metric = self._metric
        metric.reset()
        metric.update(torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1), words)
        return float(metric.compute())


class _Features(torch.nn.Module):
    """CLIP as torchmetrics knows it: transformers 5 hands features out inside of an object."""

    def __init__(self, clip: Any) -> None:
        super().__init__()
        self.clip, self.config = clip, SimpleNamespace(text_config=clip.config.text_config)

    def get_image_features(self, pixels: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self.clip.get_image_features(pixel_values=pixels).pooler_output
        return features

    def get_text_features(self, words: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self.clip.get_text_features(input_ids=words, attention_mask=mask).pooler_output
        return features


class Inception:
    """Inception v3's features of pictures, as torchvision trained it.

    Published FIDs use the Inception of 2015, whose numbers are other ones: compare with values of this command only.
    """

    def __init__(self, network: Network) -> None:
        self._network = network

    @cached_property
    def _model(self) -> Any:
        model = inception_v3(weights=None, init_weights=False, aux_logits=False)
        model.fc = torch.nn.Identity()
        own = {name: name for name in model.state_dict() if not name.endswith("num_batches_tracked")}
        model.load_state_dict(_named(own, self._network.weights(), self._network), strict=False)
        return model.to(self._network.device).eval().requires_grad_(False)

    @torch.no_grad()
    def features(self, image: Pixels) -> NDArray[np.float32]:
        """[2048] of a picture uint8 [H, W, 3]."""
        pixels = batch_of(image, self._network.device) * 2 - 1
        sides = (INCEPTION_PX, INCEPTION_PX)
        activations: NDArray[np.float32] = (
            self._model(interpolate(pixels, sides, mode="bilinear", antialias=True))[0].cpu().numpy()
        )
        return activations


class _Known(torch.nn.Module):
    """The network of features that are known already."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.num_features = width

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features


def frechet_distance(real: Iterable[NDArray[np.float32]], made: Iterable[NDArray[np.float32]], width: int) -> float:
    """FID (Heusel et al., arXiv 1706.08500) of features [width] of real pictures and of made ones, two or more each."""
    from torchmetrics.image.fid import FrechetInceptionDistance

    metric = FrechetInceptionDistance(feature=_Known(width)).set_dtype(torch.float64)
    for features, is_real in ((real, True), (made, False)):
        metric.update(torch.from_numpy(np.stack(list(features)).astype(np.float64)), real=is_real)
    return float(metric.compute())


def _named(own: dict[str, str], weights: dict[str, torch.Tensor], network: Network) -> dict[str, torch.Tensor]:
    """Weights under our names. Raises ModelUnavailable where one is missing."""
    if missing := [theirs for theirs in own.values() if theirs not in weights]:
        raise ModelUnavailable(
            f"the {network.what} {network.repo} has no weights '{missing[0]}': it is another network; take the one of "
            "that name on the Hub"
        )
    return {ours: weights[theirs] for ours, theirs in own.items()}
