"""The rows of a chart: which sites stand together, in U-Net order, and what people call them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

from hgc.cache.anatomy import PREDICTION, Kind
from hgc.cache.trace import TracedSite

_NETWORK = re.compile(r"^(controlnet)(?:\.nets\.(\d+))?|^(unet)")
_PARTS = (
    (re.compile(r"down_blocks\.(\d+)"), "down"),
    (re.compile(r"up_blocks\.(\d+)"), "up"),
    (re.compile(r"mid_block"), "middle"),
    (re.compile(r"residuals"), "residuals"),
)


class Sited(Protocol):
    """A trace, or whatever else has the sites of one."""

    @property
    def sites(self) -> tuple[TracedSite, ...]: ...


@dataclass(frozen=True)
class ChartRow:
    """Sites that a chart shows as one: `title` for people, `main` the sites that carry the block's output."""

    title: str
    main: tuple[TracedSite, ...]
    inside: tuple[TracedSite, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(site.name for site in (*self.main, *self.inside))


def network_title(name: str) -> str:
    """'ControlNet', 'ControlNet 2' or 'UNet', from the start of a dotted name."""
    match = _NETWORK.match(name)
    if match is None:
        return name
    if match[3]:
        return "UNet"
    return f"ControlNet {int(match[2]) + 1}" if match[2] else "ControlNet"


def block_title(block: str) -> str:
    """The title of a block for people: 'UNet down 2', 'ControlNet middle'."""
    if block == "guidance":
        return "Unguided branch"
    for pattern, word in _PARTS:
        if match := pattern.search(block):
            number = f" {int(match[1]) + 1}" if match.groups() else ""
            return f"{network_title(block)} {word}{number}"
    return network_title(block)


def site_title(site: TracedSite) -> str:
    """The title of a site for people: 'UNet down 2 · ResNet 1'."""
    if site.kind is Kind.BRANCH:
        return block_title(site.block)
    if site.name == PREDICTION:
        return "UNet prediction"
    if site.kind in (Kind.EMBEDDING, Kind.CONDITION, Kind.CONV):
        return f"{network_title(site.name)} {_stem_word(site)}"
    if site.kind is Kind.RESIDUAL:
        last = site.name.rsplit(".", 1)[-1]
        return f"{network_title(site.name)} residual {int(last) + 1 if last.isdigit() else 'of the middle'}"
    return f"{block_title(site.block)} · {site.kind.value}{_number(site)}"


def block_rows(trace: Sited) -> list[ChartRow]:
    """One row a block, in the order in which a step meets them; a network's input and output stand apart."""
    groups: dict[str, list[TracedSite]] = {}
    for site in _ordered(trace):
        groups.setdefault(_row_title(site), []).append(site)
    return [_row(title, sites) for title, sites in groups.items()]


def site_rows(trace: Sited) -> list[ChartRow]:
    """One row a site."""
    return [ChartRow(site_title(site), (site,)) for site in _ordered(trace)]


def _ordered(trace: Sited) -> list[TracedSite]:
    """The branches first: they decide how much of all the rest is computed."""
    return sorted(trace.sites, key=lambda site: site.kind is not Kind.BRANCH)


def _row(title: str, sites: list[TracedSite]) -> ChartRow:
    """A site computed once and for all would make every block 'computed in part': it is shown among the sites only."""
    main = tuple(s for s in sites if s.parent is None and s.kind is not Kind.EMBEDDING) or tuple(sites)
    return ChartRow(title, main, tuple(site for site in sites if site not in main))


def _row_title(site: TracedSite) -> str:
    network = network_title(site.name)
    if site.kind is Kind.PREDICTION:
        return f"{network} prediction"
    if site.kind is Kind.CONDITION:
        return f"{network} control map"
    if site.name.endswith("conv_out"):
        return f"{network} output"
    if site.kind in (Kind.EMBEDDING, Kind.CONV) and "_block" not in site.block:
        return f"{network} input"
    return block_title(site.block)


def _stem_word(site: TracedSite) -> str:
    words = {"conv_in": "input", "conv_out": "output", "controlnet_cond_embedding": "control map"}
    last = site.name.rsplit(".", 1)[-1]
    return words.get(last, last.replace("_", " "))


def _number(site: TracedSite) -> str:
    """Which of its kind in the block, counted from 1; attentions count by the transformer they sit in."""
    match = re.search(r"(?:resnets|attentions|samplers)\.(\d+)", site.name)
    return f" {int(match[1]) + 1}" if match else ""
