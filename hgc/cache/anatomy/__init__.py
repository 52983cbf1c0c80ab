"""The anatomy of a denoiser as plain data: its sites, and who consumes whom."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

UNGUIDED = "guidance.unguided"
PREDICTION = "unet"


class Kind(StrEnum):
    """The kind of value a site computes. A site is a module call whose output can be kept (design: 'Site')."""

    PREDICTION = "prediction"
    BRANCH = "branch"
    EMBEDDING = "embedding"
    CONDITION = "condition embedding"
    CONV = "convolution"
    RESNET = "ResNet"
    TRANSFORMER = "transformer"
    SAMPLER = "sampler"
    RESIDUAL = "control residual"
    SELF_ATTENTION = "self-attention"
    CROSS_ATTENTION = "cross-attention"
    FEED_FORWARD = "feed-forward"
    TEXT_KV = "text keys and values"
    IMAGE_KV = "image keys and values"


FINE = (Kind.SELF_ATTENTION, Kind.CROSS_ATTENTION, Kind.FEED_FORWARD, Kind.BRANCH)


class State(StrEnum):
    """The state of a cell after a run: the actions, and the two ways of not being asked at all."""

    COMPUTED = "C"
    REUSED = "R"
    FORECAST = "F"
    DEAD = "."
    ABSENT = "-"


KEPT = (State.REUSED, State.FORECAST)


@dataclass(frozen=True)
class Macs:
    """Multiply-accumulates of one sample: `paper` counts convolutions and linear layers, `full` attention as well."""

    paper: int = 0
    full: int = 0

    def __add__(self, other: Macs) -> Macs:
        return Macs(self.paper + other.paper, self.full + other.full)

    def __sub__(self, other: Macs) -> Macs:
        return Macs(self.paper - other.paper, self.full - other.full)

    def __mul__(self, times: int) -> Macs:
        return Macs(self.paper * times, self.full * times)


@dataclass(frozen=True)
class Site:
    """One module call whose output can be kept.

    `inputs` are the sites whose outputs it consumes; `parent` is the site it runs inside of; `block` groups sites for
    people; a `constant` site's output does not depend on the denoising step; `shape` is the output's for a batch of
    one; `macs` include the sites inside it.
    """

    name: str
    kind: Kind
    block: str
    inputs: tuple[str, ...] = ()
    parent: str | None = None
    constant: bool = False
    shape: tuple[int, ...] = ()
    macs: Macs = field(default_factory=Macs)


@dataclass(frozen=True)
class Block:
    """A module that only passes through its sites: `hidden` is its main output, `skips` what it hands across the U."""

    name: str
    sites: tuple[str, ...]
    hidden: str
    skips: tuple[str, ...] = ()


@dataclass(frozen=True)
class Anatomy:
    """All sites of one denoiser at one latent size, in the order in which a step meets them."""

    model: str
    sites: tuple[Site, ...]
    blocks: tuple[Block, ...]
    output: str

    def __iter__(self) -> Iterator[Site]:
        return iter(self.sites)

    def __contains__(self, name: object) -> bool:
        return name in self.by_name

    def __getitem__(self, name: str) -> Site:
        return self.by_name[name]

    @cached_property
    def by_name(self) -> Mapping[str, Site]:
        return {site.name: site for site in self.sites}

    @cached_property
    def consumers(self) -> Mapping[str, tuple[str, ...]]:
        readers: dict[str, list[str]] = {site.name: [] for site in self.sites}
        for site in self.sites:
            for name in site.inputs:
                readers[name].append(site.name)
        return {name: tuple(names) for name, names in readers.items()}

    @cached_property
    def children(self) -> Mapping[str, tuple[Site, ...]]:
        inside: dict[str, list[Site]] = {site.name: [] for site in self.sites}
        for site in self.sites:
            if site.parent is not None:
                inside[site.parent].append(site)
        return {name: tuple(sites) for name, sites in inside.items()}

    @cached_property
    def own_macs(self) -> Mapping[str, Macs]:
        """MACs of every site without those of the sites inside it, for one sample."""
        return {s.name: s.macs - sum((c.macs for c in self.children[s.name]), Macs()) for s in self.sites}

    def of(self, *kinds: Kind) -> tuple[Site, ...]:
        return tuple(site for site in self.sites if site.kind in kinds)

    def within(self, prefix: str) -> tuple[Site, ...]:
        """The sites of one network or block, by the start of their dotted name."""
        return tuple(site for site in self.sites if site.name.startswith(prefix + "."))

    @cached_property
    def residuals(self) -> Mapping[str, tuple[str, ...]]:
        """Of every ControlNet the sites whose values it hands over, encoder's first, the middle's last."""
        residuals: dict[str, list[str]] = {}
        for site in self.control_residuals:
            residuals.setdefault(site.block.removesuffix(".residuals"), []).append(site.name)
        return {net: tuple(names) for net, names in residuals.items()}

    def network_of(self, name: str) -> str:
        """The network that a site lies in."""
        return next((net for net in self.residuals if name.startswith(net + ".")), "unet")

    def idle(self, result: Mapping[str, State]) -> frozenset[str]:
        """The blocks and the ControlNets none of whose sites is computed."""
        groups = {block.name: block.sites for block in self.blocks}
        groups |= {net: tuple(site.name for site in self.within(net)) for net in self.residuals}
        return frozenset(n for n, sites in groups.items() if all(result[site] is not State.COMPUTED for site in sites))

    @cached_property
    def decoder(self) -> tuple[Site, ...]:
        """The chain of UNet sites from the middle to the output, first to last."""
        return tuple(
            s for s in self.sites if s.parent is None and s.name.startswith(("unet.mid_block", "unet.up_blocks"))
        )

    @cached_property
    def control_sites(self) -> frozenset[str]:
        """All sites of the ControlNets."""
        return frozenset(
            s.name for s in self.sites if s.name not in (PREDICTION, UNGUIDED) and not s.name.startswith("unet.")
        )

    @cached_property
    def glimpsed(self) -> str:
        """The feature that shows most cheaply how far a step has moved: residual 0 of the first ControlNet, else the
        output of the UNet's first layer."""
        if self.control_residuals:
            return self.control_residuals[0].name
        first, *others = (s for s in self.within("unet.down_blocks.0") if s.parent is None)
        return next((s.name for s in others[:1] if s.kind is Kind.TRANSFORMER), first.name)

    @cached_property
    def control_residuals(self) -> tuple[Site, ...]:
        return self.of(Kind.RESIDUAL)
