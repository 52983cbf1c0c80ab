"""Rows compiled ahead of time: a package on the disk for each, by AOTInductor, through Hugging Face's `spaces`.

On a ZeroGPU Space every run is a process of its own, in which torch's compiler would begin anew and take minutes. A
package is compiled once, anywhere with the same device and torch, and later programs load it in a moment.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch.fx import GraphModule

from hgc.cache.recording.capture import Compiled


class Packages:
    """A compiler of rows that keeps what it compiles in a folder, and takes it from there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.compiled = 0  # by this program

    def __call__(self, graph: GraphModule) -> Compiled:
        """Code that reads weights and buffers where they lie. Raises ImportError without `spaces`."""
        from spaces.zero.torch.aoti import LazyAOTIModel

        tensors = {**dict(graph.named_parameters()), **dict(graph.named_buffers())}
        package = self.folder / f"{digest_of(graph, tensors)}.pt2"
        if not package.exists():
            self._compile(graph, package)
        model = LazyAOTIModel(package)
        return lambda: list(model(tensors, True))

    def _compile(self, graph: GraphModule, package: Path) -> None:
        from spaces.zero.torch.aoti import PACKAGE_FILENAME, aoti_compile_and_save

        self.folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=self.folder) as made:
            aoti_compile_and_save(made, torch.export.export(graph, ()))
            Path(made, "root", PACKAGE_FILENAME).replace(package)
        self.compiled += 1


def digest_of(graph: GraphModule, tensors: Mapping[str, torch.Tensor]) -> str:
    """Of the graph's code, of the form of all that it reads, and of what code is made for: torch and the device."""
    forms = [
        [name, list(tensor.shape), list(tensor.stride()), str(tensor.dtype), tensor.device.type]
        for name, tensor in sorted(tensors.items())
    ]
    kinds = {tensor.device for tensor in tensors.values() if tensor.device.type == "cuda"}
    chips = sorted(torch.cuda.get_device_name(device) for device in kinds) or [torch.backends.cpu.get_cpu_capability()]
    written = json.dumps([torch.__version__, chips, forms, graph.code])
    return hashlib.sha256(written.encode()).hexdigest()[:24]
