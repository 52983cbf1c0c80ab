"""Tiny random networks that look at pictures, in the Hub's cache layout under the ids by which judges ask for them."""

from __future__ import annotations

from pathlib import Path

import smallhub
import tiny
import torch
from safetensors.torch import save_file
from torchvision.models import inception_v3, vgg16
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    DPTConfig,
    DPTForDepthEstimation,
    DPTImageProcessor,
    SegformerConfig,
    SegformerForSemanticSegmentation,
    SegformerImageProcessor,
    VitPoseBackboneConfig,
    VitPoseConfig,
    VitPoseForPoseEstimation,
    VitPoseImageProcessor,
)

from hgc.control import ade20k
from hgc.judges import table

SIDE = 64
SIDES = {"height": SIDE, "width": SIDE}
FOUR = [8, 8, 8, 8]


def segmenter(names: tuple[str, ...] = ade20k.NAMES) -> SegformerForSemanticSegmentation:
    sizes = {"hidden_sizes": FOUR, "depths": [1] * 4, "num_attention_heads": [1] * 4, "decoder_hidden_size": 8}
    return SegformerForSemanticSegmentation(SegformerConfig(**sizes, id2label=dict(enumerate(names))))


def depth_estimator() -> DPTForDepthEstimation:
    sizes = {"image_size": SIDE, "hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2}
    necks = {"backbone_out_indices": [0, 1, 2, 3], "neck_hidden_sizes": FOUR, "fusion_hidden_size": 8}
    return DPTForDepthEstimation(DPTConfig(**sizes, **necks, intermediate_size=16, is_hybrid=False))


def pose_estimator() -> VitPoseForPoseEstimation:
    sizes = {"image_size": [64, 48], "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    backbone = VitPoseBackboneConfig(**sizes, mlp_ratio=2, out_features=["stage1"])
    return VitPoseForPoseEstimation(VitPoseConfig(backbone_config=backbone, num_labels=17))


def clip() -> CLIPModel:
    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {**small, "vocab_size": tiny.text_config().vocab_size, "max_position_embeddings": 77}
    return CLIPModel(CLIPConfig(text_config=text, vision_config=small | {"image_size": 32}, projection_dim=16))


def publish(home: Path, *ids: str) -> None:
    """Puts the networks of these ids on the hub at `home`, which is HF_HOME."""
    torch.manual_seed(3)
    for repo in ids:
        folder = home / "work" / repo
        folder.mkdir(parents=True)
        _MAKERS[repo](folder)
        smallhub.published(home, repo, folder)


def _segmenter(folder: Path) -> None:
    segmenter().save_pretrained(folder)
    SegformerImageProcessor(size=SIDES).save_pretrained(folder)


def _depth(folder: Path) -> None:
    depth_estimator().save_pretrained(folder)
    DPTImageProcessor(size=SIDES, ensure_multiple_of=32).save_pretrained(folder)


def _pose(folder: Path) -> None:
    pose_estimator().save_pretrained(folder)
    VitPoseImageProcessor(size={"height": 64, "width": 48}).save_pretrained(folder)


def _clip(folder: Path) -> None:
    clip().save_pretrained(folder)
    CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)
    tiny.small_pipeline("sd", "text", 0).tokenizer.save_pretrained(folder)


def _vgg(folder: Path) -> None:
    # In half precision, as only the sizes are of interest: 30 MB.
    weights = {name: w.half() for name, w in vgg16(weights=None, init_weights=True).features.state_dict().items()}
    _bare(folder, {f"features.{name}": tensor for name, tensor in weights.items()})


def _inception(folder: Path) -> None:
    _bare(folder, {n: w.half() for n, w in inception_v3(weights=None, init_weights=False).state_dict().items()})


def _bare(folder: Path, weights: dict[str, torch.Tensor]) -> None:
    save_file(weights, folder / "model.safetensors")
    (folder / "config.json").write_text("{}")


_MAKERS = {
    table.MEASURES["segmentation"].repo: _segmenter,
    table.MEASURES["depth"].repo: _depth,
    table.MEASURES["pose"].repo: _pose,
    table.CLIP_NETWORK: _clip,
    table.LPIPS_NETWORK: _vgg,
    table.FID_NETWORK: _inception,
}
