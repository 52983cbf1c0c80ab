"""An opened run in a sentence, or why there is none, and how far a closer look at it is; as HTML."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hgc.results.opened import Opened
    from hgc.studio.inspection import Look
EMPTY = (
    '<div class="stage empty" role="status"><span class="mark"></span><h3>Nothing to open up yet</h3>'
    "<p>Run something in the Playground; what each step computed and reused will appear here.</p></div>"
)
FORGOTTEN = (
    '<div class="stage empty" role="status"><span class="mark"></span><h3>This run is no longer kept</h3>'
    "<p>Only the latest runs are. Run it again to open it up.</p></div>"
)
UNSEEN = (
    '<p class="aside">Not looked at yet. One press makes every picture once more, to show the attention maps, the '
    "drift of every cell and how fast blocks change. It is done apart from the comparison, so that the times above "
    "stay fair.</p>"
)
LOOKING = '<p class="aside" role="status">Looking: waiting for the model.</p>'


def summary(opened: Opened) -> str:
    """What its arm left out, under which plan, and its trace."""
    trace, request = opened.trace, opened.comparison.request
    words = f"by <b>{escape(opened.title)}</b>, plan “{escape(trace.plan.name)}”, seed {request.seed}."
    if opened.name == "full":
        words = f"<b>Everything</b> was computed in {trace.steps} steps, seed {request.seed}."
    else:
        words = f"<b>{1 - opened.share:.1%}</b> of the work was left out in {trace.steps} steps {words}"
    return f'<p class="lead">{words} Trace <code>{trace.digest}</code></p>'


def under_way(look: Look, opened: Opened | None) -> str:
    """Where a look is, of the steps of all arms."""
    arms = list(opened.comparison.arms.values()) if opened is not None else []
    before = [arm.steps for arm in arms[: [arm.name for arm in arms].index(look.arm)]] if arms else []
    whole = sum(arm.steps for arm in arms) or look.steps
    title = opened.titles[look.arm] if opened is not None else look.arm
    return (
        f'<p class="aside" role="status">Looking: {escape(title)}, step {look.step} of {look.steps}.</p>'
        f'<progress class="look" max="{whole}" value="{sum(before) + look.step}" aria-label="Looking"></progress>'
    )
