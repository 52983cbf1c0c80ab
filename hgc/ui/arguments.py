"""An endpoint's arguments: a Recipe's fields with their own defaults and words, beside those that the endpoint has;
and the request they make."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from inspect import Parameter, Signature, getdoc, signature
from types import NoneType
from typing import Annotated, Any, get_args, get_origin

import gradio as gr

from hgc.models.presets import SAMPLER_NAMES
from hgc.request import Recipe, Request
from hgc.ui.blocks import json_input

FIELDS = "fields"
WRITTEN = ("loras",)  # lists that are taken as people write them


def arguments(*order: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Gives an endpoint these arguments, in this order: of a Recipe those that it does not list itself.

    It is called with the Recipe's in `fields`, by name.
    """

    def of(endpoint: Callable[..., Any]) -> Callable[..., Any]:
        plain = signature(endpoint, eval_str=True)
        own = {name: p for name, p in plain.parameters.items() if name != FIELDS}
        taken = [own.get(name) or _of_recipe(name) for name in order]

        @wraps(endpoint)
        def with_fields(*values: Any, **named: Any) -> Any:
            given = dict(zip(order, values, strict=False)) | named
            fields = {p.name: given.get(p.name, p.default) for p in taken if p.name not in own}
            return endpoint(fields, **{name: value for name, value in given.items() if name in own})

        answer = plain.return_annotation
        with_fields.__signature__ = Signature(taken, return_annotation=answer)  # type: ignore[attr-defined]
        with_fields.__annotations__ = {p.name: p.annotation for p in taken} | {"return": answer}
        with_fields.__doc__ = _told(getdoc(endpoint) or "", [p.name for p in taken if p.name not in own])
        return with_fields

    return of


def inputs_of(endpoint: Callable[..., Any], names: Sequence[str]) -> list[gr.Component]:
    """A component for each of these arguments."""
    parameters = signature(endpoint).parameters
    return [_input(parameters[name]) for name in names]


def _of_recipe(name: str) -> Parameter:
    field = Recipe.model_fields[name]
    if name in WRITTEN:
        return Parameter(name, Parameter.POSITIONAL_OR_KEYWORD, default="", annotation=str)
    return Parameter(name, Parameter.POSITIONAL_OR_KEYWORD, default=field.default, annotation=_plain(field.annotation))


def _plain(kind: Any) -> Any:
    """A type without its bounds, which the Recipe checks."""
    if get_origin(kind) is Annotated:
        return _plain(get_args(kind)[0])
    if NoneType in get_args(kind):
        return _plain(get_args(kind)[0]) | None
    return kind


def _told(words: str, fields: Sequence[str]) -> str:
    """The endpoint's words, with a line for each field of a Recipe."""
    lines = [f"    {name}: {Recipe.model_fields[name].description}" for name in fields]
    return "\n".join([words, *([] if "Args:" in words else ["", "Args:"]), *lines])


def _input(parameter: Parameter) -> gr.Component:
    name, default, kind = parameter.name, parameter.default, parameter.annotation
    kinds = get_args(kind) or (kind,)
    if name == "sampler":
        return gr.Dropdown(list(SAMPLER_NAMES), value=default, label=name)
    if bool in kinds:
        return gr.Checkbox(default, label=name)
    if int in kinds or float in kinds:
        return gr.Number(default, precision=0 if int in kinds else None, label=name)
    return gr.Textbox(default, label=name) if str in kinds else json_input(name)


def made(control_png: bytes, fields: Mapping[str, Any], cache: Mapping[str, Any], model: str) -> Request:
    """A request from the form's fields. Raises RequestRefused."""
    settings = dict(cache) if isinstance(cache, Mapping) else cache
    shared = {"model": model, "cache": settings} | dict(fields)
    return Request.parse(shared | {"control_png": b64encode(control_png).decode()})
