"""A page of cards to look through, search and sort; one HTML file that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from cmirnet_cli.reports.pages import template
from cmirnet_cli.reports.pages.cards import MARK, Card, ListItem, figure, row, token
from cmirnet_cli.reports.pages.markup import text
from cmirnet_cli.reports.pages.script import SCRIPT
from cmirnet_cli.reports.pages.style import STYLE
from cmirnet_cli.reports.pictures.palette import Colour


@dataclass(frozen=True)
class Order:
    """A way to sort: by one of the keys, numbers by size and text as a dictionary does, `falling` from the largest.

    Without a key, the order in which the cards are given. A key that no card has stands for one that it has with the place of the
    chosen `Choice.sorts` behind it: `iou` for `iou0` or `iou1`.
    """

    label: str
    key: str = ""
    falling: bool = False


@dataclass(frozen=True)
class Choice:
    """A list of which one is always chosen: parts of the page, and cards, that belong to another one are not seen.

    Attributes:
        kind: of the options' tokens. Cards that have no token of the kind are always seen.
        options: name → what it is called in the list.
        sorts: whether it decides which key the orders sort by.
    """

    label: str
    kind: str
    options: Sequence[str]
    sorts: bool = False


PHOTOGRAPHS = 78
"""JPEG quality of pages with hundreds of photographs."""


@dataclass(frozen=True)
class Gallery:
    """A page but for its cards.

    Attributes:
        title: heads the page.
        things: what the cards show, in the plural.
        search: what the search finds.
        orders: ways to sort; the page opens with the first one.
        about: HTML that stands above the cards.
        quality: of the JPEG pictures, 1 to 95.
        choices: what is seen at a time.
    """

    title: str
    things: str
    search: str
    orders: Sequence[Order]
    about: str = ""
    quality: int = 85
    choices: Sequence[Choice] = ()

    def html(self, cards: Iterable[Card], lines: Iterable[ListItem] = ()) -> str:
        """The whole page. Style, script and pictures are inside it, and its content policy forbids it to load anything else.

        Without its script the page still shows every card; the script searches and sorts them. Cards are consumed one at a time.
        Where there are lines, they form a list that can be looked through in place of the cards.
        """
        found, figures, rows = _Found(), [], []
        for card in cards:
            found.note(card)
            figures.append(figure(card, self.quality))
        for line in lines:
            found.note(line)
            rows.append(row(line))
        return template.PAGE.substitute(
            title=text(self.title),
            things=text(self.things),
            search=text(self.search),
            choices="".join(map(_choice, self.choices)),
            marks=_marks(tuple(found.marks)),
            orders="\n".join(map(_order, self.orders)),
            layers="".join(_layer_switch(*layer) for layer in found.layers.items()),
            list=_switch("list", "list") if rows else "",
            count=len(figures),
            about=self.about,
            cards="\n".join(figures),
            lines=template.LINES.substitute(lines="\n".join(rows)) if rows else "",
            style=STYLE,
            script=SCRIPT,
        )


@dataclass(frozen=True)
class _Found:
    """The marks and the layers (with their colours) of what was seen so far, in the order in which they first appeared."""

    marks: dict[str, None] = field(default_factory=dict)
    layers: dict[str, Colour | None] = field(default_factory=dict)

    def note(self, item: Card | ListItem) -> None:
        self.marks.update(dict.fromkeys(item.marks))
        if isinstance(item, Card):
            self.layers.update((layer.name, layer.colour) for layer in item.layers)


def _order(order: Order) -> str:
    return f'<option value="{text(order.key)}"{" data-falling" if order.falling else ""}>{text(order.label)}</option>'


def _choice(choice: Choice) -> str:
    options = "".join(f'\n<option value="{text(token(choice.kind, name))}">{text(name)}</option>' for name in choice.options)
    return template.CHOICE.substitute(label=text(choice.label), sorts=" data-sorts" if choice.sorts else "", options=options)


def _marks(marks: Sequence[str]) -> str:
    """The choice of cards by their marks, where any card has one; the script counts them."""
    options = "".join(f'\n<option value="{text(token(MARK, mark))}">{text(mark)}</option>' for mark in marks)
    return template.MARKED.substitute(options=options) if marks else ""


def _layer_switch(name: str, colour: Colour | None) -> str:
    swatch = template.SWATCH.substitute(colour=f"rgb{colour}") if colour else ""
    return _switch("layer", name, checked=" checked", swatch=swatch)


def _switch(kind: str, name: str, *, checked: str = "", swatch: str = "") -> str:
    return template.SWITCH.substitute(kind=kind, name=text(name), checked=checked, swatch=swatch, letter=text(name[:1].lower()))
