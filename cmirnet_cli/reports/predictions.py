"""The folder that predictions are written to.

masks/…/<photo>.<expression>.png    0 and 255, at the photo's own size; folders as in the input
overlays/…                          the same names, drawn on the photo
predictions.jsonl                   one line a mask: COCO RLE, score, box, area
gallery.html                        the overlays on one page
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cmirnet_cli.durable import write_text
from cmirnet_cli.errors import CmirnetError
from cmirnet_cli.reports.files import require_free, write_image
from cmirnet_cli.reports.overlay import overlay
from cmirnet_cli.reports.page import GalleryEntry, gallery_page

LONGEST_SLUG = 60


@dataclass(frozen=True)
class Found:
    """One mask to be written.

    Attributes:
        photo: relative path of the photo, which the results mirror.
        expression: what was asked.
        mask: bool (H, W).
        score: 0 to 1.
        rle: the mask as COCO RLE.
    """

    photo: Path
    expression: str
    mask: NDArray[np.bool_]
    score: float
    rle: Mapping[str, Any]


class PredictionFolder:
    """Writes masks as they come; names are safe, readable and never collide.

    Args:
        folder: where to write; made if missing.
        overlays: whether to draw each mask on its photo as well.
        overwrite: whether results of an earlier run may be replaced.

    Raises:
        UsageError: the folder holds predictions already.
        CmirnetError: the folder cannot be written to.
    """

    def __init__(self, folder: Path, *, overlays: bool, overwrite: bool) -> None:
        self.folder = folder
        self.overlays = overlays
        self.index = folder / "predictions.jsonl"
        self._names: set[str] = set()
        require_free([self.index], overwrite=overwrite)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.index.write_text("", encoding="utf-8")
        except OSError as error:
            raise CmirnetError(f"cannot write to {folder}: {error.strerror or error}", hint="choose another folder with --out") from error

    def add(self, found: Found, pixels: NDArray[np.uint8]) -> Path:
        """Write one mask and what belongs to it; `pixels` is the photo, uint8 (H, W, 3). Returns the mask's path."""
        name = self._free_name(found)
        target = self.folder / "masks" / name
        write_image(target, Image.fromarray(found.mask.astype(np.uint8) * 255))
        if self.overlays:
            write_image(self.folder / "overlays" / name, overlay(pixels, found.mask))
        with self.index.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(_line(found, name), ensure_ascii=False) + "\n")
        return target

    def write_gallery(self, title: str) -> Path:
        """One self-contained page of all overlays, which must have been written."""
        target = self.folder / "gallery.html"
        write_text(target, gallery_page(self._entries(), title))
        return target

    def _entries(self) -> Iterator[GalleryEntry]:
        with self.index.open(encoding="utf-8") as lines:
            for line in map(json.loads, lines):
                with Image.open(self.folder / "overlays" / Path(line["mask"]).relative_to("masks")) as picture:
                    yield GalleryEntry(picture.convert("RGB"), line["expression"], line["image"], line["score"])

    def _free_name(self, found: Found) -> Path:
        """`photos/cup.jpg`, "the red cup" → `photos/cup.the-red-cup.png`, with a number where that is taken."""
        stem = f"{found.photo.stem}.{slug(found.expression)}"
        candidates = (found.photo.parent / (f"{stem}.png" if number == 1 else f"{stem}-{number}.png") for number in range(1, 1 << 30))
        name = next(candidate for candidate in candidates if str(candidate).casefold() not in self._names)
        self._names.add(str(name).casefold())
        return name


def slug(text: str) -> str:
    """The text as part of a file name: letters and digits of any script in lower case, everything else a dash."""
    return re.sub(r"[\W_]+", "-", text.lower()).strip("-")[:LONGEST_SLUG].strip("-") or "expression"


def _line(found: Found, name: Path) -> dict[str, Any]:
    rows, columns = np.flatnonzero(found.mask.any(axis=1)), np.flatnonzero(found.mask.any(axis=0))
    box = [int(columns[0]), int(rows[0]), int(columns[-1] - columns[0] + 1), int(rows[-1] - rows[0] + 1)] if rows.size else None
    return {
        "image": found.photo.as_posix(),
        "expression": found.expression,
        "mask": (Path("masks") / name).as_posix(),
        "score": round(found.score, 6),
        "box": box,
        "area": int(found.mask.sum()),
        "rle": dict(found.rle),
    }
