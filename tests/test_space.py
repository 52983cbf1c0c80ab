"""The Spacefile, the front matter made from it, and a Space pushed to a hub that is not there."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import create_autospec

import pytest
import yaml
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError
from huggingface_hub.repocard import RepoCard
from typer.testing import CliRunner

from hgc.__main__ import app
from hgc.space import (
    SpaceRefused,
    problems,
    push,
    read_spacefile,
    readme_front_matter,
    rendered_front_matter,
    space_files,
)

ROOT = Path(__file__).parent.parent


class FakeHub:
    """Keeps what it was asked to do; `error` is raised instead of uploading."""

    def __init__(self, error: Exception | None = None) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.error = error

    def create_repo(self, repo_id: str, **options: Any) -> str:
        self.calls.append(("create_repo", {"repo_id": repo_id, **options}))
        return f"https://huggingface.co/spaces/{repo_id}"

    def upload_folder(self, **options: Any) -> None:
        if self.error:
            raise self.error
        self.calls.append(("upload_folder", options))


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A small git checkout that is ready to be a Space: this project's own Spacefile and pins."""
    for name in ("Spacefile", "requirements.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "app.py").write_text("print('hello')\n")
    (tmp_path / "README.md").write_text(rendered_front_matter(read_spacefile(ROOT).space) + "# Title\n")
    (tmp_path / "notes.txt").write_text("not tracked")
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@localhost"]
    for arguments in (["init", "-q"], ["add", "Spacefile", "requirements.txt", "app.py", "README.md"]):
        subprocess.run([*git, *arguments], cwd=tmp_path, check=True)
    return tmp_path


def edited(checkout: Path, old: str, new: str, name: str = "Spacefile") -> Path:
    text = (checkout / name).read_text()
    assert old in text
    (checkout / name).write_text(text.replace(old, new))
    return checkout


def test_this_project_is_ready_to_be_a_space() -> None:
    assert problems(ROOT) == ()


def test_the_spacefile_is_detas_v0() -> None:
    """Facts of the published v0 schema: its top level is closed, names are short, and engines are a fixed list."""
    spacefile = yaml.safe_load((ROOT / "Spacefile").read_text())
    assert set(spacefile) <= {"v", "icon", "app_name", "micros"}
    assert spacefile["v"] == 0
    assert len(spacefile["app_name"]) <= 12
    [micro] = spacefile["micros"]
    assert micro["engine"] in {"static", "react", "svelte", "vue", "next", "nuxt", "svelte-kit", "python3.9", "custom"}
    assert (micro["src"], micro["run"]) == (".", "python app.py")


def test_the_front_matter_is_what_the_hub_reads(checkout: Path) -> None:
    """Independent reference: huggingface_hub's own card parser."""
    settings = read_spacefile(ROOT).space
    card = RepoCard((checkout / "README.md").read_text()).data.to_dict()
    assert card == settings.front_matter()
    assert card["python_version"] == "3.11", "a string: unquoted YAML would make 3.10 a 3.1"
    assert (card["sdk"], card["sdk_version"], card["app_file"]) == ("gradio", "6.31.0", "app.py")
    assert len(card["short_description"]) <= 60


def test_front_matter_is_read_back_from_a_readme_with_rules_of_its_own() -> None:
    settings = read_spacefile(ROOT).space
    readme = rendered_front_matter(settings) + "# Title\n\n---\n\nA rule above.\n"
    assert readme_front_matter(readme) == settings.front_matter()


@pytest.mark.parametrize("readme", ["", "# Title\n", "---\nno end", "---\n\n---\n# Title\n"])
def test_a_readme_without_front_matter_has_none(readme: str) -> None:
    assert readme_front_matter(readme) == {}


def test_a_checkout_that_is_ready_has_no_problems(checkout: Path) -> None:
    assert problems(checkout) == ()


def test_each_problem_is_said_with_both_sides(checkout: Path) -> None:
    edited(checkout, "colorFrom: blue", "colorFrom: pink", "README.md")
    edited(checkout, "pinned: false\n", "pinned: false\nheader: mini\n", "README.md")
    edited(checkout, "gradio==6.31.0", "gradio==6.0.0", "requirements.txt")
    (checkout / "app.py").unlink()
    assert problems(checkout) == (
        "README.md's front matter has colorFrom: 'pink', Spacefile says 'blue'.",
        "README.md's front matter has header: 'mini', Spacefile says None.",
        "requirements.txt does not pin gradio==6.31.0, which Spacefile asks for.",
        "app_file 'app.py' of Spacefile does not exist.",
    )


def test_a_readme_without_front_matter_is_one_problem(checkout: Path) -> None:
    (checkout / "README.md").write_text("# Title\n")
    [problem] = problems(checkout)
    assert "has no front matter" in problem


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("v: 0", "v: 1", "v:"),
        ("app_name: HGC Studio", "app_name: Hybrid-Grained Cache", "app_name:"),
        ("colorFrom: blue", "colorFrom: teal", "micros.0.space.colorFrom:"),
        (
            "short_description: Draw",
            "short_description: " + "Draw " * 9,
            "short_description: String should have at most 60",
        ),
        ("sdk_version: 6.31.0", "sdk_version: latest", "sdk_version:"),
        ("      pinned: false", "      pined: false", "space.pined: Extra inputs"),
        ('python_version: "3.11"', "python_version: 3.11", "python_version: Input should be a valid string"),
        ("v: 0", "v: [", "is not YAML"),
    ],
)
def test_a_wrong_spacefile_names_the_field(checkout: Path, old: str, new: str, field: str) -> None:
    with pytest.raises(SpaceRefused) as refused:
        read_spacefile(edited(checkout, old, new))
    assert field in str(refused.value)


def test_a_missing_spacefile_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpaceRefused, match="Spacefile cannot be read"):
        read_spacefile(tmp_path)


def test_the_tracked_files_that_exist_are_the_spaces(checkout: Path) -> None:
    assert space_files(checkout) == ("README.md", "Spacefile", "app.py", "requirements.txt")
    (checkout / "app.py").unlink()
    assert "app.py" not in space_files(checkout)


def test_outside_git_nothing_can_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(SpaceRefused, match="git clone"):
        space_files(tmp_path)


def test_push_makes_the_space_and_sends_the_tracked_files(checkout: Path) -> None:
    hub = FakeHub()
    pushed = push(checkout, "somebody/studio", api=hub)
    (create, created), (upload, uploaded) = hub.calls
    assert (create, upload) == ("create_repo", "upload_folder")
    assert created == {
        "repo_id": "somebody/studio",
        "repo_type": "space",
        "space_sdk": "gradio",
        "private": False,
        "exist_ok": True,
    }
    assert (uploaded["repo_id"], uploaded["repo_type"]) == ("somebody/studio", "space")
    assert uploaded["allow_patterns"] == ["README.md", "Spacefile", "app.py", "requirements.txt"]
    assert pushed.url == "https://huggingface.co/spaces/somebody/studio"
    assert pushed.total_bytes == sum((checkout / name).stat().st_size for name in pushed.files)


def test_the_hubs_client_takes_these_very_arguments(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real HfApi, whose calls are bound to its real signatures and then go nowhere."""
    client = create_autospec(HfApi, instance=True)
    monkeypatch.setattr("hgc.space.HfApi", lambda: client)
    push(checkout, "somebody/studio", private=True)
    assert client.create_repo.call_args.kwargs["private"] is True
    client.upload_folder.assert_called_once()


def test_a_dry_run_sends_nothing(checkout: Path) -> None:
    hub = FakeHub()
    pushed = push(checkout, "somebody/studio", dry_run=True, api=hub)
    assert hub.calls == []
    assert pushed.url is None
    assert pushed.files == space_files(checkout)


def test_a_dry_run_shows_every_file_and_setting(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(checkout)
    shown = CliRunner().invoke(app, ["space", "somebody/studio", "--dry-run"])
    assert shown.exit_code == 0, shown.output
    *files, settings, total = shown.stdout.splitlines()
    listed = {name: int(size.replace(",", "")) for size, name in (line.split() for line in files)}
    assert listed == {name: (checkout / name).stat().st_size for name in space_files(checkout)}
    for name, value in read_spacefile(checkout).space.front_matter().items():
        assert f"{name} {value}" in settings
    assert total.startswith(f"{len(listed)} files")
    assert "the Space somebody/studio" in total


@pytest.mark.long
def test_what_is_pushed_can_run(tmp_path: Path) -> None:
    """Only the tracked files, in a folder of their own: the app opens, its model loads and a request is forecast."""
    for name in space_files(ROOT):
        place = tmp_path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, place)
    code = (
        "import app; from hgc.request import Recipe; from pathlib import Path; import os\n"
        "assert Path(os.path.abspath(app.__file__)).parent == Path.cwd()\n"
        "from hgc.ui import loader_here; studio = loader_here().studio(600)\n"
        "print(studio.forecast(Recipe()).share)"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert 0 < float(done.stdout) < 1


def test_a_checkout_with_problems_is_not_pushed(checkout: Path) -> None:
    hub = FakeHub()
    with pytest.raises(SpaceRefused, match="colorFrom: 'pink'"):
        push(edited(checkout, "colorFrom: blue", "colorFrom: pink", "README.md"), "somebody/studio", api=hub)
    assert hub.calls == []


@pytest.mark.parametrize("repo_id", ["studio", "/studio", "somebody/", "a/b/c", "somebody/my studio"])
def test_a_name_that_is_none_is_refused(checkout: Path, repo_id: str) -> None:
    hub = FakeHub()
    with pytest.raises(SpaceRefused, match="name for a Space"):
        push(checkout, repo_id, api=hub)
    assert hub.calls == []


@pytest.mark.parametrize("error", [LocalTokenNotFoundError("no token"), ConnectionError("no route")])
def test_a_hub_that_says_no_is_told_with_the_remedy(checkout: Path, error: Exception) -> None:
    with pytest.raises(SpaceRefused, match=r"somebody/studio.*hf auth login"):
        push(checkout, "somebody/studio", api=FakeHub(error))


def test_offline_the_real_client_is_told_with_the_remedy(checkout: Path) -> None:
    with pytest.raises(SpaceRefused, match="hf auth login"):
        push(checkout, "somebody/studio")


def test_errors_of_the_hubs_http_client_are_among_those_told() -> None:
    assert issubclass(HfHubHTTPError, OSError)
