"""The page that shows what a cache holds: which referents are worth a look, with their masks and sentences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cmirnet_cli.images.pixels import Mask, Pixels
from cmirnet_cli.metrics.breakdown import NO_TARGET
from cmirnet_cli.reports.evaluation.examples import evenly, pick_places
from cmirnet_cli.reports.pages.cards import PHOTOGRAPHS, Card, Entry, Layer, jpeg, png
from cmirnet_cli.reports.pages.gallery import Gallery, Order
from cmirnet_cli.reports.pictures.overlay import card_size, mask_layer, scaled_mask, unsquared
from cmirnet_cli.reports.tables import CountGrid, CountRow, count_grid

EMPTY = "empty mask"
"""There is an object, and no pixel belongs to it."""
TINY = "tiny mask"
BLANK = "blank sentence"

TINY_SHARE = 0.001
"""A mask is tiny below this part of its image."""
MARKED_PLACES = 3
"""Of the places on a page, one in so many is kept for referents with a mark."""

Marks = tuple[str, ...]
"""All that is worth a look about one referent, in a fixed order; empty where nothing is."""


def lost(size: int) -> str:
    """The mark of a mask of which nothing is left at a network's size, in pixels."""
    return f"lost at {size} px"


def marks_of(mask: Mask, prepared: Mapping[int, Mask], no_target: bool, sentences: Sequence[str]) -> Marks:
    """All that is worth a look about one referent.

    Args:
        mask: bool (H, W), at the image's own size.
        prepared: size S in pixels → bool (S, S), the same mask as networks of that size get it.
        no_target: whether its expressions refer to nothing.
        sentences: its expressions.
    """
    blank = (BLANK,) if not all(sentence.strip() for sentence in sentences) else ()
    if not mask.any():
        return (NO_TARGET if no_target else EMPTY, *blank)
    tiny = (TINY,) if mask.mean() < TINY_SHARE else ()
    return (*tiny, *(lost(size) for size, small in prepared.items() if not small.any()), *blank)


@dataclass(frozen=True)
class Selection:
    """The referents of a split, by place, and which of them a page shows.

    Attributes:
        marks: of every referent of the split.
        places: of those that are shown, in order.
    """

    marks: Sequence[Marks]
    places: Sequence[int]

    @classmethod
    def of(cls, marks: Sequence[Marks], limit: int) -> Selection:
        """At most `limit` referents: up to a third of them for their marks, each mark having its share; the others spread evenly."""
        everyone = cls(marks, range(len(marks)))
        if len(marks) <= limit:
            return everyone
        share = max(1, limit // MARKED_PLACES // max(1, len(everyone.by_mark)))
        first = [place for places in everyone.by_mark.values() for place in evenly(places, share)]
        return cls(marks, pick_places(first, len(marks), limit))

    @property
    def by_mark(self) -> dict[str, list[int]]:
        """Each mark that occurs in the split, with the places of all referents that have it."""
        places: dict[str, list[int]] = {}
        for place, marks in enumerate(self.marks):
            for mark in marks:
                places.setdefault(mark, []).append(place)
        return places

    @property
    def shown_in_words(self) -> str:
        """How many of how many referents are shown, and which."""
        if len(self.places) == len(self.marks):
            return f"all {len(self.marks):,} referents"
        shown, marked = sum(bool(self.marks[place]) for place in self.places), sum(map(bool, self.marks))
        first = f": {shown:,} of the {marked:,} worth a look and others" if marked else ""
        return f"{len(self.places):,} of {len(self.marks):,} referents{first}, spread evenly over the annotations"

    @property
    def marks_in_words(self) -> str:
        """How many referents of the split have each mark."""
        return ", ".join(f"{len(places):,} × {mark}" for mark, places in self.by_mark.items()) or "none"


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
        marks: all that is worth a look about it; see `marks_of`.
    """

    ref_id: int
    image_id: str
    split: str
    category: str
    sentences: tuple[str, ...]
    image: Pixels
    mask: Mask
    marks: tuple[str, ...]


@dataclass(frozen=True)
class CacheSummary:
    """What stands above the referents.

    Attributes:
        title: names the data set.
        split: which one is shown, or `all`.
        metadata: label → value; shown in this order.
        counts: how much every split holds.
    """

    title: str
    split: str
    metadata: Mapping[str, str]
    counts: Sequence[CountRow]

    @property
    def grid(self) -> CountGrid:
        """The counts as a table."""
        return count_grid(self.counts)


def cache_page(summary: CacheSummary, referents: Iterable[ShownReferent]) -> str:
    """The whole page as HTML; see `Gallery.html`. Referents are consumed one at a time."""
    title = f"{summary.title}, {'all splits' if summary.split == 'all' else summary.split}"
    gallery = Gallery(title, "referents", "words, id, category", ORDERS, about=summary, template="cache.html.jinja")
    return gallery.html(_card(referent, summary.split) for referent in referents)


def percentage(share: float) -> str:
    """A part of a whole in per cent, as exact as it is small."""
    percent = 100 * share
    return f"{percent:.1f} %" if percent >= 1 or percent == 0 else f"{percent:.2g} %" if percent >= 0.001 else "under 0.001 %"


def _card(referent: ShownReferent, split: str) -> Card:
    """The referent; its split is named where the page does not say it."""
    mask, size = referent.mask, card_size(referent.mask)
    height, width = mask.shape
    area = f"mask {percentage(float(mask.mean()))} of {width}×{height}".replace(" ", NO_BREAK)
    notes = filter(None, (referent.category, referent.split if referent.split != split else ""))
    words = [len(sentence.split()) for sentence in referent.sentences]
    entry = Entry(
        sentences=referent.sentences,
        notes=[f"ref{NO_BREAK}{referent.ref_id}", f"image{NO_BREAK}{referent.image_id}", *notes, area],
        keys={
            "area": float(mask.mean()),
            "shortest": min(words, default=0),
            "longest": max(words, default=0),
            "category": referent.category,
            "image": referent.image_id,
        },
        marks=referent.marks,
    )
    layer = Layer(LAYER, png(mask_layer(scaled_mask(mask, size))))
    return Card(entry, jpeg(unsquared(referent.image, size), PHOTOGRAPHS), [layer])
