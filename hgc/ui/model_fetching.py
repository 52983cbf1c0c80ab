"""Fetching a model that was asked for on the page: told as it goes, left on Stop."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING

import gradio as gr

from hgc.ui.model_header import Header, Updates
from hgc.ui.transfers import Transfers

if TYPE_CHECKING:
    from hgc.models.fetching import FetchProgress


class Fetching:
    """The transfers of one page, told in its header."""

    def __init__(self, header: Header) -> None:
        self._header, self._transfers = header, Transfers()

    def run(
        self, page: gr.Request, title: str, sources: Callable[[], Sequence[str]]
    ) -> Generator[Updates, None, Exception | None]:
        """Fetches what is not here and tells how far it is; returns why it could not."""
        header = self._header
        busy: Updates = {header.stop: gr.update(visible=True), header.own.fetch: gr.update(visible=False)}
        yield header.says(f"Asking for {title}.") | busy

        def told(at: FetchProgress) -> Updates:
            return header.says(_progress(title, at)) | busy

        return (yield from self._transfers.run(page.session_hash or "", sources, told))

    def stop(self, page: gr.Request) -> None:
        """Leaves the visitor's transfer; what is here stays for the next time."""
        self._transfers.stop(page.session_hash or "")


def _progress(title: str, at: FetchProgress) -> str:
    left = "" if at.eta_s is None else f", {at.eta_s:.0f} s left"
    done = f"{at.done_bytes / 1e6:,.0f} of {at.size_bytes / 1e6:,.0f} MB, {at.bytes_per_s / 1e6:.1f} MB/s{left}"
    return f"Fetching {title}: {done}."
