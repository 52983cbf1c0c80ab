"""An inpainting control reads the picture to begin from, without what is painted over it: no other map is asked for."""

from __future__ import annotations

from base64 import b64decode
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
import torch
from PIL import Image
from serving import forgotten_loops
from test_other_models import WIDE, finished, half, picture, studio_of
from typer.testing import CliRunner

from hgc.__main__ import app
from hgc.control.images import decode
from hgc.control.pictures import INPAINT
from hgc.request import Request
from hgc.studio.judge import Judge
from hgc.studio.studio import Studio
from hgc.ui import Loader
from hgc.ui.model_events import ModelEvents
from hgc.ui.model_header import build_header
from hgc.ui.pictures import png_url
from hgc.ui.playground.control_events import ControlEvents
from hgc.ui.playground.drawing import AS_MAP, AUTO, ControlMap, NothingYet, drawn, inpainted, prepare
from hgc.ui.playground.form import read_form, write_form
from hgc.ui.playground.model_fit import CANNY
from hgc.ui.playground.more_events import MoreEvents
from hgc.ui.playground.second_map import second_map
from hgc.ui.playground.second_panel import NONE, second_choices
from hgc.ui.playground.size import written
from hgc.ui.playground.source_panel import MASK, PART, WHOLE
from hgc.ui.playground.tab import Playground, build_playground
from hgc.ui.playground.titles import control_titles
from hgc.ui.playground.wanted import control_of
from hgc.ui.runner import Runner

LEFT = np.s_[:, : WIDE[0] // 2]  # of a map: what `half` and `over` have made anew


@cache
def inpainter(*names: str) -> Studio:
    """A small model with an inpainting ControlNet, and others of these names."""
    plain = studio_of("sd")
    nets = dict(zip((INPAINT, *names), plain.loaded.controls.values(), strict=False))
    preset = replace(plain.loaded.preset, name="tiny-inpaint", controls={name: f"./{name}" for name in nets})
    return Studio(replace(plain.loaded, controls=nets, preset=preset), Judge.of(preset))


@cache
def playground() -> Playground:
    studio = inpainter("edges")
    with forgotten_loops(), gr.Blocks():
        return build_playground(Runner(Loader(lambda: studio).start()))


@pytest.fixture
def photo(tmp_path: Path) -> str:
    path = tmp_path / "begin.png"
    path.write_bytes(b64decode(picture(3)))
    return str(path)


def over() -> str:
    """A sheet on which the left half is painted over."""
    sheet = np.zeros((512, 512, 4), np.uint8)
    sheet[:, :256] = (*MASK, 255)
    return png_url(sheet)


def first_map(photo: str | None, part: str = PART, mask: str | None = None) -> Any:
    given = drawn("paint", None, None, None, "canny", written(WIDE), INPAINT, photo, part, mask)
    return prepare(inpainter("edges"), given)[0].map


def request(**fields: Any) -> Request:
    shared = {"model": "tiny-inpaint", "control": INPAINT, "sampler": "unipc", "budget": 0.5, "steps": 4, "size": WIDE}
    return Request.make(b64decode(picture(3)), **shared | {"source": picture(3), "mask": half()} | fields)


def test_its_map_is_the_picture_without_what_is_painted_over(photo: str) -> None:
    """The same for a first and a second control; the network is given -1 there, and the rest as it is."""
    studio, whole = inpainter("edges"), decode(b64decode(picture(3))).pixels
    made = first_map(photo, mask=over())
    assert not made[LEFT].any()
    np.testing.assert_array_equal(made[:, WIDE[0] // 2 :], whole[:, WIDE[0] // 2 :])
    second = second_map(studio, WIDE, photo, PART, over(), INPAINT, "photo", None, None, None, AS_MAP)
    np.testing.assert_array_equal(second.map, made)
    given = studio.call(request())["control_image"]
    assert (given[0][:, *LEFT] == -1).all()
    right = torch.from_numpy(whole).permute(2, 0, 1)[..., WIDE[0] // 2 :] / 255
    assert torch.allclose(given[0][..., WIDE[0] // 2 :], right)


def test_without_a_picture_or_with_nothing_painted_over_the_page_says_what_to_do(photo: str) -> None:
    events, more = ControlEvents(playground()), MoreEvents(playground())
    for begun, part, says in (
        (None, WHOLE, "give it one under More to draw from"),
        (photo, WHOLE, "choose Only what I paint over"),
        (photo, PART, "paint over the part to change"),
    ):
        with pytest.raises(NothingYet, match=says):
            inpainted(begun, part, None)
        seen, told = events._map("photo", None, None, None, "hed", written(WIDE), INPAINT, begun, part, None)
        assert seen is None
        assert says in told
        assert says in more._map(written(WIDE), begun, part, None, INPAINT, "photo", None, None, None, AS_MAP)[1]


def test_it_is_in_both_lists_and_opens_what_it_reads() -> None:
    """Every other way to a map goes, and comes back with another control."""
    page, controls = playground(), (INPAINT, "edges")
    assert ("Inpainting", INPAINT) in control_titles(controls, controls)
    assert ("Inpainting", INPAINT) in second_choices(controls, controls)
    assert control_of("photo", "canny", INPAINT, controls, ()) == INPAINT
    panel, second = page.control, page.control.more.second
    chosen = ControlEvents(page).choose(INPAINT, "lines", "canny")
    assert chosen[panel.more.source.part] == PART
    assert chosen[panel.more.folded]["open"] is True
    assert "#source, #tracing, #paint-panel, #lines-panel, #photo-panel" in chosen[panel.offered]
    assert panel.source not in chosen, "what was drawn stays for the next control"
    assert "#lines-panel" not in ControlEvents(page).choose("edges", "lines", "canny")[panel.offered]
    beside = MoreEvents(page).choose(INPAINT, "lines", "canny")
    assert "#second-way, #tracing, #second-paint-panel" in beside[second.offered]
    assert second.annotator not in beside


@pytest.mark.parametrize(
    "fields", [{}, {"control": "edges", "second": {"control": INPAINT, "map": picture(3), "scale": 0.5}}]
)
def test_it_comes_back_to_the_form_and_runs(fields: dict[str, Any], tmp_path: Path) -> None:
    page, asked = playground(), request(**fields)
    updates = write_form(page, asked, None, None)
    values = {part: updates.get(part, part.value) for part in (*page.control.drawing, *page.run_inputs)}
    for number, (part, value) in enumerate(values.items()):
        if isinstance(value, dict):
            values[part] = value.get("value", part.value)
        if isinstance(value, np.ndarray):
            values[part] = str(tmp_path / f"{number}.png")
            Image.fromarray(value).save(values[part])
    given = drawn(*(values[part] for part in page.control.drawing))
    prepared, _ = prepare(inpainter("edges"), given)
    read = read_form(page, ControlMap(prepared.png, given.control), [values[part] for part in page.run_inputs])
    assert read.controls == asked.controls
    assert (read.source, read.mask) == (asked.source, asked.mask)
    left = read.control_png if read.second is None else read.second.map
    assert not decode(b64decode(left)).pixels[LEFT].any()
    made = finished(inpainter("edges"), read)
    assert made.cached.trace.macs.paper < made.full.trace.macs.paper


def test_a_model_with_no_other_control_is_asked_for_it_at_once() -> None:
    """And Canny's thresholds are the model's own, for both controls, but where a person has set others."""
    page, studio = playground(), inpainter()
    with forgotten_loops(), gr.Blocks():
        events = ModelEvents(page, build_header(page.runner.loader))
    first, second = page.control.reading.canny, page.control.more.second.reading.canny
    assert [part.value for part in (*first, *second)] == [50, 120] * 2, "as the page opens, with Landscapes"
    form: list[Any] = ["lines", "canny", AUTO, None, None, "ddim", "edges"]
    assert len(form) == CANNY.start
    loras = [NONE] * len(page.control.more.loras.names)
    fit = events._fit(studio, *form, 50, 120, 30, 120, *loras)
    assert fit[page.control.which]["value"] == INPAINT
    assert fit[page.control.source] == "lines"
    assert [fit[part] for part in first] == [100, 200]
    assert not set(second) & set(fit), "30 was set by hand"
    assert fit[page.control.more.second.control]["value"] == NONE
    assert "no control of canny edges" in fit[events._header.told]
    arrived = events.arrive(*form, 30, 90, 50, 120, *loras)
    assert [arrived[part] for part in second] == [100, 200]
    picker = events._header.picker
    assert not picker.interactive
    assert arrived[picker]["interactive"], "chosen before, a model would be taken back by the page's own answer"


def test_the_shell_makes_its_map_from_source_and_mask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without --image, which every other control needs; what is missing is named before a model is loaded."""
    monkeypatch.setattr(Studio, "load", lambda *_: inpainter("edges"))
    for name, encoded in (("source", picture(3)), ("mask", half())):
        (tmp_path / f"{name}.png").write_bytes(b64decode(encoded))
    pictures = [word for name in ("source", "mask") for word in (f"--{name}", str(tmp_path / f"{name}.png"))]
    same = ["--model", "tiny-inpaint", "--control", INPAINT, "--size", "192x128", "--steps", "4"]

    def shell(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, [*words, "--out", str(tmp_path / words[0])])
        return done.exit_code, " ".join(done.output.split())

    code, told = shell("compare", *same, *pictures, "--plan", "0.6")
    assert code == 0, told
    asked = Request.parse((tmp_path / "compare" / "request.json").read_text())
    assert not decode(asked.control_bytes).pixels[LEFT].any()
    assert decode(asked.control_bytes).pixels[:, WIDE[0] // 2 :].any()
    assert shell("sweep", *same, *pictures, "--x", "budget=0.5, 0.8")[0] == 0
    monkeypatch.setattr(Studio, "load", lambda *_: pytest.fail("loaded"))
    assert shell("compare", *same, *pictures[:2]) == (
        2,
        "control inpaint is made from a picture and its mask: give --mask",
    )
    assert shell("sweep", *same[:2], "--control", "edges", "--x", "seed=1,2")[1].endswith(
        "control 'edges' reads a map: give it with --image"
    )
