"""The form as a loaded model wants it: what can be chosen, the model's own settings, and what no longer applies."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from hgc.control import ade20k, coco_stuff
from hgc.control.images import ImageRefused
from hgc.control.label_sets import taken_over
from hgc.control.pictures import INPAINT
from hgc.landscapes.labels import LABELS
from hgc.models.presets import CONTROLS
from hgc.ui.components.easel import from_url
from hgc.ui.model_header import known_models
from hgc.ui.pictures import png_url
from hgc.ui.playground import lora_panel
from hgc.ui.playground.control_panel import AS_DRAWN, KINDS, KINDS_HERE, TOLD
from hgc.ui.playground.drawing import AUTO, offering, sources_of
from hgc.ui.playground.lora_panel import lora_choices, loras_here
from hgc.ui.playground.more_panel import one_size_text
from hgc.ui.playground.palettes import class_title, palettes
from hgc.ui.playground.reading_ways import ways_of
from hgc.ui.playground.second_panel import NONE, second_choices
from hgc.ui.playground.size import OWN, free, size_choices
from hgc.ui.playground.source_panel import WHOLE
from hgc.ui.playground.titles import SAMPLER_TITLES, control_titles

if TYPE_CHECKING:
    from hgc.studio.studio import Studio
    from hgc.ui.playground.lora_panel import LoraPanel
    from hgc.ui.playground.more_panel import MorePanel
    from hgc.ui.playground.tab import Playground

WHICH, SECOND = 2, 6  # where the controls are among what is chosen on the form
CANNY = slice(7, 11)  # and the thresholds of both
SETS = (LABELS, ade20k.LABELS, coco_stuff.LABELS)  # that a drawing may be in
NOT_PAINTED = "Your painted areas stay on their canvas, but no map is made of them here: {}use a photo."
NO_KIND = "The map is no longer {}, which this model does not read: it goes by what is drawn."
NO_SECOND = "The second control is off: this model has no control of {}."
NO_CLASS = "Of your painted areas these have no class here and are left bare: {}."
NO_LINES = "Your lines stay on their canvas, but this model has no control of lines here: use a photo."
NO_LORA = "The LoRA {} is not for this model."


@dataclass(frozen=True)
class FormFit:
    """The updates of the form, what is to be said of them, and the controls that are chosen then."""

    updates: dict[Any, Any]
    notes: list[str]
    controls: tuple[str, str]


def fitted_by(p: Playground) -> list[Any]:
    """What is chosen on the form, as `fitted` reads it."""
    panel, second = p.control, p.control.more.second
    canny = [*panel.reading.canny, *second.reading.canny]
    chosen = [*panel.map, panel.painting, second.painting, p.picture.sampler, second.control]
    return [*chosen, *canny, *panel.more.loras.names]


def fitted_parts(p: Playground) -> list[Any]:
    """Everything on the form that a model may change."""
    panel = p.control
    control = [*panel.map, panel.painting, panel.more.second.painting, panel.offered, panel.examples_panel]
    control += [*panel.reading.canny, *panel.more.second.reading.canny]
    return [*control, p.picture.sampler, p.picture.steps, p.picture.guidance, *panel.more.fitted]


def fitted(p: Playground, studio: Studio, *chosen: Any) -> FormFit:
    """The form for a model, with its preset's settings, and what of the form no longer applies.

    What is chosen of source, annotator and sampler stays among the choices: events under way still hold it.
    """
    source, annotator, which, painting, beside, sampler, second = chosen[: CANNY.start]
    preset, panel = studio.loaded.preset, p.control
    drawn = studio.world.examples and set(preset.controls) <= TOLD
    titles = [] if drawn else control_titles(tuple(preset.controls), studio.controls)
    kinds = KINDS_HERE if studio.world.examples else KINDS
    kept = which if which in [name for _, name in titles] else AUTO
    if studio.controls == (INPAINT,):
        kept = INPAINT
    sources = sources_of(studio.controls, kept, studio.world.painted)
    ways = ways_of(studio.controls, kept)
    way = annotator if kept == INPAINT or annotator in [name for _, name in ways] else ways[0][1]
    sheet, bare = _taken_over(painting, studio)
    second_sheet, second_bare = _taken_over(beside, studio)
    lost = dict.fromkeys((*(bare if source == "paint" else ()), *second_bare))
    loras_offered, gone = loras_fitted(panel.more.loras, studio, chosen[CANNY.stop :])
    notes = [preset.note] if preset.note else []
    if kept == AUTO != which:
        notes.append(NO_KIND.format(CONTROLS.get(which, which).lower()))
    if second != NONE and second not in preset.controls:
        notes.append(NO_SECOND.format(CONTROLS.get(second, second).lower()))
    notes += [*_no_source(source, sources), *_no_classes(lost), *(NO_LORA.format(name) for name in gone)]
    titled = [(SAMPLER_TITLES.get(name, name), name) for name in studio.samplers]
    updates: dict[Any, Any] = {
        panel.source: source if source in sources or not sources else sources[0],
        panel.offered: offering(sources),
        panel.annotator: gr.update(choices=_with(ways, annotator), value=way),
        panel.which: gr.update(choices=[(AS_DRAWN, AUTO), *titles], value=kept, visible=bool(titles), info=kinds),
        panel.painting: gr.update(sets=palettes(studio.world.sets), **sheet),
        panel.more.second.painting: gr.update(sets=palettes(studio.world.sets), **second_sheet),
        panel.examples_panel: gr.update(visible=studio.world.examples),
        p.picture.sampler: gr.update(choices=_with(titled, sampler), value=preset.sampler),
        p.picture.steps: preset.steps,
        p.picture.guidance: preset.guidance,
        **more_fitted(panel.more, studio, second),
        **loras_offered,
        **thresholds(p, studio, *chosen[CANNY]),
    }
    return FormFit(updates, notes, (kept, second))


def thresholds(p: Playground, studio: Studio, *standing: float) -> dict[Any, Any]:
    """Canny's thresholds of both controls: the model's own, but for a pair that no model has: a person set it."""
    panel, own = p.control, {preset.canny for preset in known_models().values()}
    pairs = zip((panel.reading.canny, panel.more.second.reading.canny), (standing[:2], standing[2:]), strict=True)
    fit = [part for part, pair in pairs if tuple(pair) in own]
    return {part: value for canny in fit for part, value in zip(canny, studio.loaded.preset.canny, strict=True)}


def more_fitted(panel: MorePanel, studio: Studio, second: str) -> dict[Any, Any]:
    """What a model can use of more to draw from; a `second` control that was chosen goes if it cannot."""
    preset, sizes = studio.loaded.preset, free(studio)
    size = {} if sizes else {"value": OWN}
    masks = studio.inpaints
    part = {} if masks else {"value": WHOLE}
    return {
        panel.size: gr.update(choices=size_choices(preset.size), visible=sizes, **size),
        panel.one_size: gr.update(value=one_size_text(preset.title, preset.size), visible=not sizes),
        panel.second.control: gr.update(
            choices=second_choices(tuple(preset.controls), studio.controls),
            **({} if second in preset.controls else {"value": NONE}),
        ),
        panel.source.part: gr.update(visible=masks, **part),
        panel.source.no_mask: gr.update(visible=not masks),
    }


def loras_offered(panel: LoraPanel, studio: Studio) -> dict[Any, Any]:
    """The updates that list the LoRAs for a model; what is chosen stays."""
    known = loras_here(studio)
    shown = {panel.body: gr.update(visible=True)} if known else {}
    return shown | {part: gr.update(choices=lora_choices(known)) for part in panel.names}


def loras_fitted(panel: LoraPanel, studio: Studio, chosen: Sequence[str]) -> tuple[dict[Any, Any], list[str]]:
    """The same for a model that has just been chosen, without what it cannot take; and that, by name."""
    known = loras_here(studio)
    gone = [name for name in chosen if name not in (None, "", lora_panel.NONE) and name not in known]
    updates = {panel.body: gr.update(visible=bool(known))}
    for part, name in zip(panel.names, chosen, strict=True):
        taken = {"value": lora_panel.NONE} if name in gone else {}
        updates[part] = gr.update(choices=lora_choices(known), **taken)
    return updates, gone


def _taken_over(painting: str | None, studio: Studio) -> tuple[dict[str, str], tuple[str, ...]]:
    """The painted areas in the model's own colours, nothing where they are; and the classes that it has not."""
    try:
        sheet = from_url(painting)
    except ImageRefused:
        return {}, ()
    repainted, bare = taken_over(sheet, SETS, studio.world.sets)
    return {} if repainted is sheet else {"value": png_url(repainted)}, bare


def _no_source(chosen: str, sources: Sequence[str]) -> list[str]:
    """That a model has not the way to a map that was chosen."""
    if chosen in sources or not sources:
        return []
    lines = "draw lines, or " if "lines" in sources else ""
    return [NOT_PAINTED.format(lines) if chosen == "paint" else NO_LINES]


def _no_classes(lost: Collection[str]) -> list[str]:
    """That what was painted as these classes was left out."""
    return [NO_CLASS.format(", ".join(map(class_title, lost)))] if lost else []


def _with(choices: list[tuple[str, str]], chosen: str) -> list[tuple[str, str]]:
    known = chosen in [name for _, name in choices]
    return choices if known else [*choices, (f"{SAMPLER_TITLES.get(chosen, chosen)} (not for this model)", chosen)]
