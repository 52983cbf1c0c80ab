"""How far a search or a calibration is, as HTML."""

from html import escape


def progress(words: str, share: float, of: str) -> str:
    """`share` is 0 to 1; `of` names what is under way."""
    return (
        f'<div class="calibrating" role="status"><progress max="1" value="{share:.3f}" aria-label="{of}">'
        f"</progress><span>{escape(words)}</span></div>"
    )
