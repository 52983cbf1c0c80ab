"""The page's endpoints over the embedded model, and the pure pieces that it is made of."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image
from serving import served

from hgc.control.images import ImageRefused
from hgc.landscapes import examples
from hgc.landscapes.labels import PALETTE, colour_map
from hgc.landscapes.scene import paint
from hgc.planning.methods import DEFAULT_METHOD
from hgc.request import Recipe, Request, RequestRefused
from hgc.results.comparison import Comparison, Progress
from hgc.studio.studio import Studio
from hgc.ui import Loader
from hgc.ui.arguments import made
from hgc.ui.components.easel import CANVAS_PX, from_url
from hgc.ui.components.heat import heat_levels, heat_scale, heat_top, inferno
from hgc.ui.loader import ModelNotReady, loader_here
from hgc.ui.pictures import png_url
from hgc.ui.playground.drawing import drawn, sheet_of
from hgc.ui.playground.figures import badges, figures_row, verdict
from hgc.ui.playground.stage import run_told, stage_running
from hgc.ui.refusals import in_one_sentence
from hgc.ui.remarks import notes_list
from hgc.ui.sessions import RecentItems

# gradio's own statistics, told by pandas; the warning lands in whatever test the server answers meanwhile.
pytestmark = [
    pytest.mark.filterwarnings("ignore:'future.no_silent_downcasting' is deprecated"),
    pytest.mark.filterwarnings("ignore:The copy keyword is deprecated"),
]

ROOT = Path(__file__).parent.parent
ENDPOINTS = {
    "/budget_for",
    "/calibrate",
    "/compare",
    "/control_map",
    "/edit_plan",
    "/export_trace",
    "/facts",
    "/forecast",
    "/methods",
    "/palette",
    "/presets",
    "/run_request",
    "/settings_for",
    "/sweep",
}
SCENE = paint(9_000_002)
STEPS = 4


@pytest.fixture(scope="module")
def page(studio: Studio) -> Iterator[gr.Blocks]:
    with served(Loader(lambda: studio).start()) as built:
        yield built


@pytest.fixture(scope="module")
def client(page: gr.Blocks) -> Client:
    return Client(page.local_url, verbose=False)


@pytest.fixture(scope="module")
def label_map(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("maps") / "labels.png"
    Image.fromarray(colour_map(SCENE.labels)).save(path)
    return path


def refusal(call: Any) -> str:
    """The message of a refused call: one line without a trace of the server's insides."""
    with pytest.raises(AppError) as raised:
        call()
    message = str(raised.value)
    assert "Traceback" not in message
    assert "\n" not in message.strip()
    return message


# Endpoints


def test_endpoints_are_the_named_ones_typed_and_documented(client: Client) -> None:
    found = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert set(found) == ENDPOINTS
    for name, endpoint in found.items():
        assert len(endpoint["description"]) > 20, name
        assert all(parameter["type"] for parameter in endpoint["parameters"]), name


def test_palette_is_the_models(client: Client) -> None:
    assert client.predict(api_name="/palette") == {name: list(colour) for name, colour in PALETTE.items()}


def test_settings_come_from_a_preset_or_a_budget(client: Client, studio: Studio) -> None:
    for given, budget in ((("Paper", None), 0.368), (("", 0.5), 0.5)):
        told = client.predict(*given, 20, api_name="/settings_for")
        assert told == asdict(studio.settings(Recipe(budget=budget)))
    assert "Turbo" in refusal(lambda: client.predict("Cheapest", None, 20, api_name="/settings_for"))


def test_forecast_is_the_studios(client: Client, studio: Studio) -> None:
    said = client.predict("Turbo", None, 20, "ddim", 4.0, api_name="/forecast")
    assert said["macs_ratio"] == pytest.approx(said["macs_cached"] / said["macs_full"])
    assert said["macs_ratio"] <= 0.2
    assert said["plan"]["steps"] == 20


def test_a_clean_label_map_reaches_the_model_unchanged(client: Client, label_map: Path) -> None:
    result, notes = client.predict(handle_file(str(label_map)), "segmentation", None, api_name="/control_map")
    assert result.endswith(".png")
    assert np.array_equal(np.array(Image.open(result)), np.array(Image.open(label_map)))
    assert notes == []


def test_a_photo_becomes_edges(client: Client, tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    Image.fromarray(SCENE.image).resize((500, 400)).save(photo)
    result, _ = client.predict(handle_file(str(photo)), "edges", "canny", api_name="/control_map")
    pixels = np.array(Image.open(result))
    assert pixels.shape[:2] == (256, 256)
    assert set(np.unique(pixels)) == {0, 255}


def bad_files(folder: Path) -> dict[str, Path]:
    good = folder / "good.png"
    Image.fromarray(SCENE.image).save(good)
    (folder / "text.png").write_text("not a picture")
    (folder / "cut.png").write_bytes(good.read_bytes()[:900])
    Image.new("RGB", (1, 1)).save(folder / "dot.png")
    Image.new("1", (20_000, 4000)).save(folder / "vast.png")
    return {name: folder / f"{name}.png" for name in ("text", "cut", "dot", "vast")}


@pytest.mark.parametrize("name", ["text", "cut", "dot", "vast"])
def test_bad_files_are_refused_in_one_sentence(client: Client, tmp_path: Path, name: str) -> None:
    file = handle_file(str(bad_files(tmp_path)[name]))
    assert ":" in refusal(lambda: client.predict(file, "edges", "canny", api_name="/control_map"))


def compare(client: Client, picture: Path, preset: str, **changed: Any) -> Any:
    values = {"prompt": SCENE.caption, "seed": 5, "steps": STEPS, "preset": preset} | changed
    return client.predict(picture=handle_file(str(picture)), api_name="/compare", **values)


def test_compare_gives_the_studios_own_pixels(client: Client, studio: Studio, label_map: Path) -> None:
    full, kept, figures, rival = compare(client, label_map, "Quality", with_trace=True)
    assert rival is None
    prepared = studio.prepare_control(np.array(Image.open(label_map)), "segmentation")
    fields = {"prompt": SCENE.caption, "seed": 5, "steps": STEPS, "method": DEFAULT_METHOD, "budget": 0.65}
    request = made(prepared.png, fields, {}, studio.model)
    *_, own = studio.compare(request)
    assert isinstance(own, Comparison)
    assert np.array_equal(np.array(Image.open(full)), own.full.image)
    assert np.array_equal(np.array(Image.open(kept)), own.cached.image)
    assert figures["macs_cached"] == own.cached.trace.macs.paper
    assert figures["digest"] == own.digest
    assert figures["trace"]["branches"] == list(own.cached.trace.branches)


def test_a_trace_is_exported_as_it_was_returned(client: Client, label_map: Path) -> None:
    run = {"picture": handle_file(str(label_map)), "steps": 2, "preset": "Exact", "with_trace": True}
    trace = client.predict(**run, api_name="/compare")[2]["trace"]
    table = client.predict(trace, "csv", api_name="/export_trace").splitlines()
    assert len(table) == 1 + 2 * len(trace["sites"])
    events = json.loads(client.predict(trace, "perfetto", api_name="/export_trace"))["traceEvents"]
    assert sum(event.get("cat") == "step" for event in events) == 2
    assert "known are csv" in refusal(lambda: client.predict(trace, "xml", api_name="/export_trace"))
    assert "not a trace" in refusal(lambda: client.predict({"cells": 3}, "csv", api_name="/export_trace"))


def test_forecasts_are_doubted_when_asked_for(client: Client, label_map: Path) -> None:
    figures = compare(client, label_map, "Quality", with_trace=True, verify=0.25)[2]
    assert figures["trace"]["plan"]["verification"] == {"threshold": 0.25}
    assert "verify:" in refusal(lambda: compare(client, label_map, "Quality", verify=10))


def test_exact_savings_change_no_bit(client: Client, label_map: Path) -> None:
    full, kept, figures, _ = compare(client, label_map, "Exact")
    assert figures["identical"] is True
    assert figures["psnr"] is None
    assert np.array_equal(np.array(Image.open(full)), np.array(Image.open(kept)))


def test_a_third_picture_comes_from_fewer_steps_when_asked_for(client: Client, label_map: Path) -> None:
    full, kept, figures, rival = compare(client, label_map, "Balanced", rival="fewer_steps")
    pixels = np.array(Image.open(rival))
    assert not np.array_equal(pixels, np.array(Image.open(full)))
    assert not np.array_equal(pixels, np.array(Image.open(kept)))
    assert 0 < figures["steps_rival"] < STEPS


@pytest.mark.parametrize(
    ("changed", "named"),
    [({"steps": 0}, "steps"), ({"guidance": 99}, "guidance"), ({"control_start": 0.9, "control_end": 0.1}, "control")],
)
def test_values_out_of_range_are_refused_by_name(
    client: Client, label_map: Path, changed: dict[str, Any], named: str
) -> None:
    settings = {"coarse": True, "fine": True}
    assert named in refusal(lambda: compare(client, label_map, "", cache=settings, **changed))


# How it is served


def test_what_runs_the_model_is_bounded_and_waits_in_the_workers_line(page: gr.Blocks) -> None:
    model = [fn for fn in page.fns.values() if fn.concurrency_id == "model"]
    assert len(model) == 7
    assert {fn.concurrency_limit for fn in model} == {1}
    asked = [fn for fn in page.fns.values() if fn.concurrency_id == "endpoints"]
    assert {fn.api_name for fn in asked} == {"compare", "run_request", "calibrate", "sweep"}
    assert {fn.concurrency_limit for fn in asked} == {8}
    assert page._queue.max_size == 32


def test_states_hold_an_id_and_nothing_more(page: gr.Blocks) -> None:
    states = [block for block in page.blocks.values() if isinstance(block, gr.State)]
    assert states
    assert all(state.value is None for state in states)


def test_pictures_travel_as_png(page: gr.Blocks) -> None:
    pictures = (gr.Image, gr.ImageSlider, gr.Gallery)
    assert {block.format for block in page.blocks.values() if isinstance(block, pictures)} == {"png"}


def test_every_slider_has_a_hint(page: gr.Blocks) -> None:
    assert [b.label for b in page.blocks.values() if isinstance(b, gr.Slider) and not b.info] == []


def test_building_the_page_writes_nothing_beside_its_source() -> None:
    assert list((ROOT / "hgc").rglob("*.pyi")) == []


# Loading


def test_a_model_that_does_not_load_is_told_in_one_sentence(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> Studio:
        raise OSError("the weights\nare not here")

    loader = Loader(broken).start()
    with pytest.raises(ModelNotReady, match="the weights are not here"):
        loader.studio()
    assert loader.settled
    assert not loader.ready


def test_every_model_of_the_page_records_its_steps_if_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    class Loads:
        def __init__(self, model: str = "landscapes") -> None:
            self.model, self.records = model, False

        def record_steps(self) -> None:
            self.records = True

    for name in ("load_landscapes", "load_named"):
        monkeypatch.setattr(f"hgc.ui.loader.{name}", Loads)
    loader = loader_here(graphs=True)
    assert loader.studio().records  # type: ignore[attr-defined]
    assert loader.change("sd15").records  # type: ignore[attr-defined]
    assert not loader_here().studio().records  # type: ignore[attr-defined]


def test_a_model_on_its_way_is_waited_for(studio: Studio) -> None:
    go = threading.Event()

    def slowly() -> Studio:
        go.wait(10)
        return studio

    loader = Loader(slowly).start()
    assert not loader.settled
    with pytest.raises(ModelNotReady, match="still loading"):
        loader.studio(patience_s=0.01)
    go.set()
    assert loader.studio() is studio


def test_the_page_is_built_without_loading_a_model_library() -> None:
    code = (
        "import sys; from hgc.ui import Loader, build; build(Loader());print({'torch', 'diffusers'} & set(sys.modules))"
    )
    built = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    assert built.stdout.strip() == "set()"


# Pieces


def test_the_latest_things_are_kept() -> None:
    kept: RecentItems[int] = RecentItems(limit=2)
    names = [kept.keep(number) for number in range(3)]
    assert [kept.find(name) for name in names] == [None, 1, 2]
    assert kept.find(None) is None
    assert kept.keep(4, "mine") == "mine"
    assert kept.find("mine") == 4


def test_an_untouched_canvas_is_a_bare_sheet() -> None:
    given = drawn("paint", None, None, None, "canny")
    assert given.control == "segmentation"
    assert given.picture.shape == (CANVAS_PX, CANVAS_PX, 4)
    assert not given.picture.any()


def test_a_drawing_travels_to_the_canvas_and_back_unchanged() -> None:
    sheet = np.random.default_rng(0).integers(0, 256, (CANVAS_PX, CANVAS_PX, 4), dtype=np.uint8)
    np.testing.assert_array_equal(from_url(png_url(sheet)), sheet)
    for damaged in ("data:image/png;base64,?", "data:image/png;base64,AAAA"):
        with pytest.raises(ImageRefused):
            from_url(damaged)


def test_no_photo_is_refused() -> None:
    with pytest.raises(ImageRefused, match="no photo yet"):
        drawn("photo", None, None, None, "canny")


def test_examples_are_read_as_they_are(studio: Studio) -> None:
    assert [example.control for example in examples.gallery()].count("edges") >= 2
    for example in examples.gallery():
        sheet = sheet_of(example.pixels, example.control)
        assert sheet.shape == (CANVAS_PX, CANVAS_PX, 4)
        prepared = studio.prepare_control(sheet, example.control)
        assert prepared.map.any()
        assert studio.check_prompt(example.prompt) == (), example.title
        if example.control == "segmentation":
            assert not any("snapped" in note or "unpainted" in note for note in prepared.notes), example.title


def figures(**changed: Any) -> dict[str, Any]:
    values = {
        "title_cached": "HGC",
        "macs_full": 114e9,
        "macs_cached": 41.1e9,
        "macs_ratio": 0.36,
        "macs_with_attention_full": 149e9,
        "macs_with_attention_cached": 58.1e9,
        "latency_ms_full": 8220.0,
        "latency_ms_cached": 3310.0,
        "speedup": 2.48,
        "peak_bytes": 15.5 * 2**20,
        "psnr": 39.94,
        "ssim": 0.9941,
        "perceptual": 0.01234,
        "control_score_name": "mIoU",
        "judge": "Landscapes' segmenter",
        "control_score_full": 0.871,
        "control_score_cached": 0.864,
        "device": "cpu",
        "dtype": "float32",
        "steps": 20,
        "sampler": "dpmpp",
        "guidance": 4.0,
        "seed": 7,
        "digest": "9f3a00000000",
        "identical": False,
        "nothing_reused": False,
    }
    return values | changed


class Text(HTMLParser):
    """Words of a piece of HTML, without its tags."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.feed(html)

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @classmethod
    def of(cls, html: str) -> str:
        return " ".join(cls(html).words)


def test_the_row_of_figures_shows_every_number_and_what_it_was_measured_on() -> None:
    text = Text.of(figures_row(figures()))
    for wanted in ("114 G → 41.1 G", "149 G → 58.1 G", "36.0%", "8.22 s → 3.31 s", "2.48×", "15.5 MB", "39.9 dB"):
        assert wanted in text
    for wanted in ("0.994", "87.1% → 86.4%", "mIoU", "CPU", "float32", "20 steps", "DPM-Solver++", "seed 7"):
        assert wanted in text


def test_identical_pictures_and_missing_scores_have_words() -> None:
    text = Text.of(figures_row(figures(psnr=None, control_score_full=None, control_score_cached=None)))
    assert "∞" in text
    assert "not scored" in text


def test_badges_say_what_was_shared_and_the_verdict_what_happened() -> None:
    assert "9f3a00000000" in badges(figures())
    assert "Bit-identical" in verdict(figures(identical=True))
    assert "did nothing" in verdict(figures(nothing_reused=True, identical=True))
    assert "2.48× as fast" in Text.of(verdict(figures()))
    assert "36% of the compute; differences hardly visible (39.9 dB)" in Text.of(verdict(figures()))
    assert "no faster" in Text.of(verdict(figures(speedup=0.9)))
    of_three = Text.of(verdict(figures(**THIRD)))
    assert "HGC: 2.48× as fast" in of_three
    assert "Fewer steps: 2.57× as fast" in of_three


THIRD = {
    "title_full": "Full",
    "title_cached": "HGC",
    "title_rival": "Fewer steps",
    "macs_rival": 39.9e9,
    "macs_ratio_rival": 0.35,
    "speedup_rival": 2.57,
    "latency_ms_rival": 3200.0,
    "psnr_rival": 25.12,
    "ssim_rival": 0.9012,
    "perceptual_rival": 0.0807,
    "control_score_rival": 0.812,
    "steps_cached": 20,
    "steps_rival": 7,
    "peak_bytes_rival": 0,
}


def test_three_arms_stand_in_a_table_with_every_figure_of_each() -> None:
    text = Text.of(figures_row(figures(**THIRD)))
    for wanted in ("Full HGC Fewer steps", "20 20 7", "114 G 41.1 G 39.9 G", "100.0% 36.1% 35.0%"):
        assert wanted in text
    for wanted in (
        "8.22 s 3.31 s 3.20 s",
        "– 39.9 dB 25.1 dB",
        "– 0.994 0.901",
        "– 0.0123 0.0807",
        "87.1% 86.4% 81.2%",
        "seed 7",
    ):
        assert wanted in text
    assert "not scored" in figures_row(figures(**THIRD | {"control_score_rival": None}))
    assert "Perceptual difference – – –" in Text.of(
        figures_row(figures(**THIRD | {"perceptual": None, "perceptual_rival": None}))
    )


def test_what_people_write_is_never_read_as_html() -> None:
    evil = "<img src=x onerror=alert(1)>"
    for html in (badges(figures(), [evil]), notes_list([evil]), run_told(evil, evil)):
        assert "<img" not in html


def test_a_run_under_way_shows_its_arms() -> None:
    preview = np.zeros((8, 8, 3), np.uint8)
    html = stage_running({"full": Progress("full", 3, 20, preview, 11.2)}, 20, {"full": "Full", "cached": "HGC"})
    text = Text.of(html)
    assert "step 3 of 20" in text
    assert "waiting" in text
    assert "About 12 s left" in text
    assert html.count("data:image/jpeg;base64,") == 1
    assert "Fewer steps" not in text


def test_the_third_arm_counts_its_own_steps() -> None:
    latest = {"cached": Progress("cached", 20, 20, None, 5.0), "rival": Progress("rival", 2, 7, None, 3.4)}
    text = Text.of(stage_running(latest, 20, {"full": "Full", "cached": "HGC", "rival": "Fewer steps"}))
    assert "step 2 of 7" in text
    assert "About 4 s left" in text


def test_the_heat_map_is_dark_where_equal_and_bright_where_not() -> None:
    difference = np.zeros((64, 64), np.float32)
    difference[:8] = 0.5
    top = heat_top(difference)
    assert top == pytest.approx(0.5)
    colours = inferno()[heat_levels(difference, top)].astype(int)
    assert colours[40, 40].sum() < 40
    assert colours[2, 2].sum() > 500
    brightness = inferno().astype(int).sum(axis=1)
    assert (np.diff(brightness) >= -2).all()


def test_the_scale_of_the_heat_map_has_units() -> None:
    text = Text.of(heat_scale(0.2))
    for wanted in ("0.0% 0", "10.0% 26", "20.0% 51", "full brightness", "levels of 255"):
        assert wanted in text


def test_refusals_keep_their_words_and_accidents_keep_their_insides(caplog: pytest.LogCaptureFixture) -> None:
    assert in_one_sentence(RequestRefused("steps: at least 2")) == "steps: at least 2"
    told = in_one_sentence(KeyError("/some/secret/path"))
    assert "secret" not in told
    assert "KeyError" in told


def test_a_request_is_made_from_the_forms_fields(studio: Studio) -> None:
    png = studio.prepare_control(colour_map(SCENE.labels), "segmentation").png
    request = made(png, {"prompt": "a lake", "seed": 3.0, "steps": 20}, {"coarse": False, "fine": True}, "landscapes")
    assert isinstance(request, Request)
    assert (request.seed, request.cache.coarse, request.cache.fine) == (3, False, True)
