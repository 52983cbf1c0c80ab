"""The Playground: a drawing on the left, both pictures on the right, and the events between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from hgc.ui import figures
from hgc.ui.cache_panel import (
    CUSTOM_REASON,
    FIRST_PRESET,
    CachePanel,
    build_cache_panel,
    read_settings,
    write_settings,
)
from hgc.ui.control_panel import ControlPanel, build_control_panel, drawn, editor_value, prepare, seen_text
from hgc.ui.examples import examples
from hgc.ui.picture_panel import PicturePanel, Words, build_picture_panel, build_words
from hgc.ui.queueing import LOOK_QUEUE, QUIET
from hgc.ui.results import Results, build_results, wire_results
from hgc.ui.run_events import wire_run
from hgc.ui.runner import REFUSALS, Runner, blank_png, in_one_sentence, made

if TYPE_CHECKING:
    from hgc.request import CacheSettings

COST_FIELDS = ("steps", "sampler", "guidance", "control_scale", "control_start", "control_end")


@dataclass(frozen=True)
class Playground:
    """The tab's components and the runner behind them."""

    runner: Runner
    control: ControlPanel
    words: Words
    picture: PicturePanel
    cache: CachePanel
    results: Results
    press: gr.Number
    run: gr.Button
    stop: gr.Button
    forecast: gr.HTML

    @property
    def run_inputs(self) -> list[Any]:
        return [*self.fields.values(), self.picture.lock, *self.cache.settings]

    @property
    def fields(self) -> dict[str, Any]:
        """The components that set a Request's field, by its name."""
        return {"prompt": self.words.prompt, **self.picture.fields}

    @property
    def cost_inputs(self) -> list[Any]:
        """What the forecast depends on."""
        fields = self.picture.fields
        return [*(fields[name] for name in COST_FIELDS), *self.cache.settings]


def build_playground(runner: Runner) -> Playground:
    """Lays the tab out and wires it."""
    with gr.Row(elem_id="playground", equal_height=False):
        with gr.Column(scale=5, min_width=330, elem_id="left"):
            control = build_control_panel()
            cache = build_cache_panel()
            picture = build_picture_panel()
        with gr.Column(scale=7, min_width=330, elem_id="right"):
            with gr.Column(elem_classes="card", elem_id="words"):
                words = build_words()
                with gr.Row(elem_id="run-bar"):
                    waiting = figures.forecast_waiting("The model is loading.")
                    forecast = gr.HTML(waiting, elem_id="forecast", min_width=120, scale=1)
                    press = gr.Number(0, precision=0, visible=False)
                    run = gr.Button("Run", variant="primary", elem_id="run", min_width=76, scale=0)
                    stop = gr.Button("Stop", interactive=False, elem_id="stop", min_width=64, scale=0)
            with gr.Column(elem_classes="card", elem_id="result-card"):
                shown = build_results()
    playground = Playground(runner, control, words, picture, cache, shown, press, run, stop, forecast)
    _wire_control(playground)
    _wire_cache(playground)
    wire_run(playground)
    wire_results(shown, runner.runs)
    return playground


def _wire_control(p: Playground) -> None:
    panel = p.control

    def look(*drawing: Any) -> tuple[Any, str]:
        """The control map as the model will see it."""
        if drawing[0] == "photo" and drawing[3] is None:
            return None, '<h4>As the model sees it</h4><p class="aside">Drop a photo to see its map here.</p>'
        try:
            given = drawn(*drawing)
            prepared, notes = prepare(p.runner.loader.studio(), given)
        except Exception as error:
            return None, figures.notes_list([in_one_sentence(error)], "error")
        return prepared.map, seen_text(notes, given)

    gr.on(
        [
            panel.source.input,
            panel.painting.input,
            panel.lines.input,
            panel.photo.clear,
            panel.annotator.input,
        ],
        look,
        panel.drawing,
        [panel.seen, panel.notes],
        trigger_mode="always_last",
        **LOOK_QUEUE,
        **QUIET,
    )

    def receive(*drawing: Any) -> tuple[Any, ...]:
        """A photo just dropped; one that cannot be read is not left standing there as a broken picture."""
        seen, notes = look("photo", *drawing[1:])
        return gr.skip() if seen is not None else None, seen, notes

    panel.photo.upload(receive, panel.drawing, [panel.photo, panel.seen, panel.notes], **LOOK_QUEUE, **QUIET)

    def take(event: gr.SelectData) -> tuple[Any, ...]:
        """Puts an example on the canvas of its kind, with its words and seed."""
        example = examples()[event.index]
        value = editor_value(example)
        painted = example.control == "segmentation"
        source, kept = ("paint", gr.skip()) if painted else ("lines", gr.skip())
        sheets = (value, kept) if painted else (kept, value)
        return source, *sheets, example.prompt, example.seed

    taken = panel.gallery.select(
        take, None, [panel.source, panel.painting, panel.lines, p.words.prompt, p.picture.seed], queue=False, **QUIET
    )
    taken.then(look, panel.drawing, [panel.seen, panel.notes], **QUIET)

    def read(prompt: str) -> Any:
        """What the model will not understand of a prompt."""
        loader = p.runner.loader
        notes = loader.studio().check_prompt(prompt) if loader.ready else ()
        return gr.update(value=figures.notes_list(notes), visible=bool(notes))

    p.words.prompt.change(read, p.words.prompt, p.words.notes, trigger_mode="always_last", queue=False, **QUIET)


def _wire_cache(p: Playground) -> None:
    panel, steps = p.cache, p.picture.steps
    written = [*panel.settings, panel.reason]

    def from_preset(preset: str | None, steps: int) -> list[Any]:
        """What a preset means on this model, and why one would take it."""
        if preset is None:
            return [gr.skip()] * (len(written) + 1)
        studio = p.runner.loader.studio()
        named = next(known for known in studio.presets() if known.name == preset)
        budget = 100 if named.budget is None else round(100 * named.budget)
        return [*_settings(lambda: studio.settings_for(preset, steps), named.reason), budget]

    def from_budget(percent: float, steps: int) -> list[Any]:
        """The settings that stay within a share of full compute."""
        studio = p.runner.loader.studio()
        return [*_settings(lambda: studio.settings_for(percent / 100, steps), CUSTOM_REASON), None]

    def _settings(find: Any, reason: str) -> list[Any]:
        try:
            found: CacheSettings = find()
        except REFUSALS as error:
            return [*[gr.skip()] * len(panel.settings), figures.notes_list([str(error)], "error")]
        return [*write_settings(found), f'<p class="aside">{reason}</p>']

    presets = gr.on(
        [panel.preset.input, steps.release],
        from_preset,
        [panel.preset, steps],
        [*written, panel.budget],
        trigger_mode="always_last",
        **QUIET,
    )
    budgets = panel.budget.input(
        from_budget, [panel.budget, steps], [*written, panel.preset], trigger_mode="always_last", **QUIET
    )
    by_hand = [component.input for component in panel.settings]
    gr.on(
        by_hand,
        None,
        None,
        [panel.preset, panel.reason],
        js=f"() => [null, '<p class=\"aside\">{CUSTOM_REASON}</p>']",
        api_visibility="private",
    )

    def price(*values: Any) -> str:
        """What the cached arm will cost with these settings."""
        fields = dict(zip(COST_FIELDS, values[: len(COST_FIELDS)], strict=True))
        return _price(p, fields, read_settings(values[len(COST_FIELDS) :]))

    priced: dict[str, Any] = {"fn": price, "inputs": p.cost_inputs, "outputs": p.forecast, **QUIET}
    for written_to in (presets, budgets):
        written_to.then(**priced)
    edited = [component.input for component in p.cost_inputs]
    gr.on([*edited, p.results.run_id.change], trigger_mode="always_last", **priced)


def _price(p: Playground, fields: dict[str, Any], cache: dict[str, Any]) -> str:
    try:
        studio = p.runner.loader.studio()
        request = made(blank_png(studio.size), fields, cache, studio.model)
        return figures.forecast_line(studio.forecast(request))
    except Exception as error:
        return figures.forecast_waiting(in_one_sentence(error))


def greeting(p: Playground) -> tuple[Any, list[Any]]:
    """What to do when a page opens: wait for the model, then fill in what only it can say."""

    def greet(preset: str | None, steps: int) -> list[Any]:
        loader = p.runner.loader
        try:
            studio = loader.studio()
            found = studio.settings_for(preset or FIRST_PRESET, steps)
            reason = next(known.reason for known in studio.presets() if known.name == (preset or FIRST_PRESET))
        except REFUSALS as error:
            failed = figures.forecast_waiting(str(error))
            return [figures.masthead("failed", "Model not loaded"), failed, *[gr.skip()] * len(p.cache.settings), ""]
        ready = f"{studio.model.capitalize()} · {studio.device.upper()} · {studio.dtype}"
        cost = _price(p, {"steps": steps}, found.model_dump())
        return [figures.masthead("ready", ready), cost, *write_settings(found), f'<p class="aside">{reason}</p>']

    return greet, [p.forecast, *p.cache.settings, p.cache.reason]
