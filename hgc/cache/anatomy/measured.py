"""The anatomy of networks, its shapes and MACs measured in one forward of one sample on the meta device."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from threading import Lock
from typing import Any

import torch
from diffusers.models.embeddings import IPAdapterFaceIDImageProjection

from hgc.cache.anatomy import PREDICTION, UNGUIDED, Anatomy, Macs
from hgc.cache.anatomy.macs import MacCounter, uncounted
from hgc.cache.anatomy.networks import Networks, hint_shape, is_union
from hgc.cache.anatomy.sites import anatomy_of, survey
from hgc.cache.anatomy.twin import structure, twin
from hgc.cache.rules import PlanRefused
from hgc.cache.running.patching import replaced_forwards

_MEASURED: OrderedDict[tuple[Any, ...], Anatomy] = OrderedDict()
_REMEMBERED = 32
_lock = Lock()


def anatomy(pipe: Any, side: int | None = None, maps: int = 1) -> Anatomy:
    """The anatomy of a pipeline's networks for pictures of `side` pixels, by default the side it was trained for.

    `maps` is the number of control maps that a Union ControlNet is going to be given.
    """
    latent = pipe.unet.config.sample_size if side is None else side // pipe.vae_scale_factor
    return measure(
        Networks.of(pipe, maps), (latent, latent), pipe.tokenizer.model_max_length, model=type(pipe).__name__
    )


def measure(networks: Networks, latent: tuple[int, int], tokens: int, *, model: str = "this model") -> Anatomy:
    """The anatomy of the networks with shapes and MACs, from one forward of one sample on the meta device.

    `latent` is the height and width of the latents, `tokens` the length of the text. Remembered by configuration and by
    what is loaded or patched into it. Raises PlanRefused for networks that do not run there.
    """
    configs = tuple(repr(sorted(net.config.items(), key=str)) for net in networks.all)
    maps = tuple(networks.conditions.items())
    key = (model, latent, tokens, tuple(networks.controls), maps, configs, *(structure(net) for net in networks.all))
    with _lock:
        anatomy = _MEASURED.get(key)
        if anatomy is None:
            with uncounted():
                anatomy = _MEASURED[key] = _measure(networks, latent, tokens, model)
        if len(_MEASURED) > _REMEMBERED:
            _MEASURED.popitem(last=False)
    return anatomy


def _measure(networks: Networks, latent: tuple[int, int], tokens: int, model: str) -> Anatomy:
    controls = {name: twin(net) for name, net in networks.controls.items()}
    meta = Networks(twin(networks.unet), controls, conditions=networks.conditions)
    layout = survey(meta)
    measured: dict[str, tuple[tuple[int, ...], Macs]] = {}
    # In inference mode composite operations stay whole, and nothing would be counted.
    with torch.inference_mode(False), torch.no_grad(), MacCounter() as counter:
        handlers = {
            module: partial(_measured_forward, measured, counter, name)
            for name, modules in layout.modules.items()
            for module in modules
        }
        try:
            with replaced_forwards(handlers):
                run_once(meta, latent, tokens)
        except (NotImplementedError, RuntimeError) as error:
            raise PlanRefused(
                f"{model}: its MACs cannot be counted on torch's meta device ({error}); take custom attention "
                "processors and patches of its layers out first"
            ) from error
    for name in (PREDICTION, UNGUIDED):
        measured[name] = ((1, networks.unet.config.out_channels, *latent), Macs())
    inner = sum((measured[site.name][1] for site in layout.sites if site.parent is None), Macs())
    if inner != counter.total:
        raise RuntimeError(f"{model}: sites hold {inner}, a forward executes {counter.total}; a module is not a site")
    return anatomy_of(layout, model, measured)


def _measured_forward(
    measured: dict[str, tuple[tuple[int, ...], Macs]],
    counter: MacCounter,
    name: str,
    original: Callable[..., Any],
    *args: Any,
    **kwargs: Any,
) -> Any:
    before = counter.total
    out = original(*args, **kwargs)
    value = out[0] if isinstance(out, tuple) else out
    known = measured.get(name, ((), Macs()))[1]
    measured[name] = (tuple(value.shape), known + (counter.total - before))
    return out


def run_once(meta: Networks, latent: tuple[int, int], tokens: int) -> None:
    """One forward of one sample through networks without weights."""
    config = meta.unet.config
    empty = partial(torch.empty, device="meta")
    sample, step = empty(1, config.in_channels, *latent), torch.zeros((), device="meta")
    text = empty(1, tokens, config.cross_attention_dim)
    down, middle = None, None
    for name, net in meta.controls.items():
        noise = empty(1, net.config.in_channels, *latent)
        added, hint = _added_conditions(net), empty(1, *hint_shape(net, latent))
        asked: dict[str, Any] = {"controlnet_cond": hint}
        if is_union(net):
            maps, kinds = meta.conditions.get(name, 1), net.config.num_control_type
            asked = {"controlnet_cond": [hint] * maps, "control_type_idx": [0] * maps, "control_type": empty(1, kinds)}
        more, last = net(noise, step, text, added_cond_kwargs=added, return_dict=False, **asked)
        down = more if down is None else [a + b for a, b in zip(down, more, strict=True)]
        middle = last if middle is None else middle + last
    width = config.time_cond_proj_dim
    meta.unet(
        sample,
        step,
        text,
        timestep_cond=None if width is None else empty(1, width),
        added_cond_kwargs=_added_conditions(meta.unet) | _image_prompts(meta.unet),
        down_block_additional_residuals=down,
        mid_block_additional_residual=middle,
        return_dict=False,
    )


def _added_conditions(net: Any) -> dict[str, Any]:
    """SDXL's pooled text and size embeddings, in the widths the model was built for."""
    if net.config.addition_embed_type != "text_time":
        return {}
    sizes = 6
    pooled = net.config.projection_class_embeddings_input_dim - sizes * net.config.addition_time_embed_dim
    return {
        "text_embeds": torch.empty(1, pooled, device="meta"),
        "time_ids": torch.empty(1, sizes, device="meta"),
    }


def _image_prompts(unet: Any) -> dict[str, Any]:
    """One image for each IP-Adapter that is loaded."""
    if unet.encoder_hid_proj is None:
        return {}
    images = []
    for layer in unet.encoder_hid_proj.image_projection_layers:
        face = isinstance(layer, IPAdapterFaceIDImageProjection)
        shape = (1, 1, 1, layer.ff.net[0].proj.in_features) if face else (1, 1, layer.image_embeds.in_features)
        images.append(torch.empty(shape, device="meta"))
    return {"image_embeds": images}
