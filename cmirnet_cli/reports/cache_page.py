"""The page that shows what a cache holds: referents with their masks and sentences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cmirnet_cli.reports.pages.cards import Card, Layer
from cmirnet_cli.reports.pages.gallery import PHOTOGRAPHS, Gallery, Order
from cmirnet_cli.reports.pages.markup import definitions, table, text
from cmirnet_cli.reports.pictures.layer import mask_layer
from cmirnet_cli.reports.pictures.overlay import Mask, Photo
from cmirnet_cli.reports.pictures.scaled import card_size, scaled_mask, unsquared
from cmirnet_cli.reports.tables import CountCell, CountRow, count_grid

LAYER = "mask"
NO_BREAK = "\N{NO-BREAK SPACE}"

ORDERS = (
    Order("as annotated"),
    Order("smallest mask first", "area"),
    Order("largest mask first", "area", falling=True),
    Order("shortest sentence first", "shortest"),
    Order("longest sentence first", "longest", falling=True),
    Order("by category", "category"),
    Order("by image", "image"),
)


@dataclass(frozen=True)
class ShownReferent:
    """One referent to look at.

    Attributes:
        ref_id, image_id, split, category: as in the annotations; the category may be empty.
        sentences: its expressions as written.
        image: uint8 (S, S, 3), RGB, as a network gets it.
        mask: bool (H, W), at the image's own size.
        marks: all that is worth a look about it; see `inspection.marks_of`.
    """

    ref_id: int
    image_id: str
    split: str
    category: str
    sentences: tuple[str, ...]
    image: Photo
    mask: Mask
    marks: tuple[str, ...]


@dataclass(frozen=True)
class CacheSummary:
    """What stands above the referents.

    Attributes:
        title: names the data set.
        split: which one is shown, or `all`.
        facts: label → value; shown in this order.
        counts: how much every split holds.
    """

    title: str
    split: str
    facts: Mapping[str, str]
    counts: Sequence[CountRow]


def cache_page(summary: CacheSummary, referents: Iterable[ShownReferent]) -> str:
    """The whole page as HTML; see `Gallery.html`. Referents are consumed one at a time."""
    about = f'<section id="about">\n{definitions(summary.facts)}\n{_counts(summary.counts)}\n</section>\n'
    title = f"{summary.title}, {'all splits' if summary.split == 'all' else summary.split}"
    gallery = Gallery(title, "referents", "words, id, category", ORDERS, about, PHOTOGRAPHS)
    return gallery.html(_card(referent, summary.split) for referent in referents)


def percentage(share: float) -> str:
    """A part of a whole in per cent, as exact as it is small."""
    percent = 100 * share
    return f"{percent:.1f} %" if percent >= 1 or percent == 0 else f"{percent:.2g} %" if percent >= 0.001 else "under 0.001 %"


def _card(referent: ShownReferent, split: str) -> Card:
    size = card_size(referent.mask)
    return Card(
        picture=unsquared(referent.image, size),
        sentences=referent.sentences,
        notes=_notes(referent, split),
        keys=_keys(referent),
        layers=[Layer(LAYER, mask_layer(scaled_mask(referent.mask, size)))],
        marks=referent.marks,
    )


def _notes(referent: ShownReferent, split: str) -> list[str]:
    height, width = referent.mask.shape
    label = referent.split if referent.split != split else ""
    area = f"mask {percentage(float(referent.mask.mean()))} of {width}×{height}".replace(" ", NO_BREAK)
    return [f"ref{NO_BREAK}{referent.ref_id}", f"image{NO_BREAK}{referent.image_id}", *filter(None, (referent.category, label)), area]


def _keys(referent: ShownReferent) -> dict[str, float | str]:
    words = [len(sentence.split()) for sentence in referent.sentences]
    return {
        "area": float(np.mean(referent.mask)),
        "shortest": min(words, default=0),
        "longest": max(words, default=0),
        "category": referent.category,
        "image": referent.image_id,
    }


def _counts(rows: Sequence[CountRow]) -> str:
    grid = count_grid(rows)
    lines = "".join(f"<tr>{''.join(map(_cell, line))}</tr>" for line in grid.lines)
    return table(grid.columns, [lines])


def _cell(cell: CountCell) -> str:
    return f"<td{' class=differs' if cell.differs else ''}>{text(cell.text)}</td>"
