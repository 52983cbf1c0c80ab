"""Every file of the program: what its own first line says and the names in it, for assets/docs/tree.md.

python tests/draw_tree.py     # writes it anew
"""

import ast
import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "assets" / "docs" / "tree.md"
HEAD = """# Every file

Each file's own first line and its classes and functions, by folder. `python tests/draw_tree.py` writes this
page anew. How the folders belong together is in the [README](../../README.md#architecture).
"""


def drawn() -> str:
    """The page, as the files are now."""
    files = sorted([ROOT / "app.py", *(ROOT / "hgc").rglob("*.py"), *(ROOT / "hgc").rglob("*.js")])
    told = [(file.parent.relative_to(ROOT), file.name, _first_line(file) + _names(file)) for file in files]
    folders = groupby(sorted(told), key=lambda entry: entry[0])
    return HEAD + "".join(f"\n{_folder(folder, list(entries))}" for folder, entries in folders)


def _folder(folder: Path, entries: list[tuple[Path, str, str]]) -> str:
    own = next((line for _, name, line in entries if name == "__init__.py"), "")
    title = f"## {folder.as_posix()}/" if folder.parts else "## The project's folder"
    return "\n".join([title, "", *([own, ""] if own else []), *_lines(entries), ""])


def _lines(entries: list[tuple[Path, str, str]]) -> Iterator[str]:
    for _, name, line in entries:
        if name != "__init__.py" and line:
            yield f"- `{name}`: {line}"


def _names(file: Path) -> str:
    """A file's own classes and functions, for whoever looks for one; none of JavaScript."""
    if file.suffix != ".py" or file.name == "__init__.py":
        return ""
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    body = ast.parse(file.read_text(encoding="utf-8")).body
    names = [f"`{part.name}`" for part in body if isinstance(part, kinds) and not part.name.startswith("_")]
    return f"\n  {', '.join(names)}" if names else ""


def _first_line(file: Path) -> str:
    """The first sentence or line of what a file says of itself."""
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".py":
        said = ast.get_docstring(ast.parse(text)) or ""
    else:
        comment = re.match(r"\s*(?:/\*+\s*(.*?)\*/|((?:\s*//[^\n]*\n)+))", text, re.S)
        said = re.sub(r"^\s*(?://|\*)\s?", "", (comment.group(1) or comment.group(2)) if comment else "", flags=re.M)
    return " ".join(said.strip().split("\n\n")[0].split())


if __name__ == "__main__":
    PAGE.write_text(drawn(), encoding="utf-8")
