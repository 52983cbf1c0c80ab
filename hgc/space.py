"""The Spacefile, and the Hugging Face Space that is made from it.

problems(root)                        # what would go wrong, in sentences; empty when all is well
push(root, "owner/name", dry_run=True)
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

import yaml
from huggingface_hub import HfApi
from huggingface_hub.errors import HFValidationError, HTTPError
from huggingface_hub.utils import validate_repo_id
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from hgc.refused import Refused

SPACEFILE = "Spacefile"
FENCE = "---\n"

Colour = Literal["red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"]
Hardware = Literal[
    "cpu-basic", "cpu-upgrade", "zero-a10g", "t4-small", "t4-medium", "l4x1", "l4x4", "a10g-small", "a10g-large"
]
Text = Annotated[str, StringConstraints(min_length=1)]


class SpaceRefused(Refused, RuntimeError):
    """A Space that cannot be made; the message says what is wrong and what to do."""


class SpaceSettings(BaseModel):
    """Front matter of a Space (huggingface.co/docs/hub/spaces-config-reference), as far as this project uses it."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    title: Text
    emoji: Text
    color_from: Colour = Field(alias="colorFrom")
    color_to: Colour = Field(alias="colorTo")
    sdk: Literal["gradio"]
    sdk_version: Annotated[str, StringConstraints(pattern=r"^\d+\.\d+\.\d+$")]
    app_file: Text
    python_version: Annotated[str, StringConstraints(pattern=r"^3\.\d+$")]
    suggested_hardware: Hardware
    short_description: Annotated[str, StringConstraints(min_length=1, max_length=60)]
    license: Text
    pinned: bool = False
    tags: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    preload_from_hub: tuple[str, ...] = ()

    def front_matter(self) -> dict[str, Any]:
        """The settings by the names that the hub reads; empty lists are left out."""
        settings = self.model_dump(mode="json", by_alias=True)
        return {name: value for name, value in settings.items() if value != []}


class Micro(BaseModel):
    """One process of a Spacefile v0; `space` is ours (v0 allows further properties here)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
    src: str
    engine: Literal["custom"]
    primary: Literal[True]
    commands: tuple[str, ...]
    run: Text
    space: SpaceSettings


class Spacefile(BaseModel):
    """Deta's Spacefile v0 with the one micro this project is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    v: Literal[0]
    app_name: Annotated[str, StringConstraints(min_length=1, max_length=12)]
    micros: Annotated[tuple[Micro, ...], Field(min_length=1, max_length=1)]

    @property
    def space(self) -> SpaceSettings:
        return self.micros[0].space


class SpaceApi(Protocol):
    """The part of huggingface_hub.HfApi that is used here."""

    def create_repo(self, repo_id: str, *, repo_type: str, space_sdk: str, private: bool, exist_ok: bool) -> Any: ...

    def upload_folder(
        self,
        *,
        repo_id: str,
        folder_path: Path,
        repo_type: str,
        allow_patterns: list[str],
        delete_patterns: str,
        commit_message: str,
    ) -> Any: ...


@dataclass(frozen=True)
class Pushed:
    """The files that went to the Space, or would go, with their bytes; `url` is None for a dry run."""

    repo_id: str
    sizes: Mapping[str, int]
    settings: SpaceSettings
    url: str | None

    @property
    def files(self) -> tuple[str, ...]:
        return tuple(self.sizes)

    @property
    def total_bytes(self) -> int:
        return sum(self.sizes.values())


def read_spacefile(root: Path) -> Spacefile:
    """Read and validate the Spacefile of a checkout. Raises SpaceRefused that lists every wrong field."""
    path = root / SPACEFILE
    try:
        return Spacefile.model_validate(yaml.safe_load(path.read_text("utf-8")))
    except OSError as error:
        raise SpaceRefused(f"{SPACEFILE} cannot be read ({error.strerror}): run this in the checkout.") from error
    except yaml.YAMLError as error:
        raise SpaceRefused(f"{SPACEFILE} is not YAML: {error}") from error
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise SpaceRefused(f"{SPACEFILE} is not valid: {wrong}") from error


def rendered_front_matter(settings: SpaceSettings) -> str:
    """The YAML block that README.md must open with, fences included."""
    return FENCE + yaml.safe_dump(settings.front_matter(), sort_keys=False, allow_unicode=True, width=1000) + FENCE


def readme_front_matter(readme: str) -> dict[str, Any]:
    """The settings at the top of a README; empty where there are none. Raises SpaceRefused for broken YAML."""
    if not readme.startswith(FENCE):
        return {}
    block, fence, _ = readme.removeprefix(FENCE).partition("\n" + FENCE)
    if not fence:
        return {}
    try:
        settings = yaml.safe_load(block)
    except yaml.YAMLError as error:
        raise SpaceRefused(f"README.md's front matter is not YAML: {error}") from error
    return settings if isinstance(settings, dict) else {}


def problems(root: Path) -> tuple[str, ...]:
    """Everything that keeps this checkout from being a Space, one sentence each."""
    settings = read_spacefile(root).space
    expected, front_matter = settings.front_matter(), readme_front_matter(_text(root, "README.md"))
    nothing = object()
    wrong = (
        [f"README.md has no front matter: begin it with the Space's settings from {SPACEFILE}."]
        if not front_matter
        else [
            f"README.md's front matter has {name}: {front_matter.get(name)!r}, {SPACEFILE} says {expected.get(name)!r}."
            for name in (*expected, *(front_matter.keys() - expected.keys()))
            if expected.get(name, nothing) != front_matter.get(name, nothing)
        ]
    )
    if f"gradio=={settings.sdk_version}" not in _text(root, "requirements.txt").split():
        wrong.append(f"requirements.txt does not pin gradio=={settings.sdk_version}, which {SPACEFILE} asks for.")
    if not (root / settings.app_file).is_file():
        wrong.append(f"app_file {settings.app_file!r} of {SPACEFILE} does not exist.")
    return tuple(wrong)


def _text(root: Path, name: str) -> str:
    path = root / name
    return path.read_text("utf-8") if path.is_file() else ""


def space_files(root: Path) -> tuple[str, ...]:
    """Paths of the files that git tracks and that exist, in order: what a Space gets. Raises SpaceRefused."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=False)
    if listed.returncode:
        raise SpaceRefused(f"git cannot list this checkout's files: {listed.stderr.strip()}; push from a git clone.")
    return tuple(name for name in sorted(listed.stdout.split("\0")) if name and (root / name).is_file())


def push(
    root: Path, repo_id: str, *, dry_run: bool = False, private: bool = False, api: SpaceApi | None = None
) -> Pushed:
    """Create the Space `owner/name` or bring it up to date with the tracked files; what they no longer hold is deleted.

    A dry run checks everything and sends nothing. Raises SpaceRefused.
    """
    _check_repo_id(repo_id)
    wrong = problems(root)
    if wrong:
        raise SpaceRefused(" ".join(wrong))
    settings = read_spacefile(root).space
    sizes = {name: (root / name).stat().st_size for name in space_files(root)}
    if dry_run:
        return Pushed(repo_id, sizes, settings, None)
    hub: SpaceApi = api or HfApi()
    try:
        url = hub.create_repo(repo_id, repo_type="space", space_sdk="gradio", private=private, exist_ok=True)
        hub.upload_folder(
            repo_id=repo_id,
            folder_path=root,
            repo_type="space",
            allow_patterns=list(sizes),
            delete_patterns="*",
            commit_message="Update from the project's checkout",
        )
    # The hub's own errors and those of the connection are one or the other of these.
    except (OSError, HTTPError) as error:
        raise SpaceRefused(
            f"The Space {repo_id} could not be updated ({type(error).__name__}: {error}): "
            "check the connection, and that `hf auth login` was done with a token that may write."
        ) from error
    return Pushed(repo_id, sizes, settings, str(url))


def _check_repo_id(repo_id: str) -> None:
    owner, slash, name = repo_id.partition("/")
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise SpaceRefused(f"{repo_id!r} is not a name for a Space: {error}") from error
    if not (owner and slash and name):
        raise SpaceRefused(f"{repo_id!r} is not a name for a Space: give it as owner/name.")
