"""A page of cards, each a picture with its sentences, to look through, search and sort; one HTML file that needs nothing but itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from PIL import Image

from cmirnet_cli.reports import page_template as template
from cmirnet_cli.reports.markup import jpeg, png, text
from cmirnet_cli.reports.page_script import SCRIPT
from cmirnet_cli.reports.page_style import STYLE

LONGEST_SIDE = 640
"""Pictures in the page are reduced to so many pixels."""


@dataclass(frozen=True)
class Layer:
    """A transparent picture laid over a card's own, of its size; the page has a switch for all layers of one name."""

    name: str
    picture: Image.Image


@dataclass(frozen=True)
class Meter:
    """A fraction from 0 to 1, shown as a bar and in hundredths."""

    label: str
    fraction: float


@dataclass(frozen=True)
class Card:
    """One thing to look at.

    Attributes:
        picture: any size, any mode.
        sentences: shown under the picture, one a line.
        notes: small print under the sentences; it can be searched, too.
        keys: what the page's orders sort by, a value for each; a key is a word of small letters.
        layers: laid over the picture, the first one lowest.
        marks: words that set the card apart, such as a warning; the page can show the cards of one mark alone.
        meter: at the card's foot.
    """

    picture: Image.Image
    sentences: Sequence[str]
    notes: Sequence[str]
    keys: Mapping[str, float | str]
    layers: Sequence[Layer] = ()
    marks: Sequence[str] = ()
    meter: Meter | None = None


@dataclass(frozen=True)
class Order:
    """A way to sort: by one of the cards' keys, numbers by size and text as a dictionary does, `falling` from the largest."""

    label: str
    key: str
    falling: bool = False


@dataclass(frozen=True)
class Gallery:
    """A page but for its cards.

    Attributes:
        title: heads the page.
        things: what the cards show, in the plural.
        given: what to call the order in which the cards are given.
        search: what the search finds.
        orders: the others.
        about: HTML that stands above the cards.
        quality: of the JPEG pictures, 1 to 95.
    """

    title: str
    things: str
    given: str
    search: str
    orders: Sequence[Order]
    about: str = ""
    quality: int = 85

    def html(self, cards: Iterable[Card]) -> str:
        """The whole page. Style, script and pictures are inside it, and its content policy forbids it to load anything else.

        Without its script the page still shows every card; the script searches and sorts them. Cards are consumed one at a time.
        """
        marks: Counter[str] = Counter()
        layers: dict[str, None] = {}
        figures = []
        for card in cards:
            marks.update(card.marks)
            layers.update(dict.fromkeys(layer.name for layer in card.layers))
            figures.append(_figure(card, self.quality))
        return template.PAGE.substitute(
            title=text(self.title),
            things=text(self.things),
            search=text(self.search),
            orders=_orders(self),
            marks=_marks(marks, len(figures)),
            layers="".join(_switch(name) for name in layers),
            count=len(figures),
            about=self.about,
            cards="\n".join(figures),
            style=STYLE,
            script=SCRIPT,
        )


def _figure(card: Card, quality: int) -> str:
    return template.CARD.substitute(
        keys="".join(f' data-{key}="{_key(value)}"' for key, value in card.keys.items()),
        picture=_picture(card, quality),
        marks=template.MARKS.substitute(items="".join(f"<li>{text(mark)}</li>" for mark in card.marks)) if card.marks else "",
        sentences="\n".join(template.SENTENCE.substitute(sentence=text(sentence)) for sentence in card.sentences),
        notes=" ".join(f"<bdi>{text(note)}</bdi>" for note in card.notes),
        meter=_meter(card.meter) if card.meter else "",
    )


def _picture(card: Card, quality: int) -> str:
    base = template.BASE.substitute(picture=jpeg(card.picture, LONGEST_SIDE, quality), sentences=text("; ".join(card.sentences)))
    layers = (template.LAYER.substitute(picture=png(layer.picture), name=text(layer.name)) for layer in card.layers)
    return (template.LAYERED if card.layers else template.FLAT).substitute(pictures=base + "".join(layers))


def _meter(meter: Meter) -> str:
    return template.METER.substitute(label=text(meter.label), percent=f"{100 * meter.fraction:.0f}")


def _key(value: float | str) -> str:
    return text(value) if isinstance(value, str) else f"{value:.6g}"


def _orders(gallery: Gallery) -> str:
    return f'<option value="">{text(gallery.given)}</option>' + "".join(
        f'\n<option value="{text(order.key)}"{" data-falling" if order.falling else ""}>{text(order.label)}</option>'
        for order in gallery.orders
    )


def _marks(marks: Mapping[str, int], count: int) -> str:
    """The choice of cards by their marks, where any card has one."""
    options = "".join(f'\n<option value="{text(mark)}">{text(mark)} ({cards})</option>' for mark, cards in marks.items())
    return template.MARKED.substitute(count=count, options=options) if marks else ""


def _switch(name: str) -> str:
    return template.SWITCH.substitute(name=text(name), letter=text(name[:1].lower()))
