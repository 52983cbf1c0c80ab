"""The benchmark's report in words: for the shell, and as the figures of the model card."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from hgc.bench.setup import BenchRefused
from hgc.landscapes.labels import CLASSES
from hgc.landscapes.weather import WEATHERS

BEGIN, END = "<!-- figures: python -m hgc bench card -->", "<!-- end of figures -->"


@dataclass(frozen=True)
class Goal:
    """A figure and what it is held to."""

    what: str
    measured: str
    wanted: str
    met: bool


def goals(report: dict[str, Any]) -> list[Goal]:
    """Those of the figures that the report has."""
    rows: list[Goal] = []

    def at_least(what: str, value: float, least: float, shown: str) -> None:
        rows.append(Goal(what, shown.format(value), f"at least {shown.format(least)}", value >= least))

    def at_most(what: str, value: float, most: float, shown: str) -> None:
        rows.append(Goal(what, shown.format(value), f"at most {shown.format(most)}", value <= most))

    if rebuilt := report.get("reconstruction"):
        at_least("autoencoder reconstruction, PSNR", rebuilt["psnr_db"], 34, "{:.1f} dB")
    if drawn := report.get("segmentation"):
        at_least("label map obeyed: mIoU of the picture / of real renders", drawn["ratio"], 0.92, "{:.3f}")
        if drawn["words"]["both"] is not None:
            at_least("time of day and season read back from the picture", drawn["words"]["both"], 0.97, "{:.1%}")
    if drawn := report.get("edges"):
        at_least("edges obeyed: F1 of the picture / of reconstructions", drawn["ratio"], 0.80, "{:.3f}")
    if drawn := report.get("depth"):
        at_most("depth obeyed: error of the picture / of real renders", drawn["ratio"], 1.5, "{:.2f}")
    if drawn := report.get("hand_segmentation"):
        at_least("hand-like maps obeyed: mIoU of the picture", drawn["miou"], 0.80, "{:.3f}")
    if drawn := report.get("hand_edges"):
        at_least("hand-drawn lines obeyed: F1 of the lines given", drawn["f1"], 0.80, "{:.3f}")
    if drawn := report.get("hand_depth"):
        at_most("hand-painted depth obeyed: error of the picture / of real renders", drawn["ratio"], 1.5, "{:.2f}")
    if weather := report.get("weather"):
        read = [weather[name]["read"] for name in WEATHERS if name != "clear" and weather[name]["read"] is not None]
        if read:
            at_least("fog, rain and snowfall read back from the picture", fmean(read), 0.97, "{:.1%}")
        if weather["ink"]["read"] is not None:
            at_least("ink read back from the picture", weather["ink"]["read"], 0.97, "{:.1%}")
    examples = report.get("drawings_mean", {})
    if drawn := examples.get("segmentation"):
        at_least("the examples' maps obeyed: mean mIoU", drawn["miou"], 0.75, "{:.3f}")
    if drawn := examples.get("edges"):
        at_least("the examples' lines obeyed: mean F1 of the lines given", drawn["f1"], 0.78, "{:.3f}")
    if speed := report.get("speed"):
        at_most("one picture, warm, full compute", speed["one_image_s"], 4, "{:.1f} s")
        at_most("loading", speed["load_s"], 5, "{:.1f} s")
    if size := report.get("size"):
        at_most("all weights", size["weight_bytes"] / 1e6, 52, "{:.1f} MB")
        at_most("largest file", size["largest_file_bytes"] / 1e6, 10, "{:.1f} MB")
    return rows


def as_text(report: dict[str, Any]) -> str:
    """The goals, met or not, and what they were measured on."""
    lines = [f"{g.what:<58}{g.measured:>10}  {g.wanted:<17} {'met' if g.met else 'NOT MET'}" for g in goals(report)]
    return "\n".join([*lines, _measured_on(report)])


def as_markdown(report: dict[str, Any]) -> str:
    """The tables of the model card."""
    lines = [_measured_on(report), "", "| what | measured | wanted | |", "|---|---|---|---|"]
    lines += [f"| {g.what} | {g.measured} | {g.wanted} | {'met' if g.met else 'not met'} |" for g in goals(report)]
    if alone := report.get("words_alone"):
        lines += ["", f"Without a map, time of day and season are read back in {_percent(alone['both'])} of the words."]
    for table in (_by_class(report), _weather(report), _variety(report), _null_band(report)):
        lines += ["", *table] if table else []
    return "\n".join(lines)


def _measured_on(report: dict[str, Any]) -> str:
    on = report["measured_on"]
    last = on["first_seed"] + on["scenes"] - 1
    busy = report["speed"]["load_average"] if "speed" in report else None
    return (
        f"`{report['command']}`: scenes of seeds {on['first_seed']} to {last}, {on['steps']} steps of {on['sampler']}, "
        f"guidance {on['guidance']:g}, noise from seed {on['noise_seed']}, {on['device']}, {on['dtype']}, "
        f"{on['threads']} thread{'s' if on['threads'] > 1 else ''}"
        + (f", load average of the machine while timing {busy:.1f}." if busy is not None else ".")
    )


def _by_class(report: dict[str, Any]) -> list[str]:
    drawn = report.get("segmentation")
    if not drawn:
        return []
    rows = [f"| {name} | {drawn['iou'][name]:.3f} | {drawn['iou_real'][name]:.3f} |" for name in _seen(drawn)]
    total = f"| mean | {drawn['miou']:.3f} | {drawn['miou_real']:.3f} |"
    return ["| class | IoU on pictures drawn from maps | on real renders |", "|---|---|---|", *rows, total]


def _percent(share: float | None) -> str:
    return "none" if share is None else f"{share:.0%}"


def _seen(drawn: dict[str, Any]) -> list[str]:
    return [name for name in CLASSES if name in drawn["iou"] and name in drawn["iou_real"]]


def _variety(report: dict[str, Any]) -> list[str]:
    variety = report.get("variety")
    if not variety:
        return []
    rows = [
        f"| {region} | {variety[region]['colour_distance']:.1f} | {variety[region]['visible']:.0%} |"
        for region in ("sky", "ground", "whole")
        if "visible" in variety.get(region, {})
    ]
    head = f"| {variety['seeds']} seeds under one map and prompt | mean colour distance, CIE76 | pixels visibly apart |"
    return [head, "|---|---|---|", *rows]


def _weather(report: dict[str, Any]) -> list[str]:
    weather = report.get("weather")
    if not weather:
        return []
    asked = [(name, shares) for name, shares in weather.items() if name != "scenes"]
    rows = [f"| {name} | {_percent(shares['read'])} | {_percent(shares['both'])} |" for name, shares in asked]
    head = f"| weather or style asked for, {weather['scenes']} maps | read back | time of day and season beside it |"
    return [head, "|---|---|---|", *rows]


def _null_band(report: dict[str, Any]) -> list[str]:
    lines: list[str] = []
    for control, band in report.get("null_band", {}).items():
        head = f"| null band, {control}, {band['scenes']} scenes | score | words | PSNR | SSIM |"
        lines += ["", head, "|---|---|---|---|---|"] if lines else [head, "|---|---|---|---|---|"]
        for name, row in band["rows"].items():
            alike = "|  |" if name == "as measured" else (
                f"{row['psnr_db_to_measured']:.1f} dB | {row['ssim_to_measured']:.3f} |"
            )  # fmt: skip
            lines.append(f"| {name} | {row['score']:.3f} | {_percent(row['words'])} | {alike}")
    return lines


def read_report(path: Path) -> dict[str, Any]:
    """The report that `bench landscapes --out` wrote. Raises BenchRefused where there is none, or something else."""
    if not path.exists():
        raise BenchRefused(f"there is no {path}; measure first: python -m hgc bench landscapes --out {path}")
    try:
        report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BenchRefused(f"{path} is not JSON ({error}); measure again with --out {path}") from error
    if "measured_on" not in report:
        raise BenchRefused(f"{path} does not say what it was measured on; measure again with --out {path}")
    return report


def fill(card: Path, report: dict[str, Any]) -> None:
    """Put the report's tables between the card's markers. Raises BenchRefused where the markers are missing."""
    text = card.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise BenchRefused(f"{card.name}: needs one line '{BEGIN}' and after it one line '{END}'; put them back")
    before, after = text[: text.index(BEGIN)], text[text.index(END) :]
    card.write_text(f"{before}{BEGIN}\n{as_markdown(report)}\n{after}", encoding="utf-8")
