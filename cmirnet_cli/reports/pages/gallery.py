"""A page of cards to look through, search and sort; one HTML file that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from cmirnet_cli.images import palette
from cmirnet_cli.reports.pages.cards import Card, Entry, token


@dataclass(frozen=True)
class Order:
    """A way to sort: by one of the keys, numbers by size and text as a dictionary does, `falling` from the largest.

    Without a key, the order in which the cards come. A key that no card has stands for one that it has with the place of the chosen
    `Choice.sorts` behind it: `iou` for `iou0` or `iou1`.
    """

    label: str
    key: str = ""
    falling: bool = False


@dataclass(frozen=True)
class Choice:
    """A list of which one is always chosen: parts of the page, and cards, that belong to another one are hidden.

    Attributes:
        kind: of the options' tokens. Cards that have no token of the kind are always shown.
        options: name → what it is called in the list.
        sorts: whether it decides which key the orders sort by.
    """

    label: str
    kind: str
    options: Sequence[str]
    sorts: bool = False


@dataclass(frozen=True)
class Gallery:
    """A page but for its cards.

    Attributes:
        title: heads the page.
        things: what the cards show, in the plural.
        search: what the search finds.
        orders: ways to sort; the page opens with the first one.
        choices: what is shown at a time.
        about: stands above the cards: a text, or the data of a `template` with a block of this name.
        template: that draws the page.
    """

    title: str
    things: str
    search: str
    orders: Sequence[Order]
    choices: Sequence[Choice] = ()
    about: object = ""
    template: str = "gallery.html.jinja"

    def html(self, cards: Iterable[Card], lines: Iterable[Entry] = ()) -> str:
        """The whole page. Style, script and pictures are inside it, and its content policy forbids it to load anything else.

        Without its script the page still shows every card; the script searches and sorts them. Where there are lines, they form a list
        that can be looked through in place of the cards. What UTF-8 cannot hold (a byte of an odd file name) becomes a question mark.
        """
        cards, lines = list(cards), list(lines)
        page = render(
            self.template,
            gallery=self,
            about=self.about,
            cards=cards,
            lines=lines,
            anchors={card.entry.anchor for card in cards} - {""},
            marks=list(dict.fromkeys(mark for entry in (*(card.entry for card in cards), *lines) for mark in entry.marks)),
            layers={layer.name: layer.colour for card in cards for layer in card.layers},
        )
        return page.encode("utf-8", "replace").decode("utf-8")


def render(template: str, **data: Any) -> str:
    """What a template of `reports/templates` makes of the data; in HTML, text from outside is escaped."""
    return _templates().get_template(template).render(data)


@cache
def _templates() -> Environment:
    templates = Environment(
        loader=PackageLoader("cmirnet_cli.reports"),
        autoescape=select_autoescape(["html.jinja"]),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    colours = {name: palette.css(colour) for name, colour in vars(palette).items() if name.isupper()}
    templates.globals.update(colours, token=token)
    return templates
