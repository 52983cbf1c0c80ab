"""The figures of a run as HTML: tiles, a table of three arms, the verdict, badges. Pure functions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from html import escape
from typing import TYPE_CHECKING, Any

from hgc.charts.quantity import giga, seconds, size
from hgc.judges import UNSCORED, is_error
from hgc.planning.measured import long_band, noise_band
from hgc.ui.playground.titles import ARM_NAMES, SAMPLER_TITLES
from hgc.ui.remarks import aside

if TYPE_CHECKING:
    from hgc.results.comparison import Comparison

NOTHING_DONE = (
    '<div class="verdict warn" role="status"><b>The caches did nothing.</b> They kept no value in any step; only work '
    "that does not depend on the step was saved. Lower the budget, or compute fewer key steps.</div>"
)
MACS_HINT = "Multiply-accumulates of convolutions and linear layers: the convention of the HGC paper."
TIME_HINT = "The time of the whole picture, reading the text and decoding included, measured on this machine."
MEMORY_HINT = "The most memory that the cache took."
PSNR_HINT = "Peak signal-to-noise ratio against the full picture; higher is more similar."
SSIM_HINT = "Structural similarity to the full picture; 1 is the same."
PERCEPTUAL_HINT = (
    "How different the pictures look to a network: LPIPS, for Landscapes on the features of its own segmenter. 0 is "
    "the same, lower is more alike."
)
CONTROL_HINT = "The control is read back from each picture and compared with your map; "
EXACT = (
    '<div class="verdict good" role="status"><b>Bit-identical to the plain pipeline.</b> Only work that does not '
    "depend on the step was saved.</div>"
)


def figures_waiting() -> str:
    """The same tiles before a run: what will be measured."""
    names = (
        "MACs",
        "MACs with attention",
        "Time",
        "Cache memory",
        "PSNR",
        "SSIM",
        "Perceptual difference",
        "Control score",
    )
    dash = '<div class="value">–</div><div class="note">–</div>'
    tiles = "".join(f'<div><div class="name">{name}</div>{dash}</div>' for name in names)
    return (
        f'<div class="figures waiting" role="group" aria-label="Figures, after a run">{tiles}</div>'
        '<div class="measured"><span>Measured while it runs, on this machine</span>'
        '<button type="button" class="quiet" disabled>Copy figures</button></div>'
    )


def figures_row(values: Mapping[str, Any]) -> str:
    """Every number of a comparison, in a row of tiles or, of three arms, in a table; and a button that copies them."""
    numbers = arms_table(values) if "macs_rival" in values else _tiles(values)
    setting = (
        f"{values['device'].upper()} · {values['dtype']} · one picture · {values['steps']} steps · "
        f"{SAMPLER_TITLES.get(values['sampler'], values['sampler'])} · guidance {values['guidance']:g} · "
        f"seed {values['seed']}"
    )
    copied = escape(json.dumps(values, default=str, indent=1), quote=True)
    return (
        f'{numbers}<div class="measured"><span>Measured on {escape(setting)}</span>'
        f'<button type="button" class="quiet" data-copy="{copied}" '
        'onclick="hgc.copy(this.dataset.copy, this)">Copy figures</button></div>'
    )


def _tiles(values: Mapping[str, Any]) -> str:
    tiles = [
        _tile(
            "MACs",
            f"{giga(values['macs_full'])} → {giga(values['macs_cached'])}",
            f"{values['macs_ratio']:.1%} of full",
            MACS_HINT,
        ),
        _tile(
            "MACs with attention",
            f"{giga(values['macs_with_attention_full'])} → {giga(values['macs_with_attention_cached'])}",
            f"{values['macs_with_attention_cached'] / values['macs_with_attention_full']:.1%} of full",
            "The same, with the two attention products counted too.",
        ),
        _tile(
            "Time",
            f"{seconds(values['latency_ms_full'])} → {seconds(values['latency_ms_cached'])}",
            f"{values['speedup']:.2f}× as fast",
            TIME_HINT,
        ),
        _tile("Cache memory", size(values["peak_bytes"]), "at its peak", MEMORY_HINT),
        _tile("PSNR", _decibels(values["psnr"]), *_beside_band(values)),
        _tile("SSIM", f"{values['ssim']:.3f}", "1 is the same", SSIM_HINT),
        _tile("Perceptual difference", *_perceptual(values["perceptual"]), PERCEPTUAL_HINT),
        _tile(
            _scored(values["control_score_name"]),
            *_scores(values["control_score_full"], values["control_score_cached"], values["control_score_name"]),
            _control_hint(values),
        ),
    ]
    return f'<div class="figures" role="group" aria-label="Figures of this run">{"".join(tiles)}</div>'


def arms_table(values: Mapping[str, Any]) -> str:
    """Three arms beside each other, one column each."""
    names = ARM_NAMES
    alike = [("–", "–"), (values["psnr"], values["ssim"]), (values["psnr_rival"], values["ssim_rival"])]
    rows = [
        ("Steps", "", [str(values["steps"]), str(values["steps_cached"]), str(values["steps_rival"])]),
        ("MACs", MACS_HINT, [giga(values[f"macs_{name}"]) for name in names]),
        ("Share of full", MACS_HINT, [f"{values[f'macs_{name}'] / values['macs_full']:.1%}" for name in names]),
        ("Time", TIME_HINT, [seconds(values[f"latency_ms_{name}"]) for name in names]),
        ("Cache memory", MEMORY_HINT, ["–", size(values["peak_bytes"]), size(values["peak_bytes_rival"])]),
        ("PSNR", PSNR_HINT, [psnr if psnr == "–" else _decibels(psnr) for psnr, _ in alike]),
        ("SSIM", SSIM_HINT, [ssim if ssim == "–" else f"{ssim:.3f}" for _, ssim in alike]),
        (
            "Perceptual difference",
            PERCEPTUAL_HINT,
            ["–", _perceptual(values["perceptual"])[0], _perceptual(values["perceptual_rival"])[0]],
        ),
        (
            _scored(values["control_score_name"]),
            _control_hint(values),
            [_score(values[f"control_score_{name}"], values["control_score_name"]) for name in names],
        ),
    ]
    head = "".join(f'<th scope="col" class="{name}">{escape(values[f"title_{name}"])}</th>' for name in names)
    body = "".join(_table_row(*row) for row in rows)
    return (
        f'<table class="arms-table"><thead><tr><td class="what"></td>{head}</tr></thead><tbody>{body}</tbody></table>'
        f"{table_band(values)}"
    )


def table_band(values: Mapping[str, Any]) -> str:
    """For comparison: how similar a picture with more steps is; nothing where that was not measured."""
    band = long_band(values)
    if band is None:
        return ""
    arms = {"cached": values["psnr"], "rival": values["psnr_rival"]}
    nearer = [values[f"title_{name}"] for name, psnr in arms.items() if psnr is None or psnr >= band.psnr]
    which = f"Closer than that: {', '.join(nearer)}." if nearer else "None of these is as close."
    return aside(
        f"For comparison, the mean of {band.scenes} scenes: a picture in {band.steps} steps has {band.psnr:.1f} dB to "
        f"the full one{_from_other_noise(values)}. {which}"
    )


def _from_other_noise(values: Mapping[str, Any]) -> str:
    band = noise_band(values)
    return "" if band is None else f", one from other noise {band.psnr:.1f} dB"


def _table_row(title: str, hint: str, cells: Iterable[str]) -> str:
    shown = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
    return f'<tr title="{escape(hint, quote=True)}"><th scope="row" class="what">{escape(title)}</th>{shown}</tr>'


def _tile(title: str, value: str, note: str, hint: str) -> str:
    return (
        f'<div class="figure" title="{escape(hint, quote=True)}"><div class="name">{escape(title)}</div>'
        f'<div class="value">{escape(value)}</div><div class="note">{escape(note)}</div></div>'
    )


def _control_hint(values: Mapping[str, Any]) -> str:
    perfect = "0 is perfect." if is_error(values["control_score_name"]) else "100% is perfect."
    judge = values.get("judge")
    return f"{CONTROL_HINT}{perfect}{f' Judged by {judge}.' if judge else ''}"


def _scored(score_name: str) -> str:
    """The title of the control's score, with its name where a judge knows one."""
    return "Control score" if score_name == UNSCORED else f"Control, {score_name}"


def _scores(full: float | None, cached: float | None, name: str) -> tuple[str, str]:
    """Both control scores and a word for them; None where nothing could be scored."""
    if full is None or cached is None:
        return "not scored", "nothing to compare with the map"
    return f"{_score(full, name)} → {_score(cached, name)}", "how well each picture follows the map"


def _score(value: float | None, name: str) -> str:
    return "not scored" if value is None else f"{value:.1f}" if is_error(name) else f"{value:.1%}"


def _decibels(psnr: float | None) -> str:
    """None for identical pictures."""
    return "∞" if psnr is None else f"{psnr:.1f} dB"


def _likeness(psnr: float | None) -> str:
    """A word for what PSNR means to the eye on flat-shaded pictures; None for identical ones."""
    if psnr is None:
        return "the same bits"
    return "differences hardly visible" if psnr >= 35 else "small differences" if psnr >= 27 else "visible differences"


def _beside_band(values: Mapping[str, Any]) -> tuple[str, str]:
    """The note and the hint of PSNR: beside how like a longer run is, for whom that was measured."""
    psnr, band = values["psnr"], long_band(values)
    if psnr is None or band is None:
        return _likeness(psnr), PSNR_HINT
    longer = f"The same picture in {band.steps} steps has {band.psnr:.1f} dB, the mean of {band.scenes} scenes"
    hint = f"{PSNR_HINT} {longer}{_from_other_noise(values)}."
    if psnr >= band.psnr:
        return f"nearer than {band.steps} steps are ({band.psnr:.1f} dB)", hint
    return f"{_likeness(psnr)}; {band.steps} steps: {band.psnr:.1f} dB", hint


def _perceptual(distance: float | None) -> tuple[str, str]:
    """The distance and a note; None where no network knows the model's world, or none was asked."""
    return ("–", "not measured") if distance is None else (f"{distance:.4f}", "0 is the same")


def recorded(comparison: Comparison) -> str:
    """That what is shown was computed earlier, where it was; nothing for a run of this process."""
    if not comparison.recorded:
        return ""
    made = escape(comparison.made.words)
    return (
        f'<div class="verdict" role="status"><b>A recording.</b> Made {made}; nothing was computed just now. '
        "Press Run for your own.</div>"
    )


def verdict(values: Mapping[str, Any]) -> str:
    """The run in one sentence."""
    if values["nothing_reused"] or values["identical"]:
        return NOTHING_DONE if values["nothing_reused"] else EXACT
    said = [_against_full(values, "cached", values["speedup"], values["macs_ratio"], values["psnr"])]
    if "speedup_rival" in values:
        rival = values["speedup_rival"], values["macs_ratio_rival"], values["psnr_rival"]
        said.append(_against_full(values, "rival", *rival))
    return f'<div class="verdict plain" role="status">{" ".join(said)}</div>'


def _against_full(values: Mapping[str, Any], arm: str, speedup: float, share: float, psnr: float | None) -> str:
    faster = f"{speedup:.2f}× as fast as the full picture" if speedup > 1.02 else "no faster than the full picture"
    return (
        f"<b>{escape(values[f'title_{arm}'])}: {faster}</b> with {share:.0%} of the compute; {_likeness(psnr)} "
        f"({_decibels(psnr)})."
    )


def badges(values: Mapping[str, Any], notes: Iterable[str] = ()) -> str:
    """The badges of a run: what the arms shared, and notes on the prompt."""
    items = [_badge("same", f"Same noise, same map, same scheduler: <code>{escape(values['digest'])}</code>")]
    items += [_badge("note", escape(note)) for note in notes]
    return f'<div class="badges">{"".join(items)}</div>'


def _badge(kind: str, html: str) -> str:
    return f'<span class="badge {kind}">{html}</span>'
