"""A network that looks at pictures: where it comes from, and loading it when it is first asked for.

None is fetched here: one that is not on this machine is refused with the command that fetches it.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from transformers import AutoConfig, AutoImageProcessor, AutoModel

from hgc.models import hub
from hgc.models.library_errors import told
from hgc.models.refusals import ModelUnavailable

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Network:
    """A network by its id on the Hub; `what` says in words what it is, `device` where it is put."""

    repo: str
    what: str
    device: torch.device

    @property
    def is_here(self) -> bool:
        return hub.is_here(self.repo)

    @property
    def folder(self) -> Path:
        """Raises ModelUnavailable where it is not on this machine, whole."""
        folder = hub.model_folder(self.repo)
        if folder is None:
            raise ModelUnavailable(
                f"the {self.what} {self.repo} is not here; fetch it with `hgc models fetch {self.repo}`"
            )
        return folder

    @property
    def missing(self) -> str:
        """Why it cannot be loaded, with the command that fetches it; nothing where it is here."""
        try:
            self.folder  # noqa: B018
        except ModelUnavailable as error:
            return str(error)
        return ""

    @cached_property
    def processor(self) -> Any:
        """Makes its input of a picture."""
        with self._told():
            return AutoImageProcessor.from_pretrained(self.folder, local_files_only=True)

    def config(self) -> Any:
        with self._told():
            return AutoConfig.from_pretrained(self.folder, local_files_only=True)

    def load(self, maker: Any = AutoModel) -> Any:
        """By one of transformers' classes: in float32, ready to look. Raises ModelUnavailable."""
        with self._told():
            model = maker.from_pretrained(self.folder, local_files_only=True, use_safetensors=True, dtype=torch.float32)
        return model.to(self.device).eval().requires_grad_(False)

    def weights(self) -> dict[str, torch.Tensor]:
        """Of a network that transformers does not know: its numbers by name. Raises ModelUnavailable."""
        with self._told():
            return {name: tensor.float() for name, tensor in load_file(self.folder / "model.safetensors").items()}

    def _told(self) -> AbstractContextManager[None]:
        return told(f"the {self.what} {self.repo} cannot be used", "fetch it again", KeyError, RuntimeError)


def batch_of(image: Pixels, device: torch.device) -> torch.Tensor:
    """[1, 3, H, W] in 0..1 of a picture uint8 [H, W, 3]."""
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].to(device).float() / 255
