"""LoRAs by name: those that were added here (`runs/loras.json`), and single files of the Hub that are on this machine.

A request names a LoRA, and a request may come from anybody: a name is never read as a path.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from hgc import limits
from hgc.models import hub
from hgc.models.refusals import ModelUnavailable
from hgc.models.tensors import Tensors
from hgc.whole import write_whole

PLACE = Path("runs") / "loras.json"


def added_loras() -> Mapping[str, str]:
    """The LoRAs that were added here: where each lies, by its name. Raises ModelUnavailable for a damaged file."""
    if not PLACE.exists():
        return {}
    try:
        listed = json.loads(PLACE.read_text())
        return {str(name): str(source) for name, source in listed.items()}
    except (ValueError, AttributeError) as error:
        raise ModelUnavailable(f"{PLACE} is damaged; delete it and add your LoRAs again") from error


def add_lora(source: str, name: str | None = None) -> str:
    """Remembers a LoRA, a file or `id:file` of the Hub, and gives its name. Raises ModelUnavailable."""
    path = lora_file(source)
    if (holds := Tensors.of(path).holds) != "lora":
        raise ModelUnavailable(f"{path.name} holds a {holds}, no LoRA; choose a LoRA's file")
    name = name or re.sub(r"[^A-Za-z0-9_-]+", "-", path.stem).strip("-_") or "lora"
    if not re.fullmatch(limits.NAME, name) or len(name) > limits.NAME_CHARS:
        raise ModelUnavailable(f"'{name[:40]}' is not a name for a LoRA; take letters, digits, - and _")
    _write({**added_loras(), name: str(path.resolve()) if Path(source).expanduser().is_file() else source})
    return name


def forget_lora(name: str) -> None:
    """Raises ModelUnavailable for a LoRA that was not added."""
    known = dict(added_loras())
    if known.pop(name, None) is None:
        raise ModelUnavailable(f"the LoRA '{name[:80]}' was not added; added are {', '.join(known) or 'none'}")
    _write(known)


def loras_for(text_width: int) -> tuple[str, ...]:
    """Those of the added LoRAs that are here and made for a model that reads text of this width, by name."""
    return tuple(name for name, source in added_loras().items() if _made_for(source, text_width))


def _made_for(source: str, text_width: int) -> bool:
    try:
        tensors = Tensors.of(lora_file(source))
    except ModelUnavailable:
        return False
    return tensors.holds == "lora" and tensors.text_width in (None, text_width)


def lora_named(name: str) -> Path:
    """The file of a LoRA that was added, or of `id:file`. Raises ModelUnavailable for any other name."""
    known = added_loras()
    if name in known:
        return lora_file(known[name])
    if not re.fullmatch(r"[\w.-]+/[\w.-]+:[^:]+", name):
        raise ModelUnavailable(
            f"unknown LoRA '{name[:80]}'; added are {', '.join(known) or 'none'}. Add one with "
            "`hgc models add FILE --name NAME`, or give it as ID:FILE of the Hub"
        )
    return _of_hub(name)


def lora_file(source: str) -> Path:
    """The file of a LoRA: a path, or `id:file` of the Hub. Raises ModelUnavailable."""
    path = Path(source).expanduser()
    return path if path.is_file() else _of_hub(source)


def _of_hub(source: str) -> Path:
    repo, _, name = source.partition(":")
    folder = hub.snapshot(repo, name) if name and repo.count("/") == 1 else None
    if folder is None:
        raise ModelUnavailable(f"the LoRA {source[:120]} is not here; {hub.remedy(source)}")
    return folder / name


def _write(known: Mapping[str, str]) -> None:
    write_whole(PLACE, json.dumps(dict(known), indent=1).encode())
