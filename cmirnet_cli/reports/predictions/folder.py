"""Names of prediction files: readable, the same in every run, safe on every file system, and never the same for two things.

`kitchen/cup.jpg`, "the red cup" → `kitchen/cup.jpg.the-red-cup.png`. A name depends on the photo's and on the expression alone, so
runs and processes agree on it without asking each other. Whatever a name cannot say exactly (capitals, marks, length, letters that
file systems refuse) is said by ten digits of a digest after an underscore: "The red cup!" → `the-red-cup_827f415057`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cmirnet_cli.errors import DataError, UsageError
from cmirnet_cli.files import require_free, sweep, write_image, write_text
from cmirnet_cli.images.drawing import cutout, mask_picture, overlay
from cmirnet_cli.images.masks import bounding_box
from cmirnet_cli.images.pixels import Mask, Pixels
from cmirnet_cli.reports.predictions.chunk_files import FORMAT, remove_chunks
from cmirnet_cli.reports.predictions.index import Index, append, index_files, readable_keys
from cmirnet_cli.storage.place import Place

GALLERY = "gallery.html"


LONGEST_SLUG = 60
"""Characters of an expression."""
LONGEST_PART = 100
"""Bytes of a photo's or an expression's part of a name: together they stay below the 255 that file systems allow."""

_FORBIDDEN = frozenset('<>:"/\\|?*')
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_MARKED = re.compile(r".*_[0-9a-f]{10}", re.DOTALL)


def mask_name(photo: Path, expression: str) -> Path:
    """Where the mask of an expression about a photo lies, as seen from the folder of masks.

    Args:
        photo: relative path of the photo, which names mirror.
        expression: as the user gave it.
    """
    folders = (safe_part(part) for part in photo.parts[:-1])
    return Path(*folders, f"{safe_part(photo.name)}.{slug(expression)}.png")


def slug(expression: str) -> str:
    """The expression as part of a file name: letters and digits of any script in lower case, everything else a dash."""
    folded = unicodedata.normalize("NFKC", expression).casefold()
    letters = "".join(letter if unicodedata.category(letter)[0] in "LMN" else " " for letter in folded)
    short = _cut("-".join(letters.split())[:LONGEST_SLUG]).strip("-")
    return short if short and short.replace("-", " ") == expression else f"{short or 'expression'}_{_digest(expression)}"


def safe_part(name: str) -> str:
    """The name of a file or folder, changed only where a file system could refuse it or take it for another."""
    safe = "".join(letter if _is_safe(letter) else "-" for letter in unicodedata.normalize("NFC", name))
    if _RESERVED.fullmatch(safe):
        safe = f"-{safe}"
    safe = _cut(safe)
    if safe == name and safe[-1] not in ". " and not _MARKED.fullmatch(safe):
        return name
    return f"{safe}_{_digest(name)}"


def _is_safe(letter: str) -> bool:
    return letter not in _FORBIDDEN and unicodedata.category(letter)[0] != "C"


def _cut(text: str) -> str:
    return text.encode("utf-8")[:LONGEST_PART].decode("utf-8", "ignore")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:10]


SETTINGS = "settings.json"
COCO = "coco"
"""Under which name the settings hold the path of the run's COCO file, as seen from the folder."""


def require_unused(folder: Path, coco: Path | None, *, gallery: bool, skip_existing: bool, overwrite: bool) -> None:
    """Refuse a folder that `begin_folder` will refuse, as far as that can be seen without the settings; arguments and errors are its own.

    Raises:
        UsageError: the folder holds predictions already.
    """
    earlier = index_files(folder)
    if earlier and not (overwrite or skip_existing):
        hint = "continue it with --skip-existing, replace it with --overwrite, or choose another folder with --out"
        raise UsageError(f"{folder} holds predictions already ({earlier[0].name})", hint=hint)
    if not skip_existing:
        beside = [folder / name for name in (SETTINGS, *([GALLERY] if gallery else []))]
        require_free([*beside, *([coco] if coco else [])], overwrite=overwrite)


def begin_folder(
    folder: Path,
    settings: Mapping[str, object],
    coco: Path | None = None,
    *,
    gallery: bool = False,
    skip_existing: bool,
    overwrite: bool,
) -> None:
    """Make the folder, or take it over from an earlier run.

    Args:
        folder: where predictions go.
        settings: all that masks depend on besides photo and expression.
        coco: the COCO file that will be written.
        gallery: whether the page will be.
        skip_existing: whether an earlier run is continued.
        overwrite: whether its results may be replaced; they are removed.

    Raises:
        UsageError: it holds predictions already, or such that were made with other settings, or files that are not the earlier run's.
        DataError: an earlier run's settings cannot be read.
        CmirnetError: nothing can be written there.
    """
    earlier = index_files(folder)
    require_unused(folder, coco, gallery=gallery, skip_existing=skip_existing, overwrite=overwrite)
    own = _continued(folder, settings) if skip_existing else []
    beside = [folder / name for name in (SETTINGS, *([GALLERY] if gallery else [])) if name not in own]
    if coco and os.path.relpath(coco, folder) not in own:
        beside.append(coco)
    require_free(beside, overwrite=overwrite)
    if earlier and overwrite:
        remove_predictions(folder)
    if overwrite:
        place = Place(str(folder))
        remove_chunks(place, place.read(SETTINGS))
    described = {**settings, **({COCO: os.path.relpath(coco, folder)} if coco else {})}
    write_text(folder / SETTINGS, json.dumps(described, indent=2) + "\n")


def sweep_all(folder: Path) -> None:
    """Remove what killed processes left unfinished in the folder and in its folders of pictures; elsewhere in it others may write."""
    own = chain([str(folder)], (directory for kind in KINDS for directory, _, _ in os.walk(folder / kind)))
    for directory in own:
        sweep(Path(directory), files_only=True)


def remove_predictions(folder: Path) -> None:
    """Take away what an earlier run wrote; its index last, so that a removal that was broken off can be repeated."""
    names = [mask_name(Path(image), expression) for image, expression in readable_keys(folder)]
    for file in [*(folder / kind / name for kind in KINDS for name in names), folder / GALLERY, *index_files(folder)]:
        file.unlink(missing_ok=True)


def _continued(folder: Path, settings: Mapping[str, object]) -> list[str]:
    """What an earlier run with the same settings wrote beside its masks, as seen from the folder; nothing if there was none."""
    file = folder / SETTINGS
    if not file.exists() and not index_files(folder):
        return []
    earlier = _read(file)
    changed = [f"{name} was {earlier.get(name)}, now {value}" for name, value in settings.items() if earlier.get(name) != value]
    if FORMAT in earlier:
        changed.append("it was written in chunks")
    if changed:
        raise UsageError(
            f"{folder} already holds predictions made with other settings: {', '.join(changed)}",
            hint="repeat the earlier settings, or choose another folder with --out",
        )
    return [SETTINGS, GALLERY, *([earlier[COCO]] if COCO in earlier else [])]


def _read(file: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"cannot read the settings of the earlier run in {file}: {error}", hint="start again with --overwrite") from error


_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"

MASKS, OVERLAYS, CUTOUTS, PROBABILITIES = KINDS = "masks", "overlays", "cutouts", "probabilities"


@dataclass(frozen=True)
class PredictedPhoto:
    """A photo that masks are of.

    Attributes:
        name: relative path that the results mirror.
        path: where it was read.
        pixels: uint8 (H, W, 3), RGB.
    """

    name: Path
    path: Path
    pixels: Pixels


@dataclass(frozen=True)
class MaskToWrite:
    """One mask to be written.

    Attributes:
        expression: as the user gave it.
        mask: bool (H, W).
        score: 0 to 1.
        rle: the mask as COCO RLE.
        probability: float32 (H, W), for the probability picture.
        known: whether the tokenizer knows any word of the expression.
    """

    expression: str
    mask: Mask
    score: float
    rle: Mapping[str, Any]
    probability: NDArray[np.float32] | None = None
    known: bool = True


@dataclass(frozen=True)
class PredictionFolder:
    """Writes the masks of photo after photo; every file appears whole or not at all.

    Attributes:
        folder: where to write.
        kinds: which pictures are written: `masks` and any of `overlays`, `cutouts`, `probabilities`.
    """

    folder: Path
    kinds: Sequence[str] = (MASKS,)

    def add(self, source: PredictedPhoto, prediction: Iterable[MaskToWrite], part: Path) -> int:
        """Write all that was found in a photo, then its lines at the end of the index `part`; how many masks there were.

        Raises:
            CmirnetError: something cannot be written.
        """
        lines = [self._write(source, each) for each in prediction]
        append(part, lines)
        return len(lines)

    def holds(self, index: Index, photo: Path, expressions: Sequence[str]) -> bool:
        """Whether all that is wanted of a photo was written before."""
        name = photo.as_posix()
        return all((name, expression) in index.places and self._is_written(mask_name(photo, expression)) for expression in expressions)

    def _is_written(self, name: Path) -> bool:
        return all(_is_whole(self.folder / kind / name) for kind in self.kinds)

    def _write(self, source: PredictedPhoto, prediction: MaskToWrite) -> dict[str, Any]:
        name = mask_name(source.name, prediction.expression)
        for kind in self.kinds:
            write_image(self.folder / kind / name, _DRAWN[kind](source.pixels, prediction), wait=False)
        return _line(source, prediction, name)


def _is_whole(picture: Path) -> bool:
    """Whether a PNG file is there to its end; a machine that loses power may leave files without content."""
    if not picture.is_file() or picture.stat().st_size < len(_PNG_END):
        return False
    with picture.open("rb") as file:
        file.seek(-len(_PNG_END), os.SEEK_END)
        return file.read() == _PNG_END


def _mask(pixels: Pixels, prediction: MaskToWrite) -> Image.Image:
    return mask_picture(prediction.mask)


def _overlay(pixels: Pixels, prediction: MaskToWrite) -> Image.Image:
    return overlay(pixels, prediction.mask)


def _cutout(pixels: Pixels, prediction: MaskToWrite) -> Image.Image:
    return cutout(pixels, prediction.mask)


def _probability(pixels: Pixels, prediction: MaskToWrite) -> Image.Image:
    if prediction.probability is None:
        raise ValueError("a probability picture needs probabilities")
    return Image.fromarray(np.rint(prediction.probability * 255).astype(np.uint8))


_DRAWN: Mapping[str, Callable[[Pixels, MaskToWrite], Image.Image]] = {
    MASKS: _mask,
    OVERLAYS: _overlay,
    CUTOUTS: _cutout,
    PROBABILITIES: _probability,
}


def _line(source: PredictedPhoto, prediction: MaskToWrite, name: Path) -> dict[str, Any]:
    return {
        "image": source.name.as_posix(),
        "path": source.path.as_posix(),
        "expression": prediction.expression,
        "mask": (Path(MASKS) / name).as_posix(),
        "score": round(prediction.score, 6),
        "known": prediction.known,
        "size": list(prediction.mask.shape),
        "box": list(box) if (box := bounding_box(prediction.mask)) else None,
        "area": int(prediction.mask.sum()),
        "rle": dict(prediction.rle),
    }
