"""The marked tables of README and results page say what the figures say."""

import json
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from hgc.bench.points import FULL, PlanPicture, Rows, points
from hgc.bench.setup import BenchRefused
from hgc.bench.tables import DOCUMENTS, MARK, TABLES, MeasuredFigures, fill, filled
from hgc.cache.anatomy import Macs

ROOT = Path(__file__).parents[1]
SHIPPED = MeasuredFigures(ROOT / "assets" / "figures")


def picture(seed: int, psnr: float, latency_ms: float = 1000.0) -> PlanPicture:
    return PlanPicture(seed, psnr, 0.99, 0.01, None, 0.8, {"sky": (4, 5)}, latency_ms, 1, 1)


def written(folder: Path, name: str, rows: list[Rows]) -> None:
    """Writes figures as `bench pareto` does."""
    made = [asdict(point) for point in points("segmentation", "ddim", rows)]
    (folder / f"{name}.json").write_text(json.dumps({"measured_on": "nothing", "points": made}))


def rows_of(method: str, psnrs: dict[float, list[float]], latency_ms: float = 500.0) -> list[Rows]:
    return [
        Rows(method, share, Macs(int(1000 * share), int(1000 * share)), [
            picture(n, psnr, latency_ms) for n, psnr in enumerate(values)
        ])
        for share, values in psnrs.items()
    ]  # fmt: skip


def whole(count: int) -> list[Rows]:
    return rows_of(FULL, {1.0: [99.0] * count}, 1000.0)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_documents_say_what_the_figures_say(document: str) -> None:
    text = (ROOT / document).read_text()
    assert filled(text, SHIPPED) == text, "make them anew: python -m hgc bench tables"


def test_every_table_has_one_place() -> None:
    texts = "".join((ROOT / document).read_text() for document in DOCUMENTS)
    places = Counter(found["name"] for found in MARK.finditer(texts))
    assert places == Counter(TABLES.keys())
    assert texts.count("<!-- table: ") == texts.count("<!-- end of table -->") == len(TABLES)


def test_leads_are_of_the_pictures_that_both_have(tmp_path: Path) -> None:
    """Block Caching's first two scenes beside the rivals' two, and not the mean of its four."""
    fewer = rows_of("fewer_steps", {0.5: [40.0, 42.0], 0.368: [38.0, 40.0], 0.2: [30.0, 34.0]})
    own = rows_of("optimised", {0.5: [50.0, 50.0], 0.368: [45.0, 49.0], 0.2: [29.0, 33.0]})
    written(tmp_path, "rivals-segmentation-ddim", [*whole(2), *own, *fewer])
    blocks = rows_of("block_caching", {share: [41.0, 41.0, 90.0, 90.0] for share in (0.5, 0.368, 0.2)})
    written(tmp_path, "block-caching-segmentation-ddim", [*whole(4), *blocks])
    assert TABLES["rivals-label-map"](MeasuredFigures(tmp_path)).splitlines() == [
        "| method | 50% | 36.8% | 20% |",
        "|---|---|---|---|",
        "| Optimised | **50.0** (+9.0; +8.0 to +10.0) | **47.0** (+8.0; +7.0 to +9.0) "
        "| **31.0** (−1.0; −1.0 to −1.0) |",
        "| Block Caching | 41.0 (+0.0; −1.0 to +1.0) | 41.0 (+2.0; +1.0 to +3.0) | 41.0 (+9.0; +7.0 to +11.0) |",
        "| Fewer steps | 41.0 | 39.0 | 32.0 |",
    ]


def test_what_a_method_cannot_cost_is_a_dash_and_times_are_told_where_they_were_taken(tmp_path: Path) -> None:
    rows = [*whole(2), *rows_of("optimised", {0.5: [50.0, 50.0]}), *rows_of("tgate", {0.5: [30.0, 31.0]}, 800.0)]
    for control in ("segmentation", "edges"):
        written(tmp_path, f"methods-{control}-ddim", rows)
    lines = TABLES["all-methods"](MeasuredFigures(tmp_path)).splitlines()[2:]
    assert lines == [
        "| Optimised | **50.0 dB, 2.00×** | – | – | **50.0 dB, 2.00×** | – | – |",
        "| T-GATE | 30.5 dB, 1.25× | – | – | 30.5 dB, 1.25× | – | – |",
    ]


def test_text_outside_the_marks_stays(tmp_path: Path) -> None:
    for control in ("segmentation", "edges"):
        rows = [*whole(2), *rows_of("optimised", {0.5: [50.0, 50.0]})]
        written(tmp_path, f"methods-{control}-ddim", rows)
    document = tmp_path / "page.md"
    document.write_text("# Before\n\n<!-- table: all-methods -->\nold\n<!-- end of table -->\n\nAfter.\n")
    fill(document, MeasuredFigures(tmp_path))
    text = document.read_text()
    assert text.startswith("# Before\n\n<!-- table: all-methods -->\n| method | label map, 50% |")
    assert text.endswith("|\n<!-- end of table -->\n\nAfter.\n")
    assert "old" not in text


@pytest.mark.parametrize(
    ("name", "told"),
    [("nothing", "no such table; there are summary, "), ("null", r"null-segmentation-ddim\.json: no figures there")],
)
def test_a_table_that_cannot_be_made_is_refused(tmp_path: Path, name: str, told: str) -> None:
    document = tmp_path / "page.md"
    document.write_text(f"<!-- table: {name} -->\nold\n<!-- end of table -->\n")
    with pytest.raises(BenchRefused, match=told):
        fill(document, MeasuredFigures(tmp_path))
    assert "old" in document.read_text()


def test_pictures_of_other_seeds_are_not_paired(tmp_path: Path) -> None:
    own = rows_of("hgc", dict(zip((0.5, 0.368, 0.2), [[50.0, 51.0]] * 3, strict=True)))
    fewer = [replace(row, shown=row.shown[::-1], method="fewer_steps") for row in own]
    for control in ("segmentation", "edges"):
        written(tmp_path, f"hgc-{control}-ddim", [*whole(2), *own, *fewer])
    with pytest.raises(BenchRefused, match="hgc and fewer_steps are of other pictures"):
        TABLES["hgc"](MeasuredFigures(tmp_path))


def test_a_mark_without_an_end_takes_nothing_with_it() -> None:
    text = "<!-- table: hgc -->\nold\n\n<!-- table: null -->\nolder\n<!-- end of table -->\n"
    assert [found["name"] for found in MARK.finditer(text)] == ["null"]


def test_a_method_that_was_not_measured_is_named(tmp_path: Path) -> None:
    written(tmp_path, "hgc-segmentation-ddim", whole(2))
    with pytest.raises(BenchRefused, match=r"hgc-segmentation-ddim\.json: has no hgc at 50\.0%"):
        TABLES["hgc"](MeasuredFigures(tmp_path))
