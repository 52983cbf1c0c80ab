"""The checks on the code itself: lint, format, types, the rooms of the design and the arrows between them."""

import ast
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
from setuptools import find_namespace_packages

ROOT = Path(__file__).parent.parent

TOP_LEVEL = {
    "app.py",
    "hgc",
    "assets",
    "tests",
    "requirements.txt",
    "README.md",
    "Spacefile",
    "LICENSE",
    "CHANGELOG.md",
    "pyproject.toml",
}

# Rooms of the design, from the top: a module imports from its own row or from a lower one.
ROWS = [
    {"app", "hgc.ui", "hgc.cli", "hgc.__main__"},
    {"hgc.bench", "hgc.sweep", "hgc.space"},
    {"hgc.spread"},
    {"hgc.studio", "hgc.training"},
    {"hgc.results", "hgc.enabled"},
    {"hgc.planning", "hgc.history", "hgc.share"},
    {"hgc.optimise", "hgc.charts", "hgc.evidence"},
    {"hgc.calibration", "hgc.control", "hgc.judges", "hgc.landscapes", "hgc.metrics", "hgc.request"},
    {"hgc.cache", "hgc.models"},
    {
        "hgc.json_text",
        "hgc.ledger",
        "hgc.limits",
        "hgc.refused",
        "hgc.target",
        "hgc.unwritable",
        "hgc.whole",
    },
]
# Made anywhere: neither a model library nor an interface is needed to make a plan, a request or a chart.
PURE = [
    "hgc.cache.plan",
    "hgc.cache.schedules",
    "hgc.cache.trace",
    "hgc.metrics",
    "hgc.planning",
    "hgc.results.again",
    "hgc.results.comparison",
    "hgc.results.exports",
    "hgc.results.records",
    "hgc.request",
    "hgc.charts",
    "hgc.evidence",
    "hgc.history",
]
DISTRIBUTIONS = {
    "PIL": "pillow",
    "annotated_types": "annotated-types",
    "cv2": "opencv-python-headless",
    "skimage": "scikit-image",
    "yaml": "PyYAML",
    "controlnet_aux": "controlnet-aux",
}


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def tracked(*patterns: str) -> list[Path]:
    """Files of the project, committed or about to be; nothing that git ignores."""
    listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *patterns)
    if listed.returncode:
        pytest.skip(f"not a git checkout: {listed.stderr.strip()}")
    return [path for name in listed.stdout.split("\0") if name and (path := Path(name)) and (ROOT / path).exists()]


def module_name(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> set[str]:
    """Absolute dotted names that a file imports, at its top or inside a function."""
    package = module_name(path) if path.name == "__init__.py" else module_name(path).rpartition(".")[0]
    names: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1]) if node.level else ""
            origin = ".".join(part for part in (base, node.module) if part)
            names |= {f"{origin}.{alias.name}" for alias in node.names}
    return names


def row(module: str) -> int | None:
    """Index of the row that holds a module, None for what lies outside the rows (the package's own face)."""
    room = module if module == "app" else ".".join(module.split(".")[:2])
    return next((index for index, rooms in enumerate(ROWS) if room in rooms), None)


def sources() -> list[Path]:
    return tracked("app.py", "hgc/*.py")


def test_lint() -> None:
    checked = run(sys.executable, "-m", "ruff", "check", "--no-cache", ".")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_format() -> None:
    checked = run(sys.executable, "-m", "ruff", "format", "--no-cache", "--check", ".")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_types() -> None:
    checked = run(sys.executable, "-m", "mypy")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_top_level_holds_exactly_what_the_design_lists() -> None:
    names = {path.parts[0] for path in tracked()}
    assert {name for name in names if not name.startswith(".")} == TOP_LEVEL


def test_every_module_has_a_row() -> None:
    assert [str(path) for path in sources() if module_name(path) != "hgc" and row(module_name(path)) is None] == []


def test_imports_run_downwards() -> None:
    wrong = []
    for path in sources():
        module = module_name(path)
        mine = row(module)
        for name in imports(path) if mine is not None else ():
            theirs = row(name)
            if theirs is not None and theirs < mine:
                wrong.append(f"{path} imports {name}, which stands above it")
    assert wrong == []


def test_the_cache_knows_nothing_of_the_rest() -> None:
    """But for the ground that everything stands on."""
    ground = ("hgc.json_text", "hgc.limits", "hgc.refused")
    outside = {
        f"{path} imports {name}"
        for path in tracked("hgc/cache/*.py")
        for name in imports(path)
        if name.startswith("hgc.") and not name.startswith(("hgc.cache", *ground))
    }
    assert outside == set()


def test_no_two_classes_have_one_name() -> None:
    named: dict[str, list[str]] = {}
    for path in sorted((ROOT / "hgc").rglob("*.py")):
        for part in ast.parse(path.read_text()).body:
            if isinstance(part, ast.ClassDef) and not part.name.startswith("_"):
                named.setdefault(part.name, []).append(str(path.relative_to(ROOT)))
    assert {name: places for name, places in named.items() if len(places) > 1} == {}


def test_everything_that_refuses_is_known_as_a_refusal() -> None:
    """Page, endpoints and shell tell a Refused in its own words; anything else is a bug to them."""
    ours = {
        node.name: {base.id for base in node.bases if isinstance(base, ast.Name)}
        for path in sources()
        for node in ast.walk(ast.parse((ROOT / path).read_text()))
        if isinstance(node, ast.ClassDef)
    }
    errors = {name for name, bases in ours.items() if bases & {"Exception", "ValueError", "RuntimeError", "TypeError"}}
    known = {"Refused", "CaptureRefused", "Cancelled", "Gave"}
    assert {name for name in errors if "Refused" not in ours[name]} == known


def test_gradio_is_imported_by_the_interface_only() -> None:
    importers = {str(path) for path in sources() for name in imports(path) if name.split(".")[0] == "gradio"}
    assert {name for name in importers if not name.startswith(("hgc/ui/", "app.py"))} == set()


def test_pure_modules_load_no_model_library_and_no_interface() -> None:
    code = f"import sys, {', '.join(PURE)}; print(sorted({{'torch', 'diffusers', 'gradio'}} & set(sys.modules)))"
    loaded = run(sys.executable, "-c", code)
    assert loaded.returncode == 0, loaded.stderr
    assert loaded.stdout.strip() == "[]"


def test_everything_imported_is_pinned() -> None:
    pins = dict(
        line.split("==") for line in (ROOT / "requirements.txt").read_text().split("\n") if line and line[0] != "#"
    )
    pinned = {name.lower().replace("_", "-") for name in pins}
    roots = {name.split(".")[0] for path in sources() for name in imports(path)}
    ours = set(sys.stdlib_module_names) | {"hgc", "__future__"}
    needed = {DISTRIBUTIONS.get(root, root).lower().replace("_", "-") for root in roots - ours}
    # A ZeroGPU Space brings `spaces` itself, the tests' requirements Playwright, an extra Ray: the app runs without.
    assert needed - pinned - {"spaces", "playwright", "ray"} == set()


def test_packaging_reads_its_dependencies_from_the_requirements() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert settings["project"]["dynamic"] == ["dependencies"]
    assert settings["tool"]["setuptools"]["dynamic"]["dependencies"] == {"file": ["requirements.txt"]}
    assert settings["project"]["license"] == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text()


def test_the_extra_and_the_tests_pin_the_same_ray() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (pin,) = settings["project"]["optional-dependencies"]["ray"]
    assert pin in (ROOT / "tests" / "requirements.txt").read_text().splitlines()


def test_neither_the_package_nor_the_page_needs_ray() -> None:
    code = "import sys, hgc.ui, hgc.__main__, hgc.spread.cluster, hgc.spread.studio; print('ray' in sys.modules)"
    loaded = run(sys.executable, "-c", code)
    assert loaded.returncode == 0, loaded.stderr
    assert loaded.stdout.strip() == "False"


def test_ci_runs_the_readmes_test_command() -> None:
    shown = run("bash", ".ci/run", "--show")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.strip() == (
        "python3.11 -m venv .venv && "
        ".venv/bin/pip install -r requirements.txt -r tests/requirements.txt -r tests/peers-requirements.txt && "
        ".venv/bin/python -m pytest -n 2 --dist loadfile"
    )


def test_the_readmes_first_command_opens_the_app() -> None:
    command = "python3.11 -m venv .venv && .venv/bin/pip install -r requirements.txt && .venv/bin/python app.py"
    assert command in (ROOT / "README.md").read_text().splitlines()


def test_the_console_script_is_the_command_line_and_assets_travel_with_the_package() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    module, _, name = settings["project"]["scripts"]["hgc"].partition(":")
    assert getattr(import_module(module), name).info.help == "HGC Studio from the shell."
    packages = find_namespace_packages(str(ROOT), **settings["tool"]["setuptools"]["packages"]["find"])
    assert {"hgc", "assets", "assets.models.landscapes.unet", "assets.plans"} <= set(packages)
    assert not [name for name in packages if name.startswith("assets.training")]
