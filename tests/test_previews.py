"""Previews that a device makes beside the run."""

from __future__ import annotations

from collections.abc import Callable

import torch

from hgc.studio.preview import Coming, LatentPreview, Previews

GREY = LatentPreview(torch.tensor([[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]]))  # of latents of one channel


def test_previews_that_come_late_come_all_and_in_order() -> None:
    there: list[bool] = []

    def late(make: Callable[[torch.Tensor], torch.Tensor], latents: torch.Tensor) -> Coming:
        number = len(there)
        there.append(False)
        return Coming(make(latents), lambda: there[number], lambda: there.__setitem__(number, True))

    previews = Previews(GREY, late)
    for number in range(4):
        previews.take(torch.full((1, 1, 4, 4), float(number)))
    there[1] = True
    assert [*previews.ready()] == [], "the second waits for the first"
    there[0] = True
    assert [float(small[0, 0, 0]) for small in previews.ready()] == [0, 1]
    assert [float(small[0, 0, 0]) for small in previews.rest()] == [2, 3]
    assert all(there)
