"""The page of runs side by side: their scores, and the sentences with what each of them predicts, the largest differences first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

from cmirnet_cli.images.palette import BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILION, WHITE, YELLOW
from cmirnet_cli.images.pixels import Mask, Pixels
from cmirnet_cli.metrics.sentences import SplitScores
from cmirnet_cli.metrics.split_report import ScoringOptions
from cmirnet_cli.reports.evaluation.cards import sentence_entry
from cmirnet_cli.reports.evaluation.examples import pick_places
from cmirnet_cli.reports.evaluation.groups import GroupBlock, group_tables, meaning
from cmirnet_cli.reports.evaluation.page import LINES, HtmlTable, html_table, pictures_of, settings_in_words
from cmirnet_cli.reports.evaluation.score_lines import INTERVAL
from cmirnet_cli.reports.pages.cards import PHOTOGRAPHS, Card, Entry, Layer, Meter, jpeg, png, token
from cmirnet_cli.reports.pages.gallery import Choice, Gallery, Order
from cmirnet_cli.reports.pictures.overlay import card_size, mask_layer, outline_layer, scaled_mask, unsquared

COLOURS = (ORANGE, SKY, VERMILION, GREEN, PURPLE, YELLOW, BLUE)
ORDERS = (
    Order("largest difference first", "gap", falling=True),
    Order("worst first", "iou"),
    Order("best first", "iou", falling=True),
    Order("smallest target first", "area"),
    Order("longest sentence first", "words", falling=True),
    Order("by image", "image"),
)


@dataclass(frozen=True)
class GroupsPage:
    """What the page is about.

    Attributes:
        title: names the data.
        blocks: the scores of all groups.
        shown: group's name → the splits as the first of its runs scored them, in one order of sentences, with masks.
        scoring: that the scores were made with.
        data: what `groups.json` holds.
    """

    title: str
    blocks: Sequence[GroupBlock]
    shown: Mapping[str, Sequence[SplitScores]]
    scoring: ScoringOptions
    data: Mapping[str, Any]

    @property
    def splits(self) -> Sequence[SplitScores]:
        """As the first group scored them."""
        return next(iter(self.shown.values()))

    def places(self, limit: int) -> list[list[int]]:
        """Of each split, at most so many sentences: half of them those whose IoUs differ most, the others spread evenly."""
        chosen = []
        for number, split in enumerate(self.splits):
            gaps = [max(self._gap(number, place, protocol) for protocol in split.protocols) for place in range(len(split.sentences))]
            widest = sorted(range(len(gaps)), key=lambda place: -gaps[place])[: limit // 2]
            chosen.append(pick_places(widest, len(gaps), limit))
        return chosen

    def pictured(self) -> list[list[int]]:
        """Of each split, the sentences that are shown with their pictures."""
        return self.places(pictures_of(len(self.splits)))

    def entry(self, number: int, place: int) -> Entry:
        """The sentence at a place of a split: its IoU by each group under each protocol."""
        split = self.splits[number]
        known = sentence_entry(split, place)
        meters = []
        for protocol in split.protocols:
            for name, splits in self.shown.items():
                overlap = splits[number].sentences[place].overlaps[protocol]
                good = 2 * overlap.intersection >= overlap.union > 0
                meters.append(Meter(f"IoU of {name}", overlap.iou, token("protocol", protocol), good))
        gaps = {f"gap{position}": self._gap(number, place, protocol) for position, protocol in enumerate(split.protocols)}
        return Entry(known.sentences, known.notes, {**known.keys, **gaps}, (), meters, known.groups, known.anchor)

    def _gap(self, number: int, place: int, protocol: str) -> float:
        found = [splits[number].sentences[place].overlaps[protocol].iou for splits in self.shown.values()]
        return max(found) - min(found)


@dataclass(frozen=True)
class ComparedPictures:
    """What a picture is made of: the image as a network gets it, uint8 (S, S, 3), and bool (H, W) masks, a prediction of each group."""

    image: Pixels
    target: Mask
    predictions: Sequence[Mask]


@dataclass(frozen=True)
class _About:
    """What stands above the cards."""

    tables: Sequence[HtmlTable]
    meanings: Sequence[str]
    metadata: Mapping[str, str]


def groups_page(page: GroupsPage, pictures: Iterable[ComparedPictures]) -> str:
    """The whole page as HTML; `pictures` are those of `GroupsPage.pictured`, split by split; consumed one at a time. See `Gallery.html`."""
    settings = settings_in_words({"program": page.data["program"], "intervals": page.data["intervals"]})
    runs = {name: ", ".join(run["source"] for run in runs) for name, runs in page.data["groups"].items()}
    meanings = meaning(page.blocks, page.scoring, f"in brackets: the {INTERVAL}")
    gallery = Gallery(
        title=f"{page.title}: {', '.join(page.shown)}",
        things="sentences",
        search="words, id, category",
        orders=ORDERS,
        choices=[
            Choice("Split", "split", [each.split for each in page.splits]),
            Choice("Protocol", "protocol", page.splits[0].protocols, sorts=True),
        ],
        about=_About([html_table(table) for table in group_tables(page.blocks)], meanings, settings | runs),
        template="groups.html.jinja",
    )
    entries = [
        [page.entry(number, place) for number, places in enumerate(chosen) for place in places]
        for chosen in (page.pictured(), page.places(LINES // len(page.splits)))
    ]
    return gallery.html((_card(*each, list(page.shown)) for each in zip(entries[0], pictures, strict=True)), entries[1])


def _card(entry: Entry, pictures: ComparedPictures, names: Sequence[str]) -> Card:
    size = card_size(pictures.target)
    layers = [
        Layer(name, png(mask_layer(scaled_mask(mask, size), colour)), colour)
        for name, mask, colour in zip(names, pictures.predictions, cycle(COLOURS))
    ]
    outline = Layer("ground truth", png(outline_layer(scaled_mask(pictures.target, size), WHITE)), WHITE)
    return Card(entry, jpeg(unsquared(pictures.image, size), PHOTOGRAPHS), [*layers, outline])
