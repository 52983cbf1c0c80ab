"""More to draw from: what stands on the form is the request, and a request comes back to the form as it was."""

from __future__ import annotations

from base64 import b64decode
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any, cast

import gradio as gr
import numpy as np
import pytest
import smallhub
from PIL import Image, ImageFilter
from safetensors.torch import save_file
from serving import forgotten_loops
from test_other_models import WIDE, half, picture, studio_of

from hgc.control.annotators import ANNOTATORS, LINES, serves
from hgc.control.images import ImageRefused, decode
from hgc.models.loading import load
from hgc.models.loras import add_lora
from hgc.models.presets import CONTROLS
from hgc.request import Request, RequestRefused
from hgc.studio.judge import Judge
from hgc.studio.studio import Studio
from hgc.ui import Loader
from hgc.ui.pictures import png_url
from hgc.ui.playground.asked import asked_of
from hgc.ui.playground.cache_events import CacheEvents
from hgc.ui.playground.calibrating import unmeasured
from hgc.ui.playground.control_events import ControlEvents
from hgc.ui.playground.drawing import AS_MAP, AUTO, READY, ControlMap, drawn, fitted, prepare
from hgc.ui.playground.form import read_form, write_form
from hgc.ui.playground.more_events import MoreEvents
from hgc.ui.playground.more_fields import priced_fields, source_fields
from hgc.ui.playground.reading_ways import ways_of, ways_to
from hgc.ui.playground.second_map import NO_SECOND_MAP, second_map
from hgc.ui.playground.second_panel import NONE, second_choices
from hgc.ui.playground.settling import settling_outputs
from hgc.ui.playground.size import OWN, size_choices, size_like, size_of, written
from hgc.ui.playground.source_panel import MASK, PART, WHOLE
from hgc.ui.playground.tab import Playground, build_playground
from hgc.ui.playground.titles import NOT_HERE
from hgc.ui.playground.wanted import HGC, control_of
from hgc.ui.runner import Runner

BEGUN: dict[str, Any] = {"source": picture(2), "strength": 0.5}
SECOND = {"control": "depth", "map": picture(1), "scale": 0.6, "start": 0.1, "end": 0.8}


@cache
def playground() -> Playground:
    studio = studio_of("sdxl")
    with forgotten_loops(), gr.Blocks():
        return build_playground(Runner(Loader(lambda: studio).start()))


def request(**fields: Any) -> Request:
    shared = {"model": studio_of("sdxl").model, "control": "edges", "sampler": "euler", "budget": 0.5, "steps": 8}
    return Request.make(b64decode(picture(0)), **shared | {"size": WIDE} | fields)


def on_the_form(asked: Request, folder: Path) -> Request:
    """The request that the form asks for after another was put on it; pictures lie in files, as gradio keeps them."""
    page = playground()
    updates = write_form(page, asked, None, asked.control_bytes)
    values = [updates.get(part, part.value) for part in page.run_inputs]
    for place, value in enumerate(values):
        if isinstance(value, dict):
            values[place] = page.run_inputs[place].value
        if isinstance(value, np.ndarray):
            values[place] = str(folder / f"{place}.png")
            Image.fromarray(value).save(values[place])
    return read_form(page, ControlMap(asked.control_bytes, asked.control), values)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"second": SECOND},
        BEGUN,
        {**BEGUN, "mask": half()},
        {**BEGUN, "mask": half(), "second": SECOND},
    ],
    ids=["size", "second", "image", "inpaint", "all"],
)
def test_a_request_comes_back_to_the_form_as_it_was(fields: dict[str, Any], tmp_path: Path) -> None:
    asked = request(**fields)
    assert on_the_form(asked, tmp_path).picture_digest == asked.picture_digest
    # What another request left there is taken away again.
    assert on_the_form(request(size=None), tmp_path).picture_digest == request(size=None).picture_digest


def test_loras_come_back_to_the_form_with_their_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And cost what the forecast of the form says."""
    monkeypatch.chdir(tmp_path)
    studio = studio_of("sdxl")
    for style in ("peft", "kohya"):
        save_file(smallhub.lora(studio.loaded.components["unet"], style), f"{style}.safetensors")
        add_lora(f"{style}.safetensors")
    asked = request(loras="kohya=-0.5, peft")
    read = on_the_form(asked, tmp_path)
    assert [str(lora) for lora in read.loras] == ["kohya=-0.5", "peft=1"]
    assert read.picture_digest == asked.picture_digest
    assert on_the_form(request(), tmp_path).loras == ()
    form = priced_fields(written(WIDE), NONE, 1, 0, 1, None, 0.7, "kohya", -0.5, "peft", 1.0, NONE, 1.0)
    assert studio.forecast(request(**form)).macs_full == studio.forecast(asked).macs_full
    assert studio.forecast(asked).macs_full.paper > studio.forecast(request()).macs_full.paper


def test_the_cost_of_a_form_is_that_of_its_request() -> None:
    studio, asked = studio_of("sdxl"), request(**BEGUN, second=SECOND)
    shown = priced_fields(written(WIDE), "depth", 0.6, 0.1, 0.8, "a picture", 0.5)
    assert studio.forecast(request(**shown)).macs == studio.forecast(asked).macs
    alone = studio.forecast(request(**priced_fields(written(WIDE), NONE, 1, 0, 1, None, 0.7)))
    assert alone.macs_full.paper < studio.forecast(asked).macs_full.paper


def test_sizes_keep_proportions_and_pixels() -> None:
    for side in (512, 768, 1024):
        for _, text in size_choices(side)[1:]:
            width, height = size_of(text) or (0, 0)
            assert width % 64 == height % 64 == 0
            assert 0.8 < width * height / side**2 < 1.25
    assert size_like(3000, 4000, 1024) == (896, 1152)
    assert size_like(100_000, 10, 512) == (1024, 256), "a strip is no picture"
    assert size_of(OWN) is None
    with pytest.raises(RequestRefused, match="704"):
        size_of("700x512")


def test_an_upload_decides_the_size_until_somebody_does(tmp_path: Path) -> None:
    events, path = MoreEvents(playground()), tmp_path / "wide.png"
    Image.new("RGB", (600, 300)).save(path)
    assert events.size_of_picture(OWN, str(path)) == written(size_like(2, 1, 128))
    assert events.size_of_picture("128x256", str(path)) == gr.skip()


def test_a_second_map_is_drawn_or_read_at_the_size() -> None:
    studio, lines = studio_of("sdxl"), np.zeros((512, 512, 4), np.uint8)
    lines[250:262, 40:470] = (0, 0, 0, 255)
    drawn = second_map(studio, WIDE, None, WHOLE, None, "edges", "lines", None, png_url(lines), None, "canny").map
    assert drawn.shape == (WIDE[1], WIDE[0], 3)
    assert drawn[WIDE[1] // 2, WIDE[0] // 2].tolist() == [255] * 3, "the sheet is the whole picture"
    with pytest.raises(ImageRefused, match=NO_SECOND_MAP):
        second_map(studio, WIDE, None, WHOLE, None, "edges", "lines", None, None, None, "canny")
    with pytest.raises(ImageRefused, match=NO_SECOND_MAP):
        second_map(studio, WIDE, None, WHOLE, None, "depth", "photo", None, None, None, "canny")


def test_only_what_is_painted_over_is_made_anew(tmp_path: Path) -> None:
    path, sheet = tmp_path / "begin.png", np.zeros((512, 512, 4), np.uint8)
    Image.fromarray(decode(b64decode(picture(3))).pixels).save(path)
    sheet[:256] = (*MASK, 255)
    fields = source_fields(WIDE, str(path), 0.5, PART, png_url(sheet))
    mask = decode(b64decode(fields["mask"])).pixels
    assert mask.shape == (WIDE[1], WIDE[0], 3)
    assert mask[: WIDE[1] // 2].min() == 255
    assert mask[WIDE[1] // 2 :].max() == 0
    assert "mask" not in source_fields(WIDE, str(path), 0.5, WHOLE, png_url(sheet))
    with pytest.raises(ImageRefused, match="Nothing is painted"):
        source_fields(WIDE, str(path), 0.5, PART, None)


def test_what_is_not_here_is_marked_before_it_is_chosen() -> None:
    titles = dict(second_choices(("edges", "depth"), ("edges",)))
    assert titles["Canny edges"] == "edges"
    assert titles[f"Depth ({NOT_HERE})"] == "depth"
    assert ways_to("depth")[0][1] == "as_map", "what needs nothing comes first"


def test_the_control_that_is_priced_is_the_one_that_reads_the_map(tmp_path: Path) -> None:
    path, canvas, studio = tmp_path / "photo.png", png_url(np.zeros((512, 512, 4), np.uint8)), studio_of("sdxl")
    Image.new("RGB", (8, 8)).save(path)
    begun = (str(path), PART, png_url(np.full((512, 512, 4), 255, np.uint8)))
    for which in (AUTO, *CONTROLS):
        for way in (*ANNOTATORS, *READY):
            for source in ("paint", "lines", "photo"):
                given = fitted(drawn(source, canvas, canvas, str(path), way, OWN, which, *begun), studio)
                assert given.control == control_of(source, way, which, studio.controls, studio.world.painted)
                if source == "photo" and way in ANNOTATORS and which != AUTO:
                    chosen = given.control if given.control in studio.controls else which
                    assert not serves(way, which) or chosen in (which, *LINES)


def test_a_target_out_of_reach_settles_the_form_that_an_earlier_question_was_about() -> None:
    """The earlier answer is no longer written: another was asked for since."""
    page = playground()
    inputs, outputs = asked_of(page), settling_outputs(page)
    events, values = CacheEvents(page), [part.value for part in inputs]
    values[inputs.index(page.cache.method)] = HGC
    values[inputs.index(page.control.source)] = "lines"
    *written, told = events.from_target("45 dB", *values)
    assert "No quality was measured" in told
    assert len(written) + 1 == len(outputs)
    assert written[: len(page.cache.settings)] == events.follow(*values)[: len(page.cache.settings)]
    assert written[0] in (True, False)


@pytest.mark.parametrize("which", ["scribble", "lineart"])
def test_drawn_lines_go_to_the_control_that_was_chosen(which: str) -> None:
    canvas = png_url(np.zeros((512, 512, 4), np.uint8))
    assert drawn("lines", None, canvas, None, "canny", OWN, which).control == which
    assert drawn("lines", None, canvas, None, "canny", OWN, "depth").control == "edges", "no depth is drawn"


def test_calibrating_says_what_it_does_not_measure() -> None:
    assert unmeasured(request()) == ""
    assert "without the second control:" in unmeasured(request(second=SECOND))
    assert "without the second control and the LoRAs:" in unmeasured(request(second=SECOND, loras="ink"))


def test_only_lines_and_painted_areas_go_on_a_canvas(tmp_path: Path) -> None:
    """A depth map is no drawing; an edge map is one."""
    events, path = ControlEvents(playground()), tmp_path / "map.png"
    Image.fromarray(decode(b64decode(picture(3))).pixels).save(path)
    page = gr.Request(session_hash="visitor")
    *canvases, told, _ = events.edit(page, 1, "photo", None, None, str(path), AS_MAP, written(WIDE), "depth")
    assert canvases == [gr.skip()] * 4
    assert "Maps of this kind (depth) cannot be painted here" in told
    source, _, lines, seen, told, _ = events.edit(
        page, 2, "photo", None, None, str(path), AS_MAP, written(WIDE), "edges"
    )
    assert source == "lines"
    assert lines.startswith("data:image/png")
    assert "<img" in seen, "what now stands on the canvas is looked at"
    assert "error" not in told


def test_a_map_that_nobody_draws_comes_back_as_a_finished_one(tmp_path: Path) -> None:
    page, asked, path = playground().control, request(control="depth"), tmp_path / "map.png"
    updates = write_form(playground(), asked, None, None)
    Image.fromarray(updates[page.photo]).save(path)
    way = updates[page.annotator]["value"]
    given = drawn(updates[page.source], None, None, str(path), way, written(WIDE), updates[page.which])
    assert given.control == "depth"
    assert np.array_equal(prepare(studio_of("sdxl"), given)[0].map, decode(asked.control_bytes).pixels)
    assert ("It is a finished map already", way) in ways_of(("depth", "edges"), "depth")


def test_a_look_stands_until_a_newer_one_whatever_asked_for_either(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that opens, another model and a stroke ask for looks, each through events of its own."""
    tab, page = playground(), cast(gr.Request, SimpleNamespace(session_hash="a visitor"))
    begun, go_on = Event(), Event()

    def seen(_events: ControlEvents, source: str, *_: Any) -> tuple[None, str]:
        if source == "first":
            begun.set()
            assert go_on.wait(30)
        return None, source

    monkeypatch.setattr(ControlEvents, "_map", seen)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(ControlEvents(tab).look, page, 1, "first")
        assert begun.wait(30)
        assert ControlEvents(tab).look(page, 2, "second")[1] == "second"
        go_on.set()
        assert first.result()[1] == gr.skip()


def test_a_look_that_was_asked_for_before_another_and_comes_after_it_does_not_stand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Under load the two of a page may reach the server in either order."""
    tab, page = playground(), cast(gr.Request, SimpleNamespace(session_hash="a visitor"))
    monkeypatch.setattr(ControlEvents, "_map", lambda _events, source, *_: (None, source))
    monkeypatch.setattr(MoreEvents, "_map", lambda _events, _size, *drawing: ("", drawing[0]))
    for events in (ControlEvents(tab), MoreEvents(tab)):
        assert events.look(page, 2, "256", "now")[1] != gr.skip()
        assert events.look(page, 1, "256", "before")[:2] == (gr.skip(), gr.skip())


@pytest.mark.usefixtures("on_small_hub")
def test_a_second_control_is_painted_and_read_as_the_first_is(tmp_path: Path) -> None:
    """The same sheet and the same photo give the same map in either place, settings of the reading included."""
    loaded = load("sdxl-union", device="cpu")
    studio = Studio(loaded, Judge.of(loaded.preset))
    sky, tree = (studio.world.sets[0].palette[name] for name in ("sky", "tree"))
    sheet = np.full((256, 256, 4), (*sky, 255), np.uint8)
    sheet[128:, 64:192] = (*tree, 255)
    painted = second_map(studio, WIDE, None, WHOLE, None, "segmentation", "paint", png_url(sheet), None, None, AS_MAP)
    first, _ = prepare(studio, fitted(drawn("paint", png_url(sheet), None, None, "canny", written(WIDE)), studio))
    np.testing.assert_array_equal(painted.map, first.map)
    assert {tuple(colour) for colour in painted.map.reshape(-1, 3).tolist()} == {sky, tree}

    photo = str(tmp_path / "photo.png")
    noise = np.random.default_rng(3).integers(0, 256, (100, 300, 3), np.uint8)
    Image.fromarray(noise).filter(ImageFilter.GaussianBlur(1)).save(photo)
    plain = ("crop", 0.5, 100, 200, 6.0, 8, 0.1, 0.1, False, 0)
    changed = (("fill", *plain[1:]), (*plain[:2], 10, 20, *plain[4:]), (*plain[:9], 64))
    maps = []
    for reading in (plain, *changed):
        second = second_map(studio, WIDE, None, WHOLE, None, "edges", "photo", None, None, photo, "canny", *reading)
        given = drawn("photo", None, None, photo, "canny", written(WIDE), "edges", None, WHOLE, None, *reading)
        np.testing.assert_array_equal(second.map, prepare(studio, fitted(given, studio))[0].map)
        maps.append(second.map)
    assert all(not np.array_equal(maps[0], other) for other in maps[1:])
    for control, way in (("depth", "lines"), ("edges", "paint"), ("depth", "paint")):
        with pytest.raises(ImageRefused, match="reads no"):
            second_map(studio, WIDE, None, WHOLE, None, control, way, png_url(sheet), png_url(sheet), None, AS_MAP)


def test_a_second_control_offers_what_it_reads() -> None:
    """Areas only for label maps, lines only for lines; on Landscapes a colour snap as well."""
    page = playground()
    events, second = MoreEvents(page), page.control.more.second
    for control, way, kept in (("edges", "lines", "lines"), ("edges", "paint", "photo"), ("depth", "lines", "photo")):
        said = events.choose(control, way, "canny")
        assert said[second.way] == kept
        hidden = str(said[second.offered])
        assert "nth-of-type(1)" in hidden
        assert ("nth-of-type(2)" in hidden) is (control == "depth")
        assert ("#second-way {" in hidden) is (control == "depth"), "of one way nothing is to be chosen"
