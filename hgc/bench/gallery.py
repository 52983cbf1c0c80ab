"""Pictures with their annotations and words, from a folder as people have it on disk.

    images/ + annotations/      ADE20K (SceneParsing 2016), or COCO-Stuff's pixel maps; matched by name
    *.jsonl, prompt.json        MultiGen-20M and ControlNet's own form: lines of target, source and prompt
    *.parquet                   the Hub's data sets: columns image, prompt, and a condition or a label map
    *.arrow                     `datasets`' own form, saved or cached: with `pip install hgc-studio[datasets]`

Words come from lines, columns, COCO's captions_*.json, a captions.json of names, or a .txt beside the picture. A
condition in colours is taken as the ControlNet reads it, a grey label map as numbers: ADE20K's from 1, COCO's from 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from hgc import json_text
from hgc.bench.setup import BenchRefused
from hgc.control.images import decode

Pixels = NDArray[np.uint8]
Source = Path | bytes

PICTURES = (".jpg", ".jpeg", ".png", ".webp")
IMAGES = ("images", "target", "val2017", "train2017")
ANNOTATIONS = ("annotations", "stuffthingmaps", "labels")
CONDITIONS = ("conditions", "source", "depth")
WORDS = ("prompt", "text", "caption", "captions")
CONDITION_COLUMNS = ("condition", "conditioning_image", "control_seg", "control_depth", "control", "depth_map")
LABEL_COLUMNS = ("seg_map", "annotation", "label")
SPLITS = ("validation", "val", "test")  # which of them is taken, the first that is there
DEFAULT_WORDS = "a high-quality, detailed photo"
COCO_DIGITS = 12  # of a picture's name


@dataclass(frozen=True)
class Exhibit:
    """A picture and its words; `labels` is a map of class numbers, `condition` one as a ControlNet reads it."""

    name: str
    picture: Source
    words: str
    labels: Source | None = None
    condition: Source | None = None

    def carried(self) -> Exhibit:
        """The same with what its files hold, for a machine that does not have them."""
        maps = (None if source is None else _content(source) for source in (self.labels, self.condition))
        return Exhibit(self.name, _content(self.picture), self.words, *maps)

    def pixels(self, size: int) -> Pixels:
        """The middle of the picture, uint8 [size, size, 3]. Raises ImageRefused."""
        return square(decode(self.picture).image, size, Image.Resampling.LANCZOS)

    def numbers(self, size: int) -> Pixels | None:
        """The same part of its label map, uint8 [size, size]; None where that is in colours. Raises BenchRefused."""
        if self.labels is None:
            return None
        try:
            image = Image.open(self.labels if isinstance(self.labels, Path) else BytesIO(self.labels))
            if image.mode not in ("L", "P", "I", "I;16"):
                return None
            numbers = np.asarray(image)
        except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
            raise BenchRefused(f"{self.name}: its label map cannot be read; save it as PNG") from error
        if numbers.max(initial=0) > 255:
            raise BenchRefused(f"{self.name}: its label map has numbers to {numbers.max()}; at most 255 are read")
        return square(Image.fromarray(numbers.astype(np.uint8)), size, Image.Resampling.NEAREST)

    def colours(self, size: int) -> Pixels | None:
        """The same part of its condition, uint8 [size, size, 3]; a label map in colours is one. Raises ImageRefused."""
        source = self.condition if self.condition is not None else self.labels
        return None if source is None else square(decode(source).image, size, Image.Resampling.NEAREST)


def _content(source: Source) -> Source:
    """The bytes of a file; a file that cannot be read stays one, so that whoever looks into it says why."""
    try:
        return source.read_bytes() if isinstance(source, Path) else source
    except OSError:
        return source


def square(image: Image.Image, size: int, resampling: Image.Resampling) -> Pixels:
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    cut = image.crop((left, top, left + side, top + side)).resize((size, size), resampling)
    return np.array(cut, np.uint8)


def exhibits(folder: Path) -> list[Exhibit]:
    """All pictures of a folder, by name. Raises BenchRefused where there are none that can be read."""
    if not folder.is_dir():
        raise BenchRefused(f"--data {folder}: there is no such folder")
    ways = (_of_parquet, _of_datasets, _of_lines, _of_pairs)
    pictures = next((shown for way in ways if (shown := list(way(folder)))), [])
    if not pictures:
        raise BenchRefused(
            f"--data {folder}: no pictures were found; it needs images/ (and annotations/ of the same names), a "
            "prompt.json or .jsonl of target, source and prompt, or .parquet files with a column image"
        )
    return sorted(pictures, key=lambda one: one.name)


def is_coco(shown: Sequence[Exhibit]) -> bool:
    """Whether pictures are named as COCO's are."""
    stems = [Path(one.name).stem for one in shown]
    return all(len(stem) == COCO_DIGITS and stem.isdigit() for stem in stems)


def _of_pairs(folder: Path) -> Iterator[Exhibit]:
    pictures, labels, conditions = (_files(folder, names) for names in (IMAGES, ANNOTATIONS, CONDITIONS))
    captions = _captions(folder)
    for stem, picture in pictures.items():
        beside = picture.with_suffix(".txt")
        words = captions.get(stem) or (beside.read_text().strip() if beside.is_file() else DEFAULT_WORDS)
        yield Exhibit(stem, picture, words, labels.get(stem), conditions.get(stem))


def _files(folder: Path, names: Sequence[str]) -> dict[str, Path]:
    """Pictures by stem beneath the first folder of these names; a file's own split, if any, is val or test."""
    for name in names:
        places = [path for path in (folder / name, *folder.glob(f"*/{name}")) if path.is_dir()]
        for place in places:
            if place.parent.name in ANNOTATIONS and name in IMAGES:
                continue  # val2017 beneath annotations holds no pictures
            inside = [place / split for split in ("validation", "val2017", "val", "test") if (place / split).is_dir()]
            paths = sorted(path for path in (inside or [place])[0].rglob("*") if path.suffix.lower() in PICTURES)
            if paths:
                return {path.stem: path for path in paths}
    return {}


def _captions(folder: Path) -> dict[str, str]:
    """Words by a picture's stem, the first of several."""
    words: dict[str, str] = {}
    for path in sorted(folder.rglob("captions*.json")):
        data = _json(path)
        if isinstance(data, Mapping) and "annotations" in data and "images" in data:
            stems = {image["id"]: Path(image["file_name"]).stem for image in data["images"]}
            for note in data["annotations"]:
                words.setdefault(stems.get(note["image_id"], ""), str(note["caption"]).strip())
        elif isinstance(data, Mapping):
            words |= {Path(name).stem: str(text) for name, text in data.items()}
    return words


def _of_lines(folder: Path) -> Iterator[Exhibit]:
    for path in (*sorted(folder.glob("*.jsonl")), *sorted(folder.glob("prompt*.json"))):
        for number, line in enumerate(path.read_text().splitlines()):
            if not line.strip():
                continue
            try:
                entry = json_text.parsed(line)
                target = entry.get("target") or entry.get("image") or entry["file_name"]
                source = entry.get("source") or entry.get("conditioning_image")
                words = str(next((entry[name] for name in WORDS if name in entry), DEFAULT_WORDS))
                places = [None if part is None else _inside(folder, str(part)) for part in (target, source)]
            except (ValueError, KeyError, AttributeError) as error:
                raise BenchRefused(
                    f"{path.name}, line {number + 1}: no object with target, source and prompt ({error})"
                ) from error
            if places[0] is not None:
                yield Exhibit(f"{number:06d}-{places[0].stem}", places[0], words, condition=places[1])


def _inside(folder: Path, name: str) -> Path:
    """A file of the folder. Raises BenchRefused for one that is not there, or lies elsewhere."""
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()) or not path.is_file():
        raise BenchRefused(f"--data {folder}: there is no file {name[:80]!r} in it")
    return path


def _of_parquet(folder: Path) -> Iterator[Exhibit]:
    from fastparquet import ParquetFile

    for path in sorted(folder.rglob("*.parquet")):
        with path.open("rb") as file:
            table = ParquetFile(file).to_pandas()
        # A picture of a data set is a structure of its bytes and its path, a column for each part.
        columns = {name.removesuffix(".bytes"): table[name] for name in table.columns if not name.endswith(".path")}
        if "image" not in columns:
            raise BenchRefused(f"{path.name}: no column image; there are {', '.join(map(str, columns))}")
        for number in range(len(table)):
            yield _of_row(f"{path.stem}-{number:06d}", {name: column.iloc[number] for name, column in columns.items()})


def _of_datasets(folder: Path) -> Iterator[Exhibit]:
    files = sorted(folder.rglob("*.arrow"))
    if not files:
        return
    if find_spec("datasets") is None:
        raise BenchRefused(
            f"--data {folder} is in the form of `datasets`, which is not installed here: `pip install "
            "hgc-studio[datasets]`, or save the data set as .parquet"
        )
    try:
        for number, row in enumerate(_table(folder, files)):
            yield _of_row(f"{number:06d}", row)
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, BenchRefused):
            raise
        reason = str(error).partition("\n")[0][:160]
        raise BenchRefused(f"--data {folder}: `datasets` cannot read it ({reason}); save or fetch it again") from error


def _table(folder: Path, files: Sequence[Path]) -> Any:
    """The rows of a data set that was saved to disk, of its validation where it is split; else of its bare files."""
    library = import_module("datasets")
    if (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file():
        loaded = library.load_from_disk(str(folder))
        return loaded if isinstance(loaded, library.Dataset) else loaded[_split(list(loaded))]
    names = {split: [path for path in files if split in path.stem.split("-")] for split in SPLITS}
    kept = next((paths for paths in names.values() if paths), files)
    return library.concatenate_datasets([library.Dataset.from_file(str(path)) for path in kept])


def _split(names: Sequence[str]) -> str:
    return next((name for name in SPLITS if name in names), names[0])


def _of_row(name: str, row: Mapping[str, Any]) -> Exhibit:
    words = next((row[column] for column in WORDS if column in row), DEFAULT_WORDS)
    words = words if isinstance(words, str) else next(iter(words), DEFAULT_WORDS)
    labels, condition = (
        next((_bytes(row[column]) for column in columns if row.get(column) is not None), None)
        for columns in (LABEL_COLUMNS, CONDITION_COLUMNS)
    )
    return Exhibit(name, _bytes(row["image"]), str(words), labels, condition)


def _bytes(value: Any) -> bytes:
    """Of a picture as columns hold it: bytes, a structure with them, or a picture of Pillow's."""
    if isinstance(value, Image.Image):
        buffer = BytesIO()
        value.save(buffer, "PNG")
        return buffer.getvalue()
    held = value.get("bytes") if isinstance(value, Mapping) else value
    if not isinstance(held, bytes):
        raise BenchRefused(f"a picture is a {type(value).__name__} without bytes; save the data set with its pictures")
    return held


def _json(path: Path) -> Any:
    try:
        return json_text.parsed(path.read_text())
    except (OSError, ValueError) as error:
        raise BenchRefused(f"{path.name}: {error}") from error
