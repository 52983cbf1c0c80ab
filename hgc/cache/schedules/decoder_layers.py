"""The decoder's layers, and the places in it where what lies before is cut off and kept."""

from __future__ import annotations

from hgc.cache.anatomy import Anatomy, Kind, Site
from hgc.cache.rules import PlanRefused


def decoder_layers(anatomy: Anatomy) -> list[list[Site]]:
    """The decoder's layers from the middle to the output: a ResNet with its transformer, and the sampler after it."""
    layers: list[list[Site]] = []
    for site in anatomy.decoder:
        if site.kind is Kind.RESNET:
            layers.append([])
        layers[-1].append(site)
    return layers


def cut_site(anatomy: Anatomy, refreshed: int) -> str:
    """The site to keep so that just the `refreshed` decoder layers nearest to the output are computed."""
    layers = decoder_layers(anatomy)
    if not 0 <= refreshed < len(layers):
        raise PlanRefused(f"{refreshed} refreshed decoder layers; choose between 0 and {len(layers) - 1}")
    return layers[-1 - refreshed][-1].name


def kept_residuals(anatomy: Anatomy, layers: int) -> list[str]:
    """The control residuals that the outermost decoder layers consume, but the first, which costs next to nothing."""
    refreshed = decoder_layers(anatomy)[-layers:]
    consumed = {name for layer in refreshed for site in layer for name in site.inputs}
    firsts = {names[0] for names in anatomy.residuals.values()}
    return [site.name for site in anatomy.control_residuals if site.name in consumed - firsts]
