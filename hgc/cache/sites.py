"""The anatomy of diffusers' UNet2DConditionModel and ControlNetModel: the only file that knows their module names.

How the two fit together (diffusers, `UNet2DConditionModel.forward`): every encoder output becomes a skip connection;
ControlNet's k-th residual is added to the k-th skip and its middle residual to the middle block's output, so that the
control reaches the decoder only; each decoder ResNet consumes the hidden state and one skip, last in first out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torch import nn

from hgc.cache.anatomy import PREDICTION, UNGUIDED, Anatomy, Block, Kind, Site
from hgc.cache.plan import PlanRefused

# What the engine reads of a pipeline while it runs.
FOLLOWED = ("do_classifier_free_guidance", "num_timesteps")


@dataclass(frozen=True)
class Networks:
    """The denoiser's networks under the names they have in a pipeline."""

    unet: Any
    controls: Mapping[str, Any]

    @classmethod
    def of(cls, pipe: Any) -> Networks:
        """The UNet and the ControlNets (none, one or several) of a diffusers pipeline.

        Raises PlanRefused for a pipeline that the engine cannot follow.
        """
        lacking = [name for name in FOLLOWED if not hasattr(type(pipe), name)]
        if lacking or "unet" not in pipe.components:
            raise PlanRefused(
                f"{type(pipe).__name__} cannot be cached: it has no {', '.join(lacking) or 'unet'}; use one of "
                "Stable Diffusion's or SDXL's for text-to-image, image-to-image or inpainting"
            )
        control = pipe.components.get("controlnet")
        nets = getattr(control, "nets", None)
        if control is None:
            return cls(pipe.unet, {})
        if nets is None:
            return cls(pipe.unet, {"controlnet": control})
        if len({id(net) for net in nets}) < len(nets):
            raise PlanRefused("the same ControlNet is used twice: load it twice, so that each keeps values of its own")
        return cls(pipe.unet, {f"controlnet.nets.{i}": net for i, net in enumerate(nets)})


@dataclass
class Survey:
    """What a walk through the module tree found: sites in the order a step meets them, their blocks and modules."""

    sites: list[Site] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    modules: dict[str, tuple[nn.Module, ...]] = field(default_factory=dict)

    def add(self, site: Site, *modules: nn.Module) -> str:
        self.sites.append(site)
        self.modules[site.name] = modules
        return site.name


def survey(networks: Networks) -> Survey:
    """Finds every site of the networks and who consumes whom; shapes and MACs are measured in macs.py."""
    found = Survey()
    residuals = [_control(found, name, net) for name, net in networks.controls.items()]
    skip_sources = list(zip(*(down for down, _ in residuals), strict=True))
    middle_sources = tuple(middle for _, middle in residuals)
    _unet(found, networks.unet, skip_sources, middle_sources)
    return found


def anatomy_of(found: Survey, model: str, measured: Mapping[str, Any]) -> Anatomy:
    """The survey as plain data; `measured[name]` holds (shape, Macs) of the sites that are modules."""
    sites = []
    for site in found.sites:
        shape, macs = measured.get(site.name, ((), site.macs))
        sites.append(replace(site, shape=shape, macs=macs))
    return Anatomy(model, tuple(sites), tuple(found.blocks), "unet.conv_out")


def _embeddings(found: Survey, prefix: str, net: Any) -> tuple[str, ...]:
    """The time embedding, and the one of text and size that SDXL adds; the latter does not depend on the step."""
    names = [found.add(Site(f"{prefix}.time_embedding", Kind.EMBEDDING, prefix), net.time_embedding)]
    added = getattr(net, "add_embedding", None)
    if added is not None:
        names.append(found.add(Site(f"{prefix}.add_embedding", Kind.EMBEDDING, prefix, constant=True), added))
    return tuple(names)


def _control(found: Survey, prefix: str, net: Any) -> tuple[tuple[str, ...], str]:
    """One ControlNet; returns the names of its residuals, encoder's and middle's."""
    embeddings = _embeddings(found, prefix, net)
    stem = found.add(Site(f"{prefix}.conv_in", Kind.CONV, prefix), net.conv_in)
    condition = found.add(
        Site(f"{prefix}.controlnet_cond_embedding", Kind.CONDITION, prefix, constant=True),
        net.controlnet_cond_embedding,
    )
    hidden, skips = _encoder(found, prefix, net.down_blocks, (stem, condition), embeddings)
    hidden = _middle(found, prefix, net.mid_block, hidden, embeddings)
    group = f"{prefix}.residuals"
    names = [
        found.add(Site(f"{prefix}.controlnet_down_blocks.{k}", Kind.RESIDUAL, group, source), conv)
        for k, (source, conv) in enumerate(zip(skips, net.controlnet_down_blocks, strict=True))
    ]
    middle = found.add(Site(f"{prefix}.controlnet_mid_block", Kind.RESIDUAL, group, hidden), net.controlnet_mid_block)
    return tuple(names), middle


def _unet(found: Survey, unet: Any, skip_sources: Sequence[tuple[str, ...]], middle_sources: tuple[str, ...]) -> None:
    prefix = "unet"
    found.add(Site(UNGUIDED, Kind.BRANCH, "guidance"))
    embeddings = _embeddings(found, prefix, unet)
    stem = found.add(Site(f"{prefix}.conv_in", Kind.CONV, prefix), unet.conv_in)
    hidden, skips = _encoder(found, prefix, unet.down_blocks, (stem,), embeddings)
    hidden = (*_middle(found, prefix, unet.mid_block, hidden, embeddings), *middle_sources)
    controlled = [(*skip, *(skip_sources[k] if skip_sources else ())) for k, skip in enumerate(skips)]
    for i, block in enumerate(unet.up_blocks):
        hidden = _decoder_block(found, f"{prefix}.up_blocks.{i}", block, hidden, controlled, embeddings)
    found.add(Site(f"{prefix}.conv_out", Kind.CONV, prefix, hidden), unet.conv_out)
    found.add(Site(PREDICTION, Kind.PREDICTION, "unet", (f"{prefix}.conv_out",)))


def _encoder(
    found: Survey, prefix: str, blocks: Sequence[Any], hidden: tuple[str, ...], embeddings: tuple[str, ...]
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The encoder's blocks; returns the sources of the hidden state and of every skip, outermost first."""
    skips = [hidden]
    for i, block in enumerate(blocks):
        name, start = f"{prefix}.down_blocks.{i}", len(found.sites)
        handed: list[str] = []
        for j, resnet in enumerate(block.resnets):
            hidden = _layer(found, name, block, j, resnet, hidden, embeddings)
            handed += hidden
        for j, sampler in enumerate(block.downsamplers or ()):
            hidden = (found.add(Site(f"{name}.downsamplers.{j}", Kind.SAMPLER, name, hidden), sampler),)
            handed += hidden
        skips += [(source,) for source in handed]
        _close_block(found, name, block, start, tuple(handed))
    return hidden, skips


def _decoder_block(
    found: Survey,
    name: str,
    block: Any,
    hidden: tuple[str, ...],
    skips: list[tuple[str, ...]],
    embeddings: tuple[str, ...],
) -> tuple[str, ...]:
    start = len(found.sites)
    for j, resnet in enumerate(block.resnets):
        hidden = _layer(found, name, block, j, resnet, (*hidden, *skips.pop()), embeddings)
    for j, sampler in enumerate(block.upsamplers or ()):
        hidden = (found.add(Site(f"{name}.upsamplers.{j}", Kind.SAMPLER, name, hidden), sampler),)
    _close_block(found, name, block, start)
    return hidden


def _middle(
    found: Survey, prefix: str, block: Any, hidden: tuple[str, ...], embeddings: tuple[str, ...]
) -> tuple[str, ...]:
    """ResNet, then pairs of transformer and ResNet."""
    name, start = f"{prefix}.mid_block", len(found.sites)
    hidden = (_resnet(found, f"{name}.resnets.0", name, block.resnets[0], hidden, embeddings),)
    for j, resnet in enumerate(block.resnets[1:]):
        hidden = (_transformer(found, f"{name}.attentions.{j}", name, block.attentions[j], hidden),)
        hidden = (_resnet(found, f"{name}.resnets.{j + 1}", name, resnet, hidden, embeddings),)
    _close_block(found, name, block, start)
    return hidden


def _layer(
    found: Survey,
    name: str,
    block: Any,
    j: int,
    resnet: Any,
    hidden: tuple[str, ...],
    embeddings: tuple[str, ...],
) -> tuple[str, ...]:
    hidden = (_resnet(found, f"{name}.resnets.{j}", name, resnet, hidden, embeddings),)
    attentions = getattr(block, "attentions", None)
    if attentions is not None:
        hidden = (_transformer(found, f"{name}.attentions.{j}", name, attentions[j], hidden),)
    return hidden


def _resnet(
    found: Survey, name: str, block: str, module: Any, hidden: tuple[str, ...], embeddings: tuple[str, ...]
) -> str:
    return found.add(Site(name, Kind.RESNET, block, (*hidden, *embeddings)), module)


def _transformer(found: Survey, name: str, block: str, module: Any, hidden: tuple[str, ...]) -> str:
    """A transformer with its attentions and feed-forwards inside it, and the text's keys and values inside these."""
    found.add(Site(name, Kind.TRANSFORMER, block, hidden), module)
    for j, inner in enumerate(module.transformer_blocks):
        path = f"{name}.transformer_blocks.{j}"
        found.add(Site(f"{path}.attn1", Kind.SELF_ATTENTION, block, parent=name), inner.attn1)
        if inner.attn2 is not None:
            found.add(Site(f"{path}.attn2", Kind.CROSS_ATTENTION, block, parent=name), inner.attn2)
            text = Site(f"{path}.attn2.text", Kind.TEXT_KV, block, parent=f"{path}.attn2", constant=True)
            found.add(text, inner.attn2.to_k, inner.attn2.to_v)
        found.add(Site(f"{path}.ff", Kind.FEED_FORWARD, block, parent=name), inner.ff)
    return name


def _close_block(found: Survey, name: str, block: Any, start: int, skips: tuple[str, ...] = ()) -> None:
    """Notes the block around the sites added since `start`; its output is that of the last site in the main chain."""
    inside = found.sites[start:]
    chain = [site.name for site in inside if site.parent is None]
    found.blocks.append(Block(name, tuple(site.name for site in inside), chain[-1], skips))
    found.modules[name] = (block,)
