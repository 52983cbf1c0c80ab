"""The text encoder, the UNet and its ControlNets as one trainable module."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from diffusers import ControlNetModel, DDIMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor, AttnProcessor2_0
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from hgc.landscapes.tokenizer import MAX_TOKENS, word_ids
from hgc.training.autoencoder import LATENT_CHANNELS

LATENT_SIZE = 32
# The ControlNet of each control, in the order of a batch: the attribute here and the folder of finished weights.
NETS = {"segmentation": "controlnet", "edges": "controlnet_edges", "depth": "controlnet_depth"}


@dataclass(frozen=True)
class DenoiserPlan:
    """Sizes of the denoiser; the four levels are Stable Diffusion 1.5's."""

    channels: tuple[int, int, int, int] = (64, 112, 128, 128)
    heads: tuple[int, int, int, int] = (1, 2, 2, 2)
    layers: int = 2
    text_width: int = 128
    text_layers: int = 2
    norm_groups: int = 16
    condition_channels: tuple[int, ...] = (8, 16, 48, 96)


def build_scheduler() -> DDIMScheduler:
    """Stable Diffusion's schedule with its last step made pure noise (arXiv 2305.08891), v-prediction.

    Without that, night and noon would leak through the last step in training and be missing when sampling.
    """
    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=True,
        steps_offset=0,
    )


@torch.no_grad()
def open_zero_layers(net: ControlNetModel, share: float = 0.3) -> None:
    """Let a new ControlNet speak from the first step.

    Its zero layers protect a finished UNet; here both start from nothing, and silence only delays obedience.
    """
    last = net.controlnet_cond_embedding.conv_out
    nn.init.kaiming_uniform_(last.weight, a=5**0.5)
    for layer in (*net.controlnet_down_blocks, net.controlnet_mid_block):
        layer.weight.copy_(share * nn.init.dirac_(torch.empty_like(layer.weight)))


@torch.no_grad()
def strengthen(net: ControlNetModel, factor: float) -> None:
    """Scale a ControlNet's output by `factor`, as `controlnet_conditioning_scale` does in a call."""
    for layer in (*net.controlnet_down_blocks, net.controlnet_mid_block):
        layer.weight.mul_(factor)
        layer.bias.mul_(factor)


class Denoiser(nn.Module):
    """Predicts v for a batch of which each control has a part, and the rest is uncontrolled."""

    def __init__(self, plan: DenoiserPlan, tokenizer: CLIPTokenizer) -> None:
        super().__init__()
        self.text_encoder = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(tokenizer),
                hidden_size=plan.text_width,
                intermediate_size=2 * plan.text_width,
                num_hidden_layers=plan.text_layers,
                num_attention_heads=2,
                max_position_embeddings=MAX_TOKENS,
                projection_dim=plan.text_width,
                bos_token_id=tokenizer.bos_token_id,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
            )
        )
        sizes = {
            "in_channels": LATENT_CHANNELS,
            "block_out_channels": plan.channels,
            "layers_per_block": plan.layers,
            "cross_attention_dim": plan.text_width,
            "attention_head_dim": plan.heads,
            "norm_num_groups": plan.norm_groups,
        }
        self.unet = UNet2DConditionModel(sample_size=LATENT_SIZE, out_channels=LATENT_CHANNELS, **sizes)
        condition = {"conditioning_embedding_out_channels": plan.condition_channels}
        for name in NETS.values():
            self.add_module(name, ControlNetModel(**sizes, **condition))
        for net in self.nets.values():
            open_zero_layers(net)

    @property
    def nets(self) -> dict[str, ControlNetModel]:
        """The ControlNet of every control."""
        return {control: self.get_submodule(name) for control, name in NETS.items()}

    def attend_for_training(self) -> None:
        """Spell attention out where its map is small.

        On a CPU the fused kernel's backward takes two to four times as long there; over a whole picture's
        pixels, at the first level, it is the faster one.
        """
        for net in (self.unet, *self.nets.values()):
            net.set_attn_processor(
                {name: AttnProcessor2_0() if _whole_picture(name) else AttnProcessor() for name in net.attn_processors}
            )

    def forward(self, noisy: Tensor, steps: Tensor, ids: Tensor, controls: Sequence[Tensor]) -> Tensor:
        """noisy [B, 12, 32, 32], steps [B], ids [B, T]; the maps [b, 3, 256, 256] in 0..1 of each control in NETS.

        The first samples follow the maps of the first control, the next those of the second, the last nothing.
        """
        text = self.text_encoder(ids).last_hidden_state
        parts: list[list[Tensor]] = []
        start = 0
        for net, control in zip(self.nets.values(), controls, strict=True):
            chosen = slice(start, start + len(control))
            down, mid = net(noisy[chosen], steps[chosen], text[chosen], controlnet_cond=control, return_dict=False)
            parts.append([*down, mid])
            start += len(control)
        free = len(noisy) - start
        if free:
            parts.append([part.new_zeros(free, *part.shape[1:]) for part in parts[0]])
        *down, mid = (torch.cat(pieces) for pieces in zip(*parts, strict=True))
        predicted: Tensor = self.unet(
            noisy,
            steps,
            encoder_hidden_states=text,
            down_block_additional_residuals=tuple(down),
            mid_block_additional_residual=mid,
            return_dict=False,
        )[0]
        return predicted


@torch.no_grad()
def forget_unseen_words(model: Denoiser, tokenizer: CLIPTokenizer) -> None:
    """Pieces of words that no caption holds start, and stay, at zero: an unknown word says nothing instead of noise."""
    table = model.text_encoder.get_input_embeddings().weight
    unseen = torch.ones(len(table), dtype=torch.bool)
    unseen[word_ids(tokenizer)] = False
    table[unseen.to(table.device)] = 0


def _whole_picture(processor: str) -> bool:
    """Whether a processor, by its name, compares every pixel of the first level with every other."""
    return ".attn1." in processor and processor.startswith(("down_blocks.0.", "up_blocks.3."))
