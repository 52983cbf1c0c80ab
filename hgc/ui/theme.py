"""One look for the page: quiet greys, one accent, the system's own fonts; light and dark."""

from __future__ import annotations

from pathlib import Path

import gradio as gr
from gradio.themes.utils import colors, sizes

from hgc.share import NAME as LINK

HERE = Path(__file__).parent
STYLES = (
    "style.css",
    "components/easel.css",
    "components/viewer.css",
    "explore/explore.css",
    "inside/inside.css",
    "history/history.css",
)
SCRIPTS = (
    "keys.js",
    "components/fields.js",
    "components/choice.js",
    "session.js",
    "components/swatches.js",
    "components/easel.js",
    "components/viewer.js",
    "inside/inside.js",
    "components/charts.js",
    "drops.js",
    "names.js",
)
SANS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")

ACCENT = colors.Color(
    name="accent",
    c50="#eef6fb",
    c100="#d9ebf6",
    c200="#b5d8ed",
    c300="#84bfe0",
    c400="#4ba0cf",
    c500="#1f83bb",
    c600="#0b6ca6",
    c700="#0a5687",
    c800="#0d4a70",
    c900="#103f5d",
    c950="#0b283e",
)
GREY = colors.Color(
    name="grey",
    c50="#f8f9fa",
    c100="#f1f3f5",
    c200="#e4e7eb",
    c300="#d0d5dc",
    c400="#9aa2ae",
    c500="#6b7380",
    c600="#4d5561",
    c700="#373e49",
    c800="#232932",
    c900="#181c23",
    c950="#101318",
)


LOOK = {
    "body_background_fill": "*neutral_50",
    "body_background_fill_dark": "*neutral_950",
    "body_text_color": "*neutral_800",
    "body_text_color_dark": "*neutral_100",
    "body_text_color_subdued": "*neutral_500",
    "body_text_color_subdued_dark": "*neutral_400",
    "background_fill_primary": "white",
    "background_fill_primary_dark": "*neutral_900",
    "background_fill_secondary": "*neutral_100",
    "background_fill_secondary_dark": "*neutral_800",
    "border_color_primary": "*neutral_200",
    "border_color_primary_dark": "*neutral_800",
    "block_background_fill": "transparent",
    "block_background_fill_dark": "transparent",
    "block_border_width": "0px",
    "block_padding": "0px",
    "block_shadow": "none",
    "block_label_background_fill": "transparent",
    "block_label_background_fill_dark": "transparent",
    "block_label_border_width": "0px",
    "block_label_text_color": "*neutral_600",
    "block_label_text_color_dark": "*neutral_300",
    "block_title_text_color": "*neutral_700",
    "block_title_text_color_dark": "*neutral_200",
    "block_title_text_weight": "550",
    "block_title_text_size": "13px",
    "block_info_text_color": "*neutral_500",
    "block_info_text_color_dark": "*neutral_400",
    "block_info_text_size": "12px",
    "layout_gap": "16px",
    "form_gap_width": "16px",
    "input_background_fill": "white",
    "input_background_fill_dark": "*neutral_900",
    "input_border_color": "*neutral_300",
    "input_border_color_dark": "*neutral_700",
    "input_border_color_focus": "*primary_500",
    "input_border_color_focus_dark": "*primary_400",
    "input_shadow_focus": "0 0 0 3px color-mix(in srgb, *primary_500 22%, transparent)",
    "input_shadow_focus_dark": "0 0 0 3px color-mix(in srgb, *primary_400 28%, transparent)",
    "slider_color": "*primary_600",
    "slider_color_dark": "*primary_400",
    "button_primary_background_fill": "*primary_600",
    "button_primary_background_fill_hover": "*primary_700",
    "button_primary_background_fill_dark": "*primary_600",
    "button_primary_background_fill_hover_dark": "*primary_700",
    "button_primary_text_color": "white",
    "button_primary_text_color_dark": "white",
    "button_secondary_background_fill": "white",
    "button_secondary_background_fill_hover": "*neutral_100",
    "button_secondary_background_fill_dark": "*neutral_800",
    "button_secondary_background_fill_hover_dark": "*neutral_700",
    "button_secondary_border_color": "*neutral_300",
    "button_secondary_border_color_dark": "*neutral_700",
    "button_border_width": "1px",
    "button_large_padding": "10px 18px",
    "button_large_text_weight": "600",
    "button_large_text_size": "14px",
    "checkbox_label_background_fill": "transparent",
    "checkbox_label_background_fill_dark": "transparent",
    "checkbox_label_border_width": "0px",
    "checkbox_label_padding": "0px",
    "checkbox_background_color_selected": "*primary_600",
    "checkbox_background_color_selected_dark": "*primary_500",
    "checkbox_border_color_selected": "*primary_600",
    "checkbox_border_color_selected_dark": "*primary_500",
}


def theme() -> gr.themes.Base:
    """Base with our colours, one radius and one spacing."""
    base = gr.themes.Base(
        primary_hue=ACCENT,
        secondary_hue=ACCENT,
        neutral_hue=GREY,
        text_size=sizes.text_sm,
        spacing_size=sizes.spacing_md,
        radius_size=sizes.radius_md,
        font=SANS,
        font_mono=MONO,
    )
    return base.set(**LOOK)


def css() -> str:
    return "\n".join((HERE / name).read_text(encoding="utf-8") for name in STYLES)


def head() -> str:
    """The page's own scripts, in the order in which they build on each other."""
    scripts = "".join((HERE / name).read_text(encoding="utf-8") for name in SCRIPTS)
    return f"<script>{scripts.replace('LINK', LINK)}</script>"
