"""The budgets of a search as they are written, and the plan that was found for each, as HTML."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hgc import limits
from hgc.request import RequestRefused

if TYPE_CHECKING:
    from hgc.optimise.shelf import Rung


def shares_of(budgets: str) -> tuple[float, ...]:
    """Shares of full compute from percentages with commas between. Raises RequestRefused."""
    if len(budgets) > limits.AXIS_CHARS:
        raise RequestRefused(f"these budgets are {len(budgets):,} characters long; {limits.AXIS_CHARS:,} are the most")
    words = [word.strip().removesuffix("%").strip() for word in re.split(r"[,;]", budgets) if word.strip()]
    try:
        return tuple(sorted({round(float(word) / 100, 6) for word in words}))
    except ValueError as error:
        raise RequestRefused(f"'{budgets[:40]}' are not budgets: write percentages such as 20, 36.8, 50.") from error


def rungs_table(rungs: list[Rung]) -> str:
    """The plan for each budget, as HTML."""
    if not rungs:
        return ""
    rows = "".join(
        f"<tr><th scope='row'>{rung.budget:.1%}</th><td>{rung.fidelity_db:.1f} ± {rung.error_bar_db:.1f} dB</td>"
        f"<td>{rung.fewer_steps_db:.1f} dB</td><td>{rung.tried}</td></tr>"
        for rung in rungs
    )
    heads = "".join(f"<th scope='col'>{title}</th>" for title in ("Budget", "Found", "Fewer steps", "Tried"))
    return f'<table class="found"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>'
