"""What a gallery page holds: cards, each a picture with its sentences, and lines, which do without the picture; both as HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from PIL import Image

from cmirnet_cli.reports.pages import template
from cmirnet_cli.reports.pages.markup import jpeg, png, text
from cmirnet_cli.reports.pictures.palette import Colour

LONGEST_SIDE = 640
"""Pictures in the page are reduced to so many pixels."""
MARK = "mark"
"""The kind of group that a card's marks are."""

Keys = Mapping[str, float | str]
"""What the page's orders sort by: a value for each. A key is a word of small letters and digits."""


def token(kind: str, name: str) -> str:
    """The name of a group within a page, without spaces: `category`, `hot dog` → `category:hot%20dog`."""
    return f"{kind}:{quote(name, safe='', errors='replace')}"


@dataclass(frozen=True)
class Layer:
    """A transparent picture laid over a card's own, of its size; the page has a switch for all layers of one name, with its colour."""

    name: str
    picture: Image.Image
    colour: Colour | None = None


@dataclass(frozen=True)
class Meter:
    """A fraction from 0 to 1, shown as a bar and in hundredths.

    Attributes:
        label: says what it measures.
        fraction: is shown.
        when: the token of a choice; the meter is seen while that is chosen. Empty: always.
        good: whether the bar has the colour of success, or that of failure.
    """

    label: str
    fraction: float
    when: str = ""
    good: bool = True


@dataclass(frozen=True)
class Card:
    """One thing to look at.

    Attributes:
        picture: any size, any mode.
        sentences: shown under the picture, one a line.
        notes: small print under the sentences; it can be searched, too.
        keys: what the card is sorted by.
        layers: laid over the picture, the first one lowest.
        marks: words that set the card apart, such as a warning; the page can show the cards of one mark alone.
        meters: at the card's foot.
        groups: tokens of the groups the card is in; the page can show the cards of one group alone.
        anchor: the card's name, which a line may lead to.
    """

    picture: Image.Image
    sentences: Sequence[str]
    notes: Sequence[str]
    keys: Keys
    layers: Sequence[Layer] = ()
    marks: Sequence[str] = ()
    meters: Sequence[Meter] = ()
    groups: Sequence[str] = ()
    anchor: str = ""


@dataclass(frozen=True)
class ListItem:
    """One sentence without its picture; attributes as those of `Card`, but for `anchor`: of the card that shows the same, if any does."""

    sentence: str
    notes: Sequence[str]
    keys: Keys
    marks: Sequence[str] = ()
    meters: Sequence[Meter] = ()
    groups: Sequence[str] = ()
    anchor: str = ""


def figure(card: Card, quality: int) -> str:
    """A card as HTML, its pictures in JPEG of this quality and its layers in PNG."""
    return template.CARD.substitute(
        attributes=_attributes(card) + (f' id="{text(card.anchor)}"' if card.anchor else ""),
        picture=_picture(card, quality),
        marks=_marks(card.marks),
        sentences="\n".join(template.SENTENCE.substitute(sentence=text(sentence)) for sentence in card.sentences),
        notes=_notes(card.notes),
        meters="".join(map(_meter, card.meters)),
    )


def row(line: ListItem) -> str:
    """A line as HTML."""
    return template.LINE.substitute(
        attributes=_attributes(line),
        figures="".join(_number(meter, line.anchor) for meter in line.meters),
        sentence=text(line.sentence),
        marks=_marks(line.marks),
        notes=_notes(line.notes),
    )


def _attributes(item: Card | ListItem) -> str:
    """What the page's script reads: the value of each key, and the groups."""
    groups = [*item.groups, *(token(MARK, mark) for mark in item.marks)]
    keys = "".join(f' data-{key}="{_key(value)}"' for key, value in item.keys.items())
    return keys + (f' data-in="{text(" ".join(groups))}"' if groups else "")


def _key(value: float | str) -> str:
    return text(value) if isinstance(value, str) else f"{value:.6g}"


def _picture(card: Card, quality: int) -> str:
    base = template.BASE.substitute(picture=jpeg(card.picture, LONGEST_SIDE, quality), sentences=text("; ".join(card.sentences)))
    layers = (template.LAYER.substitute(picture=png(layer.picture), name=text(layer.name)) for layer in card.layers)
    return (template.LAYERED if card.layers else template.FLAT).substitute(pictures=base + "".join(layers))


def _marks(marks: Sequence[str]) -> str:
    return template.MARKS.substitute(items="".join(f"<li>{text(mark)}</li>" for mark in marks)) if marks else ""


def _notes(notes: Sequence[str]) -> str:
    return " ".join(f"<bdi>{text(note)}</bdi>" for note in notes)


def _meter(meter: Meter) -> str:
    return template.METER.substitute(
        when=seen_when(meter.when), bad="" if meter.good else " bad", label=text(meter.label), percent=f"{100 * meter.fraction:.0f}"
    )


def _number(meter: Meter, anchor: str) -> str:
    """A meter of a line: its number alone, which leads to the card that shows the same."""
    number = f"{100 * meter.fraction:.1f}"
    linked = f'<a href="#{quote(anchor)}" title="see the picture">{number}</a>' if anchor else number
    return template.NUMBER.substitute(when=seen_when(meter.when), bad="" if meter.good else " bad", label=text(meter.label), number=linked)


def seen_when(tokens: str) -> str:
    """The attribute of an element that is seen while all of these tokens, with spaces between, are chosen; none: always."""
    return f' data-when="{text(tokens)}"' if tokens else ""
