"""The files of a sweep: a folder in which a run that is there is not drawn again, and all pictures as one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from hgc.results.records import signed
from hgc.sweep.grid import Sweep, SweepCell
from hgc.sweep.table import RunRow, figures_of, record
from hgc.whole import write_folder

if TYPE_CHECKING:
    from hgc.request import ArmName
    from hgc.sweep.run import Outcome

TILE_PX, GAP_PX, EDGE_PX, LETTERS_PX = 192, 6, 34, 15
INK, PAPER, ABSENT = "#232932", "#ffffff", "#e4e7eb"


class Folder:
    """Pictures and figures of runs, by what determines them: the request, and `made_with`, the model and its device."""

    def __init__(self, path: Path, made_with: str) -> None:
        self._path, self._made_with = path / "runs", made_with

    def known(self, sweep: Sweep, cell: SweepCell) -> RunRow | None:
        """The record of a run that is there; None where something is missing or cut short."""
        try:
            figures = json.loads((self._path / f"{self.name(cell)}.json").read_text())
            with Image.open(self.picture_path(cell)) as picture:
                picture.load()
        except (OSError, ValueError):
            return None
        return record(sweep, cell, figures)

    def picture(self, cell: SweepCell) -> NDArray[np.uint8]:
        """The cached picture uint8 [H, W, 3] of a run that is there."""
        return np.array(Image.open(self.picture_path(cell)).convert("RGB"))

    def keep(self, outcome: Outcome) -> None:
        """Writes the pictures of a run, and then its figures, each file whole or not at all."""
        if outcome.comparison is None:
            return
        name, compared = self.name(outcome.cell), outcome.comparison
        files: dict[str, ArmName] = {f"{name}.png": "cached", f"full-{outcome.cell.request.picture_digest}.png": "full"}
        if compared.rival is not None:
            files[f"{name}-rival.png"] = "rival"
        written = {file: signed(compared, arm) for file, arm in files.items()}
        write_folder(self._path, written | {f"{name}.json": json.dumps(figures_of(compared)).encode()})

    def name(self, cell: SweepCell) -> str:
        """Twelve hex digits."""
        return sha256(f"{self._made_with} {cell.request.model_dump_json()}".encode()).hexdigest()[:12]

    def picture_path(self, cell: SweepCell) -> Path:
        return self._path / f"{self.name(cell)}.png"


def sheet(sweep: Sweep, pictures: Mapping[str, NDArray[np.uint8]]) -> Image.Image:
    """Cached pictures uint8 [H, W, 3] by their runs' keys, the first seed of each place; grey where there is none."""
    font = ImageFont.load_default(LETTERS_PX)
    side = [""] if sweep.y is None else [f"{sweep.y.setting.title} {label}" for label in sweep.y.labels]
    left = GAP_PX + max(round(font.getlength(label)) for label in side) + GAP_PX
    size = (left + sweep.columns * (TILE_PX + GAP_PX), EDGE_PX + sweep.rows * (TILE_PX + GAP_PX))
    drawn = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(drawn)
    for column, label in enumerate(sweep.x.labels):
        middle = left + column * (TILE_PX + GAP_PX) + TILE_PX // 2
        pen.text((middle, EDGE_PX // 2), f"{sweep.x.setting.title} {label}", INK, font, anchor="mm")
    for row, label in enumerate(side):
        middle = EDGE_PX + row * (TILE_PX + GAP_PX) + TILE_PX // 2
        pen.text((left - GAP_PX, middle), label, INK, font, anchor="rm")
    for cell in sweep.cells:
        corner = (left + cell.column * (TILE_PX + GAP_PX), EDGE_PX + cell.row * (TILE_PX + GAP_PX))
        if cell.repeat == 0:
            drawn.paste(_tile(pictures.get(cell.key)), corner)
    return drawn


def _tile(picture: NDArray[np.uint8] | None) -> Image.Image:
    if picture is None:
        return Image.new("RGB", (TILE_PX, TILE_PX), ABSENT)
    return Image.fromarray(picture).resize((TILE_PX, TILE_PX), Image.Resampling.LANCZOS)


def png_of(image: Image.Image) -> bytes:
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
