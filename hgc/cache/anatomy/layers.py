"""The sites of one layer, found in its modules: a ResNet, or a transformer with what lies inside it.

Only this file, `sites` and `networks` know diffusers' module names.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from diffusers.models.attention_processor import FusedAttnProcessor2_0
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from torch import nn

from hgc.cache.anatomy import Block, Kind, Site
from hgc.cache.rules import PlanRefused

Place = tuple[nn.Module, str, nn.Module]  # a module, the name of a part of it, and that part


@dataclass
class Survey:
    """The result of a walk through the module tree: sites in the order a step meets them, their blocks and modules.

    `places` say of constant sites where in the tree their modules are. `images` are the sites of the image prompts'
    projections (IP-Adapter), which the UNet's cross-attentions read. `repeated` sites are called once for every control
    map of a Union network, and have a value for each.
    """

    sites: list[Site] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    modules: dict[str, tuple[nn.Module, ...]] = field(default_factory=dict)
    places: dict[str, tuple[Place, ...]] = field(default_factory=dict)
    images: tuple[str, ...] = ()
    repeated: set[str] = field(default_factory=set)

    def add(self, site: Site, *modules: nn.Module) -> str:
        self.sites.append(site)
        self.modules[site.name] = modules
        return site.name

    def add_constant(self, site: Site, *parts: tuple[nn.Module, str]) -> str:
        """A site that does not depend on the step, of parts of modules."""
        places = tuple((owner, key, owner.get_submodule(key)) for owner, key in parts)
        self.places[site.name] = places
        return self.add(replace(site, constant=True), *(module for _, _, module in places))


def resnet(
    survey: Survey, name: str, block: str, module: Any, hidden: tuple[str, ...], embeddings: tuple[str, ...]
) -> str:
    return survey.add(Site(name, Kind.RESNET, block, (*hidden, *embeddings)), module)


def transformer(survey: Survey, name: str, block: str, module: Any, hidden: tuple[str, ...]) -> str:
    """A transformer and, inside it, the attentions and the feed-forward of each of its layers.

    Raises PlanRefused for an attention that is not a transformer, or that is set to work in pieces.
    """
    if not isinstance(module, Transformer2DModel):
        raise PlanRefused(
            f"'{name}' is a {type(module).__name__}, whose inside the engine does not know; use a model of Stable "
            "Diffusion's or SDXL's architecture"
        )
    survey.add(Site(name, Kind.TRANSFORMER, block, hidden), module)
    for j, layer in enumerate(module.transformer_blocks):
        path = f"{name}.transformer_blocks.{j}"
        if layer._chunk_size is not None:
            raise PlanRefused(
                f"'{path}' computes its feed-forward in pieces; call set_chunk_feed_forward(None) on it first"
            )
        for attention in ("attn1", "attn2"):
            if getattr(layer, attention) is not None:
                _attention(survey, f"{path}.{attention}", block, name, getattr(layer, attention))
        survey.add(Site(f"{path}.ff", Kind.FEED_FORWARD, block, parent=name), layer.ff)
    return name


def _attention(survey: Survey, path: str, block: str, parent: str, module: Any) -> None:
    """An attention; inside one that reads the prompt its keys and values, a site for each prompt (text, images)."""
    if isinstance(module.processor, FusedAttnProcessor2_0):
        raise PlanRefused(f"'{path}' has its projections fused; call unfuse_qkv_projections first")
    if not module.is_cross_attention:
        survey.add(Site(path, Kind.SELF_ATTENTION, block, parent=parent), module)
        return
    survey.add(Site(path, Kind.CROSS_ATTENTION, block, parent=parent), module)
    survey.add_constant(Site(f"{path}.text", Kind.TEXT_KV, block, parent=path), (module, "to_k"), (module, "to_v"))
    if not survey.images or not isinstance(module.processor, nn.Module):
        return
    adapter: Any = module.processor
    for k, projection in enumerate(survey.images):
        site = Site(f"{path}.image.{k}", Kind.IMAGE_KV, block, (projection,), parent=path)
        survey.add_constant(site, (adapter.to_k_ip, str(k)), (adapter.to_v_ip, str(k)))


@dataclass(frozen=True)
class PromptAttention:
    """The parts that make the map of a cross-attention: the projection of its queries, its heads, and the scale."""

    queries: nn.Module
    heads: int
    scale: float


def prompt_attentions(survey: Survey) -> dict[str, PromptAttention]:
    """The cross-attentions of a survey, by site."""
    names = [site.name for site in survey.sites if site.kind is Kind.CROSS_ATTENTION]
    modules: dict[str, Any] = {name: survey.modules[name][0] for name in names}
    return {name: PromptAttention(module.to_q, module.heads, module.scale) for name, module in modules.items()}
