"""The anatomy of diffusers' UNet2DConditionModel and ControlNets, found by a walk through their module trees.

How the two fit together (diffusers, `UNet2DConditionModel.forward`): every encoder output becomes a skip connection;
ControlNet's k-th residual is added to the k-th skip and its middle residual to the middle block's output, so that the
control reaches the decoder only; each decoder ResNet consumes the hidden state and one skip, last in first out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from diffusers.models.embeddings import (
    ImageProjection,
    IPAdapterFaceIDImageProjection,
    MultiIPAdapterImageProjection,
)

from hgc.cache.anatomy import PREDICTION, UNGUIDED, Anatomy, Block, Kind, Site
from hgc.cache.anatomy.layers import Survey, resnet, transformer
from hgc.cache.anatomy.networks import Networks, is_union
from hgc.cache.rules import PlanRefused

# The projections of IP-Adapters that read one vector an image.
READ_AS_VECTORS = (ImageProjection, IPAdapterFaceIDImageProjection)


def survey(networks: Networks) -> Survey:
    """Finds every site of the networks and who consumes whom; shapes and MACs are measured in macs.py."""
    survey = Survey()
    residuals = [_control(survey, name, net) for name, net in networks.controls.items()]
    skip_sources = list(zip(*(down for down, _ in residuals), strict=True))
    middle_sources = tuple(middle for _, middle in residuals)
    _unet(survey, networks.unet, skip_sources, middle_sources)
    return survey


def anatomy_of(survey: Survey, model: str, measured: Mapping[str, Any]) -> Anatomy:
    """The survey as plain data; `measured[name]` holds (shape, Macs) of the sites that are modules."""
    sites = []
    for site in survey.sites:
        shape, macs = measured.get(site.name, ((), site.macs))
        sites.append(replace(site, shape=shape, macs=macs))
    return Anatomy(model, tuple(sites), tuple(survey.blocks), "unet.conv_out")


def _embeddings(survey: Survey, prefix: str, net: Any) -> tuple[str, ...]:
    """The time embedding, and the one of text and size that SDXL adds; the latter does not depend on the step."""
    names = [survey.add(Site(f"{prefix}.time_embedding", Kind.EMBEDDING, prefix), net.time_embedding)]
    if getattr(net, "add_embedding", None) is not None:
        added = Site(f"{prefix}.add_embedding", Kind.EMBEDDING, prefix)
        names.append(survey.add_constant(added, (net, "add_embedding")))
    return tuple(names)


def _image_prompts(survey: Survey, unet: Any) -> tuple[str, ...]:
    """The projections of an IP-Adapter's image prompts, which do not depend on the step.

    Raises PlanRefused for an adapter that reads more than one vector an image.
    """
    projections = unet.encoder_hid_proj
    if projections is None:
        return ()
    layers: Any = (
        projections.image_projection_layers if isinstance(projections, MultiIPAdapterImageProjection) else [None]
    )
    if strange := [layer for layer in layers if not isinstance(layer, READ_AS_VECTORS)]:
        raise PlanRefused(
            f"the UNet's prompts pass through a {type(strange[0] or projections).__name__}, whose input the engine "
            "cannot size; use plain text, or an IP-Adapter that reads one vector an image: a plain one or FaceID"
        )
    prefix = "unet.encoder_hid_proj.image_projection_layers"
    return tuple(
        survey.add_constant(Site(f"{prefix}.{k}", Kind.EMBEDDING, "unet"), (layers, str(k))) for k in range(len(layers))
    )


def _control(survey: Survey, prefix: str, net: Any) -> tuple[tuple[str, ...], str]:
    """One ControlNet; returns the names of its residuals, encoder's and middle's."""
    embeddings = _embeddings(survey, prefix, net)
    stem = survey.add(Site(f"{prefix}.conv_in", Kind.CONV, prefix), net.conv_in)
    condition = survey.add_constant(
        Site(f"{prefix}.controlnet_cond_embedding", Kind.CONDITION, prefix), (net, "controlnet_cond_embedding")
    )
    sources: tuple[str, ...] = (stem, condition)
    if is_union(net):
        kind = Site(f"{prefix}.control_add_embedding", Kind.EMBEDDING, prefix)
        embeddings = (*embeddings, survey.add(kind, net.control_add_embedding))
        sources = (*sources, _mixed(survey, prefix, net, sources))
        survey.repeated |= {condition, sources[-1]}
    hidden, skips = _encoder(survey, prefix, net.down_blocks, sources, embeddings)
    hidden = _middle(survey, prefix, net.mid_block, hidden, embeddings)
    group = f"{prefix}.residuals"
    names = [
        survey.add(Site(f"{prefix}.controlnet_down_blocks.{k}", Kind.RESIDUAL, group, source), conv)
        for k, (source, conv) in enumerate(zip(skips, net.controlnet_down_blocks, strict=True))
    ]
    middle = survey.add(Site(f"{prefix}.controlnet_mid_block", Kind.RESIDUAL, group, hidden), net.controlnet_mid_block)
    return tuple(names), middle


def _mixed(survey: Survey, prefix: str, net: Any, sources: tuple[str, ...]) -> str:
    """The fusion that a Union network adds to its control maps: latents and maps, each one token, read each other.

    diffusers hands these tokens over with the batch where its attention expects the sequence: samples of one batch read
    each other. MACs are those of one sample.
    """
    for k, layer in enumerate(net.transformer_layes):
        sources = (survey.add(Site(f"{prefix}.transformer_layes.{k}", Kind.EMBEDDING, prefix, sources), layer),)
    return survey.add(Site(f"{prefix}.spatial_ch_projs", Kind.EMBEDDING, prefix, sources), net.spatial_ch_projs)


def _unet(survey: Survey, unet: Any, skip_sources: Sequence[tuple[str, ...]], middle_sources: tuple[str, ...]) -> None:
    prefix = "unet"
    survey.add(Site(UNGUIDED, Kind.BRANCH, "guidance"))
    embeddings = _embeddings(survey, prefix, unet)
    survey.images = _image_prompts(survey, unet)
    stem = survey.add(Site(f"{prefix}.conv_in", Kind.CONV, prefix), unet.conv_in)
    hidden, skips = _encoder(survey, prefix, unet.down_blocks, (stem,), embeddings)
    hidden = (*_middle(survey, prefix, unet.mid_block, hidden, embeddings), *middle_sources)
    controlled = [(*skip, *(skip_sources[k] if skip_sources else ())) for k, skip in enumerate(skips)]
    for i, block in enumerate(unet.up_blocks):
        hidden = _decoder_block(survey, f"{prefix}.up_blocks.{i}", block, hidden, controlled, embeddings)
    survey.add(Site(f"{prefix}.conv_out", Kind.CONV, prefix, hidden), unet.conv_out)
    survey.add(Site(PREDICTION, Kind.PREDICTION, "unet", (f"{prefix}.conv_out",)))


def _encoder(
    survey: Survey, prefix: str, blocks: Sequence[Any], hidden: tuple[str, ...], embeddings: tuple[str, ...]
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The encoder's blocks; returns the sources of the hidden state and of every skip, outermost first."""
    skips = [hidden]
    for i, block in enumerate(blocks):
        name, start = f"{prefix}.down_blocks.{i}", len(survey.sites)
        handed: list[str] = []
        for j in range(len(block.resnets)):
            hidden = _layer(survey, name, block, j, hidden, embeddings)
            handed += hidden
        for j, sampler in enumerate(block.downsamplers or ()):
            hidden = (survey.add(Site(f"{name}.downsamplers.{j}", Kind.SAMPLER, name, hidden), sampler),)
            handed += hidden
        skips += [(source,) for source in handed]
        _close_block(survey, name, block, start, tuple(handed))
    return hidden, skips


def _decoder_block(
    survey: Survey,
    name: str,
    block: Any,
    hidden: tuple[str, ...],
    skips: list[tuple[str, ...]],
    embeddings: tuple[str, ...],
) -> tuple[str, ...]:
    start = len(survey.sites)
    for j in range(len(block.resnets)):
        hidden = _layer(survey, name, block, j, (*hidden, *skips.pop()), embeddings)
    for j, sampler in enumerate(block.upsamplers or ()):
        hidden = (survey.add(Site(f"{name}.upsamplers.{j}", Kind.SAMPLER, name, hidden), sampler),)
    _close_block(survey, name, block, start)
    return hidden


def _middle(
    survey: Survey, prefix: str, block: Any, hidden: tuple[str, ...], embeddings: tuple[str, ...]
) -> tuple[str, ...]:
    """ResNet, then pairs of transformer and ResNet; some small models have no middle at all."""
    if block is None:
        return hidden
    name, start = f"{prefix}.mid_block", len(survey.sites)
    hidden = (resnet(survey, f"{name}.resnets.0", name, block.resnets[0], hidden, embeddings),)
    for j, layer in enumerate(block.resnets[1:]):
        if block.attentions[j] is not None:
            hidden = (transformer(survey, f"{name}.attentions.{j}", name, block.attentions[j], hidden),)
        hidden = (resnet(survey, f"{name}.resnets.{j + 1}", name, layer, hidden, embeddings),)
    _close_block(survey, name, block, start)
    return hidden


def _layer(
    survey: Survey, name: str, block: Any, j: int, hidden: tuple[str, ...], embeddings: tuple[str, ...]
) -> tuple[str, ...]:
    hidden = (resnet(survey, f"{name}.resnets.{j}", name, block.resnets[j], hidden, embeddings),)
    attentions = getattr(block, "attentions", None)
    if attentions is not None:
        hidden = (transformer(survey, f"{name}.attentions.{j}", name, attentions[j], hidden),)
    return hidden


def _close_block(survey: Survey, name: str, block: Any, start: int, skips: tuple[str, ...] = ()) -> None:
    """Notes the block around the sites added since `start`; its output is that of the last site in the main chain."""
    inside = survey.sites[start:]
    chain = [site.name for site in inside if site.parent is None]
    survey.blocks.append(Block(name, tuple(site.name for site in inside), chain[-1], skips))
    survey.modules[name] = (block,)
