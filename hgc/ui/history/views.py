"""Pieces of the History tab as HTML: the runs, one of them, two of them beside each other. Pure functions."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from html import escape
from itertools import takewhile
from typing import TYPE_CHECKING

from hgc.charts.quantity import size
from hgc.history.differences import TITLES
from hgc.ui.pictures import PNG_URL
from hgc.ui.playground.titles import method_title

if TYPE_CHECKING:
    from hgc.evidence import Made
    from hgc.history import Entry, Record

MAP = TITLES["control_png"]
EMPTY = (
    '<div class="stage empty" role="status"><span class="mark"></span><h3>No runs yet</h3>'
    "<p>Run something in the Playground: it appears here, with everything that is needed to make it again.</p></div>"
)
NOTHING_FOUND = (
    '<div class="stage empty" role="status"><span class="mark"></span><h3>Nothing found</h3>'
    "<p>No run has all of these words in its prompt, its method or its tags.</p></div>"
)
SWITCHED_OFF = (
    '<div class="stage empty" role="status"><span class="mark"></span><h3>Nothing is kept here</h3>'
    "<p>The history is switched off. Pictures you download still carry how they were made.</p></div>"
)
CHOOSE = (
    '<div class="stage empty" role="status"><span class="mark"></span><h3>Choose a run</h3>'
    "<p>One to look at it and to open it again, two to compare them, any number to tag, export or delete.</p></div>"
)


TWO = '<h2>Two runs compared</h2><p class="aside">The one you ticked first is on the left.</p>'
UNEQUAL_SIZES = '<p class="lead">The pictures have different sizes, so they cannot be compared pixel by pixel.</p>'


def when(at: str) -> str:
    """A moment in UTC, as ISO 8601 states it, for a person; as it stands where it is none."""
    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        return escape(at[:20])
    return f"{moment:%-d %b %Y, %H:%M}"


def runs_grid(entries: Sequence[Entry], chosen: Collection[str], searched: bool) -> str:
    """Every run as a picture that can be ticked, newest first."""
    if not entries:
        return NOTHING_FOUND if searched else EMPTY
    runs = "".join(_run(entry, chosen) for entry in entries)
    return f'<fieldset class="runs"><legend class="unseen">Runs</legend>{runs}</fieldset>'


def _run(entry: Entry, chosen: Collection[str]) -> str:
    prompt = entry.prompt or "without words"
    tags = "".join(f"<i>{escape(tag)}</i>" for tag in entry.tags)
    checked = " checked" if entry.id in chosen else ""
    source = f"data:image/jpeg;base64,{b64encode(entry.thumbnail).decode()}"
    return (
        f'<label class="run" title="{escape(prompt, quote=True)}"><input type="checkbox" value="{entry.id}"{checked}>'
        f'<img alt="" src="{source}" loading="lazy"><span class="what">{escape(prompt)}</span>'
        f'<span class="how">{escape(method_title(entry.method))} · {entry.share:.0%}</span>'
        f'<span class="how">{when(entry.made_at)}</span><span class="tags">{tags}</span></label>'
    )


def count_line(shown: int, total: int, kept_bytes: int) -> str:
    """How many there are and what they take up."""
    if not total:
        return ""
    runs = "1 run" if total == 1 else f"{total} runs"
    some = "" if shown == total else f", the newest {shown} shown"
    return f'<p class="aside" role="status">{runs}{some}. {size(kept_bytes)} on disk.</p>'


def run_head(title: str, made: Made) -> str:
    return f'<h2>{escape(title)}</h2><p class="aside">{escape(made.words)}</p>'


def settings_list(settings: Mapping[str, str]) -> str:
    """Every setting of a run, folded away."""
    rows = _rows((title, (value,)) for title, value in settings.items() if title != MAP)
    table = f'<table class="pairs"><tbody>{rows}</tbody></table>'
    return f'<details class="more"><summary>All settings</summary>{table}</details>'


def told_apart(differences: Mapping[str, tuple[str, str]]) -> tuple[str, str] | None:
    """The first two differences, for a caption under each picture; None where a map alone differs, or nothing.

    Texts that begin alike are told from where they part.
    """
    shown = [(title, values) for title, values in differences.items() if title != MAP][:2]
    if not shown:
        return None
    parted = [(title, *_parted(*values)) for title, values in shown]
    left = " · ".join(f"{title}: {one}" for title, one, _ in parted)
    return left, " · ".join(f"{title}: {other}" for title, _, other in parted)


def _parted(one: str, other: str) -> tuple[str, str]:
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
    alike = len(one[:same].rpartition(" ")[0])
    return (one, other) if alike < 12 else (f"…{one[alike:]}", f"…{other[alike:]}")


def differences_table(
    differences: Mapping[str, tuple[str, str]], left: str, right: str, maps: tuple[str, str] = ("", "")
) -> str:
    """The differences between two runs, side by side; `maps` are the two control maps as PNGs in base64."""
    if not differences:
        return '<p class="lead">Their settings are the same, and so is what they were made with.</p>'
    rows = _rows((title, values) for title, values in differences.items() if title != MAP)
    if MAP in differences:
        seen = "".join(f'<td><img class="map" alt="{escape(MAP)}" src="{PNG_URL}{png}"></td>' for png in maps)
        rows = f'<tr><th scope="row">{MAP}</th>{seen}</tr>{rows}'
    return (
        f'<table class="pairs"><thead><tr><th scope="col">What differs</th><th scope="col">{escape(left)}</th>'
        f'<th scope="col">{escape(right)}</th></tr></thead><tbody>{rows}</tbody></table>'
    )


def _rows(rows: Iterable[tuple[str, tuple[str, ...]]]) -> str:
    return "".join(
        f'<tr><th scope="row">{escape(title)}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in cells)}</tr>'
        for title, cells in rows
    )


def likeness_line(psnr: float, ssim: float) -> str:
    """How alike two pictures are: PSNR in dB, infinite for identical ones, and SSIM."""
    if psnr == float("inf"):
        return '<p class="lead"><b>Identical</b>: every pixel is the same.</p>'
    return (
        f'<p class="lead">PSNR <b>{psnr:.1f} dB</b>, SSIM <b>{ssim:.3f}</b> of the right picture against the left.</p>'
    )


def many(number: int) -> str:
    """The head over more runs than can be compared."""
    return f'<h2>{number} runs</h2><p class="aside">Tag, export or delete them together; two can be compared.</p>'


def question(number: int) -> str:
    what = "this run" if number == 1 else f"these {number} runs"
    return f'<p class="lead" role="alert">Delete {what} for good? This cannot be undone.</p>'


def run_line(record: Record) -> str:
    """A run in a few words: method, share of full compute, seed."""
    return f"{method_title(record.method)}, {record.share:.0%} · seed {record.request.seed}"
